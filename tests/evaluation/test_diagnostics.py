"""Diagnostics: each failure is provoked and named, healthy runs are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from deepjive import AJIVE, Modalities
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep.diagnostics import DIVERGENCE, GAP
from deepjive.evaluation import Finding, baselines, diagnose, diagnostics, joint_structure_test
from deepjive.evaluation.diagnostics import BLURRY, DEAD, LEAK, MEANINGLESS, WRONG_RANKS

from .conftest import N_FITTED
from .fitting import fitted

IDENTITIES = ("exchange", "explicit", "merged")


def drawn(**settings: Any) -> Synthetic:
    return make_synthetic(**{"n_samples": 240, "n_features": (20, 16), "noise": 0.4, "random_state": 0, **settings})


def found(made: Synthetic, *ranks: Any, **settings: Any) -> dict[str, Finding]:
    """Findings by name, of a quick fit to the first samples, on the others."""
    model = fitted(made.data[:N_FITTED], *ranks, **settings)
    return {finding.name: finding for finding in diagnose(model, made.data[N_FITTED:])}


@pytest.mark.parametrize("seed", range(4))
def test_healthy_runs_have_no_findings(seed: int) -> None:
    settings = {"identity": IDENTITIES[seed % 3], "random_state": seed, "max_epochs": 15}
    assert found(drawn(random_state=seed), **settings) == {}


def test_a_healthy_linear_model_has_no_findings(ajive: AJIVE, test: Any) -> None:
    assert diagnose(ajive, test) == []


def test_too_strong_a_penalty_blurs_both_parts() -> None:
    findings = found(drawn(), objective="published", orthogonality="regression", orthogonality_weight=300.0)
    assert "modality_" in findings[BLURRY].seen
    assert "Give fewer joint scores" in findings[BLURRY].change


@pytest.mark.parametrize("identity", ["exchange", "merged"])
def test_joint_scores_of_data_without_joint_signal_have_no_meaning(identity: str) -> None:
    # A test at .05 calls one data set in twenty joint by chance; this one is far from it (p > .9 for both identities).
    findings = found(drawn(joint_rank=0, random_state=2), identity=identity)
    assert "joint_rank=0 is the answer" in findings[MEANINGLESS].change


def test_agreement_without_prediction_has_no_meaning(ajive: AJIVE, test: Any) -> None:
    nothing = replace(joint_structure_test(ajive, test, 99), explained=dict.fromkeys(test.names, 0.0))
    (finding,) = diagnose(ajive, test, test=nothing)
    assert finding.name == MEANINGLESS
    assert "correlate 0.9" in finding.seen


def test_ranks_that_are_too_small_are_worse_than_separate_autoencoders() -> None:
    findings = found(drawn(individual_rank=3), 3, 1)
    assert "principal components of the same size" in findings[WRONG_RANKS].seen
    assert findings[WRONG_RANKS].settings == {"joint_rank": "auto", "individual_ranks": "auto"}  # ranks were given


def test_separate_autoencoders_are_the_baseline_where_they_are_given() -> None:
    made = drawn(individual_rank=3)
    model = fitted(made.data[:N_FITTED], 3, 1)
    separate = baselines(model, made.data[:N_FITTED])["SeparateAutoencoders"]
    findings = [one for one in diagnose(model, made.data[N_FITTED:], separate=separate) if one.name == WRONG_RANKS]
    assert findings
    assert all("separate autoencoders of the same size" in one.seen for one in findings)


def test_steps_too_large_for_the_penalty_diverge() -> None:
    findings = found(drawn(), orthogonality="regression", orthogonality_weight=10.0, learning_rate=0.3)
    assert "on the training samples" in findings[DIVERGENCE].seen


def test_individual_scores_that_predict_joint_scores_are_a_leak() -> None:
    made = drawn()
    model = fitted(made.data[:N_FITTED], 1, 2, orthogonality=None, objective="published")
    leaks = [finding.seen for finding in diagnose(model, made.data[N_FITTED:]) if finding.name == LEAK]
    assert any(seen.endswith("individual modality_1 scores (p = 0.005).") for seen in leaks)
    assert any("of the variance of the joint scores" in seen for seen in leaks)


@pytest.mark.parametrize(("seed", "learning_rate"), [(0, 0.05), (3, 0.15)])
def test_a_score_with_nothing_left_to_explain_is_dead(seed: int, learning_rate: float) -> None:
    # Such a score is rounding where training ends at its linear start, and a chance correlation where it does not.
    findings = found(drawn(noise=0.0, random_state=seed), 2, 1, learning_rate=learning_rate)
    assert "Fit again with joint_rank=1" in findings[DEAD].change
    assert findings[DEAD].settings["joint_rank"] == 1


@pytest.mark.parametrize("size", [0.0, 1e-16, 1e-8])
def test_a_score_of_rounding_is_dead(ajive: AJIVE, test: Any, size: float) -> None:
    parts, noise = ajive.decompose(test), np.random.default_rng(0).normal(size=(len(test), 1))
    parts = replace(
        parts,
        joint_scores=np.hstack([parts.joint_scores, noise]),
        render=lambda part, name, j, s: ajive._render(part, name, j[:, :1] + size * j[:, 1:], s),
    )
    (finding,) = diagnostics._dead(parts, ajive)
    assert finding.seen.startswith("Score 2 of the joint part accounts for at most 0.00%")


def test_a_small_joint_score_is_dead_only_if_the_modalities_do_not_agree_on_it(ajive: AJIVE, test: Any) -> None:
    parts = ajive.decompose(test)
    small = replace(parts, render=lambda part, name, j, s: ajive._render(part, name, 0.15 * j, s))
    assert list(diagnostics._dead(small, ajive)) == []
    mismatched = test["modality_1"][np.random.default_rng(0).permutation(len(test))]
    shuffled = Modalities({"modality_1": mismatched, "modality_2": test["modality_2"][:]})
    (finding,) = diagnostics._dead(replace(small, data=shuffled), ajive)
    assert "of 80 samples by chance (1.25%), and the modalities do not agree" in finding.seen


def test_all_dead_scores_of_a_part_are_one_finding_and_small_scores_of_many_are_not_dead(
    ajive: AJIVE, test: Any
) -> None:
    parts = ajive.decompose(test)
    noise = np.random.default_rng(0).normal(size=(len(test), 4))

    def render(part: str, name: str, joint: Any, scores: Any) -> Any:
        small = 0.03 * joint[:, 1:2] + 0.03 * joint[:, 2:3]  # of each about a thousandth of the variance
        return ajive._render(part, name, 0.12 * joint[:, :1] + small, scores)

    parts = replace(parts, joint_scores=np.hstack([parts.joint_scores, noise]), render=render)
    (finding, *others) = diagnostics._dead(parts, ajive)
    assert finding.seen.startswith("Scores 4, 5 of the joint part each account for at most 0.00%")
    assert finding.settings["joint"] == -2
    assert all("Scores 4" not in other.seen for other in others)


def test_a_dead_individual_score_names_its_modality(made: Synthetic, ajive: AJIVE, test: Any) -> None:
    parts = ajive.decompose(test)
    parts = replace(
        parts, render=lambda part, name, j, s: ajive._render(part, name, j, s if name == "modality_1" else 0 * s)
    )
    (finding,) = diagnostics._dead(parts, ajive)
    assert finding.settings == {"individual modality_2": -1}
    (advised,) = diagnostics._advised([finding], ajive)
    assert advised.settings == {"individual_ranks": {"modality_1": 1, "modality_2": 0}}
    assert advised.change.endswith("Fit again with individual_ranks={'modality_1': 1, 'modality_2': 0}.")


def test_all_findings_on_ranks_recommend_the_same_ranks(ajive: AJIVE) -> None:
    model = clone(ajive).set_params(joint_rank="auto", individual_ranks="auto")
    model.__dict__ |= {"joint_rank_": 5, "individual_ranks_": {"a": 4, "b": 3}, "shapes_": {"a": (9,), "b": (9,)}}
    dead = diagnostics.Finding(DEAD, "seen", diagnostics.CHANGE[DEAD], {"joint": -2, "individual a": -1})
    worse = diagnostics.Finding(WRONG_RANKS, "seen", diagnostics.CHANGE[WRONG_RANKS], {"individual b": 5})
    other = diagnostics.Finding(GAP, "seen", "Use dropout.")
    advised = diagnostics._advised([dead, worse, other], model)
    ranks = {"joint_rank": 3, "individual_ranks": {"a": 3, "b": 8}}
    assert [one.settings for one in advised] == [ranks, ranks, {}]
    assert all("joint_rank=3, individual_ranks={'a': 3, 'b': 8}" in one.change for one in advised[:2])
    assert advised[2] == other
    nothing = diagnostics.Finding(MEANINGLESS, "seen", "", {})
    assert diagnostics._advised([nothing, dead], model)[1].settings["joint_rank"] == 0


def test_overfitting_is_a_gap_between_training_and_validation() -> None:
    made = drawn(n_samples=100, n_features=(60, 60), noise=3.0)
    model = fitted(made.data[:60], 1, 6, networks="dense", learning_rate=0.01, batch_size=27, max_epochs=20)
    assert GAP in {finding.name for finding in diagnose(model, made.data[60:])}


def test_few_samples_have_findings_of_training_only(ajive: AJIVE, test: Any) -> None:
    shuffled = np.random.default_rng(0).permutation(19)
    assert diagnose(ajive, test[shuffled]) == []


def test_every_kind_of_finding_has_a_text() -> None:
    kinds = {BLURRY, MEANINGLESS, WRONG_RANKS, LEAK, DEAD}
    assert set(diagnostics.SEEN) == set(diagnostics.CHANGE) == kinds
