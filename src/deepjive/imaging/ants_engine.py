"""The ANTs engine: a T1 and a PET to maps in MNI space, with antspyx (extra ``ants``).

`T1_STEPS` and `PET_STEPS` are the protocol. Every step is a function of the state, a dict of images, transforms and
numbers that the earlier steps left; nothing is resampled more than once on its way to the result.

Sources: N4 (Tustison et al. 2010, IEEE Trans Med Imaging 29:1310), SyN (Avants et al. 2008, Med Image Anal 12:26), Atropos
(Avants et al. 2011, Neuroinformatics 9:381); modulation by the Jacobian determinant (Good et al. 2001, NeuroImage 14:21).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deepjive.imaging.grid import Grid, mni_grid, resampled, template
from deepjive.imaging.regions import REFERENCES, reference_region
from deepjive.imaging.subjects import Settings, Subject
from deepjive.imaging.volumes import on_grid, save_volume, volume_of
from deepjive.readers.guard import optional

State = dict[str, Any]
Step = tuple[str, str, Callable[[State], None]]
DETERMINISTIC = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "ANTS_RANDOM_SEED": "1"}
FAR_APART = 100.0

TOO_FAR = (
    "{pet} and {t1} are {distance:.0f} mm apart in space, further than a head is wide, so one of their headers is "
    "wrong and rigid registration would fail without saying so. Set the origins of both near the anterior commissure."
)
NO_REFERENCE = "The reference region {name!r} has no uptake in {pet}: it lies outside of the scan, or the scan is empty."


def versions() -> dict[str, str]:
    """Versions of the programs used."""
    return {"antspyx": str(_ants().__version__), "numpy": np.__version__}


def prepare_templates(folder: Path, settings: Settings) -> None:
    """Write the templates at the working resolution, for ANTs reads files."""
    grid = mni_grid(settings.work_voxel)
    for name in ("t1", "grey", "white", "brain"):
        path = folder / f"{name}.nii.gz"
        if not path.is_file():
            save_volume(path, template(name, settings.work_voxel), grid)  # type: ignore[arg-type]
    path = folder / "fluid.nii.gz"
    if not path.is_file():
        brain, grey, white = (template(name, settings.work_voxel) for name in ("brain", "grey", "white"))  # type: ignore[arg-type]
        save_volume(path, np.clip(brain - grey - white, 0.0, 1.0), grid)


def load(state: State) -> None:
    """Read the T1 and the templates."""
    ants, subject = _ants(), state["subject"]
    volume_of(subject.t1)
    state["t1"] = _finite(ants.image_read(str(subject.t1)))
    for name in ("t1", "grey", "white", "fluid", "brain"):
        state[f"template_{name}"] = ants.image_read(str(state["templates"] / f"{name}.nii.gz"))
    grown = ants.iMath(state["template_brain"], "MD", 4)
    state["around_brain"] = grown


def correct_bias(state: State) -> None:
    """N4 on the whole head."""
    ants = _ants()
    head = ants.get_mask(state["t1"])
    corrected = ants.n4_bias_field_correction(state["t1"], mask=head, shrink_factor=4)
    state["head"] = ants.iMath(ants.iMath(corrected, "TruncateIntensity", 0.005, 0.995), "Normalize")


def find_brain(state: State) -> None:
    """Affine and coarse SyN of the head to the template, compared around the brain only; the mask comes back with it."""
    ants = _ants()
    moved = ants.registration(
        fixed=state["template_t1"],
        moving=state["head"],
        type_of_transform="SyN",
        mask=state["around_brain"],
        mask_all_stages=True,
        reg_iterations=(40, 20, 0),
        outprefix=str(state["work"] / "head_"),
    )
    mask = ants.apply_transforms(
        state["t1"], state["template_brain"], moved["invtransforms"], whichtoinvert=[True, False], interpolator="nearestNeighbor"
    )
    state["mask"] = ants.iMath(mask, "GetLargestComponent")


def correct_brain(state: State) -> None:
    """N4 again, within the brain."""
    ants = _ants()
    corrected = ants.n4_bias_field_correction(state["t1"], mask=state["mask"], shrink_factor=2)
    state["brain"] = corrected * state["mask"]


def normalize(state: State) -> None:
    """Affine and SyN of the brain to the template."""
    moved = _ants().registration(
        fixed=state["template_t1"],
        moving=state["brain"],
        type_of_transform="SyN",
        reg_iterations=(40, 20, 0),
        outprefix=str(state["work"] / "brain_"),
    )
    state["to_template"], state["from_template"] = moved["fwdtransforms"], moved["invtransforms"]


def segment(state: State) -> None:
    """Atropos: probabilities of fluid, grey and white matter, with the templates' tissues as priors."""
    ants = _ants()
    priors = [
        ants.apply_transforms(
            state["t1"], state[f"template_{name}"], state["from_template"], whichtoinvert=[True, False]
        )
        for name in ("fluid", "grey", "white")
    ]
    found = ants.atropos(
        a=state["brain"], x=state["mask"], i=priors, m="[0.2,1x1x1]", c="[5,0]", priorweight=0.25
    )
    state["grey"] = found["probabilityimages"][1]


def modulate(state: State) -> None:
    """Grey matter to the grid of the maps; times the Jacobian determinant, so that its volume is that of the subject."""
    ants = _ants()
    warp, affine = state["to_template"]
    matrix = np.asarray(ants.read_transform(affine).parameters[:9]).reshape(3, 3)
    jacobian = ants.create_jacobian_determinant_image(state["template_t1"], warp) * abs(np.linalg.det(matrix))
    unmodulated = ants.apply_transforms(state["template_t1"], state["grey"], state["to_template"])
    inside = state["template_brain"].numpy() > 0
    for kind, image in (("unmodulated", unmodulated), ("modulated", unmodulated * jacobian)):
        values = np.clip(image.numpy(), 0.0, None) * inside
        state[kind] = _on_maps(values, state["settings"])
        state[f"{kind}_ml"] = float(values.sum() * state["settings"].work_voxel ** 3 / 1000.0)
    state["native_ml"] = float(state["grey"].numpy().sum() * np.prod(state["grey"].spacing) / 1000.0)
    aligned = ants.apply_transforms(state["template_t1"], state["brain"], state["to_template"])
    state["t1_mni"] = _on_maps(aligned.numpy(), state["settings"])


def load_pet(state: State) -> None:
    """Read the PET, and see that it is near the T1."""
    ants, subject = _ants(), state["subject"]
    volume_of(subject.pet)
    state["pet"] = _finite(ants.image_read(str(subject.pet)))
    distance = float(np.linalg.norm(np.subtract(_centre(state["pet"]), _centre(state["t1"]))))
    state["distance"] = distance
    if distance > FAR_APART:
        raise ValueError(TOO_FAR.format(pet=subject.pet, t1=subject.t1, distance=distance))


def coregister(state: State) -> None:
    """Rigid registration of the PET to the T1 of the brain."""
    moved = _ants().registration(
        fixed=state["brain"],
        moving=state["pet"],
        type_of_transform="Rigid",
        outprefix=str(state["work"] / "pet_"),
    )
    state["pet_to_t1"] = moved["fwdtransforms"]


def normalize_pet(state: State) -> None:
    """The PET to the grid of the maps, through both transforms at once."""
    chain = [*state["to_template"], *state["pet_to_t1"]]
    moved = _ants().apply_transforms(state["template_t1"], state["pet"], chain)
    state["pet_mni"] = _on_maps(moved.numpy(), state["settings"])


def scale_uptake(state: State) -> None:
    """Divide by the mean uptake of the reference region."""
    settings: Settings = state["settings"]
    region = _reference(settings)
    mean = float(state["pet_mni"][region].mean())
    if not mean > 1e-6 * float(np.abs(state["pet_mni"]).max()):
        raise ValueError(NO_REFERENCE.format(name=settings.reference, pet=state["subject"].pet))
    state["reference_uptake"] = mean
    state["suvr"] = state["pet_mni"] / mean * (template("brain", settings.voxel) > 0)


T1_STEPS: list[Step] = [
    ("load", "read the T1, check its header", load),
    ("bias", "N4 bias field correction of the head", correct_bias),
    ("brain", "affine and SyN of the head to the template; brain mask from the template", find_brain),
    ("bias of the brain", "N4 bias field correction within the brain", correct_brain),
    ("normalize", "affine and SyN of the brain to the MNI152 template", normalize),
    ("segment", "Atropos with the templates' tissues as priors", segment),
    ("modulate", "grey matter to MNI space, times the Jacobian determinant", modulate),
]
PET_STEPS: list[Step] = [
    ("load PET", "read the PET, check that it is near the T1", load_pet),
    ("coregister", "rigid registration of the PET to the T1", coregister),
    ("normalize PET", "the PET to MNI space, interpolated once", normalize_pet),
    ("uptake ratio", "divide by the mean of the reference region", scale_uptake),
]


def steps(subject: Subject) -> list[Step]:
    """The protocol for a subject."""
    return [*T1_STEPS, *(PET_STEPS if subject.pet is not None else [])]


def _ants() -> Any:
    os.environ.update(DETERMINISTIC)
    return optional("ants", "The ants engine")


def _finite(image: Any) -> Any:
    values = image.numpy()
    return image if np.isfinite(values).all() else image.new_image_like(np.nan_to_num(values, posinf=0.0, neginf=0.0))


def _centre(image: Any) -> tuple[float, ...]:
    """Centre of what is bright, in mm."""
    return tuple(_ants().get_center_of_mass(_ants().iMath(image, "Normalize")))


def _on_maps(values: np.ndarray, settings: Settings) -> np.ndarray:
    work: Grid = mni_grid(settings.work_voxel)
    return resampled(values, work.affine, mni_grid(settings.voxel))


def _reference(settings: Settings) -> np.ndarray:
    if settings.reference in REFERENCES:
        return reference_region(settings.reference, settings.voxel)
    grid = mni_grid(settings.voxel)
    return on_grid(settings.reference, grid, np.ones(grid.shape, dtype=bool)) > 0.5
