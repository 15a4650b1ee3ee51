"""Chunked stores: HDF5 files and zarr folders, of which only the rows asked for are read.

A zarr array of version 2 may name "pickle" as a filter, and an HDF5 data set may lie in another file. So the codecs
are compared with a list of those that only compress, and whatever leads out of the HDF5 file is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.arrays import choose
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
    "Write the array again without it."
)
LINKED = "{path} does not hold {key!r} itself but a link or another file's data. Copy the data into one file."
ENDLESS = "{path} holds more than {most} groups and arrays, or a group that holds itself, which no data do."
VANISHED = "{path} is no longer there, or no longer an array."
NOT_NUMBERS = "{path}: {key!r} holds {dtype}, but numbers are expected (float or integer)."


class HDF5Rows(RowReader):
    """A data set of an HDF5 file; each process opens the file for itself.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Name of the data set.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._open: Any = None
        self._process = -1
        with reading(path):
            dataset = self._dataset()
            super().__init__(dataset.shape, dataset.dtype)
            _check_sizes(path, self, dataset.chunks or ())

    def __getitem__(self, key: Any) -> NDArray:
        if isinstance(key, tuple):  # a region, as the linear estimators read
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
        if self._open is None or self._process != os.getpid():
            self._open = _checked_dataset(self._path, self._key)
            self._process = os.getpid()
        return self._open


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
        if isinstance(key, tuple):  # a region, as the linear estimators read
            with reading(self._path):
                return np.asarray(self._array[key])
        return super().__getitem__(key)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        runs = runs_of(rows)
        with reading(self._path):
            if not _is_array(self._path):  # chunks that are not there are zeros to zarr
                raise FileNotFoundError(VANISHED.format(path=self._path))
            return np.asarray(self._array[runs[0]] if len(runs) == 1 else self._array.oindex[rows])


def read_hdf5(path: Path, key: str | None) -> HDF5Rows:
    """Open one data set of an HDF5 file; `key` may be None where it holds only one of at least two axes."""
    h5py = optional("h5py", f"Reading {path.name}")
    with reading(path), h5py.File(path, "r") as file:
        if key is None:
            key = choose(path, _datasets(h5py, file), None)
        key = key.strip("/")
    return HDF5Rows(path, key)


def check_hdf5(path: Path) -> None:
    """Refuse an HDF5 file that another library is to read as a whole, if it leads out of itself or claims too much.

    Raises
    ------
    UnreadableError
        If it holds a link to another file or data that lie in one, holds itself, or claims far more numbers than its
        size makes likely; an array counts as often as it is linked to, since it is read as often.
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
    """Open one array of a zarr folder; `key` may be None where the folder is an array or holds only one."""
    if _is_array(path) and key is None:
        return ZarrRows(path)
    found = sorted({file.parent for name in ("zarr.json", ".zarray") for file in path.rglob(name)})[:MOST_ARRAYS]
    keys = [folder.relative_to(path).as_posix() for folder in found if folder != path and _is_array(folder)]
    return ZarrRows(path / choose(path, keys, None if key is None else key.strip("/")))


def _check_sizes(path: Path, array: RowReader, chunks: tuple[int, ...]) -> None:
    """Refuse sizes that a store can claim for nothing, since chunks that were not written take no place."""
    if not array.shape or array.shape[0] > MOST_SAMPLES:
        raise UnreadableError(UNREADABLE.format(path=path, reason=f"an array of shape {array.shape} holds no samples"))
    for shape, what in ((array.shape[1:], "a sample"), (chunks, "a chunk")):
        check_piece(path, shape, array.dtype, what)


def _datasets(h5py: Any, file: Any) -> list[str]:
    found: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(name, str) and isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub" and item.ndim > 1:
            found.append(name)
        return len(found) >= MOST_ARRAYS or None

    file.visititems(visit)
    return found


def _items_of(h5py: Any, path: Path, file: Any) -> Iterator[tuple[str, Any]]:
    """All that links in an HDF5 file lead to, as often as they do; soft links last, when none leads out of it."""
    links: list[tuple[Any, str, set[int]]] = [(file, name, {_address(h5py, file)}) for name in file]
    soft: list[tuple[Any, str, set[int]]] = []
    found = 0
    while links or soft:
        from_soft = not links
        group, name, within = (links or soft).pop()
        link, full = group.get(name, getlink=True), f"{group.name}/{name}".lstrip("/")
        if isinstance(link, h5py.ExternalLink):
            raise UnreadableError(LINKED.format(path=path, key=full))
        if isinstance(link, h5py.SoftLink) and not from_soft:
            soft.append((group, name, within))
            continue
        item, found = group.get(name), found + 1
        address = _address(h5py, item) if isinstance(item, h5py.Group) else None
        if found > MOST_LINKS or address in within:
            raise UnreadableError(ENDLESS.format(path=path, most=MOST_LINKS))
        if address is not None:
            links += [(item, inner, {*within, address}) for inner in item]
        yield full, item


def _address(h5py: Any, group: Any) -> int:
    return int(h5py.h5o.get_info(group.id).addr)


def _checked_dataset(path: Path, key: str) -> Any:
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
    """Refuse a data set whose numbers lie in another file."""
    if dataset.is_virtual or dataset.external is not None:
        raise UnreadableError(LINKED.format(path=path, key=key))


def _mapped(path: Path, dataset: Any) -> NDArray | None:
    """The numbers of a data set that lies in its file as one piece, which many rows are read from much faster."""
    offset = dataset.id.get_offset()
    if offset is None or dataset.chunks is not None or dataset.file.userblock_size:
        return None
    if offset + dataset.size * dataset.dtype.itemsize > path.stat().st_size:
        return None
    return np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)


def _is_array(folder: Path) -> bool:
    return (folder / ".zarray").is_file() or _metadata(folder / "zarr.json").get("node_type") == "array"


def _metadata(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with reading(path):
        if path.stat().st_size > LARGEST_METADATA:
            raise UnreadableError(UNREADABLE.format(path=path, reason="it is larger than any description of an array"))
        content = json.loads(path.read_bytes())
    return content if isinstance(content, dict) else {}


def _check_codecs(path: Path) -> None:
    metadata = [_metadata(path / name) for name in (".zarray", "zarr.json")]
    for codec in (name for content in metadata for name in _codecs(content)):
        if str(codec).removeprefix("numcodecs.") not in CODECS:
            raise UnreadableError(WRONG_CODEC.format(path=path, codec=codec, known=sorted(CODECS)))


def _codecs(metadata: Any) -> list[Any]:
    """Names of all codecs, also of those within codecs."""
    names: list[Any] = []
    for key in ("filters", "compressor", "codecs", "index_codecs"):
        value = metadata.get(key) if isinstance(metadata, dict) else None
        for codec in [value] if isinstance(value, (dict, str)) else (value or []):
            names.append(codec if isinstance(codec, str) else codec.get("id", codec.get("name")))
            names += _codecs(codec.get("configuration")) if isinstance(codec, dict) else []
    return names
