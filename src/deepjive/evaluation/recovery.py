"""Recovery: how close a decomposition comes to a known truth.

Parts are compared by the variance that they explain. Scores are compared by the principal angles between the spaces
that they span. Rotations, signs and the order of the scores do not change these angles.

References
----------
Björck and Golub 1973, Numerical methods for computing angles between linear subspaces, Mathematics of Computation 27.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import subspace_angles
from scipy.optimize import linear_sum_assignment

from deepjive.decomposition import power_of_two


def r2(truth: ArrayLike, estimate: ArrayLike) -> float:
    """Return the fraction of the variance of a true part that its estimate explains.

    The value is ``1 - |T - E|^2 / |T|^2`` with T and E centred over the samples, so it does not depend on which part
    contains the mean.

    Parameters
    ----------
    truth, estimate : array, shape (n_samples, ...)
        The true part and its estimate.

    Returns
    -------
    float
        1 for a perfect estimate, 0 for an estimate of zeros, negative for a worse estimate. NaN for a truth that does
        not vary.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    t, e = (np.asarray(array, dtype=np.float64) for array in (truth, estimate))
    if t.shape != e.shape:
        raise ValueError(f"truth and estimate must have the same shape, but have {t.shape} and {e.shape}.")
    unit = power_of_two(float(np.abs(t).max(initial=0.0)))  # so that squares neither overflow nor vanish
    t, e = t / unit, e / unit
    t, e = t - t.mean(axis=0), e - e.mean(axis=0)
    total = float(np.square(t).sum())
    return 1.0 - float(np.square(t - e).sum()) / total if total else float("nan")


def principal_angles(truth: ArrayLike, found: ArrayLike) -> NDArray:
    """Return the angles between the spaces that true and estimated scores span, in degrees.

    Parameters
    ----------
    truth, found : array, shape (n_samples, rank)
        True and estimated scores; the ranks may differ.

    Returns
    -------
    array, shape (smaller rank,)
        Angles in increasing order: 0 for a direction that both spaces have, 90 for orthogonal directions.

    Raises
    ------
    ValueError
        If the scores are not of the same samples.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.random.default_rng(0).normal(size=(50, 2))
    >>> bool(np.allclose(principal_angles(truth, truth @ [[0, -3], [1, 1]]), 0, atol=1e-5))
    True
    """
    a, b = _centred_pair(truth, found)
    if 0 in (a.shape[1], b.shape[1]):
        return np.zeros(0)
    return np.degrees(subspace_angles(a, b))[::-1]


def canonical_correlations(first: ArrayLike, second: ArrayLike) -> NDArray:
    """Return the canonical correlations of two sets of scores: the cosines of their principal angles.

    Parameters
    ----------
    first, second : array, shape (n_samples, rank)
        Scores of the same samples; the ranks may differ.

    Returns
    -------
    array, shape (smaller rank,)
        Correlations in decreasing order: 1 for a direction that both spaces have.
    """
    return np.cos(np.radians(principal_angles(first, second)))


def matched(truth: ArrayLike, found: ArrayLike) -> tuple[NDArray, NDArray]:
    """Reorder estimated scores, and change their signs, so that they match the true scores.

    Pairs are chosen so that the sum of their absolute correlations is largest (the Hungarian method, Kuhn 1955).

    Parameters
    ----------
    truth : array, shape (n_samples, rank)
        Scores to compare with.
    found : array, shape (n_samples, found_rank)
        Scores in any order, with any signs.

    Returns
    -------
    scores : array, shape (n_samples, rank)
        Column j is the match of true score j; zeros if there are fewer estimated scores.
    correlations : array, shape (rank,)
        Absolute correlation of each pair; 0 for a true score without a match.

    Raises
    ------
    ValueError
        If the scores are not of the same samples.
    """
    a, b = _centred_pair(truth, found)
    scores, correlations = np.zeros((len(a), a.shape[1])), np.zeros(a.shape[1])
    if b.shape[1]:
        between = _correlations(a, b)
        rows, columns = linear_sum_assignment(-np.abs(between))
        signs = np.where(between[rows, columns] < 0, -1.0, 1.0)
        scores[:, rows] = np.asarray(found, dtype=np.float64)[:, columns] * signs
        correlations[rows] = np.abs(between[rows, columns])
    return scores, correlations


def pairs_of_scores(first: ArrayLike, second: ArrayLike) -> list[tuple[int, int, float]]:
    """Match the scores of two fits one to one, so that the sum of absolute correlations is largest.

    Parameters
    ----------
    first, second : array, shape (n_samples, rank)
        Scores of the same samples; the ranks may differ.

    Returns
    -------
    list of (int, int, float)
        Column of the first scores, column of the second scores, and their correlation with its sign.

    Examples
    --------
    >>> import numpy as np
    >>> first = np.random.default_rng(0).normal(size=(50, 2))
    >>> [(i, j, round(r)) for i, j, r in pairs_of_scores(first, np.column_stack([first[:, 1], -first[:, 0]]))]
    [(0, 1, -1), (1, 0, 1)]
    """
    between = _correlations(*_centred_pair(first, second))
    rows, columns = linear_sum_assignment(-np.abs(between))
    return [(int(i), int(j), float(between[i, j])) for i, j in zip(rows, columns, strict=True)]


def _correlations(a: NDArray, b: NDArray) -> NDArray:
    """Return correlations of centred columns; 0 for a column that does not vary."""
    a, b = (array / np.maximum(np.linalg.norm(array, axis=0), np.finfo(float).tiny) for array in (a, b))
    return np.clip(a.T @ b, -1.0, 1.0)


def _centred_pair(first: ArrayLike, second: ArrayLike) -> tuple[NDArray, NDArray]:
    a, b = (np.asarray(array, dtype=np.float64) for array in (first, second))
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(
            f"Both scores must be of the same samples, but the first have shape {a.shape} and the second {b.shape}."
        )
    return a - a.mean(axis=0), b - b.mean(axis=0)
