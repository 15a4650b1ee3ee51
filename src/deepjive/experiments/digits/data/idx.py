"""Reader of the idx format of the MNIST files (LeCun, Cortes and Burges, 1998).

A file starts with the bytes `0 0 type dimensions`. Then come the size of each dimension, in four big-endian bytes, and
the values.
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

NOT_IDX = "{path} is not an idx file of unsigned bytes: it must begin with the bytes 0, 0, 8, but begins with {given}."
WRONG_SIZE = (
    "{path} should hold an array of shape {shape}, {expected} bytes, but holds {given} of them. The download may be "
    "incomplete; download the file again."
)
TOO_LARGE = "{path} claims an array of shape {shape}, but at most {limit} bytes are expected. Check the file."
NOT_GZIP = "{path} cannot be unpacked: {error}. Download the file again."


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, plain or gzipped.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    array of uint8
        The values, in the shape that the header gives.

    Raises
    ------
    ValueError
        If the file has another format or size, or cannot be unpacked.
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
        n_bytes = "more" if len(values) > size else len(values)
        raise ValueError(WRONG_SIZE.format(path=path, shape=shape, expected=size, given=n_bytes))
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
