"""Wide modalities, which have more features than samples, are trained in coordinates of the samples' span.

Samples x_1 ... x_n of p features lie in n dimensions, however large p is. Coordinates in these dimensions, by
orthonormal axes, keep all distances. An error is then the same whether it is measured on features or on coordinates,
while a training step costs n / p as much. The training samples carry no information outside their span, so that the
model ignores what new samples have there.

Before training, layers that receive or return features are replaced by layers of coordinates. After training they are
turned into layers of features, so that a fitted model is a model of features like any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deepjive.deep.model import Network
from deepjive.deep.networks import Decoder, Encoder, NoPart
from deepjive.deep.span import Coordinates

FEWEST_FEATURES = 2000
FEATURES_PER_SAMPLE = 2  # at least
MOST_SAMPLES = 4000  # for more samples, the eigenvectors take longer than training in coordinates saves


def coordinates_of(network: Network, x: Sequence[Tensor], rows: Sequence[Tensor]) -> dict[int, Coordinates]:
    """Coordinates of the wide modalities, by index of the modality.

    A modality is left out where its networks are the user's own, or have convolutions.

    Parameters
    ----------
    network : Network
        The network.
    x : sequence of Tensor, each (n, *shape)
        All samples of each modality, centred and scaled.
    rows : sequence of Tensor of int
        The samples that have each modality. They include the validation samples: the axes of the other samples alone
        would leave out part of the validation error.
    """
    wide = [k for k, x_k in enumerate(x) if _is_wide(x_k.shape, len(rows[k])) and _is_plain(network, k)]
    return {k: Coordinates.of(x[k][rows[k]].flatten(1)) for k in wide}


@torch.no_grad()
def narrow(network: Network, coordinates: Mapping[int, Coordinates]) -> None:
    """Replace layers of features by layers of coordinates, with new random weights.

    Parameters
    ----------
    network : Network
        The network, changed in place.
    coordinates : mapping of int to Coordinates
        Coordinates by index of the modality.
    """
    for k, span in coordinates.items():
        for module in _modules(network, k):
            if isinstance(module, Encoder):
                for layer in module.sample_layers:
                    _replace(layer, nn.Linear(span.axes.shape[1], layer.out_features))
            elif isinstance(module, Decoder):
                for layer in module.sample_layers:
                    narrow_layer = nn.Linear(layer.in_features, span.axes.shape[1])
                    if not layer.weight.any():
                        nn.init.zeros_(narrow_layer.weight)
                        nn.init.zeros_(narrow_layer.bias)
                    _replace(layer, narrow_layer)
            if isinstance(module, (Decoder, NoPart)):
                module.reshape((span.axes.shape[1],))
    network.coordinates = dict(coordinates)


@torch.no_grad()
def widen(network: Network, shapes: Sequence[tuple[int, ...]]) -> None:
    """Turn layers of coordinates into equivalent layers of features.

    Parameters
    ----------
    network : Network
        The network, changed in place.
    shapes : sequence of tuple of int
        Sample shape of each modality.
    """
    for k, span in network.coordinates.items():
        for module in _modules(network, k):
            if isinstance(module, Encoder):
                for layer in module.sample_layers:
                    _set(layer, layer.weight @ span.axes.T, layer.bias)
            elif isinstance(module, Decoder):
                for layer in module.sample_layers:
                    _set(layer, span.back(layer.weight.T).T, span.back(layer.bias[None])[0])
            if isinstance(module, (Decoder, NoPart)):
                module.reshape(shapes[k])
    network.coordinates = {}


def _is_wide(shape: Sequence[int], n: int) -> bool:
    return n <= MOST_SAMPLES and math.prod(shape[1:]) >= max(FEWEST_FEATURES, FEATURES_PER_SAMPLE * n)


def _is_plain(network: Network, k: int) -> bool:
    """Whether the networks of modality k are deepjive's own perceptrons or linear maps."""
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
