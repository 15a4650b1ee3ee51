"""Values of any size: parts in double precision, and an error or a warning where parts cannot be trusted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from deepjive import DeepJIVE
from deepjive.deep.training.batches import Scaling
from deepjive.deep.training.first_pass import Moments
from tests.deep.fitting import fitted

N = 30


def made() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(N, 1))
    return {name: joint @ rng.normal(size=(1, p)) + rng.normal(size=(N, p)) for name, p in (("a", 6), ("b", 5))}


def test_units_beyond_single_precision_change_nothing_but_the_units() -> None:
    data, expected = made(), None
    for unit in (1.0, 2.0**133, 2.0**-665):  # 1e40 and 1e-200: exact multiples
        model = fitted(data | {"a": data["a"] * unit}, max_epochs=1)
        parts = model.decompose(data | {"a": data["a"] * unit})
        individual = parts.individual["a"] / unit
        expected = individual if expected is None else expected
        np.testing.assert_allclose(individual, expected, rtol=1e-12)
        assert parts.variance_explained["a"] == pytest.approx(model.variance_explained_["a"], abs=1e-5)


def test_automatic_ranks_do_not_depend_on_units() -> None:
    data = made()
    reason = DeepJIVE(random_state=0).select_ranks(data).reason()
    for unit in (2.0**700,):
        assert DeepJIVE(random_state=0).select_ranks(data | {"a": data["a"] * unit}).reason() == reason


def test_new_samples_too_far_from_the_fitted_ones_are_refused() -> None:
    data = made()
    model = fitted(data, max_epochs=1)
    with pytest.raises(ValueError, match=r"Modality 'a' contains the value .*e\+40, which is too far from the fitted"):
        model.transform(data | {"a": data["a"] * 1e40})


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_scale_of_blocks_is_that_of_all_samples_in_any_units(unit: float) -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(100, 5)) * unit
    moments = Moments((5,))
    for block in np.split(x, [1, 40]):
        moments.add(block)
    expected = float((x / unit - (x / unit).mean(axis=0)).std()) * unit
    assert moments.scale == pytest.approx(expected, rel=1e-12)
    from deepjive import Modalities

    assert Scaling.of(Modalities({"a": x})).scale["a"] == pytest.approx(expected, rel=1e-12)


def test_parts_that_are_worse_than_the_mean_give_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepjive.deep import estimator

    monkeypatch.setattr(estimator, "MOST_RESIDUAL", 0.01)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        DeepJIVE(joint_rank=1, individual_ranks=0, max_epochs=1, networks="dense", random_state=0).fit(made())
    texts = [str(warning.message) for warning in caught]
    assert any("do not describe the fitted samples: of a modality's variance, the residual of 'a'" in t for t in texts)


def test_an_error_that_there_is_nothing_to_fit_is_one_line() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="so there is nothing to fit") as raised:
        DeepJIVE(random_state=0).fit({"a": rng.normal(size=(20, 3)), "b": rng.normal(size=(20, 3))})
    assert "\n" not in str(raised.value)


def test_a_device_that_is_not_there_is_named() -> None:
    absent = "mps" if torch.cuda.is_available() else "cuda"  # no machine has both
    with pytest.raises(ValueError, match=rf"Training cannot start with device='{absent}'.*Use device='cpu' .--device"):
        DeepJIVE(joint_rank=1, individual_ranks=1, device=absent).fit(made())
