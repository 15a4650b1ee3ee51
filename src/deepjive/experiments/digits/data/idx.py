"""The idx format of the MNIST files: a header of sizes, then the numbers (LeCun, Cortes and Burges, 1998).

A file is `0 0 type dimensions`, a byte each, the size of every dimension in four big-endian bytes, and the values.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNSIGNED_BYTE = 8
MAX_BYTES = 2**30

NOT_IDX = (
    "{path} is not an idx file of unsigned bytes: it should begin with the bytes 0, 0, 8, but begins with {given}."
)
WRONG_SIZE = (
    "{path} announces an array of shape {shape}, {expected} bytes, but holds {given} of them. It may not have been "
    "downloaded to its end; get it again."
)
TOO_LARGE = "{path} announces an array of shape {shape}, more than the {limit} bytes that are read."
NOT_GZIP = "{path} cannot be unpacked: {error}. Get it again."


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, plain or gzipped.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    array of uint8
        In the shape that the file says.

    Raises
    ------
    ValueError
        For a file of another format or size, or one that cannot be unpacked.
    """
    path = Path(path)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != bytes((0, 0, UNSIGNED_BYTE)):
                raise ValueError(NOT_IDX.format(path=path, given=list(start)))
            shape = tuple(int(size) for size in np.frombuffer(file.read(4 * start[3]), dtype=">u4"))
            size = math.prod(shape)
            if len(shape) != start[3] or size > MAX_BYTES:
                raise ValueError(TOO_LARGE.format(path=path, shape=shape, limit=MAX_BYTES))
            values = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(NOT_GZIP.format(path=path, error=error)) from error
    if len(values) != size:
        given = "more" if len(values) > size else len(values)
        raise ValueError(WRONG_SIZE.format(path=path, shape=shape, expected=size, given=given))
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
