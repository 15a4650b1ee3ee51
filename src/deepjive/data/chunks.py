"""Batches of samples that need a fixed amount of memory, however large one sample is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BATCH_NUMBERS = 2**22


def row_batches(rows: NDArray[np.intp], shape: tuple[int, ...]) -> Iterator[NDArray[np.intp]]:
    """Split row numbers into batches of at most `BATCH_NUMBERS` values, but at least one row.

    Parameters
    ----------
    rows : array of int, shape (n_rows,)
        Row numbers.
    shape : tuple of int
        Shape of one sample.
    """
    size = max(BATCH_NUMBERS // max(math.prod(shape), 1), 1)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
