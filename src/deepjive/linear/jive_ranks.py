"""Ranks for JIVE: permutation tests or BIC.

- ``"permutation"``: singular values that exceed the ``1 - alpha`` quantile of those of permuted data, counted until the
  first that does not. Joint rank: in ``[X_1 - I_1 .. X_K - I_K]`` the modalities' samples are permuted against each
  other. Individual ranks: in ``X_k - J_k`` every feature's samples are permuted on their own. Parts are estimated with
  the ranks found, and the tests repeated, until the ranks stay the same; the joint rank never falls.
  (Lock, Hoadley, Marron, Nobel 2013, Annals of Applied Statistics 7(1), section 2.4.)
- ``"bic"``: the rank that lowers

      sum_k n d_k log(|E_k|^2 / (n d_k)) + p log(sum_k n d_k)

  most is raised by one, starting from 0, until none lowers it. ``d_k`` counts the features that vary,
  ``p`` the free numbers of orthonormal scores and loadings: ``d + (d - 1) + ..`` and ``n + (n - 1) + ..``, individual
  scores having joint_rank dimensions less.
  (O'Connell and Lock 2016, R.JIVE for exploration of multi-source molecular data, Bioinformatics 32.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.linear.alternation import Alternation
from deepjive.linear.factor import Factor
from deepjive.linear.streaming import Piece, Pieces
from deepjive.linear.svd import EPS, reduce

RULES = ("permutation", "bic")
MOST_ROUNDS = 10

UNKNOWN_RULE = "{name} must be an integer of at least 0, or one of {known}, but is {given!r}."
TWO_RULES = (
    "joint_rank={joint!r} and individual_ranks={individual!r} ask for two rules, but ranks are searched together. "
    "Give the same rule for both, or a number for one."
)

Estimate = Callable[[int, Sequence[int]], Alternation]


class Found(NamedTuple):
    """Ranks, the estimate with these ranks, and the ranks after every round, shape (n_rounds, 1 + n_modalities)."""

    estimate: Alternation
    history: NDArray[np.int64]


class Fixed(NamedTuple):
    """Ranks that were given; None where they are searched."""

    joint: int | None
    individual: list[int] | None


def checked_rule(joint_rank: Any, individual_ranks: Any) -> str:
    """The rule that is asked for; "auto" and no rule at all are "permutation".

    Raises
    ------
    ValueError
        For a word that is not a rule, or two different rules.
    """
    rules = []
    for name, given in (("joint_rank", joint_rank), ("individual_ranks", individual_ranks)):
        if isinstance(given, str):
            if given not in (*RULES, "auto"):
                raise ValueError(UNKNOWN_RULE.format(name=name, known=[*RULES, "auto"], given=given))
            rules.append("permutation" if given == "auto" else given)
    if len(set(rules)) == 2:
        raise ValueError(TWO_RULES.format(joint=joint_rank, individual=individual_ranks))
    return rules[0] if rules else "permutation"


def permutation_search(
    factors: Sequence[Factor],
    estimate: Estimate,
    fixed: Fixed,
    n_permutations: int,
    alpha: float,
    rng: np.random.Generator,
) -> Found:
    """Ranks by permutation tests.

    Parameters
    ----------
    factors : sequence of Factor
        The modalities.
    estimate : callable
        Gives an `Alternation` for a joint rank and individual ranks.
    fixed : Fixed
        Ranks that are not searched.
    n_permutations : int
        Draws of each test.
    alpha : float
        Level of each test.
    rng : numpy.random.Generator
        Source of randomness.
    """
    draws = _Draws(n_permutations, alpha, rng)
    nothing = [np.zeros((factor.reduced.n_samples, 0)) for factor in factors]
    joint, individual = nothing[0], nothing
    history: list[list[int]] = []
    for _ in range(MOST_ROUNDS):
        r = fixed.joint if fixed.joint is not None else draws.joint_rank(factors, individual)
        r = max(r, history[-1][0]) if history else r
        ranks = fixed.individual or [draws.individual_rank(factor, joint) for factor in factors]
        limits = [max(factor.rank - r, 0) for factor in factors]
        ranks = [min(rank, limit) for rank, limit in zip(ranks, limits, strict=True)]
        if history and history[-1] == [r, *ranks]:
            break
        history.append([r, *ranks])
        found = estimate(r, ranks)
        joint, individual = found.joint, found.individual
    return Found(found, np.array(history))


def bic_search(factors: Sequence[Factor], estimate: Estimate, fixed: Fixed) -> Found:
    """Ranks by BIC, one component at a time; the arguments are those of `permutation_search`."""
    ranks = [fixed.joint or 0, *(fixed.individual or [0] * len(factors))]
    current = estimate(ranks[0], ranks[1:])
    lowest, history = bic(factors, current.errors, ranks), [ranks]
    while True:
        tried = [(larger, estimate(larger[0], larger[1:])) for larger in _raised(ranks, factors, fixed)]
        values = [bic(factors, found.errors, larger) for larger, found in tried]
        if not values or min(values) >= lowest:
            return Found(current, np.array(history))
        ranks, current = tried[int(np.argmin(values))]
        lowest = min(values)
        history.append(ranks)


def bic(factors: Sequence[Factor], errors: NDArray, ranks: Sequence[int]) -> float:
    """Bayesian information criterion of a JIVE model.

    Parameters
    ----------
    factors : sequence of Factor
        The modalities.
    errors : array, shape (n_modalities,)
        Sums of squares of the residuals.
    ranks : sequence of int
        Joint rank, then individual ranks.
    """
    n, widths = factors[0].reduced.n_samples, [factor.reduced.n_varying for factor in factors]
    joint_rank, individual_ranks = ranks[0], ranks[1:]
    sizes = n * np.array(widths)
    free = _free(sum(widths), joint_rank) + _free(n, joint_rank)
    free += sum(_free(d, r) + _free(n - joint_rank, r) for d, r in zip(widths, individual_ranks, strict=True))
    errors = np.maximum(errors, EPS**2)  # of data without noise nothing is left
    return float(np.sum(sizes * np.log(errors / sizes)) + free * np.log(sizes.sum()))


def _free(dimension: int, rank: int) -> int:
    return sum(range(dimension - rank + 1, dimension + 1))


def _most(factor: Factor) -> int:
    """Components a modality has, of which noise takes at least one."""
    free = factor.reduced.n_samples - factor.pieces.center
    return min(factor.rank, free - 1, factor.reduced.n_varying - 1)


def _raised(ranks: list[int], factors: Sequence[Factor], fixed: Fixed) -> Iterator[list[int]]:
    """Ranks with one more component that leave every modality a residual."""
    for i in range(len(ranks)):
        if (fixed.joint if i == 0 else fixed.individual) is not None:
            continue
        larger = [rank + (i == j) for j, rank in enumerate(ranks)]
        if all(larger[0] + rank <= _most(factor) for rank, factor in zip(larger[1:], factors, strict=True)):
            yield larger


@dataclass(frozen=True)
class _Draws:
    """The permutation tests of one search."""

    n_permutations: int
    alpha: float
    rng: np.random.Generator

    def joint_rank(self, factors: Sequence[Factor], individual: Sequence[NDArray]) -> int:
        rests = [_without(factor.matrix, scores) for factor, scores in zip(factors, individual, strict=True)]
        grams = [rest @ rest.T for rest in rests]

        def values(orders: Sequence[NDArray[np.intp]]) -> NDArray:
            total = sum(gram[np.ix_(order, order)] for gram, order in zip(grams, orders, strict=True))
            return linalg.eigvalsh(total, check_finite=False)[::-1]

        n = len(grams[0])
        permuted = [values([self.rng.permutation(n) for _ in grams]) for _ in range(self.n_permutations)]
        return self._count(values([np.arange(n)] * len(grams)), permuted)

    def individual_rank(self, factor: Factor, joint: NDArray) -> int:
        seeds = self.rng.integers(2**31, size=self.n_permutations)
        pieces = factor.pieces
        draws = [reduce(PermutedRest(pieces.array, pieces.mask, pieces.center, joint, int(seed))) for seed in seeds]
        permuted = [draw.svd().values * (draw.scale / factor.length) for draw in draws]
        return self._count(linalg.svdvals(_without(factor.matrix, joint), check_finite=False), permuted)

    def _count(self, actual: NDArray, permuted: Sequence[NDArray]) -> int:
        limits = np.quantile(permuted, 1.0 - self.alpha, axis=0)
        return int(np.argmin(np.append(actual[: len(limits)] > limits[: len(actual)], False)))


@dataclass(frozen=True)
class PermutedRest(Pieces):
    """Pieces without their joint part, whose features are permuted over the samples, each on its own.

    Parameters
    ----------
    joint : array, shape (n_samples, joint_rank)
        Orthonormal joint scores that are taken away first.
    seed : int
        For the permutations.
    """

    joint: NDArray = field(default_factory=lambda: np.zeros((0, 0)))
    seed: int = 0

    def __iter__(self) -> Iterator[Piece]:
        rng = np.random.default_rng(self.seed)
        for piece in super().__iter__():
            yield piece._replace(values=rng.permuted(_without(piece.values, self.joint), axis=0))


def _without(matrix: NDArray, scores: NDArray) -> NDArray:
    return matrix - scores @ (scores.T @ matrix)
