"""Covariation maps in regions of the brain: spheres around published centres, in the left and right hemisphere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from deepjive.datasets.anatomy import REGIONS
from deepjive.evaluation.covariation_maps import Covariation
from deepjive.evaluation.map_bootstrap import BootstrapMaps
from deepjive.imaging.grid import Grid, sphere_distance

RADIUS = 10.0
CENTRES = {
    f"{name}, {side}": centre
    for name, region in REGIONS.items()
    for side, centre in (("left", region.left), ("right", region.right))
}

Interval = tuple[float, float, float]


def region_table(
    maps: Mapping[str, Covariation], grid: Grid, mask: NDArray[np.bool_], level: float = 0.05
) -> list[tuple[str, str, dict[str, tuple[float, float]]]]:
    """Mean effect and fraction of significant voxels within 10 mm of the centre of each region and side.

    Parameters
    ----------
    maps : mapping of str to Covariation
        Maps by modality.
    grid : Grid
        Grid of the maps.
    mask : array of bool, shape ``grid.shape``
        Mask of the brain.
    level : float, default=0.05
        False-discovery rate below which a voxel is significant.

    Returns
    -------
    list of (region, side, (mean effect, fraction significant) by modality)
    """
    rows = []
    for name, side, sphere in _spheres(grid, mask):
        measures = {
            modality: (float(values.effect[sphere].mean()), float((values.q_value[sphere] < level).mean()))
            for modality, values in maps.items()
        }
        rows.append((name, side, measures))
    return rows


def region_intervals(
    maps: BootstrapMaps, grid: Grid, mask: NDArray[np.bool_]
) -> list[tuple[str, str, dict[str, Interval]]]:
    """Mean effect in each region and side, with the limits of its 90% interval over refits, by modality."""
    return [
        (name, side, {modality: maps.within(modality, sphere) for modality in maps.effect})
        for name, side, sphere in _spheres(grid, mask)
    ]


def _spheres(grid: Grid, mask: NDArray[np.bool_]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Name, side and voxels of each region."""
    for name, region in REGIONS.items():
        for side, centre in (("left", region.left), ("right", region.right)):
            yield name, side, (sphere_distance(grid, centre) < RADIUS) & mask
