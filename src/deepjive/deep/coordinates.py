"""Wide modalities: more features than samples are trained on in coordinates of what the samples span.

Samples x_1 ... x_n of p features lie in n dimensions, however large p is. Turned into coordinates of these, by axes
that are orthonormal, they keep all distances, so that an error is the same whether it is measured on features or on
coordinates; and a step of training costs n / p of what it did. Outside of these dimensions the data say nothing, and
what new samples have there is not looked at.

Layers that see features are made for coordinates before training, and turned into layers of features after it, so that
a fitted model is one of features like any other.

The axes are X' (X X')^(-1/2) T, with a random turn T that is the same every time: a function of the data that rounding
hardly changes, where principal axes of noise would come out otherwise on every machine; and, being turned, coordinates
are as alike as features are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepjive.deep.model import Network
from deepjive.deep.networks import Decoder, Encoder, NoPart, NoScores

FEWEST_FEATURES = 2000
TIMES = 2  # as many features as samples, at least
SMALLEST = 1e-6  # of the largest eigenvalue


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of a modality's samples, of mean square 1 where features are.

    Attributes
    ----------
    into : Tensor, (p, n)
        What samples are multiplied by to have their coordinates.
    back : Tensor, (n, p)
        What coordinates are multiplied by to have the samples again.
    varying : int
        Number of features that vary.
    """

    into: Tensor
    back: Tensor
    varying: int

    @classmethod
    def of(cls, x: Tensor) -> Coordinates:
        """Of centred samples (n, p)."""
        n, p = x.shape
        values, vectors = torch.linalg.eigh((x @ x.T).double())
        inverse = torch.where(values > SMALLEST * values[-1], values.clamp_min(1e-300).rsqrt(), 0.0)
        generator = torch.Generator().manual_seed(0)
        turn, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
        axes = x.T @ ((vectors * inverse) @ vectors.T @ turn.to(x.device)).to(x.dtype)
        factor = math.sqrt(n / p)
        return cls(axes * factor, axes.T / factor, int((x != x[:1]).any(0).sum()))


def coordinates_of(network: Network, samples: Mapping[int, Tensor]) -> dict[int, Coordinates]:
    """Coordinates of the modalities that are wide, and whose networks are linear maps and perceptrons of deepjive's.

    Parameters
    ----------
    network : Network
        The network.
    samples : mapping of int to Tensor, (n, *shape)
        All samples of each modality that have it, centred and scaled.
    """
    return {k: Coordinates.of(x) for k, x in samples.items() if _is_wide(x) and _is_plain(_modules(network, k))}


@torch.no_grad()
def narrow(network: Network, coordinates: Mapping[int, Coordinates]) -> None:
    """Make the layers that see features layers of coordinates, with new random weights."""
    for k, one in coordinates.items():
        for module in _modules(network, k):
            if isinstance(module, Encoder):
                for layer in module.sample_layers:
                    _replace(layer, nn.Linear(one.into.shape[1], layer.out_features))
            elif isinstance(module, Decoder):
                for layer in module.sample_layers:
                    made = nn.Linear(layer.in_features, one.into.shape[1])
                    if not layer.weight.any():
                        nn.init.zeros_(made.weight)
                        nn.init.zeros_(made.bias)
                    _replace(layer, made)
            if isinstance(module, (Decoder, NoPart)):
                module.reshape((one.into.shape[1],))
    network.coordinates = dict(coordinates)


@torch.no_grad()
def widen(network: Network) -> None:
    """Turn layers of coordinates into the layers of features that do the same."""
    for k, one in network.coordinates.items():
        for module in _modules(network, k):
            if isinstance(module, Encoder):
                for layer in module.sample_layers:
                    _set(layer, layer.weight @ one.into.T, layer.bias)
            elif isinstance(module, Decoder):
                for layer in module.sample_layers:
                    _set(layer, one.back.T @ layer.weight, layer.bias @ one.back)
            if isinstance(module, (Decoder, NoPart)):
                module.reshape((one.back.shape[1],))
    network.coordinates = {}


def _is_wide(x: Tensor) -> bool:
    return x.dim() == 2 and x.shape[1] >= max(FEWEST_FEATURES, TIMES * len(x))


def _is_plain(modules: list[nn.Module]) -> bool:
    known = all(isinstance(module, (Encoder, Decoder, NoScores, NoPart)) for module in modules)
    return known and all(module.sample_layers for module in modules if isinstance(module, (Encoder, Decoder)))


def _modules(network: Network, k: int) -> list[nn.Module]:
    parts = network.joint_encoders, network.joint_decoders, network.individual_encoders, network.individual_decoders
    return [part[k] for part in parts]


def _replace(layer: nn.Linear, other: nn.Linear) -> None:
    _set(layer, other.weight.to(layer.weight.device), other.bias.to(layer.weight.device))


def _set(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    layer.out_features, layer.in_features = weight.shape
