"""Wedin's bound and the random-direction bound, which separate joint directions from chance; the width is not needed.

A direction of the stacked scores ``[U_1 .. U_K]`` is joint if its squared singular value exceeds both of these:

- The 5th percentile of ``K - sum_k min(max(|X_k Q|, |X_k' Q'|) / s_r, 1)^2``. ``Q`` and ``Q'`` are random orthonormal
  directions in the complements of the signal's right and left singular vectors. The norms measure how far noise may
  have rotated the signal subspaces (Wedin's theorem, resampled).
- The 95th percentile of the largest squared singular value of ``[Q_1 .. Q_K]`` with random orthonormal ``Q_k``. It
  measures how well subspaces of these sizes agree by chance.

By this definition ``Q`` is as wide as the data, but the draws do not need this width. ``Q = Z (Z'Z)^(-1/2)`` with ``Z``
standard normal in the complement. In the coordinates of the residual's right singular vectors, ``Z`` has two groups of
rows. The first group is ``A`` (m - r, r), where the residual has singular values ``s``. The other d - m rows lie where
``X`` is zero, and only the Wishart matrix ``W`` of their products counts:

    |X Q|^2 = top eigenvalue of (A'A + W)^-1 A' diag(s^2) A,        W ~ Wishart(d - m, r), m = min(n, d).

``X' Q'`` is the same with n in the place of d. One of the two has no null dimensions (W = 0) and is nearly always the
larger one. For the other, ``A'A`` is drawn first. It bounds the norm by ``s_1`` times the root of the top eigenvalue of
``B = (A'A + W)^-1 A'A``, which is at most ``trace(B^8)^(1/8)``. The remainder of A is drawn only if this bound exceeds
the first norm. For the random directions, the products of all ``Z_k`` are one Wishart matrix with n degrees of freedom.
All draws have exactly the distribution of the definition.

Sources:

- Feng, Jiang, Hannig, Marron 2018, Angle-based joint and individual variation explained, J. Multivariate Analysis 166,
  sections 2.3.1 and 2.3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEDIN_PERCENTILE = 5.0
RANDOM_PERCENTILE = 95.0
BATCH_NUMBERS = 2**18
PIECE_NUMBERS = 2**22  # arrays of 32 MB, of which about five exist at a time


def generator(random_state: Any) -> np.random.Generator:
    """Return a random generator from None, an int, a numpy RandomState or a Generator."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31, size=4)
    return np.random.Generator(np.random.SFC64(random_state))


def wedin_samples(perturbations: Sequence[NDArray], weights: NDArray | None = None) -> NDArray:
    """Lower bounds of a joint direction's squared singular value.

    Parameters
    ----------
    perturbations : sequence of K arrays, shape (n_draws,)
        Draws of each modality from `perturbation_samples`.
    weights : array, shape (K,), optional
        Weights of the modalities, with sum K. The default is 1 for each.

    Returns
    -------
    array, shape (n_draws,)
    """
    weights = np.ones(len(perturbations)) if weights is None else weights
    return weights @ (1.0 - np.stack(perturbations) ** 2)


def perturbation_samples(
    values: NDArray, rank: int, n_samples: int, n_features: int, n_draws: int, rng: np.random.Generator
) -> NDArray:
    """Draws of ``min(max(|X Q|, |X' Q'|) / s_r, 1)``, the sine of the angle by which noise may rotate the signal.

    Parameters
    ----------
    values : array, shape (min(n_samples, n_features),)
        All singular values of the modality, in decreasing order.
    rank : int
        Signal rank of the modality; for rank 0 the sine is 1.
    n_samples, n_features : int
        Shape of the modality. Features that do not vary do not count.
    n_draws : int
        Number of draws.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array, shape (n_draws,)
    """
    if rank == 0:
        return np.ones(n_draws)
    residual = values[rank:] / values[rank - 1]
    norms = residual_norm_samples(residual, rank, min(n_samples, n_features) - len(values), n_draws, rng)
    return np.minimum(raised_norms(norms, residual, rank, max(n_samples, n_features) - len(values), rng), 1.0)


def residual_norm_samples(
    residual: NDArray, n_directions: int, n_null: int, n_draws: int, rng: np.random.Generator
) -> NDArray:
    """Draws of the spectral norm of a matrix applied to random orthonormal directions.

    Parameters
    ----------
    residual : array, shape (m,)
        The matrix's singular values.
    n_directions : int
        Number of directions. If it exceeds the dimension ``m + n_null`` of the space, it is reduced to it.
    n_null : int
        Dimensions in which the matrix is zero.
    n_draws : int
        Number of draws.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array, shape (n_draws,)
    """
    m = len(residual)
    r = min(n_directions, m + n_null)
    if r == 0 or m == 0:
        return np.zeros(n_draws)
    if r == m + n_null:
        return np.full(n_draws, residual[0])
    batch = max(BATCH_NUMBERS // (m * r), 1)
    norms = [
        _residual_norms(residual, r, n_null, min(batch, n_draws - start), rng) for start in range(0, n_draws, batch)
    ]
    return np.concatenate(norms) if norms else np.zeros(0)


def raised_norms(
    norms: NDArray, residual: NDArray, n_directions: int, n_null: int, rng: np.random.Generator
) -> NDArray:
    """The larger of given norms and draws of `residual_norm_samples`, which are completed only if they may be larger.

    Parameters
    ----------
    norms : array, shape (n_draws,)
        The given norms.
    residual, n_directions, n_null, rng
        As in `residual_norm_samples`.

    Returns
    -------
    array, shape (n_draws,)
    """
    m, r = len(residual), n_directions
    if m <= r:
        return np.maximum(norms, residual_norm_samples(residual, r, n_null, len(norms), rng))
    pieces = _pieces(len(norms), r * r)
    return np.concatenate([norms[:0], *(_raised(norms[piece], residual, r, n_null, rng) for piece in pieces)])


def _raised(norms: NDArray, residual: NDArray, r: int, n_null: int, rng: np.random.Generator) -> NDArray:
    """`raised_norms` of a few draws."""
    m = len(residual)
    residual_factors = _wishart_factors(m, r, len(norms), rng)
    products = _times_transposed(residual_factors)
    if n_null:
        products = products + _times_transposed(_wishart_factors(n_null, r, len(norms), rng))
    shrunk = np.linalg.inv(np.linalg.cholesky(products)) @ residual_factors
    power = _times_transposed(_times_transposed(_times_transposed(shrunk)))
    bounds = residual[0] * np.einsum("bij,bij->b", power, power) ** (1 / 16)
    raised = norms.copy()
    batch = max(BATCH_NUMBERS // (m * r), 1)
    undecided = np.flatnonzero(bounds > norms)
    for start in range(0, len(undecided), batch):
        rows = undecided[start : start + batch]
        products, squares = _normal_products(residual, r, len(rows), rng)
        rotated = shrunk[rows] @ np.linalg.inv(np.linalg.cholesky(products))
        drawn = np.linalg.eigvalsh(rotated @ squares @ np.swapaxes(rotated, 1, 2))[:, -1]
        raised[rows] = np.maximum(norms[rows], np.sqrt(np.maximum(drawn, 0.0)))
    return raised


def random_direction_samples(
    ranks: Sequence[int],
    n_samples: int,
    n_draws: int,
    rng: np.random.Generator,
    weights: NDArray | None = None,
) -> NDArray:
    """Draws of the largest squared singular value of ``[w_1^(1/2) Q_1 .. w_K^(1/2) Q_K]``, ``Q_k`` random orthonormal.

    Parameters
    ----------
    ranks : sequence of K ints
        Numbers of directions, each at most `n_samples`.
    n_samples : int
        Dimension of the space.
    n_draws : int
        Number of draws.
    rng : numpy.random.Generator
        Source of randomness.
    weights : array, shape (K,), optional
        Weights of the modalities. The default is 1 for each.

    Returns
    -------
    array, shape (n_draws,)
    """
    weights = np.ones(len(ranks)) if weights is None else weights
    total = sum(ranks)
    if total == 0:
        return np.zeros(n_draws)
    stops = np.cumsum(ranks)

    def drawn(count: int) -> NDArray:
        factors = _wishart_factors(n_samples, total, count, rng)
        directions = [
            np.sqrt(weight) * _orthonormal_rows(factors[:, stop - rank : stop])
            for weight, rank, stop in zip(weights, ranks, stops, strict=True)
        ]
        stacked = np.concatenate(directions, axis=1)
        return np.asarray(np.linalg.eigvalsh(_times_transposed(stacked))[:, -1])

    counts = [piece.stop - piece.start for piece in _pieces(n_draws, total * total)]
    return np.concatenate([np.zeros(0), *map(drawn, counts)])


def cutoff(samples: NDArray, percentile: float) -> float:
    """Percentile of a bound's draws; NaN if there are no draws."""
    return float(np.percentile(samples, percentile)) if len(samples) else float("nan")


def _pieces(n_draws: int, numbers: int) -> list[slice]:
    """Draws computed together: as many as hold `PIECE_NUMBERS` numbers, at `numbers` a draw."""
    step = max(PIECE_NUMBERS // max(numbers, 1), 1)
    return [slice(start, min(start + step, n_draws)) for start in range(0, n_draws, step)]


def _residual_norms(residual: NDArray, r: int, n_null: int, n_draws: int, rng: np.random.Generator) -> NDArray:
    """``|X Q|`` by the formula in the module's docstring, shape (n_draws,)."""
    products, squares = _normal_products(residual, r, n_draws, rng)
    if n_null:
        products += _times_transposed(_wishart_factors(n_null, r, n_draws, rng))
    whiten = np.linalg.inv(np.linalg.cholesky(products))
    top = np.linalg.eigvalsh(whiten @ squares @ np.swapaxes(whiten, 1, 2))[:, -1]
    return np.sqrt(np.clip(top, 0.0, residual[0] ** 2))


def _normal_products(
    residual: NDArray, r: int, n_draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``A'A`` and ``A' diag(s^2) A`` of normal draws A (m, r); both (n_draws, r, r)."""
    normal: NDArray = _standard_normal((n_draws, r, len(residual)), rng)
    if len(residual) < 4 * r:  # nearly square, so that A'A may be singular in float32
        normal = normal.astype(np.float64)
    scaled = normal * (residual**2).astype(normal.dtype)
    products, squares = _times_transposed(normal), normal @ np.swapaxes(scaled, 1, 2)
    return products.astype(np.float64), squares.astype(np.float64)


def _times_transposed(matrices: NDArray) -> NDArray:
    """``M M'`` for each of several matrices, shape (n_draws, rows, rows)."""
    return matrices @ np.swapaxes(matrices, 1, 2)


def _standard_normal(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Standard normal draws in float32 by Box and Muller (1958), more than twice as fast as the generator's method."""
    half = -(-math.prod(shape) // 2)
    bits = rng.integers(0, 2**64, size=half, dtype=np.uint64).view(np.uint32)
    radius = (bits[:half].astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32)
    angle = bits[half:].astype(np.float32) * np.float32(2.0 * np.pi / 2.0**32)
    np.log(radius, out=radius)
    radius *= np.float32(-2.0)
    np.sqrt(radius, out=radius)
    draws = np.empty(2 * half, dtype=np.float32)
    np.cos(angle, out=draws[:half])
    np.sin(angle, out=draws[half:])
    draws[:half] *= radius
    draws[half:] *= radius
    return draws[: math.prod(shape)].reshape(shape)


def _wishart_factors(degrees: int, size: int, n_draws: int, rng: np.random.Generator) -> NDArray:
    """``T`` with ``T T' ~ Wishart(degrees, size)``: Bartlett's triangle, or normal draws if degrees < size.

    Shape (n_draws, size, min(size, degrees)).
    """
    if degrees < size:
        return rng.standard_normal((n_draws, size, degrees))
    factors = np.tril(rng.standard_normal((n_draws, size, size)), k=-1)
    diagonal = np.arange(size)
    factors[:, diagonal, diagonal] = np.sqrt(rng.chisquare(degrees - diagonal, size=(n_draws, size)))
    return factors


def _orthonormal_rows(rows: NDArray) -> NDArray:
    """Orthonormal rows that span the same space, (n_draws, rank, size)."""
    return np.swapaxes(np.linalg.qr(np.swapaxes(rows, 1, 2))[0], 1, 2)
