"""Ranks for JIVE: permutation tests or BIC.

- ``"permutation"``: a rank is the number of leading singular values that exceed the ``1 - alpha`` quantile of the
  singular values of permuted data. Joint rank: in ``[X_1 - I_1 .. X_K - I_K]`` the samples of the modalities are
  permuted against each other. Individual ranks: in ``X_k - J_k`` the samples of every feature are permuted separately.
  The parts are then estimated with these ranks, and the tests are repeated until the ranks stay the same. The joint
  rank never falls.
- ``"bic"``: all ranks start at 0. In each step the rank whose increase by one lowers

      sum_k n d_k log(|E_k|^2 / (n d_k)) + p log(sum_k n d_k)

  most is increased, until no increase lowers it. ``d_k`` counts the features that vary. ``p`` counts the free
  parameters of orthonormal scores and loadings: ``d + (d - 1) + ..`` and ``n + (n - 1) + ..``. Individual scores have
  joint_rank fewer dimensions. The search lets individual parts be correlated. Orthogonal individual parts leave some of
  their variance to the residual wherever the true parts are correlated by chance, and a joint component would explain
  this variance in data without joint structure.

Sources:

- Lock, Hoadley, Marron, Nobel 2013, Joint and individual variation explained (JIVE) for integrated analysis of multiple
  data types, Annals of Applied Statistics 7(1), section 2.4: permutation tests.
- O'Connell and Lock 2016, R.JIVE for exploration of multi-source molecular data, Bioinformatics 32: BIC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.linear.alternation import Alternation, without_scores
from deepjive.linear.factor import Factor, free_dimensions
from deepjive.linear.streaming import Piece, Pieces
from deepjive.linear.svd import EPS, Reduced, reduce
from deepjive.progress import Counter, Progress, silent

RULES = ("permutation", "bic")
MOST_ROUNDS = 10

TWO_RULES = (
    "joint_rank={joint!r} and individual_ranks={individual!r} ask for two rules, but ranks are searched together. "
    "Give the same rule for both, or a number for one."
)

Estimate = Callable[[int, Sequence[int]], Alternation]


class RankSearch(NamedTuple):
    """The estimate with the chosen ranks, and the ranks after every round, shape (n_rounds, 1 + n_modalities)."""

    estimate: Alternation
    history: NDArray[np.int64]


class FixedRanks(NamedTuple):
    """Ranks that the user gave; None where they are searched."""

    joint: int | None
    individual: list[int] | None


def checked_rule(joint_rank: Any, individual_ranks: Any) -> str:
    """Return the rule for ranks; "auto" and no rule at all are "permutation".

    Raises
    ------
    ValueError
        If a word is not a rule, or if there are two different rules.
    """
    rules = []
    for name, value in (("joint_rank", joint_rank), ("individual_ranks", individual_ranks)):
        if isinstance(value, str):
            if value not in (*RULES, "auto"):
                raise ValueError(
                    f"{name} must be an integer of at least 0, or one of {[*RULES, 'auto']}, but is {value!r}."
                )
            rules.append("permutation" if value == "auto" else value)
    if len(set(rules)) == 2:
        raise ValueError(TWO_RULES.format(joint=joint_rank, individual=individual_ranks))
    return rules[0] if rules else "permutation"


def permutation_search(
    factors: Sequence[Factor],
    estimate: Estimate,
    fixed: FixedRanks,
    n_permutations: int,
    alpha: float,
    rng: np.random.Generator,
    *,
    progress: Progress = silent,
) -> RankSearch:
    """Choose ranks by permutation tests.

    Parameters
    ----------
    factors : sequence of Factor
        The modalities.
    estimate : callable
        Returns an `Alternation` for a joint rank and individual ranks.
    fixed : FixedRanks
        Ranks that are not searched.
    n_permutations : int
        Number of permutations in each test.
    alpha : float
        Level of each test.
    rng : numpy.random.Generator
        Source of randomness.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every permutation. The total is the number of permutations in
        one round of tests; how many rounds are needed is not known beforehand.

    Returns
    -------
    RankSearch
    """
    tests = _PermutationTests(n_permutations, alpha, rng)
    no_scores = [np.zeros((factor.reduced.n_samples, 0)) for factor in factors]
    joint, individual = no_scores[0], no_scores
    history: list[list[int]] = []
    for round_ in range(MOST_ROUNDS):
        n_tests = (fixed.joint is None) + (fixed.individual is None) * len(factors)
        step = Counter(progress, 0, n_tests * n_permutations, f"permutations for the ranks, round {round_ + 1}")
        joint_rank = fixed.joint if fixed.joint is not None else tests.joint_rank(factors, individual, step)
        joint_rank = max(joint_rank, history[-1][0]) if history else joint_rank
        individual_ranks = fixed.individual or [tests.individual_rank(factor, joint, step) for factor in factors]
        ranks = _possible(joint_rank, individual_ranks, factors)
        if history and history[-1] == ranks:
            break
        history.append(ranks)
        estimated = estimate(ranks[0], ranks[1:])
        joint, individual = estimated.joint, estimated.individual
    return RankSearch(estimated, np.array(history))


def bic_search(
    factors: Sequence[Factor], estimate: Estimate, fixed: FixedRanks, *, progress: Progress = silent
) -> RankSearch:
    """Choose ranks by BIC, one component at a time.

    Parameters
    ----------
    factors, estimate, fixed
        As in `permutation_search`.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every component that is added. The total is not known.

    Returns
    -------
    RankSearch
    """
    ranks = [fixed.joint or 0, *(fixed.individual or [0] * len(factors))]
    current = estimate(ranks[0], ranks[1:])
    lowest, history = bic(factors, current.errors, ranks), [ranks]
    while True:
        candidates = [(larger, estimate(larger[0], larger[1:])) for larger in _raised(ranks, factors, fixed)]
        values = [bic(factors, candidate.errors, larger) for larger, candidate in candidates]
        if not values or min(values) >= lowest:
            return RankSearch(current, np.array(history))
        ranks, current = candidates[int(np.argmin(values))]
        lowest = min(values)
        history.append(ranks)
        progress(len(history), None, f"ranks by BIC: joint {ranks[0]}, individual {ranks[1:]}")


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
    n_parameters = _free_parameters(sum(widths), joint_rank) + _free_parameters(n, joint_rank)
    n_parameters += sum(
        _free_parameters(d, rank) + _free_parameters(n - joint_rank, rank)
        for d, rank in zip(widths, individual_ranks, strict=True)
    )
    errors = np.maximum(errors, EPS**2)  # data without noise have no residual
    return float(np.sum(sizes * np.log(errors / sizes)) + n_parameters * np.log(sizes.sum()))


def _free_parameters(dimension: int, rank: int) -> int:
    """``dimension + (dimension - 1) + ..`` with `rank` terms."""
    return sum(range(dimension - rank + 1, dimension + 1))


def _largest_rank(factor: Factor) -> int:
    """Largest number of components of a modality that leaves at least one component to the noise."""
    free = factor.reduced.n_samples - factor.pieces.center
    return min(factor.rank, free - 1, factor.reduced.n_varying - 1)


def _possible(joint_rank: int, individual_ranks: Sequence[int], factors: Sequence[Factor]) -> list[int]:
    """Joint and individual ranks, lowered to the dimensions that the samples and each modality have."""
    n_left = free_dimensions(factors, joint_rank + sum(individual_ranks))
    ranks: list[int] = []
    for rank, limit in zip(
        [joint_rank, *individual_ranks], [n_left, *(f.rank - joint_rank for f in factors)], strict=True
    ):
        ranks.append(max(min(rank, limit, n_left), 0))
        n_left -= ranks[-1]
    return ranks


def _raised(ranks: list[int], factors: Sequence[Factor], fixed: FixedRanks) -> Iterator[list[int]]:
    """Ranks with one more component that leave every modality a residual."""
    for i in range(len(ranks)):
        if (fixed.joint if i == 0 else fixed.individual) is not None:
            continue
        larger = [rank + (i == j) for j, rank in enumerate(ranks)]
        leaves_residual = all(
            larger[0] + rank <= _largest_rank(factor) for rank, factor in zip(larger[1:], factors, strict=True)
        )
        if leaves_residual and sum(larger) < free_dimensions(factors, sum(larger) + 1):
            yield larger


@dataclass(frozen=True)
class _PermutationTests:
    """The permutation tests of one search."""

    n_permutations: int
    alpha: float
    rng: np.random.Generator

    def joint_rank(self, factors: Sequence[Factor], individual: Sequence[NDArray], step: Counter) -> int:
        """Joint rank of the modalities without their individual parts; samples are permuted between modalities."""
        remainders = [without_scores(factor.matrix, scores) for factor, scores in zip(factors, individual, strict=True)]
        grams = [remainder @ remainder.T for remainder in remainders]
        permuted = []
        for _ in range(self.n_permutations):
            orders = [self.rng.permutation(len(gram)) for gram in grams]
            total = sum(gram[np.ix_(order, order)] for gram, order in zip(grams, orders, strict=True))
            permuted.append(_eigenvalues(total))
            step()
        return self._count_above(_eigenvalues(sum(grams)), permuted)

    def individual_rank(self, factor: Factor, joint: NDArray, step: Counter) -> int:
        """Individual rank of a modality without its joint part; the samples of each feature are permuted."""
        seeds = self.rng.integers(2**31, size=self.n_permutations)
        pieces, permuted = factor.pieces, []
        for seed in seeds:
            draw = reduce(PermutedRemainder(**vars(pieces), joint=joint, seed=int(seed)))
            permuted.append(draw.all_values() * (draw.scale / factor.length))
            step()
        actual = Reduced("factor", without_scores(factor.matrix, joint), 1.0, *[factor.reduced.n_features] * 2)
        return self._count_above(actual.all_values(), permuted)

    def _count_above(self, actual: NDArray, permuted: Sequence[NDArray]) -> int:
        """Number of leading values above the quantile of the permuted values."""
        limits = np.quantile(permuted, 1.0 - self.alpha, axis=0)
        return int(np.argmin(np.append(actual[: len(limits)] > limits[: len(actual)], False)))


def _eigenvalues(gram: NDArray) -> NDArray:
    """Eigenvalues in decreasing order."""
    return np.asarray(linalg.eigvalsh(gram, check_finite=False)[::-1])


@dataclass(frozen=True)
class PermutedRemainder(Pieces):
    """Pieces without their joint part, with the samples of each feature permuted separately.

    Parameters
    ----------
    joint : array, shape (n_samples, joint_rank)
        Orthonormal joint scores of the part that is removed first.
    seed : int, default=0
        Seed of the permutations.
    """

    joint: NDArray = field(default_factory=lambda: np.zeros((0, 0)))
    seed: int = 0

    def __iter__(self) -> Iterator[Piece]:
        rng = np.random.default_rng(self.seed)
        for piece in super().__iter__():
            yield piece._replace(values=rng.permuted(without_scores(piece.values, self.joint), axis=0))
