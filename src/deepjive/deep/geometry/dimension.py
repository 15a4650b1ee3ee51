"""How many dimensions the sheet has on which samples lie.

A sheet that bends fills many linear dimensions, and often closes on itself there, so that no few coordinates describe
all of it. Each small piece of it is flat all the same, and the number of samples within a distance grows with that
distance's power of the sheet's dimension. Noise hides this among near samples, so it is asked where noise is averaged
away: between diffusion coordinates, the slowest modes of a random walk from sample to near sample.

    dimension = median over samples of (k - 2) / sum_{j < k} log(T_k / T_j),   T_j the distance to the j-th nearest

What is not bent needs no counting. It is told by permuting each linear coordinate by itself, all scaled to the same
variance: independent coordinates have all their dimensions, and a sheet is bent if it has clearly fewer than they.

Sources: Levina and Bickel (2004), "Maximum likelihood estimation of intrinsic dimension"; Coifman and Lafon (2006),
"Diffusion maps"; Zelnik-Manor and Perona (2004), "Self-tuning spectral clustering", for the width of the steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.spatial.distance import cdist

NEIGHBOUR = 12  # whose distance is a sample's step
COUNTED = 16  # a sixteenth of the samples count as near: nearer ones are told apart by noise
FEWEST = 40
MODES = 6
STRAIGHT = 0.75  # of the dimension of independent coordinates


def sheet_dimension(points: NDArray, seed: int) -> int:
    """Dimension of the sheet on which points (n_samples, n_dimensions) lie; all dimensions if it is not bent."""
    n_dimensions = points.shape[1]
    if n_dimensions < 2 or len(points) < FEWEST:
        return n_dimensions
    rng = np.random.default_rng(seed)
    equal = points / np.maximum(points.std(axis=0), 1e-300)
    independent = np.stack([rng.permutation(column) for column in equal.T], axis=1)
    apart, together = (local_dimension(diffusion_coordinates(x)) for x in (independent, equal))
    if together > STRAIGHT * apart:
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
    roots = np.sqrt(np.maximum(weights.sum(axis=1), 1e-300))  # a sample far from all others has no weights
    _, modes = linalg.eigh(weights / np.outer(roots, roots), subset_by_index=[n - min(MODES + 1, n), n - 1])
    coordinates = (modes / roots[:, None])[:, -2::-1]
    return coordinates / np.maximum(coordinates.std(axis=0), 1e-300)
