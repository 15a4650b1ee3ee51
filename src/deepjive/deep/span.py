"""Coordinates in the span of the samples: n numbers for a sample of p features, which keep all distances.

For samples X (n, p), the axes are the columns of X' (X X')^(-1/2) T, where T is a random rotation that is always the
same. Rounding hardly changes these axes, while principal axes of noise would differ from machine to machine. The
rotation makes the coordinates as similar to each other as features are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deepjive.deep.runtime.distributed import of_first_tensor

SMALLEST = 1e-10  # relative to the largest eigenvalue; smaller ones are rounding errors and duplicate samples
CHUNK = 4096  # features


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of a modality's samples, with the mean square that the features have.

    Attributes
    ----------
    axes : Tensor, (p, n)
        Axes; a sample times the axes gives its coordinates.
    varying : int
        Number of features that vary between samples.
    """

    axes: Tensor
    varying: int

    @classmethod
    def of(cls, x: Tensor) -> Coordinates:
        """Coordinates in the span of centred samples (n, p), the same in all processes.

        The axes are computed in double precision, for some of the features at a time.
        """
        n, p = x.shape
        gram = sum(
            (piece @ piece.T for piece in _double_pieces(x)), torch.zeros(n, n, dtype=torch.float64, device=x.device)
        )
        values, vectors = torch.linalg.eigh(gram)
        inverse = torch.where(values > SMALLEST * values[-1], values.clamp_min(1e-300).rsqrt(), 0.0)
        generator = torch.Generator().manual_seed(0)
        rotation, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
        weights = of_first_tensor((vectors * inverse) @ vectors.T @ rotation.to(x.device) * math.sqrt(n / p))
        axes = torch.cat([(piece.T @ weights).to(x.dtype) for piece in _double_pieces(x)])
        return cls(axes, int((x != x[:1]).any(0).sum()))

    def into(self, x: Tensor) -> Tensor:
        """The coordinates (m, n) of samples (m, p)."""
        return x @ self.axes

    def back(self, c: Tensor) -> Tensor:
        """The samples (m, p) with coordinates `c` (m, n)."""
        p, n = self.axes.shape
        return c @ self.axes.T * (p / n)


def _double_pieces(x: Tensor) -> Iterator[Tensor]:
    """The samples in double precision, for some of the features at a time."""
    return (piece.double() for piece in x.split(CHUNK, dim=1))
