"""Pictures of samples: some samples beside their parts, and rows of images.

input = joint + (shared by some) + individual + residual
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import BATCH, Decomposition
from deepjive.plot.palette import DIVERGING, INDIVIDUAL, JOINT, SUBSET, axes_of, ink, muted, number, plain, small
from deepjive.plot.samples import choose, kind_of, line, most_varying, picture

GREY = "gray"
COLUMNS = {"input": "", "joint": "=", "shared by some": "+", "individual": "+", "residual": "+"}  # signs before them
GAP, ROW_GAP, TITLE, LINE_HEIGHT = 0.26, 0.12, 0.26, 0.36  # in widths of a cell
GRID_GAP = 0.08
LABEL_GAP = 0.12
CHARACTER, MOST_FOR_LABELS = 0.0145, 0.5  # of the width of a figure: a character of a label, and all labels
N_SAMPLES = 6

Scale = tuple[str, float, float]


def examples(parts: Decomposition, modality: str, samples: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw samples of one modality in rows: input, joint, individual and residual part.

    A model with `subsets` also has a column of what the modality shares with some of the others.

    For images, and for volumes as three mid-slices, the joint part includes the mean. Input and joint part have the
    same grey scale. Individual part and residual have the same scale of colours, which is white at zero. Images of
    three channels are drawn in colour, and their individual part and residual are grey at zero. Other modalities are
    drawn as lines of the difference from the mean, all on one scale, with at most 120 features.

    Parameters
    ----------
    parts : Decomposition
        The decomposition.
    modality : str
        The modality.
    samples : array of int, shape (n_shown,), default=None
        Row numbers of the samples, at least one; by default six from the lowest to the highest first joint score.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    rows = choose(parts, N_SAMPLES) if samples is None else np.asarray(samples, dtype=np.intp)
    axes = axes_of(ax)
    if kind_of(parts.data.shapes[modality]) == "line":
        _lines(axes, parts, modality, rows)
    else:
        _pictures(axes, parts, modality, rows)
    return axes


def examples_size(parts: Decomposition, modality: str, n_rows: int) -> float:
    """Return the height of `examples` for a width of 1."""
    shape = parts.data.shapes[modality]
    if kind_of(shape) == "line":
        height, below = LINE_HEIGHT, 0.0
    else:
        drawn = picture(np.zeros(shape))
        height, below = drawn.shape[0] / drawn.shape[1], 0.34
    return float((_corner(n_rows, 0, height)[1] + below + TITLE) / _width(len(titles_of(parts, modality))))


def titles_of(parts: Decomposition, modality: str) -> list[str]:
    """Return the titles of the columns of a modality."""
    shares = any(modality in subset for subset in parts.subset_scores)
    return [title for title in COLUMNS if shares or title != "shared by some"]


def parts_of(parts: Decomposition, modality: str, samples: NDArray[np.intp]) -> list[NDArray]:
    """Return the input and the parts of some samples by column, each of shape (n_selected, ...)."""
    shared = [part.rows(modality, samples) for subset, part in parts.subset.items() if modality in subset]
    own = [part.rows(modality, samples) for part in (parts.individual, parts.residual)]
    columns = [parts.data.rows(modality, samples), parts.joint.rows(modality, samples)]
    return [*columns, *([np.sum(shared, axis=0)] if shared else []), *own]


def _pictures(axes: Axes, parts: Decomposition, modality: str, samples: NDArray[np.intp]) -> None:
    columns = [[picture(sample) for sample in part] for part in parts_of(parts, modality, samples)]
    height = columns[0][0].shape[0] / columns[0][0].shape[1]
    low, high = map(float, np.nanpercentile(np.concatenate(columns[0] + columns[1]), [0.5, 99.5]))
    spread = (
        float(np.nanpercentile(np.abs(np.concatenate([drawn for column in columns[2:] for drawn in column])), 99.5))
        or 1.0
    )
    scales: list[Scale] = [(GREY, low, high)] * 2 + [(DIVERGING, -spread, spread)] * len(columns[2:])
    _canvas(axes, titles_of(parts, modality), len(samples), height, below=0.34)
    for row, column in np.ndindex(len(samples), len(columns)):
        left, top = _corner(row, column, height)
        draw_picture(axes, columns[column][row], (left, left + 1, top + height, top), scales[column])
    bottom = _corner(len(samples), 0, height)[1]
    if columns[0][0].ndim == 2:
        for column in (0, 2):
            _draw_scale(axes, _corner(0, column, height)[0], bottom, scales[column])


def _lines(axes: Axes, parts: Decomposition, modality: str, samples: NDArray[np.intp]) -> None:
    x, joint, *others = parts_of(parts, modality, samples)
    mean = parts.mean[modality]
    features = most_varying(_first_lines(parts, modality))
    columns = [[line(sample)[features] for sample in part] for part in (x - mean, joint - mean, *others)]
    largest = float(np.nanmax(np.abs([values for column in columns for values in column]))) or 1.0
    titles = titles_of(parts, modality)
    _canvas(axes, titles, len(samples), LINE_HEIGHT)
    marker = "o" if len(features) == 1 else ""
    colors = _colors()
    for row, column in np.ndindex(len(samples), len(columns)):
        left, top = _corner(row, column, LINE_HEIGHT)
        zero, color = top + LINE_HEIGHT / 2, colors[titles[column]]
        along = left + (np.linspace(0, 1, len(features)) if len(features) > 1 else np.array([0.5]))
        heights = zero - columns[column][row] / largest * LINE_HEIGHT / 2
        axes.plot([left, left + 1], [zero, zero], color=muted(), linewidth=0.3)
        axes.fill_between(along, heights, zero, color=color, alpha=0.25, linewidth=0)
        axes.plot(along, heights, color=color, linewidth=0.7, marker=marker, markersize=2)


def _colors() -> dict[str, str]:
    return dict(zip(COLUMNS, (ink(), JOINT, SUBSET, INDIVIDUAL, muted()), strict=True))


def _title_color(title: str) -> str:
    """The colour of subsets is too light for letters."""
    return ink() if _colors()[title] == SUBSET else _colors()[title]


def _width(columns: int) -> float:
    return columns + (columns - 1) * GAP


def _canvas(axes: Axes, titles: Sequence[str], rows: int, height: float, below: float = 0.0) -> None:
    """Set axes to units of the width of a cell, with the titles of the columns and the signs between them."""
    width, bottom = _width(len(titles)), _corner(rows, 0, height)[1] + below
    axes.set_axis_off()
    for column, title in enumerate(titles):
        left, color = _corner(0, column, height)[0], _title_color(title)
        axes.text(left + 0.5, -TITLE / 3, title, color=color, ha="center")
        for row in range(rows):
            middle = _corner(row, column, height)[1] + height / 2
            axes.text(left - GAP / 2, middle, COLUMNS[title], color=muted(), ha="center", va="center")
    axes.set(xlim=(0, width), ylim=(bottom, -TITLE), autoscale_on=False, aspect="equal")


def _corner(row: int, column: int, height: float) -> tuple[float, float]:
    """Return the left and the top of a cell."""
    return column * (1 + GAP), row * (height + ROW_GAP)


def draw_picture(axes: Axes, values: NDArray, extent: tuple[float, float, float, float], scale: Scale) -> None:
    """Draw a picture in a rectangle; colours are scaled to the range of the scale, NaN is the paper."""
    cmap, low, high = scale
    if values.ndim == 3:
        shown = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)
        opaque = np.isfinite(values).all(axis=2, keepdims=True)
        values = np.concatenate([np.nan_to_num(shown), opaque], axis=2)
    axes.imshow(values, cmap=cmap, vmin=low, vmax=high, extent=extent, interpolation="none", aspect=axes.get_aspect())


def _draw_scale(axes: Axes, left: float, top: float, scale: Scale) -> None:
    width = 2 + GAP
    gradient = np.linspace(scale[1], scale[2], 64)[None]
    draw_picture(axes, gradient, (left + 0.3 * width, left + 0.7 * width, top + 0.19, top + 0.12), scale)
    for limit, position, side in ((scale[1], 0.28, "right"), (scale[2], 0.72, "left")):
        xy = (left + position * width, top + 0.155)
        axes.text(*xy, number(limit), fontsize=small(), color=muted(), ha=side, va="center")


def _first_lines(parts: Decomposition, modality: str) -> NDArray:
    """Return the first samples that have the modality as lines."""
    present = np.flatnonzero(parts.data.present[:, parts.data.names.index(modality)])
    rows = parts.data.rows(modality, present[:BATCH])
    return np.stack([line(sample) for sample in rows])


class GridLayout:
    """Places of images in rows and columns, in units of the width of an image.

    Parameters
    ----------
    rows : sequence of array, each (n_columns, ...)
        The images of each row.
    row_labels, column_labels : sequence of str
        Labels beside the rows, and above the columns.
    """

    def __init__(self, rows: Sequence[NDArray], row_labels: Sequence[str], column_labels: Sequence[str] = ()) -> None:
        self.pictures = [[picture(image) for image in row] for row in rows]
        self.row_labels, self.column_labels = row_labels, column_labels
        columns = max(len(row) for row in self.pictures)
        self.heights = [row[0].shape[0] / row[0].shape[1] for row in self.pictures]
        share = min(MOST_FOR_LABELS, CHARACTER * max(len(label) for label in row_labels))
        self.margin = (LABEL_GAP + 0.1 + share * columns * (1 + GRID_GAP)) / (1 - share)
        self.top = 0.3 if column_labels else 0.0
        self.width = columns * (1 + GRID_GAP) + self.margin
        self.height = sum(height + GRID_GAP for height in self.heights) + self.top

    def draw(self, axes: Axes) -> Axes:
        """Draw the images and the labels. Each row has a separate scale of grey or colours."""
        axes.set_axis_off()
        axes.set(xlim=(0, self.width), ylim=(self.height, 0), autoscale_on=False, aspect="equal")
        for column, label in enumerate(self.column_labels):
            middle = self.margin + column * (1 + GRID_GAP) + 0.5
            axes.text(middle, self.top / 2, label, color=muted(), ha="center", va="center")
        top = self.top
        for row, label, height in zip(self.pictures, self.row_labels, self.heights, strict=True):
            axes.text(self.margin - LABEL_GAP, top + height / 2, plain(label), color=muted(), ha="right", va="center")
            self._draw_row(axes, row, top, height)
            top += height + GRID_GAP
        return axes

    def _draw_row(self, axes: Axes, images: Sequence[NDArray], top: float, height: float) -> None:
        low, high = map(float, np.nanpercentile(np.concatenate([image.ravel() for image in images]), [0.5, 99.5]))
        for column, image in enumerate(images):
            left = self.margin + column * (1 + GRID_GAP)
            draw_picture(axes, image, (left, left + 1, top + height, top), (GREY, low, high))
