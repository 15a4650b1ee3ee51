"""Dependence of any form between two sets of scores: the Hilbert-Schmidt independence criterion (HSIC).

    HSIC = tr(K H L H) / n^2        K, L Gaussian kernels of the two sets, H = I - 1/n the centring matrix

In the limit of many samples HSIC is zero only for independent scores, also if the dependence is nonlinear. The
bandwidth of each kernel is the median of the pairwise distances. Permuting the samples of one set gives the
distribution of HSIC for independent scores. HSIC divided by its largest possible value is the centred kernel
alignment, which can be compared between sets of scores.

References
----------
Gretton, Bousquet, Smola, Schölkopf 2005, Measuring statistical dependence with Hilbert-Schmidt norms, ALT, definition
2 (the biased estimate).
Gretton, Fukumizu, Teo, Song, Schölkopf, Smola 2007, A kernel statistical test of independence, NIPS.
Cortes, Mohri, Rostamizadeh 2012, Algorithms for learning kernels based on centered alignment, JMLR 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.utils import check_random_state

from deepjive.data.groups import in_random_order, named_groups, orders_of, rows_of_at_most
from deepjive.results import Result

MAX_SAMPLES = 1000
BLOCK = 64  # rows of a kernel that stay in the processor's cache while their columns are permuted


@dataclass(frozen=True, repr=False)
class Hsic(Result):
    """Test of independence between two sets of scores.

    Attributes
    ----------
    value : float
        HSIC.
    alignment : float
        HSIC divided by its largest possible value, between 0 and 1.
    p_value : float
        Permutation p-value of independence.
    n_samples, n_permutations : int
        Number of samples that were used, and of permutations.
    """

    value: float
    alignment: float
    p_value: float
    n_samples: int
    n_permutations: int

    def _summary(self) -> str:
        return (
            f"HSIC {self.value:.3g}, alignment {self.alignment:.2f}, p={self.p_value:.3g}, n={self.n_samples}, "
            f"{self.n_permutations} permutations"
        )

    def _table(self) -> Any:
        return [vars(self)]


def hsic(
    first: ArrayLike,
    second: ArrayLike,
    n_permutations: int = 999,
    *,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
) -> Hsic:
    """Test whether two sets of scores of the same samples are independent.

    Parameters
    ----------
    first, second : array, shape (n_samples, rank)
        Scores. From more than 1000 samples, 1000 are drawn; with `groups`, whole participants are drawn.
    n_permutations : int, default=999
        Number of permutations. The smallest possible p-value is ``1 / (n_permutations + 1)``.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Whole participants are then permuted,
        among participants with equally many samples. The p-value is then exact if participants are exchangeable;
        without `groups` it is exact if samples are exchangeable.
    random_state : int, RandomState or None, default=0
        Seed of the permutations.

    Returns
    -------
    Hsic
        HSIC 0 with p-value 1 if a set is empty or does not vary.

    Raises
    ------
    ValueError
        If `groups` has another length, or if fewer than 120 orders of participants can be permuted.

    See Also
    --------
    cross_prediction : How much of the variance of one set another set predicts.
    """
    rng = check_random_state(random_state)
    a, b = (np.asarray(array, dtype=np.float64) for array in (first, second))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    participants = None if groups is None else named_groups(len(a), groups)
    if len(a) > MAX_SAMPLES:
        rows = rows_of_at_most(MAX_SAMPLES, in_random_order(len(a), participants, rng))
        a, b, participants = a[rows], b[rows], None if participants is None else participants[rows]
    k, el = _centred_kernel(a), _centred_kernel(b)
    largest = np.sqrt(np.sum(k * k) * np.sum(el * el))
    if largest == 0.0:
        return Hsic(0.0, 0.0, 1.0, len(a), n_permutations)
    observed, draw_order = float(np.sum(k * el)), orders_of(len(a), participants, rng)
    permuted = [_permuted(k, el, draw_order()) for _ in range(n_permutations)]
    as_large = sum(value >= observed * (1 - 1e-12) for value in permuted)
    p_value = (1 + as_large) / (1 + n_permutations)
    return Hsic(observed / len(a) ** 2, observed / largest, p_value, len(a), n_permutations)


def _permuted(k: NDArray, el: NDArray, order: NDArray[np.intp]) -> float:
    """Return the sum of ``k * el[order][:, order]``, a few rows at a time."""
    starts = range(0, len(order), BLOCK)
    blocks = ((k[start : start + BLOCK], el[order[start : start + BLOCK]].take(order, axis=1)) for start in starts)
    return float(sum(np.vdot(rows, permuted_rows) for rows, permuted_rows in blocks))


def _centred_kernel(x: NDArray) -> NDArray:
    """Return the centred Gaussian kernel with the median heuristic, shape (n_samples, n_samples)."""
    distances = pdist(x, "sqeuclidean") if x.shape[1] else np.zeros(0)
    median = np.median(distances[distances > 0]) if np.any(distances > 0) else 0.0
    if median == 0.0:
        return np.zeros((len(x), len(x)))
    kernel = np.exp(-squareform(distances) / median)
    return kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
