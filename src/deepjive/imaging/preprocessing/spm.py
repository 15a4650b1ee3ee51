"""Preprocessing with SPM12 through nipype (extra `spm`), and with FSL for the brain mask if FSL is installed.

T1: unified segmentation (Ashburner and Friston 2005) estimates the bias field, the tissues and the warp to MNI space
together. It writes modulated and unmodulated grey matter in MNI space. The brain mask is from FSL's BET (Smith 2002).
Without FSL, it consists of the voxels in which grey matter, white matter and fluid together have a probability over
one half.

PET: coregistration to the T1 by normalized mutual information, and the warp of the T1, in one interpolation.

SPM12 runs in MATLAB, as the standalone program, or in Octave; see `SpmEngine`.

References
----------
Ashburner and Friston 2005, NeuroImage 26:839.
Smith 2002, Hum Brain Mapp 17:143.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepjive.data.readers.guard import optional
from deepjive.imaging.grid import BOX
from deepjive.imaging.preprocessing.protocol import Facts, Files, PreprocessingError, Step
from deepjive.imaging.preprocessing.scans import load_scan, prepare, save_scan
from deepjive.imaging.preprocessing.spm_program import answer, inputs, program_of, run_job, spm_interfaces

SPACE = "Ixi549Space"
GAUSSIANS = (1, 1, 2, 3, 4, 2)
ALL_MAPS, NATIVE_ONLY, NOTHING = ((True, False), (True, True)), ((True, False), (False, False)), ((False, False),) * 2
NO_TPM = "SPM12's tissue probability maps are not at {path}; give the folder of SPM12 with --spm-path."

Made = tuple[dict[str, Path], Facts]


@dataclass(frozen=True)
class SpmEngine:
    """SPM12 through nipype.

    Parameters
    ----------
    command : str, optional
        Command that starts SPM12: ``"/opt/spm12/run_spm12.sh /opt/mcr/v97 script"``, ``"matlab -nodesktop -nosplash"``
        or ``"octave --no-gui"``. By default nipype's environment variables are used (``SPMMCRCMD`` with
        ``FORCE_SPMMCR``, or ``MATLABCMD``), then matlab or octave on the ``PATH``.
    folder : str, optional
        Folder of SPM12. It is needed if SPM12 is not on the path of MATLAB or Octave.
    """

    command: str | None = None
    folder: str | None = None

    @property
    def name(self) -> str:
        """Name of the engine."""
        return "spm"

    @property
    def space(self) -> str:
        """BIDS name of SPM12's MNI space."""
        return SPACE

    @property
    def transforms(self) -> tuple[str, ...]:
        """Names of the files that hold transforms."""
        return ("deformation", "pet_move")

    @property
    def essential(self) -> tuple[str, ...]:
        """Names of the versions that matter: if one of them changes, the maps are made again."""
        return ("SPM", "FSL")

    def versions(self) -> dict[str, str]:
        """Return the versions that results depend on; raise if nipype or SPM12 is not installed."""
        from importlib.metadata import version

        spm_interfaces()
        spm_info = answer(program_of(self.command, self.folder))
        libraries = {name: version(name) for name in ("nipype", "nibabel", "numpy", "scipy")}
        fsl = os.environ.get("FSLDIR", "on the path") if shutil.which("bet") else "none"
        return {"SPM": f"{spm_info['name']} {spm_info['release']}", "FSL": fsl, **libraries}

    def t1_steps(self, voxel: float, seed: int) -> list[Step]:
        """Return the steps from the T1 to grey matter in native space and in MNI space."""
        bias = {"bias_regularization": 0.001, "bias_fwhm_mm": 60.0}
        warping = {"warping_regularization": [0.0, 0.001, 0.5, 0.05, 0.2], "sampling_mm": 3.0}
        return [
            Step("check T1", prepare("t1"), {"furthest_mm": 60.0}),
            Step("segment and normalize", self._segment, {**bias, **warping}),
            Step("find the brain", find_brain, {"fraction": 0.5}),
            Step("warp T1", self._warp_t1, {"voxel_mm": voxel, "interpolation": 4}),
        ]

    def pet_steps(self, voxel: float, seed: int) -> list[Step]:
        """Return the steps from the PET, and the files of the T1 steps, to uptake in MNI space."""
        return [
            Step("check PET", prepare("pet", partner="t1"), {"furthest_mm": 60.0}),
            Step("align PET with T1", self._align_pet, {"cost": "nmi", "separation_mm": [4.0, 2.0]}),
            Step("warp PET", self._warp_pet, {"voxel_mm": voxel, "interpolation": 1}),
        ]

    def _segment(self, files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
        """Run the unified segmentation, which writes c1 to c3, wc1, mwc1, m and y_ beside the T1."""
        spm, scan = spm_interfaces(), _copied(files["t1"], folder)
        program = program_of(self.command, self.folder, folder)
        tpm = Path(answer(program)["path"]) / "tpm" / "TPM.nii"
        if not tpm.is_file():
            raise PreprocessingError(NO_TPM.format(path=tpm))
        written_maps = (ALL_MAPS, NATIVE_ONLY, NATIVE_ONLY, NOTHING, NOTHING, NOTHING)
        job = partial(
            spm.NewSegment,
            channel_files=str(scan),
            channel_info=(parameters["bias_regularization"], parameters["bias_fwhm_mm"], (False, True)),
            tissues=[
                ((str(tpm), number + 1), GAUSSIANS[number], native, warped)
                for number, (native, warped) in enumerate(written_maps)
            ],
            affine_regularization="mni",
            warping_regularization=list(parameters["warping_regularization"]),
            sampling_distance=parameters["sampling_mm"],
            write_deformation_fields=[False, True],
            **inputs(program),
        )
        run_job(job, folder)
        prefixes = {
            "grey": "c1",
            "white": "c2",
            "fluid": "c3",
            "grey_mni": "wc1",
            "modulated_mni": "mwc1",
            "head": "m",
            "deformation": "y_",
        }
        return {name: folder / f"{prefix}{scan.name}" for name, prefix in prefixes.items()}, {}

    def _warp_t1(self, files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
        return {"t1_mni": self._warped(files, "t1_brain", folder, parameters)}, {}

    def _warp_pet(self, files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
        return {"pet_mni": self._warped(files, "pet_move", folder, parameters)}, {}

    def _align_pet(self, files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
        """Register the PET to the T1; SPM writes the rigid motion to the header of the PET."""
        spm, pet = spm_interfaces(), _copied(files["pet"], folder)
        original_affine = load_scan(pet)[1]
        job = partial(
            spm.Coregister,
            target=str(files["head"]),
            source=str(pet),
            jobtype="estimate",
            cost_function=parameters["cost"],
            separation=list(parameters["separation_mm"]),
            **inputs(program_of(self.command, self.folder, folder)),
        )
        run_job(job, folder)
        registered_affine = load_scan(pet)[1]
        motion = (registered_affine @ np.linalg.inv(original_affine)).round(6).tolist()
        return {"pet_move": pet}, {"pet_to_t1_affine": motion}

    def _warped(self, files: Files, name: str, folder: Path, parameters: Mapping[str, Any]) -> Path:
        """Warp a volume to MNI space, on the standard grid."""
        spm, scan = spm_interfaces(), _copied(files[name], folder)
        job = partial(
            spm.Normalize12,
            jobtype="write",
            deformation_file=str(files["deformation"]),
            apply_to_files=[str(scan)],
            write_bounding_box=[list(corner) for corner in zip(*BOX, strict=True)],
            write_voxel_sizes=[float(parameters["voxel_mm"])] * 3,
            write_interp=parameters["interpolation"],
            **inputs(program_of(self.command, self.folder, folder)),
        )
        run_job(job, folder)
        return folder / f"w{scan.name}"


def find_brain(files: Files, folder: Path, parameters: Mapping[str, Any]) -> Made:
    """Write the brain mask (FSL's, or the tissues' without FSL) and the T1 within the mask."""
    head, affine = load_scan(files["head"])
    if shutil.which("bet"):
        brain = _brain_of_fsl(files["head"], folder, parameters["fraction"])
        method = "FSL bet"
    else:
        tissues = sum(load_scan(files[name])[0] for name in ("grey", "white", "fluid"))
        brain = save_scan(folder / "brain_mask.nii", tissues > parameters["fraction"], affine)
        method = "tissues"
    masked = head * (load_scan(brain)[0] > 0.5)
    return {"brain": brain, "t1_brain": save_scan(folder / "t1_brain.nii", masked, affine)}, {"brain_by": method}


def _brain_of_fsl(head: Path, folder: Path, fraction: float) -> Path:
    """Run ``bet in out -f fraction -m -R``, and return the brain mask."""
    fsl = optional("nipype.interfaces.fsl", "FSL's brain mask")
    job = partial(
        fsl.BET,
        in_file=str(head),
        out_file=str(folder / "brain.nii"),
        frac=fraction,
        mask=True,
        robust=True,
        output_type="NIFTI",
    )
    run_job(job, folder)
    return folder / "brain_mask.nii"


def _copied(path: Path, folder: Path) -> Path:
    """Copy a file to a folder in which SPM may write, and change the header of the copy."""
    return Path(shutil.copyfile(path, folder / path.name))
