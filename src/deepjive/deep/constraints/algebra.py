"""Linear algebra that does not wait for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def cholesky(matrix: Tensor) -> Tensor:
    """The lower triangular root of a symmetric matrix; NaN where there is none, which a loss then is too."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return torch.where(failed > 0, torch.nan, factor)
