"""Cross-prediction: what one part's scores say of another's, by a regressor that had no share in the fit.

Orthogonality asks that individual scores say nothing of the joint ones, JIVE's second condition that they say nothing
of the other modalities' individual scores. A network trained to keep the two apart is no witness of that, so a fresh
nonlinear regressor predicts one from the other, cross-validated: ridge regression on the scores and on Nyström
features of a Gaussian kernel, its penalty chosen by leave-one-out error. Of the regressors compared in
docs/decisions.md it found as much of curved relations in a few hundred samples as any, in a fraction of the time.
Where participants have several samples, folds hold out whole participants, also those that the penalty is chosen by:
who is known again by one set of scores is told in the other, whether or not the two have anything in common.

Williams and Seeger 2001, Using the Nyström method to speed up kernel machines, NIPS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.data.groups import folds_of
from deepjive.decomposition import Decomposition
from deepjive.evaluation.refit import complete, with_groups
from deepjive.evaluation.threads import one_thread

Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

JOINT, INDIVIDUAL = "joint", "individual {name}"
WIDTH, FEATURES = 0.3, 100
FEWEST = 10


@dataclass(frozen=True)
class CrossPrediction:
    """What one set of scores says of another.

    Attributes
    ----------
    source, target : str
        "joint", or "individual" and the modality.
    r2 : float
        Fraction of the variance of the target's scores that is predicted on samples not learned from; negative where
        it is worse than predicting the mean.
    alignment, p_value : float
        Alignment (normalized HSIC) of the two, and the permutation p-value of their independence.
    """

    source: str
    target: str
    r2: float
    alignment: float
    p_value: float


def fresh_regressor(n_scores: int, n_samples: int, folds: Folds | None = None) -> Any:
    """Ridge regression on scores and Nyström features of them, for so many scores and samples to learn from.

    Its penalty is chosen by leave-one-out error or, where they are given, by folds of the samples.
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
    """Fraction of the variance of some scores that others predict, cross-validated.

    Parameters
    ----------
    source, target : array, shape (n_samples, rank)
        Scores of the same samples, best samples that no model was fitted to.
    regressor : scikit-learn regressor, optional
        Another than `fresh_regressor`.
    n_folds : int
        Folds of the cross-validation.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: folds then hold out whole participants, also those that
        the penalty of `fresh_regressor` is chosen by.
    random_state : int or None
        Seed of the folds.

    Returns
    -------
    float
        1 for scores that are known from the source, about 0 or below for independent ones; not a number where there
        is nothing to predict or to predict from, or there are fewer than 10 samples.

    Raises
    ------
    ValueError
        For groups of another length, or fewer participants than folds.
    """
    from sklearn.base import clone

    x, y = (np.asarray(array, dtype=np.float64) for array in (source, target))
    if 0 in (x.shape[1], y.shape[1]) or len(x) < FEWEST or not np.ptp(y, axis=0).any():
        return float("nan")
    y = _standardized(y)
    folds = folds_of(len(x), groups, n_folds, random_state)
    fewest, predicted = min(len(train) for train, _ in folds), np.empty_like(y)
    with one_thread():
        for train, test in folds:
            inner = None if groups is None else folds_of(len(train), np.asarray(groups)[train], max(2, n_folds - 1), 0)
            learner = clone(regressor) if regressor is not None else fresh_regressor(x.shape[1], fewest, inner)
            predicted[test] = learner.fit(x[train], y[train]).predict(x[test]).reshape(y[test].shape)
    return float(1.0 - np.square(y - predicted).sum() / np.square(y).sum())


def cross_predictions(
    parts: Decomposition,
    *,
    n_permutations: int = 499,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
) -> list[CrossPrediction]:
    """Every direction: joint to individual, individual to joint, individual to the other modalities' individual.

    Parameters
    ----------
    parts : Decomposition
        Of samples that the model was not fitted to, where there are any. Those that lack a modality are left out.
    n_permutations : int
        Permutations of the test of independence.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: folds then hold out whole participants, and whole
        participants are permuted, among those with equally many samples. By default those of the data.
    random_state : int or None
        Seed.

    Returns
    -------
    list of CrossPrediction
        Without parts of rank 0.

    Raises
    ------
    ValueError
        For groups of another length, or participants that can change places in fewer than 120 orders.
    """
    from deepjive.evaluation.dependence import hsic

    scores, who = scores_of(parts), complete(with_groups(parts.data, groups)).groups
    rows, tests = [], {}
    for source, x in scores.items():
        for target, y in scores.items():
            if source == target:
                continue
            pair = frozenset((source, target))
            if pair not in tests:
                tests[pair] = hsic(x, y, n_permutations, groups=who, random_state=random_state)
            found = cross_prediction(x, y, groups=who, random_state=random_state)
            rows.append(CrossPrediction(source, target, found, tests[pair].alignment, tests[pair].p_value))
    return rows


def scores_of(parts: Decomposition) -> dict[str, NDArray]:
    """Scores of the complete samples by name of the part, without those of rank 0."""
    rows = np.flatnonzero(parts.data.present.all(axis=1))
    named = {JOINT: parts.joint_scores}
    named |= {INDIVIDUAL.format(name=name): scores for name, scores in parts.individual_scores.items()}
    return {name: scores[rows] for name, scores in named.items() if scores.shape[1]}


def _standardized(y: NDArray) -> NDArray:
    y = y - y.mean(axis=0)
    return y / np.where(y.std(axis=0) > 0, y.std(axis=0), 1.0)
