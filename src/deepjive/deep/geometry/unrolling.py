"""Unrolling: coordinates along a curved sheet of samples, and prediction from them.

Samples whose features are curved functions of one score lie on a curve that bends through many linear dimensions.
Distances along the curve, summed from sample to near sample, tell its one coordinate where straight distances do not.

Isomap (Tenenbaum, de Silva and Langford 2000, A global geometric framework for nonlinear dimensionality reduction,
Science 290) with two changes that are ours: neighbours further away than a fraction of the median distance are no
neighbours, and what that leaves unconnected is joined along the minimum spanning tree, whose edges close no circles.
A single edge across the sheet would shorten the ways of many samples, and in Gaussian data the sparse rim makes such
edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree, shortest_path
from scipy.spatial.distance import cdist

NEIGHBOURS = 8
LIMITS = (0.3, 0.5)
LEAST_GAIN = 0.05
CLUSTER = 0.12  # share of the samples in the second largest component
ENOUGH_TO_CHOOSE = 500
LENGTHS = (0.1, 0.2, 0.4, 1.0, 3.0)
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
MOST_DIMENSIONS = 5  # a thousand samples do not say how a sheet of more of them bends


@dataclass(frozen=True)
class Unrolled:
    """Coordinates of samples along a sheet, the longest direction first.

    Attributes
    ----------
    points : array, shape (n_samples, n_dimensions)
        The samples.
    limit : float
        Largest distance between neighbours.
    ways : array, shape (n_samples, n_samples)
        Distances along the sheet.
    axes : array, shape (n_samples, rank)
        Eigenvectors of the centred squares of `ways`, divided by the root of their eigenvalues.
    """

    points: NDArray
    limit: float
    ways: NDArray
    axes: NDArray

    @classmethod
    def of(cls, points: NDArray, rank: int, limit: float) -> Self:
        """Unroll points (n_samples, n_dimensions); `limit` is a fraction of the median distance between them."""
        n = len(points)
        distances = cdist(points, points)
        distances = np.maximum(distances, 1e-12 * distances.max() + 1e-150)  # a way of length 0 would be none
        limit = limit * float(np.median(distances[np.triu_indices(n, 1)]))
        near = np.argsort(distances, axis=1)[:, 1 : NEIGHBOURS + 1]
        steps = minimum_spanning_tree(csr_matrix(distances)).toarray()
        lengths = np.take_along_axis(distances, near, axis=1)
        np.put_along_axis(steps, near, np.where(lengths <= limit, lengths, np.take_along_axis(steps, near, axis=1)), 1)
        ways = shortest_path(csr_matrix(steps), directed=False)
        values, vectors = linalg.eigh(_centred(ways, ways), subset_by_index=[n - min(rank, n), n - 1])
        values = np.maximum(values[::-1], 1e-12 * max(float(values[-1]), 1e-300))
        return cls(points, limit, ways, vectors[:, ::-1] / np.sqrt(values))

    def __call__(self, points: NDArray) -> NDArray:
        """Coordinates (n, rank) of points, seen or not, by their ways over their neighbours to all samples."""
        distances = cdist(points, self.points)
        near = np.argsort(distances, axis=1)[:, : min(NEIGHBOURS, len(self.points))]
        steps = np.take_along_axis(distances, near, axis=1)
        steps[:, 1:][steps[:, 1:] > self.limit] = np.inf
        ways = np.min([step[:, None] + self.ways[sample] for step, sample in zip(steps.T, near.T, strict=True)], axis=0)
        return _centred(ways, self.ways) @ self.axes


def is_clustered(points: NDArray) -> bool:
    """Whether points (n_samples, n_dimensions) form separate clusters rather than one manifold.

    The graph of near neighbours then has several components, of which the second has at least 12% of the samples.
    """
    distances = cdist(points, points)
    limit = LIMITS[-1] * float(np.median(distances[np.triu_indices(len(points), 1)]))
    near = np.argsort(distances, axis=1)[:, 1 : NEIGHBOURS + 1]
    rows = np.repeat(np.arange(len(points)), near.shape[1])
    close = distances[rows, near.ravel()] <= limit
    graph = csr_matrix((np.ones(close.sum()), (rows[close], near.ravel()[close])), shape=distances.shape)
    sizes = np.sort(np.bincount(connected_components(graph, directed=False)[1]))[::-1]
    return len(sizes) > 1 and sizes[1] >= CLUSTER * len(points)


@dataclass(frozen=True)
class KernelRegression:
    """Ridge regression with a Gaussian kernel, its length and penalty chosen by leave-one-out error.

    Attributes
    ----------
    points : array, shape (n_samples, rank)
        Coordinates of the samples learned from, divided by the largest standard deviation.
    mean : array, shape (n_features,)
        Mean of the targets.
    weights : array, shape (n_samples, n_features)
        Dual coefficients.
    left_out : array, shape (n_samples, n_features)
        Prediction of each sample by the others.
    left_out_error : float
        Its mean squared error.
    scale, length : float
        What coordinates are divided by; standard deviation of the kernel in these units.
    """

    points: NDArray
    mean: NDArray
    weights: NDArray
    left_out: NDArray
    left_out_error: float
    scale: float
    length: float

    @classmethod
    def of(cls, coordinates: NDArray, targets: NDArray) -> Self:
        """Learn targets (n_samples, n_features) from coordinates (n_samples, rank)."""
        scale = float(coordinates.std(axis=0).max(initial=0.0)) or 1.0
        points, mean = coordinates / scale, targets.mean(axis=0)
        centred = targets - mean
        ridges = np.array(RIDGES)
        best = (np.inf, 0.0, centred, centred)
        for length in LENGTHS:
            values, vectors = np.linalg.eigh(_kernel(points, points, length))  # scipy.linalg takes a slower driver
            values = np.maximum(values, 0.0)[:, None]
            along, shrunk = vectors.T @ centred, values / (values + ridges)
            own = np.minimum(np.square(vectors) @ shrunk, 1 - 1e-9)
            for ridge, kept, self_share in zip(ridges, shrunk.T, own.T, strict=True):
                errors = (centred - vectors @ (kept[:, None] * along)) / (1.0 - self_share)[:, None]
                error = float(np.square(errors).mean())
                if error < best[0]:
                    best = (error, length, vectors @ (along / (values + ridge)), centred - errors)
        return cls(points, mean, best[2], best[3] + mean, best[0], scale, best[1])

    def __call__(self, coordinates: NDArray) -> NDArray:
        """Targets (n, n_features) at coordinates (n, rank)."""
        return _kernel(coordinates / self.scale, self.points, self.length) @ self.weights + self.mean


def sheets_of(points: NDArray, rank: int) -> list[Callable[[NDArray], NDArray]]:
    """Ways to give points (n_samples, n_dimensions) `rank` coordinates: as they lie, and, if they can be, unrolled."""
    limits = LIMITS if points.shape[1] > 1 else ()
    return [lambda x: x[:, :rank], *(Unrolled.of(points, rank, limit) for limit in limits)]


def unrolled_scores(points: NDArray, targets: Sequence[NDArray], rank: int) -> NDArray | None:
    """Scores along a sheet, where they say more of some targets than as many straight coordinates do.

    Parameters
    ----------
    points : array, shape (n_samples, n_dimensions)
        Samples, the dimension of largest variance first.
    targets : sequence of array, shape (n_samples, n_features)
        What scores should tell, in units that can be compared.
    rank : int
        Number of scores.

    Returns
    -------
    array, shape (n_samples, rank), or None
        Of mean 0 and variance 1; None for more than 5 scores, and where unrolling lowers the leave-one-out error by
        less than a twentieth.
    """
    if points.shape[1] <= rank or rank > MOST_DIMENSIONS:
        return None
    coordinates = [sheet(points) for sheet in sheets_of(points, rank)]
    some = slice(None, None, max(1, len(points) // ENOUGH_TO_CHOOSE))
    errors = [
        sum(float(np.square(t[some] - KernelRegression.of(one[some], t[some]).left_out).sum()) for t in targets)
        for one in coordinates
    ]
    best = int(np.argmin(errors))
    if errors[best] > (1 - LEAST_GAIN) * errors[0]:
        return None
    chosen = coordinates[best] - coordinates[best].mean(axis=0)
    return chosen / np.maximum(chosen.std(axis=0), 1e-12)


def _centred(ways: NDArray, among: NDArray) -> NDArray:
    """Inner products from distances to all samples, centred by those `among` the samples."""
    squares, own = -0.5 * np.square(ways), -0.5 * np.square(among)
    return squares - squares.mean(axis=1, keepdims=True) - own.mean(axis=0) + own.mean()


def _kernel(a: NDArray, b: NDArray, length: float) -> NDArray:
    return np.exp(-0.5 * cdist(a, b, "sqeuclidean") / length**2)
