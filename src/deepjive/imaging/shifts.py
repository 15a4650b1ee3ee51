"""Scans that are displaced: the small shift that makes a scan most similar to the scans of the others.

Joint scores do not show that a scan is a centimetre away from its place, because a displaced scan has more or less of
every pattern at once. The shift itself is therefore estimated. For a volume x, with the mean and the first principal
components of *other* volumes as columns of B, and the slopes of x along the three axes,

    x(v) + d . slope(v)  =  B c + residual

is solved by least squares for the shift d and the coefficients c together, so that a strong uptake or a wide scanner
resolution is no displacement. The volume is then moved by d, and the step repeated (Lucas and Kanade 1981). Voxels that
the shift brings from outside of the mask do not count. The volumes are smoothed, so that shifts of several voxels are
found.

A shift says that a volume fits better elsewhere. Scans that are stretched, turned or of another participant are not
found by it.

References
----------
Lucas and Kanade 1981, An iterative image registration technique, IJCAI, 674.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from deepjive.algebra import thin_svd
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.imaging.grid import mni_grid, sd_of, template
from deepjive.progress import Progress, silent

COMPONENTS, FOLDS = 4, 5
SMOOTHING, STEPS, LARGEST = 12.0, 8, 25.0
SUSPECT = 5.0
FEWEST = 10

TOO_FEW = "{n} samples have the modality {name!r}, but at least {needed} are needed to know how its scans usually look."
OTHER_GRID = (
    "Volumes of {name!r} have the shape {given}, but {expected} is that of voxels of {voxel:g} mm. Give voxel=."
)


class Displacement(NamedTuple):
    """The shifts of the scans of one modality.

    Attributes
    ----------
    table : DataFrame
        `sample`, `shift_x`, `shift_y`, `shift_z` and `shift_mm`: how far the scan lies from its place, in mm. Sorted,
        the largest shift first.
    suspect : list of str
        Samples whose scans are displaced by 5 mm or more.
    """

    table: pd.DataFrame
    suspect: list[str]


def displacement(data: Any, name: str, voxel: float, *, progress: Progress = silent) -> Displacement:
    """Estimate how far each scan of a modality is displaced.

    Parameters
    ----------
    data : Modalities, mapping or sequence
        Volumes on the standard grid, as `Cohort.read` gives them.
    name : str
        The modality.
    voxel : float
        Edge of a voxel in mm.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each scan.

    Returns
    -------
    Displacement

    Raises
    ------
    ValueError
        If the volumes are on another grid, or if fewer than 10 samples have the modality.

    See Also
    --------
    deepjive.evaluation.pair_fit : Finds scans of another participant.
    """
    data = as_modalities(data)
    _check_grid(data, name, voxel)
    rows = np.flatnonzero(data.present[:, data.names.index(name)])
    if len(rows) < FEWEST:
        raise ValueError(TOO_FEW.format(n=len(rows), name=name, needed=FEWEST))
    mask, sd = template("brain", voxel) > 0, sd_of(SMOOTHING, voxel)
    volumes = np.stack([_smooth(volume, mask, sd) for volume in data.rows(name, rows)])
    shifts = np.zeros((len(rows), 3))
    folds = _folds(data, rows)
    for fold in np.unique(folds):
        usual = _usual(volumes[folds != fold][:, mask])
        for row in np.flatnonzero(folds == fold):
            progress(int(row), len(rows), f"Shift of {name} {row + 1} of {len(rows)}")
            shifts[row] = _shift_of(volumes[row], usual, mask) * voxel
    names = np.arange(len(data)) if data.samples is None else data.samples
    columns: dict[str, Any] = {"sample": [str(names[row]) for row in rows]}
    columns |= {f"shift_{axis}": values for axis, values in zip("xyz", shifts.T, strict=True)}
    table = pd.DataFrame(columns | {"shift_mm": np.linalg.norm(shifts, axis=1)})
    table = table.sort_values("shift_mm", ascending=False, ignore_index=True)
    return Displacement(table, table.loc[table["shift_mm"] >= SUSPECT, "sample"].tolist())


def _check_grid(data: Modalities, name: str, voxel: float) -> None:
    expected, given = mni_grid(voxel).shape, data.shapes[name]
    if tuple(given) != tuple(expected):
        raise ValueError(OTHER_GRID.format(name=name, given=given, expected=expected, voxel=voxel))


def _folds(data: Modalities, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """A fold for each scan; all scans of a participant are in one fold."""
    groups = rows if data.groups is None else np.asarray(data.groups)[rows]
    return np.unique(groups, return_inverse=True)[1] % FOLDS


def _smooth(volume: NDArray, mask: NDArray[np.bool_], sd: float) -> NDArray[np.float64]:
    """Smooth a volume within the mask, so that the edge of the mask is no edge of the volume."""
    weight = gaussian_filter(mask.astype(np.float64), sd)
    inside = gaussian_filter(np.where(mask, np.asarray(volume, np.float64), 0.0), sd)
    return np.where(mask, inside / np.maximum(weight, 1e-3), 0.0)


def _usual(x: NDArray) -> NDArray:
    """Mean and first principal components of volumes, shape (n_voxels, 1 + n_components)."""
    mean = x.mean(axis=0)
    _, _, components = thin_svd(x - mean)
    return np.column_stack([mean, components[:COMPONENTS].T])


def _shift_of(volume: NDArray, usual: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far a volume is displaced, in voxels: the opposite of the moves that make it fit."""
    filled = _continued(volume, mask)
    moved = np.zeros(3)
    for _ in range(STEPS):
        now = shift(filled, -moved, order=1, mode="nearest")
        known = shift(mask.astype(np.float64), -moved, order=1) > 0.99
        inside = known[mask]
        slopes = np.column_stack([slope[mask] for slope in np.gradient(now)])
        design = np.hstack([usual, -slopes])[inside]
        step = np.linalg.lstsq(design, now[mask][inside], rcond=None)[0][-3:]
        moved = np.clip(moved + np.clip(step, -1.0, 1.0), -LARGEST, LARGEST)
        if np.abs(step).max() < 0.02:
            break
    return moved


def _continued(volume: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The volume continued outside of the mask by its nearest values, so that the edge has no slope."""
    from scipy.ndimage import distance_transform_edt

    places = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return volume[tuple(places)]
