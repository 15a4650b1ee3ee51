"""Covariation maps in regions of the brain: spheres around published centres, on either side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from deepjive.datasets.anatomy import REGIONS
from deepjive.evaluation.covariation_maps import Covariation
from deepjive.evaluation.map_bootstrap import BootstrapMaps
from deepjive.imaging.grid import Grid, sphere_distance

RADIUS = 10.0

Interval = tuple[float, float, float]


def region_table(
    maps: Mapping[str, Covariation], grid: Grid, mask: NDArray[np.bool_], level: float = 0.05
) -> list[tuple[str, str, dict[str, tuple[float, float]]]]:
    """Mean effect and fraction of significant voxels in each region and side, within 10 mm of its centre."""
    rows = []
    for name, side, here in _spheres(grid, mask):
        figures = {
            modality: (float(found.effect[here].mean()), float((found.q_value[here] < level).mean()))
            for modality, found in maps.items()
        }
        rows.append((name, side, figures))
    return rows


def region_intervals(
    maps: BootstrapMaps, grid: Grid, mask: NDArray[np.bool_]
) -> list[tuple[str, str, dict[str, Interval]]]:
    """Mean effect in each region and side, and the limits of its 90% interval over refits, by modality."""
    return [
        (name, side, {modality: maps.within(modality, here) for modality in maps.effect})
        for name, side, here in _spheres(grid, mask)
    ]


def _spheres(grid: Grid, mask: NDArray[np.bool_]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for name, region in REGIONS.items():
        for side, centre in (("left", region.left), ("right", region.right)):
            yield name, side, (sphere_distance(grid, centre) < RADIUS) & mask
