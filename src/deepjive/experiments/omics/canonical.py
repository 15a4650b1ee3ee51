"""Canonical correlation analysis of several modalities with a ridge penalty.

The joint scores G are orthonormal and minimise ``sum_k |G - X_k W_k|^2 + c_k |W_k|^2`` (MAXVAR, Kettenring 1971; with
the canonical ridge of Vinod 1976). With ``X_k = U_k S_k V_k'`` they are the leading eigenvectors of
``sum_k U_k diag(s^2 / (s^2 + c_k)) U_k'``, and the weights are ``W_k = V_k diag(s / (s^2 + c_k)) U_k' G``. For two
modalities and without a penalty these are the canonical variates of Hotelling (1936): an eigenvalue is 1 plus a
canonical correlation.

The joint scores of a new sample are the mean of ``x_k W_k`` over the modalities that it has. A modality is predicted
from the joint scores of the others, times its loadings ``G' X_k``. Penalty and number of scores are those with the
least squared error of these predictions on inner folds.

References
----------
Kettenring 1971, Canonical analysis of several sets of variables, Biometrika 58.
Vinod 1976, Canonical ridge and econometrics of joint production, Journal of Econometrics 4.
Hotelling 1936, Relations between two sets of variates, Biometrika 28.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from deepjive.experiments.omics.regression import Folds, shrinkage

PENALTIES = tuple(np.logspace(-2, 3, 11))
MAX_RANK = 100

Arrays = Mapping[str, NDArray]


@dataclass(frozen=True)
class CanonicalModel:
    """Joint scores that are predicted from each modality alone.

    Attributes
    ----------
    joint_scores : array, shape (n_samples, rank)
        Orthonormal joint scores of the training samples.
    eigenvalues : array, shape (rank,)
        For each score the sum over the modalities of the fraction that the modality explains, in decreasing order.
    weights : dict of str to array, shape (n_features, rank)
        Weights of each modality.
    loadings : dict of str to array, shape (rank, n_features)
        Effect of the joint scores on each modality.
    mean : dict of str to array, shape (n_features,)
        Means of the training samples.
    """

    joint_scores: NDArray
    eigenvalues: NDArray
    weights: dict[str, NDArray]
    loadings: dict[str, NDArray]
    mean: dict[str, NDArray]

    def scores(self, arrays: Arrays) -> NDArray:
        """Return the joint scores of samples, shape (n_samples, rank): the mean over the given modalities."""
        return np.mean([(x - self.mean[name]) @ self.weights[name] for name, x in arrays.items()], axis=0)

    def predict(self, arrays: Arrays, name: str, rank: int | None = None) -> NDArray:
        """Predict a modality from the other modalities of `arrays`, with the first `rank` scores."""
        scores = self.scores({other: x for other, x in arrays.items() if other != name})
        return self.mean[name] + scores[:, :rank] @ self.loadings[name][:rank]


def regularized_cca(arrays: Arrays, rank: int, penalty: float) -> CanonicalModel:
    """Fit the joint scores of several modalities.

    Parameters
    ----------
    arrays : mapping of str to array, shape (n_samples, n_features)
        Training samples.
    rank : int
        Number of scores; fewer where the modalities have fewer dimensions.
    penalty : float
        Penalty ``c_k`` in units of the mean squared singular value of modality k.

    Returns
    -------
    CanonicalModel
    """
    return _of_factors(_factors(arrays), rank, penalty)


def fit_regularized_cca(
    arrays: Arrays, folds: Folds, penalties: Sequence[float] = PENALTIES, max_rank: int = MAX_RANK
) -> CanonicalModel:
    """Fit the joint scores with the penalty and the number of scores that predict modalities best on inner folds.

    Parameters
    ----------
    arrays : mapping of str to array, shape (n_samples, n_features)
        Training samples, each modality scaled to the same total variance.
    folds : sequence of pairs of arrays of int
        Training and test rows of each inner fold.
    penalties : sequence of float, default=PENALTIES
        Penalties to choose from.
    max_rank : int, default=100
        Largest number of scores.

    Returns
    -------
    CanonicalModel
    """
    errors = np.zeros((len(penalties), max_rank))
    for train, test in folds:
        factors = _factors({name: x[train] for name, x in arrays.items()})
        held_out = {name: x[test] for name, x in arrays.items()}
        for number, penalty in enumerate(penalties):
            errors[number] += _errors_by_rank(_of_factors(factors, max_rank, penalty), held_out, max_rank)
    best, rank = np.unravel_index(np.argmin(errors), errors.shape)
    return regularized_cca(arrays, int(rank) + 1, penalties[int(best)])


@dataclass(frozen=True)
class _Factors:
    """Singular value decompositions and means of modalities."""

    svd: dict[str, tuple[NDArray, NDArray, NDArray]]
    mean: dict[str, NDArray]


def _factors(arrays: Arrays) -> _Factors:
    mean = {name: x.mean(axis=0) for name, x in arrays.items()}
    svd = {}
    for name, x in arrays.items():
        u, s, vt = np.linalg.svd(x - mean[name], full_matrices=False)
        kept = s > s[0] * max(x.shape) * np.finfo(float).eps  # a direction without variation has no variate
        svd[name] = (u[:, kept], s[kept], vt[kept])
    return _Factors(svd, mean)


def _of_factors(factors: _Factors, rank: int, penalty: float) -> CanonicalModel:
    shrunk = {name: shrinkage(s, penalty) for name, (_, s, _) in factors.svd.items()}
    stacked = np.hstack([u * np.sqrt(shrunk[name] * s) for name, (u, s, _) in factors.svd.items()])
    eigenvalues, scores = _leading(stacked, rank)
    weights, loadings = {}, {}
    for name, (u, s, vt) in factors.svd.items():
        coordinates = u.T @ scores
        weights[name] = vt.T @ (shrunk[name][:, None] * coordinates)
        loadings[name] = (coordinates * s[:, None]).T @ vt
    return CanonicalModel(scores, eigenvalues, weights, loadings, factors.mean)


def _leading(stacked: NDArray, rank: int) -> tuple[NDArray, NDArray]:
    """Leading eigenvalues and eigenvectors of ``A A'``, from the smaller of ``A A'`` and ``A' A``."""
    n, p = stacked.shape
    gram = stacked.T @ stacked if p < n else stacked @ stacked.T
    rank = min(rank, len(gram))
    values, vectors = eigh(gram, subset_by_index=[len(gram) - rank, len(gram) - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    if p < n:
        vectors = stacked @ vectors / np.sqrt(np.maximum(values, np.finfo(float).tiny))
    return values, vectors


def _errors_by_rank(model: CanonicalModel, held_out: Arrays, max_rank: int) -> NDArray:
    """Squared error of the predictions of all modalities, by number of scores; the last one where there are fewer."""
    errors = np.zeros(max_rank)
    for name, x in held_out.items():
        scores = model.scores({other: y for other, y in held_out.items() if other != name})
        left = x - model.mean[name]
        for rank in range(max_rank):
            if rank < scores.shape[1]:
                left = left - np.outer(scores[:, rank], model.loadings[name][rank])
            errors[rank] += np.square(left).sum()
    return errors
