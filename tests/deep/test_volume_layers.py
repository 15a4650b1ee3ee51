"""Transposed convolutions of volumes on processors give what torch's own layers give."""

import pytest
import torch
from torch import nn

from deepjive.deep.networks import Decoder
from deepjive.deep.volume_layers import by_windows


@pytest.mark.parametrize("shape", [(2, 3, 2, 3, 4), (1, 2, 1, 1, 5)])
@pytest.mark.parametrize("outputs", [1, 3])
def test_windows_give_the_output_and_the_gradients_of_the_transposed_convolution(shape, outputs):
    torch.manual_seed(0)
    layer = nn.ConvTranspose3d(shape[1], outputs, 4, stride=2, padding=1).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    expected, made = layer(x), by_windows(layer, x)
    torch.testing.assert_close(made, expected)
    weights = torch.randn_like(expected)
    inputs = [x, layer.weight, layer.bias]
    torch.testing.assert_close(
        torch.autograd.grad(made, inputs, weights), torch.autograd.grad(expected, inputs, weights)
    )


def test_decoder_of_volumes_is_the_sequence_of_its_layers():
    torch.manual_seed(0)
    decoder = Decoder("conv", (9, 12, 10), 2).double()
    for weight in decoder.parameters():
        weight.data = torch.randn_like(weight) / 10
    z = torch.randn(3, 2, dtype=torch.float64)
    correction = decoder.correction
    expected = correction.layers(correction.head(z))[:, 0, :9, :12, :10]
    torch.testing.assert_close(correction(z), expected)
