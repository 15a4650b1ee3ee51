"""The protocol with ANTs (antspyx, extra `ants`), from its steps as they are published.

    T1   N4 bias correction (Tustison et al. 2010, IEEE TMI 29:1310); the brain, by an affine and SyN registration of
         the head to the MNI152 brain (Avants et al. 2008, Med Image Anal 12:26); N4 within the brain; affine and SyN
         of the brain; Atropos with the template's tissues as priors (Avants et al. 2011, Neuroinformatics 9:381);
         how much of a voxel is grey matter (`partial_volume`); that warped and, for the modulated map, multiplied by
         the Jacobian determinant of the warp
    PET  a rigid registration to the T1 by mutual information; one interpolation onto the grid

Results are the same from run to run only in one thread (`quiet_ants`) and with a seed (`seeded`).
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
    """ANTs through antspyx."""

    name, space = "ants", SPACE
    transforms = ("affine", "warp", "rigid")
    essential = ("antspyx", "nilearn")

    def versions(self) -> dict[str, str]:
        """Versions of what the results depend on; fails where antspyx is not installed."""
        from importlib.metadata import version

        quiet_ants()
        return {name: version(name) for name in ("antspyx", "numpy", "scipy", "nibabel", "nilearn")}

    def t1_steps(self, voxel: float, seed: int) -> list[Step]:
        """From the T1 to grey matter in its own space and in MNI space."""
        registered = {"working_mm": WORKING, "iterations": [40, 20, 0], "seed": seed}
        return [
            Step("check T1", prepare("t1"), {"furthest_mm": 60.0}),
            Step("correct bias of the head", correct_bias_of_head, {"shrink": 4}),
            Step("find the brain", find_brain, {**registered, "margin_mm": 4.5}),
            Step("correct bias in the brain", correct_bias_in_brain, {"shrink": 3}),
            Step("normalize the brain", normalize_brain, registered),
            Step("segment tissues", segment, {"working_mm": WORKING, "smoothing": 0.1, "prior": 0.25, "iterations": 5}),
            partial_volume(),
            Step("warp grey matter", warp_grey, {"working_mm": WORKING, "voxel_mm": voxel}),
        ]

    def pet_steps(self, voxel: float, seed: int) -> list[Step]:
        """From the PET and what is known of the T1 to uptake in MNI space."""
        return [
            Step("check PET", prepare("pet", partner="t1"), {"furthest_mm": 60.0}),
            Step("align PET with T1", align_pet, {"transform": "Rigid", "seed": seed}),
            Step("warp PET", warp_pet, {"voxel_mm": voxel}),
        ]


def quiet_ants() -> Any:
    """antspyx, in one thread."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    return optional("ants", "The engine 'ants'")


@contextlib.contextmanager
def seeded(ants: Any, seed: int) -> Iterator[None]:
    """Registrations within draw the same samples every time.

    antspyx takes a seed for all or none, ignores one that is given to a registration, and seeds numpy and Python along
    with ANTs, which is put back here. To ANTs a seed of 0 means the clock, so that ours are counted from 1.
    """
    before = np.random.get_state(), random.getstate()  # noqa: NPY002 - what antspyx changes
    ants.config.set_ants_deterministic(on=True, seed_value=seed + 1)
    try:
        yield
    finally:
        ants.config.set_ants_deterministic(on=False, seed_value=None)
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])


def correct_bias_of_head(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """N4 over the whole head."""
    ants = quiet_ants()
    scan = ants.image_read(str(files["t1"]))
    corrected = ants.n4_bias_field_correction(scan, shrink_factor=parameters["shrink"])
    return {"head": _written(ants, corrected, folder / "head.nii")}, {}


def find_brain(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Where the template's brain is in the head, looking no further than a margin around it."""
    ants = quiet_ants()
    fixed, brain = _template("t1", folder, parameters), _template("brain", folder, parameters)
    margin = binary_dilation(brain.numpy() > 0.5, iterations=round(parameters["margin_mm"] / parameters["working_mm"]))
    near = fixed.new_image_like(margin.astype(np.float32))
    head = ants.image_read(str(files["head"]))
    found = _registered(ants, fixed, head, folder, parameters, mask=near)
    back = ants.apply_transforms(head, brain, found["invtransforms"], whichtoinvert=[True, False])
    mask = _one_piece(back.numpy() > 0.5)
    image = head.new_image_like(mask.astype(np.float32))
    affine = folder / "head_to_mni.mat"
    Path(found["fwdtransforms"][-1]).rename(affine)
    return {"brain": _written(ants, image, folder / "brain.nii"), "head_affine": affine}, {}


def correct_bias_in_brain(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """N4 again, now by the brain's voxels alone."""
    ants = quiet_ants()
    scan, mask = (ants.image_read(str(files[name])) for name in ("head", "brain"))
    corrected = ants.n4_bias_field_correction(scan, mask=mask, shrink_factor=parameters["shrink"]) * mask
    return {"t1_brain": _written(ants, corrected, folder / "t1_brain.nii")}, {}


def normalize_brain(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Affine and SyN of the brain to the template."""
    ants = quiet_ants()
    fixed, moving = _template("t1", folder, parameters), ants.image_read(str(files["t1_brain"]))
    found = _registered(ants, fixed, moving, folder, parameters, initial_transform=str(files["head_affine"]))
    made = {}
    for name, path in (("warp", found["fwdtransforms"][0]), ("affine", found["fwdtransforms"][-1])):
        made[name] = folder / f"t1_to_mni{''.join(Path(path).suffixes[-2:] if name == 'warp' else ['.mat'])}"
        Path(path).rename(made[name])
    made["inverse_warp"] = Path(found["invtransforms"][-1])
    affine = ants.read_transform(str(made["affine"]))
    return made, {"t1_to_mni_affine_lps": np.round(affine.parameters, 6).tolist()}


def segment(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Three tissues of the brain, with the template's probabilities as priors."""
    ants = quiet_ants()
    scan, mask = (ants.image_read(str(files[name])) for name in ("t1_brain", "brain"))
    grey, white = _template("grey", folder, parameters), _template("white", folder, parameters)
    fluid = grey.new_image_like(np.clip(1.0 - grey.numpy() - white.numpy(), 0.0, 1.0))
    back = [str(files["affine"]), str(files["inverse_warp"])]
    priors = [ants.apply_transforms(scan, prior, back, whichtoinvert=[True, False]) for prior in (grey, white, fluid)]
    found = ants.atropos(
        a=scan,
        x=mask,
        i=priors,
        m=f"[{parameters['smoothing']},1x1x1]",
        c=f"[{parameters['iterations']},0]",
        priorweight=parameters["prior"],
        r=0,  # a constant seed, not the clock
        verbose=0,
    )
    names = ("grey", "white", "fluid")
    images = dict(zip(names, found["probabilityimages"], strict=True))
    millilitres = float(np.prod(scan.spacing)) / 1000.0
    facts = {
        f"{name}_probability_ml": round(float(image.numpy().sum()) * millilitres, 2) for name, image in images.items()
    }
    made = {
        f"{name}_probability": _written(ants, image, folder / f"{name}_probability.nii")
        for name, image in images.items()
    }
    return made, facts


def warp_grey(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Grey matter in MNI space, and times the volume that each voxel had in the subject."""
    ants = quiet_ants()
    fixed = _blank(ants, mni_grid(parameters["working_mm"]), folder / "working.nii")
    forth = [str(files["warp"]), str(files["affine"])]
    grey, t1 = (ants.image_read(str(files[name])) for name in ("grey", "t1_brain"))
    warped = ants.apply_transforms(fixed, grey, forth)
    composed = ants.apply_transforms(fixed, grey, forth, compose=str(folder / "t1_to_mni_"))
    field, affine = _field(Path(composed))
    Path(composed).unlink()
    determinant = jacobian(field, affine)
    modulated = warped.numpy() * determinant
    grid = _blank(ants, mni_grid(parameters["voxel_mm"]), folder / "grid.nii")
    made = {
        "grey_mni": _written(ants, warped, folder / "grey_mni.nii"),
        "modulated_mni": _written(ants, warped.new_image_like(modulated.astype(np.float32)), folder / "modulated.nii"),
        "t1_mni": _written(ants, ants.apply_transforms(grid, t1, forth), folder / "t1_mni.nii"),
    }
    inside = template("brain", parameters["working_mm"]) > 0
    return made, {"jacobian_1_99": np.round(np.percentile(determinant[inside], (1, 99)), 3).tolist()}


def align_pet(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """A rigid motion of the PET onto the head's T1."""
    ants = quiet_ants()
    fixed, moving = (ants.image_read(str(files[name])) for name in ("head", "pet"))
    with seeded(ants, parameters["seed"]):
        found = ants.registration(
            fixed,
            moving,
            type_of_transform=parameters["transform"],
            outprefix=str(folder / "pet_"),
            singleprecision=False,
        )
    rigid = folder / "pet_to_t1.mat"
    Path(found["fwdtransforms"][0]).rename(rigid)
    move = ants.read_transform(str(rigid))
    return {"rigid": rigid}, {"pet_to_t1_affine_lps": np.round(move.parameters, 6).tolist()}


def warp_pet(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """PET in MNI space, in one interpolation."""
    ants = quiet_ants()
    grid = _blank(ants, mni_grid(parameters["voxel_mm"]), folder / "grid.nii")
    forth = [str(files[name]) for name in ("warp", "affine", "rigid")]
    warped = ants.apply_transforms(grid, ants.image_read(str(files["pet"])), forth)
    return {"pet_mni": _written(ants, warped, folder / "pet_mni.nii")}, {}


def jacobian(field: NDArray, affine: NDArray) -> NDArray[np.float32]:
    """The determinant of ``x + u(x)``: the volume that a voxel comes from, over its own.

    Parameters
    ----------
    field : array, shape (x, y, z, 3)
        Displacements ``u`` in mm, in the axes of `affine`.
    affine : array, shape (4, 4)
        From voxel numbers to mm.

    Returns
    -------
    array, shape (x, y, z)
    """
    by_voxel = np.stack([np.gradient(field[..., axis], axis=(0, 1, 2)) for axis in range(3)])  # (component, voxel axis)
    to_mm = np.linalg.inv(affine[:3, :3])
    slopes = np.einsum("cvxyz,vm->xyzcm", by_voxel, to_mm) + np.eye(3)
    determinant: NDArray[np.float32] = np.linalg.det(slopes).astype(np.float32)
    return np.maximum(determinant, 0.0)


def _registered(
    ants: Any, fixed: Any, moving: Any, folder: Path, parameters: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """Affine, then SyN, both by mutual information."""
    with seeded(ants, parameters["seed"]):
        found: dict[str, Any] = ants.registration(
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
    return found


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
    """Displacements in the axes of NIfTI (x to the right, y to the front); ITK has both turned round."""
    nibabel = optional("nibabel", "Reading warps")
    image = nibabel.load(path)
    values = np.asarray(image.dataobj, dtype=np.float32)
    return values.reshape(*values.shape[:3], 3) * TO_LPS.astype(np.float32), image.affine


def _one_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece, without holes."""
    pieces, _ = label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    whole: NDArray[np.bool_] = binary_fill_holes(binary_closing(pieces == sizes.argmax(), iterations=1))
    return whole
