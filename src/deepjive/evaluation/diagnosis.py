"""How well a diagnosis is told from scores: a support vector machine in nested cross-validation by participant."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.utils import check_random_state

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 5
N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class Figure:
    """A figure with its 95% interval, by bootstrap over participants."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}-{self.high:.2f})"


def nested_classification(
    scores: NDArray,
    labels: ArrayLike,
    groups: ArrayLike,
    positive: str,
    *,
    random_state: int = 0,
) -> dict[str, Figure]:
    """Tell two labels apart from scores, each participant by a machine that has not seen it.

    Outer folds by participant give the decision for every sample; within each, folds by participant choose the
    machine's C. The scores must come from a model fitted to other participants, or that fit is in the figures.

    Parameters
    ----------
    scores : array, shape (n_samples, n_scores)
        Scores.
    labels : array, shape (n_samples,)
        Two labels.
    groups : array, shape (n_samples,)
        The participant of each sample.
    positive : str
        The label that precision, recall and F1 are of.
    random_state : int
        Seed of folds and bootstrap.

    Returns
    -------
    dict of str to Figure
        ``accuracy``, ``precision``, ``recall``, ``F1``, ``AUC``.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    truth, groups = np.asarray(labels) == positive, np.asarray(groups)
    decision = np.zeros(len(truth))
    outer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=random_state)
    for train, test in outer.split(scores, truth, groups):
        inner = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=random_state)
        machine = make_pipeline(StandardScaler(), SVC(kernel="linear"))
        search = GridSearchCV(machine, {"svc__C": GRID}, cv=inner)
        search.fit(scores[train], truth[train], groups=groups[train])
        decision[test] = search.decision_function(scores[test])
    measures: dict[str, Callable[[Any, Any], float]] = {
        "accuracy": lambda y, d: float(np.mean((d > 0) == y)),
        "precision": lambda y, d: float(np.mean(y[d > 0])) if (d > 0).any() else 0.0,
        "recall": lambda y, d: float(np.mean(d[y] > 0)),
        "F1": lambda y, d: 2.0 * float(np.sum(y & (d > 0))) / float(np.sum(y) + np.sum(d > 0)),
        "AUC": _auc,
    }
    draws = _draws(truth, groups, random_state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: Figure(measure(truth, decision), *_interval([measure(truth[rows], decision[rows]) for rows in draws]))
            for name, measure in measures.items()
        }


def _draws(truth: NDArray, groups: NDArray, random_state: int) -> list[NDArray[np.intp]]:
    """Rows of participants drawn with replacement, leaving out draws with one label only."""
    rng = check_random_state(random_state)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = [
        np.concatenate([members[i] for i in rng.randint(len(members), size=len(members))]) for _ in range(N_BOOTSTRAP)
    ]
    return [rows for rows in drawn if 0 < truth[rows].sum() < len(rows)]


def _auc(truth: NDArray, decision: NDArray) -> float:
    """How often a positive sample has the larger decision than a negative one, ties counting half (Mann-Whitney)."""
    ranks, positive = rankdata(decision), int(truth.sum())
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
