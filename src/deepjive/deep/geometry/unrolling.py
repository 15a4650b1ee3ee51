"""Unrolling: coordinates along a curved manifold of samples, and prediction from them.

Samples whose features are curved functions of one score lie on a curve that bends through many linear dimensions.
Distances along the curve, summed from sample to near sample, give the one coordinate that straight distances miss.

This is Isomap with landmarks and with two changes. Neighbours further away than a fraction of the median distance do
not count as neighbours. Components that are then unconnected are joined along the minimum spanning tree, whose edges
close no circles: in Gaussian data the sparse rim makes edges across the manifold, and a single such edge shortens the
paths of many samples.

References
----------
Tenenbaum, de Silva and Langford (2000), A global geometric framework for nonlinear dimensionality reduction,
Science 290.
De Silva and Tenenbaum (2003), Global versus local methods in nonlinear dimensionality reduction, NeurIPS 15:
landmarks.
Williams and Seeger (2001), Using the Nystrom method to speed up kernel machines, NeurIPS 13.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra, minimum_spanning_tree
from scipy.spatial.distance import cdist

from deepjive.deep.geometry.symmetric import eigh, gaussian

NEIGHBOURS = 8
LIMITS = (0.3, 0.5)
LEAST_GAIN = 0.05
CLUSTER = 0.12  # share of the samples in the second largest component
ENOUGH_TO_CHOOSE = 500
LANDMARKS = 300  # samples to which paths are measured
ROUNDING = 1e-10  # relative to the largest eigenvalue
CENTRES, WORTH_CENTRES = 200, 300  # samples on which kernels stand, of more than so many
LENGTHS = (0.1, 0.2, 0.4, 1.0, 3.0)
SHORTEST = {1: 0.1, 2: 0.2}  # length by rank, 0.4 of more: so near, few samples have neighbours
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
MOST_DIMENSIONS = 5  # a thousand samples do not say how a manifold of more dimensions bends


@dataclass(frozen=True)
class Unrolled:
    """Coordinates of samples along a manifold, the longest direction first.

    Attributes
    ----------
    points : array, shape (n_samples, n_dimensions)
        The samples.
    limit : float
        Largest distance between neighbours.
    paths : array, shape (n_samples, n_landmarks)
        Distances along the manifold to the landmarks.
    centre : array, shape (n_landmarks,)
        Means of the landmarks' squared distances from each other.
    axes : array, shape (n_landmarks, rank)
        Eigenvectors of the centred squared distances between landmarks, divided by the root of their eigenvalues.
    """

    points: NDArray
    limit: float
    paths: NDArray
    centre: NDArray
    axes: NDArray

    @classmethod
    def of(cls, points: NDArray, rank: int, limit: float) -> Self:
        """Unroll points (n_samples, n_dimensions); `limit` is a fraction of the median distance between them."""
        return cls.each_of(points, rank, [limit])[0]

    @classmethod
    def each_of(cls, points: NDArray, rank: int, limits: Sequence[float]) -> list[Self]:
        """Unroll points once for each limit."""
        n = len(points)
        distances = cdist(points, points)
        distances = np.maximum(distances, 1e-12 * distances.max() + 1e-150)  # a path of length 0 would be none
        np.fill_diagonal(distances, 0.0)
        median = _median(distances)
        near = nearest(distances, NEIGHBOURS + 1)[:, 1:]
        lengths = np.take_along_axis(distances, near, axis=1).ravel()
        rows, columns = np.repeat(np.arange(n), near.shape[1]), near.ravel()
        all_edges = csr_matrix((lengths, (rows, columns)), shape=(n, n))
        connected = connected_components(all_edges, directed=False)[0] == 1
        tree = minimum_spanning_tree(all_edges if connected else csr_matrix(distances)).tocoo()
        landmarks = np.linspace(0, n - 1, min(n, LANDMARKS)).astype(int)
        unrolled = []
        for limit in limits:
            short = lengths <= limit * median
            ends = np.concatenate([rows[short], tree.row]), np.concatenate([columns[short], tree.col])
            steps = coo_matrix((np.concatenate([lengths[short], tree.data]), ends), shape=(n, n))
            paths = dijkstra(_shortest(steps), directed=False, indices=landmarks).T
            unrolled.append(cls(points, limit * median, paths, *_centre_and_axes(paths[landmarks], rank)))
        return unrolled

    def __call__(self, points: NDArray) -> NDArray:
        """Coordinates (n, rank) of points, fitted or new, by their paths over their neighbours to the landmarks."""
        distances = cdist(points, self.points)
        near = nearest(distances, min(NEIGHBOURS, len(self.points)))
        steps = np.take_along_axis(distances, near, axis=1)
        steps[:, 1:][steps[:, 1:] > self.limit] = np.inf
        paths = steps[:, :1] + self.paths[near[:, 0]]
        for step, sample in zip(steps.T[1:], near.T[1:], strict=True):
            np.minimum(paths, step[:, None] + self.paths[sample], out=paths)
        return -0.5 * (np.square(paths) - self.centre) @ self.axes


def _centre_and_axes(paths: NDArray, rank: int) -> tuple[NDArray, NDArray]:
    """`Unrolled.centre` and `Unrolled.axes` from the distances (m, m) between landmarks."""
    m, squares = len(paths), np.square(paths)
    centre = squares.mean(axis=0)
    inner = -0.5 * (squares - centre - centre[:, None] + centre.mean())
    values, vectors = linalg.eigh(inner, subset_by_index=[m - min(rank, m), m - 1])
    values = np.maximum(values[::-1], 1e-12 * max(float(values[-1]), 1e-300))
    return centre, vectors[:, ::-1] / np.sqrt(values)


def nearest(distances: NDArray, count: int) -> NDArray[np.intp]:
    """Columns (n, count) of the smallest entries of each row of distances (n, m), the smallest first."""
    count = min(count, distances.shape[1])
    near = np.argpartition(distances, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(distances, near, axis=1), axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)


def _shortest(steps: coo_matrix) -> csr_matrix:
    """The same graph with the shortest of the edges that stand twice: sparse matrices would add them."""
    order = np.lexsort((steps.data, steps.col, steps.row))
    rows, columns, lengths = steps.row[order], steps.col[order], steps.data[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 0)
    return csr_matrix((lengths[first], (rows[first], columns[first])), shape=steps.shape)


def _median(distances: NDArray) -> float:
    """The median distance (n, n) between different samples."""
    return float(np.median(distances[np.triu_indices(len(distances), 1)]))


def is_clustered(points: NDArray) -> bool:
    """Whether points (n_samples, n_dimensions) form separate clusters rather than one manifold.

    The graph of near neighbours then has several components, of which the second has at least 12% of the samples.
    """
    distances = cdist(points, points)
    limit = LIMITS[-1] * _median(distances)
    np.fill_diagonal(distances, -1.0)  # duplicates do not displace the sample itself
    near = nearest(distances, NEIGHBOURS + 1)[:, 1:]
    rows = np.repeat(np.arange(len(points)), near.shape[1])
    close = distances[rows, near.ravel()] <= limit
    graph = csr_matrix((np.ones(close.sum()), (rows[close], near.ravel()[close])), shape=distances.shape)
    sizes = np.sort(np.bincount(connected_components(graph, directed=False)[1]))[::-1]
    return len(sizes) > 1 and sizes[1] >= CLUSTER * len(points)


@dataclass(frozen=True)
class KernelRegression:
    """Ridge regression with a Gaussian kernel; length and penalty minimize the leave-one-out error.

    Of more than 200 samples, so many carry a kernel (the Nystrom approximation).

    Attributes
    ----------
    centres : array, shape (n_centres, rank)
        Coordinates of the samples that carry a kernel, divided by the largest standard deviation.
    mean : array, shape (n_features,)
        Mean of the targets.
    weights : array, shape (n_centres, n_features)
        Weights of the kernels.
    left_out : array, shape (n_samples, n_features)
        Prediction of each sample by the others.
    left_out_error : float
        Its mean squared error.
    scale, length : float
        What coordinates are divided by; standard deviation of the kernel in these units.
    lowest, highest : array, shape (rank,)
        The learned range. A kernel regression falls to the mean outside, where samples are furthest from it.
    """

    centres: NDArray
    mean: NDArray
    weights: NDArray
    left_out: NDArray
    left_out_error: float
    scale: float
    length: float
    lowest: NDArray
    highest: NDArray

    @classmethod
    def of(cls, coordinates: NDArray, targets: NDArray) -> Self:
        """Learn targets (n_samples, n_features) from coordinates (n_samples, rank)."""
        scale = float(coordinates.std(axis=0).max(initial=0.0)) or 1.0
        points, mean = coordinates / scale, targets.mean(axis=0)
        some = np.linspace(0, len(points) - 1, CENTRES if len(points) > WORTH_CENTRES else len(points)).astype(int)
        centres, centred = points[some], targets - mean
        ridges = np.array(RIDGES)
        best_error, best_length, best = np.inf, 1.0, (centred, np.zeros((len(centres), targets.shape[1])))
        far, near = cdist(points, centres, "sqeuclidean"), cdist(centres, centres, "sqeuclidean")
        for length in LENGTHS:
            if length < SHORTEST.get(coordinates.shape[1], 0.4):
                continue
            values, vectors = eigh(gaussian(near, length**2))
            kept = values > ROUNDING * values[-1]
            basis = vectors[:, kept] / np.sqrt(values[kept])
            if len(centres) == len(points):
                values, vectors = values[kept], np.eye(int(kept.sum()))
                features = basis * values
            else:
                features = gaussian(far, length**2) @ basis
                values, vectors = eigh(features.T @ features)
                features = features @ vectors
            values = np.maximum(values, 0.0)[:, None]
            along = features.T @ centred
            leverage = np.minimum(np.square(features) @ (1.0 / (values + ridges)), 1 - 1e-9)
            for ridge, own in zip(ridges, leverage.T, strict=True):
                weights = along / (values + ridge)
                errors = (centred - features @ weights) / (1.0 - own)[:, None]
                error = float(np.square(errors).mean())
                if error < best_error:
                    best_error, best_length = error, length
                    best = (centred - errors, basis @ (vectors @ weights))
        edges = points.min(axis=0), points.max(axis=0)
        return cls(centres, mean, best[1], best[0] + mean, best_error, scale, best_length, *edges)

    def __call__(self, coordinates: NDArray) -> NDArray:
        """Targets (n, n_features) at coordinates (n, rank); beyond the learned range, those at its edge."""
        points = np.clip(coordinates / self.scale, self.lowest, self.highest)
        return gaussian(cdist(points, self.centres, "sqeuclidean"), self.length**2) @ self.weights + self.mean


def sheets_of(points: NDArray, rank: int) -> list[Callable[[NDArray], NDArray]]:
    """Ways to give points (n_samples, n_dimensions) `rank` coordinates: the leading ones, and, of several, unrolled."""
    return [lambda x: x[:, :rank], *(Unrolled.each_of(points, rank, LIMITS) if points.shape[1] > 1 else [])]


def unrolled_scores(points: NDArray, targets: Sequence[NDArray], rank: int) -> NDArray | None:
    """Scores along a manifold, where they predict some targets better than as many linear coordinates do.

    Parameters
    ----------
    points : array, shape (n_samples, n_dimensions)
        Samples, the dimension of largest variance first.
    targets : sequence of array, shape (n_samples, n_features)
        What scores should predict, in units that can be compared.
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
