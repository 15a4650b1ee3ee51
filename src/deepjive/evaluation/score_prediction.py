"""Cross-prediction: how well a fresh regressor predicts the scores of one part from the scores of another part.

Orthogonality requires that individual scores contain no information about the joint scores. JIVE's second condition
requires that they contain none about the individual scores of other modalities. The network that was trained under this
constraint cannot test it. Therefore a fresh nonlinear regressor is cross-validated: ridge regression on the scores and
on Nyström features of a Gaussian kernel. Its penalty is chosen by leave-one-out error. Of the regressors that
docs/decisions.md compares, it detects curved relations in a few hundred samples as well as any other, in a fraction of
the time.

If participants have several samples, folds hold out whole participants, also the inner folds that choose the penalty.
Otherwise scores that only identify the participant would seem to predict each other.

References
----------
Williams and Seeger 2001, Using the Nyström method to speed up kernel machines, NIPS.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.data.groups import folds_of
from deepjive.decomposition import Decomposition
from deepjive.evaluation.dependence import Hsic, hsic
from deepjive.evaluation.refit import complete, with_groups
from deepjive.progress import Progress, silent
from deepjive.results import Result
from deepjive.subsets import word_of
from deepjive.threads import one_thread

Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

JOINT, INDIVIDUAL = "joint", "individual {name}"
WIDTH, FEATURES = 0.3, 100
MIN_SAMPLES = 10


@dataclass(frozen=True, repr=False)
class CrossPrediction(Result):
    """How well one set of scores predicts another.

    Attributes
    ----------
    source, target : str
        "joint", or "individual" and the modality.
    r2 : float
        Fraction of the variance of the target's scores that is predicted on held-out samples. It is negative if the
        prediction is worse than predicting the mean.
    alignment, p_value : float
        Alignment (normalized HSIC) of the two sets, and the permutation p-value of their independence.
    n_samples, n_permutations : int
        Number of samples, and of permutations of the test of independence.
    """

    source: str
    target: str
    r2: float
    alignment: float
    p_value: float
    n_samples: int
    n_permutations: int

    def _summary(self) -> str:
        return (
            f"{self.source} -> {self.target}: R2 {self.r2:.2f}, alignment {self.alignment:.2f}, p={self.p_value:.3g}, "
            f"n={self.n_samples}, {self.n_permutations} permutations"
        )

    def _table(self) -> Any:
        return [vars(self)]


def fresh_regressor(n_scores: int, n_samples: int, folds: Folds | None = None) -> Any:
    """Make a ridge regression on scores and on Nyström features of the scores.

    Parameters
    ----------
    n_scores : int
        Number of scores that predict.
    n_samples : int
        Number of training samples; it limits the number of Nyström features.
    folds : list of pairs of arrays of int, default=None
        Training and test rows that choose the penalty. By default leave-one-out error chooses it.

    Returns
    -------
    scikit-learn pipeline
    """
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    kernel = Nystroem(gamma=WIDTH / n_scores, n_components=min(FEATURES, n_samples), random_state=0)
    scoring = None if folds is None else "neg_mean_squared_error"
    ridge = RidgeCV(np.logspace(-2, 3, 11), cv=folds, scoring=scoring)
    return make_pipeline(StandardScaler(), make_union(FunctionTransformer(), kernel), ridge)


def cross_prediction(
    source: ArrayLike,
    target: ArrayLike,
    *,
    regressor: Any = None,
    n_folds: int = 5,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
) -> float:
    """Return the cross-validated fraction of the variance of some scores that other scores predict.

    Parameters
    ----------
    source, target : array, shape (n_samples, rank)
        Scores of the same samples, preferably of samples that no model was fitted to.
    regressor : scikit-learn regressor, default=None
        The regressor; by default `fresh_regressor`.
    n_folds : int, default=5
        Number of folds of the cross-validation.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Folds then hold out whole participants,
        also the inner folds that choose the penalty.
    random_state : int or None, default=0
        Seed of the folds.

    Returns
    -------
    float
        1 for scores that the source determines, about 0 or below for independent scores. NaN if a set is empty, if the
        target does not vary, or if there are fewer than 10 samples.

    Raises
    ------
    ValueError
        If `groups` has another length, or if there are fewer participants than folds.

    See Also
    --------
    cross_predictions : Every pair of parts of a decomposition, with a test of independence.
    """
    from sklearn.base import clone

    x, y = (np.asarray(array, dtype=np.float64) for array in (source, target))
    if 0 in (x.shape[1], y.shape[1]) or len(x) < MIN_SAMPLES or not np.ptp(y, axis=0).any():
        return float("nan")
    y = _standardized(y)
    folds = folds_of(len(x), groups, n_folds, random_state)
    smallest_fold, predicted = min(len(train) for train, _ in folds), np.empty_like(y)
    with one_thread():
        for train, test in folds:
            inner = None if groups is None else folds_of(len(train), np.asarray(groups)[train], max(2, n_folds - 1), 0)
            fresh = fresh_regressor(x.shape[1], smallest_fold, inner) if regressor is None else clone(regressor)
            predicted[test] = fresh.fit(x[train], y[train]).predict(x[test]).reshape(y[test].shape)
    return float(1.0 - np.square(y - predicted).sum() / np.square(y).sum())


def cross_predictions(
    parts: Decomposition,
    *,
    n_permutations: int = 999,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
    progress: Progress = silent,
) -> list[CrossPrediction]:
    """Predict the scores of each part from the scores of each other part.

    Parameters
    ----------
    parts : Decomposition
        Decomposition, preferably of samples to which the model was not fitted. Samples that lack a modality are
        left out.
    n_permutations : int, default=999
        Number of permutations of the test of independence.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Folds then hold out whole participants,
        and whole participants are permuted, among participants with equally many samples. By default the groups of
        the data.
    random_state : int or None, default=0
        Seed of folds and permutations.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` for each pair of parts.

    Returns
    -------
    list of CrossPrediction
        Joint to individual, individual to joint, and individual to individual of the other modalities. Parts of rank 0
        are left out.

    Raises
    ------
    ValueError
        If `groups` has another length, or if fewer than 120 orders of participants can be permuted.
    """
    scores, participants = scores_of(parts), complete(with_groups(parts.data, groups)).groups
    pairs = list(itertools.permutations(scores, 2))
    results: list[CrossPrediction] = []
    tests: dict[frozenset[str], Hsic] = {}
    for done, (source, target) in enumerate(pairs):
        progress(done, len(pairs), f"{source} to {target}")
        x, y, pair = scores[source], scores[target], frozenset((source, target))
        if pair not in tests:
            tests[pair] = hsic(x, y, n_permutations, groups=participants, random_state=random_state)
        r2, test = cross_prediction(x, y, groups=participants, random_state=random_state), tests[pair]
        results.append(CrossPrediction(source, target, r2, test.alignment, test.p_value, len(x), n_permutations))
    progress(len(pairs), len(pairs), "done")
    return results


def scores_of(parts: Decomposition) -> dict[str, NDArray]:
    """Return the scores of the complete samples by name of the part, without parts of rank 0."""
    rows = np.flatnonzero(parts.data.present.all(axis=1))
    named = {JOINT: parts.joint_scores}
    named |= {word_of(subset): scores for subset, scores in parts.subset_scores.items()}
    named |= {INDIVIDUAL.format(name=name): scores for name, scores in parts.individual_scores.items()}
    return {name: scores[rows] for name, scores in named.items() if scores.shape[1]}


def _standardized(y: NDArray) -> NDArray:
    y = y - y.mean(axis=0)
    return y / np.where(y.std(axis=0) > 0, y.std(axis=0), 1.0)
