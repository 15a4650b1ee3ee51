"""The phantom cohort as files: maps in Clinica's layout, and scans in native space as a scanner writes them.

With these files the same readers, preprocessing and commands run on the phantom as on a user's data.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from deepjive.data.readers.guard import optional
from deepjive.datasets.anatomy import pattern
from deepjive.datasets.phantom import (
    AMYLOID,
    CORTEX,
    FLUID,
    WHITE,
    Phantom,
    amyloid_curve,
    atrophy_curve,
)
from deepjive.imaging.grid import mni_grid, sd_of, template

MRI_NAME = "t1/spm/dartel/group-phantom/{name}_T1w_segm-graymatter_space-Ixi549Space_modulated-on_probability.nii.gz"
PET_NAME = (
    "pet/preprocessing/group-phantom/{name}_trc-18FAV45_pet_space-Ixi549Space_suvr-cerebellumPons_mask-brain_pet.nii.gz"
)
TAU_NAME = PET_NAME.replace("18FAV45", "18FAV1451").replace("cerebellumPons", "infcerebellum")
NAMES = {"mri": MRI_NAME, "pet": PET_NAME, "tau": TAU_NAME}
NATIVE = 2.0
MARGIN = 12
T1_VOXEL, PET_VOXEL = (1.6, 1.6, 2.0), (2.5, 2.5, 3.0)
LARGEST_TURN, LARGEST_SHIFT, LARGEST_STRETCH = 8.0, 8.0, 0.04
BECQUEREL = 6000.0


def write_caps(phantom: Phantom, folder: str | Path) -> tuple[Path, Path]:
    """Write the phantom's maps as a CAPS folder, with the matching BIDS tables, of sessions too if there are several.

    Parameters
    ----------
    phantom : Phantom
        The cohort.
    folder : path
        Folder in which ``caps`` and ``bids`` are made.

    Returns
    -------
    caps, bids : Path
        Arguments for ``read_cohort({"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}, clinical=bids)``.
    """
    caps, bids = Path(folder) / "caps", Path(folder) / "bids"
    for row, sample in enumerate(phantom.samples):
        session = caps / "subjects" / Path(*sample.rsplit("_", 1))
        for column, modality in enumerate(phantom.data.names):
            if not phantom.data.present[row, column]:
                continue
            path = session / NAMES[modality].format(name=sample)
            _write(path, phantom.data.rows(modality, [row])[0], phantom.grid.affine)
    bids.mkdir(parents=True, exist_ok=True)
    columns = ["participant_id", "diagnosis", "age", *(["site"] if "site" in phantom.subjects else [])]
    first = phantom.subjects.drop_duplicates("participant_id")
    if "session_id" in phantom.subjects:
        columns.remove("age")
        _write_sessions(phantom.subjects, bids)
    first[columns].to_csv(bids / "participants.tsv", sep="\t", index=False)
    return caps, bids


def _write_sessions(subjects: pd.DataFrame, bids: Path) -> None:
    """Write the visits of each participant, with the date and the age of each."""
    for name, visits in subjects.groupby("participant_id", sort=False):
        path = bids / str(name) / f"{name}_sessions.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        visits[["session_id", "examination_date", "age"]].to_csv(path, sep="\t", index=False)


def write_native(subjects: pd.DataFrame, folder: str | Path) -> Path:
    """Write scans of phantom participants in native space, as a BIDS folder to preprocess.

    The head is rotated, shifted and stretched at random. Fluid, skull and scalp surround the brain. The T1 has a bias
    field of 20% and noise. The PET is in Bq/ml, blurred, in another position and with other voxels. The file
    ``sub-*/moves.json`` has the rotation, shift and stretch of each scan as affines from MNI space, in mm.

    Parameters
    ----------
    subjects : DataFrame
        Rows of `Phantom.subjects`.
    folder : path
        The BIDS folder.

    Returns
    -------
    Path
        The folder.
    """
    folder = Path(folder)
    for factors in subjects.to_dict(orient="records"):
        _write_scans(factors, folder / str(factors["participant_id"]))
    description = {"Name": "Phantom", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (folder / "dataset_description.json").write_text(json.dumps(description, indent=1))
    table = subjects[["participant_id", "diagnosis", "age"]]
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    return folder


def _write_scans(factors: dict[Any, Any], folder: Path) -> None:
    """Write the T1 and the PET of one participant, and the rotation, shift and stretch of each."""
    name, rng = folder.name, np.random.default_rng(int(factors["seed"]))
    t1, pet = _head(factors)
    stretch = np.diag([*(1.0 + rng.uniform(-1, 1, 3) * LARGEST_STRETCH), 1.0])
    moves = {"t1": _rigid_motion(rng) @ stretch, "pet": _rigid_motion(rng) @ stretch}
    scan, affine = _scanned(t1, moves["t1"], T1_VOXEL)
    bias = np.exp(0.2 * _slow(scan.shape, rng))
    noisy = np.abs(scan * bias + 0.015 * rng.standard_normal(scan.shape)) * 1000.0
    _write(folder / "ses-M00" / "anat" / f"{name}_ses-M00_T1w.nii.gz", noisy, affine)
    scan, affine = _scanned(pet, moves["pet"], PET_VOXEL)
    counts = np.maximum(scan + 0.04 * rng.standard_normal(scan.shape), 0.0) * BECQUEREL
    _write(folder / "ses-M00" / "pet" / f"{name}_ses-M00_trc-18FAV45_pet.nii.gz", counts, affine)
    (folder / "moves.json").write_text(json.dumps({key: move.tolist() for key, move in moves.items()}, indent=1))


def _head(factors: dict[Any, Any]) -> tuple[NDArray, NDArray]:
    """Return T1 intensity (white matter 1) and PET uptake of a head in MNI space, with a margin around the brain."""
    brain, white = (_padded(template(name, NATIVE)) for name in ("brain", "white"))
    asymmetry = 1.0 + 0.5 * factors["asymmetry"] * np.tanh(mni_grid(NATIVE).points()[0] / 20.0)
    lost = np.clip(atrophy_curve(factors["stage"]) * pattern("atrophy", NATIVE) * asymmetry, 0.0, 0.8)
    grey = _padded(template("grey", NATIVE) * (1.0 - lost))
    amyloid = _padded(amyloid_curve(factors["stage"]) * pattern("amyloid", NATIVE) * asymmetry)
    fluid = np.clip(brain - grey - white, 0.0, 1.0)
    distance = distance_transform_edt(brain < 0.5) * NATIVE
    inner, skull, scalp = ((distance > low) & (distance <= high) for low, high in ((0, 3), (3, 8), (8, 14)))
    t1 = 0.65 * grey + white + 0.2 * fluid + 0.2 * inner + 0.08 * skull + 0.85 * scalp
    pet = grey * (CORTEX + AMYLOID * amyloid) + white * WHITE + FLUID * (fluid + inner) + 0.3 * skull + 0.5 * scalp
    return gaussian_filter(t1, 0.4), gaussian_filter(pet, sd_of(6.0, NATIVE))


def _padded(volume: NDArray) -> NDArray[np.float32]:
    return np.pad(volume, MARGIN).astype(np.float32)


def _rigid_motion(rng: np.random.Generator) -> NDArray:
    """Draw a random rigid motion."""
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", rng.uniform(-1, 1, 3) * LARGEST_TURN, degrees=True).as_matrix()
    move[:3, 3] = rng.uniform(-1, 1, 3) * LARGEST_SHIFT
    return move


def _scanned(volume: NDArray, move: NDArray, voxel: tuple[float, float, float]) -> tuple[NDArray, NDArray]:
    """Sample a moved head on a scanner's grid that surrounds the head."""
    affine = mni_grid(NATIVE).affine.copy()
    affine[:3, 3] -= MARGIN * NATIVE
    extent = np.array(volume.shape) * NATIVE
    shape = tuple(int(length) for length in np.ceil((extent + 16.0) / voxel))
    scanner = np.diag([*voxel, 1.0])
    scanner[:3, 3] = affine[:3, 3] - 8.0
    to_voxels = np.linalg.inv(affine) @ np.linalg.inv(move) @ scanner
    indices = np.indices(shape, dtype=np.float32).reshape(3, -1)
    coordinates = (to_voxels[:3, :3] @ indices + to_voxels[:3, 3:]).reshape(3, *shape)
    return map_coordinates(volume, coordinates, order=1, output=np.float32), scanner


def _slow(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    """Draw a field that varies slowly over the head, between -1 and 1."""
    axes = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij", sparse=True)
    weights = rng.uniform(-1, 1, (3, 2))
    return np.clip(sum(a * axis + b * (axis**2 - 0.5) for (a, b), axis in zip(weights, axes, strict=True)), -1, 1)


def _write(path: Path, volume: NDArray, affine: NDArray) -> None:
    """Write a NIfTI file of 16-bit integers with a scale."""
    nibabel = optional("nibabel", "Writing NIfTI files")
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.asarray(volume, dtype=np.float32), affine)
    image.set_sform(affine, code="scanner" if "anat" in path.parts or path.parent.name == "pet" else "mni")
    image.set_qform(affine, code="scanner" if "anat" in path.parts or path.parent.name == "pet" else "mni")
    image.set_data_dtype(np.int16)
    nibabel.save(image, path)
