"""Probes: what scores say of labels and covariates that no model was shown.

A linear probe and a small network learn the label from the scores of some samples and are tested on others. Their
figure means something only above chance, which is that of the same probe for shuffled labels (the control of Hewitt and
Liang 2019, Designing and interpreting probes with control tasks, EMNLP); the permutation p-value says how often
shuffled labels do as well (Ojala and Garriga 2010, Permutation tests for studying classifier performance, JMLR 11).

With samples held out, their labels are shuffled against predictions that stay: the probe was learned from other
samples, so this is exact, costs nothing, and has the mean of probes trained on shuffled labels. Without, labels are
shuffled before cross-validation and the probe is trained again.

Where participants have several samples, whole participants are dealt each other's labels, and no fold tears one apart
(`deepjive.data.groups`): samples of one participant are alike in scores and labels, whether or not the one
tells the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import folds_of, named_groups, orders_of
from deepjive.evaluation.null import p_value_of
from deepjive.evaluation.refit import quietly
from deepjive.evaluation.threads import one_thread

MAX_CLASSES = 20
FOLDS = 5
KINDS: tuple[Literal["linear", "network"], ...] = ("linear", "network")

ONE_CLASS = "Labels must have at least two values among the samples learned from, but have only {given}."
LABEL_EACH = "One label for each sample is expected, but there are {samples} samples and {labels} labels."


@dataclass(frozen=True)
class Probe:
    """What scores say of a label.

    Attributes
    ----------
    task : {"classification", "regression"}
        What was measured: balanced accuracy, or the fraction of variance predicted.
    linear, network : float
        Of the linear probe and of the small network, on samples not learned from.
    chance : float
        Of shuffled labels: for classification the mean over permutations (of the linear probe), for regression 0, that
        of predicting the mean.
    p_linear, p_network : float
        Permutation p-values.
    n_permutations : int
        Shufflings of the labels.
    """

    task: str
    linear: float
    network: float
    chance: float
    p_linear: float
    p_network: float
    n_permutations: int


def task_of(labels: ArrayLike) -> Literal["classification", "regression"]:
    """Regression for numbers that are not whole, or have more than 20 values; else classification.

    Examples
    --------
    >>> task_of(["a", "b"]), task_of([0, 1, 1]), task_of([0.3, 1.0, 2.0]), task_of(range(60))
    ('classification', 'classification', 'regression', 'regression')
    """
    values = np.asarray(labels)
    if values.dtype.kind not in "iuf":
        return "classification"
    known = values[np.isfinite(values)]
    whole = np.all(known == np.round(known)) and len(np.unique(known)) <= MAX_CLASSES
    return "classification" if whole else "regression"


def known(labels: ArrayLike) -> NDArray[np.bool_]:
    """Which samples have a label: text that is not empty, or a number."""
    values = np.asarray(labels)
    if values.dtype.kind == "f":
        return np.isfinite(values)
    return np.array([value is not None and value != "" and value == value for value in values.tolist()], dtype=bool)


def probe(
    scores: NDArray,
    labels: ArrayLike,
    test_scores: NDArray | None = None,
    test_labels: ArrayLike | None = None,
    *,
    n_permutations: int = 999,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
) -> Probe:
    """Predict labels from scores by a linear probe and a small network.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Scores to learn from; with rank 0 the probe knows only how frequent labels are.
    labels : array, shape (n_samples,)
        Text, truth values or numbers: see `task_of`. Samples without a label are left out.
    test_scores, test_labels : array, optional
        Held-out samples. Without these, the probe is cross-validated, and trained again for each of at most 19
        permutations for the network, at most 99 for the linear probe.
    n_permutations : int
        Shufflings of the labels.
    groups : array, shape (n_tested,), optional
        The participant of each of `test_labels`, or without these of each of `labels`, where some have several
        samples: whole participants then change places, among those with equally many labelled samples, and folds hold
        out whole participants. P-values are exact if participants are exchangeable; without it, if samples are.
    random_state : int or None
        Seed.

    Returns
    -------
    Probe

    Raises
    ------
    ValueError
        For labels that are all the same, groups of another length, or participants that can change places in fewer than
        120 orders.
    """
    held_out = None
    if test_scores is not None and test_labels is not None:
        held_out = _labelled(np.asarray(test_scores), test_labels, groups)
    x, y, who = _labelled(scores, labels, groups if held_out is None else None)
    task = task_of(y)
    if len(np.unique(y)) < 2:
        raise ValueError(ONE_CLASS.format(given=np.unique(y).tolist()))
    found = {}
    for kind in KINDS:
        estimator = _estimator(kind, task, random_state)
        with quietly(), one_thread():
            if held_out is None:
                found[kind] = _cross_validated(estimator, kind, x, y, who, task, n_permutations, random_state)
            else:
                found[kind] = _tested(estimator.fit(x, y), *held_out, task, n_permutations, random_state)
    chance = float(np.mean(found["linear"][1])) if task == "classification" else 0.0
    (linear, permuted), network = found["linear"], found["network"]
    return Probe(task, linear, network[0], chance, p_value_of(linear, permuted), p_value_of(*network), len(permuted))


def _labelled(scores: NDArray, labels: ArrayLike, groups: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray | None]:
    """Scores, labels and participants of the samples that have a label; one constant score in the place of none."""
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if len(x) != len(y):
        raise ValueError(LABEL_EACH.format(samples=len(x), labels=len(y)))
    kept = known(y) & np.isfinite(x).all(axis=1)
    who = None if groups is None else named_groups(len(y), groups)[kept]
    return x[kept] if x.shape[1] else np.zeros((int(kept.sum()), 1)), y[kept], who


def _estimator(kind: str, task: str, random_state: int | None) -> Any:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "linear":
        last = LogisticRegression(max_iter=1000) if task == "classification" else RidgeCV(np.logspace(-2, 3, 11))
        return make_pipeline(StandardScaler(), last)
    network = MLPClassifier if task == "classification" else MLPRegressor
    last = network(hidden_layer_sizes=(32,), solver="lbfgs", alpha=1.0, max_iter=100, random_state=random_state)
    if task == "regression":
        from sklearn.compose import TransformedTargetRegressor

        last = TransformedTargetRegressor(last, transformer=StandardScaler())
    return make_pipeline(StandardScaler(), last)


def _tested(
    fitted: Any,
    x: NDArray,
    y: NDArray,
    groups: NDArray | None,
    task: str,
    n_permutations: int,
    random_state: int | None,
) -> tuple[float, NDArray]:
    """The figure on held-out samples, and with their labels permuted."""
    predicted, order = fitted.predict(x), orders_of(len(y), groups, check_random_state(random_state))
    permuted = [_figure(task, y[order()], predicted) for _ in range(n_permutations)]
    return _figure(task, y, predicted), np.array(permuted)


def _figure(task: str, y: NDArray, predicted: NDArray) -> float:
    if task == "regression":
        return float(1.0 - np.square(y - predicted).sum() / np.square(y - y.mean()).sum())
    right = predicted == y
    return float(np.mean([right[y == label].mean() for label in np.unique(y)]))


def _cross_validated(
    estimator: Any,
    kind: str,
    x: NDArray,
    y: NDArray,
    groups: NDArray | None,
    task: str,
    n_permutations: int,
    random_state: int | None,
) -> tuple[float, NDArray]:
    """The figure of cross-validation, and with labels permuted before it."""
    from sklearn.model_selection import cross_val_score

    scoring = "balanced_accuracy" if task == "classification" else "r2"

    def figure(labels: NDArray) -> float:
        folds = _folds(task, labels, groups, random_state)
        return float(np.mean(cross_val_score(estimator, x, labels, scoring=scoring, cv=folds, error_score="raise")))

    order = orders_of(len(y), groups, check_random_state(random_state))
    count = min(n_permutations, 19 if kind == "network" else 99)
    return figure(y), np.array([figure(y[order()]) for _ in range(count)])


def _folds(task: str, labels: NDArray, groups: NDArray | None, random_state: int | None) -> list[Any]:
    """Rows to learn from and to test on: classes in equal parts, and participants on one side."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if task == "regression":
        return folds_of(len(labels), groups, FOLDS, random_state)
    stratified = StratifiedKFold if groups is None else StratifiedGroupKFold
    return list(stratified(FOLDS, shuffle=True, random_state=random_state).split(labels, labels, groups))
