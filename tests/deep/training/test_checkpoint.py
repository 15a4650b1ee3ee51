"""Checkpoints: resumed training, interruption, full disks and files that vanish."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from deepjive import DeepJIVE, Modalities, Runtime
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep.training import checkpoint
from deepjive.deep.training.checkpoint import FILE, Checkpoint, CheckpointError

from ..fitting import CutError, cut_after

EPOCHS = 3


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)


def make(**settings: Any) -> DeepJIVE:
    return DeepJIVE(
        **{"joint_rank": 1, "individual_ranks": 1, "max_epochs": EPOCHS, "dropout": 0.1, "networks": "dense"} | settings
    )


def fit(data: Any, resume: Path | None = None, **settings: Any) -> DeepJIVE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make(**{"random_state": 0} | settings).fit(data, resume=resume)


@pytest.fixture(scope="module")
def small() -> Synthetic:
    """Fewer samples than elsewhere: nearly every test here trains three times."""
    return make_synthetic(120, (20, 12), noise=0.3, random_state=0)


@pytest.fixture(scope="module")
def uninterrupted(small: Synthetic) -> DeepJIVE:
    """A model whose training was never stopped."""
    return fit(small.data)


@pytest.fixture
def stopped(small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a checkpoint from the second epoch of the second phase."""
    with monkeypatch.context() as patched:
        cut_after(patched, EPOCHS + 2)
        with pytest.raises(CutError):
            fit(small.data, tmp_path)
    return tmp_path


def assert_same(model: DeepJIVE, other: DeepJIVE) -> None:
    for key, weight in model.network_.state_dict().items():
        assert torch.equal(weight, other.network_.state_dict()[key]), key
    for key in model.history_:
        if key != "seconds":
            np.testing.assert_array_equal(model.history_[key], other.history_[key])


@pytest.mark.parametrize(
    ("epochs", "settings"),
    [
        (1, {}),
        (EPOCHS, {"identity": "merged"}),
        (EPOCHS + 1, {"orthogonality": "regression", "identity": "explicit"}),
        (3 * EPOCHS, {"objective": "joint_first"}),
        (EPOCHS + 1, {"orthogonality": "adversary"}),
    ],
)
@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
def test_training_resumed_from_any_epoch_gives_the_same_weights(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, settings: dict[str, str], gaps: bool
) -> None:
    data = small.data
    if gaps:
        if settings.get("identity") == "merged":
            pytest.skip("merged needs complete samples")
        present = np.ones(data.shape, dtype=bool)
        present[::3, 0], present[1::3, 1] = False, False
        data = Modalities(data, present=present)
    with monkeypatch.context() as patched:
        cut_after(patched, epochs)
        with pytest.raises(CutError):
            fit(data, tmp_path, **settings)
    assert_same(fit(data, tmp_path, **settings), fit(data, **settings))


def test_resumed_training_uses_the_seed_that_was_drawn(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fit(small.data, tmp_path, random_state=None)
    assert_same(first, fit(small.data, tmp_path, random_state=None))
    with pytest.raises(AssertionError):
        assert_same(first, fit(small.data, random_state=None))


def test_training_resumed_after_a_kill_gives_the_same_weights(
    tmp_path: Path, small: Synthetic, uninterrupted: DeepJIVE
) -> None:
    np.savez(tmp_path / "data.npz", **dict(small.data.items()))
    code = f"""
import os, signal, numpy as np
from deepjive import DeepJIVE
from deepjive.deep.training import checkpoint
import torch; torch.set_num_threads(1)
checkpoint.SECONDS = 0.0
write, calls = checkpoint.write_atomically, []
def write_and_die(path, content):
    calls.append(1)
    if len(calls) == {EPOCHS + 2}:  # in the middle of writing
        (path.parent / ".checkpoint.safetensors.half").write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
checkpoint.write_atomically = write_and_die
data = dict(np.load({str(tmp_path / "data.npz")!r}))
model = DeepJIVE(joint_rank=1, individual_ranks=1, max_epochs={EPOCHS}, dropout=0.1, networks="dense", random_state=0)
model.fit(data, resume={str(tmp_path / "run")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert_same(fit(small.data, tmp_path / "run"), uninterrupted)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_epochs": 9}, "max_epochs=3, but this model has max_epochs=9"),
        ({"identity": "merged"}, "identity=exchange, but this model has identity=merged"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(
    stopped: Path, small: Synthetic, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        fit(small.data, stopped, **settings)


def test_a_checkpoint_of_other_data_is_refused(stopped: Path, small: Synthetic) -> None:
    changed = {name: np.array(array) for name, array in small.data.items()}
    changed["modality_1"][0, 0] += 1
    with pytest.raises(CheckpointError, match="of other data: values differ"):
        fit(changed, stopped)
    with pytest.raises(CheckpointError, match="numbers of samples and missing modalities and values differ"):
        fit(small.data[:100], stopped)
    present = np.ones(small.data.shape, dtype=bool)
    present[5, 0] = False
    with pytest.raises(CheckpointError, match="of other data: missing modalities and values differ"):
        fit(Modalities(small.data, present=present), stopped)


def test_a_checkpoint_of_other_feature_names_is_refused_where_both_have_names(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genes = [f"gene {i}" for i in range(20)]
    with monkeypatch.context() as patched:
        cut_after(patched, 2)
        with pytest.raises(CutError):
            fit(Modalities(small.data, features={"modality_1": genes}), tmp_path)
    other = Modalities(small.data, features={"modality_1": ["age", *genes[1:]]})
    with pytest.raises(
        CheckpointError, match=r"of other data\. .* lacks 1 of them .'gene 0' first. and has 1 .* .'age'"
    ):
        fit(other, tmp_path)
    assert fit(small.data, tmp_path).joint_rank_ == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "link"])
def test_the_error_of_a_damaged_checkpoint_names_its_file(
    stopped: Path, small: Synthetic, damage: str, tmp_path_factory: Any
) -> None:
    path, content = stopped / FILE, bytearray((stopped / FILE).read_bytes())
    content[-9] ^= 16
    path.unlink()
    if damage == "link":
        target = tmp_path_factory.mktemp("elsewhere") / FILE
        target.write_bytes(content)
        path.symlink_to(target)
    else:
        path.write_bytes({"truncated": content[:-100], "flipped": content, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors cannot be read: .*remove it to train from"):
        fit(small.data, stopped)


def test_checkpoints_are_written_at_most_once_a_minute(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 60.0)
    fit(small.data, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_fit_leaves_a_usable_model_and_says_so(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: DeepJIVE
) -> None:
    with monkeypatch.context() as patched:
        cut_after(patched, 2, KeyboardInterrupt)
        with pytest.warns(ConvergenceWarning, match=r"interrupted in epoch 2 of the joint phase.*resume='.*goes on"):
            model = make(random_state=0).fit(small.data, resume=tmp_path)
    assert model.interrupted_
    assert model.history_["epoch"] == [1, 2]
    parts = model.decompose(small.data)
    np.testing.assert_allclose(parts.joint_scores.std(0), 1, atol=0.1)  # standardized on the training samples
    for name, truth in small.individual.items():  # later phases are at their linear start, which recovers linear data
        assert np.corrcoef(parts.individual[name].ravel(), truth.ravel())[0, 1] > 0.8
    assert_same(fit(small.data, tmp_path), uninterrupted)
    assert not uninterrupted.interrupted_


def test_ctrl_c_ends_the_training_of_a_real_process_with_a_usable_model(tmp_path: Path, small: Synthetic) -> None:
    np.savez(tmp_path / "data.npz", **dict(small.data.items()))
    code = f"""
import os, signal, threading, numpy as np, warnings
from deepjive import DeepJIVE
from deepjive.deep.training.steps import EagerSteps
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs that a shell runs in the background ignore it
update, calls = EagerSteps.update, []
def update_and_interrupt(steps):
    update(steps)
    calls.append(1)
    if len(calls) == 5:  # an epoch has three steps
        os.kill(os.getpid(), signal.SIGINT)
EagerSteps.update = update_and_interrupt
data = dict(np.load({str(tmp_path / "data.npz")!r}))
with warnings.catch_warnings(record=True) as caught:
    model = DeepJIVE(joint_rank=1, individual_ranks=1, networks="dense", random_state=0).fit(data)
print(caught[-1].message)
model.save({str(tmp_path / "model")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "interrupted in epoch 2 of the joint phase" in done.stdout
    assert (tmp_path / "model" / "config.json").is_file()


def test_a_full_disk_is_reported_and_the_last_checkpoint_stays(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: DeepJIVE
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    offer, calls = Checkpoint.offer, []

    def fill_the_disk(self: Checkpoint, state: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        offer(self, state)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "offer", fill_the_disk)
        try:
            with pytest.raises(
                OSError, match=r"could not be written \(File too large\); The last checkpoint, of epoch 2"
            ):
                fit(small.data, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == [FILE]
    assert_same(fit(small.data, tmp_path), uninterrupted)


def test_data_that_vanish_are_reported_and_the_checkpoint_stays(small: Synthetic, tmp_path: Path) -> None:
    """Images are read one by one, and one file is moved away after the first epoch."""
    nibabel = pytest.importorskip("nibabel")
    paths: dict[str, list[str]] = {"mri": [], "pet": []}
    rng = np.random.default_rng(0)
    for i in range(40):
        for name, listed in paths.items():
            listed.append(str(tmp_path / f"{name}-{i}.nii"))
            nibabel.save(nibabel.Nifti1Image(rng.normal(size=(3, 3, 3)).astype(np.float32), np.eye(4)), listed[-1])
    data, folder = Modalities(paths), tmp_path / "run"
    with pytest.MonkeyPatch.context() as patched:
        offer = Checkpoint.offer

        def offer_and_remove(self: Checkpoint, state: Any) -> None:
            offer(self, state)
            Path(paths["pet"][7]).rename(tmp_path / "elsewhere")

        patched.setattr(Checkpoint, "offer", offer_and_remove)
        with pytest.raises(FileNotFoundError, match=r"no file .*pet-7\.nii") as caught:
            fit(data, folder, runtime=Runtime(memory_limit=0), networks="linear")
    assert caught.value.__notes__ == [
        f"The last checkpoint, of epoch 1 of the joint phase, is whole: fit(X, resume={str(folder)!r}) goes on from it."
    ]
    (tmp_path / "elsewhere").rename(paths["pet"][7])
    assert_same(
        fit(data, folder, runtime=Runtime(memory_limit=0), networks="linear"),
        fit(data, runtime=Runtime(memory_limit=0), networks="linear"),
    )
