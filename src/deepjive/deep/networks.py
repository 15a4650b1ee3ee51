"""Encoders and decoders for vectors, signals, images and volumes, from one implementation.

A network is a linear map plus a nonlinear correction that starts at zero:

    encoder(x) = W x + f(x)          decoder(z) = z W + g(z)

A deep model so starts as the linear model, and never has to learn linearity. The corrections `f` and `g` are multilayer
perceptrons for vectors ("dense") and strided convolutions for arrays ("conv"). The kind "linear" has no corrections,
which makes an autoencoder a principal component analysis.

References
----------
Baldi and Hornik (1989), "Neural networks and principal component analysis: learning from examples without local
minima".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from deepjive.deep.convolutions import decoded, encoded
from deepjive.deep.dropout import Dropout

Kind = Literal["linear", "dense", "conv"]
Factory = Callable[[tuple[int, ...], int], nn.Module]
NetworkName = Literal["auto", "linear", "dense", "conv"]
NetworkChoice = NetworkName | tuple[Factory, Factory]

MAX_CHANNELS = 4
WIDEST = 256
WIDEST_OF_VOLUMES = 64  # weights of a volume are many, and volumes are few
FEW_VOLUMES = 1000
MOST_DENSE_VOXELS = 500_000  # about 0.5 GB of weights a modality
HIDDEN = 128  # units of the hidden layer between convolutions and scores

UNKNOWN_NETWORKS = (
    "networks is {given!r}, but must be one of {kinds}, a pair (encoder, decoder) of factories called with "
    "(shape, rank), or a dict of modality names to these."
)
NOT_A_FACTORY = (
    "networks holds a {kind}, which is a network, but a pair of functions that make networks is expected. Each one "
    "is called with (shape, rank), for every part of every modality, and returns a new torch module."
)
NOT_A_MODULE = "The function for the {role} of modality {name!r} returned a {kind}, but a torch module is expected."
UNKNOWN_MODALITY = "networks names {given}, but the modalities are {expected}. Name each of them."
FAILED_MODULE = (
    "The {role} made for modality {name!r} cannot be called with a batch of shape {given}: {kind}: {reason}. The "
    "factories are called with (shape, rank): an encoder maps (batch, *shape) to (batch, rank), a decoder maps (batch, "
    "rank) to (batch, *shape). Use the sizes that the factory is called with."
)
NOT_A_TENSOR = (
    "The {role} made for modality {name!r} returns a {kind}, but one tensor is expected. Return the output alone."
)
WRONG_OUTPUT = (
    "The {role} made for modality {name!r} turns a batch of shape {given} into shape {returned}, but {expected} is "
    "expected. The factories are called with (shape, rank): an encoder maps (batch, *shape) to (batch, rank), a "
    "decoder maps (batch, rank) to (batch, *shape)."
)
NO_CONVOLUTION = (
    "networks={given!r} convolves along at most 3 axes, besides one axis of at most 4 channels, but modality {name!r} "
    "has samples of shape {shape}. Use networks='dense' or 'linear' for this modality."
)


@dataclass(frozen=True)
class Layout:
    """The roles of a sample's axes: channels or space.

    Attributes
    ----------
    shape : tuple of int
        Shape of a sample.
    channel_axis : int or None
        The axis of the channels; None where there is none.
    """

    shape: tuple[int, ...]
    channel_axis: int | None

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 1 if self.channel_axis is None else self.shape[self.channel_axis]

    @property
    def space(self) -> tuple[int, ...]:
        """Lengths of the spatial axes."""
        return tuple(size for axis, size in enumerate(self.shape) if axis != self.channel_axis)

    def channels_first(self, x: Tensor) -> Tensor:
        """(batch, *shape) to (batch, channels, *space)."""
        return x.unsqueeze(1) if self.channel_axis is None else x.movedim(self.channel_axis + 1, 1)

    def restored(self, x: Tensor) -> Tensor:
        """(batch, channels, *space) to (batch, *shape)."""
        return x.squeeze(1) if self.channel_axis is None else x.movedim(1, self.channel_axis + 1)


def layout_of(shape: tuple[int, ...]) -> Layout:
    """The layout of a sample: a first or last axis of length at most 4 holds channels if all other axes are longer.

    Parameters
    ----------
    shape : tuple of int
        Shape of a sample.

    Examples
    --------
    >>> layout_of((28, 28)).channels, layout_of((3, 64, 64)).space, layout_of((64, 64, 3)).channels
    (1, (64, 64), 3)
    >>> layout_of((48, 64, 48)).space, layout_of((2, 500)).space
    ((48, 64, 48), (500,))
    """
    if len(shape) > 1:
        for axis in (0, len(shape) - 1):
            others = shape[1:] if axis == 0 else shape[:-1]
            if shape[axis] <= MAX_CHANNELS < min(others):
                return Layout(shape, axis)
    return Layout(shape, None)


class Flat(nn.Module):
    """Multilayer perceptron whose last layer starts at zero.

    Parameters
    ----------
    sizes : tuple of int
        Widths of the layers, from input to output.
    dropout : float
        Fraction of hidden units dropped in training.
    """

    def __init__(self, sizes: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes[:-1]):
            layers += [nn.Linear(inputs, outputs), nn.GELU(), Dropout(dropout)]
        self.layers = nn.Sequential(*layers, zeroed(nn.Linear(sizes[-2], sizes[-1])))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, sizes[0]) to (batch, sizes[-1])."""
        return self.layers(x)


class Encoder(nn.Module):
    """Network from a sample to scores: a linear map plus a nonlinear correction.

    Parameters
    ----------
    kind : {"linear", "dense", "conv"}
        Kind of the correction.
    shape : tuple of int
        Shape of a sample.
    rank : int
        Number of scores.
    dropout : float, default=0.0
        Fraction of hidden units dropped in training.
    """

    def __init__(self, kind: Kind, shape: tuple[int, ...], rank: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(shape), rank)
        self.correction: nn.Module | None = None
        if kind == "dense":
            self.correction = nn.Sequential(nn.Flatten(), Flat(_dense_sizes(shape, rank), dropout))
        elif kind == "conv":
            self.correction = _ConvEncoder(layout_of(shape), rank, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *shape) to (batch, rank)."""
        z = self.linear(x.flatten(1))
        return z if self.correction is None else z + self.correction(x)

    @property
    def sample_layers(self) -> list[nn.Linear]:
        """The linear layers whose input is a sample; empty for a network with convolutions."""
        return _sample_layers(self.linear, self.correction, 0)


class Decoder(nn.Module):
    """Network from scores to a sample: a linear map plus a nonlinear correction; parameters as of `Encoder`."""

    def __init__(self, kind: Kind, shape: tuple[int, ...], rank: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(rank, math.prod(shape))
        self.correction: nn.Module | None = None
        if kind == "dense":
            self.correction = nn.Sequential(Flat(_dense_sizes(shape, rank)[::-1], dropout), nn.Unflatten(1, shape))
        elif kind == "conv":
            self.correction = _ConvDecoder(layout_of(shape), rank, dropout)

    def forward(self, z: Tensor) -> Tensor:
        """(batch, rank) to (batch, *shape)."""
        x = self.linear(z).unflatten(1, self.shape)
        return x if self.correction is None else x + self.correction(z)

    @property
    def sample_layers(self) -> list[nn.Linear]:
        """The linear layers whose output is a sample; empty for a network with convolutions."""
        return _sample_layers(self.linear, self.correction, -1)

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Return samples of another shape from now on; `sample_layers` must return as many numbers."""
        self.shape = shape
        if isinstance(self.correction, nn.Sequential):
            self.correction[-1] = nn.Unflatten(1, shape)


class _ConvEncoder(nn.Module):
    """Strided convolutions, which halve space and double channels, and one hidden layer."""

    def __init__(self, layout: Layout, rank: int, dropout: float) -> None:
        super().__init__()
        self.layout = layout
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(layout.space) - 1]
        widths = _widths(layout)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((layout.channels, *widths), widths, strict=False):
            layers += [convolution(inputs, outputs, 3, stride=2, padding=1), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = Flat((widths[-1] * math.prod(_coarse(layout)), HIDDEN, rank), dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(encoded(self.layers, self.layout.channels_first(x)))


class _ConvDecoder(nn.Module):
    """`_ConvEncoder` in reverse, with transposed convolutions; the output is cropped to the sample's shape."""

    def __init__(self, layout: Layout, rank: int, dropout: float) -> None:
        super().__init__()
        self.layout = layout
        transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[len(layout.space) - 1]
        widths = _widths(layout)[::-1]
        coarse = _coarse(layout)
        self.head = nn.Sequential(
            nn.Linear(rank, HIDDEN),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(HIDDEN, widths[0] * math.prod(coarse)),
            nn.GELU(),
            nn.Unflatten(1, (widths[0], *coarse)),
        )
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [transposed(inputs, outputs, 4, stride=2, padding=1), nn.GELU()]
        layers.append(zeroed(transposed(widths[-1], layout.channels, 4, stride=2, padding=1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        x = decoded(self.layers, self.head(z))
        crop = (slice(None), slice(None), *(slice(size) for size in self.layout.space))
        return self.layout.restored(x[crop])


class NoScores(nn.Module):
    """The encoder of a part of rank 0."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) to (batch, 0)."""
        return x.new_zeros(len(x), 0)


class NoPart(nn.Module):
    """The decoder of a part of rank 0, which returns zeros."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        """(batch, 0) to (batch, *shape)."""
        return z.new_zeros(len(z), *self.shape)

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Return samples of another shape from now on."""
        self.shape = shape


class NetworkBuilder:
    """Builder of the encoders and decoders of one modality.

    Parameters
    ----------
    name : str
        Name of the modality, for errors.
    shape : tuple of int
        Shape of a sample.
    choice : {"auto", "linear", "dense", "conv"} or pair of callables
        Kind of the networks, or factories (encoder, decoder) that are called with (shape, rank).
    dropout : float
        Fraction of hidden units dropped in training.
    automatic : {"linear", "dense", "conv"}, default="dense"
        The kind that "auto" stands for; see `automatic_kind`.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], choice: NetworkChoice, dropout: float, automatic: Kind = "dense"
    ) -> None:
        self.name, self.shape, self.dropout = name, shape, dropout
        self.is_automatic = isinstance(choice, str) and choice == "auto"
        self.factories: tuple[Factory, Factory] | None = None
        self.kind: Kind | Literal["custom"] = "custom"
        if isinstance(choice, str) and choice in get_args(NetworkName):
            self.kind = automatic if choice == "auto" else choice
            if self.kind == "conv" and len(layout_of(shape).space) > 3:
                raise ValueError(NO_CONVOLUTION.format(given=choice, name=name, shape=shape))
        elif isinstance(choice, (tuple, list)) and len(choice) == 2 and all(callable(factory) for factory in choice):
            if modules := [type(factory).__name__ for factory in choice if isinstance(factory, nn.Module)]:
                raise TypeError(NOT_A_FACTORY.format(kind=modules[0]))
            self.factories = (choice[0], choice[1])
        else:
            raise ValueError(UNKNOWN_NETWORKS.format(given=choice, kinds=get_args(NetworkName)))

    def encoder(self, rank: int) -> nn.Module:
        """A new encoder, which maps (batch, *shape) to (batch, rank)."""
        if rank == 0:
            return NoScores()
        if self.factories is not None:
            return self._checked("encoder", self.factories[0](self.shape, rank), self.shape, (rank,))
        return Encoder(cast(Kind, self.kind), self.shape, rank, self.dropout)

    def decoder(self, rank: int) -> nn.Module:
        """A new decoder, which maps (batch, rank) to (batch, *shape)."""
        if rank == 0:
            return NoPart(self.shape)
        if self.factories is not None:
            return self._checked("decoder", self.factories[1](self.shape, rank), (rank,), self.shape)
        return Decoder(cast(Kind, self.kind), self.shape, rank, self.dropout)

    def _checked(self, role: str, module: Any, given: tuple[int, ...], expected: tuple[int, ...]) -> nn.Module:
        if not isinstance(module, nn.Module):
            raise TypeError(NOT_A_MODULE.format(role=role, name=self.name, kind=type(module).__name__))
        batch = torch.zeros(2, *given)
        try:
            with torch.no_grad():
                output = module(batch)
        except Exception as error:  # a module of the user may raise any error
            reason = " ".join(str(error).split())[:200].rstrip(".")
            kind = type(error).__name__
            failed = {"role": role, "name": self.name, "given": tuple(batch.shape), "kind": kind, "reason": reason}
            raise ValueError(FAILED_MODULE.format(**failed)) from error
        if not isinstance(output, torch.Tensor):
            raise TypeError(NOT_A_TENSOR.format(role=role, name=self.name, kind=type(output).__name__))
        returned = tuple(output.shape)
        if returned != (2, *expected):
            raise ValueError(
                WRONG_OUTPUT.format(
                    role=role, name=self.name, given=(2, *given), returned=returned, expected=(2, *expected)
                )
            )
        return module


def automatic_kind(shape: tuple[int, ...], n_samples: float = math.inf, in_memory: bool = True) -> Kind:
    """The kind of networks that "auto" stands for.

    It is "dense" for vectors, and "conv" for signals with channels and images. For volumes it is "conv" too, unless the
    volumes are fewer than `FEW_VOLUMES`, in memory and not very large. A perceptron is then trained in coordinates of
    the span of the samples (`deepjive.deep.training.coordinates`). This takes about a tenth of the time, and
    convolutions predict so few volumes no better (docs/networks.md).

    Parameters
    ----------
    shape : tuple of int
        Shape of a sample.
    n_samples : int, default=inf
        Number of samples.
    in_memory : bool, default=True
        Whether all samples are kept in memory.

    Examples
    --------
    >>> automatic_kind((500,), 100), automatic_kind((28, 28), 100)
    ('dense', 'conv')
    >>> automatic_kind((48, 64, 48), 300), automatic_kind((48, 64, 48), 3000)
    ('dense', 'conv')
    """
    if len(shape) == 1:
        return "dense"
    is_volume = len(layout_of(shape).space) == 3 and math.prod(shape) <= MOST_DENSE_VOXELS
    return "dense" if is_volume and in_memory and n_samples < FEW_VOLUMES else "conv"


def network_builders(
    shapes: Mapping[str, tuple[int, ...]],
    networks: Any,
    dropout: float,
    automatic: Mapping[str, Kind] | None = None,
) -> dict[str, NetworkBuilder]:
    """A network builder for each modality.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Sample shape of each modality.
    networks : choice, or mapping of str to choice
        A choice as of `NetworkBuilder`, for all modalities or for each.
    dropout : float
        Fraction of hidden units dropped in training.
    automatic : mapping of str to {"linear", "dense", "conv"}, optional
        The kind that "auto" stands for; by default that of very many samples.

    Raises
    ------
    ValueError
        If a choice or a modality is unknown.
    """
    if isinstance(networks, Mapping):
        if set(networks) != set(shapes):
            raise ValueError(UNKNOWN_MODALITY.format(given=list(networks), expected=list(shapes)))
    else:
        networks = dict.fromkeys(shapes, networks)
    kinds = automatic or {}
    return {
        name: NetworkBuilder(name, tuple(shape), networks[name], dropout, kinds.get(name, automatic_kind(shape)))
        for name, shape in shapes.items()
    }


def _sample_layers(linear: nn.Linear, correction: nn.Module | None, which: int) -> list[nn.Linear]:
    if correction is None:
        return [linear]
    flat = [module for module in correction.modules() if isinstance(module, Flat)]
    return [linear, cast(nn.Linear, flat[0].layers[which])] if isinstance(correction, nn.Sequential) else []


def _dense_sizes(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Widths of a perceptron: p features, the power of two nearest to p within 64 to 256, half of that, the rank.

    For volumes it is 64.
    """
    p = math.prod(shape)
    most = WIDEST_OF_VOLUMES if len(layout_of(shape).space) == 3 else WIDEST
    widest = min(most, max(64, 2 ** round(math.log2(p))))
    return (p, widest, widest // 2, rank)


def _levels(layout: Layout) -> int:
    """Number of times that space is halved, until its shortest axis is about 4: at most four times."""
    return min(4, max(1, round(math.log2(min(layout.space) / 4)) if min(layout.space) > 4 else 1))


def _widths(layout: Layout) -> tuple[int, ...]:
    """Number of channels at each level: 16, 32, 64, ... in one and two dimensions, half as many in three."""
    first = 8 if len(layout.space) == 3 else 16
    return tuple(first * 2**level for level in range(_levels(layout)))


def _coarse(layout: Layout) -> tuple[int, ...]:
    """Lengths of the spatial axes after all halvings."""
    return tuple(math.ceil(size / 2 ** _levels(layout)) for size in layout.space)


def zeroed(layer: Any) -> Any:
    """Set the weights of a layer to zero, so that its network starts linear, and return the layer."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
