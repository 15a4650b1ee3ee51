"""Checks of raw scans, and correction of their position.

Registration starts from the positions in the headers. SPM's coregistration fails without an error if PET and T1 are
over 100 mm apart (Clinica's pull request 45). Therefore a scan whose head is far from the middle of MNI space is
shifted there. Only the affine changes; the voxels do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, optional, reading
from deepjive.data.readers.volumes import image_shape, image_values
from deepjive.imaging.preprocessing.protocol import Facts, Files
from deepjive.imaging.volumes import volume_of

MIDDLE = (0.0, -18.0, 4.0)
FURTHEST, FAR_APART = 60.0, 100.0
FEWEST_SLICES, LEAST_HEAD, MOST_MISSING = 16, 300.0, 0.9


def scan_of(path: str | Path) -> tuple[NDArray[np.float32], NDArray]:
    """Read a raw scan, and check that it shows a head.

    Parameters
    ----------
    path : path
        A NIfTI file.

    Returns
    -------
    values : array, shape (x, y, z), single precision
        The values; zero at voxels without a finite value.
    affine : array, shape (4, 4)
        Affine from voxel indices to mm.

    Raises
    ------
    FileNotFoundError, UnreadableError
        As `deepjive.imaging.volumes.volume_of`; also if the scan does not show a head.
    """
    path = Path(path)
    image = volume_of(path)
    values = image_values(path, image).reshape(image_shape(image))
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    affine = np.asarray(image.affine, dtype=float)
    _check_head(path, values, affine)
    return values, affine


def head_of(values: NDArray) -> NDArray[np.bool_]:
    """Return the mask of voxels above the background by a tenth of the range from the 2nd to the 99th percentile."""
    low, high = np.percentile(values, (2.0, 99.0))
    bright: NDArray[np.bool_] = values > low + 0.1 * (high - low)
    return bright


def centre_of(values: NDArray, affine: NDArray) -> NDArray:
    """Return the centre of the head in mm, shape (3,)."""
    mean_index = np.array([indices.mean() for indices in np.nonzero(head_of(values))])
    return affine[:3, :3] @ mean_index + affine[:3, 3]


def prepare(what: str, partner: str | None = None) -> Any:
    """Return the action of a step that checks a scan, and shifts it to the middle of MNI space if it is far away.

    Parameters
    ----------
    what : str
        Name of the scan, such as "t1". The step reads the file "t1_scan" and writes the file "t1" as floats.
    partner : str, optional
        Name of another scan of the same head. The step measures the distance between the two heads.

    Returns
    -------
    callable
        See `deepjive.imaging.preprocessing.protocol.Step`.
    """

    def prepared(files: Files, folder: Path, parameters: Mapping[str, Any]) -> tuple[dict[str, Path], Facts]:
        values, affine = scan_of(files[f"{what}_scan"])
        centre = centre_of(values, affine)
        facts: Facts = {f"{what}_voxels_mm": np.round(np.linalg.norm(affine[:3, :3], axis=0), 3).tolist()}
        if partner is not None:
            partner_centre = centre_of(*scan_of(files[f"{partner}_scan"]))
            facts[f"{what}_{partner}_apart_mm"] = round(float(np.linalg.norm(centre - partner_centre)), 1)
        shift = np.zeros(3)
        if np.linalg.norm(centre - MIDDLE) > parameters["furthest_mm"]:
            shift = np.asarray(MIDDLE) - centre
        facts[f"{what}_brought_nearer_mm"] = np.round(shift, 2).tolist()
        shifted_affine = affine.copy()
        shifted_affine[:3, 3] += shift
        return {what: save_scan(folder / f"{what}.nii", values, shifted_affine)}, facts

    return prepared


def save_scan(path: Path, values: NDArray, affine: NDArray) -> Path:
    """Write a volume in single precision, and return the path."""
    nibabel = optional("nibabel", "Writing NIfTI files")
    image = nibabel.Nifti1Image(np.ascontiguousarray(values, dtype=np.float32), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    nibabel.save(image, path)
    return path


def load_scan(path: Path) -> tuple[NDArray[np.float32], NDArray]:
    """Read a volume that a step wrote: its values, with 0 for NaN, and its affine."""
    nibabel = optional("nibabel", "Reading NIfTI files")
    with reading(path):
        image = nibabel.load(path)
        values = np.nan_to_num(np.asarray(image.dataobj, dtype=np.float32))
    return values.reshape(values.shape[:3]), np.asarray(image.affine, dtype=float)


def _check_head(path: Path, values: NDArray, affine: NDArray) -> None:
    """Raise if a scan has few slices, is constant, or is bright in a volume smaller than a head."""
    if min(values.shape) < FEWEST_SLICES:
        reason = f"it has the shape {values.shape}, but a head has at least {FEWEST_SLICES} slices along each axis"
        raise _unreadable(path, reason)
    if np.ptp(values) == 0.0:
        raise _unreadable(path, f"all its values are {values.flat[0]:g}, so it does not show a head")
    volume = float(head_of(values).sum()) * abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    if volume < LEAST_HEAD:
        reason = f"its bright voxels have a volume of {volume:.0f} ml, but a head has at least {LEAST_HEAD:.0f} ml"
        raise _unreadable(path, f"{reason}; look at the scan")


def _unreadable(path: Path, reason: str) -> UnreadableError:
    return UnreadableError(UNREADABLE.format(path=path, reason=reason))
