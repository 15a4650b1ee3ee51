"""Probes of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from deepjive.evaluation import probe, task_of
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


@pytest.mark.parametrize("count", [30, pytest.param(120, marks=pytest.mark.slow)])
def test_p_values_of_labels_without_relation_are_uniform(count: int) -> None:
    p = []
    for seed in range(count):
        ages = np.random.default_rng(seed).normal(size=90)
        p.append(probe(X[:40], ages[:40], NEW[:50], ages[40:], n_permutations=19, random_state=seed).p_linear)
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / count)
    assert abs(np.mean(np.array(p) <= 0.5) - 0.5) < 4 * 0.5 / np.sqrt(count)


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


TEXT = ["a", "b", None, "b"]


@pytest.mark.parametrize(
    ("labels", "task", "expected"),
    [
        (pd.array(TEXT, "string"), "classification", [True, True, False, True]),
        (pd.Series(TEXT, dtype="category"), "classification", [True, True, False, True]),
        (np.array([*TEXT[:2], np.nan, ""], object), "classification", [True, True, False, False]),
        (pd.array([True, False, None, True], "boolean"), "classification", [True, True, False, True]),
        ([True, False, None, True], "classification", [True, True, False, True]),
        (pd.array([1, 2, None, 2], "Int64"), "classification", [True, True, False, True]),
        (pd.array([0.5, 2, None, 2], "Float32"), "regression", [True, True, False, True]),
        (np.array([0.5, np.inf, -np.inf, np.nan]), "regression", [True, False, False, False]),
        (np.array([0.5, np.inf, None, 1], object), "regression", [True, False, False, True]),
        ([1, 2.5, None, np.float32(3)], "regression", [True, True, False, True]),
        ([None, np.nan, pd.NA, ""], "classification", [False] * 4),
    ],
)
@pytest.mark.filterwarnings("ignore:labels hold inf")
def test_labels_of_every_type_are_known_where_they_are_not_missing(
    labels: Any, task: str, expected: list[bool]
) -> None:
    assert known(labels).tolist() == expected
    assert task_of(labels) == task
    repeated = pd.concat([pd.Series(labels)] * 10) if sum(expected) > 1 else None
    if repeated is not None:
        assert probe(X[:40], repeated, n_permutations=1).n_samples == 10 * sum(expected)


def test_infinite_labels_of_a_probe_are_warned_of() -> None:
    labels = np.where(np.arange(40) % 4 == 1, np.inf, np.arange(40.0))
    with pytest.warns(UserWarning, match=r"labels hold inf \(sample 1; 10 samples in all\)") as caught:
        assert probe(X[:40], labels, n_permutations=1).n_samples == 30
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ([1.0, "a", None, "b"], r"1\.0 \(sample 0\) and 'a' \(sample 1\)"),
        ([None, True, 2, 3], r"True \(sample 1\) and 2 \(sample 2\)"),
        (np.array(["2020-01-01"] * 4, "datetime64[D]"), r"\(sample 0\), but text, truth values or numbers of one kind"),
        ([(1, 2), None, None, None], r"\(1, 2\) \(sample 0\)"),
    ],
)
def test_labels_of_several_kinds_are_refused_by_sample(labels: Any, shown: str) -> None:
    labels = labels if isinstance(labels, np.ndarray) else pd.Series(labels, dtype=object)
    with pytest.raises(TypeError, match=shown):
        probe(X[:4], labels)


def test_a_class_with_few_members_has_fewer_folds_and_with_one_member_is_refused() -> None:
    labels = np.array(["a"] * 20 + ["b"] * 20 + ["c"] * 2)
    assert probe(X[:42], labels, n_permutations=1).n_samples == 42
    with pytest.raises(ValueError, match=r"The label 'c' has one sample only, but each class needs one to train on"):
        probe(X[:41], labels[:41], n_permutations=1)
    with pytest.raises(ValueError, match=r"The label 'c' has one participant only"):
        probe(X[:42], labels, n_permutations=1, groups=[*range(40), 40, 40])


def test_held_out_labels_that_do_not_vary_are_refused() -> None:
    for labels in (np.zeros(100), np.where(np.arange(100) < 3, "", "b")):
        with pytest.raises(
            ValueError, match=r"labelled samples to test on all have the label .*; the other labels are"
        ):
            probe(X, inside(X) if labels.dtype.kind == "U" else X[:, 0], NEW, labels)
    with pytest.raises(ValueError, match=r"no sample to test on has a label"):
        probe(X, X[:, 0], NEW, np.full(100, np.nan))


@pytest.mark.parametrize("unit", [1e-290, 1e-12, 1e290])
@pytest.mark.parametrize("is_held_out", [False, True])
def test_the_unit_of_a_number_does_not_matter(unit: float, is_held_out: bool) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80, 1))
    label = 5.0 + z[:, 0] + rng.normal(size=80)
    rows = slice(0, 50) if is_held_out else slice(None)
    found = []
    for values in (label, label * unit):
        held_out = (z[50:], values[50:]) if is_held_out else (None, None)
        found.append(probe(z[rows], values[rows], *held_out, n_permutations=1).linear)
    assert found[0] > 0.2
    assert found[1] == pytest.approx(found[0])


def test_numbers_that_differ_by_rounding_alone_are_one_label() -> None:
    label = np.where(np.arange(60) % 2 == 0, 0.3, 0.1 + 0.2)
    with pytest.raises(ValueError, match=r"60 labelled samples to train on all have the label 0\.3"):
        probe(np.random.default_rng(0).normal(size=(60, 2)), label)


def test_labels_of_two_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"The labels have shape \(60, 2\), but shape \(60,\) is expected"):
        probe(np.zeros((60, 2)), np.zeros((60, 2)))
