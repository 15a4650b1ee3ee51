"""An encoder of digit images with two convolutions a level, where the library's has one.

The library's encoders halve space with every convolution, which keeps volumes affordable. Images of digits are small
enough for a convolution that keeps space before each that halves it: twice the time, and fewer errors.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn

from deepjive.deep.networks import zeroed

CHANNELS = (1, 16, 32, 64)
HIDDEN = 128


class DeeperEncoder(nn.Module):
    """Image to scores: a linear map plus a nonlinear correction that starts at zero.

    Parameters
    ----------
    shape : (int, int)
        Shape of an image.
    rank : int
        Number of scores.
    dropout : float
        Fraction of hidden units dropped in training.
    """

    def __init__(self, shape: tuple[int, ...], rank: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(shape), rank)
        layers: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
        for inputs, outputs in itertools.pairwise(CHANNELS):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GELU()]
            layers += [nn.Conv2d(outputs, outputs, 3, stride=2, padding=1), nn.GELU()]
        coarse = [math.ceil(size / 2 ** (len(CHANNELS) - 1)) for size in shape]
        layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(CHANNELS[-1] * math.prod(coarse), HIDDEN), nn.GELU()]
        self.correction = nn.Sequential(*layers, nn.Dropout(dropout), zeroed(nn.Linear(HIDDEN, rank)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *shape) to (batch, rank)."""
        return self.linear(x.flatten(1)) + self.correction(x)
