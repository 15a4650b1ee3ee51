"""The one pass over the data before training: checks, mean and variance, and the values if they fit into memory.

Data that are read from disk are read once. While `check_for_fit` looks at each block of rows, `FirstPass` keeps the
block if all data fit into memory. Otherwise it merges the block's moments with those of the earlier blocks, by the
pairwise update of Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance":

    M2 = M2_a + M2_b + n_a n_b / (n_a + n_b) |mean_b - mean_a|^2

Data in memory are not copied. Their mean and variance are computed in two passes, by `Scaling.of`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.data.readers.lazy import in_memory
from deepjive.decomposition import power_of_two
from deepjive.deep.training.batches import Scaling, fits_in_memory

LARGEST_IN_UNITS = 2.0**100


class Moments:
    """Mean and sum of squared deviations of samples that arrive block by block.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count, self.total, self.squares, self.unit = 0, np.zeros(shape), 0.0, 0.0

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each feature."""
        return self.total / self.count

    @property
    def scale(self) -> float:
        """Root mean square of the centred values of all features."""
        return self.unit * math.sqrt(self.squares / (self.count * self.total.size))

    def add(self, block: NDArray) -> None:
        """Merge the moments of some more samples, shape (n, ...)."""
        total = block.sum(axis=0, dtype=np.float64)
        mean = total / len(block)
        deviation = [block - mean]
        if self.count:
            deviation.append(math.sqrt(self.count * len(block) / (self.count + len(block))) * (mean - self.mean))
        self._widen(max(float(np.abs(values).max(initial=0.0)) for values in deviation))
        self.squares += sum(float(np.square(values / self.unit).sum()) for values in deviation)
        self.total += total
        self.count += len(block)

    def _widen(self, largest: float) -> None:
        """Choose a larger unit if squares of the deviations would overflow or vanish in the present one."""
        unit = power_of_two(largest)
        if largest > 0.0 and not (self.squares and unit < LARGEST_IN_UNITS * self.unit):
            self.squares *= (self.unit / unit) ** 2 if self.squares else 0.0
            self.unit = unit
        self.unit = self.unit or 1.0


class FirstPass:
    """Keeps what is needed of each block of rows that is read before training.

    Parameters
    ----------
    data : Modalities
        The data.
    memory_limit : float
        GiB of scaled single-precision data up to which the values are kept in memory.
    """

    def __init__(self, data: Modalities, memory_limit: float) -> None:
        self._data = data
        self._on_disk = {name for name, array in data.items() if not in_memory(array)}
        self._keeps = fits_in_memory(data, memory_limit)
        self._values: dict[str, NDArray] = {}
        self._moments = {name: Moments(shape) for name, shape in data.shapes.items()}

    def add(self, name: str, rows: NDArray[np.intp], block: NDArray) -> None:
        """Take a block of one modality.

        Parameters
        ----------
        name : str
            The modality.
        rows : array of int, shape (n,)
            Numbers of the samples.
        block : array, shape (n, ...)
            Their values.
        """
        if name not in self._on_disk:
            return
        if not self._keeps:
            self._moments[name].add(block)
            return
        if name not in self._values:
            self._values[name] = np.zeros((len(self._data), *block.shape[1:]), dtype=block.dtype)
        self._values[name][rows] = block

    @property
    def data(self) -> Modalities:
        """The data, with the values in memory if they fit there; rows of missing modalities are then 0."""
        if not self._values:
            return self._data
        arrays = {name: self._values.get(name, array) for name, array in self._data.items()}
        return self._data.with_arrays(arrays)

    def scaling(self) -> Scaling:
        """Mean and scale of each modality; data that are not in memory are not read again."""
        on_disk = [name for name in self._data.names if name in self._on_disk and name not in self._values]
        other = [name for name in self._data.names if name not in on_disk]
        scaling = Scaling.of(self.data.select(other)) if other else Scaling({}, {})
        names = self._data.names
        mean = scaling.mean | {name: self._moments[name].mean for name in on_disk}
        scale = scaling.scale | {name: self._moments[name].scale for name in on_disk}
        return Scaling({name: mean[name] for name in names}, {name: scale[name] for name in names})

    def release(self) -> None:
        """Drop the values, whose memory is then free again."""
        self._values.clear()
