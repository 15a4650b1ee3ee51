"""Wide modalities: more features than samples are trained on in coordinates of what the samples span.

Samples x_1 ... x_n of p features lie in n dimensions, however large p is. Turned into coordinates of these, by axes
that are orthonormal, they keep all distances, so that an error is the same whether it is measured on features or on
coordinates; and a step of training costs n / p of what it did. Outside of these dimensions the data say nothing, and
what new samples have there is not looked at.

Layers that see features are made for coordinates before training, and turned into layers of features after it, so that
a fitted model is one of features like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deepjive.deep.model import Network
from deepjive.deep.networks import Decoder, Encoder, NoPart
from deepjive.deep.span import Coordinates

FEWEST_FEATURES = 2000
TIMES = 2  # as many features as samples, at least
MOST_SAMPLES = 4000  # whose eigenvectors take longer than they save


def coordinates_of(network: Network, x: Sequence[Tensor], rows: Sequence[Tensor]) -> dict[int, Coordinates]:
    """Coordinates of the modalities that are wide, and whose networks are deepjive's own perceptrons or linear maps.

    Parameters
    ----------
    network : Network
        The network.
    x : sequence of Tensor, each (n, *shape)
        All samples of each modality, centred and scaled.
    rows : sequence of Tensor of int
        The samples that have each modality. Validation samples are among them, whose error would lack what lies outside
        of the axes of the others.
    """
    wide = [k for k, one in enumerate(x) if _is_wide(one.shape, len(rows[k])) and _is_plain(network, k)]
    return {k: Coordinates.of(x[k][rows[k]]) for k in wide}


@torch.no_grad()
def narrow(network: Network, coordinates: Mapping[int, Coordinates]) -> None:
    """Make the layers that see features layers of coordinates, with new random weights."""
    for k, one in coordinates.items():
        for module in _modules(network, k):
            if isinstance(module, Encoder):
                for layer in module.sample_layers:
                    _replace(layer, nn.Linear(one.axes.shape[1], layer.out_features))
            elif isinstance(module, Decoder):
                for layer in module.sample_layers:
                    made = nn.Linear(layer.in_features, one.axes.shape[1])
                    if not layer.weight.any():
                        nn.init.zeros_(made.weight)
                        nn.init.zeros_(made.bias)
                    _replace(layer, made)
            if isinstance(module, (Decoder, NoPart)):
                module.reshape((one.axes.shape[1],))
    network.coordinates = dict(coordinates)


@torch.no_grad()
def widen(network: Network) -> None:
    """Turn layers of coordinates into the layers of features that do the same."""
    for k, one in network.coordinates.items():
        for module in _modules(network, k):
            if isinstance(module, Encoder):
                for layer in module.sample_layers:
                    _set(layer, layer.weight @ one.axes.T, layer.bias)
            elif isinstance(module, Decoder):
                for layer in module.sample_layers:
                    _set(layer, one.back(layer.weight.T).T, one.back(layer.bias[None])[0])
            if isinstance(module, (Decoder, NoPart)):
                module.reshape((len(one.axes),))
    network.coordinates = {}


def _is_wide(shape: Sequence[int], n: int) -> bool:
    return len(shape) == 2 and n <= MOST_SAMPLES and shape[1] >= max(FEWEST_FEATURES, TIMES * n)


def _is_plain(network: Network, k: int) -> bool:
    """Whether the networks of a modality are not the user's own, and have no convolutions."""
    modules = [module for module in _modules(network, k) if isinstance(module, (Encoder, Decoder))]
    return network.built[k] and all(module.sample_layers for module in modules)


def _modules(network: Network, k: int) -> list[nn.Module]:
    parts = network.joint_encoders, network.joint_decoders, network.individual_encoders, network.individual_decoders
    return [part[k] for part in parts]


def _replace(layer: nn.Linear, other: nn.Linear) -> None:
    _set(layer, other.weight.to(layer.weight.device), other.bias.to(layer.weight.device))


def _set(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    layer.out_features, layer.in_features = weight.shape
