"""Family-wise error of a map by permutation: of the largest voxel, and of clusters of neighbouring voxels.

A cluster is a set of neighbouring voxels whose correlations have one sign and are beyond the threshold of p = 0.001 of
a single correlation. Its mass is the sum of how far they are beyond it. The p-value of a cluster is the share of
permutations whose heaviest cluster, of either sign, is at least as heavy; that of a voxel the share whose largest
correlation is at least as large. A significant cluster says that there is an effect somewhere in it, not that there is
one in each of its voxels. The threshold is the same in all permutations, so that it affects the power but not the
error.

References
----------
Nichols and Holmes 2002, Hum Brain Mapp 15:1 (largest statistic).
Bullmore et al. 1999, IEEE Trans Med Imaging 18:32 (mass of clusters).
Woo et al. 2014, NeuroImage 91:412 (thresholds of p = 0.001).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label
from scipy.stats import t as student_t

FORMING_P = 0.001
BATCH_VALUES = 4_000_000


class Clusters(NamedTuple):
    """Clusters of a map.

    Attributes
    ----------
    labels : array of int, shape of the map
        Number of the cluster of each voxel, from 1; 0 outside of clusters.
    mass : array, shape (n_clusters,)
        Mass of each cluster.
    """

    labels: NDArray[np.intp]
    mass: NDArray[np.float64]


def forming_threshold(n: int) -> float:
    """Return the correlation of n samples whose two-sided p-value is 0.001; 1 for fewer than 4 samples."""
    if n < 4:
        return 1.0
    value = student_t.isf(FORMING_P / 2, n - 2)
    return float(value / np.sqrt(n - 2 + value**2))


def clusters_of(correlation: NDArray, threshold: float) -> Clusters:
    """Find the clusters of a map of correlations, positive and negative ones apart.

    Parameters
    ----------
    correlation : array, shape of the map
        The map.
    threshold : float
        Correlation beyond which a voxel belongs to a cluster.

    Returns
    -------
    Clusters
        Voxels are neighbours if they share a face or an edge.

    Examples
    --------
    >>> found = clusters_of(np.array([[0.5, 0.6, 0.0], [0.0, 0.0, -0.9]]), 0.4)
    >>> found.labels.tolist(), found.mass.round(1).tolist()
    ([[1, 1, 0], [0, 0, 2]], [0.3, 0.5])
    """
    structure = generate_binary_structure(correlation.ndim, min(2, correlation.ndim))
    labels, count, masses = np.zeros(correlation.shape, dtype=np.intp), 0, []
    for sign in (1.0, -1.0):
        beyond = sign * correlation - threshold
        found, number = label(beyond > 0, structure)
        masses.append(np.bincount(found.ravel(), np.maximum(beyond, 0.0).ravel(), minlength=number + 1)[1:])
        labels = np.where(found > 0, found + count, labels)
        count += number
    return Clusters(labels, np.concatenate(masses))


def family_wise(
    x: NDArray, correlation: NDArray, permuted: NDArray, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute family-wise p-values of voxels and of clusters.

    Parameters
    ----------
    x : array, shape (n_samples, n_voxels)
        Standardized values.
    correlation : array, shape (n_voxels,)
        Their correlation with the score.
    permuted : array, shape (n_permutations, n_samples)
        Permuted standardized scores.
    shape : tuple of int
        Shape of the map.

    Returns
    -------
    family_p, cluster_p : array, shape of the map
    """
    threshold = forming_threshold(len(x))
    largest, heaviest = np.zeros(len(permuted)), np.zeros(len(permuted))
    size = max(1, BATCH_VALUES // max(x.shape[1], 1))
    for start in range(0, len(permuted), size):
        for row, values in enumerate(permuted[start : start + size] @ x / len(x), start):
            largest[row] = np.abs(values).max(initial=0.0)
            if largest[row] > threshold:
                heaviest[row] = clusters_of(values.reshape(shape), threshold).mass.max(initial=0.0)
    family_p = _shares(np.abs(correlation), largest)
    found = clusters_of(correlation.reshape(shape), threshold)
    of_cluster: NDArray[np.float64] = np.concatenate([[1.0], _shares(found.mass, heaviest)])
    return family_p.reshape(shape), of_cluster[found.labels]


def _shares(values: NDArray, null: NDArray) -> NDArray[np.float64]:
    """The share of null values that are at least as large, the observed ones among them."""
    ordered = np.sort(null)
    larger = len(null) - np.searchsorted(ordered, values - 1e-12, side="left")
    return np.asarray((1.0 + larger) / (1.0 + len(null)), dtype=np.float64)
