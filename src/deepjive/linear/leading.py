"""A few leading eigenvectors of a large positive semidefinite matrix, of which only products are needed.

A block of vectors ``Q`` is multiplied by the matrix several times. The Rayleigh-Ritz vectors of the Krylov space
``[Q, A Q, A^2 Q, ..]`` are the next block, until every wanted pair satisfies

    |A v - theta v| <= tolerance theta_1.

The eigenvectors of a similar matrix are a good first block: few products are then needed.

Sources:

- Golub and Van Loan 2013, Matrix Computations, 4th edition, sections 8.2.4 and 10.3.6 (block Lanczos).
- Saad 2011, Numerical Methods for Large Eigenvalue Problems, revised edition, section 6.4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

TOLERANCE = 1e-12
EXTRA = 6
DEPTHS = (4, 4, 6, 8, 10, 12)
SMALL = 300
EPS = float(np.finfo(np.float64).eps)

Product = Callable[[NDArray], NDArray]


def leading_eigenvectors(
    product: Product, size: int, rank: int, start: NDArray | None = None, tolerance: float = TOLERANCE
) -> tuple[NDArray, NDArray] | None:
    """Return the leading eigenvalues (in decreasing order) and eigenvectors of a positive semidefinite matrix.

    Parameters
    ----------
    product : callable
        Multiplies the matrix by vectors, shape (size, k), of any number k.
    size : int
        Number of rows of the matrix.
    rank : int
        Number of eigenvectors.
    start : array, shape (size, k), optional
        Vectors near the eigenvectors, such as those of a similar matrix. The default is random directions with a fixed
        seed.
    tolerance : float, default=1e-12
        Largest residual of a wanted pair, relative to the largest eigenvalue.

    Returns
    -------
    values, vectors : array, shape (rank,), and array, shape (size, rank); or None
        None if the iterations do not converge, or would cost more than a full decomposition of the matrix.
    """
    width = rank + EXTRA
    if size < SMALL or 2 * DEPTHS[-1] * width > size:
        return None
    block = np.random.default_rng(0).standard_normal((size, width))
    if start is not None:
        known = start[:, :width]
        block[:, : known.shape[1]] = known
    block, n_multiplied, error = _orthonormal(block), 0, np.inf
    for depth in DEPTHS:
        values, vectors, errors = _ritz_pairs(product, block, depth)
        if values[0] <= 0.0:
            return None
        error_before, error = error, float(errors[:rank].max()) / values[0]
        if error <= tolerance:
            return values[:rank], np.ascontiguousarray(vectors[:, :rank])
        n_multiplied += depth * width
        steps_left = np.log(error / tolerance) / max(np.log(error_before / error), EPS)
        if n_multiplied + steps_left * depth * width > size / 4:  # a full decomposition costs about as much
            return None
        block = vectors[:, :width]
    return None


def _ritz_pairs(product: Product, block: NDArray, depth: int) -> tuple[NDArray, NDArray, NDArray]:
    """Ritz values, Ritz vectors and lengths of their residuals in the block's Krylov space."""
    basis, images = block, product(block)
    for _ in range(depth - 1):
        following = images[:, -block.shape[1] :]
        for _ in range(2):  # the second time removes what rounding errors leave, also where a product is 0
            following = _orthonormal(following - basis @ (basis.T @ following))
        basis, images = np.hstack([basis, following]), np.hstack([images, product(following)])
    projected = basis.T @ images
    values, rotation = linalg.eigh((projected + projected.T) / 2.0, check_finite=False)
    values, rotation = values[::-1], rotation[:, ::-1][:, : block.shape[1]]
    values = values[: block.shape[1]]
    vectors = basis @ rotation
    errors = np.linalg.norm(images @ rotation - vectors * values, axis=0)
    return values, vectors, errors


def _orthonormal(vectors: NDArray) -> NDArray:
    return np.asarray(linalg.qr(vectors, mode="economic", check_finite=False)[0])
