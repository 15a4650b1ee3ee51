"""Directions of samples that some modalities have in common: how many belong to each subset of modalities.

Each modality is known by its signal scores ``U_k``, as in AJIVE. What a subset has in common is found from pairs
(`deepjive.subsets`). Two subspaces ``A`` and ``B`` have as many directions in common as ``A'B`` has singular values
above chance: above the largest singular value that one in a thousand pairs of random subspaces of these dimensions
have, in the space without the directions that were already found. Many subsets are tried, so that the 95th percentile
of AJIVE would often be exceeded by chance. For one dimension the squared cosine has a beta distribution. For more, its
logit follows the Tracy-Widom law approximately, with centre ``mu`` and scale ``sigma``:

    mu = 2 log tan((f + g) / 2),    sigma^3 = 16 / s^2 / (sin(f + g)^2 sin(f) sin(g)),
    sin(g / 2)^2 = (p - 1/2) / s,   sin(f / 2)^2 = (q - 1/2) / s,

for dimensions ``p <= q`` and ``s + 1`` degrees of freedom. The direction is the mean of the two principal vectors, each
weighted by the number of modalities behind it. A subset has as many directions as the median of the numbers that are
found when each of its modalities is left out in turn.

**Weak components.** A component may be too weak in a modality to be part of its signal, but be known from others. A
direction ``w`` of others is added to the signal of modality k if ``|X_k' w|^2`` is above that of random directions,
all of them without the signal of k, by `CLEARLY` standard deviations.

Sources:

- Feng, Jiang, Hannig, Marron 2018, Angle-based joint and individual variation explained, J. Multivariate Analysis 166,
  section 2.3.2: random directions.
- Johnstone 2008, Multivariate analysis and Jacobi ensembles: largest eigenvalue, Tracy-Widom limits and rates of
  convergence, Annals of Statistics 36, theorem 1.
- Subsets and weak components are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from deepjive.algebra import thin_svd
from deepjive.linear.svd import Reduced
from deepjive.subsets import Subset, common_spaces, ranks_of_subsets

WEAK_DRAWS = 60
CLEARLY = 4.0
CHANCE, TRACY_WIDOM = 1e-3, 3.27  # the quantile of the Tracy-Widom law for this chance
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
        Degrees of freedom of a direction: the number of participants, less 1 if features are centred.
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
    while True:
        common = common_spaces(
            names,
            subsets,
            {name: (scores, 1) for name, scores in signals.items()},
            lambda subset, pairs: (_common([(a, wa, b) for (a, wa), (b, _) in pairs], free), len(subset)),
        )
        spaces = {subset: space for subset, (space, _) in common.items()}
        ranks = ranks_of_subsets({subset: space.shape[1] for subset, space in spaces.items()}, known)
        shared = _exclusive(spaces, ranks, signals)
        weak = _weak_components(signals, reduced, shared, free, rng)
        if not weak:
            return shared, signals
        for name, direction in weak.items():
            signals[name] = np.concatenate([signals[name], direction], axis=1)


def _common(pairs: Sequence[tuple[NDArray, int, NDArray]], free: int) -> NDArray:
    """Directions that the two subspaces of most pairs have in common."""
    found = [_common_of_two(*pair, free) for pair in pairs]
    rank = int(np.median([directions.shape[1] for directions in found]))
    return _leading(np.concatenate(found, axis=1), rank)


def _common_of_two(a: NDArray, weight: int, b: NDArray, free: int) -> NDArray:
    if not a.shape[1] or not b.shape[1]:
        return np.zeros((len(a), 0))
    left, values, right = thin_svd(a.T @ b)
    count = 0
    while count < len(values) and values[count] ** 2 > chance_squared_cosine(
        a.shape[1] - count, b.shape[1] - count, free - count
    ):
        count += 1
    if not count:
        return np.zeros((len(a), 0))
    return np.asarray(np.linalg.qr(weight * (a @ left[:, :count]) + b @ right[:count].T)[0])


def chance_squared_cosine(rank_a: int, rank_b: int, free: int) -> float:
    """Squared cosine between two random subspaces that one pair in a thousand exceeds.

    Parameters
    ----------
    rank_a, rank_b : int
        Dimensions of the subspaces, at least 1.
    free : int
        Dimension of the space.

    Returns
    -------
    float
        1 if such subspaces have a direction in common by necessity.
    """
    p, q = sorted((rank_a, rank_b))
    if p + q >= free:
        return 1.0
    if p == 1:
        return float(stats.beta.isf(CHANCE, q / 2, (free - q) / 2))
    f, g = (2 * np.arcsin(np.sqrt((rank - 0.5) / (free - 1))) for rank in (q, p))
    centre = 2 * np.log(np.tan((f + g) / 2))
    scale = (16 / (free - 1) ** 2 / (np.sin(f + g) ** 2 * np.sin(f) * np.sin(g))) ** (1 / 3)
    return float(1 / (1 + np.exp(-(centre + scale * TRACY_WIDOM))))


def _exclusive(
    spaces: Mapping[Subset, NDArray], ranks: Mapping[Subset, int], signals: Mapping[str, NDArray]
) -> dict[Subset, NDArray]:
    """The directions of each subset that are least those of its supersets.

    If a given rank is larger than the number of directions in common, the directions in which the signals agree most
    are added, as for a given joint rank.
    """
    shared: dict[Subset, NDArray] = {}
    for subset, rank in ranks.items():
        above = [directions for other, directions in shared.items() if set(other) > set(subset)]
        found = _leading(_without(spaces[subset], above), rank)
        if missing := rank - found.shape[1]:
            side_by_side = np.concatenate([signals[name] for name in subset], axis=1)
            more = _leading(_without(side_by_side, [*shared.values(), found]), missing)
            found = np.concatenate([found, more], axis=1)
        shared[subset] = found
    return shared


def _weak_components(
    signals: Mapping[str, NDArray],
    reduced: Mapping[str, Reduced],
    shared: Mapping[Subset, NDArray],
    free: int,
    rng: np.random.Generator,
) -> dict[str, NDArray]:
    """For some modalities the direction of others that is most clearly in them although their signal lacks it."""
    found: dict[str, NDArray] = {}
    alone: dict[Subset, NDArray] = {
        (name,): _without(scores, [u for subset, u in shared.items() if name in subset])
        for name, scores in signals.items()
    }
    for name, scores in signals.items():
        limits: dict[int, tuple[float, float]] = {}
        best = CLEARLY
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
            if deviation > 0.0 and (strength - mean) > best * deviation:  # 0 if chance gives all that there is
                best, found[name] = (strength - mean) / deviation, direction
    return found


def _strongest(reduced: Reduced, directions: NDArray) -> tuple[float, NDArray]:
    """The largest ``|X' w|^2`` of the directions ``w`` in a subspace, and the direction (n_samples, 1)."""
    squares, vectors = linalg.eigh(directions.T @ reduced.products(directions))
    return float(squares[-1]), directions @ vectors[:, -1:]


def _beyond(directions: NDArray, scores: NDArray, least: float = 1.0 - HELD) -> NDArray:
    """Orthonormal basis of what directions have beyond the scores of a signal, of those that are mostly beyond it."""
    if not directions.shape[1]:
        return directions
    vectors, values, _ = thin_svd(directions - scores @ (scores.T @ directions))
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
    return np.asarray(thin_svd(vectors)[0][:, :rank])
