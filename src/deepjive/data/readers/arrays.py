"""NumPy's file formats: `.npy`, mapped into memory, and `.npz`.

An `.npz` is a zip archive of `.npy` files. The reader compares the sizes in the archive and in each array's header with
the size of the file, before it allocates memory.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, check_claim, reading
from deepjive.data.readers.lazy import remember_file

PICKLED = (
    "{path} holds Python objects, which are never read because doing so could run code hidden in the file. "
    "Save plain numbers or text instead, e.g. np.save(path, array.astype(float))."
)
WRONG_SUFFIX = "{path} is not what its name says: its content is not {suffix}. Save it again, or correct the name."

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SHOWN_KEYS = 20
PIECE = 2**20
NUMPY_FLOATS = ("torch.float16", "torch.float32", "torch.float64")


def map_npy(path: Path) -> NDArray:
    """Map a `.npy` file into memory: rows are read from disk when they are used.

    Raises
    ------
    UnreadableError
        If the file is damaged or holds Python objects.
    """
    with reading(path), path.open("rb") as file:
        _read_header(path, file, ".npy")
        return remember_file(np.load(path, mmap_mode="r", allow_pickle=False), file)


def read_npz(path: Path, key: str | None) -> NDArray:
    """Read one array of a `.npz` archive.

    Parameters
    ----------
    path : Path
        The archive.
    key : str or None
        Name of the array; None if the archive holds only one.

    Raises
    ------
    UnreadableError
        If the archive is damaged, claims too much, holds Python objects, or does not hold the array.
    """
    with reading(path):
        with path.open("rb") as file:
            if file.read(2) != ZIP_MAGIC:
                raise UnreadableError(WRONG_SUFFIX.format(path=path, suffix=".npz"))
        with zipfile.ZipFile(path) as archive:
            member = _member(path, [info.filename for info in archive.infolist()], key)
            return _read_member(path, archive, archive.getinfo(member))


def choose(path: Path, keys: list[str], key: str | None) -> str:
    """Return the name of the array to read from a file.

    Parameters
    ----------
    path : Path
        The file, for the errors.
    keys : list of str
        Names of the arrays that the file holds.
    key : str or None
        Name of the requested array; None if the file holds only one.

    Raises
    ------
    UnreadableError
        If the file holds no array, not the requested array, or several arrays while `key` is None.
    """
    shown = keys if len(keys) <= SHOWN_KEYS else [*keys[:SHOWN_KEYS], "..."]
    if not keys:
        raise UnreadableError(f"{path} holds no array. Check how the file was saved.")
    if key is None and len(keys) != 1:
        raise UnreadableError(f"{path} holds several arrays {shown}; say which one with '{path}:NAME'.")
    if key is not None and key not in keys:
        raise UnreadableError(f"{path} has no array {key!r}; it holds {shown}.")
    return keys[0] if key is None else key


def _member(path: Path, names: list[str], key: str | None) -> str:
    """File name of an array inside an archive."""
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
        _read_into(path, file, array.view(np.uint8) if array.nbytes else np.empty(0, np.uint8))
        file.read()  # to the end, where zipfile compares the checksum
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _read_into(path: Path, file: IO[bytes], content: NDArray[np.uint8]) -> None:
    """Fill an array of bytes from a file, a piece at a time."""
    for start in range(0, len(content), PIECE):
        expected = min(PIECE, len(content) - start)
        piece = file.read(expected)
        content[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
        if len(piece) < expected:
            raise UnreadableError(UNREADABLE.format(path=path, reason="the data end too early"))


def _read_header(path: Path, file: IO[bytes], suffix: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the order is Fortran's, and dtype of a `.npy` file; the file is then at its data."""
    start = file.read(len(NPY_MAGIC) + 2)
    if not start.startswith(NPY_MAGIC):
        raise UnreadableError(WRONG_SUFFIX.format(path=path, suffix=suffix))
    read = np.lib.format.read_array_header_1_0 if start[-2] == 1 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise UnreadableError(PICKLED.format(path=path))
    return shape, fortran, dtype


def tensor_values(tensor: Any) -> NDArray:
    """Return the values of a torch tensor as a NumPy array.

    Parameters
    ----------
    tensor : torch.Tensor
        A tensor of any device. Numbers of types that NumPy lacks, such as bfloat16, become single precision; sparse
        tensors become dense.

    Raises
    ------
    ValueError
        If the tensor has no values (device "meta").
    """
    if tensor.is_meta:
        raise ValueError("it is a tensor of the device 'meta', which has no values")
    tensor = tensor.detach().cpu()
    tensor = tensor.dequantize() if tensor.is_quantized else tensor
    tensor = tensor.to_dense() if str(tensor.layout) != "torch.strided" else tensor
    if tensor.is_floating_point() and str(tensor.dtype) not in NUMPY_FLOATS:
        tensor = tensor.float()
    return tensor.resolve_conj().resolve_neg().numpy()
