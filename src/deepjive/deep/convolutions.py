"""Convolutions of images and volumes on processors, in the layout in which they are fastest.

Two changes make encoders and decoders faster, and change their output by rounding alone:

- **Layout**: channels are stored last, which suits the convolutions of oneDNN with few channels. Encoders of volumes
  gain nothing by it.
- **Windows**: a transposed convolution with kernel 4, stride 2 and padding 1 is slow if it has one output channel. Its
  outputs 2j - 1 and 2j along an axis depend on the inputs j - 1 and j alone. One convolution with kernel 2 therefore
  gives all outputs of each window as channels, and these channels are then moved to their places.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv3d

FEW_CHANNELS = 4  # of the output: fewer are faster by windows
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}

Transposed = nn.ConvTranspose2d | nn.ConvTranspose3d


def encoded(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Apply the layers of an encoder.

    Parameters
    ----------
    layers : nn.Sequential
        Convolutions and activations.
    x : Tensor, (batch, channels, *space)
        Signals, images or volumes.

    Returns
    -------
    Tensor
        What ``layers(x)`` returns, up to rounding.
    """
    is_image = x.dim() == 4 and x.device.type == "cpu"
    return layers(x.to(memory_format=torch.channels_last) if is_image else x)


def decoded(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Apply the layers of a decoder.

    Parameters
    ----------
    layers : nn.Sequential
        Transposed convolutions (kernel 4, stride 2, padding 1) and activations.
    x : Tensor, (batch, channels, *space)
        Signals, images or volumes.

    Returns
    -------
    Tensor, (batch, channels, *(2 * space))
        What ``layers(x)`` returns, up to rounding.
    """
    if x.device.type != "cpu" or x.dim() not in LAYOUTS:
        return layers(x)
    x = x.contiguous(memory_format=LAYOUTS[x.dim()])
    for layer in layers:
        is_narrow = isinstance(layer, Transposed) and layer.out_channels <= FEW_CHANNELS
        x = by_windows(cast(Transposed, layer), x) if is_narrow else layer(x)
    return x


def by_windows(layer: Transposed, x: Tensor) -> Tensor:
    """Apply a transposed convolution with kernel 4, stride 2 and padding 1 as a convolution with kernel 2.

    Parameters
    ----------
    layer : nn.ConvTranspose2d or nn.ConvTranspose3d
        The layer.
    x : Tensor, (batch, channels, *space)
        Images or volumes.

    Returns
    -------
    Tensor, (batch, out_channels, *(2 * space))
        What ``layer(x)`` returns, up to rounding.
    """
    inputs, outputs = layer.weight.shape[:2]
    n_axes = x.dim() - 2
    taps, halves = range(2, 2 + 2 * n_axes, 2), range(3, 3 + 2 * n_axes, 2)
    # along each axis the output 2j - 1 + e of window j has weight 2 + e from the input j - 1, and e from the input j
    by_tap = layer.weight.view(inputs, outputs, *[2] * (2 * n_axes)).flip(*taps)  # (..., tap, e) for each axis
    weight = by_tap.permute(1, *halves, 0, *taps).reshape(2**n_axes * outputs, inputs, *[2] * n_axes)
    convolution = conv2d if n_axes == 2 else conv3d
    windows = convolution(x, weight.contiguous(memory_format=LAYOUTS[x.dim()]), padding=1)
    space = windows.shape[2:]
    in_turn = [
        axis for pair in zip(range(2 + n_axes, 2 + 2 * n_axes), range(2, 2 + n_axes), strict=True) for axis in pair
    ]
    places = windows.view(len(x), outputs, *[2] * n_axes, *space).permute(0, 1, *in_turn)
    whole = places.reshape(len(x), outputs, *(2 * size for size in space))
    for axis in range(2, 2 + n_axes):
        whole = whole.narrow(axis, 1, whole.shape[axis] - 2)
    return whole if layer.bias is None else whole + layer.bias.view(-1, *[1] * n_axes)
