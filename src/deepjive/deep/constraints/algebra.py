"""Random Fourier features, and Cholesky factors that do not wait for the device.

With random Fourier features a linear regression fits curves. Source: Rahimi and Recht (2007), "Random features for
large-scale kernel machines".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BANDWIDTH = 1.5  # of standardized inputs: a cosine completes a period over about four standard deviations


class FourierFeatures:
    """Inputs, and cosines of random linear combinations of the inputs.

    Parameters
    ----------
    inputs : int
        Number of inputs, at least one. Inputs are expected to be standardized.
    cosines : int
        Number of cosines.
    device : torch.device
        Device of the inputs.
    generator : torch.Generator or None, default=None
        Source of the random combinations and phases, on any device; None uses torch's own generator.
    """

    def __init__(
        self, inputs: int, cosines: int, device: torch.device, generator: torch.Generator | None = None
    ) -> None:
        drawn_on = device if generator is None else generator.device
        directions = torch.randn(inputs, cosines, device=drawn_on, generator=generator).to(device)
        self.directions = directions * (BANDWIDTH / math.sqrt(inputs))
        self.phases = torch.rand(cosines, device=drawn_on, generator=generator).to(device) * (2 * math.pi)

    def angles(self, x: Tensor) -> Tensor:
        """The numbers (n, cosines) whose cosines are taken, of inputs (n, inputs)."""
        return torch.addmm(self.phases, x, self.directions)

    def __call__(self, x: Tensor) -> Tensor:
        """Features (n, inputs + cosines) of inputs (n, inputs)."""
        return torch.cat([x, torch.cos(self.angles(x)) * math.sqrt(2.0)], dim=1)


def cholesky(matrix: Tensor) -> Tensor:
    """Lower Cholesky factor of a symmetric matrix; NaN where the matrix is not positive definite.

    A loss computed from the factor is then NaN too, and training reports it. `torch.linalg.cholesky` would raise an
    error instead, and for that it would wait for the GPU in every step.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return torch.where(failed > 0, torch.nan, factor)
