"""Effects of scores on a modality, as arrays so small that a page can compute the effects while a slider moves.

A part of a modality is a function f of scores z. If f is linear, which is tested numerically,

    f(z) = f(0) + z L

is stored with its loadings L, and the page is exact. Otherwise f is computed at some hundred points z and interpolated,

    f(z) = (a + z A + sum_i |z - c_i|^3 W_i) B

by a cubic radial basis function with a linear tail (Duchon 1977, Splines minimizing rotation-invariant semi-norms). B
are the leading principal directions of the computed values. The fraction of f that the interpolation reproduces is
measured at held-out points and shown on the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT = 1 - 1e-6
MOST_CENTERS, FEWEST_CENTERS, RENDERED = 400, 60, 2e7
HELD_OUT = 0.25
DIRECTIONS, ENERGY = 32, 0.9995
RIDGE = 1e-6

Function = Callable[[NDArray], NDArray]


@dataclass(frozen=True, eq=False)
class Response:
    """A function of scores, as arrays.

    Attributes
    ----------
    scale : array, shape (n_scores,)
        Scores are divided by it.
    constant : array, shape (n_directions,)
        a
    linear : array, shape (n_scores, n_directions)
        A
    centers : array, shape (n_centers, n_scores)
        c, divided by `scale`; none where the function is linear.
    weights : array, shape (n_centers, n_directions)
        W
    basis : array, shape (n_directions, n_values)
        B
    reproduced : float
        Fraction of the function's variation that the response reproduces at held-out points; 1 if it is exact.
    """

    scale: NDArray
    constant: NDArray
    linear: NDArray
    centers: NDArray
    weights: NDArray
    basis: NDArray
    reproduced: float

    @property
    def exact(self) -> bool:
        """Whether the function is linear, so that nothing is approximated."""
        return len(self.centers) == 0

    def __call__(self, scores: NDArray) -> NDArray:
        """Values at some scores, shape (n_places, n_values), as the page computes them."""
        z = np.asarray(scores, dtype=np.float64) / self.scale
        coordinates = self.constant + z @ self.linear
        if len(self.centers):
            coordinates = coordinates + _cubes(z, self.centers) @ self.weights
        return coordinates @ self.basis


def respond(function: Function, scores: NDArray, size: int, seed: int = 0) -> Response:
    """Approximate a function of scores.

    Parameters
    ----------
    function : callable
        From scores (n_places, n_scores) to values (n_places, n_values); 0 at scores of 0.
    scores : array, shape (n_samples, n_scores)
        Scores of samples. Points are drawn among and around these scores.
    size : int
        Number of values that are computed for one point. If it is large, the function is computed at fewer points.
    seed : int
        Seed of the points.

    Returns
    -------
    Response
    """
    n_scores = scores.shape[1]
    spread = scores.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    count = int(np.clip(RENDERED / max(size, 1), FEWEST_CENTERS, MOST_CENTERS))
    steps = function(np.diag(scale))
    places = _places(scores, int(count * (1 + HELD_OUT)), np.random.default_rng(seed))
    few = places[:: max(1, len(places) // 24)]
    if reproduced(function(few), (few / scale) @ steps) >= EXACT:
        empty = np.empty((0, n_scores))
        return Response(scale, np.zeros(n_scores), np.eye(n_scores), empty, empty, steps, 1.0)
    values = function(places)
    known = slice(0, count)
    basis = _directions(values[known])
    z = places / scale
    constant, linear, weights = _interpolated(z[known], values[known] @ basis.T)
    made = Response(scale, constant, linear, z[known], weights, basis, float("nan"))
    share = reproduced(values[count:], made(places[count:]))
    return Response(scale, constant, linear, z[known], weights, basis, share)


def reproduced(values: NDArray, approximation: NDArray) -> float:
    """Fraction of the sum of squares that an approximation reproduces; 1 if all values are 0."""
    total = float(np.square(values).sum())
    return 1.0 if total == 0 else 1 - float(np.square(values - approximation).sum()) / total


def _places(scores: NDArray, count: int, rng: np.random.Generator) -> NDArray:
    """Points in random order: a third at samples, a third at samples with one score changed, a third on the axes."""
    low, high = scores.min(axis=0), scores.max(axis=0)
    margin = 0.15 * (high - low)
    places = np.array(scores[rng.integers(len(scores), size=count)], dtype=np.float64)
    moved = np.arange(count) % 3
    places[moved == 2] = 0.0
    axis = rng.integers(scores.shape[1], size=count)
    anywhere = rng.uniform(low - margin, high + margin, size=(count, scores.shape[1]))
    rows = np.flatnonzero(moved)
    places[rows, axis[rows]] = anywhere[rows, axis[rows]]
    return rng.permutation(np.unique(places, axis=0)) if len(np.unique(places, axis=0)) == count else places


def _directions(values: NDArray) -> NDArray:
    """Leading principal directions (through 0) that keep the fraction `ENERGY` of the sum of squares."""
    squares, left = np.linalg.eigh(values @ values.T)
    squares, left = squares[::-1].clip(0), left[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(squares) / max(squares.sum(), 1e-300), ENERGY)) + 1
    left = left[:, : min(kept, DIRECTIONS)]
    basis = left.T @ values
    return basis / np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1e-300)


def _interpolated(z: NDArray, coordinates: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Solve for the spline's constant, linear and cubic weights, with a trace of smoothing."""
    n, d = z.shape
    tail = np.hstack([np.ones((n, 1)), z])
    kernel = _cubes(z, z)
    kernel[np.diag_indices(n)] += RIDGE * kernel.mean()
    system = np.block([[kernel, tail], [tail.T, np.zeros((d + 1, d + 1))]])
    solved = np.linalg.lstsq(system, np.vstack([coordinates, np.zeros((d + 1, coordinates.shape[1]))]), rcond=None)[0]
    return solved[n], solved[n + 1 :], solved[:n]


def _cubes(z: NDArray, centers: NDArray) -> NDArray:
    squares = np.square(z).sum(axis=1)[:, None] + np.square(centers).sum(axis=1) - 2 * z @ centers.T
    return squares.clip(0) ** 1.5
