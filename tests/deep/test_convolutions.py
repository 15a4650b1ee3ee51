"""Convolutions of images and volumes on processors give what torch's own layers give."""

import pytest
import torch
from torch import nn

from deepjive.deep.convolutions import by_windows
from deepjive.deep.networks import Decoder, Encoder


@pytest.mark.parametrize("shape", [(2, 3, 2, 3, 4), (1, 2, 1, 1, 5), (2, 3, 4, 3), (1, 2, 1, 5)])
@pytest.mark.parametrize("outputs", [1, 3])
def test_windows_give_the_output_and_the_gradients_of_the_transposed_convolution(shape, outputs):
    torch.manual_seed(0)
    kind = nn.ConvTranspose2d if len(shape) == 4 else nn.ConvTranspose3d
    layer = kind(shape[1], outputs, 4, stride=2, padding=1).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    expected, made = layer(x), by_windows(layer, x)
    torch.testing.assert_close(made, expected)
    weights = torch.randn_like(expected)
    inputs = [x, layer.weight, layer.bias]
    torch.testing.assert_close(
        torch.autograd.grad(made, inputs, weights), torch.autograd.grad(expected, inputs, weights)
    )


@pytest.mark.parametrize("shape", [(9, 12, 10), (9, 12), (12,)])
def test_decoder_is_the_sequence_of_its_layers(shape):
    torch.manual_seed(0)
    decoder = Decoder("conv", shape, 2).double()
    for weight in decoder.parameters():
        weight.data = torch.randn_like(weight) / 10
    z = torch.randn(3, 2, dtype=torch.float64)
    correction = decoder.correction
    expected = correction.layers(correction.head(z))[(slice(None), 0, *map(slice, shape))]
    torch.testing.assert_close(correction(z), expected)


@pytest.mark.parametrize("shape", [(9, 12, 10), (9, 12), (3, 12, 9), (12,)])
def test_encoder_is_the_sequence_of_its_layers(shape):
    torch.manual_seed(0)
    encoder = Encoder("conv", shape, 2).double()
    for weight in encoder.parameters():
        weight.data = torch.randn_like(weight) / 10
    x = torch.randn(3, *shape, dtype=torch.float64)
    correction = encoder.correction
    expected = correction.head(correction.layers(correction.layout.channels_first(x)))
    torch.testing.assert_close(correction(x), expected)
