"""Classification of a diagnosis from scores: a support vector machine in nested cross-validation by participant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import orders_of

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 5
N_BOOTSTRAP = 1000
N_PERMUTATIONS = 10
FEW_DRAWS = 50
MEASURES = ("accuracy", "precision", "recall", "F1", "AUC")


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
    values = _measures(truth, decision)
    of_draws = _measures(truth, decision, _draws(truth, groups, random_state))
    return {name: Estimate(float(value[0]), *_interval(of_draws[name])) for name, value in values.items()}


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
    permuted_measures = []
    for permutation in range(N_PERMUTATIONS):
        truth = labels[order()] == positive
        permuted_measures.append(_measures(truth, _decisions(scores, truth, groups, permutation)))
    values = {name: [measures[name][0] for measures in permuted_measures] for name in MEASURES}
    return {name: Estimate(float(np.mean(some)), float(min(some)), float(max(some))) for name, some in values.items()}


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
        fitted, held_out = _standardized(scores[labelled], scores[~labelled])
        accuracies.append(np.mean((_decision(fitted, truth[labelled], held_out) > 0) == truth[~labelled]))
    return Estimate(float(np.mean(accuracies)), *_interval(np.array(accuracies)))


def _decisions(scores: NDArray, truth: NDArray, groups: NDArray, random_state: int) -> NDArray:
    """The decision value of each sample by a machine that was trained on other participants."""
    from sklearn.model_selection import StratifiedGroupKFold

    decision = np.zeros(len(truth))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=random_state)
    for train, test in folds.split(scores, truth, groups):
        inner = list(folds.split(scores[train], truth[train], groups[train]))
        fitted, held_out = _standardized(scores[train], scores[test])
        decision[test] = _decision(fitted, truth[train], held_out, _best_cost(scores[train], truth[train], inner))
    return decision


def _best_cost(scores: NDArray, truth: NDArray, folds: Sequence[tuple[NDArray, NDArray]]) -> float:
    """The C of the grid with the highest mean accuracy over folds; the smallest of several."""
    accuracy = np.zeros((len(folds), len(GRID)))
    for fold, (train, test) in enumerate(folds):
        fitted, held_out = _standardized(scores[train], scores[test])
        for number, cost in enumerate(GRID):
            accuracy[fold, number] = np.mean((_decision(fitted, truth[train], held_out, cost) > 0) == truth[test])
    return GRID[int(np.argmax(accuracy.mean(axis=0)))]


def _standardized(fitted: NDArray, held_out: NDArray) -> tuple[NDArray, NDArray]:
    """Scores divided by their standard deviation after the mean is subtracted; both are those of fitted samples."""
    mean, std = fitted.mean(axis=0), fitted.std(axis=0)
    std[std < 1e-12 * np.abs(mean).max(initial=1.0)] = 1.0
    return (fitted - mean) / std, (held_out - mean) / std


def _decision(fitted: NDArray, truth: NDArray, held_out: NDArray, cost: float = 1.0) -> NDArray:
    """Decision values of held-out samples by a linear support vector machine."""
    from sklearn import config_context
    from sklearn.svm import SVC

    with config_context(assume_finite=True, skip_parameter_validation=True):  # the checks take longer than the fit
        return SVC(kernel="linear", C=cost).fit(fitted, truth).decision_function(held_out)


def _draws(truth: NDArray, groups: NDArray, random_state: int) -> NDArray:
    """How often each sample is drawn (n_draws, n_samples) when participants are drawn with replacement.

    Draws that have one label only are left out.
    """
    rng = check_random_state(random_state)
    _, member_of = np.unique(groups, return_inverse=True)
    n = int(member_of.max()) + 1
    times = np.stack([np.bincount(rng.randint(n, size=n), minlength=n)[member_of] for _ in range(N_BOOTSTRAP)])
    positive = times[:, truth].sum(axis=1)
    return times[(positive > 0) & (positive < times.sum(axis=1))]


def _measures(truth: NDArray, decision: NDArray, times: NDArray | None = None) -> dict[str, NDArray]:
    """Measures of samples that count as often as `times` (n_draws, n_samples) says; by default once.

    The AUC is the probability that a positive sample has a larger decision value than a negative one; ties count half.
    """
    times = np.ones((1, len(truth))) if times is None else times.astype(float)
    predicted = decision > 0
    found, positive, called = (times @ which for which in (truth & predicted, truth, predicted))
    difference = decision[truth][:, None] - decision[~truth]
    wins = np.einsum("dp,pn,dn->d", times[:, truth], (np.sign(difference) + 1.0) / 2.0, times[:, ~truth], optimize=True)
    values = (
        times @ (predicted == truth) / times.sum(axis=1),
        np.divide(found, called, out=np.zeros_like(found), where=called > 0),
        found / positive,
        2.0 * found / (positive + called),
        wins / (positive * (times.sum(axis=1) - positive)),
    )
    return dict(zip(MEASURES, values, strict=True))


def _interval(values: NDArray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
