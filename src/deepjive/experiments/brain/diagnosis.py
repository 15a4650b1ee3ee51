"""How well a diagnosis is told from scores: a support vector machine in nested cross-validation by participant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from deepjive.data.groups import orders_of

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 5
N_BOOTSTRAP = 1000
DEALS = 10
FEW_DRAWS = 50


@dataclass(frozen=True)
class Figure:
    """A figure with its interval."""

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
        ``accuracy``, ``precision``, ``recall``, ``F1``, ``AUC``, with 95% intervals by bootstrap over participants.
    """
    truth, groups = np.asarray(labels) == positive, np.asarray(groups)
    decision = _decisions(scores, truth, groups, random_state)
    draws = _draws(truth, groups, random_state)
    return {
        name: Figure(measure(truth, decision), *_interval([measure(truth[rows], decision[rows]) for rows in draws]))
        for name, measure in MEASURES.items()
    }


def classification_of_shuffled(
    scores: NDArray, labels: ArrayLike, groups: ArrayLike, positive: str, *, random_state: int = 0
) -> dict[str, Figure]:
    """The same with labels dealt at random ten times: mean, lowest and highest; parameters as above.

    Participants are dealt each other's labels, all at once and in their order, among those with equally many samples;
    so a deal has as much to tell as the labels have, where they are of participants and not of single samples.

    Raises
    ------
    ValueError
        For groups of another length, or participants that can change places in fewer than 120 orders.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    order = orders_of(len(labels), groups, check_random_state(random_state))
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for deal in range(DEALS):
        truth = labels[order()] == positive
        decision = _decisions(scores, truth, groups, deal)
        for name, measure in MEASURES.items():
            found[name].append(measure(truth, decision))
    return {name: Figure(float(np.mean(values)), min(values), max(values)) for name, values in found.items()}


def accuracy_of_few(
    scores: NDArray, labels: ArrayLike, groups: ArrayLike, positive: str, *, n_labelled: int = 20, random_state: int = 0
) -> Figure:
    """Accuracy where only a few participants are labelled: the fewer they are, the more do scores too many cost.

    Draws half of them with each label, fifty times; a linear machine with C = 1 learns from these and is tested on all
    others.

    Parameters
    ----------
    scores, labels, groups, positive, random_state
        As of `nested_classification`; a participant's label is that of its first sample.
    n_labelled : int
        Participants to learn from; half of them, if there are fewer than twice as many of a label.

    Returns
    -------
    Figure
        Mean over the draws, and the 2.5th and 97.5th percentile.
    """
    truth, groups = np.asarray(labels) == positive, np.asarray(groups)
    rng = check_random_state(random_state)
    participants, first = np.unique(groups, return_index=True)
    sides = [participants[truth[first] == side] for side in (False, True)]
    each = max(1, min(n_labelled // 2, min(len(side) for side in sides) // 2))
    found = []
    for _ in range(FEW_DRAWS):
        seen = np.isin(groups, np.concatenate([rng.permutation(side)[:each] for side in sides]))
        machine = _machine().fit(scores[seen], truth[seen])
        found.append(float(machine.score(scores[~seen], truth[~seen])))
    return Figure(float(np.mean(found)), *_interval(found))


def _decisions(scores: NDArray, truth: NDArray, groups: NDArray, random_state: int) -> NDArray:
    """The decision for every sample, of a machine that has not seen its participant."""
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

    decision = np.zeros(len(truth))
    outer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=random_state)
    for train, test in outer.split(scores, truth, groups):
        inner = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=random_state)
        search = GridSearchCV(_machine(), {"svc__C": GRID}, cv=inner)
        search.fit(scores[train], truth[train], groups=groups[train])
        decision[test] = search.decision_function(scores[test])
    return decision


def _machine() -> Any:
    """A linear support vector machine on standardized scores, with C = 1."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(kernel="linear"))


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


def _f1(truth: NDArray, decision: NDArray) -> float:
    called = decision > 0
    return 2.0 * float((truth & called).sum()) / float(truth.sum() + called.sum())


MEASURES: dict[str, Callable[[NDArray, NDArray], float]] = {
    "accuracy": lambda truth, decision: float(np.mean((decision > 0) == truth)),
    "precision": lambda truth, decision: float(truth[decision > 0].mean()) if (decision > 0).any() else 0.0,
    "recall": lambda truth, decision: float(np.mean(decision[truth] > 0)),
    "F1": _f1,
    "AUC": _auc,
}
