"""Separate autoencoders: the baseline without a joint part."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import deepjive as dj
from deepjive import Runtime, SeparateAutoencoders
from deepjive.datasets.synthetic import Synthetic


@pytest.fixture(scope="module")
def separate(small: Synthetic) -> SeparateAutoencoders:
    return fitted(small.data, runtime=Runtime(memory_limit=1.0))


def fitted(data: Any, **settings: Any) -> SeparateAutoencoders:
    ranks = {"modality_1": 2, "modality_2": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return SeparateAutoencoders(ranks=ranks, max_epochs=3, random_state=0, **settings).fit(data)


def test_there_is_no_joint_part(separate: SeparateAutoencoders, small: Synthetic) -> None:
    assert separate.transform(small.data).shape == (240, 3)
    assert list(separate.get_feature_names_out()) == ["modality_1_1", "modality_1_2", "modality_2_1"]
    assert separate.variance_explained_["modality_1"]["joint"] == 0.0
    assert separate.decompose(small.data).variance_explained["modality_1"]["joint"] == 0.0


def test_scores_of_the_fitted_samples_are_kept(separate: SeparateAutoencoders, small: Synthetic) -> None:
    kept = np.concatenate(list(separate.individual_scores_.values()), axis=1)
    np.testing.assert_allclose(kept, separate.transform(small.data), atol=1e-6)  # single precision


def test_a_saved_baseline_transforms_bit_by_bit_the_same(
    separate: SeparateAutoencoders, small: Synthetic, tmp_path: Path
) -> None:
    separate.save(tmp_path)
    loaded = dj.load(tmp_path)
    assert type(loaded) is SeparateAutoencoders
    assert loaded.get_params() == separate.get_params()
    np.testing.assert_array_equal(loaded.transform(small.data), separate.transform(small.data))
    assert loaded.variance_explained_ == separate.variance_explained_
    assert loaded.diagnostics() == separate.diagnostics()


def test_an_unfitted_baseline_is_neither_saved_nor_used(
    separate: SeparateAutoencoders, small: Synthetic, tmp_path: Path
) -> None:
    for use in (lambda model: model.transform(small.data), lambda model: model.save(tmp_path)):
        with pytest.raises(NotFittedError):
            use(clone(separate))


def test_ranks_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        SeparateAutoencoders(2)  # type: ignore[misc]


def test_a_baseline_says_what_it_can_do(separate: SeparateAutoencoders) -> None:
    assert (separate.needs_all_modalities, separate.is_stochastic) == (False, True)
