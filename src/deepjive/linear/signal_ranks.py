"""Signal rank of one modality: the number of singular values above the noise.

There are two rules. Both use the centred modality, whose samples have n - 1 degrees of freedom.

- ``"gavish_donoho"``: the optimal hard threshold for singular values under noise of unknown level. The threshold is the
  median singular value times ``omega(beta) = lambda(beta) / sqrt(mu(beta))``. ``beta`` is the aspect ratio and ``mu``
  the median of the Marchenko-Pastur law. The rule needs no draws. It holds for white noise and for fewer components
  than half of min(n, d).
- ``"bicrossvalidation"``: samples and features are split into random halves. A quarter ``A`` of the values is predicted
  from the other three, ``[[A, B], [C, D]]``, by ``B D_r^+ C``, with the rank r approximation ``D_r`` of ``D``. The rank
  with the least squared error over the quarters of `SPLITS` splits is the signal rank. The noise may differ between
  features and between samples, but must not be correlated between features. Each split reads the modality twice.

Both rules overestimate the rank if the noise is correlated between neighbouring features, because such noise is common
variation of features. benchmarks/signal_ranks.py compares the rules on noise of several kinds and on real data.

Sources:

- Gavish and Donoho 2014, The optimal hard threshold for singular values is 4/sqrt(3), IEEE Transactions on Information
  Theory 60(8), eq. 11 and section III.D.
- Owen and Perry 2009, Bi-cross-validation of the SVD and the nonnegative matrix factorization, Annals of Applied
  Statistics 3(2), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, linalg, optimize

from deepjive.algebra import thin_svd
from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import LeftSVD, Reduced, reduce

RankRule = Literal["gavish_donoho", "bicrossvalidation"]
RULES = ("gavish_donoho", "bicrossvalidation")
SPLITS = 3

TOO_SMALL_TO_SPLIT = (
    "rank_rule='bicrossvalidation' splits samples and features into halves, and needs at least 4 samples and 2 "
    "features, but a modality has {n_samples} samples and {n_features} features. Give signal_ranks, or use "
    "rank_rule='gavish_donoho'."
)

RANK_ABOVE_NUMERICAL = (
    "{label} is {given}, but modality {name!r} has numerical rank {limit}: other singular values are rounding errors. "
    "Use at most {limit}, or 'auto'."
)


def numerical_rank(reduced: Reduced, svd: LeftSVD) -> int:
    """Number of singular values above rounding errors.

    By the Gram route, values below ``sqrt(n eps) s_1`` cannot be distinguished from rounding errors.
    """
    largest = float(svd.values[0]) if len(svd.values) else 0.0
    return int(np.sum(svd.values > reduced.smallest_beside(largest)))


def optimal_hard_threshold(values: NDArray, n_samples: int, n_features: int) -> float:
    """Gavish and Donoho's threshold for noise of unknown level.

    Parameters
    ----------
    values : array, shape (at least min(n_samples, n_features),)
        All singular values, in decreasing order.
    n_samples, n_features : int
        Shape of the matrix. A centred matrix of n samples counts n - 1 samples. Features that do not vary do not count,
        because their zeros would lower the median.

    Returns
    -------
    float
        In the units of `values`; 0 without features.
    """
    short, long = sorted((n_samples, n_features))
    if short == 0:
        return 0.0
    return omega(short / long) * float(np.median(values[:short]))


@lru_cache(maxsize=256)
def omega(beta: float) -> float:
    """Ratio of the optimal threshold to the median singular value, for aspect ratio 0 < beta <= 1."""
    root = np.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + np.sqrt(beta**2 + 14 * beta + 1)))
    return float(root / np.sqrt(marchenko_pastur_median(beta)))


@lru_cache(maxsize=256)
def marchenko_pastur_median(beta: float) -> float:
    """Median of the Marchenko-Pastur law of aspect ratio 0 < beta <= 1 and unit variance."""
    low, high = (1 - np.sqrt(beta)) ** 2, (1 + np.sqrt(beta)) ** 2
    width = high - low

    def below(angle: float) -> float:
        # x = low + width sin^2(a / 2) removes the square roots at both ends of the integral
        def density(a: float) -> float:
            s = np.sin(a / 2) ** 2
            return float(width**2 * s * (1 - s) / (2 * np.pi * beta * (low + width * s)))

        return float(integrate.quad(density, 0.0, angle)[0])

    angle = optimize.brentq(lambda a: below(a) - 0.5 * below(np.pi), 1e-9, np.pi)
    return float(low + width * np.sin(angle / 2) ** 2)


def bicrossvalidated_rank(pieces: Pieces, seed: int) -> int:
    """Signal rank by bi-cross-validation; see the module's docstring.

    Parameters
    ----------
    pieces : Pieces
        The modality.
    seed : int
        Seed of the splits.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the modality has fewer than 4 samples or 2 features.
    """
    if pieces.n_samples < 4 or pieces.n_features < 2:
        raise ValueError(TOO_SMALL_TO_SPLIT.format(n_samples=pieces.n_samples, n_features=pieces.n_features))
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(SPLITS):
        feature_halves = _feature_halves(pieces, rng)
        sample_halves = np.array_split(rng.permutation(pieces.n_samples), 2)
        for predicted, predictors in (feature_halves, feature_halves[::-1]):
            for held_out, others in (sample_halves, sample_halves[::-1]):
                curves.append(_quarter_errors(predicted, predictors, held_out, others))
    shortest = min(map(len, curves))
    return int(np.argmin(np.sum([curve[:shortest] for curve in curves], axis=0)))


def _feature_halves(pieces: Pieces, rng: np.random.Generator) -> list[Reduced]:
    """Two random halves of the features, both in units of the larger half's scale."""
    counted = np.arange(pieces.width) if pieces.mask is None else np.flatnonzero(pieces.mask)
    masks = [np.zeros(pieces.width, dtype=bool) for _ in range(2)]
    for mask, features in zip(masks, np.array_split(rng.permutation(counted), 2), strict=True):
        mask[features] = True
    shape = pieces.array.shape[1:]
    halves = [reduce(replace(pieces, mask=mask.reshape(shape))) for mask in masks]
    scale = max(half.scale for half in halves)
    powers = [(half.scale / scale) ** (2 if half.route == "gram" else 1) for half in halves]
    return [replace(half, matrix=half.matrix * power) for half, power in zip(halves, powers, strict=True)]


def _quarter_errors(predicted: Reduced, predictors: Reduced, held_out: NDArray, others: NDArray) -> NDArray:
    """Sum of squares of ``A - B D_r^+ C`` for r = 0, 1, ..; A and C are `predicted` features, A and B `held_out` rows.

    With ``D = U S V'``, ``W = B V S^-1`` and ``T = U' C``, the prediction of rank r is ``W_r T_r``.
    """
    if predictors.route == "gram":
        squares, u = linalg.eigh(predictors.matrix[np.ix_(others, others)], check_finite=False)
        s, u = np.sqrt(np.maximum(squares[::-1], 0.0)), u[:, ::-1]
    else:
        u, s, vt = thin_svd(predictors.matrix[others])
    rank = int(np.sum(s > predictors.smallest_beside(float(s[0])))) if s[0] > 0.0 else 0
    u, s = u[:, :rank], s[:rank]
    if predictors.route == "gram":
        w = predictors.matrix[np.ix_(held_out, others)] @ u / s**2
    else:
        w = predictors.matrix[held_out] @ vt[:rank].T / s
    if predicted.route == "gram":
        total = np.trace(predicted.matrix[np.ix_(held_out, held_out)])
        products = np.einsum("nr,nr->r", w, predicted.matrix[np.ix_(held_out, others)] @ u)
        squared_targets = u.T @ predicted.matrix[np.ix_(others, others)] @ u
    else:
        targets = u.T @ predicted.matrix[others]
        total = np.sum(predicted.matrix[held_out] ** 2)
        products = np.einsum("rd,rd->r", w.T @ predicted.matrix[held_out], targets)
        squared_targets = targets @ targets.T
    squared = np.cumsum(np.cumsum(squared_targets * (w.T @ w), axis=0), axis=1).diagonal()
    return np.asarray(total + np.concatenate([[0.0], squared - 2.0 * np.cumsum(products)]))


@dataclass(frozen=True)
class SignalRank:
    """Chooses the number of components of one modality by one of the rules.

    Parameters
    ----------
    pieces : Pieces
        The modality.
    rule : {"gavish_donoho", "parallel"}
        The rule; see the module's docstring.
    seed : int, default=0
        Seed of the splits.
    """

    pieces: Pieces
    rule: RankRule
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rank_rule must be one of {list(RULES)}, but is {self.rule!r}.")

    def __call__(self, reduced: Reduced, svd: LeftSVD) -> int:
        """The rank, at most the numerical rank."""
        free = reduced.n_samples - 1 if self.pieces.center else reduced.n_samples
        if self.rule == "bicrossvalidation":
            rank = self._bicrossvalidated
        else:
            threshold = optimal_hard_threshold(svd.values, free, reduced.n_varying)
            rank = int(np.sum(svd.values > threshold))
        if reduced.route == "factor":
            rank = min(rank, numerical_rank(reduced, svd))
        return min(rank, free, len(svd.values))

    @cached_property
    def _bicrossvalidated(self) -> int:
        return bicrossvalidated_rank(self.pieces, self.seed)


@dataclass(frozen=True)
class GivenRank:
    """Returns a rank that the user gave, or raises an error if the modality does not have it."""

    name: str
    rank: int

    def __call__(self, reduced: Reduced, svd: LeftSVD) -> int:
        """The rank."""
        if reduced.route == "factor" and self.rank > (limit := numerical_rank(reduced, svd)):
            label = f"signal_ranks[{self.name!r}]"
            raise ValueError(RANK_ABOVE_NUMERICAL.format(label=label, given=self.rank, name=self.name, limit=limit))
        return self.rank


@dataclass(frozen=True)
class SumOfRanks:
    """Returns the sum of joint and individual rank, or the number of components if the modality has fewer."""

    rank: int

    def __call__(self, reduced: Reduced, svd: LeftSVD) -> int:
        """The rank."""
        limit = numerical_rank(reduced, svd) if reduced.route == "factor" else len(svd.values)
        return min(self.rank, limit)


@dataclass(frozen=True)
class AtLeast:
    """Returns the rank of a rule, but at least the joint rank that the user gave."""

    rule: SignalRank
    joint_rank: int

    def __call__(self, reduced: Reduced, svd: LeftSVD) -> int:
        """The rank."""
        return max(self.rule(reduced, svd), SumOfRanks(self.joint_rank)(reduced, svd))
