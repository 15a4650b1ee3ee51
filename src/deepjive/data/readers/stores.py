"""Chunked stores: HDF5 files and zarr folders, of which only the requested rows are read.

A zarr array of version 2 may use the filter "pickle", which runs code. The reader therefore allows only a list of
codecs that compress. An HDF5 data set may lie in another file. The reader therefore refuses links and data outside
the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.arrays import SHOWN_KEYS, choose
from deepjive.data.readers.guard import UNREADABLE, UnreadableError, check_claim, check_piece, optional, reading
from deepjive.data.readers.lazy import RowReader, runs_of

HDF5 = (".h5", ".hdf5")
ZARR = ".zarr"
CODECS = {
    *("bytes", "transpose", "sharding_indexed", "crc32c", "crc32", "adler32", "fletcher32", "delta", "shuffle"),
    *("fixedscaleoffset", "quantize", "bitround", "packbits", "astype"),
    *("blosc", "zstd", "gzip", "zlib", "lz4", "lzma", "bz2"),
}
LARGEST_METADATA = 2**20
MOST_ARRAYS, MOST_LINKS = 10_000, 100_000
MOST_SAMPLES = 10**9
MANY_ROWS = 8

WRONG_CODEC = (
    "{path} is stored with the codec {codec!r}, which is not among those that only compress numbers {known}. "
    "Write the array again without this codec."
)
LINKED = "{path} does not hold {key!r} itself but a link or another file's data. Copy the data into one file."
CLOSED = (
    "its HDF5 file is closed. Keep the file open until the data are read, or give the data set as text: 'FILE.h5:NAME'"
)
IS_A_GROUP = "it is an HDF5 group that holds {keys}. Give one of its data sets, e.g. file['NAME']"
NOT_NUMBERS = "{path}: {key!r} holds {dtype}, but numbers are expected (float or integer)."


class HDF5Rows(RowReader):
    """A data set of an HDF5 file; each process opens its own copy of the file.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Name of the data set.
    dataset : h5py.Dataset, default=None
        The data set, if it is open already. It is opened again once it is closed.
    """

    def __init__(self, path: Path, key: str, dataset: Any = None) -> None:
        self._path, self._key = path, key
        self._open = dataset
        self._process = -1 if dataset is None else os.getpid()
        with reading(path):
            dataset = self._dataset()
            super().__init__(dataset.shape, dataset.dtype)
            _check_sizes(path, self, dataset.chunks or ())

    def __getitem__(self, key: Any) -> NDArray:
        if isinstance(key, tuple):  # a region of samples and features, for the linear estimators
            with reading(self._path):
                return np.asarray(self._dataset()[key])
        return super().__getitem__(key)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": None, "_process": -1}

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        with reading(self._path):
            dataset = self._dataset()
            mapped = _mapped(self._path, dataset) if len(rows) >= MANY_ROWS else None
            if mapped is not None:
                return np.asarray(mapped[rows])
            pieces = [dataset[run] for run in runs_of(rows)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _dataset(self) -> Any:
        if not self._open or self._process != os.getpid():  # a closed data set is false
            self._open = _checked_dataset(self._path, self._key)
            self._process = os.getpid()
        return self._open


class OpenRows(RowReader):
    """A data set of an HDF5 file that is open.

    Parameters
    ----------
    dataset : h5py.Dataset
        The data set.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__(dataset.shape, dataset.dtype)
        self._dataset, self._name = dataset, f"HDF5 data set {dataset.name!r}"

    def __getitem__(self, key: Any) -> NDArray:
        if isinstance(key, tuple):  # a region of samples and features, for the linear estimators
            return np.asarray(self._checked()[key])
        return super().__getitem__(key)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        return np.concatenate([self._checked()[run] for run in runs_of(rows)])

    def _checked(self) -> Any:
        if not self._dataset:  # a closed data set is false
            raise UnreadableError(UNREADABLE.format(path=self._name, reason=CLOSED))
        return self._dataset


class ZarrRows(RowReader):
    """An array of a zarr folder.

    Parameters
    ----------
    path : Path
        Folder of the array.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with reading(path):
            _check_codecs(path)
            zarr = optional("zarr", f"Reading {path.name}")
            self._array = zarr.open_array(str(path), mode="r")
            super().__init__(self._array.shape, self._array.dtype)
            if self.dtype.kind not in "fiub":
                raise UnreadableError(NOT_NUMBERS.format(path=path, key=path.name, dtype=self.dtype))
            _check_sizes(path, self, self._array.chunks)

    def __getitem__(self, key: Any) -> NDArray:
        if isinstance(key, tuple):  # a region of samples and features, for the linear estimators
            with reading(self._path):
                return np.asarray(self._array[key])
        return super().__getitem__(key)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        runs = runs_of(rows)
        with reading(self._path):
            if not _is_array(self._path):  # zarr would read missing chunks as zeros
                raise FileNotFoundError(f"{self._path} is no longer there, or no longer an array. Restore it.")
            return np.asarray(self._array[runs[0]] if len(runs) == 1 else self._array.oindex[rows])


def read_hdf5(path: Path, key: str | None) -> HDF5Rows:
    """Open one data set of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    key : str or None
        Name of the data set; None if the file holds only one data set of numbers with at least two axes.

    Raises
    ------
    UnreadableError
        If the file is damaged, or if the data set does not exist, holds no numbers, or lies in another file.
    """
    h5py = optional("h5py", f"Reading {path.name}")
    with reading(path), h5py.File(path, "r") as file:
        if key is None:
            key = choose(path, _datasets(h5py, file), None)
        key = key.strip("/")
    return HDF5Rows(path, key)


def rows_of_hdf5(dataset: Any) -> Any:
    """Return an h5py data set as an array that stays readable when the user closes the file.

    Parameters
    ----------
    dataset : h5py.Dataset
        A data set. If its file is written or is not on disk, its file must stay open until the data are read.

    Raises
    ------
    ValueError
        If the data set is closed.
    TypeError
        If a group or a file is given.
    """
    if not dataset:
        raise ValueError(CLOSED)
    if hasattr(dataset, "keys"):
        raise TypeError(IS_A_GROUP.format(keys=list(dataset)[:SHOWN_KEYS]))
    file = dataset.file
    if (
        file.mode != "r"
        or not Path(str(file.filename)).is_file()
        or dataset.dtype.kind not in "fiub"
        or not dataset.ndim
    ):
        return OpenRows(dataset) if dataset.dtype.kind in "fiub" and dataset.ndim else dataset
    return HDF5Rows(Path(file.filename), dataset.name.strip("/"), dataset)


def check_hdf5(path: Path) -> None:
    """Check an HDF5 file before another library reads all of it.

    Raises
    ------
    UnreadableError
        If the file links to another file or has data in one, if a group contains itself, or if the file claims far more
        numbers than its size makes likely. An array counts once for every link to it, because it is read once for each.
    """
    h5py = optional("h5py", f"Reading {path.name}")
    with reading(path), h5py.File(path, "r") as file:
        claimed = 0
        for name, item in _items_of(h5py, path, file):
            if isinstance(item, h5py.Dataset):
                _check_inside(path, name, item)
                claimed += (item.size or 0) * item.dtype.itemsize
        check_claim(path, claimed, path.stat().st_size)


def read_zarr(path: Path, key: str | None) -> ZarrRows:
    """Open one array of a zarr folder.

    Parameters
    ----------
    path : Path
        The folder.
    key : str or None
        Name of the array; None if the folder is an array or holds only one.

    Raises
    ------
    UnreadableError
        If the folder is damaged, uses a codec that is not allowed, or does not hold the array.
    """
    if _is_array(path) and key is None:
        return ZarrRows(path)
    folders = sorted({file.parent for name in ("zarr.json", ".zarray") for file in path.rglob(name)})[:MOST_ARRAYS]
    keys = [folder.relative_to(path).as_posix() for folder in folders if folder != path and _is_array(folder)]
    return ZarrRows(path / choose(path, keys, None if key is None else key.strip("/")))


def _check_sizes(path: Path, array: RowReader, chunks: tuple[int, ...]) -> None:
    """Raise an error for impossible sizes; a store can claim them because unwritten chunks take no space."""
    if not array.shape or array.shape[0] > MOST_SAMPLES:
        raise UnreadableError(UNREADABLE.format(path=path, reason=f"an array of shape {array.shape} holds no samples"))
    for shape, what in ((array.shape[1:], "a sample"), (chunks, "a chunk")):
        check_piece(path, shape, array.dtype, what)


def _datasets(h5py: Any, file: Any) -> list[str]:
    """Names of the data sets of numbers with at least two axes."""
    names: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(name, str) and isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub" and item.ndim > 1:
            names.append(name)
        return len(names) >= MOST_ARRAYS or None

    file.visititems(visit)
    return names


def _items_of(h5py: Any, path: Path, file: Any) -> Iterator[tuple[str, Any]]:
    """The target of every link in an HDF5 file, once for each link.

    Soft links are followed last, when it is known that no hard link leads out of the file. Each link is kept with the
    addresses of the groups around it, so that a group that contains itself is recognized.
    """
    hard_links: list[tuple[Any, str, set[int]]] = [(file, name, {_address(h5py, file)}) for name in file]
    soft_links: list[tuple[Any, str, set[int]]] = []
    n_targets = 0
    while hard_links or soft_links:
        is_soft = not hard_links
        group, name, outer_groups = (hard_links or soft_links).pop()
        link, full_name = group.get(name, getlink=True), f"{group.name}/{name}".lstrip("/")
        if isinstance(link, h5py.ExternalLink):
            raise UnreadableError(LINKED.format(path=path, key=full_name))
        if isinstance(link, h5py.SoftLink) and not is_soft:
            soft_links.append((group, name, outer_groups))
            continue
        target, n_targets = group.get(name), n_targets + 1
        address = _address(h5py, target) if isinstance(target, h5py.Group) else None
        if n_targets > MOST_LINKS or address in outer_groups:
            raise UnreadableError(
                f"{path} holds more than {MOST_LINKS} groups and arrays, or a group that contains itself. "
                "Only a damaged or hostile file does this. Save the arrays in a new file."
            )
        if address is not None:
            hard_links += [(target, inner, {*outer_groups, address}) for inner in target]
        yield full_name, target


def _address(h5py: Any, group: Any) -> int:
    """Place of a group in its file, which is the same for all links to it."""
    return int(h5py.h5o.get_info(group.id).addr)


def _checked_dataset(path: Path, key: str) -> Any:
    """A data set of numbers inside an HDF5 file; every part of its name must be a hard link."""
    h5py = optional("h5py", f"Reading {path.name}")
    file = h5py.File(path, "r")
    group = file
    for part in key.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) and part in group else None
        if link is None:
            choose(path, _datasets(h5py, file), key)
        if not isinstance(link, h5py.HardLink):
            raise UnreadableError(LINKED.format(path=path, key=key))
        group = group[part]
    if not isinstance(group, h5py.Dataset) or group.dtype.kind not in "fiub":
        raise UnreadableError(NOT_NUMBERS.format(path=path, key=key, dtype=getattr(group, "dtype", "a group")))
    _check_inside(path, key, group)
    return group


def _check_inside(path: Path, key: str, dataset: Any) -> None:
    """Raise an error if the numbers of a data set lie in another file."""
    if dataset.is_virtual or dataset.external is not None:
        raise UnreadableError(LINKED.format(path=path, key=key))


def _mapped(path: Path, dataset: Any) -> NDArray | None:
    """Map a contiguous data set, from which many rows are read much faster; None if it is not contiguous."""
    offset = dataset.id.get_offset()
    if offset is None or dataset.chunks is not None or dataset.file.userblock_size:
        return None
    if offset + dataset.size * dataset.dtype.itemsize > path.stat().st_size:
        return None
    return np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)


def _is_array(folder: Path) -> bool:
    """Whether a folder is a zarr array."""
    return (folder / ".zarray").is_file() or _metadata(folder / "zarr.json").get("node_type") == "array"


def _metadata(path: Path) -> dict[str, Any]:
    """Content of a JSON file that describes a zarr array or group; empty if there is no file."""
    if not path.is_file():
        return {}
    with reading(path):
        if path.stat().st_size > LARGEST_METADATA:
            raise UnreadableError(UNREADABLE.format(path=path, reason="it is larger than any description of an array"))
        content = json.loads(path.read_bytes())
    return content if isinstance(content, dict) else {}


def _check_codecs(path: Path) -> None:
    """Raise an error if a zarr array uses a codec that is not in `CODECS`."""
    metadata = [_metadata(path / name) for name in (".zarray", "zarr.json")]
    for codec in (name for content in metadata for name in _codecs(content)):
        if str(codec).removeprefix("numcodecs.") not in CODECS:
            raise UnreadableError(WRONG_CODEC.format(path=path, codec=codec, known=sorted(CODECS)))


def _codecs(metadata: Any) -> list[Any]:
    """Names of all codecs, and of the codecs inside them."""
    names: list[Any] = []
    for key in ("filters", "compressor", "codecs", "index_codecs"):
        value = metadata.get(key) if isinstance(metadata, dict) else None
        for codec in [value] if isinstance(value, (dict, str)) else (value or []):
            names.append(codec if isinstance(codec, str) else codec.get("id", codec.get("name")))
            names += _codecs(codec.get("configuration")) if isinstance(codec, dict) else []
    return names
