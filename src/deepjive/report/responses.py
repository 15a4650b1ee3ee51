"""Approximations of a part of a modality as a function of scores, small enough for the sliders of a page.

A part of a modality is a function f of scores z. If f is linear, the page uses its loadings L and is exact:

    f(z) = f(0) + z L

Whether f is linear is tested at some points; the model is not asked. If f is not linear, it is rendered at up to 400
points, and interpolated by a cubic radial basis function with a linear tail (Duchon 1977):

    f(z) = (a + z A + sum_i |z - c_i|^3 W_i) B

B has the leading principal directions of the rendered values. The fraction of f that the approximation reproduces is
measured at held-out points, and is shown on the page.

References
----------
Duchon 1977, Splines minimizing rotation-invariant semi-norms in Sobolev spaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    """An approximation of a function of scores; the letters are those of the module's formulas.

    Attributes
    ----------
    scale : array, shape (n_scores,)
        Scores are divided by the scale first.
    constant : array, shape (n_directions,)
        The constant a.
    linear : array, shape (n_scores, n_directions)
        The linear weights A.
    centers : array, shape (n_centers, n_scores)
        The centers c, divided by `scale`; empty for a linear function.
    weights : array, shape (n_centers, n_directions)
        The weights W of the centers.
    basis : array, shape (n_directions, n_values)
        The directions B.
    reproduced : float
        Fraction of the function's variation that the approximation reproduces at held-out points; 1 if it is exact.
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
        """Whether the function is linear, so that the response is exact."""
        return len(self.centers) == 0

    def __call__(self, scores: NDArray) -> NDArray:
        """Return the values at some scores, shape (n_points, n_values), as the page computes them."""
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
        Function from scores (n_points, n_scores) to values (n_points, n_values), which is 0 at scores of 0.
    scores : array, shape (n_samples, n_scores)
        Scores of samples. Points are drawn among and around them.
    size : int
        Number of values that are computed at one point. With a larger size, fewer points are rendered.
    seed : int, default=0
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
    points = _points(scores, int(count * (1 + HELD_OUT)), np.random.default_rng(seed))
    test_points = points[:: max(1, len(points) // 24)]
    if reproduced(function(test_points), (test_points / scale) @ steps) >= EXACT:
        empty = np.empty((0, n_scores))
        return Response(scale, np.zeros(n_scores), np.eye(n_scores), empty, empty, steps, 1.0)
    values = function(points)
    basis = _directions(values[:count])
    centers = points[:count] / scale
    constant, linear, weights = _interpolated(centers, values[:count] @ basis.T)
    response = Response(scale, constant, linear, centers, weights, basis, float("nan"))
    return replace(response, reproduced=reproduced(values[count:], response(points[count:])))


def reproduced(values: NDArray, approximation: NDArray) -> float:
    """Return the fraction of the values' sum of squares that an approximation reproduces; 1 if all values are 0."""
    total = float(np.square(values).sum())
    return 1.0 if total == 0 else 1 - float(np.square(values - approximation).sum()) / total


def _points(scores: NDArray, count: int, rng: np.random.Generator) -> NDArray:
    """Draw points: a third are samples, a third are samples with one score replaced, and a third lie on the axes."""
    low, high = scores.min(axis=0), scores.max(axis=0)
    margin = 0.15 * (high - low)
    points = np.array(scores[rng.integers(len(scores), size=count)], dtype=np.float64)
    kind = np.arange(count) % 3
    points[kind == 2] = 0.0
    axis = rng.integers(scores.shape[1], size=count)
    uniform_scores = rng.uniform(low - margin, high + margin, size=(count, scores.shape[1]))
    rows = np.flatnonzero(kind)
    points[rows, axis[rows]] = uniform_scores[rows, axis[rows]]
    unique_points = np.unique(points, axis=0)
    return rng.permutation(unique_points) if len(unique_points) == count else points


def _directions(values: NDArray) -> NDArray:
    """Return the leading principal directions (through 0) of the values, at most 32, with 99.95% of the squares."""
    squares, left = np.linalg.eigh(values @ values.T)
    squares, left = squares[::-1].clip(0), left[:, ::-1]
    n_directions = int(np.searchsorted(np.cumsum(squares) / max(squares.sum(), 1e-300), ENERGY)) + 1
    left = left[:, : min(n_directions, DIRECTIONS)]
    basis = left.T @ values
    return basis / np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1e-300)


def _interpolated(z: NDArray, coordinates: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Solve for the constant, linear and cubic weights of the spline, with a small ridge."""
    n, d = z.shape
    tail = np.hstack([np.ones((n, 1)), z])
    kernel = _cubes(z, z)
    kernel[np.diag_indices(n)] += RIDGE * kernel.mean()
    system = np.block([[kernel, tail], [tail.T, np.zeros((d + 1, d + 1))]])
    target = np.vstack([coordinates, np.zeros((d + 1, coordinates.shape[1]))])
    solution = np.linalg.lstsq(system, target, rcond=None)[0]
    return solution[n], solution[n + 1 :], solution[:n]


def _cubes(z: NDArray, centers: NDArray) -> NDArray:
    """Return the cubed distances of points from centers, shape (n_points, n_centers)."""
    squares = np.square(z).sum(axis=1)[:, None] + np.square(centers).sum(axis=1) - 2 * z @ centers.T
    return squares.clip(0) ** 1.5
