"""Moving average of the weights along training, which is what is validated and kept.

Each step of Adam moves the weights by its noise as much as towards the optimum; the average of the last steps has the
direction without most of the noise. Source: Polyak and Juditsky (1992), "Acceleration of stochastic approximation by
averaging"; exponential weights as is usual for networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class MovingAverage:
    """Exponential moving average of a module's weights.

    Parameters
    ----------
    module : nn.Module
        Whose weights are averaged.
    decay : float
        Weight of the past at each step, in [0, 1); less at the start, when there is little past. 0 averages nothing.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights: list[torch.Tensor] = list(module.parameters())
        self.average = [weight.detach().clone() for weight in self.weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, self.weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has its average weights while the context lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.average, strict=True):
            weight.data, average.data = average.data, weight.data
