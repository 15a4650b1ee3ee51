"""The dimension of the manifold on which samples lie.

A curved manifold fills many linear dimensions and often closes on itself there, so that no few coordinates describe
all of it. Each small piece of the manifold is flat: the number of samples within a distance grows with a power of that
distance, and the power is the manifold's dimension. Noise hides this between near samples. The dimension is therefore
estimated between diffusion coordinates, in which noise is averaged away: the slowest modes of a random walk from sample
to near sample.

    dimension = median over samples of (k - 2) / sum_{j < k} log(T_k / T_j),   T_j the distance to the j-th nearest

Whether samples are curved at all is decided by permutation of each linear coordinate, all scaled to the same variance.
Independent coordinates have all their dimensions. Samples are curved if they have clearly fewer.

References
----------
Levina and Bickel (2004), Maximum likelihood estimation of intrinsic dimension, NeurIPS 17.
Coifman and Lafon (2006), Diffusion maps, Applied and Computational Harmonic Analysis 21.
Zelnik-Manor and Perona (2004), Self-tuning spectral clustering, NeurIPS 17: the width of the steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from scipy.spatial.distance import cdist

from deepjive.deep.geometry.symmetric import eigh

NEIGHBOUR = 12  # its distance is a sample's step
COUNTED = 16  # a sixteenth of the samples count as near: distances of fewer are noise
FEWEST = 40
ALONE = 1e-10  # a sample whose weights are this small, relative to those of others, is far from all others
MODES = 6
STRAIGHT = 0.75  # of the dimension of independent coordinates
STRAIGHT_PLANE = 0.88  # of two: a noisy curve fills a plane more than a space


def sheet_dimension(points: NDArray, seed: int) -> int:
    """Dimension of the manifold on which points (n_samples, n_dimensions) lie; all dimensions if it is not curved."""
    n_dimensions = points.shape[1]
    if n_dimensions < 2 or len(points) < FEWEST:
        return n_dimensions
    rng = np.random.default_rng(seed)
    equal = points / np.maximum(points.std(axis=0), 1e-300)
    independent = np.stack([rng.permutation(column) for column in equal.T], axis=1)
    apart, together = (local_dimension(diffusion_coordinates(x)) for x in (independent, equal))
    if together > (STRAIGHT_PLANE if n_dimensions == 2 else STRAIGHT) * apart:
        return n_dimensions
    return min(n_dimensions, max(1, round(local_dimension(diffusion_coordinates(points)))))


def local_dimension(points: NDArray) -> float:
    """Maximum likelihood estimate from each sample's nearest neighbours, the median over samples."""
    n_near = max(NEIGHBOUR, len(points) // COUNTED)
    near = np.sort(np.partition(cdist(points, points), n_near, axis=1)[:, : n_near + 1], axis=1)[:, 1:]
    near = np.maximum(near, 1e-12 * near.max())
    return float(np.median((n_near - 2) / np.maximum(np.log(near[:, -1:] / near).sum(axis=1), 1e-12)))


def diffusion_coordinates(points: NDArray) -> NDArray:
    """The six slowest modes of a random walk between points (n_samples, n_dimensions), each of variance 1."""
    n = len(points)
    distances = cdist(points, points)
    step = np.maximum(np.partition(distances, NEIGHBOUR, axis=1)[:, NEIGHBOUR], 1e-12 * distances.max())
    weights = np.exp(-np.square(distances) / np.outer(step, step))
    np.fill_diagonal(weights, 0.0)
    roots = np.sqrt(np.maximum(weights.sum(axis=1), 1e-300))
    modes = _leading(weights / np.outer(roots, roots), min(MODES + 1, n - 1))
    modes[roots < ALONE * roots.max()] = 0.0  # the rounding error of a mode, divided by almost nothing
    coordinates = (modes / roots[:, None])[:, -2::-1]
    return coordinates / np.maximum(coordinates.std(axis=0), 1e-300)


def _leading(symmetric: NDArray, count: int) -> NDArray:
    """Eigenvectors (n, count) of the largest eigenvalues of a symmetric matrix (n, n), the largest last."""
    start = np.random.default_rng(0).normal(size=len(symmetric))
    try:
        values, vectors = eigsh(symmetric, count, which="LA", v0=start, ncv=min(len(symmetric), 6 * count), tol=1e-8)
        return vectors[:, np.argsort(values)]
    except ArpackNoConvergence:  # several almost equal eigenvalues
        return eigh(symmetric)[1][:, -count:]
