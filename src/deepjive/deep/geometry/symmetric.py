"""Eigenvectors of symmetric matrices, and Gaussian kernels of which they can be computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

NEGLIGIBLE = 1e-16  # below rounding beside the kernel's diagonal of 1


def eigh(matrix: NDArray) -> tuple[NDArray, NDArray]:
    """Eigenvalues (n,), in increasing order, and eigenvectors (n, n) of a symmetric matrix.

    The fast algorithm of LAPACK (divide and conquer) fails on a few matrices; the slower one then takes its place.
    """
    try:
        return np.linalg.eigh(matrix)
    except np.linalg.LinAlgError:
        values, vectors = linalg.eigh(matrix, driver="ev")
        return values, vectors


def gaussian(squared_distances: NDArray, variance: float) -> NDArray:
    """Gaussian kernel of squared distances; what is smaller than rounding is 0.

    Entries of 1e-30 and less make LAPACK's fast algorithm fail.
    """
    kernel = np.exp(squared_distances / (-2.0 * variance))
    kernel[kernel < NEGLIGIBLE] = 0.0
    return kernel
