"""Transposed convolutions of volumes on processors, in the layout in which they are fastest.

Two changes make the decoder of a volume several times faster, and change its output by rounding alone:

- **Layout**: channels are stored last, which suits the convolutions of oneDNN with few channels.
- **Windows**: a transposed convolution with kernel 4, stride 2 and padding 1 is slow if it has one output channel. Its
  outputs 2j - 1 and 2j depend on the inputs j - 1 and j alone. One convolution with kernel 2 therefore gives all eight
  outputs of each window as channels, and these channels are then moved to their places.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d

FEW_CHANNELS = 4  # of the output: fewer are faster by windows


def on_cpu(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Apply the layers of a decoder to volumes.

    Parameters
    ----------
    layers : nn.Sequential
        Transposed convolutions (kernel 4, stride 2, padding 1) and activations.
    x : Tensor, (batch, channels, depth, height, width)
        Volumes, on a processor.

    Returns
    -------
    Tensor, (batch, channels, 2 * depth, ...)
        What ``layers(x)`` returns, up to rounding.
    """
    x = x.contiguous(memory_format=torch.channels_last_3d)
    for layer in layers:
        is_narrow = isinstance(layer, nn.ConvTranspose3d) and layer.out_channels <= FEW_CHANNELS
        x = by_windows(cast(nn.ConvTranspose3d, layer), x) if is_narrow else layer(x)
    return x


def by_windows(layer: nn.ConvTranspose3d, x: Tensor) -> Tensor:
    """Apply a transposed convolution with kernel 4, stride 2 and padding 1 as a convolution with kernel 2.

    Parameters
    ----------
    layer : nn.ConvTranspose3d
        The layer.
    x : Tensor, (batch, channels, depth, height, width)
        Volumes.

    Returns
    -------
    Tensor, (batch, out_channels, 2 * depth, 2 * height, 2 * width)
        What ``layer(x)`` returns, up to rounding.
    """
    inputs, outputs = layer.weight.shape[:2]
    # along each axis the output 2j - 1 + e of window j has weight 2 + e from the input j - 1, and e from the input j
    by_tap = layer.weight.view(inputs, outputs, 2, 2, 2, 2, 2, 2).flip(2, 4, 6)  # (..., tap, e) for each axis
    weight = by_tap.permute(1, 3, 5, 7, 0, 2, 4, 6).reshape(8 * outputs, inputs, 2, 2, 2)
    windows = conv3d(x, weight.contiguous(memory_format=torch.channels_last_3d), padding=1)
    n, _, depth, height, width = windows.shape
    places = windows.view(n, outputs, 2, 2, 2, depth, height, width).permute(0, 1, 5, 2, 6, 3, 7, 4)
    whole = places.reshape(n, outputs, 2 * depth, 2 * height, 2 * width)[:, :, 1:-1, 1:-1, 1:-1]
    return whole if layer.bias is None else whole + layer.bias.view(-1, 1, 1, 1)
