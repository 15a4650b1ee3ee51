"""Volumes of many subjects, read from NIfTI files when asked for, resampled to one grid and masked on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, check_piece, reading
from deepjive.data.readers.lazy import RowReader
from deepjive.data.readers.volumes import image_shape, opened
from deepjive.imaging.grid import Grid, resampled

VOXEL_RANGE = 0.2, 20.0
LEAST_COVERED, MOST_MISSING = 0.7, 0.1

NOT_THREE = "it has the shape {shape}, but one volume of three axes is expected; average the frames of a series first"
NO_AFFINE = (
    "its header says nothing of where it is in space (neither sform nor qform is set); write it again from the "
    "program that made it"
)
WRONG_AFFINE = "its affine is no map of voxels to mm: {affine}, with voxels of {voxels} mm"
FLIPPED = (
    "its sform and qform disagree on which side is left, so that one of them is flipped; find out which is right, and "
    "correct the header"
)
ELSEWHERE = "it covers only {covered:.0%} of the brain mask, so it is not in MNI space, or its affine is wrong"
MANY_MISSING = "{missing:.0%} of the values in the brain are NaN or infinite"
CONSTANT = "it has the same value everywhere in the brain"


def volume_of(path: str | Path) -> Any:
    """Open a NIfTI file of one volume whose header can be believed.

    Parameters
    ----------
    path : path
        A ``.nii`` or ``.nii.gz`` file.

    Returns
    -------
    nibabel image
        Only its header is read.

    Raises
    ------
    FileNotFoundError, UnreadableError
        If there is no such file, it is damaged, has more than three axes, lacks an affine or has an impossible one,
        or its two affines contradict each other about left and right.
    """
    path = Path(path)
    image = opened(path)
    shape = image_shape(image)
    if len(shape) != 3:
        raise _unreadable(path, NOT_THREE.format(shape=tuple(image.shape)))
    check_piece(path, shape, np.dtype(np.float32), "a volume")
    sform, qform = (image.header.get_sform(coded=True), image.header.get_qform(coded=True))
    if not sform[1] and not qform[1]:
        raise _unreadable(path, NO_AFFINE)
    affine = np.asarray(image.affine, dtype=float)
    with np.errstate(all="ignore"):
        voxels = np.linalg.norm(affine[:3, :3], axis=0)
        good = np.isfinite(affine).all() and bool(((voxels > VOXEL_RANGE[0]) & (voxels < VOXEL_RANGE[1])).all())
        good = good and abs(np.linalg.det(affine[:3, :3])) > 0.05 * float(voxels.prod())
    if not good:
        text = WRONG_AFFINE.format(affine=np.round(affine, 2).tolist(), voxels=np.round(voxels, 2).tolist())
        raise _unreadable(path, text)
    if sform[1] and qform[1] and np.linalg.det(sform[0][:3, :3]) * np.linalg.det(qform[0][:3, :3]) < 0:
        raise _unreadable(path, FLIPPED)
    return image


def on_grid(path: str | Path, grid: Grid, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """One volume on a grid, zero outside the mask and where it has no value.

    Parameters
    ----------
    path : path
        A NIfTI file in the space of the grid.
    grid : Grid
        Where to sample it.
    mask : array of bool, shape ``grid.shape``
        The brain.

    Raises
    ------
    UnreadableError
        As `volume_of`, and if the volume covers little of the mask, is not finite or constant there.
    """
    path = Path(path)
    image = volume_of(path)
    with reading(path):
        values = np.asarray(image.dataobj, dtype=np.float32).reshape(image_shape(image))
    finite = np.isfinite(values)
    clean = values if finite.all() else np.where(finite, values, 0.0)
    placed = resampled(clean, image.affine, grid)
    covered = resampled(np.ones_like(clean), image.affine, grid, order=0)[mask].mean()
    if covered < LEAST_COVERED:
        raise _unreadable(path, ELSEWHERE.format(covered=covered))
    if not finite.all():
        missing = 1.0 - resampled(finite, image.affine, grid, order=0)[mask].mean() / covered
        if missing > MOST_MISSING:
            raise _unreadable(path, MANY_MISSING.format(missing=missing))
    if np.ptp(placed[mask]) == 0.0:
        raise _unreadable(path, CONSTANT)
    return placed * mask


class VolumeRows(RowReader):
    """Volumes of many subjects as the rows of an array, read and resampled when they are asked for.

    Parameters
    ----------
    paths : sequence of path or None
        A NIfTI file for each subject; None gives zeros, for a subject that lacks it.
    grid : Grid
        Where to sample them.
    mask : array of bool, shape ``grid.shape``
        The brain.
    """

    def __init__(self, paths: Sequence[str | Path | None], grid: Grid, mask: NDArray[np.bool_]) -> None:
        self.paths, self.grid, self.mask = list(paths), grid, mask
        super().__init__((len(self.paths), *grid.shape), np.float32)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        return np.stack([self._volume(self.paths[row]) for row in rows])

    def _volume(self, path: str | Path | None) -> NDArray[np.float32]:
        return np.zeros(self.grid.shape, np.float32) if path is None else on_grid(path, self.grid, self.mask)


def save_volume(path: str | Path, values: NDArray, grid: Grid) -> Path:
    """Write a map as a NIfTI file in MNI space, single precision, atomically.

    Parameters
    ----------
    path : path
        A ``.nii`` or ``.nii.gz`` file; its folder is made.
    values : array, shape ``grid.shape``
        The map.
    grid : Grid
        Where its voxels are.
    """
    import os

    from deepjive.data.readers.guard import optional

    nibabel = optional("nibabel", "Writing NIfTI files")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.asarray(values, dtype=np.float32), grid.affine)
    image.set_sform(grid.affine, code="mni")
    image.set_qform(grid.affine, code="mni")
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    nibabel.save(image, partial)
    os.replace(partial, path)
    return path


def _unreadable(path: Path, reason: str) -> UnreadableError:
    return UnreadableError(UNREADABLE.format(path=path, reason=reason))
