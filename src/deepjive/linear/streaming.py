"""A modality read a few features at a time.

The linear estimators need only products over features, ``X X'`` and ``U' X``. A modality wider than memory is therefore
read in pieces ``X[:, a:b]``, which are flattened and converted to float64 here.

The first sample is subtracted from each feature in the place of the mean. This also removes a large offset, makes a
constant feature exactly 0, and reads each piece only once. The small products are centred later, with
``H = 1 - 11'/n``: ``X X'`` becomes ``H X X' H``, and ``U' X`` stays the same if the scores ``U`` have mean 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import LazyRows, Modalities
from deepjive.data.readers.lazy import RowReader, in_memory, read_rows

PIECE_NUMBERS = 2**20

WRONG_MASK = (
    "mask[{name!r}] must be an array of bool of the shape of one sample, {expected}, with at least one True, "
    "but is {given}."
)


class Piece(NamedTuple):
    """Some features: their places among all, and values (n_samples, width) minus the origin (width,).

    The magnitude (width,) is the size of the numbers whose rounding errors the values have.
    """

    features: slice
    values: NDArray
    origin: NDArray
    magnitude: NDArray


@dataclass(frozen=True)
class Pieces:
    """The features of one modality, a few at a time; iterating reads the modality once.

    Parameters
    ----------
    array : array-like, shape (n_samples, ...)
        In memory, on disk (memmap, zarr, HDF5, dask), or some rows of such an array. An array that can be indexed by
        rows only is read as a whole.
    mask : array of bool, shape of one sample, optional
        Features that count; other features are read as 0. The default is all features.
    center : bool, default=True
        Whether the features will be centred. The origin is then the first sample, and otherwise 0.
    magnitude : array, shape of one sample, optional
        Size of the numbers from which the values were computed, as `deepjive.Modalities.magnitudes`.
    """

    array: Any
    mask: NDArray[np.bool_] | None = None
    center: bool = True
    magnitude: NDArray | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.array.shape[0])

    @property
    def n_features(self) -> int:
        """Number of features that count."""
        return self.width if self.mask is None else int(self.mask.sum())

    @property
    def width(self) -> int:
        """Number of all features, in the mask or not."""
        return math.prod(self.array.shape[1:])

    def __iter__(self) -> Iterator[Piece]:
        source, rows = _sliceable(self.array)
        start = 0
        # with pieces narrower than half of n, updating the n x n product would cost more than computing it
        for index in _regions(source.shape[1:], max(PIECE_NUMBERS // self.n_samples, self.n_samples // 2)):
            block = np.asarray(source[(slice(None), *index)]).reshape(source.shape[0], -1)
            block = block if rows is None else block[rows]
            stop = start + block.shape[1]
            origin = block[0].astype(np.float64) if self.center else np.zeros(block.shape[1])
            size = np.abs(origin)
            if self.magnitude is not None:
                size = np.maximum(size, self.magnitude.reshape(-1)[start:stop])
            yield Piece(slice(start, stop), np.subtract(block, origin, dtype=np.float64), origin, size)
            start = stop

    def counted(self, piece: Piece) -> NDArray:
        """The piece's values with 0 where the mask is False."""
        if self.mask is None:
            return piece.values
        return piece.values * self.mask.reshape(-1)[piece.features]


def checked_masks(masks: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray[np.bool_] | None]:
    """Return one mask, or None, for every modality.

    Parameters
    ----------
    masks : mapping of str to array of bool, or None
        The estimators' parameter `mask`.
    shapes : dict of str to tuple
        Shape of one sample of each modality.

    Raises
    ------
    ValueError
        If a name is not a modality, or if a mask has a wrong shape or no True.
    """
    masks = {} if masks is None else dict(masks)
    unknown = [name for name in masks if name not in shapes]
    if unknown:
        raise ValueError(f"mask names {unknown}, but the modalities are {list(shapes)}.")
    return {name: _checked_mask(name, masks.get(name), shape) for name, shape in shapes.items()}


class MaskedRows(RowReader):
    """Rows of an array on disk, with 0 in the place of values outside a mask that are not finite.

    Parameters
    ----------
    array : array-like, shape (n_samples, ...)
        An array on disk.
    mask : array of bool, shape of one sample
        The features that count.
    """

    def __init__(self, array: Any, mask: NDArray[np.bool_]) -> None:
        super().__init__(array.shape, array.dtype)
        self._array, self._mask = array, mask

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        return _finite_outside(read_rows(self._array, rows), self._mask)


def within_masks(data: Modalities, masks: Any) -> Modalities:
    """Return modalities with 0 in the place of values outside their masks that are not finite.

    Images of some programs, such as SPM, are NaN outside the brain.

    Parameters
    ----------
    data : Modalities
        The data. A modality without a mask, or with a mask of another shape, stays as it is.
    masks : mapping of str to array of bool, or None
        The estimators' parameter `mask`.
    """
    arrays = dict(data.items())
    for name, mask in (masks or {}).items():
        if mask is None or name not in data or np.shape(mask) != data.shapes[name]:
            continue
        array, mask = arrays[name], np.asarray(mask, dtype=bool)
        arrays[name] = _finite_outside(array, mask) if in_memory(array) else MaskedRows(array, mask)
    unchanged = all(arrays[name] is array for name, array in data.items())
    if unchanged:
        return data
    return data.with_arrays(arrays)


def _finite_outside(values: NDArray, mask: NDArray[np.bool_]) -> NDArray:
    """Return values with 0 where they are outside the mask and not finite; the same array if there are none."""
    is_ignored = ~np.isfinite(values) & ~mask
    return np.where(is_ignored, np.zeros((), values.dtype), values) if is_ignored.any() else values


def _checked_mask(name: str, mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != shape or not mask.any():
        given = f"of shape {mask.shape}" if mask.shape != shape else "False everywhere"
        raise ValueError(WRONG_MASK.format(name=name, expected=shape, given=given))
    return mask


def _sliceable(array: Any) -> tuple[Any, NDArray[np.intp] | None]:
    """An array that can be sliced along its features, and the selected rows (None for all)."""
    array, rows = (array.array, array.indices) if isinstance(array, LazyRows) else (array, None)
    if isinstance(array, np.ndarray):
        return array.reshape(array.shape[0], -1), rows
    try:
        array[(slice(0, 1),) * len(array.shape)]
    except (TypeError, IndexError, KeyError, ValueError):
        array = np.asarray(array[:])
    return array, rows


def _regions(shape: tuple[int, ...], limit: int) -> Iterator[tuple[slice, ...]]:
    """Regions of at most `limit` features that cover the feature axes, in C order of the flattened features."""
    inner = math.prod(shape[1:])
    if inner <= limit or len(shape) == 1:
        step = max(limit // inner, 1)
        for start in range(0, shape[0], step):
            yield (slice(start, min(start + step, shape[0])),)
        return
    for i in range(shape[0]):
        for inner_region in _regions(shape[1:], limit):
            yield (slice(i, i + 1), *inner_region)
