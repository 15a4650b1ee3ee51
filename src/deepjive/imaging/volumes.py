"""Volumes of many participants, read from files on demand, resampled to one grid and masked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, check_piece
from deepjive.data.readers.lazy import RowReader
from deepjive.data.readers.volumes import image_shape, image_values, opened
from deepjive.imaging.grid import Grid, resampled

VOXEL_RANGE = 0.2, 20.0
LEAST_COVERED, MOST_MISSING = 0.7, 0.1

NO_AFFINE = (
    "its header does not say where the volume is in space (neither sform nor qform is set, or the format is Analyze); "
    "write it as NIfTI with the program that made it"
)
WRONG_AFFINE = "its affine does not map voxels to mm: {affine}, with voxels of {voxels} mm; correct the header"
FLIPPED = (
    "its sform and qform disagree on which side is left, so one of them is flipped; find out which is right, and "
    "correct the header"
)
ELSEWHERE = "it covers only {covered:.0%} of the brain mask, so it is not in MNI space, or its affine is wrong"


def volume_of(path: str | Path) -> Any:
    """Open a file of one volume, and check its header.

    Parameters
    ----------
    path : path
        A NIfTI file (``.nii``, ``.nii.gz``, ``.img`` with ``.hdr``) or an MGH file (``.mgz``).

    Returns
    -------
    nibabel image
        Only the header is read.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    UnreadableError
        If the file is damaged, the volume does not have three axes, the affine is missing or impossible, or the two
        affines of the header disagree on left and right.
    """
    path = Path(path)
    image = opened(path)
    shape = image_shape(image)
    if len(shape) != 3:
        shape_text = f"it has the shape {tuple(image.shape)}, but one volume of three axes is expected"
        raise _unreadable(path, f"{shape_text}; average the frames of a series first")
    check_piece(path, shape, np.dtype(np.float32), "a volume")
    if type(image).__name__ == "MGHImage":  # its header has one affine
        _check_affine(path, np.asarray(image.affine, dtype=float))
        return image
    if not hasattr(image.header, "get_sform"):
        raise _unreadable(path, NO_AFFINE)
    sform, sform_code = image.header.get_sform(coded=True)
    qform, qform_code = image.header.get_qform(coded=True)
    if not sform_code and not qform_code:
        raise _unreadable(path, NO_AFFINE)
    _check_affine(path, np.asarray(image.affine, dtype=float))
    if sform_code and qform_code and np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise _unreadable(path, FLIPPED)
    return image


def on_grid(path: str | Path, grid: Grid, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Read a volume and sample it on a grid.

    Parameters
    ----------
    path : path
        A file in the space of the grid, of a kind that `volume_of` reads.
    grid : Grid
        The grid.
    mask : array of bool, shape ``grid.shape``
        The brain mask.

    Returns
    -------
    array, shape ``grid.shape``, single precision
        Zero outside the mask, and at voxels without a finite value.

    Raises
    ------
    FileNotFoundError, UnreadableError
        As `volume_of`; also if the volume covers less than 70% of the mask, or if more than 10% of its values in the
        mask are not finite, or if it is constant in the mask.
    """
    path = Path(path)
    image = volume_of(path)
    values = image_values(path, image).reshape(image_shape(image))
    finite = np.isfinite(values)
    finite_values = values if finite.all() else np.where(finite, values, 0.0)
    on_grid_values = resampled(finite_values, image.affine, grid)
    covered = resampled(np.ones_like(finite_values), image.affine, grid, order=0)[mask].mean()
    if covered < LEAST_COVERED:
        raise _unreadable(path, ELSEWHERE.format(covered=covered))
    if not finite.all():
        missing = 1.0 - resampled(finite, image.affine, grid, order=0)[mask].mean() / covered
        if missing > MOST_MISSING:
            raise _unreadable(path, f"{missing:.0%} of the values in the brain are NaN or infinite")
    if np.ptp(on_grid_values[mask]) == 0.0:
        raise _unreadable(path, "it has the same value everywhere in the brain")
    return on_grid_values * mask


class VolumeRows(RowReader):
    """Volumes of many participants as the rows of an array, which are read and resampled on demand.

    Parameters
    ----------
    paths : sequence of path or None
        A NIfTI file for each participant. None stands for a missing volume, and gives zeros.
    grid : Grid
        The grid on which volumes are sampled.
    mask : array of bool, shape ``grid.shape``
        The brain mask.
    """

    def __init__(self, paths: Sequence[str | Path | None], grid: Grid, mask: NDArray[np.bool_]) -> None:
        self.paths, self.grid, self.mask = list(paths), grid, mask
        super().__init__((len(self.paths), *grid.shape), np.float32)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        return np.stack([self._volume(self.paths[row]) for row in rows])

    def _volume(self, path: str | Path | None) -> NDArray[np.float32]:
        return np.zeros(self.grid.shape, np.float32) if path is None else on_grid(path, self.grid, self.mask)


def save_volume(
    path: str | Path,
    values: NDArray,
    grid: Grid,
    *,
    intent: Literal["none", "estimate", "p value", "correlation"] = "none",
    parameters: Sequence[float] = (),
    description: str = "",
) -> Path:
    """Write a map as a NIfTI file in MNI space, in single precision. The file appears whole or not at all.

    Parameters
    ----------
    path : path
        A ``.nii`` or ``.nii.gz`` file. Its folder is created if needed.
    values : array, shape ``grid.shape``
        The map.
    grid : Grid
        The grid of the map.
    intent : {"none", "estimate", "p value", "correlation"}, default="none"
        What the values are, by the codes of NIfTI.
    parameters : sequence of float, default=()
        Parameters of the intent: the degrees of freedom of a correlation.
    description : str, default=""
        A description, of which the first 79 letters are written.

    Returns
    -------
    Path
        The file.
    """
    import os

    from deepjive.data.readers.guard import optional

    nibabel = optional("nibabel", "Writing NIfTI files")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.asarray(values, dtype=np.float32), grid.affine)
    image.set_sform(grid.affine, code="mni")
    image.set_qform(grid.affine, code="mni")
    image.header.set_intent(intent, tuple(parameters))
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.header.set_xyzt_units("mm")
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    nibabel.save(image, partial)
    os.replace(partial, path)
    return path


def _check_affine(path: Path, affine: NDArray) -> None:
    """Raise if an affine is not finite, is nearly singular, or has voxels of an impossible size."""
    smallest, largest = VOXEL_RANGE
    with np.errstate(all="ignore"):
        voxels = np.linalg.norm(affine[:3, :3], axis=0)
        is_possible = np.isfinite(affine).all() and bool(((voxels > smallest) & (voxels < largest)).all())
        is_possible = is_possible and abs(np.linalg.det(affine[:3, :3])) > 0.05 * float(voxels.prod())
    if not is_possible:
        reason = WRONG_AFFINE.format(affine=np.round(affine, 2).tolist(), voxels=np.round(voxels, 2).tolist())
        raise _unreadable(path, reason)


def _unreadable(path: Path, reason: str) -> UnreadableError:
    return UnreadableError(UNREADABLE.format(path=path, reason=reason))
