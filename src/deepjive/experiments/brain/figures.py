"""Brain maps drawn with nilearn: a glass brain and slices over the MNI152 template for every modality."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepjive.data.readers.guard import optional
from deepjive.imaging.grid import Grid

SLICES = (-16, 2, 24, 42)
TITLE: dict[str, Any] = {"color": "black", "bgcolor": "white", "size": 11}


def brain_maps(maps: Mapping[str, NDArray], grid: Grid, units: Mapping[str, str], strongest: float = 0.2) -> Figure:
    """A row for each map: a glass brain from three sides, and slices from below to above.

    Parameters
    ----------
    maps : mapping of str to array, shape ``grid.shape``
        The maps, 0 where there is nothing to show.
    grid : Grid
        Where the voxels are.
    units : mapping of str to str
        What is beside each colour bar.
    strongest : float
        Fraction of the voxels that are not 0 which the glass brain shows.
    """
    nibabel, plotting = optional("nibabel", "Brain maps"), optional("nilearn.plotting", "Brain maps")
    figure = Figure(figsize=(11.0, 2.9 * len(maps)), dpi=110)
    axes = figure.subplots(len(maps), 2, squeeze=False, width_ratios=(1, 1.25))
    plate = Rectangle((0, 0), 1, 1, transform=figure.transFigure, color="white", zorder=-1)  # nilearn writes in black
    figure.add_artist(plate)
    figure.subplots_adjust(left=0.01, right=0.95, top=0.95, bottom=0.03, wspace=0.14, hspace=0.08)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, (name, values) in zip(axes, maps.items(), strict=True):
            image = nibabel.Nifti1Image(np.asarray(values, np.float32), grid.affine)
            size = np.abs(values[values != 0])
            limit = float(np.quantile(size, 0.995)) if size.size else 1.0
            seen = float(np.quantile(size, 1 - strongest)) if size.size else None
            common: dict[str, Any] = {
                "figure": figure,
                "cmap": "RdBu_r",
                "vmax": limit,
                "vmin": -limit,
                "colorbar": True,
            }
            plotting.plot_glass_brain(image, axes=row[0], threshold=seen, plot_abs=False, **common).title(name, **TITLE)
            plotting.plot_stat_map(
                image, axes=row[1], threshold=1e-9, display_mode="z", cut_coords=SLICES, **common
            ).title(units[name], **TITLE)
    return figure


def masked(effect: NDArray, q_value: NDArray, level: float = 0.05) -> NDArray:
    """An effect where it is significant, else 0."""
    return np.where(q_value < level, effect, 0.0)


def titles(names: Sequence[str]) -> dict[str, str]:
    """Units of the usual modalities."""
    known = {"mri": "grey matter per sd", "pet": "SUVR per sd"}
    return {name: known.get(name, "per sd") for name in names}
