"""Two processes on gloo, in the environment of torchrun, against one."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from deepjive import DeepJIVE
from deepjive.deep.runtime.distributed import is_first, of_all_processes, of_first, processes

from . import sharing


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote, which are forked from one with torch, and believe that torchrun started them."""
    folder = tmp_path_factory.mktemp("two")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([sharing.__name__])
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    pair = [context.Process(target=sharing.as_torchrun, args=(rank, 2, port, folder)) for rank in (0, 1)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(timeout=300)
        process.kill()
    assert [process.exitcode for process in pair] == [0, 0]
    return folder


@pytest.mark.parametrize("case", sharing.CASES, ids="-".join)
def test_two_processes_with_half_the_batch_give_the_gradients_of_one_with_the_whole(
    two: Path, case: tuple[str, str, str, str]
) -> None:
    """Weights' gradients, running moments, and validation terms, to 1e-5 of the largest."""
    whole = sharing.gradients(*case)
    largest = max(float(np.abs(expected).max(initial=0)) for expected in whole.values())
    for process in (0, 1):
        shared = np.load(two / f"{'-'.join(case)}-{process}.npz")
        assert set(shared.files) == set(whole)
        for name, expected in whole.items():
            np.testing.assert_allclose(shared[name], expected, rtol=1e-5, atol=1e-5 * min(largest, 1.0))


def test_both_processes_end_with_the_same_model_which_is_that_of_one(two: Path, tmp_path: Path) -> None:
    first, second, alone = np.load(two / "fit-0.npz"), np.load(two / "fit-1.npz"), sharing.fit(tmp_path)
    np.testing.assert_array_equal(first["drawn"], second["drawn"])  # the seed too is one for both
    for name in ("joint", *sharing.data().names):
        np.testing.assert_array_equal(first[name], second[name])
        # a few dozen steps of Adam on sums that were taken in another order; "explicit" would differ by more, since
        # whitening makes the gradients of its encoders' biases zero, and Adam divides their rounding by itself
        np.testing.assert_allclose(first[name], alone[name], atol=2e-3)


def test_both_processes_end_with_the_same_model_of_samples_that_lack_modalities(two: Path) -> None:
    first, second, alone = np.load(two / "gaps-0.npz"), np.load(two / "gaps-1.npz"), sharing.fit_with_gaps()
    for name, scores in alone.items():
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], scores, atol=2e-3)


def test_both_processes_expect_the_same_of_networks_with_running_means(two: Path) -> None:
    first, second = (np.load(two / f"expectations-{process}.npz")["shares"] for process in (0, 1))
    assert first.max() > 0
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_only_the_first_process_warns(two: Path) -> None:
    assert [int(np.load(two / f"fit-{process}.npz")["warnings"]) for process in (0, 1)] == [3, 0]


def test_a_process_that_dies_is_named_by_the_other_and_the_checkpoint_stays(tmp_path: Path) -> None:
    command = [sys.executable, sharing.__file__, str(tmp_path), "die"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "TrainingError: Another process of this training has ended" in done.stderr
    assert "The last checkpoint, of epoch 2 of the joint phase, is whole" in done.stderr
    with pytest.warns(ConvergenceWarning):
        model = DeepJIVE(
            joint_rank=1, individual_ranks=1, networks="dense", batch_size=40, max_epochs=4, random_state=0
        ).fit(sharing.data(), resume=tmp_path)
    assert model.history_["epoch"][:5] == [1, 2, 3, 4, 1]


def test_one_process_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes() == 1
    assert is_first()
    assert of_first(lambda: "value") == "value"
    assert of_all_processes([]) == []
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_first()
