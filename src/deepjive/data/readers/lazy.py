"""Lazy arrays: rows are read from disk only when they are indexed."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SCATTERED = 32

NOT_AN_INDEX = "Samples must be selected by integers, booleans or a slice along one axis, but were by {given}."


class RowReader(ABC):
    """An array of which only whole rows can be read; a subclass reads rows in increasing order.

    Parameters
    ----------
    shape : tuple of int
        Shape of the whole array; the first axis is the samples.
    dtype : dtype
        Type of the numbers.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape = tuple(int(length) for length in shape)
        self.dtype = np.dtype(dtype)

    @abstractmethod
    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        """Rows in increasing order without repeats; shape (n_rows, ...)."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray:
        rows = row_numbers(key, len(self))
        ordered, position = np.unique(rows, return_inverse=True)
        values = self._read(ordered) if len(ordered) else np.zeros((0, *self.shape[1:]), dtype=self.dtype)
        values = values if np.array_equal(rows, ordered) else values[position]
        return values[0] if isinstance(key, (int, np.integer)) else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.asarray(self[:], dtype=dtype)


class LazyRows:
    """Some rows of an array on disk, read when they are indexed.

    Parameters
    ----------
    array : array-like with shape, dtype and indexing by sorted rows
        The whole array.
    indices : array of int, shape (n_selected,)
        Numbers of the selected rows, in any order.
    """

    def __init__(self, array: Any, indices: NDArray[np.intp]) -> None:
        self.array, self.indices = array, indices
        self.shape = (len(indices), *array.shape[1:])
        self.dtype = array.dtype

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Any) -> NDArray:
        if isinstance(key, (int, np.integer)):
            return read_rows(self.array, self.indices[np.array([key])])[0]
        return read_rows(self.array, self.indices[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.asarray(read_rows(self.array, self.indices), dtype=dtype)


class SparseRows(RowReader):
    """A sparse matrix whose rows are dense when they are read.

    Parameters
    ----------
    matrix : SciPy sparse matrix or array, shape (n_samples, n_features)
        A matrix in memory.
    """

    def __init__(self, matrix: Any) -> None:
        super().__init__(matrix.shape, matrix.dtype)
        self._matrix = matrix.tocsr()  # other formats read rows slowly or not at all

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        return self._matrix[rows].toarray()


class StoredSparseRows(RowReader):
    """A sparse matrix on disk, compressed by rows: its numbers, their columns, and the start of each row.

    Parameters
    ----------
    group : mapping
        Has the entries "data", "indices" and "indptr", as AnnData stores them in HDF5 and zarr.
    shape : tuple of int
        ``(n_samples, n_features)``.
    """

    def __init__(self, group: Any, shape: tuple[int, ...]) -> None:
        super().__init__(shape, group["data"].dtype)
        self._group, self._starts = group, np.asarray(group["indptr"][:])

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        values = np.zeros((len(rows), *self.shape[1:]), dtype=self.dtype)
        for run, place in zip(runs_of(rows), np.flatnonzero(np.r_[True, np.diff(rows) > 1]), strict=True):
            first, last = int(self._starts[run.start]), int(self._starts[run.stop])
            lengths = np.diff(self._starts[run.start : run.stop + 1])
            row_of_number = place + np.repeat(np.arange(len(lengths)), lengths)
            # a number that is stored in several pieces is their sum
            np.add.at(values, (row_of_number, self._group["indices"][first:last]), self._group["data"][first:last])
        return values


class SpreadRows(RowReader):
    """Rows of an array in the order of given samples; rows of samples that are not in the array are 0.

    Parameters
    ----------
    array : array-like, shape (n_rows, ...)
        An array in memory or on disk.
    places : array of int, shape (n_samples,)
        Row of each sample in the array; -1 for a sample that is not in the array.
    """

    def __init__(self, array: Any, places: NDArray[np.intp]) -> None:
        super().__init__((len(places), *array.shape[1:]), array.dtype)
        self.array, self.places = array, places

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        places = self.places[rows]
        exists = places >= 0
        values = np.zeros((len(rows), *self.shape[1:]), dtype=self.dtype)
        values[exists] = read_rows(self.array, places[exists])
        return values


class SelectedFeatures(RowReader):
    """Rows of an array with their features in another order, some left out, and some filled in.

    Parameters
    ----------
    array : array-like, shape (n_samples, n_given)
        An array in memory or on disk.
    columns : array of int, shape (n_features,)
        Column of each feature in the array; -1 for a feature that the array lacks.
    fill : array, shape (n_features,)
        Values of the features that the array lacks.
    """

    def __init__(self, array: Any, columns: NDArray[np.intp], fill: NDArray) -> None:
        lacking = columns < 0
        dtype = np.result_type(array.dtype, fill.dtype) if lacking.any() else array.dtype
        super().__init__((array.shape[0], len(columns)), dtype)
        self._array, self._columns, self._fill, self._lacking = array, columns, fill, lacking

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        values = read_rows(self._array, rows)[:, self._columns].astype(self.dtype, copy=False)
        values[:, self._lacking] = self._fill[self._lacking]
        return values


@dataclass(frozen=True)
class LabelledRows:
    """An array whose samples have names; its features may have names too.

    Attributes
    ----------
    array : array-like, shape (n_samples, ...)
        An array in memory or on disk.
    index : pandas.Index, length n_samples
        Names of the samples.
    features : array of str or None
        Names of the features.
    """

    array: Any
    index: Any
    features: NDArray[np.str_] | None = None

    def reordered(self, index: Any) -> LabelledRows:
        """Return the rows of the samples in an index; samples that are not in the array have rows of zeros."""
        places = self.index.get_indexer(index)
        if not (places < 0).any():
            is_same = len(places) == len(self.array) and np.array_equal(places, np.arange(len(places)))
            return LabelledRows(self.array if is_same else select_rows(self.array, places), index, self.features)
        array = SpreadRows(self.array, places)
        return LabelledRows(np.asarray(array) if in_memory(self.array) else array, index, self.features)


def in_memory(array: Any) -> bool:
    """Return whether an array is completely in memory."""
    return isinstance(array, np.ndarray) and not isinstance(array, np.memmap)


def forget(array: Any) -> None:
    """Release the memory of rows that were read from a mapped file; they are read again when they are needed."""
    while isinstance(array, LazyRows):
        array = array.array
    pages = getattr(array, "_mmap", None)
    if isinstance(array, np.memmap) and array.mode != "c" and pages is not None and hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED)


def row_numbers(key: Any, n: int) -> NDArray[np.intp]:
    """Convert an integer, a slice, or an array of int or bool to row numbers.

    Parameters
    ----------
    key : int, slice or array of int or bool
        The index along the first axis.
    n : int
        Number of rows.

    Returns
    -------
    array of int, shape (n_selected,)

    Raises
    ------
    TypeError
        If the key is a tuple or holds neither integers nor booleans.
    IndexError
        If a row does not exist, or if the key has more than one axis.
    """
    if isinstance(key, (int, np.integer)):
        key = [key]
    if isinstance(key, tuple):
        raise TypeError(NOT_AN_INDEX.format(given=f"the tuple {key}"))
    if isinstance(key, slice):
        return np.arange(*key.indices(n))
    key = np.asarray(key)
    if key.size == 0:
        key = key.astype(np.intp)
    if key.dtype.kind not in "iub":
        raise TypeError(NOT_AN_INDEX.format(given=key.dtype))
    if key.ndim != 1:
        raise IndexError(NOT_AN_INDEX.format(given=f"an array of shape {key.shape}"))
    return np.arange(n)[key]


def runs_of(rows: NDArray[np.intp]) -> list[slice]:
    """Convert increasing row numbers to slices of consecutive rows.

    Examples
    --------
    >>> runs_of(np.array([2, 3, 4, 9]))
    [slice(2, 5, None), slice(9, 10, None)]
    """
    pieces = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    return [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces if len(piece)]


def select_rows(array: Any, indices: NDArray[np.intp]) -> Any:
    """Select rows by number; rows on disk are not read."""
    if in_memory(array):
        return array[indices]
    if isinstance(array, LazyRows):
        return LazyRows(array.array, array.indices[indices])
    return LazyRows(array, indices)


def read_rows(array: Any, indices: Any) -> NDArray:
    """Read rows in any order, with repeats; the store itself is read in increasing order without repeats."""
    if in_memory(array) or isinstance(array, LazyRows):
        return np.asarray(array[indices])
    rows = row_numbers(indices, array.shape[0])
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return np.asarray(array[int(rows[0]) : int(rows[0]) + len(rows)])
    if isinstance(array, np.memmap):
        return _scattered_rows(array, rows)
    ordered, position = np.unique(rows, return_inverse=True)
    return np.asarray(array[ordered])[position]


def _scattered_rows(array: np.memmap, rows: NDArray[np.intp]) -> NDArray:
    """Rows of a mapped file, read from the file itself, because mapping one row maps many pages around it."""
    values = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
    file = _reopened(array) if values.size else None
    if file is not None:
        try:
            _read_rows_of_file(file, array, rows, values)
        finally:
            os.close(file)
        return values
    for start in range(0, len(rows), SCATTERED):
        values[start : start + SCATTERED] = array[rows[start : start + SCATTERED]]
        forget(array)
    return values


def _read_rows_of_file(file: int, array: np.memmap, rows: NDArray[np.intp], values: NDArray) -> None:
    """Fill `values` (n_rows, ...) with rows of an open file."""
    for row, content in zip(rows.tolist(), values.reshape(len(rows), -1).view(np.uint8), strict=True):
        if os.preadv(file, [content.data], array.offset + row * content.size) < content.size:
            raise OSError(
                f"{array.filename} is shorter than it was when it was opened. Restore the file, and open it again."
            )


def remember_file(array: np.memmap, file: IO[bytes]) -> np.memmap:
    """Store the identity of the file in its new map, so that rows are read from the file only while it is the same."""
    array.file_number = _number_of(file.fileno())  # type: ignore[attr-defined]
    return array


def _reopened(array: np.memmap) -> int | None:
    """Open the mapped file again; None if it is gone, if it is another file, or if its rows are not contiguous.

    Slices of a map do not have the file's identity, and their rows are read through the map.
    """
    number = getattr(array, "file_number", None)
    if number is None or array.filename is None or not hasattr(os, "preadv") or not array.flags.c_contiguous:
        return None
    try:
        file = os.open(array.filename, os.O_RDONLY)
    except OSError:
        return None
    if _number_of(file) == number:
        return file
    os.close(file)
    return None


def _number_of(file: int) -> tuple[int, int]:
    """Device and inode of an open file."""
    status = os.fstat(file)
    return status.st_dev, status.st_ino
