"""Batches of centred and scaled data on the device.

Data up to the memory limit are copied to the device once, and batches are selected by index. Larger data are read from
disk: while one batch is computed, a thread reads the next `AHEAD` batches, so that memory holds a few batches only.
Both ways give the same batches and therefore the same weights. There are two exceptions. Wide tables in memory are
trained in coordinates (`deepjive.deep.training.coordinates`). And the scale of data that are read in several blocks may
differ in the last bits (`deepjive.deep.training.first_pass`).

A thread reads the data rather than worker processes. Reading, decompressing and scaling release Python's lock, HDF5
files cannot be used after a fork, and a thread cannot be killed on its own.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepjive.data.chunks import BATCH_NUMBERS, row_batches
from deepjive.data.modalities import Modalities
from deepjive.data.readers.lazy import forget
from deepjive.decomposition import power_of_two
from deepjive.deep.runtime.distributed import number, processes, summed
from deepjive.deep.span import Coordinates
from deepjive.deep.training.coordinates import coordinates_of

if TYPE_CHECKING:
    from deepjive.deep.model import Network

AHEAD = 4
IN_CACHE = 2**15
LARGEST_SAMPLE = 1000  # samples, and of how many bytes together
LARGEST_BYTES = 2**27

USUAL = 1e-200, 1e200  # sums of squares in this range neither overflowed nor lost digits
FAR_FROM_FIT = (
    "Modality {name!r} contains the value {value:.3g}, which is too far from the fitted samples for single precision: "
    "their standard deviation is {scale:.3g}. Use the units of the fitted samples, or remove the value."
)

Batch = tuple[list[Tensor], Tensor | None]
Piece = TypeVar("Piece")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Scaling:
    """Mean of each feature and scale of each modality.

    Attributes
    ----------
    mean : dict of str to array, shape of one sample
        Mean over the samples, in data units.
    scale : dict of str to float
        Root mean square of the centred data, in data units. A scaled modality has variance 1 per feature on average.
    """

    mean: dict[str, NDArray]
    scale: dict[str, float]

    @classmethod
    def of(cls, data: Modalities) -> Scaling:
        """Compute mean and scale in two passes, block by block, in double precision; processes share the blocks."""
        mean, scale = {}, {}
        for column, name in enumerate(data.names):
            rows, shape = np.flatnonzero(data.present[:, column]), data.shapes[name]
            pieces = list(row_batches(rows, shape))[number() :: processes()]
            total = np.zeros(shape)
            for block in _blocks(data, name, pieces):
                total += block.sum(axis=0, dtype=np.float64)
            mean[name] = _summed(total) / len(rows)
            scale[name] = _spread(data, name, pieces, mean[name], len(rows) * mean[name].size)
        return cls(mean, scale)

    def of_common_size(self) -> Scaling:
        """Return the same means, and the largest scale for all modalities, which then keep their proportions."""
        return Scaling(self.mean, dict.fromkeys(self.scale, max(self.scale.values())))

    def scaled(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """Return scaled single-precision data, computed in double precision in pieces that fit into the CPU cache."""
        scaled = np.empty(x.shape, dtype=np.float32)
        step = max(1, IN_CACHE // max(math.prod(x.shape[1:]), 1))
        for start in range(0, len(x), step):
            centred = x[start : start + step] - self.mean[name]
            centred /= self.scale[name]
            with np.errstate(over="ignore"):
                scaled[start : start + step] = centred
            if not np.isfinite(scaled[start : start + step]).all():
                raise ValueError(FAR_FROM_FIT.format(name=name, value=_largest(x), scale=self.scale[name]))
        return scaled


class Batches:
    """Scaled batches of Modalities.

    Parameters
    ----------
    data : Modalities
        The data.
    scaling : Scaling
        Their mean and scale.
    device : torch.device
        Device of the batches.
    memory_limit : float, default=4.0
        GiB up to which all data are kept on the device.
    loaded : Modalities or None, default=None
        The same data with values in memory, from which the tensors on the device are made. These values are not kept.
    """

    def __init__(
        self,
        data: Modalities,
        scaling: Scaling,
        device: torch.device,
        memory_limit: float = 4.0,
        loaded: Modalities | None = None,
    ) -> None:
        self.data, self.scaling, self.device = data, scaling, device
        self.shapes = dict(data.shapes)
        self.in_memory = fits_in_memory(data, memory_limit)
        self._has_room_for_more = fits_in_memory(data, memory_limit / 2)
        source = data if loaded is None else loaded
        self._tensors = [self._whole(source, name) for name in data.names] if self.in_memory else []
        self._present = None if data.present.all() else torch.from_numpy(data.present)

    def __call__(self, rows: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        """Yield batches of the rows, in the given order.

        Yields
        ------
        x : list of Tensor, each (batch, *shape)
            The samples of each modality; 0 where a sample lacks the modality.
        present : Tensor of bool, (batch, n_modalities), or None
            Whether each sample has each modality; None if all samples of the data have all modalities.
        """
        stop = len(rows) - len(rows) % batch_size if drop_last else len(rows)
        pieces = [slice(start, start + batch_size) for start in range(0, stop, batch_size)]
        if self.in_memory:
            here = rows.to(self.device)
            for piece in pieces:
                yield [tensor[here[piece]] for tensor in self._tensors], self._present_in(rows[piece])
        else:
            batches = read_ahead(self._read, [rows[piece] for piece in pieces])
            for piece, batch in zip(pieces, batches, strict=True):
                yield [tensor.to(self.device, non_blocking=True) for tensor in batch], self._present_in(rows[piece])

    def coordinates(self, network: Network) -> dict[int, Coordinates]:
        """Return the coordinates of wide modalities; none if the data are not on the device."""
        rows = torch.arange(len(self.data))
        measured = [rows if self._present is None else rows[self._present[:, k]] for k in range(len(self._tensors))]
        return coordinates_of(network, self._tensors, measured)

    def in_coordinates(self, coordinates: Mapping[int, Coordinates]) -> Batches:
        """Return batches of the same samples, with some modalities in coordinates."""
        other = copy.copy(self)
        other._tensors = [
            coordinates[k].into(x.flatten(1)) if k in coordinates else x for k, x in enumerate(self._tensors)
        ]
        if coordinates:
            shapes = [tuple(x.shape[1:]) for x in other._tensors]
            other.shapes = dict(zip(self.data.names, shapes, strict=True))
        return other

    def with_more(self, compute: Callable[[Sequence[Tensor], Tensor | None], list[Tensor]]) -> Batches:
        """Return batches that also have tensors which are computed once from each sample; the same if they do not fit.

        Parameters
        ----------
        compute : callable
            ``compute(x, present)`` returns tensors, each (batch, ...), of no more numbers than the modalities have.
        """
        if not self._has_room_for_more:
            return self
        rows = torch.arange(len(self.data))
        pieces = [compute(x, present) for x, present in self(rows, self.at_once(len(rows)))]
        other = copy.copy(self)
        other._tensors = [*self._tensors, *(torch.cat(tensors) for tensors in zip(*pieces, strict=True))]
        return other

    @property
    def whole(self) -> bool:
        """Whether every sample has every modality."""
        return self._present is None

    def sample(self, rows: Tensor, most: int = LARGEST_SAMPLE) -> Batch:
        """Return one batch of the first rows, as many as can be computed at once."""
        rows = self.first(rows, most)
        x, present = next(self(rows, len(rows)))
        return x, present if present is not None and not present.all() else None

    def groups(self, rows: Tensor, most: int = LARGEST_SAMPLE) -> NDArray | None:
        """The participants of the samples that `sample` gives; None where every sample has a participant of its own."""
        groups = self.data.groups
        return None if groups is None else np.asarray(groups)[self.first(rows, most).numpy()]

    def first(self, rows: Tensor, most: int) -> Tensor:
        """Return as many rows as fit in memory beside the data; rows with the most modalities first, in mixed order."""
        count = min(len(rows), most, max(2, LARGEST_BYTES // self.sample_size))
        if self._present is None:
            return rows[:count]
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]  # they may come by pattern
        return rows[self._present[rows].sum(1).argsort(descending=True, stable=True)][:count]

    def having(self, k: int, rows: Tensor) -> Tensor | slice:
        """Return which of the rows have modality `k`."""
        return slice(None) if self._present is None else self._present[rows, k].to(self.device)

    def at_once(self, most: int) -> int:
        """Return a number of rows, at most `most`, that needs little memory to compute."""
        return rows_at_once(self.shapes, most)

    @property
    def sample_size(self) -> int:
        """Bytes of one sample of all modalities."""
        return _bytes_of_sample(self.shapes)

    def _read(self, piece: Tensor) -> list[Tensor]:
        rows = piece.numpy()
        batch = [torch.from_numpy(self._scaled(self.data, name, rows)) for name in self.data.names]
        for array in self.data.values():
            forget(array)
        return batch

    def _scaled(self, data: Modalities, name: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scaled samples; 0 where a sample lacks the modality, whatever its row holds."""
        here = data.present[rows, data.names.index(name)]
        if here.all():
            return self.scaling.scaled(name, data.rows(name, rows))
        scaled = np.zeros((len(rows), *data.shapes[name]), dtype=np.float32)
        scaled[here] = self.scaling.scaled(name, data.rows(name, rows[here]))
        return scaled

    def _present_in(self, rows: Tensor) -> Tensor | None:
        return None if self._present is None else self._present[rows].to(self.device)

    def _whole(self, data: Modalities, name: str) -> Tensor:
        shape = data.shapes[name]
        whole = np.empty((len(data), *shape), dtype=np.float32)
        for rows in row_batches(np.arange(len(whole)), shape):
            whole[rows[0] : rows[-1] + 1] = self._scaled(data, name, rows)
            forget(data[name])
        return torch.from_numpy(whole).to(self.device)


def fits_in_memory(data: Modalities, memory_limit: float) -> bool:
    """Whether all data in single precision take at most `memory_limit` GiB."""
    return len(data) * _bytes_of_sample(data.shapes) <= memory_limit * 2**30


def rows_at_once(shapes: Mapping[str, tuple[int, ...]], most: int) -> int:
    """Return a number of rows of all modalities, at most `most`, that needs little memory to compute."""
    return max(2, min(most, BATCH_NUMBERS // sum(math.prod(shape) for shape in shapes.values())))


def read_ahead(read: Callable[[Piece], Read], pieces: Sequence[Piece]) -> Iterator[Read]:
    """Yield ``read(piece)`` for each piece, in order, while a thread reads the next few pieces.

    Parameters
    ----------
    read : callable
        Function of a piece. Its errors are raised where the result is taken.
    pieces : sequence
        The pieces to read.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="deepjive-reader") as pool:
        waiting: deque[Future[Read]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(read, piece))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def tensors_of(data: Modalities, scaling: Scaling, rows: Any, names: Mapping[str, Any]) -> list[Tensor | None]:
    """Return some samples as one tensor for each of `names`, and None for a modality that `data` lacks."""
    return [torch.from_numpy(scaling.scaled(name, data.rows(name, rows))) if name in data else None for name in names]


def _bytes_of_sample(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Bytes of one sample of all modalities, in single precision."""
    return 4 * sum(math.prod(shape) for shape in shapes.values())


def _spread(data: Modalities, name: str, pieces: Sequence[NDArray], mean: NDArray, n_values: int) -> float:
    """The root mean square of a centred modality; where squares would overflow or vanish, in a unit of its own."""
    with np.errstate(over="ignore", under="ignore"):
        squares = sum((float(np.square(x - mean).sum()) for x in _blocks(data, name, pieces)), 0.0)
        squares = float(_summed(np.asarray(squares)))
    if USUAL[0] < squares < USUAL[1]:
        return math.sqrt(squares / n_values)
    largest = max((_largest(x - mean) for x in _blocks(data, name, pieces)), default=0.0)
    unit = power_of_two(float(_summed(np.asarray(largest))))
    squares = sum((float(np.square((x - mean) / unit).sum()) for x in _blocks(data, name, pieces)), 0.0)
    return unit * math.sqrt(float(_summed(np.asarray(squares))) / n_values)


def _largest(x: NDArray) -> float:
    return float(np.abs(x).max(initial=0.0))


def _blocks(data: Modalities, name: str, pieces: Sequence[NDArray]) -> Iterator[NDArray]:
    """Yield rows of a modality, one piece after another."""
    for piece in pieces:
        yield data.rows(name, piece)
        forget(data[name])


def _summed(x: NDArray) -> NDArray:
    """The sum of an array over the processes."""
    return summed(torch.from_numpy(x)).numpy()
