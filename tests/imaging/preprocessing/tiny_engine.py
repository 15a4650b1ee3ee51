"""An engine for tests: scans are in MNI space already, and a T1's brightest voxel says how it behaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepjive.imaging import mni_grid, template
from deepjive.imaging.preprocessing.protocol import Step
from deepjive.imaging.preprocessing.scans import load_scan, prepare, save_scan

VOXEL = 6.0
FAILS, CRASHES = 666.0, 777.0


class TinyEngine:
    name, space, transforms, essential = "tiny", "MNI152NLin2009aSym", ("move",), ("tiny",)

    def __init__(self, version: str = "1") -> None:
        self.version = version

    def versions(self) -> dict[str, str]:
        return {"tiny": self.version, "numpy": np.__version__}

    def t1_steps(self, voxel: float, seed: int) -> list[Step]:
        return [Step("check T1", prepare("t1"), {"furthest_mm": 60.0}), Step("segment", segment, {"seed": seed})]

    def pet_steps(self, voxel: float, seed: int) -> list[Step]:
        return [Step("check PET", prepare("pet", partner="t1"), {"furthest_mm": 60.0}), Step("warp PET", warp_pet)]


def segment(files: Mapping[str, Path], folder: Path, parameters: Mapping[str, Any]) -> Any:
    values = load_scan(files["t1"])[0]
    if values.max() == FAILS:
        raise RuntimeError("the registration diverged")
    if values.max() == CRASHES:
        os.kill(os.getpid(), signal.SIGKILL)
    grey = save_scan(folder / "grey.nii", template("grey", VOXEL), mni_grid(VOXEL).affine)
    move = folder / "move.mat"
    move.write_text("1 0 0")
    made = {"grey": grey, "grey_mni": grey, "modulated_mni": grey, "t1_mni": files["t1"], "move": move}
    return made, {"seen": float(values.max())}


def warp_pet(files: Mapping[str, Path], folder: Path, parameters: Mapping[str, Any]) -> Any:
    return {"pet_mni": files["pet"]}, {}


def t1_scan(brightest: float = 1000.0) -> Any:
    return template("t1", VOXEL) * np.float32(brightest)


def pet_scan(amyloid: float = 0.5) -> Any:
    """1 in the cerebellum, more in the cortex above it."""
    grey, white = template("grey", VOXEL), template("white", VOXEL)
    above = mni_grid(VOXEL).points()[2] > 0
    return 6000.0 * (grey * (1.0 + amyloid * above) + white)


def write_bids(folder: Path, write_nifti: Any, subjects: Mapping[str, float]) -> Path:
    """A BIDS folder of subjects by the brightness of their T1, each with a PET."""
    affine = mni_grid(VOXEL).affine
    for name, brightest in subjects.items():
        session = folder / name / "ses-M00"
        write_nifti(session / "anat" / f"{name}_ses-M00_T1w.nii.gz", t1_scan(brightest), affine)
        write_nifti(session / "pet" / f"{name}_ses-M00_trc-18FAV45_pet.nii.gz", pet_scan(), affine)
    rows = "".join(f"{name}\t{'AD' if number % 2 else 'CN'}\n" for number, name in enumerate(subjects))
    (folder / "participants.tsv").write_text("participant_id\tdiagnosis\n" + rows)
    return folder
