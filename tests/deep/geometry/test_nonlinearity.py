"""Networks are trained only where it can pay, and a model is not behind its linear start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepjive as dj
from deepjive import DeepJIVE, Modalities
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep import estimator
from deepjive.deep.geometry import start
from deepjive.deep.geometry.joint_ridge import cross_validate
from deepjive.deep.geometry.nonlinearity import NonlinearGain, nonlinear_gain

from ..fitting import fitted


@pytest.fixture(scope="module")
def linear() -> Synthetic:
    return make_synthetic(300, (40, 30), random_state=0)


def arrays(made: Synthetic) -> list[np.ndarray]:
    return [np.asarray(made.data[name]) for name in made.data.names]


def test_the_gain_is_clear_on_curved_data_and_not_on_linear_data(linear: Synthetic) -> None:
    curved = make_synthetic(300, (40, 30), nonlinear=True, random_state=0)
    assert nonlinear_gain(arrays(curved), 2, 0).pays
    for seed in range(5):
        assert not nonlinear_gain(arrays(linear), 1, seed).pays


def test_what_only_nonlinear_encoders_find_is_a_gain() -> None:
    """The second modality is linear in the product of two features of the first, which no linear score contains."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(600, 3))
    second = (first[:, :1] * first[:, 1:2] + first[:, 2:]) @ rng.normal(size=(1, 10)) + 0.3 * rng.normal(size=(600, 10))
    gain = nonlinear_gain([first, second], 1, 0)
    assert gain.pays
    assert gain.value > 0.1
    assert not nonlinear_gain([first, second[rng.permutation(600)]], 1, 0).pays


def test_linear_data_are_not_trained_on_and_the_model_says_so(linear: Synthetic, tmp_path: Path) -> None:
    model = DeepJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(linear.data)
    assert set(model.history_["epoch"]) == {0}
    assert model.nonlinear_gain_ is not None
    assert not model.nonlinear_gain_.trained
    model.save(tmp_path / "model")
    assert dj.load(tmp_path / "model").nonlinear_gain_ == model.nonlinear_gain_


def test_networks_chosen_by_name_are_trained_also_on_linear_data(linear: Synthetic) -> None:
    assert max(fitted(linear.data, networks="dense", max_epochs=2).history_["epoch"]) == 2


def test_few_samples_stay_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "nonlinear_gain", lambda *_: NonlinearGain(1.0, 0.0, 0.0))
    made = make_synthetic(60, (40, 30), random_state=0)
    assert set(DeepJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(made.data).history_["epoch"]) == {0}


@pytest.mark.parametrize(("gain", "returns"), [(0.1, False), (0.01, True)])
def test_trained_networks_without_a_clear_gain_give_way_to_their_linear_start(
    gain: float, returns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    curved = make_synthetic(300, (40, 30), nonlinear=True, random_state=0).data
    monkeypatch.setattr(start, "_unrolled_joint", lambda *_: None)
    monkeypatch.setattr(start, "_unrolled", lambda *_: None)
    worth = [0.0, 1.0]  # what a kernel regression is said to gain, for the first and for the second fit
    monkeypatch.setattr(estimator, "gain_of_network", lambda *_: NonlinearGain(gain, 0.01, 0.1, trained=True))
    models = []
    for value in worth:
        monkeypatch.setattr(start, "nonlinear_gain", lambda *_, value=value: NonlinearGain(value, 0.0, 0.0))
        models.append(fitted(curved, 1, 1, networks="auto", max_epochs=5))
    plain, trained = ([encoder.correction for encoder in model.network_.joint_encoders] for model in models)
    assert max(models[1].history_["epoch"]) == 5
    changed = any(bool(correction[-1].layers[-1].weight.any()) for correction in trained)
    assert not any(bool(correction[-1].layers[-1].weight.any()) for correction in plain)
    assert changed is not returns


def test_participants_reach_the_choice_of_the_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_synthetic(200, (40, 30), random_state=0).data
    received, fit_joint_ridge = [], start.fit_joint_ridge

    def watched(xs: Any, rank: int, seed: int, groups: Any) -> Any:
        received.append(groups)
        return fit_joint_ridge(xs, rank, seed, groups)

    monkeypatch.setattr(start, "fit_joint_ridge", watched)
    DeepJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(Modalities(made, groups=np.arange(200) // 2))
    assert len(received[0]) == 180
    assert len(np.unique(received[0])) == 90  # whole participants, validation left out


def test_visits_of_a_participant_predict_each_other_only_where_participants_are_split() -> None:
    rng = np.random.default_rng(0)
    first = [rng.normal(size=(60, 80)) for _ in range(2)]
    visits = [np.concatenate([x, x + 0.1 * rng.normal(size=x.shape)]) for x in first]
    participants = np.tile(np.arange(60), 2)
    split, whole = (cross_validate(visits, 10, 0, groups) for groups in (None, participants))
    best = [1 - run.mean_errors.min() for run in (split, whole)]
    assert best[0] > 0.05
    assert best[1] < 0.01
