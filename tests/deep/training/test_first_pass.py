"""The data are read once before the first epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepjive import DeepJIVE, Modalities, Runtime
from deepjive.datasets.synthetic import Synthetic
from deepjive.deep.training import batches, first_pass, phases
from deepjive.deep.training.batches import Scaling
from deepjive.deep.training.first_pass import FirstPass, Moments
from deepjive.validation import check_for_fit

from ..fitting import CutError, fitted


class Counted:
    """An array on disk, for all that the library knows, that counts how often each row is read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.ndim = values, values.shape, values.dtype, values.ndim
        self.reads = np.zeros(len(values), dtype=int)

    def __getitem__(self, rows: Any) -> np.ndarray:
        self.reads[rows] += 1
        return self.values[rows]


def counted(data: Modalities, present: np.ndarray | None = None) -> tuple[Modalities, list[Counted]]:
    arrays = {name: Counted(np.asarray(array)) for name, array in data.items()}
    return Modalities(arrays, present=present), list(arrays.values())


@pytest.fixture
def _stop_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: Any, **kwargs: Any) -> None:
        raise CutError

    monkeypatch.setattr(phases, "train", stop)


@pytest.mark.usefixtures("_stop_before_training")
@pytest.mark.parametrize("ranks", [{"joint_rank": 1, "individual_ranks": 1}, {}])
@pytest.mark.parametrize("has_gaps", [False, True])
def test_data_that_fit_into_memory_are_read_once_before_the_first_epoch(
    small: Synthetic, ranks: dict[str, int], has_gaps: bool
) -> None:
    present = np.ones(small.data.shape, dtype=bool)
    present[:20, 0] = not has_gaps
    data, arrays = counted(small.data, present)
    with pytest.raises(CutError):
        DeepJIVE(**ranks, random_state=0).fit(data)  # type: ignore[arg-type]
    for column, array in enumerate(arrays):
        np.testing.assert_array_equal(array.reads, present[:, column])


@pytest.mark.usefixtures("_stop_before_training")
def test_data_that_stay_on_disk_are_read_once_before_the_first_epoch(small: Synthetic) -> None:
    data, arrays = counted(small.data)
    with pytest.raises(CutError):
        DeepJIVE(joint_rank=1, individual_ranks=1, runtime=Runtime(memory_limit=0)).fit(data)
    for array in arrays:
        np.testing.assert_array_equal(array.reads, 1)


@pytest.mark.usefixtures("_stop_before_training")
def test_a_checkpoint_reads_no_more_rows_of_data_that_fit_into_memory(small: Synthetic, tmp_path: Path) -> None:
    data, arrays = counted(small.data)
    with pytest.raises(CutError):
        DeepJIVE(joint_rank=1, individual_ranks=1).fit(data, resume=tmp_path)
    for array in arrays:
        np.testing.assert_array_equal(array.reads, 1)


def test_data_that_fit_into_memory_are_not_read_again_by_training_and_scoring(small: Synthetic) -> None:
    data, arrays = counted(small.data)
    from_disk, in_memory = fitted(data, max_epochs=2), fitted(small.data, max_epochs=2)
    for array in arrays:
        np.testing.assert_array_equal(array.reads, 1)
    for key, weight in in_memory.network_.state_dict().items():
        assert torch.equal(weight, from_disk.network_.state_dict()[key])


def test_moments_of_blocks_are_those_of_all_samples() -> None:
    x = np.random.default_rng(0).normal(1e4, 3.0, size=(1000, 5))  # a mean that the sum of squares would not survive
    moments = Moments((5,))
    for block in np.split(x, [1, 130, 700]):
        moments.add(block)
    np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-13)  # rounding of double precision
    np.testing.assert_allclose(moments.scale, (x - x.mean(axis=0)).std(), rtol=1e-13)


def test_moments_of_one_block_are_those_of_two_passes_bit_by_bit(small: Synthetic) -> None:
    """What small data on disk are scaled by is what the same data in memory are scaled by."""
    data, _ = counted(small.data)
    reading = FirstPass(data, memory_limit=0)
    check_for_fit(data, "DeepJIVE", visit=reading.add)
    scaling, expected = reading.scaling(), Scaling.of(small.data)
    assert scaling.scale == expected.scale
    for name, mean in expected.mean.items():
        np.testing.assert_array_equal(scaling.mean[name], mean)


def test_values_that_were_read_are_given_back(small: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    released = []
    monkeypatch.setattr(first_pass.FirstPass, "release", lambda self: released.append(batches))
    fitted(counted(small.data)[0], max_epochs=1)
    assert released


def test_samples_names_and_participants_stay_with_values_in_memory(small: Synthetic) -> None:
    names = [f"s{i}" for i in range(240)]
    groups = np.repeat(np.arange(120), 2)
    arrays, _ = counted(small.data)
    data = Modalities(arrays, samples=names, groups=groups)
    reading = FirstPass(data, memory_limit=1)
    check_for_fit(data, "DeepJIVE", visit=reading.add)
    assert list(reading.data.samples) == names
    np.testing.assert_array_equal(reading.data.groups, groups)
    np.testing.assert_array_equal(reading.data["modality_1"], small.data["modality_1"])
