"""Coordinates in what samples span: n numbers for a sample of p features, with all distances kept.

The axes are X' (X X')^(-1/2) T, with a random turn T that is the same every time: a function of the data that rounding
hardly changes, where principal axes of noise would come out otherwise on every machine; and, being turned, coordinates
are as alike as features are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deepjive.deep.runtime.distributed import of_first_tensor

SMALLEST = 1e-10  # of the largest eigenvalue; below it are rounding and samples that are there twice
CHUNK = 4096  # features


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of a modality's samples, of mean square 1 where features are.

    Attributes
    ----------
    axes : Tensor, (p, n)
        What samples are multiplied by to have their coordinates.
    varying : int
        Number of features that vary.
    """

    axes: Tensor
    varying: int

    @classmethod
    def of(cls, x: Tensor) -> Coordinates:
        """Of centred samples (n, p); in double precision, some features at a time, and the same in all processes."""
        n, p = x.shape
        gram = sum((piece @ piece.T for piece in _pieces(x)), torch.zeros(n, n, dtype=torch.float64, device=x.device))
        values, vectors = torch.linalg.eigh(gram)
        inverse = torch.where(values > SMALLEST * values[-1], values.clamp_min(1e-300).rsqrt(), 0.0)
        generator = torch.Generator().manual_seed(0)
        turn, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
        weights = of_first_tensor((vectors * inverse) @ vectors.T @ turn.to(x.device) * math.sqrt(n / p))
        axes = torch.cat([(piece.T @ weights).to(x.dtype) for piece in _pieces(x)])
        return cls(axes, int((x != x[:1]).any(0).sum()))

    def into(self, x: Tensor) -> Tensor:
        """Coordinates (m, n) of samples (m, p)."""
        return x @ self.axes

    def back(self, c: Tensor) -> Tensor:
        """Samples (m, p) that have the coordinates (m, n)."""
        p, n = self.axes.shape
        return c @ self.axes.T * (p / n)


def _pieces(x: Tensor) -> Iterator[Tensor]:
    """Samples in double precision, some features at a time."""
    return (piece.double() for piece in x.split(CHUNK, dim=1))
