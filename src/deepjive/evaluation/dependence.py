"""Dependence of any kind between two sets of scores: the Hilbert-Schmidt independence criterion.

    HSIC = tr(K H L H) / n^2        K, L Gaussian kernels of the two sets, H = I - 1/n the centring matrix

It is zero, as samples grow, only for independent scores, however curved a dependence may be. Bandwidths are the
medians of the pairwise distances. Permuting the samples of one set gives its distribution for independent scores.

Gretton, Bousquet, Smola, Schölkopf 2005, Measuring statistical dependence with Hilbert-Schmidt norms, ALT (the biased
estimate, definition 2); Gretton, Fukumizu, Teo, Song, Schölkopf, Smola 2007, A kernel statistical test of
independence, NIPS (the test). Divided by its largest value it is the centred kernel alignment (Cortes, Mohri,
Rostamizadeh 2012, JMLR 13), which can be compared between sets of scores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.utils import check_random_state

MAX_SAMPLES = 1000


class Hsic(NamedTuple):
    """HSIC, its alignment between 0 and 1, and the permutation p-value of independence."""

    value: float
    alignment: float
    p_value: float


def hsic(first: ArrayLike, second: ArrayLike, n_permutations: int = 499, *, random_state: int | None = None) -> Hsic:
    """Test whether two sets of scores of the same samples are independent.

    Parameters
    ----------
    first, second : array, shape (n_samples, rank)
        Scores. Of more than 1000 samples, 1000 are drawn.
    n_permutations : int
        Draws; the smallest possible p-value is ``1 / (n_permutations + 1)``.
    random_state : int or None
        Seed of the permutations.

    Returns
    -------
    Hsic
        Zero with p-value 1 where a set is empty or does not vary.
    """
    rng = check_random_state(random_state)
    a, b = (np.asarray(array, dtype=np.float64) for array in (first, second))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    if len(a) > MAX_SAMPLES:
        kept = rng.choice(len(a), MAX_SAMPLES, replace=False)
        a, b = a[kept], b[kept]
    k, el = _centred_kernel(a), _centred_kernel(b)
    largest = np.sqrt(np.sum(k * k) * np.sum(el * el))
    if largest == 0.0:
        return Hsic(0.0, 0.0, 1.0)
    observed = float(np.sum(k * el))
    permuted = [_permuted(k, el, rng.permutation(len(a))) for _ in range(n_permutations)]
    as_large = sum(value >= observed * (1 - 1e-12) for value in permuted)
    return Hsic(observed / len(a) ** 2, observed / largest, (1 + as_large) / (1 + n_permutations))


def _permuted(k: NDArray, el: NDArray, order: NDArray[np.intp]) -> float:
    return float(np.sum(k * el[np.ix_(order, order)]))


def _centred_kernel(x: NDArray) -> NDArray:
    """Gaussian kernel with the median heuristic, centred: (n_samples, n_samples)."""
    distances = pdist(x, "sqeuclidean") if x.shape[1] else np.zeros(0)
    median = np.median(distances[distances > 0]) if np.any(distances > 0) else 0.0
    if median == 0.0:
        return np.zeros((len(x), len(x)))
    kernel = np.exp(-squareform(distances) / median)
    return kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
