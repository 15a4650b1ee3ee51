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

from deepjive.data.groups import in_random_order, named_groups, orders_of, rows_of_at_most

MAX_SAMPLES = 1000


class Hsic(NamedTuple):
    """HSIC, its alignment between 0 and 1, and the permutation p-value of independence."""

    value: float
    alignment: float
    p_value: float


def hsic(
    first: ArrayLike,
    second: ArrayLike,
    n_permutations: int = 499,
    *,
    groups: ArrayLike | None = None,
    random_state: int | None = None,
) -> Hsic:
    """Test whether two sets of scores of the same samples are independent.

    Parameters
    ----------
    first, second : array, shape (n_samples, rank)
        Scores. Of more than 1000 samples, 1000 are drawn; with `groups`, participants.
    n_permutations : int
        Draws; the smallest possible p-value is ``1 / (n_permutations + 1)``.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: whole participants are then permuted, among those
        with equally many samples. The p-value is exact if participants are exchangeable; without it, if samples are.
    random_state : int or None
        Seed of the permutations.

    Returns
    -------
    Hsic
        Zero with p-value 1 where a set is empty or does not vary.

    Raises
    ------
    ValueError
        For groups of another length, or participants that can change places in fewer than 120 orders.
    """
    rng = check_random_state(random_state)
    a, b = (np.asarray(array, dtype=np.float64) for array in (first, second))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    who = None if groups is None else named_groups(len(a), groups)
    if len(a) > MAX_SAMPLES:
        kept = rows_of_at_most(MAX_SAMPLES, in_random_order(len(a), who, rng))
        a, b, who = a[kept], b[kept], None if who is None else who[kept]
    k, el = _centred_kernel(a), _centred_kernel(b)
    largest = np.sqrt(np.sum(k * k) * np.sum(el * el))
    if largest == 0.0:
        return Hsic(0.0, 0.0, 1.0)
    observed, order = float(np.sum(k * el)), orders_of(len(a), who, rng)
    permuted = [_permuted(k, el, order()) for _ in range(n_permutations)]
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
