"""Singular value decomposition that does not fail where LAPACK's fast algorithm does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg


def thin_svd(matrix: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return left singular vectors (n, k), singular values (k,) and right ones (k, p), with k = min(n, p).

    The fast algorithm of LAPACK (divide and conquer) fails on a few matrices; the slower one then takes its place.

    Parameters
    ----------
    matrix : array, shape (n, p)
        A matrix of finite numbers.

    Raises
    ------
    ValueError
        If it has infinite or missing values.

    Examples
    --------
    >>> left, values, right = thin_svd(np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]))
    >>> left.shape, values.tolist(), right.shape
    ((3, 2), [4.0, 3.0], (2, 2))
    """
    try:
        left, values, right = linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        left, values, right = linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return left, values, right
