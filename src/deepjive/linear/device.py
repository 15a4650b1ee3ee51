"""Large matrix products on the CPU by numpy, or on another device by torch.

torch is imported only for another device. All products are in float64, and all results are numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

NO_DEVICE = (
    "device={device!r} is not there: {reason}. Use device='cpu', or install a build of torch that supports the device."
)


def eigh(matrix: NDArray, device: str) -> tuple[NDArray, NDArray]:
    """Eigenvalues in increasing order, and eigenvectors, of a symmetric matrix.

    On a processor, the slower algorithm of LAPACK takes the place of the fast one where that fails.
    """
    if device == "cpu":
        try:
            return linalg.eigh(matrix, driver="evd", check_finite=False)
        except np.linalg.LinAlgError:
            return linalg.eigh(matrix, driver="ev")
    torch = _torch(device)
    values, vectors = torch.linalg.eigh(torch.as_tensor(matrix, device=device))
    return values.cpu().numpy(), vectors.cpu().numpy()


def accumulator(n: int, device: str) -> tuple[Callable[[NDArray, float], None], Callable[[], NDArray]]:
    """Return two functions: one adds a piece's Gram matrix to a total on a device, the other returns the total.

    The first function takes the values (n, width) and the factor by which earlier values have shrunk.
    """
    torch = None if device == "cpu" else _torch(device)
    total: Any = np.zeros((n, n), order="F") if torch is None else torch.zeros(n, n, dtype=torch.float64, device=device)

    def add(values: NDArray, shrink: float) -> None:
        nonlocal total
        if shrink != 1.0:
            total *= shrink**2
        if torch is None:
            total = linalg.blas.dsyrk(1.0, values.T, beta=1.0, c=total, trans=1, lower=1, overwrite_c=1)
        else:
            on_device = torch.as_tensor(values, device=device)
            total += on_device @ on_device.T

    def fetch() -> NDArray:
        if torch is None:
            return np.tril(total) + np.tril(total, -1).T
        return total.cpu().numpy()

    return add, fetch


def multiplier(device: str) -> Callable[[NDArray, NDArray], NDArray]:
    """Return a function that multiplies two matrices on a device."""
    if device == "cpu":
        return np.matmul
    torch = _torch(device)

    def multiply(a: NDArray, b: NDArray) -> NDArray:
        product = torch.as_tensor(a, device=device) @ torch.as_tensor(b, device=device)
        return product.cpu().numpy()

    return multiply


def _torch(device: str) -> Any:
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(NO_DEVICE.format(device=device, reason=error)) from error
    return torch
