"""Probes of labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepjive.evaluation import probe, task_of
from deepjive.evaluation.evidence_steps import untestable
from deepjive.evaluation.probes import known

RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(160, 2)), RNG.normal(size=(100, 2))


def inside(x: np.ndarray) -> np.ndarray:
    return np.where((x**2).sum(axis=1) < 1.4, "inside", "outside")


def test_only_the_network_learns_a_curved_class_border() -> None:
    found = probe(X, inside(X), NEW, inside(NEW), n_permutations=199)
    assert found.task == "classification"
    assert found.network > 0.9 > 0.65 > found.linear
    assert found.p_network == pytest.approx(1 / 200)


def test_a_covariate_is_predicted_in_fractions_of_variance() -> None:
    found = probe(X, 70 + 5 * X[:, 0], NEW, 70 + 5 * NEW[:, 0], n_permutations=99)
    assert (found.task, found.chance) == ("regression", 0.0)
    assert min(found.linear, found.network) > 0.9
    assert found.p_linear == pytest.approx(0.01)


def test_p_values_of_labels_without_relation_are_uniform() -> None:
    p = []
    for seed in range(60):
        ages = np.random.default_rng(seed).normal(size=90)
        p.append(probe(X[:40], ages[:40], NEW[:50], ages[40:], n_permutations=39, random_state=seed).p_linear)
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 60)
    assert abs(np.mean(np.array(p) <= 0.5) - 0.5) < 4 * 0.5 / np.sqrt(60)


def test_chance_is_that_of_balanced_classes_even_with_a_rare_class() -> None:
    labels = RNG.random(260) < 0.1
    found = probe(X, labels[:160], NEW, labels[160:], n_permutations=99)
    assert found.chance == pytest.approx(0.5, abs=0.03)
    assert found.linear == pytest.approx(0.5, abs=0.1)


def test_without_held_out_samples_it_is_cross_validated() -> None:
    found = probe(X[:60], np.where(X[:60, 0] > 0, "a", "b"), n_permutations=4)
    assert found.linear > 0.85
    assert found.p_linear == found.p_network == pytest.approx(0.2)


def test_samples_without_a_label_are_left_out() -> None:
    labels = inside(X).astype(object)
    labels[::3] = ""
    np.testing.assert_array_equal(known(labels), np.arange(160) % 3 > 0)
    assert known([1.0, np.nan]).tolist() == [True, False]
    assert probe(X, labels, NEW, inside(NEW), n_permutations=9).network > 0.8


def test_scores_of_rank_0_are_at_chance() -> None:
    found = probe(X[:, :0], inside(X), NEW[:, :0], inside(NEW), n_permutations=9)
    assert found.linear == found.network == found.chance == 0.5


def test_whole_numbers_are_classes_only_where_they_are_few() -> None:
    assert task_of([1, 2, 2]) == task_of([1.0, 2.0, np.nan]) == "classification"
    assert task_of(range(21)) == task_of([0.5, 1.0]) == "regression"


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two values"):
        probe(X, np.zeros(160), NEW, np.zeros(100))


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(["a", "b", None, "a"] * 15, dtype="string"),
        pd.Series([True, False, None, True] * 15, dtype="boolean"),
        pd.Series(["a", "b", np.nan, "a"] * 15, dtype="category"),
        np.array([1, "b", None, 1] * 15, dtype=object),
        [0.0, 1.0, np.inf, 0.0] * 15,
    ],
    ids=["string", "boolean", "category", "mixed", "infinite"],
)
def test_labels_of_any_type_are_probed_without_those_that_are_missing(labels):
    scores = np.random.default_rng(0).normal(size=(60, 1))
    assert probe(scores, labels, scores, labels, n_permutations=9).n_samples == 45


def test_a_label_of_too_few_samples_is_named():
    scores, labels = np.random.default_rng(0).normal(size=(40, 1)), ["a"] * 20 + ["b"] * 17 + ["c"] * 3
    with pytest.raises(ValueError, match=r"Label 'c' has 3 samples, but cross-validation in 5 folds needs at least 5"):
        probe(scores, labels, n_permutations=9)


def test_labels_that_cannot_be_tested_are_named_with_the_reason():
    rows = np.arange(6), np.arange(6, 10)
    labels = {"constant": np.array(["a"] * 10), "once": np.array([1] + [0] * 9), "fine": np.array([0, 1] * 5)}
    assert untestable(labels, rows) == {
        "constant": "all fitted samples are 'a', but at least two values are needed",
        "once": "all held-out samples are 0, but at least two values are needed",
    }
