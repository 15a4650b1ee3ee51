"""Wide modalities are trained in coordinates, and the fitted model is a model of features."""

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
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep.geometry.start import ScaledSignal
from deepjive.deep.networks import Decoder, Encoder
from deepjive.deep.span import Coordinates
from deepjive.deep.training import checkpoint, coordinates
from deepjive.deep.training.batches import Batches, Scaling
from deepjive.deep.training.checkpoint import CheckpointError
from deepjive.deep.training.coordinates import coordinates_of, narrow, widen
from deepjive.evaluation import r2

from ..fitting import CutError, cut_after

N, WIDE, NARROW = 100, 2500, 30


@pytest.fixture(scope="module")
def made() -> Synthetic:
    """A wide modality and a narrow one."""
    return make_synthetic(N + 50, (WIDE, NARROW), noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def fitted(made: Synthetic) -> DeepJIVE:
    return fit(made[:N].data)


def fit(data: Any, resume: Path | None = None, **settings: Any) -> DeepJIVE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ranks = {"joint_rank": 1, "individual_ranks": 1}
        chosen = {**ranks, "networks": "dense", "random_state": 0, "max_epochs": 8} | settings
        return DeepJIVE(**chosen).fit(data, resume=resume)


def network_of(data: Modalities, **settings: Any) -> tuple[Any, list[torch.Tensor]]:
    """An untrained network with random weights, and scaled samples."""
    model, scaling = DeepJIVE(joint_rank=2, individual_ranks=2, **settings), Scaling.of(data)
    torch.manual_seed(0)
    model._set_up(data.shapes, scaling, 2, dict.fromkeys(data.names, 2))
    return model.network_, [torch.from_numpy(scaling.scaled(name, data.rows(name, slice(None)))) for name in data.names]


def test_coordinates_keep_distances_and_can_be_inverted(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    span = Coordinates.of(x)
    c = span.into(x)
    assert c.shape == (len(x), len(x))
    # the products are sums over 2500 features in single precision
    torch.testing.assert_close(c.square().mean(), x.square().mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(span.back(c), x, rtol=0, atol=1e-3)
    assert span.varying == WIDE


def test_no_coordinate_belongs_to_a_single_sample() -> None:
    torch.manual_seed(0)
    c = (x := torch.randn(60, 3000)) @ Coordinates.of(x).axes
    assert (
        c.square().amax(1) / c.square().sum(1)
    ).max() < 0.4  # the largest of 60 equal shares is about 0.2, and that of a coordinate for each sample is 1


def test_rounding_errors_hardly_change_coordinates(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    rounded = x * (1 + 1e-6 * torch.randn_like(x))
    # an error of 1e-6 in each of 2500 features; coordinates are of size 1
    torch.testing.assert_close(Coordinates.of(rounded).into(rounded), Coordinates.of(x).into(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("networks", ["dense", "linear"])
def test_widened_networks_are_equivalent_to_narrow_ones(made: Synthetic, networks: str) -> None:
    network, x = network_of(made.data, networks=networks)
    coordinates = coordinates_of(network, x, [torch.arange(len(x_k)) for x_k in x])
    assert list(coordinates) == [0]
    wide = copy.deepcopy(network.state_dict())
    narrow(network, coordinates)
    for module in (*network.joint_decoders, *network.individual_decoders):
        for layer in module.sample_layers:
            torch.nn.init.normal_(layer.weight)
    inside = [coordinates[0].into(x[0]), x[1]]
    joint = network.joint_scores(inside)
    parts, _ = network.individual_parts(inside, joint)
    widen(network, list(made.data.shapes.values()))
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in wide.items()
    }
    # sums over 2500 features in single precision; decoded parts pass through two such layers
    torch.testing.assert_close(network.joint_scores(x), joint, rtol=1e-3, atol=1e-3)
    widened, _ = network.individual_parts(x, joint)
    torch.testing.assert_close(widened[0], coordinates[0].back(parts[0]), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(widened[1], parts[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("networks", ["dense", "linear"])
def test_volumes_are_trained_in_coordinates_as_their_voxels_are(made: Synthetic, networks: str, tmp_path: Path) -> None:
    """Flattening a volume changes neither the coordinates nor the model; only its parts have another shape."""
    x = np.asarray(made.data[made.data.names[0]])
    samples, shape = slice(0, N), (25, 10, 10)
    twins = {"a": x[samples], "b": -x[samples]}
    flat, volumes = Modalities(twins), Modalities({name: twin.reshape(N, *shape) for name, twin in twins.items()})
    settings = {"networks": networks, "max_epochs": 2, "joint_rank": 1, "individual_ranks": 1}
    of_flat, of_volumes = fit(flat, **settings), fit(volumes, **settings)
    joint = of_volumes.decompose(volumes[:5]).joint["a"]
    assert joint.shape == (5, *shape)
    if networks == "linear":  # perceptrons of volumes are narrower than those of vectors
        np.testing.assert_array_equal(joint.reshape(5, -1), of_flat.decompose(flat[:5]).joint["a"])
    of_volumes.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").decompose(volumes[:5]).joint["a"], joint)


@pytest.mark.parametrize("kind", ["dominant", "duplicates", "few dimensions", "constant"])
def test_coordinates_of_ill_conditioned_data_can_be_inverted(kind: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(60, 3000)
    if kind == "dominant":
        x += 300 * torch.randn(60, 1) * torch.randn(1, 3000)
    elif kind == "duplicates":
        x = torch.cat([x, x])
    elif kind == "few dimensions":
        x = x[:, :5] @ torch.randn(5, 3000)
    else:
        x[:, 1:] = 0.0
    x = x - x.mean(0)
    span = Coordinates.of(x)
    # sums over 3000 features in single precision
    assert (span.back(span.into(x)) - x).abs().max() < 1e-4 * x.abs().max()
    torch.testing.assert_close(span.into(x).square().mean(), x.square().mean(), rtol=1e-3, atol=0)


def test_a_signal_has_the_same_rank_in_coordinates_as_in_features(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    span = Coordinates.of(x)
    assert len(ScaledSignal.of(span.into(x), 1, varying=span.varying).s) == len(ScaledSignal.of(x, 1).s) == 2


def test_training_starts_with_the_number_of_varying_features(made: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[tuple[int, int | None]] = []
    of = ScaledSignal.of

    def watched(x: torch.Tensor, least: int, varying: int | None = None) -> ScaledSignal:
        widths.append((x.shape[1], varying))
        return of(x, least, varying)

    monkeypatch.setattr(ScaledSignal, "of", watched)
    fit(made[:N].data, max_epochs=1)
    assert widths == [(N, WIDE), (NARROW, None)]


def test_only_wide_vectors_are_put_in_coordinates(made: Synthetic) -> None:
    rng = np.random.default_rng(0)
    others = Modalities(
        {
            "images": rng.normal(size=(40, 50, 50)),
            "few features": rng.normal(size=(40, 1999)),
            "many samples": rng.normal(size=(40, 2000)),
        }
    )
    network, x = network_of(others)
    assert list(coordinates_of(network, x, [torch.arange(len(x_k)) for x_k in x])) == [2]
    rows = [torch.arange(len(x_k)) for x_k in x]
    assert not coordinates_of(network, x, [*rows[:2], torch.arange(1001) % 40])
    convolved, _ = network_of(others, networks="conv")
    assert not coordinates_of(convolved, x, rows)


def test_wide_data_are_decomposed_as_well_as_by_ajive(made: Synthetic, fitted: DeepJIVE) -> None:
    training, test = made[:N], made[N:]
    linear = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, random_state=0).fit(training.data)
    for part in ("joint", "individual"):
        truth = getattr(training, part)
        deep, plain = (getattr(model.decompose(training.data), part) for model in (fitted, linear))
        for name in training.data.names:
            assert r2(truth[name], deep[name]) > r2(truth[name], plain[name]) - 0.02  # the noise of training
    scores, others = fitted.transform(test.data)[:, 0], linear.transform(test.data)[:, 0]
    # noise in the features keeps the correlation below 1
    assert abs(np.corrcoef(scores, test.joint_scores[:, 0])[0, 1]) > 0.95
    assert abs(np.corrcoef(scores, others)[0, 1]) > 0.95


def test_training_in_features_gives_nearly_the_same_scores(
    made: Synthetic, fitted: DeepJIVE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinates, "FEWEST_FEATURES", 10**9)
    plain = fit(made[:N].data)
    assert abs(np.corrcoef(plain.transform(made.data)[:, 0], fitted.transform(made.data)[:, 0])[0, 1]) > 0.99


def test_a_fitted_model_has_layers_of_features(made: Synthetic, fitted: DeepJIVE, tmp_path: Path) -> None:
    assert not fitted.network_.coordinates
    assert fitted.network_.joint_encoders[0].linear.in_features == WIDE
    fitted.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").transform(made.data), fitted.transform(made.data))


class Corrected(nn.Module):
    """A linear map of deepjive and a correction of the user."""

    def __init__(self, linear: nn.Module, correction: nn.Module) -> None:
        super().__init__()
        self.linear, self.correction = linear, correction

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.correction(x)


def test_networks_of_the_user_are_trained_in_features(made: Synthetic) -> None:
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


def test_resuming_with_another_memory_limit_is_refused_where_it_changes_coordinates(
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
        {"identity": "merged", "max_epochs": 20},
        {"objective": "published", "max_epochs": 20},
        {"networks": "linear"},
    ],
)
def test_wide_data_can_be_fitted_with_all_settings(made: Synthetic, settings: dict[str, Any]) -> None:
    data = made[:N].data
    residual = fit(data, **settings).decompose(data).residual
    for name, truth in data.items():
        total = np.square(truth - truth.mean(0)).sum()
        assert np.square(residual[name]).sum() < 0.8 * total  # also where one of the two parts is left out


def test_coordinates_are_computed_from_the_samples_that_have_the_modality(made: Synthetic) -> None:
    present = np.ones((N, 2), dtype=bool)
    present[::5, 0] = False
    data = Modalities(dict(made[:N].data), present=present)
    network, _ = network_of(data)
    coordinates = Batches(data, Scaling.of(data), torch.device("cpu")).coordinates(network)
    assert {k: span.axes.shape for k, span in coordinates.items()} == {0: (WIDE, 80)}
    model = fit(data, identity="explicit")
    assert abs(np.corrcoef(model.transform(made[N:].data)[:, 0], made[N:].joint_scores[:, 0])[0, 1]) > 0.95


def test_resumed_training_on_wide_data_gives_the_same_weights(
    made: Synthetic, fitted: DeepJIVE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    with monkeypatch.context() as patched:
        cut_after(patched, 12)
        with pytest.raises(CutError):
            fit(made[:N].data, tmp_path)
    resumed = fit(made[:N].data, tmp_path)
    np.testing.assert_array_equal(resumed.transform(made.data), fitted.transform(made.data))
