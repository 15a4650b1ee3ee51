"""Ranks chosen from the data, by prediction of held-out samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import deepjive
from deepjive import DeepJIVE, Modalities
from deepjive.datasets import make_synthetic
from deepjive.deep.geometry.manifold_prediction import without_unrolled
from deepjive.deep.geometry.rank_selection import MOST_FEATURES, halved, select_ranks
from deepjive.evaluation import r2

from ..fitting import fitted

AUTO = {"joint_rank": "auto", "individual_ranks": "auto", "networks": "linear", "max_epochs": 2}


@pytest.mark.parametrize(("joint", "individual"), [(1, 1), (2, 1), (0, 1)])
def test_linear_ranks_are_found(joint: int, individual: int) -> None:
    made = make_synthetic(250, (30, 40), joint_rank=joint, individual_rank=individual, random_state=1)
    chosen = DeepJIVE(random_state=0).select_ranks(made.data)
    assert chosen.joint_rank == joint
    assert chosen.individual_ranks == {"modality_1": individual, "modality_2": individual}


def test_a_curve_through_many_dimensions_counts_as_one() -> None:
    made = make_synthetic(300, (40, 40), noise=0.3, nonlinear=True, random_state=0)
    chosen = DeepJIVE(random_state=0).select_ranks(made.data)
    assert (chosen.joint_rank, *chosen.individual_ranks.values()) == (1, 1, 1)
    assert all(curve.linear_rank > 2 and curve.coordinates == "unrolled" for curve in chosen.curves.values())


@pytest.mark.parametrize(("joint", "noise", "n"), [(2, 0.5, 1000), (1, 1.0, 500)])
def test_scores_on_a_manifold_that_closes_on_itself_are_counted(joint: int, noise: float, n: int) -> None:
    """No two coordinates describe the first of them, no single one the second: prediction alone counts one more."""
    made = make_synthetic(n, joint_rank=joint, noise=noise, nonlinear=True, random_state=101)
    chosen = select_ranks(made.data, individual_ranks={})
    assert chosen.joint_rank == chosen.curves["joint"].dimension == joint
    assert f"The samples lie on a manifold of dimension {joint}" in chosen.reason()


def test_a_joint_manifold_is_removed_as_a_whole() -> None:
    made = make_synthetic(600, joint_rank=2, nonlinear=True, random_state=100)
    rest, name = without_unrolled(made.data, 2, seed=0), "modality_1"
    assert r2(made.individual[name], rest[name]) > 0.12  # two unrolled coordinates leave so much that it is .03


def test_a_relation_without_correlation_is_found_and_is_gone_when_samples_are_shuffled() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 1))
    parts = {"line": z, "parabola": (z**2 - 1) / np.sqrt(2)}
    arrays = {name: part @ rng.normal(size=(1, 20)) + 0.5 * rng.normal(size=(300, 20)) for name, part in parts.items()}
    chosen = select_ranks(Modalities(arrays))
    assert chosen.curves["joint"].linear_rank == 0
    assert chosen.joint_rank == 1
    arrays["parabola"] = arrays["parabola"][rng.permutation(300)]
    assert select_ranks(Modalities(arrays), individual_ranks={}).joint_rank == 0


def test_ranks_that_are_given_are_kept_and_the_others_follow_from_them() -> None:
    made = make_synthetic(200, (20, 30), joint_rank=2, random_state=0)
    model = fitted(made.data, **{**AUTO, "joint_rank": 1})
    assert model.joint_rank_ == 1
    assert model.individual_ranks_ == {"modality_1": 2, "modality_2": 2}
    assert set(model.rank_table_["part"]) == {"modality_1", "modality_2"}


def test_the_table_says_what_every_number_of_scores_predicts_and_is_saved(tmp_path: Path) -> None:
    made = make_synthetic(200, (20, 30), random_state=1)
    model = fitted(made.data, **AUTO)
    table = model.rank_table_
    chosen = [
        (name, rank) for name, rank, yes in zip(table["part"], table["rank"], table["chosen"], strict=True) if yes
    ]
    assert chosen == [("joint", 1), ("modality_1", 1), ("modality_2", 1)]
    assert table["r2"][table["rank"].index(1)] > 0.2
    assert "Joint rank: 1. 1 linear score predicts" in model.rank_reason_
    model.save(tmp_path / "model")
    assert deepjive.load(tmp_path / "model").rank_table_ == table


def test_noise_alone_has_nothing_to_fit_and_the_error_says_what_was_tried() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"nothing to fit.*Joint rank: 0\. No number of linear scores"):
        fitted(Modalities({"a": rng.normal(size=(200, 20)), "b": rng.normal(size=(200, 20))}), **AUTO)


def test_a_modality_of_one_feature_has_one_score() -> None:
    made = make_synthetic(200, (20, 30), random_state=0)
    data = Modalities({"a": made.data["modality_1"], "b": made.joint_scores})
    assert fitted(data, **AUTO).individual_ranks_ == {"a": 1, "b": 0}


def test_modalities_of_one_and_of_more_dimensions_without_linear_relation() -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(60, k)) @ rng.normal(size=(k, 9)) for name, k in (("line", 1), ("solid", 3))}
    found = DeepJIVE(random_state=0).select_ranks(
        {name: x + 0.05 * rng.normal(size=x.shape) for name, x in arrays.items()}
    )
    assert (found.joint_rank, found.individual_ranks["line"]) == (0, 1)


@pytest.mark.filterwarnings("ignore:.* are constant:deepjive.adjust.inspection.UnitsWarning")
def test_features_that_do_not_vary_do_not_count() -> None:
    data = make_synthetic(200, (20, 30), random_state=0).data
    padded = {name: np.concatenate([np.zeros((200, 200)), data[name]], axis=1) for name in data.names}
    padded["modality_1"][:, 201:] = 1.0
    found = DeepJIVE(random_state=0).select_ranks(padded)
    assert (found.joint_rank, found.individual_ranks["modality_1"]) == (1, 0)
    assert found.individual_ranks["modality_2"] in (
        1,
        2,
    )  # one noisy feature leaves joint variation in the other modality


def test_wide_modalities_are_read_in_part_and_incomplete_samples_left_out() -> None:
    made = make_synthetic(120, (MOST_FEATURES + 500, 40), random_state=0)
    chosen = select_ranks(made.data)
    assert (chosen.joint_rank, *chosen.individual_ranks.values()) == (1, 1, 1)


def test_what_the_joint_part_leaves_is_individual() -> None:
    made = make_synthetic(400, (60, 60), noise=0.3, nonlinear=True, random_state=0)
    rest = without_unrolled(made.data, 1, seed=0)
    name = "modality_1"
    assert r2(made.individual[name], rest[name]) > r2(made.individual[name], made.data[name]) + 0.8


def test_halves_share_no_feature_and_lose_none() -> None:
    x = np.tile(np.arange(12.0).reshape(3, 4), (5, 1, 1))
    halves = halved(Modalities({"a": x, "b": x}), "a", seed=0)
    both = np.concatenate([halves["first"], halves["second"]], axis=1)
    assert sorted(both[0]) == list(range(12))


def test_clusters_are_not_taken_for_a_curve() -> None:
    """Six groups of samples span five dimensions, although each sample is near one of six points."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 5))[rng.integers(6, size=400)]
    data = {name: centres @ rng.normal(size=(5, 40)) + 0.7 * rng.normal(size=(400, 40)) for name in ("a", "b")}
    curve = select_ranks(Modalities(data), individual_ranks={}).curves["joint"]
    assert curve.coordinates == "linear"
    assert curve.rank in (4, 5)  # the fifth direction predicts about a percent


def test_slowly_falling_spectra_have_as_many_scores_as_predict() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 30)) / np.sqrt(np.arange(1, 31))
    data = {name: z @ rng.normal(size=(30, 80)) + rng.normal(size=(500, 80)) for name in ("a", "b", "c")}
    curve = select_ranks(Modalities(data), individual_ranks={}).curves["joint"]
    assert curve.rank >= 8
    assert curve.r2["linear"][curve.rank] >= 0.98 * max(curve.r2["linear"])


def test_shuffled_modalities_have_joint_rank_zero() -> None:
    rng = np.random.default_rng(0)
    made = make_synthetic(200, (60, 50), joint_rank=3, random_state=0).data
    for seed in range(5):
        apart = Modalities({name: made[name][rng.permutation(200)] for name in made.names})
        assert select_ranks(apart, individual_ranks={}, seed=seed).joint_rank == 0
