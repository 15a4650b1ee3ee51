"""Wide modalities: trained on in coordinates, fitted as if on features."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from deepjive import AJIVE, DeepJIVE, Modalities, Runtime, load
from deepjive.datasets.synthetic import Synthetic, make_synthetic
from deepjive.deep.geometry.start import ScaledSignal
from deepjive.deep.networks import Decoder, Encoder
from deepjive.deep.span import Coordinates
from deepjive.deep.training import checkpoint, coordinates
from deepjive.deep.training.batches import Batches, Scaling
from deepjive.deep.training.checkpoint import CheckpointError
from deepjive.deep.training.coordinates import coordinates_of, narrow, widen
from deepjive.evaluation.recovery import r2

from ..fitting import CutError, cut_after

N, WIDE, FLAT = 100, 2500, 30


@pytest.fixture(scope="module")
def made() -> Synthetic:
    """A wide and a flat modality."""
    return make_synthetic(N + 50, (WIDE, FLAT), noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def fitted(made: Synthetic) -> DeepJIVE:
    return fit(made[:N].data)


def fit(data: Any, resume: Path | None = None, **settings: Any) -> DeepJIVE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        chosen = {"joint_rank": 1, "individual_ranks": 1, "random_state": 0, "max_epochs": 30} | settings
        return DeepJIVE(**chosen).fit(data, resume=resume)


def network_of(data: Modalities, **settings: Any) -> tuple[Any, list[torch.Tensor]]:
    """A network in its random state, with weights in all layers, and scaled samples."""
    model, scaling = DeepJIVE(joint_rank=2, individual_ranks=2, **settings), Scaling.of(data)
    torch.manual_seed(0)
    model._set_up(data.shapes, scaling, 2, dict.fromkeys(data.names, 2))
    return model.network_, [torch.from_numpy(scaling.scaled(name, data.rows(name, slice(None)))) for name in data.names]


def test_coordinates_keep_distances_and_give_samples_back(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    one = Coordinates.of(x)
    c = one.into(x)
    assert c.shape == (len(x), len(x))
    torch.testing.assert_close(c.square().mean(), x.square().mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(one.back(c), x, rtol=0, atol=1e-3)
    assert one.varying == WIDE


def test_no_sample_has_a_coordinate_of_its_own() -> None:
    torch.manual_seed(0)
    c = (x := torch.randn(60, 3000)) @ Coordinates.of(x).axes
    assert (c.square().amax(1) / c.square().sum(1)).max() < 0.4


def test_rounding_hardly_changes_coordinates(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    nearly = x * (1 + 1e-6 * torch.randn_like(x))
    torch.testing.assert_close(Coordinates.of(nearly).into(nearly), Coordinates.of(x).into(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("networks", ["dense", "linear"])
def test_widened_networks_do_what_narrow_ones_did(made: Synthetic, networks: str) -> None:
    network, x = network_of(made.data, networks=networks)
    found = coordinates_of(network, x, [torch.arange(len(one)) for one in x])
    assert list(found) == [0]
    wide = copy.deepcopy(network.state_dict())
    narrow(network, found)
    for module in (*network.joint_decoders, *network.individual_decoders):
        for layer in module.sample_layers:
            torch.nn.init.normal_(layer.weight)
    inside = [found[0].into(x[0]), x[1]]
    joint = network.joint_scores(inside)
    parts, _ = network.individual_parts(inside, joint)
    widen(network)
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in wide.items()
    }
    torch.testing.assert_close(network.joint_scores(x), joint, rtol=1e-3, atol=1e-3)
    widened, _ = network.individual_parts(x, joint)
    torch.testing.assert_close(widened[0], found[0].back(parts[0]), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(widened[1], parts[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("hard", ["dominant", "twice", "few dimensions", "constant"])
def test_coordinates_of_hard_data_lose_nothing(hard: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(60, 3000)
    if hard == "dominant":
        x += 300 * torch.randn(60, 1) * torch.randn(1, 3000)
    elif hard == "twice":
        x = torch.cat([x, x])
    elif hard == "few dimensions":
        x = x[:, :5] @ torch.randn(5, 3000)
    else:
        x[:, 1:] = 0.0
    x = x - x.mean(0)
    one = Coordinates.of(x)
    assert (one.back(one.into(x)) - x).abs().max() < 1e-4 * x.abs().max()
    torch.testing.assert_close(one.into(x).square().mean(), x.square().mean(), rtol=1e-3, atol=0)


def test_a_signal_has_as_many_dimensions_in_coordinates(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    one = Coordinates.of(x)
    assert len(ScaledSignal.of(one.into(x), 1, varying=one.varying).s) == len(ScaledSignal.of(x, 1).s) == 2


def test_training_starts_from_the_signal_that_features_have(made: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int | None]] = []
    of = ScaledSignal.of

    def watched(x: torch.Tensor, least: int, most: int | None = None, varying: int | None = None) -> ScaledSignal:
        seen.append((x.shape[1], varying))
        return of(x, least, most, varying)

    monkeypatch.setattr(ScaledSignal, "of", watched)
    fit(made[:N].data, max_epochs=1)
    assert seen == [(N, WIDE), (FLAT, None)] * 2


def test_only_wide_vectors_have_coordinates(made: Synthetic) -> None:
    rng = np.random.default_rng(0)
    others = Modalities(
        {
            "images": rng.normal(size=(40, 50, 50)),
            "few features": rng.normal(size=(40, 1999)),
            "many samples": rng.normal(size=(40, 2000)),
        }
    )
    network, x = network_of(others)
    assert list(coordinates_of(network, x, [torch.arange(len(one)) for one in x])) == [2]
    rows = [torch.arange(len(one)) for one in x]
    assert not coordinates_of(network, x, [*rows[:2], torch.arange(1001) % 40])
    convolved, _ = network_of(others, networks="conv")
    assert not coordinates_of(convolved, x, rows)


def test_wide_data_are_decomposed_as_well_as_by_ajive(made: Synthetic, fitted: DeepJIVE) -> None:
    seen, unseen = made[:N], made[N:]
    linear = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, random_state=0).fit(seen.data)
    for part in ("joint", "individual"):
        truth = getattr(seen, part)
        deep, plain = (getattr(model.decompose(seen.data), part) for model in (fitted, linear))
        for name in seen.data.names:
            assert r2(truth[name], deep[name]) > r2(truth[name], plain[name]) - 0.02
    scores, others = fitted.transform(unseen.data)[:, 0], linear.transform(unseen.data)[:, 0]
    assert abs(np.corrcoef(scores, unseen.joint_scores[:, 0])[0, 1]) > 0.95
    assert abs(np.corrcoef(scores, others)[0, 1]) > 0.95


def test_coordinates_change_little_but_the_time(
    made: Synthetic, fitted: DeepJIVE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinates, "FEWEST_FEATURES", 10**9)
    plain = fit(made[:N].data)
    assert abs(np.corrcoef(plain.transform(made.data)[:, 0], fitted.transform(made.data)[:, 0])[0, 1]) > 0.99


def test_a_fitted_model_is_one_of_features(made: Synthetic, fitted: DeepJIVE, tmp_path: Path) -> None:
    assert not fitted.network_.coordinates
    assert fitted.network_.joint_encoders[0].linear.in_features == WIDE
    fitted.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").transform(made.data), fitted.transform(made.data))


class Corrected(nn.Module):
    """A linear map of deepjive's and a correction of the user's."""

    def __init__(self, linear: nn.Module, correction: nn.Module) -> None:
        super().__init__()
        self.linear, self.correction = linear, correction

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.correction(x)


def test_networks_of_ones_own_keep_their_features(made: Synthetic) -> None:
    pretrained = nn.Linear(WIDE, 1).requires_grad_(False)
    networks = {
        "modality_1": (
            lambda shape, rank: Corrected(Encoder("linear", shape, rank), pretrained),
            lambda shape, rank: Decoder("dense", shape, rank),
        ),
        "modality_2": "linear",
    }
    before = pretrained.weight.clone()
    model = fit(made[:N].data, max_epochs=3, networks=networks)
    assert torch.equal(model.network_.joint_encoders[0].correction.weight, before)


def test_another_limit_is_refused_where_training_goes_on(
    made: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    fit(made[:N].data, tmp_path, max_epochs=2)
    with pytest.raises(
        CheckpointError, match=r"\['modality_1'\] were in coordinates, but now \[\] would be.*memory_limit"
    ):
        fit(made[:N].data, tmp_path, max_epochs=2, runtime=Runtime(memory_limit=0.0))


@pytest.mark.parametrize(
    "settings",
    [
        {"joint_rank": 0},
        {"individual_ranks": 0},
        {"identity": "merged"},
        {"objective": "published"},
        {"networks": "linear"},
    ],
)
def test_wide_data_take_all_settings(made: Synthetic, settings: dict[str, Any]) -> None:
    data = made[:N].data
    left = fit(data, **settings).decompose(data).residual
    for name, truth in data.items():
        assert np.square(left[name]).sum() < 0.8 * np.square(truth - truth.mean(0)).sum()


def test_samples_that_lack_a_wide_modality_are_no_part_of_its_coordinates(made: Synthetic) -> None:
    present = np.ones((N, 2), dtype=bool)
    present[::5, 0] = False
    data = Modalities(dict(made[:N].data), present=present)
    network, _ = network_of(data)
    found = Batches(data, Scaling.of(data), torch.device("cpu")).coordinates(network)
    assert {k: one.axes.shape for k, one in found.items()} == {0: (WIDE, 80)}
    model = fit(data, identity="explicit")
    assert abs(np.corrcoef(model.transform(made[N:].data)[:, 0], made[N:].joint_scores[:, 0])[0, 1]) > 0.95


def test_going_on_works_on_wide_data(
    made: Synthetic, fitted: DeepJIVE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    with monkeypatch.context() as patched:
        cut_after(patched, 12)
        with pytest.raises(CutError):
            fit(made[:N].data, tmp_path)
    resumed = fit(made[:N].data, tmp_path)
    np.testing.assert_array_equal(resumed.transform(made.data), fitted.transform(made.data))
