"""The large products on the CPU, by numpy, or on a device of torch, which is imported only then.

Everything is float64 on either; what comes back is a numpy array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

NO_DEVICE = (
    "device={device!r} is not there: {reason}. Use device='cpu', or install a build of torch that knows the device."
)


def eigh(matrix: NDArray, device: str) -> tuple[NDArray, NDArray]:
    """Eigenvalues in increasing order, and eigenvectors, of a symmetric matrix."""
    if device == "cpu":
        return linalg.eigh(matrix, driver="evd", check_finite=False)
    torch = _torch(device)
    values, vectors = torch.linalg.eigh(torch.as_tensor(matrix, device=device))
    return values.cpu().numpy(), vectors.cpu().numpy()


def accumulator(n: int, device: str) -> tuple[Callable[[NDArray, float], None], Callable[[], NDArray]]:
    """Functions that add a piece's Gram matrix to a total on a device, after shrinking it, and that fetch the total."""
    torch = None if device == "cpu" else _torch(device)
    total: Any = np.zeros((n, n), order="F") if torch is None else torch.zeros(n, n, dtype=torch.float64, device=device)

    def add(values: NDArray, shrink: float) -> None:
        nonlocal total
        if shrink != 1.0:
            total *= shrink**2
        if torch is None:
            total = linalg.blas.dsyrk(1.0, values.T, beta=1.0, c=total, trans=1, lower=1, overwrite_c=1)
        else:
            placed = torch.as_tensor(values, device=device)
            total += placed @ placed.T

    def fetch() -> NDArray:
        if torch is None:
            return np.tril(total) + np.tril(total, -1).T
        return total.cpu().numpy()

    return add, fetch


def multiplier(device: str) -> Callable[[NDArray, NDArray], NDArray]:
    """A function that multiplies two matrices on a device."""
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
