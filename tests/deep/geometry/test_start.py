"""Where training starts: the linear solution, before anything is learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from deepjive import AJIVE, DeepJIVE
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep.geometry import unrolling
from deepjive.deep.geometry.start import ScaledSignal
from deepjive.deep.geometry.unrolling import unrolled_scores
from deepjive.evaluation import r2

from ..fitting import fitted

UNTRAINED = {"max_epochs": 1, "learning_rate": 1e-9}


def worst_r2(made: Synthetic, model: DeepJIVE | AJIVE) -> float:
    parts = model.decompose(made.data)
    joint = [r2(made.joint[name], parts.joint[name]) for name in made.joint]
    return min(joint + [r2(made.individual[name], parts.individual[name]) for name in made.joint])


@pytest.mark.parametrize("identity", ["explicit", "exchange", "merged"])
def test_untrained_networks_recover_linear_parts_as_ajive_does(identity: str) -> None:
    made = make_synthetic(400, (40, 30), random_state=0)
    ajive = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=1, n_random=1).fit(made.data)
    start = fitted(made.data, identity=identity, networks="linear", **UNTRAINED)
    assert worst_r2(made, start) > worst_r2(made, ajive) - 0.01 > 0.97


@pytest.mark.parametrize("identity", ["explicit", "exchange", "merged"])
def test_untrained_networks_recover_joint_parts_of_noisy_samples_as_ajive_does(identity: str) -> None:
    made = make_synthetic(500, (100, 100), noise=2.0, random_state=0)
    ajive = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=1, n_random=1).fit(made.data)
    start = fitted(made.data, identity=identity, networks="linear", **UNTRAINED)
    expected, found = (model.decompose(made.data).joint for model in (ajive, start))
    for name, true in made.joint.items():
        assert r2(true, found[name]) > r2(true, expected[name]) - 0.005 > 0.9


@pytest.mark.parametrize("identity", ["explicit", "exchange", "merged"])
def test_joint_scores_too_many_are_not_decoded_before_training(identity: str) -> None:
    made = make_synthetic(900, (40, 30), random_state=0)
    seen, unseen = made[:600], made[600:]

    def recovered(joint_rank: int) -> float:
        model = fitted(seen.data, joint_rank=joint_rank, identity=identity, networks="linear", **UNTRAINED)
        joint = model.decompose(unseen.data).joint
        return min(r2(unseen.joint[name], joint[name]) for name in joint)

    assert recovered(3) > recovered(1) - 0.002 > 0.97


def test_three_modalities_of_unequal_width_and_more_features_than_samples() -> None:
    made = make_synthetic(60, (200, 30, 12), random_state=0)
    assert worst_r2(made, fitted(made.data, networks="linear", **UNTRAINED)) > 0.88


def test_a_start_for_more_scores_than_there_are_singular_values() -> None:
    made = make_synthetic(60, (3, 2), random_state=0)
    model = fitted(made.data, joint_rank=2, individual_ranks=2, **UNTRAINED)
    assert model.decompose(made.data).joint["modality_2"].shape == (60, 2)


def test_the_signal_of_noise_free_data_is_all_of_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 3, generator=generator) @ torch.randn(3, 20, generator=generator)
    signal = ScaledSignal.of(x + 5.0, least=1)
    assert signal.u.shape == (50, 3)
    scores = torch.randn(50, 2, generator=generator).double()
    within = signal.u @ (signal.u.T @ scores)
    encoded = signal.x @ signal.regression_of(scores).T
    torch.testing.assert_close(encoded.double(), within, atol=1e-3, rtol=1e-3)


def test_features_that_do_not_vary_do_not_change_the_signal() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 1, generator=generator) @ torch.randn(1, 40, generator=generator)
    x = x + torch.randn(200, 40, generator=generator)
    padded = torch.cat([x, torch.full((200, 60), 0.3)], dim=1)
    assert ScaledSignal.of(padded, least=1).s.shape == ScaledSignal.of(x, least=1).s.shape == (1,)


def test_networks_of_the_users_own_start_as_they_were_made() -> None:
    made = make_synthetic(60, (10, 8), random_state=0)
    weights = []

    def factory(sizes: tuple[int, int]) -> nn.Module:
        layer = nn.Linear(*sizes)
        weights.append((layer, layer.weight.detach().clone()))
        return layer

    networks = (lambda shape, rank: factory((shape[0], rank)), lambda shape, rank: factory((rank, shape[0])))
    fitted(made.data, networks=networks, **UNTRAINED)
    assert all(torch.allclose(layer.weight, before, atol=1e-6) for layer, before in weights)


@pytest.mark.parametrize("identity", ["exchange", "merged"])
def test_curved_data_are_unrolled_before_training(identity: str) -> None:
    """One joint score through many linear dimensions is found by the start itself: straight scores explain .4 of it."""
    made = make_synthetic(200, (30, 30), noise=0.2, nonlinear=True, random_state=0)
    assert worst_r2(made, fitted(made.data, identity=identity, networks="dense", max_epochs=1)) > 0.8


def test_sheets_of_too_many_dimensions_are_left_rolled(monkeypatch: pytest.MonkeyPatch) -> None:
    along = np.random.default_rng(0).uniform(0.0, 6.0, size=200)
    spiral = np.column_stack([(1 + along) * np.cos(along), (1 + along) * np.sin(along)])
    assert unrolled_scores(spiral, [spiral], 1) is not None
    monkeypatch.setattr(unrolling, "MOST_DIMENSIONS", 0)
    assert unrolled_scores(spiral, [spiral], 1) is None


def test_samples_in_one_place_are_unrolled_to_one_place() -> None:
    assert np.ptp(unrolling.Unrolled.of(np.ones((20, 2)), 1, limit=0.3)(np.ones((20, 2)))) == pytest.approx(0.0)
