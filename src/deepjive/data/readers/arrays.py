"""NumPy's own files: `.npy`, mapped into memory, and `.npz`.

An `.npz` is a zip archive of `.npy` files. What the archive and each array's header claim is compared with the size of
the file before memory is taken for it.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, check_claim, reading
from deepjive.data.readers.lazy import remember_file

CHOOSE_ARRAY = "{path} holds several arrays {keys}; say which one with '{path}:NAME'."
NO_ARRAY = "{path} holds no array."
NO_SUCH_ARRAY = "{path} has no array {key!r}; it holds {keys}."
PICKLED = (
    "{path} holds Python objects, which are never read because doing so could run code hidden in the file. "
    "Save plain numbers or text instead, e.g. np.save(path, array.astype(float))."
)
NOT_THE_KIND = "{path} is not what its name says: its content is not {suffix}. Save it again, or correct the name."

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SHOWN_KEYS = 20
PIECE = 2**20


def map_npy(path: Path) -> NDArray:
    """Map a `.npy` file: rows are read from disk when they are used."""
    with reading(path), path.open("rb") as file:
        _read_header(path, file, ".npy")
        return remember_file(np.load(path, mmap_mode="r", allow_pickle=False), file)


def read_npz(path: Path, key: str | None) -> NDArray:
    """Read one array of a `.npz` archive; `key` may be None where it holds only one."""
    with reading(path):
        with path.open("rb") as file:
            if file.read(2) != ZIP_MAGIC:
                raise UnreadableError(NOT_THE_KIND.format(path=path, suffix=".npz"))
        with zipfile.ZipFile(path) as archive:
            member = _member(path, [info.filename for info in archive.infolist()], key)
            return _read_member(path, archive, archive.getinfo(member))


def choose(path: Path, keys: list[str], key: str | None) -> str:
    """The array that is meant among those that a file holds."""
    shown = keys if len(keys) <= SHOWN_KEYS else [*keys[:SHOWN_KEYS], "..."]
    if not keys:
        raise UnreadableError(NO_ARRAY.format(path=path))
    if key is None and len(keys) != 1:
        raise UnreadableError(CHOOSE_ARRAY.format(path=path, keys=shown))
    if key is not None and key not in keys:
        raise UnreadableError(NO_SUCH_ARRAY.format(path=path, key=key, keys=shown))
    return keys[0] if key is None else key


def _member(path: Path, names: list[str], key: str | None) -> str:
    members = {name.removesuffix(".npy"): name for name in names}
    return members[choose(path, list(members), key)]


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray:
    if info.compress_type not in COMPRESSIONS:
        raise UnreadableError(UNREADABLE.format(path=path, reason="it is compressed by a method that NumPy never uses"))
    check_claim(path, info.file_size, path.stat().st_size)
    with archive.open(info) as file:
        shape, fortran, dtype = _read_header(path, file, ".npz")
        if math.prod(shape) * dtype.itemsize > info.file_size:
            reason = f"an array of shape {shape} and dtype {dtype} is declared, but the data are shorter"
            raise UnreadableError(UNREADABLE.format(path=path, reason=reason))
        array = np.empty(math.prod(shape), dtype=dtype)
        content = array.view(np.uint8) if array.nbytes else np.empty(0, np.uint8)
        for start in range(0, len(content), PIECE):
            piece = file.read(min(PIECE, len(content) - start))
            content[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
            if len(piece) < min(PIECE, len(content) - start):
                raise UnreadableError(UNREADABLE.format(path=path, reason="the data end too early"))
        file.read()  # to its end, where zipfile compares the checksum
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _read_header(path: Path, file: IO[bytes], suffix: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    start = file.read(len(NPY_MAGIC) + 2)
    if not start.startswith(NPY_MAGIC):
        raise UnreadableError(NOT_THE_KIND.format(path=path, suffix=suffix))
    read = np.lib.format.read_array_header_1_0 if start[-2] == 1 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise UnreadableError(PICKLED.format(path=path))
    return shape, fortran, dtype
