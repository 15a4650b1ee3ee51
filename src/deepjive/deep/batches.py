"""Batches: centred and scaled data on the device, by row number.

Data that fit into the memory of the device are put there once and batched by index; larger data are read from where
they are, a batch at a time, by a torch DataLoader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from deepjive.modalities import Modalities

CHUNK = 1024
LARGEST_IN_MEMORY = 4 * 2**30
LARGEST_SAMPLE = 1000, 2**29


@dataclass(frozen=True)
class Scaling:
    """Centring by the mean of each feature, and one scale for each modality.

    Attributes
    ----------
    mean : dict of str to array, shape of a sample
        Mean over the samples, in data units.
    scale : dict of str to float
        Root mean square of the centred data, so that the scaled modality has variance 1 per feature on average.
    """

    mean: dict[str, NDArray]
    scale: dict[str, float]

    @classmethod
    def of(cls, data: Modalities) -> Scaling:
        """Measure mean and scale, a chunk of samples at a time, in double precision."""
        mean, scale = {}, {}
        for column, name in enumerate(data.names):
            rows = np.flatnonzero(data.present[:, column])
            chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
            total = sum(data.rows(name, chunk).sum(axis=0, dtype=np.float64) for chunk in chunks)
            mean[name] = np.asarray(total / len(rows))
            squares = sum(float(np.square(data.rows(name, chunk) - mean[name]).sum()) for chunk in chunks)
            scale[name] = float(np.sqrt(squares / (len(rows) * mean[name].size)))
        return cls(mean, scale)

    def scaled(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """Data units to scaled single precision."""
        return ((x - self.mean[name]) / self.scale[name]).astype(np.float32)


class Batches:
    """Scaled batches of Modalities.

    Parameters
    ----------
    data : Modalities
        The data.
    scaling : Scaling
        How they are scaled.
    device : torch.device
        Where batches are needed.
    largest_in_memory : int
        Bytes up to which all data are kept on the device.
    """

    def __init__(
        self, data: Modalities, scaling: Scaling, device: torch.device, largest_in_memory: int = LARGEST_IN_MEMORY
    ) -> None:
        self.data, self.scaling, self.device = data, scaling, device
        size = 4 * len(data) * sum(int(np.prod(shape)) for shape in data.shapes.values())
        self.in_memory = size <= largest_in_memory
        self._tensors = [self._whole(name) for name in data.names] if self.in_memory else []

    def __call__(self, rows: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[list[Tensor]]:
        """Batches of the rows, in the order given: lists of one tensor (batch, *shape) a modality."""
        stop = len(rows) - len(rows) % batch_size if drop_last else len(rows)
        pieces = [rows[start : start + batch_size] for start in range(0, stop, batch_size)]
        if self.in_memory:
            for piece in pieces:
                here = piece.to(self.device)
                yield [tensor[here] for tensor in self._tensors]
        else:
            loader: DataLoader[Any] = DataLoader(_Rows(self.data, self.scaling, pieces), batch_size=None)
            for batch in loader:
                yield [tensor.to(self.device, non_blocking=True) for tensor in batch]

    def sample(self, rows: Tensor) -> list[Tensor]:
        """One batch of the first rows, as many as are few enough to compute with at once."""
        size = 4 * sum(int(np.prod(shape)) for shape in self.data.shapes.values())
        count = min(len(rows), LARGEST_SAMPLE[0], max(2, LARGEST_SAMPLE[1] // size))
        return next(self(rows[:count], count))

    def _whole(self, name: str) -> Tensor:
        whole = np.empty((len(self.data), *self.data.shapes[name]), dtype=np.float32)
        for start in range(0, len(whole), CHUNK):
            chunk = slice(start, min(start + CHUNK, len(whole)))
            whole[chunk] = self.scaling.scaled(name, self.data.rows(name, chunk))
        return torch.from_numpy(whole).to(self.device)


class _Rows(Dataset[list[Tensor]]):
    """Whole batches as items, so that each is read from its store at once."""

    def __init__(self, data: Modalities, scaling: Scaling, pieces: Sequence[Tensor]) -> None:
        self.data, self.scaling, self.pieces = data, scaling, pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, i: int) -> list[Tensor]:
        rows = self.pieces[i].numpy()
        return [torch.from_numpy(self.scaling.scaled(name, self.data.rows(name, rows))) for name in self.data.names]


def tensors_of(data: Modalities, scaling: Scaling, rows: Any, names: Mapping[str, Any]) -> list[Tensor | None]:
    """Some samples as a list with one tensor for each of `names`, None for a modality that `data` lacks."""
    return [torch.from_numpy(scaling.scaled(name, data.rows(name, rows))) if name in data else None for name in names]
