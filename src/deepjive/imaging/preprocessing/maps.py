"""Maps onto the standard grid and into the brain, and uptake ratios.

``SUVR = uptake / mean uptake of the reference region``, both on the standard grid in MNI space.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.imaging.grid import millilitres, mni_grid, resampled, template
from deepjive.imaging.preprocessing.protocol import Facts, Files, PreprocessingError, Step
from deepjive.imaging.preprocessing.scans import load_scan
from deepjive.imaging.regions import REFERENCES, UNKNOWN_REFERENCE, reference_region
from deepjive.imaging.volumes import save_volume, volume_of

LEAST_SEEN = 0.5

NOT_SEEN = (
    "only {seen:.0%} of the reference region {name!r} have uptake, so that it lies outside of the PET's field of view, "
    "or the PET is not where the brain is"
)
NO_UPTAKE = "the mean uptake of the reference region {name!r} is {mean:g}, but must be positive"
EMPTY_MASK = "the reference region {name} has no voxel within the brain on the grid of {voxel:g} mm"


def grey_onto_grid(voxel: float) -> Step:
    """The step that brings both maps of grey matter onto the standard grid, within the brain."""
    return Step("bring grey matter onto the grid", _grey_onto_grid, {"voxel_mm": voxel})


def divide_uptake(voxel: float, reference: str) -> Step:
    """The step that divides uptake by that of the reference region."""
    return Step("divide by the reference region", _ratios, {"voxel_mm": voxel, "reference": reference})


def uptake_ratios(uptake: ArrayLike, region: NDArray[np.bool_], name: str) -> tuple[NDArray[np.float32], float]:
    """Uptake over its mean in a region.

    Parameters
    ----------
    uptake : array, shape (x, y, z)
        In any unit; 0 outside the field of view.
    region : array of bool, shape (x, y, z)
        The reference region.
    name : str
        What it is called, for errors.

    Returns
    -------
    ratios : array, shape (x, y, z)
    mean : float
        The region's mean uptake.

    Raises
    ------
    PreprocessingError
        If the region is not in the field of view, or has no uptake.
    """
    uptake = np.asarray(uptake, dtype=np.float32)
    seen = float((uptake[region] != 0.0).mean())
    if seen < LEAST_SEEN:
        raise PreprocessingError(NOT_SEEN.format(seen=seen, name=name))
    mean = float(uptake[region].mean())
    if not mean > 0.0:
        raise PreprocessingError(NO_UPTAKE.format(name=name, mean=mean))
    ratios: NDArray[np.float32] = np.divide(uptake, mean, dtype=np.float32)
    return ratios, mean


def region_of(reference: str, voxel: float) -> NDArray[np.bool_]:
    """A reference region by its name, or the mask of a NIfTI file in MNI space, on the standard grid.

    Raises
    ------
    ValueError
        For an unknown name or a mask outside of the brain.
    """
    if reference in REFERENCES:
        return reference_region(reference, voxel)
    if not reference.lower().endswith((".nii", ".nii.gz")):
        raise ValueError(UNKNOWN_REFERENCE.format(given=reference, known=REFERENCES))
    image = volume_of(reference)
    mask = resampled(np.asarray(image.dataobj), image.affine, mni_grid(voxel), order=0) > 0.5
    mask &= template("brain", voxel) > 0
    if not mask.any():
        raise ValueError(EMPTY_MASK.format(name=reference, voxel=voxel))
    return mask


def label_of(reference: str) -> str:
    """The value of a name's entity `suvr`.

    Examples
    --------
    >>> label_of("cerebellum-pons"), label_of("masks/my_region-2.nii.gz")
    ('cerebellumPons', 'myRegion2')
    """
    words = Path(reference).name.split(".")[0].replace("_", "-").split("-")
    joined = words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
    return "".join(letter for letter in joined if letter.isalnum())


def _grey_onto_grid(files: Files, folder: Path, parameters: Mapping[str, Any]) -> tuple[dict[str, Path], Facts]:
    grid, mask = mni_grid(parameters["voxel_mm"]), template("brain", parameters["voxel_mm"]) > 0
    native, affine = load_scan(files["grey"])
    native_ml = float(native.sum()) * abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    facts: Facts = {"grey_native_ml": round(native_ml, 2)}
    made = {}
    for name, source in (("unmodulated", "grey_mni"), ("modulated", "modulated_mni")):
        placed = resampled(*load_scan(files[source]), grid)
        facts[f"{name}_ml"] = round(millilitres(placed, grid.voxel), 2)
        facts[f"{name}_brain_ml"] = round(millilitres(placed * mask, grid.voxel), 2)
        made[name] = save_volume(folder / f"{name}.nii.gz", placed * mask, grid)
    placed = resampled(*load_scan(files["t1_mni"]), grid) * mask
    made["t1_map"] = save_volume(folder / "t1.nii.gz", placed, grid)
    return made, facts


def _ratios(files: Files, folder: Path, parameters: Mapping[str, Any]) -> tuple[dict[str, Path], Facts]:
    voxel, reference = parameters["voxel_mm"], parameters["reference"]
    grid, mask = mni_grid(voxel), template("brain", voxel) > 0
    uptake = resampled(*load_scan(files["pet_mni"]), grid)
    found, mean = uptake_ratios(uptake, region_of(reference, voxel), reference)
    made = {
        "suvr": save_volume(folder / "suvr.nii.gz", found * mask, grid),
        "uptake": save_volume(folder / "uptake.nii.gz", found, grid),
    }
    return made, {"reference": reference, "reference_uptake": float(f"{mean:.6g}")}
