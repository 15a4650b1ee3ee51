"""Choice of the samples and features that are drawn, and conversion of a sample to a picture or a line."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import Decomposition

MAX_CHANNELS = 4
MAX_FEATURES = 120
COLOURS = 3

Kind = Literal["line", "image", "volume"]


def kind_of(shape: tuple[int, ...]) -> Kind:
    """Return how samples of a shape are shown.

    A first or last axis of length 4 or less, if all other axes are longer than 4, holds channels.

    Examples
    --------
    >>> kind_of((200,)), kind_of((2, 500)), kind_of((28, 28)), kind_of((3, 32, 32)), kind_of((32, 48, 32))
    ('line', 'line', 'image', 'image', 'volume')
    """
    n_axes = len(shape) - (_channel_axis(shape) is not None)
    kinds: dict[int, Kind] = {2: "image", 3: "volume"}
    return kinds.get(n_axes, "line")


def choose(decomposition: Decomposition, number: int) -> NDArray[np.intp]:
    """Choose samples from the lowest to the highest first joint score, in even steps.

    Only samples that have all modalities are chosen.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    number : int
        Largest number of samples.

    Returns
    -------
    array of int, shape (n_chosen,)
    """
    complete = np.flatnonzero(decomposition.data.present.all(axis=1))
    if decomposition.joint_scores.shape[1]:
        complete = complete[np.argsort(decomposition.joint_scores[complete, 0], kind="stable")]
    steps = np.linspace(0, len(complete) - 1, min(number, len(complete)))
    return complete[np.round(steps).astype(np.intp)]


def is_colour(shape: tuple[int, ...]) -> bool:
    """Return whether samples of a shape are images of three channels, drawn as red, green and blue.

    Examples
    --------
    >>> is_colour((32, 32, 3)), is_colour((3, 32, 32)), is_colour((32, 32)), is_colour((2, 32, 32))
    (True, True, False, False)
    """
    axis = _channel_axis(shape)
    return kind_of(shape) == "image" and axis is not None and shape[axis] == COLOURS


def picture(sample: NDArray) -> NDArray:
    """Return a sample as a flat picture: an image unchanged, a volume as three mid-slices one above the other.

    Parameters
    ----------
    sample : array of two or three axes, besides channels
        The sample. Three channels of an image are colours; other channels are averaged. The axes of a volume run from
        left to right, back to front and bottom to top.

    Returns
    -------
    array, shape (height, width), or (height, width, 3) for colours
        NaN beside slices that are narrower than the widest slice.
    """
    sample = np.asarray(sample, dtype=np.float64)
    if is_colour(sample.shape):
        return np.moveaxis(sample, _channel_axis(sample.shape) or 0, -1)
    sample = _without_channels(sample)
    if sample.ndim == 2:
        return sample
    x, y, z = (size // 2 for size in sample.shape)
    slices = [sample[x], sample[:, y], sample[:, :, z]]
    width = max(piece.shape[0] for piece in slices)
    gap = np.full((max(1, width // 24), width), np.nan)
    side, back, above = (_centred(np.rot90(piece), width) for piece in slices)
    return np.concatenate([side, gap, back, gap, above])


def line(sample: NDArray) -> NDArray:
    """Return a sample as one line: channels are averaged, and the other axes are flattened."""
    return _without_channels(np.asarray(sample, dtype=np.float64)).reshape(-1)


def most_varying(lines: NDArray, limit: int = MAX_FEATURES) -> NDArray[np.intp]:
    """Return the indices of the features that vary most, in ascending order.

    Parameters
    ----------
    lines : array, shape (n_samples, n_features)
        Samples from which the variances are computed.
    limit : int, default=120
        Largest number of features.

    Returns
    -------
    array of int, shape (n_chosen,)
    """
    if lines.shape[1] <= limit:
        return np.arange(lines.shape[1])
    return np.sort(np.argsort(-lines.var(axis=0), kind="stable")[:limit])


def one_of_each(labels: ArrayLike) -> NDArray[np.intp]:
    """Return the row number of the first sample of each label, in the order of the labels.

    Examples
    --------
    >>> one_of_each([2, 0, 0, 1, 2]).tolist()
    [1, 3, 0]
    """
    return np.unique(np.asarray(labels), return_index=True)[1]


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return the axis of the channels, or None."""
    for axis in (0, len(shape) - 1):
        others = [size for other, size in enumerate(shape) if other != axis]
        if others and shape[axis] <= MAX_CHANNELS < min(others):
            return axis
    return None


def _without_channels(sample: NDArray) -> NDArray:
    axis = _channel_axis(sample.shape)
    return sample if axis is None else sample.mean(axis=axis)


def _centred(piece: NDArray, width: int) -> NDArray:
    """Pad a slice with NaN on both sides."""
    margin = width - piece.shape[1]
    return np.pad(piece, ((0, 0), (margin // 2, margin - margin // 2)), constant_values=np.nan)
