"""Signal rank of one modality: the number of singular values above the noise.

There are two rules. Both use the centred modality, whose samples have n - 1 degrees of freedom.

- ``"gavish_donoho"``: the optimal hard threshold for singular values under noise of unknown level. The threshold is the
  median singular value times ``omega(beta) = lambda(beta) / sqrt(mu(beta))``. ``beta`` is the aspect ratio and ``mu``
  the median of the Marchenko-Pastur law. The rule needs no draws. It holds for white noise and for fewer components
  than half of min(n, d).
- ``"parallel"``: parallel analysis. Every feature is permuted over the samples separately. The leading singular values
  that exceed the 95th percentile of the permuted ones are signal. The noise need not be white.

References
----------
Gavish and Donoho 2014, The optimal hard threshold for singular values is 4/sqrt(3), IEEE Transactions on Information
Theory 60(8), eq. 11 and section III.D.

Horn 1965, A rationale and test for the number of factors in factor analysis, Psychometrika 30.

Buja and Eyuboglu 1992, Remarks on parallel analysis, Multivariate Behavioral Research 27: permutations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize

from deepjive.linear.streaming import Piece, Pieces
from deepjive.linear.svd import LeftSVD, Reduced, reduce

RankRule = Literal["gavish_donoho", "parallel"]
RULES = ("gavish_donoho", "parallel")
PERMUTATIONS = 20
PERCENTILE = 95.0

RANK_ABOVE_NUMERICAL = (
    "{label} is {given}, but modality {name!r} has numerical rank {limit}: other singular values are rounding errors. "
    "Use at most {limit}, or 'auto'."
)


def numerical_rank(reduced: Reduced, svd: LeftSVD) -> int:
    """Number of singular values above rounding errors.

    By the Gram route, values below ``sqrt(n eps) s_1`` cannot be distinguished from rounding errors.
    """
    largest = svd.values[0] if len(svd.values) else 0.0
    return int(np.sum(svd.values > reduced.resolution * largest))


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


@dataclass(frozen=True)
class Permuted(Pieces):
    """Pieces whose features are permuted over the samples, each feature separately."""

    seed: int = 0

    def __iter__(self) -> Iterator[Piece]:
        rng = np.random.default_rng(self.seed)
        for piece in super().__iter__():
            yield piece._replace(values=rng.permuted(piece.values, axis=0))


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
        Seed of the permutations.
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
        if self.rule == "parallel":
            noise = self._permuted_values[: len(svd.values)] / reduced.scale
            rank = int(np.argmin(np.append(svd.values > noise, False)))
        else:
            threshold = optimal_hard_threshold(svd.values, free, reduced.n_varying)
            rank = int(np.sum(svd.values > threshold))
        if reduced.route == "factor":
            rank = min(rank, numerical_rank(reduced, svd))
        return min(rank, free, len(svd.values))

    @cached_property
    def _permuted_values(self) -> NDArray:
        pieces = self.pieces
        seeds = np.random.SeedSequence(self.seed).generate_state(PERMUTATIONS)
        draws = [reduce(Permuted(pieces.array, pieces.mask, pieces.center, int(seed))) for seed in seeds]
        return np.percentile([draw.svd().values * draw.scale for draw in draws], PERCENTILE, axis=0)


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
