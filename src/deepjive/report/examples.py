"""Examples: some samples of a modality beside their joint, individual and residual parts.

input = joint + individual + residual
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from deepjive.decomposition import BATCH, Decomposition
from deepjive.report.samples import kind_of, line, most_varying, picture
from deepjive.report.style import FONT, INDIVIDUAL, INK, JOINT, MUTED, WIDTH, new_figure, number

COLUMNS = (("input", INK), ("joint", JOINT), ("individual", INDIVIDUAL), ("residual", MUTED))
SIGNS = ("", "=", "+", "+")


def examples(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> Figure:
    """Samples of one modality, a row each: input, joint, individual and residual part.

    Images, and volumes as three mid-slices, show the joint part with the mean; input and joint part have one grey
    scale, the individual and residual parts one that is white at zero. Everything else is drawn as lines of the
    difference from the mean, all on one scale, of at most 120 features.

    Parameters
    ----------
    decomposition : Decomposition
        What the samples come from.
    name : str
        The modality.
    samples : array of int, shape (n_shown,)
        Which samples, at least one.
    """
    if kind_of(decomposition.data.shapes[name]) == "line":
        return _lines(decomposition, name, samples)
    return _pictures(decomposition, name, samples)


def parts_of(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> list[NDArray]:
    """Input, joint, individual and residual of some samples, each of shape (n_selected, ...)."""
    parts = (decomposition.joint, decomposition.individual, decomposition.residual)
    return [decomposition.data.rows(name, samples), *(part.rows(name, samples) for part in parts)]


def _pictures(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> Figure:
    columns = [[picture(sample) for sample in part] for part in parts_of(decomposition, name, samples)]
    height, width = columns[0][0].shape
    cell = (WIDTH - 0.3) / 4
    figure = new_figure(0.62 + len(samples) * (cell * height / width + 0.05))
    grid = figure.subplots(len(samples), 4, squeeze=False)
    low, high = map(float, np.nanpercentile(np.concatenate(columns[0] + columns[1]), [0.5, 99.5]))
    spread = float(np.nanpercentile(np.abs(np.concatenate(columns[2] + columns[3])), 99.5)) or 1.0
    for row in range(len(samples)):
        for column in range(4):
            axes, values = grid[row, column], columns[column][row]
            limits = (low, high) if column < 2 else (-spread, spread)
            cmap = "gray" if column < 2 else "RdBu_r"
            image = axes.imshow(values, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="none")
            axes.set_axis_off()
            axes.text(-0.1, 0.5, SIGNS[column], transform=axes.transAxes, fontsize=FONT, color=MUTED, ha="center")
            if column % 2 and row == 0:
                _scale(figure, image, list(grid[:, column - 1 : column + 1].ravel()), limits)
    _titles(grid)
    return figure


def _scale(figure: Figure, image: AxesImage, axes: list[Axes], limits: tuple[float, float]) -> None:
    bar = figure.colorbar(image, ax=axes, location="bottom", aspect=28, shrink=0.8, pad=0.02, ticks=list(limits))
    bar.outline.set_visible(False)
    bar.ax.set_xticklabels([number(limit) for limit in limits], fontsize=FONT - 0.5, color=MUTED)
    bar.ax.tick_params(length=0)


def _lines(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> Figure:
    x, joint, individual, residual = parts_of(decomposition, name, samples)
    mean = decomposition.mean[name]
    parts = [x - mean, joint - mean, individual, residual]
    kept = most_varying(_some_lines(decomposition, name))
    figure = new_figure(0.3 + 0.36 * len(samples))
    grid = figure.subplots(len(samples), 4, squeeze=False, sharex=True, sharey=True, gridspec_kw={"wspace": 0.22})
    for row in range(len(samples)):
        for column, (_, color) in enumerate(COLUMNS):
            axes, values = grid[row, column], line(parts[column][row])[kept]
            axes.axhline(0, color=MUTED, linewidth=0.3)
            axes.fill_between(np.arange(len(kept)), values, color=color, alpha=0.25, linewidth=0)
            axes.plot(values, color=color, linewidth=0.7, marker="o" if len(kept) == 1 else None, markersize=2)
            axes.set_axis_off()
            axes.text(-0.16, 0.5, SIGNS[column], transform=axes.transAxes, fontsize=FONT, color=MUTED, va="center")
    _titles(grid)
    return figure


def _some_lines(decomposition: Decomposition, name: str) -> NDArray:
    present = np.flatnonzero(decomposition.data.present[:, decomposition.data.names.index(name)])
    rows = decomposition.data.rows(name, present[:BATCH])
    return np.stack([line(sample) for sample in rows])


def _titles(grid: NDArray) -> None:
    for axes, (title, color) in zip(grid[0], COLUMNS, strict=True):
        axes.set_title(title, fontsize=FONT, color=color, pad=3)
