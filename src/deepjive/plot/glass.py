"""Maps of the brain at print quality, by nilearn: a glass brain and slices over the MNI152 template for each map."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepjive.data.readers.guard import optional
from deepjive.imaging.grid import Grid

SLICES = (-16, 2, 24, 42)
DOTS = 110
WIDTHS = (1, 1.25, 0.02)
COLOURS = "RdBu_r"
TITLE: dict[str, Any] = {"color": "black", "bgcolor": "white", "size": 11}


def brain_maps(maps: Mapping[str, NDArray], grid: Grid, units: Mapping[str, str], strongest: float = 0.2) -> Figure:
    """A figure with a row for each map: a glass brain from three sides, and axial slices from bottom to top.

    Parameters
    ----------
    maps : mapping of str to array, shape ``grid.shape``
        The maps; voxels with the value 0 are not shown.
    grid : Grid
        Grid of the maps.
    units : mapping of str to str
        Unit of each map, beside its scale of colours.
    strongest : float, default=0.2
        Fraction of the nonzero voxels that the glass brain shows.

    Returns
    -------
    matplotlib Figure
    """
    figure = Figure(figsize=(11.0, 2.6 * len(maps)), dpi=DOTS)
    axes = figure.subplots(len(maps), 3, squeeze=False, width_ratios=WIDTHS)
    white = Rectangle((0, 0), 1, 1, transform=figure.transFigure, color="white", zorder=-1)  # nilearn writes in black
    figure.add_artist(white)
    figure.subplots_adjust(left=0.01, right=0.92, top=0.95, bottom=0.03, wspace=0.04, hspace=0.15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, (name, values) in zip(axes, maps.items(), strict=True):
            limit = _plot_map(figure, row, values, grid, name, strongest)
            _plot_scale(figure, row[2], limit, units[name])
    return figure


def _plot_map(figure: Figure, axes: Sequence[Any], values: NDArray, grid: Grid, title: str, strongest: float) -> float:
    """Plot one map as a glass brain and as slices on one scale of colours, and return the end of the scale."""
    nibabel, plotting = optional("nibabel", "Brain maps"), optional("nilearn.plotting", "Brain maps")
    image = nibabel.Nifti1Image(np.asarray(values, np.float32), grid.affine)
    size = np.abs(values[values != 0])
    limit = float(np.quantile(size, 0.995)) if size.size else 1.0
    threshold = float(np.quantile(size, 1 - strongest)) if size.size else None
    common: dict[str, Any] = {"figure": figure, "cmap": COLOURS, "vmax": limit, "vmin": -limit, "colorbar": False}
    glass = plotting.plot_glass_brain(image, axes=axes[0], threshold=threshold, plot_abs=False, **common)
    glass.title(title, **TITLE)
    plotting.plot_stat_map(image, axes=axes[1], threshold=1e-9, display_mode="z", cut_coords=SLICES, **common)
    return limit


def _plot_scale(figure: Figure, axes: Axes, limit: float, unit: str) -> None:
    """Plot the scale of colours in axes of its own; nilearn's labels of ticks would touch the brain beside it."""
    scale = figure.colorbar(ScalarMappable(Normalize(-limit, limit), COLOURS), cax=axes, format="%.2g")
    scale.set_ticks([-limit, -limit / 2, 0.0, limit / 2, limit])
    scale.set_label(unit)
