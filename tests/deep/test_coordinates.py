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

from deepjive import AJIVE, DeepJIVE, Modalities, load
from deepjive.datasets.synthetic import Synthetic, make_synthetic
from deepjive.deep import coordinates
from deepjive.deep.batches import Batches, Scaling
from deepjive.deep.coordinates import Coordinates, coordinates_of, narrow, widen
from deepjive.deep.start import Signal
from deepjive.evaluation.recovery import r2

N, WIDE, FLAT = 100, 2500, 30


@pytest.fixture(scope="module")
def made() -> Synthetic:
    """A wide and a flat modality."""
    return make_synthetic(N + 50, (WIDE, FLAT), noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def fitted(made: Synthetic) -> DeepJIVE:
    return fit(made[:N].data)


def fit(data: Any, **settings: Any) -> DeepJIVE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DeepJIVE(**{"joint_rank": 1, "individual_ranks": 1, "random_state": 0, "max_epochs": 30} | settings).fit(
            data
        )


def network_of(data: Modalities, **settings: Any) -> tuple[Any, list[torch.Tensor]]:
    """A network in its random state, with weights in all layers, and scaled samples."""
    model, scaling = DeepJIVE(2, 2, **settings), Scaling.of(data)
    torch.manual_seed(0)
    model._set_up(data.shapes, scaling, 2, dict.fromkeys(data.names, 2))
    return model.network_, [torch.from_numpy(scaling.scaled(name, data.rows(name, slice(None)))) for name in data.names]


def test_coordinates_keep_distances_and_give_samples_back(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    one = Coordinates.of(x)
    c = x @ one.into
    assert c.shape == (len(x), len(x))
    torch.testing.assert_close(c.square().mean(), x.square().mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(c @ one.back, x, rtol=0, atol=1e-3)
    assert one.varying == WIDE


def test_rounding_hardly_changes_coordinates(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    nearly = x * (1 + 1e-6 * torch.randn_like(x))
    torch.testing.assert_close(nearly @ Coordinates.of(nearly).into, x @ Coordinates.of(x).into, rtol=0, atol=1e-3)


@pytest.mark.parametrize("networks", ["dense", "linear"])
def test_widened_networks_do_what_narrow_ones_did(made: Synthetic, networks: str) -> None:
    network, x = network_of(made.data, networks=networks)
    found = coordinates_of(network, dict(enumerate(x)))
    assert list(found) == [0]
    wide = copy.deepcopy(network.state_dict())
    narrow(network, found)
    for module in (*network.joint_decoders, *network.individual_decoders):
        for layer in module.sample_layers:
            torch.nn.init.normal_(layer.weight)
    inside = [x[0] @ found[0].into, x[1]]
    joint = network.joint_scores(inside)
    parts, _ = network.individual_parts(inside, joint)
    widen(network)
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in wide.items()
    }
    torch.testing.assert_close(network.joint_scores(x), joint, rtol=1e-3, atol=1e-3)
    widened, _ = network.individual_parts(x, joint)
    torch.testing.assert_close(widened[0], parts[0] @ found[0].back, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(widened[1], parts[1], rtol=1e-3, atol=1e-3)


def test_a_signal_has_as_many_dimensions_in_coordinates(made: Synthetic) -> None:
    _, (x, _) = network_of(made.data)
    one = Coordinates.of(x)
    assert len(Signal.of(x @ one.into, 1, varying=one.varying).s) == len(Signal.of(x, 1).s) == 2


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
    assert list(coordinates_of(network, dict(enumerate(x)))) == [2]
    assert not coordinates_of(network, {2: x[2].repeat(26, 1)})
    convolved, _ = network_of(others.select(["many samples", "few features"]), networks="conv")
    assert not coordinates_of(convolved, {0: x[2], 1: x[1]})


def test_wide_data_are_decomposed_as_well_as_by_ajive(made: Synthetic, fitted: DeepJIVE) -> None:
    seen, unseen = made[:N], made[N:]
    linear = AJIVE(2, 1, 1, random_state=0).fit(seen.data)
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
    model = fit(data, max_epochs=5, **settings)
    assert {name: part.shape for name, part in model.decompose(data).residual.items()} == {
        name: (N, *shape) for name, shape in data.shapes.items()
    }


def test_samples_that_lack_a_wide_modality_are_no_part_of_its_coordinates(made: Synthetic) -> None:
    present = np.ones((N, 2), dtype=bool)
    present[::5, 0] = False
    data = Modalities(dict(made[:N].data), present=present)
    batches = Batches(data, Scaling.of(data), torch.device("cpu"))
    assert [len(x) for x in batches.measured().values()] == [80, N]
    model = fit(data, identity="explicit")
    assert abs(np.corrcoef(model.transform(made[N:].data)[:, 0], made[N:].joint_scores[:, 0])[0, 1]) > 0.95


def test_going_on_works_on_wide_data(
    made: Synthetic, fitted: DeepJIVE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepjive.deep import checkpoint

    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    offer, seen = checkpoint.Checkpoint.offer, []

    def offer_and_cut(self: checkpoint.Checkpoint, state: Any) -> None:
        offer(self, state)
        seen.append(1)
        if len(seen) == 12:
            raise RuntimeError("cut")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpoint, "offer", offer_and_cut)
        with pytest.raises(RuntimeError, match="cut"):
            DeepJIVE(1, 1, random_state=0, max_epochs=30).fit(made[:N].data, resume=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        resumed = DeepJIVE(1, 1, random_state=0, max_epochs=30).fit(made[:N].data, resume=tmp_path)
    np.testing.assert_array_equal(resumed.transform(made.data), fitted.transform(made.data))
