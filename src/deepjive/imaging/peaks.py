"""Peaks of a map: where its clusters are largest, in MNI coordinates and with the name of the region.

Neighbouring voxels of one sign are a cluster. Of each cluster the largest voxels are listed that are local maxima and
at least 8 mm apart, at most three, as tables of imaging papers have them. A region is named by a parcellation, or
without one by the nearest centre of `deepjive.datasets.REGIONS` (published centres of the automated anatomical labels),
with the distance; such a name is a hint and no label of the voxel. Peaks farther than 20 mm from all centres have none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label, maximum_filter

from deepjive.data.readers.parcels import names_at
from deepjive.imaging.grid import Grid

APART_MM, MOST_PEAKS = 8.0, 3
NEAR_MM = 20.0  # a centre farther away says nothing of a peak
COLUMNS = ("cluster", "mm3", "x", "y", "z", "value", "region")

OTHER_SHAPE = "The map has the shape {given}, but {what} has {expected}. Both must be on one grid."


def peaks(
    values: NDArray,
    where: NDArray[np.bool_],
    grid: Grid,
    *,
    atlas: str | Path | None = None,
    centres: dict[str, tuple[float, float, float]] | None = None,
    signed_by: NDArray | None = None,
) -> pd.DataFrame:
    """List the peaks of a map.

    Parameters
    ----------
    values : array, shape ``grid.shape``
        The map.
    where : array of bool, shape ``grid.shape``
        The voxels that count, such as significant ones.
    grid : Grid
        The grid, in MNI space.
    atlas : path, optional
        A parcellation with names of its regions, as ``--parcellation`` takes it: an image of labels, with a table of
        names beside it or as ``"atlas.nii.gz:names.tsv"``.
    centres : dict of str to (x, y, z), optional
        Centres in mm that name peaks without an atlas.
    signed_by : array, shape ``grid.shape``, optional
        The map whose sign separates clusters, by default `values`. Clusters of a test are those of its statistic, which
        may have another sign than the effect where this is small.

    Returns
    -------
    DataFrame
        `cluster` (numbered from the largest one), `mm3` (volume of the cluster), `x`, `y`, `z` (MNI coordinates in mm),
        `value` and `region`. Empty without voxels.

    Raises
    ------
    ValueError
        If a shape is not that of the grid.
    """
    for what, shape in (("the grid", grid.shape), ("where", where.shape)):
        if tuple(values.shape) != tuple(shape):
            raise ValueError(OTHER_SHAPE.format(given=values.shape, what=what, expected=shape))
    rows = []
    for number, inside in enumerate(_clusters(values if signed_by is None else signed_by, where), 1):
        volume = float(inside.sum()) * grid.voxel**3
        for place in _maxima(values, inside, grid):
            x, y, z = grid.affine[:3, :3] @ place + grid.affine[:3, 3]
            rows.append((number, volume, x, y, z, float(values[tuple(place)]), ""))
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["region"] = _regions(table[["x", "y", "z"]].to_numpy(), atlas, centres or {})
    return table


def _clusters(signs: NDArray, where: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The voxels of each cluster, the largest cluster first."""
    found = []
    for sign in (1.0, -1.0):
        labels, count = label(where & (sign * signs > 0), generate_binary_structure(3, 2))
        found += [labels == number for number in range(1, count + 1)]
    return sorted(found, key=lambda inside: -int(inside.sum()))


def _maxima(values: NDArray, inside: NDArray[np.bool_], grid: Grid) -> list[NDArray[np.intp]]:
    """The largest local maxima of a cluster that are far enough apart."""
    size = np.where(inside, np.abs(values), 0.0)
    places = np.argwhere(inside & (size == maximum_filter(size, 3)))
    places = places[np.argsort(-size[tuple(places.T)], kind="stable")]
    chosen: list[NDArray[np.intp]] = []
    for place in places:
        if all(np.linalg.norm(grid.affine[:3, :3] @ (place - other)) >= APART_MM for other in chosen):
            chosen.append(place)
        if len(chosen) == MOST_PEAKS:
            break
    return chosen


def _regions(points: NDArray, atlas: str | Path | None, centres: dict[str, tuple[float, float, float]]) -> list[str]:
    if atlas is not None:
        return names_at(atlas, points)
    if not centres:
        return [""] * len(points)
    names, places = list(centres), np.array(list(centres.values()))
    distances = np.linalg.norm(points[:, None] - places[None], axis=2)
    nearest = distances.argmin(axis=1) if len(points) else []
    words = [f"{names[i]} ({distances[row, i]:.0f} mm)" for row, i in enumerate(nearest)]
    return [word if distances[row].min() <= NEAR_MM else "" for row, word in enumerate(words)]
