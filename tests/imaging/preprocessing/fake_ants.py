"""A stand-in for antspyx in tests of what it is asked: images are read and written, nothing is registered.

Every registration finds that nothing has to move; `ASKED` holds what was asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np

SEED: list[int | None] = [None]
ASKED: list[tuple[str, dict[str, Any]]] = []
THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


class config:  # noqa: N801 - antspyx's module of that name
    @staticmethod
    def set_ants_deterministic(on: bool = True, seed_value: int | None = None) -> None:
        SEED[0] = seed_value if on else None
        if on:
            np.random.seed(seed_value)  # noqa: NPY002 - as antspyx does


class Image:
    def __init__(self, values: Any, affine: Any) -> None:
        self.values, self.affine = np.asarray(values, np.float32), affine
        self.spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0))

    def numpy(self) -> Any:
        return self.values

    def new_image_like(self, values: Any) -> Image:
        return Image(values, self.affine)

    def __mul__(self, other: Image) -> Image:
        return Image(self.values * other.values, self.affine)


def image_read(path: str) -> Image:
    image = nibabel.load(path)
    return Image(np.asarray(image.dataobj), image.affine)


def image_write(image: Image, path: str) -> None:
    nibabel.save(nibabel.Nifti1Image(image.values, image.affine), path)


def n4_bias_field_correction(scan: Image, mask: Image | None = None, shrink_factor: int = 1) -> Image:
    ASKED.append(("n4", {"mask": mask is not None, "shrink": shrink_factor}))
    return scan


def registration(fixed: Image, moving: Image, **settings: Any) -> dict[str, list[str]]:
    ASKED.append(("registration", settings | {"threads": os.environ.get(THREADS), "seed": SEED[0]}))
    prefix = settings["outprefix"]
    for name in ("0GenericAffine.mat", "1Warp.nii.gz", "1InverseWarp.nii.gz"):
        Path(prefix + name).write_text("identity")
    affine = prefix + "0GenericAffine.mat"
    if settings["type_of_transform"] == "Rigid":
        return {"fwdtransforms": [affine], "invtransforms": [affine]}
    return {
        "fwdtransforms": [prefix + "1Warp.nii.gz", affine],
        "invtransforms": [affine, prefix + "1InverseWarp.nii.gz"],
    }


def apply_transforms(
    fixed: Image, moving: Image, transforms: list[str], whichtoinvert: Any = None, compose: str | None = None
) -> Any:
    from deepjive.imaging import Grid, resampled

    names = [Path(path).name for path in transforms]
    ASKED.append(
        ("apply", {"transforms": names, "invert": whichtoinvert, "there": [Path(p).is_file() for p in transforms]})
    )
    if compose is not None:
        path = compose + "comptx.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.zeros((*fixed.values.shape, 1, 3), np.float32), fixed.affine), path)
        return path
    shape = fixed.values.shape
    return Image(
        resampled(moving.values, moving.affine, Grid((shape[0], shape[1], shape[2]), fixed.affine)), fixed.affine
    )


def atropos(a: Image, x: Image, i: list[Image], **settings: Any) -> dict[str, list[Image]]:
    ASKED.append(("atropos", {"priors": len(i), **settings}))
    return {"probabilityimages": [Image(prior.values * x.values, a.affine) for prior in i]}


def read_transform(path: str) -> Any:
    return SimpleNamespace(parameters=np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]))
