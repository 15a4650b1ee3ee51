"""On an NVIDIA device: the same model as on the processor, the same one twice, going on, recorded steps."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, Runtime, load
from deepjive.datasets.synthetic import Synthetic, make_synthetic
from deepjive.deep.training import checkpoint, training
from deepjive.deep.training.steps import RecordedSteps, Steps

from .fitting import CutError, cut_after

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA device")

EPOCHS = 6
IMAGES = {"first": (12, 12), "second": (9, 8)}
VOLUMES = {"first": (9, 10, 8), "second": (8, 8, 8)}


def fit(data: Any, device: str = "cuda", resume: Path | None = None, **settings: Any) -> DeepJIVE:
    chosen = {"joint_rank": 1, "individual_ranks": 1, "max_epochs": EPOCHS, "random_state": 0} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DeepJIVE(**chosen, device=device).fit(data, resume=resume)


def shaped(shapes: dict[str, tuple[int, ...]], n: int = 240) -> Modalities:
    made = make_synthetic(n, [int(np.prod(shape)) for shape in shapes.values()], noise=0.3, random_state=0).data
    return Modalities({k: x.reshape(n, *shape) for (k, shape), x in zip(shapes.items(), made.values(), strict=True)})


def assert_near(one: DeepJIVE, other: DeepJIVE, data: Any, within: float) -> None:
    """The same validation errors and the same joint scores, up to rounding that training lets grow."""
    for key in ("validation_reconstruction", "validation_prediction"):
        if key in one.history_:
            np.testing.assert_allclose(one.history_[key], other.history_[key], rtol=within, equal_nan=True)
    scores, others = one.transform(data), other.transform(data)
    agreement = [abs(np.corrcoef(scores[:, j], others[:, j])[0, 1]) for j in range(scores.shape[1])]
    assert min(agreement) > 1 - within, agreement


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordedSteps, "gradients", Steps.gradients)
    monkeypatch.setattr(RecordedSteps, "update", Steps.update)


IDENTITIES, MECHANISMS = ("explicit", "exchange", "merged"), ("closed_form", "regression", "adversary", None)


@pytest.mark.parametrize(
    ("identity", "orthogonality", "objective"),
    [*itertools.product(IDENTITIES, MECHANISMS, ["joint_first"]), ("exchange", "closed_form", "published")],
)
def test_recorded_steps_are_those_taken_one_by_one(
    small: Synthetic, identity: str, orthogonality: str, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"identity": identity, "orthogonality": orthogonality, "objective": objective, "dropout": 0.1}
    recorded = fit(small.data, **settings)
    one_by_one(monkeypatch)
    assert_near(recorded, fit(small.data, **settings), small.data, 1e-2)


@pytest.mark.parametrize("decoder", ["additive", "conditioned"])
def test_the_model_is_that_of_the_processor(small: Synthetic, decoder: str) -> None:
    settings = {"individual_decoder": decoder, "orthogonality_weight": 0.0}  # which looks at random cosines
    assert_near(fit(small.data, **settings), fit(small.data, "cpu", **settings), small.data, 2e-2)


@pytest.mark.parametrize("shapes", [{"first": (20,), "second": (12,)}, IMAGES, VOLUMES])
def test_the_same_seed_gives_the_same_model(shapes: dict[str, tuple[int, ...]]) -> None:
    data = shaped(shapes)
    one, other = fit(data), fit(data)
    np.testing.assert_array_equal(one.transform(data), other.transform(data))


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_lower_precision_finds_much_the_same(precision: str) -> None:
    data = shaped(IMAGES)
    assert_near(fit(data, runtime=Runtime(precision=precision)), fit(data), data, 5e-2)


def test_steps_are_recorded_where_they_can_be(small: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[type[Steps]] = []
    make_steps = training.make_steps
    monkeypatch.setattr(training, "make_steps", lambda *given: made.append(type(one := make_steps(*given))) or one)
    fit(small.data)
    assert made == [RecordedSteps] * 3
    gaps = Modalities(dict(small.data), present=np.arange(2 * len(small.data)).reshape(-1, 2) % 7 > 0)
    fit(gaps)
    assert made[3:] == [Steps] * 3


def test_halved_learning_rates_are_recorded_anew(small: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"max_epochs": 80, "orthogonality_weight": 0.0}
    recorded = fit(small.data, **settings)
    assert len(set(recorded.history_["learning_rate"])) > 1
    one_by_one(monkeypatch)
    assert_near(recorded, fit(small.data, **settings), small.data, 2e-2)


class Odd(nn.Sequential):
    """A network of the user's own."""


def test_networks_of_ones_own_train(small: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = (
        lambda shape, rank: Odd(nn.Flatten(), nn.Linear(int(np.prod(shape)), rank)),
        lambda shape, rank: Odd(nn.Linear(rank, int(np.prod(shape))), nn.Unflatten(1, shape)),
    )
    model = fit(small.data, networks=networks, max_epochs=20)
    assert model.history_["validation_reconstruction"][-1] < 0.9


def test_going_on_gives_the_weights_of_training_that_was_never_cut_off(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    with monkeypatch.context() as patched:
        cut_after(patched, EPOCHS + 2)
        with pytest.raises(CutError):
            fit(small.data, resume=tmp_path)
    whole, resumed = fit(small.data), fit(small.data, resume=tmp_path)
    assert_near(whole, resumed, small.data, 1e-3)


def test_a_loss_that_is_not_finite_is_reported(small: Synthetic) -> None:
    with pytest.raises(training.TrainingError, match="NaN or infinite"):
        fit(small.data, learning_rate=1e30)


def test_data_that_do_not_fit_are_read_in_batches(small: Synthetic) -> None:
    assert_near(fit(small.data, runtime=Runtime(memory_limit=0.0)), fit(small.data), small.data, 1e-2)


def test_a_model_is_saved_and_loaded_where_there_is_no_device(small: Synthetic, tmp_path: Path) -> None:
    model = fit(small.data)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").transform(small.data), model.transform(small.data))


def test_ranks_are_found_and_the_loss_goes_down_from_an_unrolled_start() -> None:
    made = make_synthetic(400, (30, 30), noise=0.3, nonlinear=True, random_state=0)
    model = fit(made.data, joint_rank="auto", individual_ranks="auto", max_epochs=30)
    assert model.joint_rank_ == 1
    assert abs(np.corrcoef(model.transform(made.data)[:, 0], made.joint_scores[:, 0])[0, 1]) > 0.9


@pytest.mark.parametrize("make", [JIVE, AJIVE, HeteroJIVE])
def test_linear_methods_give_the_same_on_the_device(small: Synthetic, make: Any) -> None:
    found = [
        make(joint_rank=1, individual_ranks=1, device=device, **({"signal_ranks": 2} if make is AJIVE else {}))
        .fit(small.data)
        .decompose(small.data)
        for device in ("cpu", "cuda")
    ]
    for name in small.data.names:
        np.testing.assert_allclose(found[0].joint[name], found[1].joint[name], atol=1e-8)
