"""Random Fourier features, with which a linear regression follows curves.

Source: Rahimi and Recht (2007), "Random features for large-scale kernel machines".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BANDWIDTH = 1.5  # of standardized inputs: a cosine turns over about one standard deviation


class FourierFeatures:
    """Standardized inputs and cosines along random directions of them.

    Parameters
    ----------
    inputs, cosines : int
        Number of inputs d, at least one, and of cosines.
    device : torch.device
        Where inputs will be.
    generator : torch.Generator or None
        Draws directions and phases, wherever it lives; None is torch's own.
    """

    def __init__(
        self, inputs: int, cosines: int, device: torch.device, generator: torch.Generator | None = None
    ) -> None:
        drawn_on = device if generator is None else generator.device
        directions = torch.randn(inputs, cosines, device=drawn_on, generator=generator).to(device)
        self.directions = directions / math.sqrt(inputs) * BANDWIDTH
        self.phases = torch.rand(cosines, device=drawn_on, generator=generator).to(device) * 2 * math.pi

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, inputs + cosines)."""
        return torch.cat([x, math.sqrt(2.0) * torch.cos(x @ self.directions + self.phases)], dim=1)
