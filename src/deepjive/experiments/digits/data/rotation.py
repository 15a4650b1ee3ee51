"""Rotation, shift and scaling of many images at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 1000


def turned(
    images: NDArray, degrees: ArrayLike, shifts: ArrayLike = (0.0, 0.0), sizes: ArrayLike = 1.0
) -> NDArray[np.float32]:
    """Rotate images about their centres, counter-clockwise, by bilinear interpolation; values outside are 0.

    Parameters
    ----------
    images : array, shape (n, height, width)
        Images.
    degrees : array, shape (n,)
        The angle of each image in degrees.
    shifts : array, shape (n, 2), or pair of float, default=(0.0, 0.0)
        By how many pixels each image is shifted down and to the right, after the rotation.
    sizes : array, shape (n,), or float, default=1.0
        The factor by which each image is enlarged.

    Returns
    -------
    array of float32, shape (n, height, width)

    Examples
    --------
    >>> turned(np.array([[[1, 0], [0, 0]]]), [90.0]).round().tolist()
    [[[0.0, 0.0], [1.0, 0.0]]]
    """
    n = len(images)
    angles = np.broadcast_to(np.deg2rad(np.asarray(degrees, dtype=np.float32)), (n,))
    shifts = np.broadcast_to(np.asarray(shifts, dtype=np.float32), (n, 2))
    sizes = np.broadcast_to(np.asarray(sizes, dtype=np.float32), (n,))
    result = np.empty(images.shape, dtype=np.float32)
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        result[rows] = _turned(np.asarray(images[rows], dtype=np.float32), angles[rows], shifts[rows], sizes[rows])
    return result


def _turned(
    images: NDArray[np.float32],
    angles: NDArray[np.float32],
    shifts: NDArray[np.float32],
    sizes: NDArray[np.float32],
) -> NDArray[np.float32]:
    n, height, width = images.shape
    row, column = np.meshgrid(
        np.arange(height, dtype=np.float32) - (height - 1) / 2,
        np.arange(width, dtype=np.float32) - (width - 1) / 2,
        indexing="ij",
    )
    cos, sin = ((f(angles) / sizes).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    row, column = (axis - shift[:, None, None] for axis, shift in zip((row, column), shifts.T, strict=True))
    # A frame of zeros, so that neighbours outside need no special case.
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(n, -1)
    y = np.clip(cos * row + sin * column + (height + 1) / 2, 0, height + 0.999)
    x = np.clip(-sin * row + cos * column + (width + 1) / 2, 0, width + 0.999)
    top, left = y.astype(np.int32), x.astype(np.int32)
    down, right = y - top, x - left
    corner = (top * (width + 2) + left).reshape(n, -1)
    down, right = down.reshape(n, -1), right.reshape(n, -1)

    def at(offset: int) -> NDArray[np.float32]:
        return np.take_along_axis(framed, corner + offset, axis=1)

    upper = at(0) * (1 - right) + at(1) * right
    lower = at(width + 2) * (1 - right) + at(width + 3) * right
    return (upper * (1 - down) + lower * down).reshape(n, height, width)
