"""Examples: some samples of a modality beside their joint, individual and residual parts.

input = joint + individual + residual
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.decomposition import BATCH, Decomposition
from deepjive.report.samples import kind_of, line, most_varying, picture
from deepjive.report.style import FONT, INDIVIDUAL, INK, JOINT, MUTED, WIDTH, number

COLUMNS = (("input", INK), ("joint", JOINT), ("individual", INDIVIDUAL), ("residual", MUTED))
SIGNS = ("", "=", "+", "+")
GAP, ROW_GAP, TITLE, LINE_HEIGHT = 0.26, 0.12, 0.26, 0.36  # in widths of a cell


def examples(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> Figure:
    """Draw samples of one modality in rows: input, joint, individual and residual part.

    For images, and for volumes as three mid-slices, the joint part includes the mean. Input and joint part have the
    same grey scale. Individual part and residual have the same scale of colours, which is white at zero. Other
    modalities are drawn as lines of the difference from the mean, all on one scale, with at most 120 features.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    name : str
        The modality.
    samples : array of int, shape (n_shown,)
        Row numbers of the samples, at least one.

    Returns
    -------
    matplotlib Figure
    """
    if kind_of(decomposition.data.shapes[name]) == "line":
        return _lines(decomposition, name, samples)
    return _pictures(decomposition, name, samples)


def parts_of(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> list[NDArray]:
    """Return the input, joint, individual and residual part of some samples, each of shape (n_selected, ...)."""
    parts = (decomposition.joint, decomposition.individual, decomposition.residual)
    return [decomposition.data.rows(name, samples), *(part.rows(name, samples) for part in parts)]


def _pictures(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> Figure:
    columns = [[picture(sample) for sample in part] for part in parts_of(decomposition, name, samples)]
    height = columns[0][0].shape[0] / columns[0][0].shape[1]
    low, high = map(float, np.nanpercentile(np.concatenate(columns[0] + columns[1]), [0.5, 99.5]))
    spread = float(np.nanpercentile(np.abs(np.concatenate(columns[2] + columns[3])), 99.5)) or 1.0
    scales = [("gray", low, high)] * 2 + [("RdBu_r", -spread, spread)] * 2
    axes = _canvas(len(samples), height, below=0.34)
    for row, column in np.ndindex(len(samples), 4):
        left, top = _corner(row, column, height)
        _image(axes, columns[column][row], (left, left + 1, top + height, top), *scales[column])
    bottom = _corner(len(samples), 0, height)[1]
    for column in (0, 2):
        _scale(axes, _corner(0, column, height)[0], bottom, scales[column])
    return axes.figure  # type: ignore[return-value]


def _lines(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> Figure:
    x, joint, individual, residual = parts_of(decomposition, name, samples)
    mean = decomposition.mean[name]
    features = most_varying(_first_lines(decomposition, name))
    columns = [[line(sample)[features] for sample in part] for part in (x - mean, joint - mean, individual, residual)]
    largest = float(np.nanmax(np.abs([values for column in columns for values in column]))) or 1.0
    axes = _canvas(len(samples), LINE_HEIGHT)
    marker = "o" if len(features) == 1 else ""
    for row, column in np.ndindex(len(samples), 4):
        left, top = _corner(row, column, LINE_HEIGHT)
        zero, color = top + LINE_HEIGHT / 2, COLUMNS[column][1]
        along = left + (np.linspace(0, 1, len(features)) if len(features) > 1 else np.array([0.5]))
        heights = zero - columns[column][row] / largest * LINE_HEIGHT / 2
        axes.plot([left, left + 1], [zero, zero], color=MUTED, linewidth=0.3)
        axes.fill_between(along, heights, zero, color=color, alpha=0.25, linewidth=0)
        axes.plot(along, heights, color=color, linewidth=0.7, marker=marker, markersize=2)
    return axes.figure  # type: ignore[return-value]


def _canvas(rows: int, height: float, below: float = 0.0) -> Axes:
    """Return axes in units of the width of a cell, with the titles of the columns and the signs between them."""
    width, bottom = 4 + 3 * GAP, _corner(rows, 0, height)[1] + below
    figure = Figure(figsize=(WIDTH, WIDTH * (bottom + TITLE) / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for column, (title, color) in enumerate(COLUMNS):
        left = _corner(0, column, height)[0]
        axes.text(left + 0.5, -TITLE / 3, title, fontsize=FONT, color=color, ha="center")
        for row in range(rows):
            middle = _corner(row, column, height)[1] + height / 2
            axes.text(left - GAP / 2, middle, SIGNS[column], fontsize=FONT, color=MUTED, ha="center", va="center")
    axes.set(xlim=(0, width), ylim=(bottom, -TITLE), autoscale_on=False)
    return axes


def _corner(row: int, column: int, height: float) -> tuple[float, float]:
    """Return the left and the top of a cell."""
    return column * (1 + GAP), row * (height + ROW_GAP)


def _image(
    axes: Axes, values: NDArray, extent: tuple[float, float, float, float], cmap: str, low: float, high: float
) -> None:
    axes.imshow(values, cmap=cmap, vmin=low, vmax=high, extent=extent, interpolation="none", aspect="auto")


def _scale(axes: Axes, left: float, top: float, scale: tuple[str, float, float]) -> None:
    width = 2 + GAP
    gradient = np.linspace(scale[1], scale[2], 64)[None]
    _image(axes, gradient, (left + 0.3 * width, left + 0.7 * width, top + 0.19, top + 0.12), *scale)
    for limit, position, side in ((scale[1], 0.28, "right"), (scale[2], 0.72, "left")):
        xy = (left + position * width, top + 0.155)
        axes.text(*xy, number(limit), fontsize=FONT - 0.5, color=MUTED, ha=side, va="center")


def _first_lines(decomposition: Decomposition, name: str) -> NDArray:
    """Return the first samples that have the modality as lines."""
    present = np.flatnonzero(decomposition.data.present[:, decomposition.data.names.index(name)])
    rows = decomposition.data.rows(name, present[:BATCH])
    return np.stack([line(sample) for sample in rows])
