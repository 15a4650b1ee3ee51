"""Preprocessing with ANTs (antspyx, extra `ants`).

T1:

1. N4 bias correction of the head (Tustison et al. 2010).
2. Brain extraction by affine and SyN registration of the head to the MNI152 brain (Avants et al. 2008).
3. N4 bias correction within the brain.
4. Affine and SyN registration of the brain.
5. Atropos segmentation with the tissues of the template as priors (Avants et al. 2011).
6. Fraction of grey matter in each voxel (`deepjive.imaging.preprocessing.partial_volume`).
7. Warp of grey matter to MNI space. The modulated map is multiplied by the Jacobian determinant of the warp.

PET: rigid registration to the T1 by mutual information, and one interpolation onto the grid.

Runs are reproducible only in one thread (`quiet_ants`) and with a seed (`seeded`).

References
----------
Tustison et al. 2010, IEEE TMI 29:1310.
Avants et al. 2008, Med Image Anal 12:26.
Avants et al. 2011, Neuroinformatics 9:381.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_dilation, binary_fill_holes, label

from deepjive.data.readers.guard import optional
from deepjive.imaging.grid import Grid, mni_grid, template
from deepjive.imaging.preprocessing.partial_volume import partial_volume
from deepjive.imaging.preprocessing.protocol import Facts, Files, Step
from deepjive.imaging.preprocessing.scans import prepare, save_scan

SPACE = "MNI152NLin2009aSym"
WORKING = 1.5
TO_LPS = np.array([-1.0, -1.0, 1.0])

Made = tuple[dict[str, Path], Facts]


class AntsEngine:
    """ANTs through antspyx.

    Attributes
    ----------
    name, space, transforms, essential
        See `deepjive.imaging.preprocessing.engines.Engine`.
    """

    name, space = "ants", SPACE
    transforms = ("affine", "warp", "rigid")
    essential = ("antspyx", "nilearn")

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that results depend on; raise if antspyx is not installed."""
        from importlib.metadata import version

        quiet_ants()
        return {name: version(name) for name in ("antspyx", "numpy", "scipy", "nibabel", "nilearn")}

    def t1_steps(self, voxel: float, seed: int) -> list[Step]:
        """Return the steps from the T1 to grey matter in native space and in MNI space."""
        registration = {"working_mm": WORKING, "iterations": [40, 20, 0], "seed": seed}
        return [
            Step("check T1", prepare("t1"), {"furthest_mm": 60.0}),
            Step("correct bias of the head", correct_bias_of_head, {"shrink": 4}),
            Step("find the brain", find_brain, {**registration, "margin_mm": 4.5}),
            Step("correct bias in the brain", correct_bias_in_brain, {"shrink": 3}),
            Step("normalize the brain", normalize_brain, registration),
            Step("segment tissues", segment, {"working_mm": WORKING, "smoothing": 0.1, "prior": 0.25, "iterations": 5}),
            partial_volume(),
            Step("warp grey matter", warp_grey, {"working_mm": WORKING, "voxel_mm": voxel}),
        ]

    def pet_steps(self, voxel: float, seed: int) -> list[Step]:
        """Return the steps from the PET, and the files of the T1 steps, to uptake in MNI space."""
        return [
            Step("check PET", prepare("pet", partner="t1"), {"furthest_mm": 60.0}),
            Step("align PET with T1", align_pet, {"transform": "Rigid", "seed": seed}),
            Step("warp PET", warp_pet, {"voxel_mm": voxel}),
        ]


def quiet_ants() -> Any:
    """Return antspyx, set to one thread."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    return optional("ants", "The engine 'ants'")


@contextlib.contextmanager
def seeded(ants: Any, seed: int) -> Iterator[None]:
    """Make registrations inside the context draw the same samples in every run.

    antspyx has one global seed, and ignores a seed that is passed to a registration. The global seed also seeds numpy
    and Python, whose states are restored here. ANTs takes a seed of 0 as the clock, so 1 is added to `seed`.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - antspyx changes this state
    ants.config.set_ants_deterministic(on=True, seed_value=seed + 1)
    try:
        yield
    finally:
        ants.config.set_ants_deterministic(on=False, seed_value=None)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def correct_bias_of_head(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Correct the bias field of the whole head with N4."""
    ants = quiet_ants()
    scan = ants.image_read(str(files["t1"]))
    corrected = ants.n4_bias_field_correction(scan, shrink_factor=parameters["shrink"])
    return {"head": _written(ants, corrected, folder / "head.nii")}, {}


def find_brain(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Extract the brain by registration of the head to the template, within a margin around the template's brain."""
    ants = quiet_ants()
    fixed, brain = _template("t1", folder, parameters), _template("brain", folder, parameters)
    margin = binary_dilation(brain.numpy() > 0.5, iterations=round(parameters["margin_mm"] / parameters["working_mm"]))
    search_region = fixed.new_image_like(margin.astype(np.float32))
    head = ants.image_read(str(files["head"]))
    registration = _registered(ants, fixed, head, folder, parameters, mask=search_region)
    native_brain = ants.apply_transforms(head, brain, registration["invtransforms"], whichtoinvert=[True, False])
    mask = _largest_component(native_brain.numpy() > 0.5)
    image = head.new_image_like(mask.astype(np.float32))
    affine = folder / "head_to_mni.mat"
    Path(registration["fwdtransforms"][-1]).rename(affine)
    return {"brain": _written(ants, image, folder / "brain.nii"), "head_affine": affine}, {}


def correct_bias_in_brain(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Correct the bias field with N4, estimated from the voxels of the brain only."""
    ants = quiet_ants()
    scan, mask = (ants.image_read(str(files[name])) for name in ("head", "brain"))
    corrected = ants.n4_bias_field_correction(scan, mask=mask, shrink_factor=parameters["shrink"]) * mask
    return {"t1_brain": _written(ants, corrected, folder / "t1_brain.nii")}, {}


def normalize_brain(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Register the brain to the template: affine, then SyN."""
    ants = quiet_ants()
    fixed, moving = _template("t1", folder, parameters), ants.image_read(str(files["t1_brain"]))
    registration = _registered(ants, fixed, moving, folder, parameters, initial_transform=str(files["head_affine"]))
    written_warp, *_, written_affine = (Path(path) for path in registration["fwdtransforms"])
    transforms = {
        "warp": written_warp.rename(folder / f"t1_to_mni{''.join(written_warp.suffixes[-2:])}"),
        "affine": written_affine.rename(folder / "t1_to_mni.mat"),
        "inverse_warp": Path(registration["invtransforms"][-1]),
    }
    affine = ants.read_transform(str(transforms["affine"]))
    return transforms, {"t1_to_mni_affine_lps": np.round(affine.parameters, 6).tolist()}


def segment(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Segment the brain into three tissues, with the probabilities of the template as priors."""
    ants = quiet_ants()
    scan, mask = (ants.image_read(str(files[name])) for name in ("t1_brain", "brain"))
    grey, white = _template("grey", folder, parameters), _template("white", folder, parameters)
    fluid = grey.new_image_like(np.clip(1.0 - grey.numpy() - white.numpy(), 0.0, 1.0))
    to_native = [str(files["affine"]), str(files["inverse_warp"])]
    inverted = [True, False]
    priors = [ants.apply_transforms(scan, prior, to_native, whichtoinvert=inverted) for prior in (grey, white, fluid)]
    segmentation = ants.atropos(
        a=scan,
        x=mask,
        i=priors,
        m=f"[{parameters['smoothing']},1x1x1]",
        c=f"[{parameters['iterations']},0]",
        priorweight=parameters["prior"],
        r=0,  # a constant seed instead of the clock
        verbose=0,
    )
    names = ("grey", "white", "fluid")
    images = dict(zip(names, segmentation["probabilityimages"], strict=True))
    voxel_ml = float(np.prod(scan.spacing)) / 1000.0
    facts = {
        f"{name}_probability_ml": round(float(image.numpy().sum()) * voxel_ml, 2) for name, image in images.items()
    }
    probabilities = {
        f"{name}_probability": _written(ants, image, folder / f"{name}_probability.nii")
        for name, image in images.items()
    }
    return probabilities, facts


def warp_grey(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Warp grey matter to MNI space, without and with modulation by the Jacobian determinant."""
    ants = quiet_ants()
    fixed = _blank(ants, mni_grid(parameters["working_mm"]), folder / "working.nii")
    to_mni = [str(files["warp"]), str(files["affine"])]
    grey, t1 = (ants.image_read(str(files[name])) for name in ("grey", "t1_brain"))
    warped = ants.apply_transforms(fixed, grey, to_mni)
    composed = ants.apply_transforms(fixed, grey, to_mni, compose=str(folder / "t1_to_mni_"))
    field, affine = _field(Path(composed))
    Path(composed).unlink()
    determinant = jacobian(field, affine)
    modulated = warped.numpy() * determinant
    grid = _blank(ants, mni_grid(parameters["voxel_mm"]), folder / "grid.nii")
    maps = {
        "grey_mni": _written(ants, warped, folder / "grey_mni.nii"),
        "modulated_mni": _written(ants, warped.new_image_like(modulated.astype(np.float32)), folder / "modulated.nii"),
        "t1_mni": _written(ants, ants.apply_transforms(grid, t1, to_mni), folder / "t1_mni.nii"),
    }
    brain = template("brain", parameters["working_mm"]) > 0
    return maps, {"jacobian_1_99": np.round(np.percentile(determinant[brain], (1, 99)), 3).tolist()}


def align_pet(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Register the PET to the T1 of the head by a rigid motion."""
    ants = quiet_ants()
    fixed, moving = (ants.image_read(str(files[name])) for name in ("head", "pet"))
    with seeded(ants, parameters["seed"]):
        registration = ants.registration(
            fixed,
            moving,
            type_of_transform=parameters["transform"],
            outprefix=str(folder / "pet_"),
            singleprecision=False,
        )
    rigid = folder / "pet_to_t1.mat"
    Path(registration["fwdtransforms"][0]).rename(rigid)
    move = ants.read_transform(str(rigid))
    return {"rigid": rigid}, {"pet_to_t1_affine_lps": np.round(move.parameters, 6).tolist()}


def warp_pet(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Warp the PET to MNI space in one interpolation."""
    ants = quiet_ants()
    grid = _blank(ants, mni_grid(parameters["voxel_mm"]), folder / "grid.nii")
    pet_to_mni = [str(files[name]) for name in ("warp", "affine", "rigid")]
    warped = ants.apply_transforms(grid, ants.image_read(str(files["pet"])), pet_to_mni)
    return {"pet_mni": _written(ants, warped, folder / "pet_mni.nii")}, {}


def jacobian(field: NDArray, affine: NDArray) -> NDArray[np.float32]:
    """Return the Jacobian determinant of ``x + u(x)``, which is the relative change of volume in each voxel.

    Parameters
    ----------
    field : array, shape (x, y, z, 3)
        Displacements ``u`` in mm, in the axes of `affine`.
    affine : array, shape (4, 4)
        Affine from voxel indices to mm.

    Returns
    -------
    array, shape (x, y, z)
        Negative determinants, where the warp folds, are set to 0.
    """
    by_voxel = np.stack([np.gradient(field[..., axis], axis=(0, 1, 2)) for axis in range(3)])  # (component, voxel axis)
    to_mm = np.linalg.inv(affine[:3, :3])
    slopes = np.einsum("cvxyz,vm->xyzcm", by_voxel, to_mm) + np.eye(3)
    determinant: NDArray[np.float32] = np.linalg.det(slopes).astype(np.float32)
    return np.maximum(determinant, 0.0)


def _registered(
    ants: Any, fixed: Any, moving: Any, folder: Path, parameters: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """Register `moving` to `fixed`: affine, then SyN, both by mutual information."""
    with seeded(ants, parameters["seed"]):
        registration: dict[str, Any] = ants.registration(
            fixed,
            moving,
            type_of_transform="SyN",
            outprefix=str(folder / "to_"),
            reg_iterations=tuple(parameters["iterations"]),
            syn_metric="mattes",
            syn_sampling=32,
            singleprecision=False,
            **more,
        )
    return registration


def _template(name: Any, folder: Path, parameters: Mapping[str, Any]) -> Any:
    grid = mni_grid(parameters["working_mm"])
    path = save_scan(folder / f"template_{name}.nii", template(name, parameters["working_mm"]), grid.affine)
    return quiet_ants().image_read(str(path))


def _blank(ants: Any, grid: Grid, path: Path) -> Any:
    return ants.image_read(str(save_scan(path, np.zeros(grid.shape, np.float32), grid.affine)))


def _written(ants: Any, image: Any, path: Path) -> Path:
    ants.image_write(image, str(path))
    return path


def _field(path: Path) -> tuple[NDArray, NDArray]:
    """Read displacements, and flip x and y from the axes of ITK to those of NIfTI (x to the right, y to the front)."""
    nibabel = optional("nibabel", "Reading warps")
    image = nibabel.load(path)
    values = np.asarray(image.dataobj, dtype=np.float32)
    return values.reshape(*values.shape[:3], 3) * TO_LPS.astype(np.float32), image.affine


def _largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected component of a mask, with holes filled."""
    components, _ = label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    filled: NDArray[np.bool_] = binary_fill_holes(binary_closing(components == sizes.argmax(), iterations=1))
    return filled
