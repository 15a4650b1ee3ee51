"""Moving average of the weights in training; the average is validated and kept.

A step of Adam moves the weights by its noise as much as towards the optimum. The average over the last steps keeps the
direction without most of the noise.

References
----------
Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging". Exponential weights are usual for
networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class MovingAverage:
    """Exponential moving average of weights.

    Parameters
    ----------
    weights : sequence of Tensor
        The weights, which change in place.
    decay : float
        Weight of the past at each step, in [0, 1). It is lower in the first steps, when there is little past. 0 gives
        the latest weights.
    """

    def __init__(self, weights: Sequence[Tensor], decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights = [weight.detach() for weight in weights]
        self.average = [weight.clone() for weight in self.weights]

    @torch.no_grad()
    def update(self) -> None:
        """Include the present weights in the average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, self.weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set the weights to their average within the context."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.average, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
