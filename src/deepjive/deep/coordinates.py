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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepjive.deep.distributed import of_first_tensor
from deepjive.deep.model import Network
from deepjive.deep.networks import Decoder, Encoder, NoPart

FEWEST_FEATURES = 2000
TIMES = 2  # as many features as samples, at least
MOST_SAMPLES = 4000  # whose eigenvectors take longer than they save
SMALLEST = 1e-10  # of the largest eigenvalue; below it are rounding and samples that are there twice
CHUNK = 4096  # features


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of a modality's samples, of mean square 1 where features are.

    Attributes
    ----------
    axes : Tensor, (p, n)
        What samples are multiplied by to have their coordinates.
    varying : int
        Number of features that vary.
    """

    axes: Tensor
    varying: int

    @classmethod
    def of(cls, x: Tensor) -> Coordinates:
        """Of centred samples (n, p); in double precision, some features at a time, and the same in all processes."""
        n, p = x.shape
        gram = sum((piece @ piece.T for piece in _pieces(x)), torch.zeros(n, n, dtype=torch.float64, device=x.device))
        values, vectors = torch.linalg.eigh(gram)
        inverse = torch.where(values > SMALLEST * values[-1], values.clamp_min(1e-300).rsqrt(), 0.0)
        generator = torch.Generator().manual_seed(0)
        turn, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
        weights = of_first_tensor((vectors * inverse) @ vectors.T @ turn.to(x.device) * math.sqrt(n / p))
        axes = torch.cat([(piece.T @ weights).to(x.dtype) for piece in _pieces(x)])
        return cls(axes, int((x != x[:1]).any(0).sum()))

    def into(self, x: Tensor) -> Tensor:
        """Coordinates (m, n) of samples (m, p)."""
        return x @ self.axes

    def back(self, c: Tensor) -> Tensor:
        """Samples (m, p) that have the coordinates (m, n)."""
        p, n = self.axes.shape
        return c @ self.axes.T * (p / n)


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


def _pieces(x: Tensor) -> Iterator[Tensor]:
    """Samples in double precision, some features at a time."""
    return (piece.double() for piece in x.split(CHUNK, dim=1))


def _modules(network: Network, k: int) -> list[nn.Module]:
    parts = network.joint_encoders, network.joint_decoders, network.individual_encoders, network.individual_decoders
    return [part[k] for part in parts]


def _replace(layer: nn.Linear, other: nn.Linear) -> None:
    _set(layer, other.weight.to(layer.weight.device), other.bias.to(layer.weight.device))


def _set(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    layer.out_features, layer.in_features = weight.shape
