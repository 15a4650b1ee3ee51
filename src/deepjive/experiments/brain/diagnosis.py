"""Classification of a diagnosis from scores: a support vector machine in nested cross-validation by participant."""

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
N_PERMUTATIONS = 10
FEW_DRAWS = 50


@dataclass(frozen=True)
class Estimate:
    """An estimate with the limits of its interval."""

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
) -> dict[str, Estimate]:
    """Classify two labels from scores; each participant is classified by a machine trained on other participants.

    Outer folds by participant give the decision value of each sample. Inner folds by participant choose C of the
    machine. The scores must come from a model fitted to other participants; otherwise the measures are biased.

    Parameters
    ----------
    scores : array, shape (n_samples, n_scores)
        Scores.
    labels : array, shape (n_samples,)
        Labels with two values.
    groups : array, shape (n_samples,)
        The participant of each sample.
    positive : str
        The positive label for precision, recall and F1.
    random_state : int, default=0
        Seed of folds and bootstrap.

    Returns
    -------
    dict of str to Estimate
        ``accuracy``, ``precision``, ``recall``, ``F1`` and ``AUC``, with 95% intervals from a bootstrap over
        participants.
    """
    truth, groups = np.asarray(labels) == positive, np.asarray(groups)
    decision = _decisions(scores, truth, groups, random_state)
    draws = _draws(truth, groups, random_state)
    return {
        name: Estimate(measure(truth, decision), *_interval([measure(truth[rows], decision[rows]) for rows in draws]))
        for name, measure in MEASURES.items()
    }


def classification_of_shuffled(
    scores: NDArray, labels: ArrayLike, groups: ArrayLike, positive: str, *, random_state: int = 0
) -> dict[str, Estimate]:
    """Classification measures with permuted labels: mean, lowest and highest value of ten permutations.

    The labels of whole participants are permuted among participants with the same number of samples, and the order of
    a participant's labels is kept. Permuted labels therefore depend on the participant as much as the true labels.

    Parameters
    ----------
    scores, labels, groups, positive, random_state
        See `nested_classification`.

    Returns
    -------
    dict of str to Estimate

    Raises
    ------
    ValueError
        If `groups` has another length, or if there are fewer than 120 permutations of the participants.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    order = orders_of(len(labels), groups, check_random_state(random_state))
    permuted_measures: dict[str, list[float]] = {name: [] for name in MEASURES}
    for permutation in range(N_PERMUTATIONS):
        truth = labels[order()] == positive
        decision = _decisions(scores, truth, groups, permutation)
        for name, measure in MEASURES.items():
            permuted_measures[name].append(measure(truth, decision))
    return {
        name: Estimate(float(np.mean(values)), min(values), max(values)) for name, values in permuted_measures.items()
    }


def accuracy_of_few(
    scores: NDArray, labels: ArrayLike, groups: ArrayLike, positive: str, *, n_labelled: int = 20, random_state: int = 0
) -> Estimate:
    """Accuracy of a classifier trained on a few labelled participants; superfluous scores then reduce accuracy most.

    Fifty times, the same number of participants is drawn of each label. A linear machine with C = 1 is trained on
    these participants and tested on all others.

    Parameters
    ----------
    scores, labels, groups, positive, random_state
        See `nested_classification`; the label of a participant is that of its first sample.
    n_labelled : int, default=20
        Number of participants to train on. Of each label, at most half of the participants are drawn.

    Returns
    -------
    Estimate
        Mean over the draws, and the 2.5th and 97.5th percentile.
    """
    truth, groups = np.asarray(labels) == positive, np.asarray(groups)
    rng = check_random_state(random_state)
    participants, first = np.unique(groups, return_index=True)
    by_label = [participants[truth[first] == label] for label in (False, True)]
    n_each = max(1, min(n_labelled // 2, min(map(len, by_label)) // 2))
    accuracies = []
    for _ in range(FEW_DRAWS):
        labelled = np.isin(groups, np.concatenate([rng.permutation(members)[:n_each] for members in by_label]))
        machine = _machine().fit(scores[labelled], truth[labelled])
        accuracies.append(float(machine.score(scores[~labelled], truth[~labelled])))
    return Estimate(float(np.mean(accuracies)), *_interval(accuracies))


def _decisions(scores: NDArray, truth: NDArray, groups: NDArray, random_state: int) -> NDArray:
    """The decision value of each sample by a machine that was trained on other participants."""
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
    """Linear support vector machine on standardized scores, with C = 1."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(kernel="linear"))


def _draws(truth: NDArray, groups: NDArray, random_state: int) -> list[NDArray[np.intp]]:
    """Rows of participants drawn with replacement, without the draws that have one label only."""
    rng = check_random_state(random_state)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = [
        np.concatenate([members[i] for i in rng.randint(len(members), size=len(members))]) for _ in range(N_BOOTSTRAP)
    ]
    return [rows for rows in drawn if 0 < truth[rows].sum() < len(rows)]


def _auc(truth: NDArray, decision: NDArray) -> float:
    """Probability that a positive sample has a larger decision value than a negative one; ties count half."""
    ranks, positive = rankdata(decision), int(truth.sum())
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _f1(truth: NDArray, decision: NDArray) -> float:
    predicted = decision > 0
    return 2.0 * float((truth & predicted).sum()) / float(truth.sum() + predicted.sum())


MEASURES: dict[str, Callable[[NDArray, NDArray], float]] = {
    "accuracy": lambda truth, decision: float(np.mean((decision > 0) == truth)),
    "precision": lambda truth, decision: float(truth[decision > 0].mean()) if (decision > 0).any() else 0.0,
    "recall": lambda truth, decision: float(np.mean(decision[truth] > 0)),
    "F1": _f1,
    "AUC": _auc,
}
