"""Directions of samples that some modalities have in common: how many belong to each subset of modalities.

Each modality is known by its signal scores ``U_k``, as in AJIVE. What a subset has in common is found from pairs
(`deepjive.subsets`). Two subspaces ``A`` and ``B`` have as many directions in common as ``A'B`` has singular values
above chance: above the mean and `CLEARLY` standard deviations of the largest singular value of random subspaces of
these dimensions, without the directions that were already found. Many subsets are tried, so that the 95th percentile of
AJIVE would often be exceeded by chance. The direction is the mean of the two principal vectors, each weighted by the
number of modalities behind it. A subset has as many directions as the median of the numbers that are found when each of
its modalities is left out in turn.

**Weak components.** A component may be too weak in a modality to be part of its signal, but be known from others. A
direction ``w`` of others is added to the signal of modality k if ``|X_k' w|`` is far above that of random directions,
all of them without the signal of k: by `CLEARLY` standard deviations.

Source: ours; random directions as in Feng, Jiang, Hannig, Marron 2018, J. Multivariate Analysis 166, section 2.3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.linear.bounds import random_direction_samples
from deepjive.linear.svd import Reduced
from deepjive.subsets import Subset, common_spaces, ranks_of_subsets

DRAWS, WEAK_DRAWS = 400, 60
CLEARLY = 4.0
HELD = 0.5  # share of a direction in a signal


def shared_directions(
    signals: Mapping[str, NDArray],
    reduced: Mapping[str, Reduced],
    subsets: Mapping[Subset, int | None],
    joint_rank: int | None,
    free: int,
    rng: np.random.Generator,
) -> tuple[dict[Subset, NDArray], dict[str, NDArray]]:
    """Directions of each subset, that of all modalities among them, and directions of single modalities.

    Parameters
    ----------
    signals : mapping of str to array, shape (n_samples, signal_rank)
        Orthonormal signal scores.
    reduced : mapping of str to Reduced
        The modalities.
    subsets : mapping of tuple of str to int or None
        The subsets without that of all modalities; ranks that are not None are given.
    joint_rank : int or None
        Number of directions of all modalities, if given.
    free : int
        Degrees of freedom of a direction: the number of samples, less 1 if features are centred.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    shared : dict of tuple of str to array, shape (n_samples, rank)
        Orthonormal directions of each subset, large subsets first.
    signals : dict of str to array, shape (n_samples, signal_rank)
        The signal scores with weak components that were added.
    """
    signals = dict(signals)
    names = tuple(signals)
    known = {names: joint_rank, **subsets}
    chance = _chance(free, rng)
    while True:
        common = common_spaces(
            names,
            subsets,
            {name: (scores, 1) for name, scores in signals.items()},
            lambda subset, pairs: (_common([(a, wa, b) for (a, wa), (b, _) in pairs], chance), len(subset)),
        )
        spaces = {subset: space for subset, (space, _) in common.items()}
        ranks = ranks_of_subsets({subset: space.shape[1] for subset, space in spaces.items()}, known)
        shared = _exclusive(spaces, ranks)
        weak = _weak_component(signals, reduced, shared, free, rng)
        if weak is None:
            return shared, signals
        name, direction = weak
        signals[name] = np.concatenate([signals[name], direction], axis=1)


def _common(pairs: Sequence[tuple[NDArray, int, NDArray]], chance: Callable[[int, int, int], float]) -> NDArray:
    """Directions that the two subspaces of most pairs have in common."""
    found = [_common_of_two(*pair, chance) for pair in pairs]
    rank = int(np.median([directions.shape[1] for directions in found]))
    return _leading(np.concatenate(found, axis=1), rank)


def _common_of_two(a: NDArray, weight: int, b: NDArray, chance: Callable[[int, int, int], float]) -> NDArray:
    left, values, right = linalg.svd(a.T @ b, full_matrices=False) if a.shape[1] and b.shape[1] else (None, [], None)
    count = 0
    while count < len(values) and values[count] ** 2 > chance(a.shape[1] - count, b.shape[1] - count, count):
        count += 1
    if not count:
        return np.zeros((len(a), 0))
    return np.asarray(np.linalg.qr(weight * (a @ left[:, :count]) + b @ right[:count].T)[0])


def _chance(free: int, rng: np.random.Generator) -> Callable[[int, int, int], float]:
    """Squared cosine that two random subspaces hardly ever reach, after some directions were found."""

    @cache
    def chance(rank_a: int, rank_b: int, found: int) -> float:
        ranks, n = sorted((rank_a, rank_b)), free - found
        if sum(ranks) > n:
            return 1.0  # such subspaces have directions in common by necessity
        cosines = random_direction_samples(ranks, n, DRAWS, rng) - 1.0
        return float((cosines.mean() + CLEARLY * cosines.std()) ** 2)

    return chance


def _exclusive(spaces: Mapping[Subset, NDArray], ranks: Mapping[Subset, int]) -> dict[Subset, NDArray]:
    """The directions of each subset that are least those of its supersets."""
    shared: dict[Subset, NDArray] = {}
    for subset, rank in ranks.items():
        above = [directions for other, directions in shared.items() if set(other) > set(subset)]
        shared[subset] = _leading(_without(spaces[subset], above), rank)
    return shared


def _weak_component(
    signals: Mapping[str, NDArray],
    reduced: Mapping[str, Reduced],
    shared: Mapping[Subset, NDArray],
    free: int,
    rng: np.random.Generator,
) -> tuple[str, NDArray] | None:
    """A modality and a direction of others that is clearly in it although its signal lacks the direction."""
    best, found = CLEARLY, None
    alone: dict[Subset, NDArray] = {
        (name,): _without(scores, [u for subset, u in shared.items() if name in subset])
        for name, scores in signals.items()
    }
    for name, scores in signals.items():
        limits: dict[int, tuple[float, float]] = {}
        candidates = [*shared.items(), *alone.items()]
        for subset, directions in candidates:
            if name in subset or not any(set(other) >= {name, *subset} for other in shared):
                continue
            beyond = _beyond(directions, scores)
            rank = beyond.shape[1]
            if not rank or scores.shape[1] + rank >= free:
                continue
            if rank not in limits:
                draws = rng.standard_normal((WEAK_DRAWS, len(scores), rank))
                draws -= draws.mean(axis=1, keepdims=True)
                largest = [_strongest(reduced[name], _beyond(draw, scores, 0.0))[0] for draw in draws]
                limits[rank] = float(np.mean(largest)), float(np.std(largest))
            strength, direction = _strongest(reduced[name], beyond)
            mean, deviation = limits[rank]
            if (strength - mean) > best * deviation:
                best, found = (strength - mean) / deviation, (name, direction)
    return found


def _strongest(reduced: Reduced, directions: NDArray) -> tuple[float, NDArray]:
    """The largest ``|X' w|^2`` of the directions ``w`` in a subspace, and the direction (n_samples, 1)."""
    squares, vectors = linalg.eigh(directions.T @ reduced.products(directions))
    return float(squares[-1]), directions @ vectors[:, -1:]


def _beyond(directions: NDArray, scores: NDArray, least: float = 1.0 - HELD) -> NDArray:
    """Orthonormal basis of what directions have beyond the scores of a signal, of those that are mostly beyond it."""
    if not directions.shape[1]:
        return directions
    vectors, values, _ = linalg.svd(directions - scores @ (scores.T @ directions), full_matrices=False)
    return np.asarray(vectors[:, values**2 > least])


def _without(directions: NDArray, others: Sequence[NDArray]) -> NDArray:
    """Directions after others are projected out."""
    if not others or not sum(other.shape[1] for other in others):
        return directions
    basis = np.linalg.qr(np.concatenate(others, axis=1))[0]
    return directions - basis @ (basis.T @ directions)


def _leading(vectors: NDArray, rank: int) -> NDArray:
    """Leading left singular vectors; fewer than `rank` if there are fewer vectors."""
    if not rank or not vectors.shape[1]:
        return np.zeros((len(vectors), 0))
    return np.asarray(linalg.svd(vectors, full_matrices=False)[0][:, :rank])
