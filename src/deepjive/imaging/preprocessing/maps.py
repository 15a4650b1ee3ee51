"""Maps on the standard grid, masked by the brain, and uptake ratios.

The standardized uptake value ratio (SUVR) is the uptake divided by the mean uptake of a reference region. Both are on
the standard grid in MNI space.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.data.readers.volumes import image_values, is_image
from deepjive.imaging.grid import millilitres, mni_grid, resampled, template
from deepjive.imaging.preprocessing.protocol import Facts, Files, PreprocessingError, Step
from deepjive.imaging.preprocessing.scans import load_scan
from deepjive.imaging.regions import REFERENCES, UNKNOWN_REFERENCE, reference_region
from deepjive.imaging.volumes import save_volume, volume_of

LEAST_COVERED = 0.5

NOT_COVERED = (
    "only {covered:.0%} of the reference region {name!r} has uptake, so the region is outside the field of view of the "
    "PET, or the PET is not aligned with the brain"
)


def grey_onto_grid(voxel: float) -> Step:
    """Return the step that samples the maps of grey matter and the T1 on the standard grid, within the brain."""
    return Step("bring grey matter onto the grid", _grey_onto_grid, {"voxel_mm": voxel})


def divide_uptake(voxel: float, reference: str) -> Step:
    """Return the step that divides uptake by the mean uptake of the reference region."""
    return Step("divide by the reference region", _ratios, {"voxel_mm": voxel, "reference": reference})


def uptake_ratios(uptake: ArrayLike, region: NDArray[np.bool_], name: str) -> tuple[NDArray[np.float32], float]:
    """Divide uptake by its mean in a reference region.

    Parameters
    ----------
    uptake : array, shape (x, y, z)
        Uptake in any unit; 0 outside the field of view.
    region : array of bool, shape (x, y, z)
        The reference region.
    name : str
        Name of the region, for error messages.

    Returns
    -------
    ratios : array, shape (x, y, z), single precision
        Uptake ratios.
    mean : float
        Mean uptake of the region.

    Raises
    ------
    PreprocessingError
        If less than half of the region has uptake, or its mean uptake is not positive.
    """
    uptake = np.asarray(uptake, dtype=np.float32)
    covered = float((uptake[region] != 0.0).mean())
    if covered < LEAST_COVERED:
        raise PreprocessingError(NOT_COVERED.format(covered=covered, name=name))
    mean = float(uptake[region].mean())
    if not mean > 0.0:
        raise PreprocessingError(f"the mean uptake of the reference region {name!r} is {mean:g}, but must be positive")
    ratios: NDArray[np.float32] = np.divide(uptake, mean, dtype=np.float32)
    return ratios, mean


def region_of(reference: str, voxel: float) -> NDArray[np.bool_]:
    """Return a reference region on the standard grid, from its name or a mask file.

    Parameters
    ----------
    reference : str
        A name of `deepjive.imaging.regions.REFERENCES`, or the path of a NIfTI mask in MNI space.
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    array of bool, shape (x, y, z)

    Raises
    ------
    ValueError
        If the name is unknown, or the mask has no voxel in the brain.
    """
    if reference in REFERENCES:
        return reference_region(reference, voxel)
    if not is_image(reference):
        raise ValueError(UNKNOWN_REFERENCE.format(given=reference, known=REFERENCES))
    image = volume_of(reference)
    mask = resampled(image_values(Path(reference), image), image.affine, mni_grid(voxel), order=0) > 0.5
    mask &= template("brain", voxel) > 0
    if not mask.any():
        raise ValueError(f"the reference region {reference} has no voxel within the brain on the grid of {voxel:g} mm")
    return mask


def label_of(reference: str) -> str:
    """Return the label of a reference region for the entity `suvr` of a file name.

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
    maps = {}
    for name, source in (("unmodulated", "grey_mni"), ("modulated", "modulated_mni")):
        grey = resampled(*load_scan(files[source]), grid)
        facts[f"{name}_ml"] = round(millilitres(grey, grid.voxel), 2)
        facts[f"{name}_brain_ml"] = round(millilitres(grey * mask, grid.voxel), 2)
        maps[name] = save_volume(folder / f"{name}.nii.gz", grey * mask, grid)
    t1 = resampled(*load_scan(files["t1_mni"]), grid) * mask
    maps["t1_map"] = save_volume(folder / "t1.nii.gz", t1, grid)
    return maps, facts


def _ratios(files: Files, folder: Path, parameters: Mapping[str, Any]) -> tuple[dict[str, Path], Facts]:
    voxel, reference = parameters["voxel_mm"], parameters["reference"]
    grid, mask = mni_grid(voxel), template("brain", voxel) > 0
    uptake = resampled(*load_scan(files["pet_mni"]), grid)
    ratios, mean = uptake_ratios(uptake, region_of(reference, voxel), reference)
    maps = {
        "suvr": save_volume(folder / "suvr.nii.gz", ratios * mask, grid),
        "uptake": save_volume(folder / "uptake.nii.gz", ratios, grid),  # also outside the brain
    }
    return maps, {"reference": reference, "reference_uptake": float(f"{mean:.6g}")}
