"""Recovery: how close a decomposition comes to a truth that is known.

Parts are compared by the variance they explain, scores by the angles between the spaces they span (Björck and Golub
1973, Numerical methods for computing angles between linear subspaces, Mathematics of Computation 27), which no
rotation, sign or order of the scores can change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import subspace_angles
from scipy.optimize import linear_sum_assignment

SAME_SAMPLES = "Scores of the same samples are compared, but the first have shape {first} and the second {second}."


def r2(truth: ArrayLike, estimate: ArrayLike) -> float:
    """Fraction of the variance of a true part that its estimate explains.

    ``1 - |T - E|^2 / |T|^2`` with both centred over the samples, so that where the mean was put makes no difference.

    Parameters
    ----------
    truth, estimate : array, shape (n_samples, ...)
        The part as it is, and as it was found.

    Returns
    -------
    float
        1 for a perfect estimate, 0 for none, negative for one that is worse than none; not a number for a truth
        that does not vary.
    """
    t, e = (np.asarray(array, dtype=np.float64) for array in (truth, estimate))
    if t.shape != e.shape:
        raise ValueError(f"truth and estimate must have the same shape, but have {t.shape} and {e.shape}.")
    t, e = t - t.mean(axis=0), e - e.mean(axis=0)
    total = float(np.square(t).sum())
    return 1.0 - float(np.square(t - e).sum()) / total if total else float("nan")


def principal_angles(truth: ArrayLike, found: ArrayLike) -> NDArray:
    """Angles between the spaces that true and found scores span, in degrees.

    Parameters
    ----------
    truth, found : array, shape (n_samples, rank)
        Scores; the ranks may differ.

    Returns
    -------
    array, shape (smaller rank,)
        In increasing order; 0 for a direction found exactly, 90 for one not found at all.

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
    """Cosines of the principal angles, in decreasing order, shape (smaller rank,): 1 where both span a direction."""
    return np.cos(np.radians(principal_angles(first, second)))


def matched(truth: ArrayLike, found: ArrayLike) -> tuple[NDArray, NDArray]:
    """Found scores in the order and with the signs of the true ones.

    Pairs are chosen so that their absolute correlations have the largest sum (Kuhn 1955, The Hungarian method for
    the assignment problem).

    Parameters
    ----------
    truth : array, shape (n_samples, rank)
        Scores to compare with.
    found : array, shape (n_samples, found_rank)
        Scores in any order, with any signs.

    Returns
    -------
    scores : array, shape (n_samples, rank)
        Column j belongs to the true score j; zero where fewer scores were found.
    correlations : array, shape (rank,)
        Of each pair, not negative; 0 where there is none.
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


def _correlations(a: NDArray, b: NDArray) -> NDArray:
    """Correlations of centred columns; 0 for a column that does not vary."""
    a, b = (array / np.maximum(np.linalg.norm(array, axis=0), np.finfo(float).tiny) for array in (a, b))
    return np.clip(a.T @ b, -1.0, 1.0)


def _centred_pair(first: ArrayLike, second: ArrayLike) -> tuple[NDArray, NDArray]:
    a, b = (np.asarray(array, dtype=np.float64) for array in (first, second))
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(SAME_SAMPLES.format(first=a.shape, second=b.shape))
    return a - a.mean(axis=0), b - b.mean(axis=0)
