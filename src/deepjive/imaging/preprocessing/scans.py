"""Scans as they came, checked and made plain: one finite volume, upright, near the middle of MNI space.

Registration starts from where headers say that heads are. Where PET and T1 are over 100 mm apart SPM's coregistration
fails and says nothing (Clinica's pull request 45), so that a scan whose head is far from the middle is brought there
by its affine alone; no voxel changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, optional, reading
from deepjive.data.readers.volumes import image_shape
from deepjive.imaging.preprocessing.protocol import Facts, Files
from deepjive.imaging.volumes import volume_of

MIDDLE = (0.0, -18.0, 4.0)
FURTHEST, FAR_APART = 60.0, 100.0
FEWEST_SLICES, LEAST_HEAD, MOST_MISSING = 16, 300.0, 0.9

FEW_SLICES = "it has the shape {shape}, but a head has at least {least} slices along each axis"
NOTHING = "it holds {values}, so that there is no head in it"
SMALL_HEAD = "what is bright in it has {volume:.0f} ml, less than a head's {least:.0f} ml; see what it shows"


def scan_of(path: str | Path) -> tuple[NDArray[np.float32], NDArray]:
    """A scan's values, zero where it has none, and its affine.

    Parameters
    ----------
    path : path
        A NIfTI file.

    Returns
    -------
    values : array, shape (x, y, z), single precision
    affine : array, shape (4, 4)

    Raises
    ------
    FileNotFoundError, UnreadableError
        As `deepjive.imaging.volumes.volume_of`, and if there is no head in it.
    """
    path = Path(path)
    image = volume_of(path)
    with reading(path):
        values = np.asarray(image.dataobj, dtype=np.float32).reshape(image_shape(image))
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    affine = np.asarray(image.affine, dtype=float)
    _check_head(path, values, affine)
    return values, affine


def head_of(values: NDArray) -> NDArray[np.bool_]:
    """What is brighter than a tenth of the way from the background to the brightest hundredth."""
    low, high = np.percentile(values, (2.0, 99.0))
    bright: NDArray[np.bool_] = values > low + 0.1 * (high - low)
    return bright


def centre_of(values: NDArray, affine: NDArray) -> NDArray:
    """Where the middle of the head is, in mm."""
    numbers = np.array([places.mean() for places in np.nonzero(head_of(values))])
    return affine[:3, :3] @ numbers + affine[:3, 3]


def prepare(what: str, partner: str | None = None) -> Any:
    """A step that checks a scan and writes it as plain floats, moved to the middle if it is far from it.

    Parameters
    ----------
    what : str
        Name of the file to check ("t1"), which becomes the file of that name.
    partner : str, optional
        Name of the scan of the same head whose distance is measured.
    """

    def prepared(files: Files, folder: Path, parameters: Mapping[str, Any]) -> tuple[dict[str, Path], Facts]:
        values, affine = scan_of(files[f"{what}_scan"])
        centre = centre_of(values, affine)
        facts: Facts = {f"{what}_voxels_mm": np.round(np.linalg.norm(affine[:3, :3], axis=0), 3).tolist()}
        if partner is not None:
            other = centre_of(*scan_of(files[f"{partner}_scan"]))
            facts[f"{what}_{partner}_apart_mm"] = round(float(np.linalg.norm(centre - other)), 1)
        shift = np.zeros(3)
        if np.linalg.norm(centre - MIDDLE) > parameters["furthest_mm"]:
            shift = np.asarray(MIDDLE) - centre
        facts[f"{what}_brought_nearer_mm"] = np.round(shift, 2).tolist()
        moved = affine.copy()
        moved[:3, 3] += shift
        return {what: save_scan(folder / f"{what}.nii", values, moved)}, facts

    return prepared


def save_scan(path: Path, values: NDArray, affine: NDArray) -> Path:
    """Write a volume in single precision."""
    nibabel = optional("nibabel", "Writing NIfTI files")
    image = nibabel.Nifti1Image(np.ascontiguousarray(values, dtype=np.float32), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    nibabel.save(image, path)
    return path


def load_scan(path: Path) -> tuple[NDArray[np.float32], NDArray]:
    """Read a volume that a step wrote."""
    nibabel = optional("nibabel", "Reading NIfTI files")
    with reading(path):
        image = nibabel.load(path)
        values = np.nan_to_num(np.asarray(image.dataobj, dtype=np.float32))
    return values.reshape(values.shape[:3]), np.asarray(image.affine, dtype=float)


def _check_head(path: Path, values: NDArray, affine: NDArray) -> None:
    if min(values.shape) < FEWEST_SLICES:
        raise _unreadable(path, FEW_SLICES.format(shape=values.shape, least=FEWEST_SLICES))
    if np.ptp(values) == 0.0:
        raise _unreadable(path, NOTHING.format(values=f"only {values.flat[0]:g}"))
    volume = float(head_of(values).sum()) * abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    if volume < LEAST_HEAD:
        raise _unreadable(path, SMALL_HEAD.format(volume=volume, least=LEAST_HEAD))


def _unreadable(path: Path, reason: str) -> UnreadableError:
    return UnreadableError(UNREADABLE.format(path=path, reason=reason))
