"""Accuracy of preprocessing with ANTs: phantom scans in their own space with known truth, and one real T1.

    python benchmarks/preprocessing.py --out FOLDER     # needs antspyx; the real T1 only with DEEPJIVE_DATA

For each participant the table shows: the distance of the registrations from the known transforms (mean over the brain,
mm); grey matter in ml (true, in the participant's own space, and modulated in MNI space); the loss in the hippocampi
relative to the template (true, and in the unmodulated map); the composite SUVR (true, from the PET with the known
transform, and in MNI space); measures of quality; and CPU seconds of each step.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from scipy.io import loadmat
from scipy.ndimage import map_coordinates

from deepjive.datasets import REGIONS, atrophy_curve, composite_region, make_phantom, pattern, write_native
from deepjive.datasets.phantom_files import NATIVE
from deepjive.imaging import (
    Outcome,
    PreprocessingSettings,
    Subject,
    millilitres,
    mni_grid,
    preprocess_cohort,
    reference_region,
    resampled,
    sphere_distance,
    template,
)
from deepjive.imaging.preprocessing.ants import AntsEngine
from deepjive.imaging.preprocessing.derivative import sidecar_of
from result_tables import ResultTable, add_json_option, write_tables

VOXEL, REFERENCE = 3.0, "cerebellum"
LPS = np.array([[-1.0], [-1.0], [1.0]])


def phantom_subjects(folder: Path) -> list[Subject]:
    """Write scans of the participants with the lowest, a middle and the highest stage among 40."""
    table = make_phantom(40, 12.0, random_state=0).subjects
    stage = table["stage"].to_numpy()
    chosen = table.iloc[[stage.argmin(), np.abs(stage - 0.5).argmin(), stage.argmax()]]
    bids = write_native(chosen, folder)
    chosen.to_csv(folder / "factors.csv", index=False)
    return [
        Subject(name, "ses-M00", *(next((bids / name).rglob(f"*_{kind}.nii.gz")) for kind in ("T1w", "pet")))
        for name in chosen["participant_id"]
    ]


def real_subject(folder: Path) -> list[Subject]:
    """Return the single-subject T1 and the PET template of SPM12 as one participant, if the files exist."""
    data = Path(os.environ.get("DEEPJIVE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "brain"
    scans = [data / f"spm_{name}_2mm.nii.gz" for name in ("single_subj_T1", "PET_template")]
    return [Subject("sub-real", "", *scans)] if all(path.is_file() for path in scans) else []


def through_affine(transform: Path, points: np.ndarray) -> np.ndarray:
    """Map points in mm through an affine of ITK, whose x and y axes are reversed."""
    content = loadmat(transform)
    (values,) = (value.ravel() for name, value in content.items() if "Transform" in name)
    matrix, shift, centre = values[:9].reshape(3, 3), values[9:, None], content["fixed"].ravel()[:, None]
    return LPS * (matrix @ (LPS * points - centre) + centre + shift)


def through_warp(field: Path, points: np.ndarray) -> np.ndarray:
    """Map points in mm through a displacement field of ITK."""
    image = nibabel.load(field)
    values = np.asarray(image.dataobj, np.float32).reshape(*image.shape[:3], 3)
    indices = np.linalg.inv(image.affine) @ np.vstack([points, np.ones(points.shape[1])])
    shifts = [map_coordinates(values[..., axis], indices[:3], order=1) for axis in range(3)]
    return points + LPS * np.stack(shifts)


def compared_with_truth(subject: Subject, out: Path, bids: Path) -> dict[str, float]:
    """Compare registrations, volume and ratios with the truth of the phantom."""
    import pandas as pd

    moves = json.loads((bids / subject.participant / "moves.json").read_text())
    factors = pd.read_csv(bids / "factors.csv").set_index("participant_id").loc[subject.participant]
    folder = out / subject.participant / subject.session
    affine, warp, rigid = (next(folder.glob(f"*/*{name}_xfm*")) for name in ("desc-affine", "desc-warp", "mode-image"))
    brain = template("brain", VOXEL) > 0
    points = mni_grid(VOXEL).points()[:, brain].astype(float)
    homogeneous = np.vstack([points, np.ones(points.shape[1])])
    t1, pet = ((np.array(moves[name]) @ homogeneous)[:3] for name in ("t1", "pet"))
    registered = through_affine(affine, through_warp(warp, points))
    grey = millilitres(grey_of(factors, NATIVE), NATIVE) * np.linalg.det(np.array(moves["t1"])[:3, :3])
    unmodulated = np.asarray(nibabel.load(next(folder.glob("anat/*desc-unmodulated_probseg.nii.gz"))).dataobj)
    image = nibabel.load(subject.pet)
    indices = np.linalg.inv(image.affine) @ np.vstack([pet, np.ones(pet.shape[1])])
    uptake = np.zeros(brain.shape)
    uptake[brain] = map_coordinates(np.asarray(image.dataobj, float), indices[:3], order=1)
    return {
        "stage": float(factors["stage"]),
        "T1 to MNI mm": float(np.linalg.norm(registered - t1, axis=0).mean()),
        "PET to T1 mm": float(np.linalg.norm(through_affine(rigid, t1) - pet, axis=0).mean()),
        "grey true ml": grey,
        "hippocampal loss true": hippocampal_loss(grey_of(factors, VOXEL)),
        "hippocampal loss measured": hippocampal_loss(unmodulated),
        "SUVR true": composite(uptake),
    }


def grey_of(factors: Any, voxel: float) -> np.ndarray:
    """Return the true grey matter in MNI space."""
    asymmetry = 1.0 + 0.5 * factors["asymmetry"] * np.tanh(mni_grid(voxel).points()[0] / 20.0)
    lost = np.clip(atrophy_curve(factors["stage"]) * pattern("atrophy", voxel) * asymmetry, 0.0, 0.8)
    return template("grey", voxel) * (1.0 - lost)


def hippocampal_loss(grey: np.ndarray) -> float:
    """Return the loss of grey matter within 10 mm of the centres of the hippocampi, relative to the template."""
    sides = (REGIONS["hippocampus"].left, REGIONS["hippocampus"].right)
    near = np.min([sphere_distance(mni_grid(VOXEL), centre) for centre in sides], axis=0) < 10.0
    return float(1.0 - grey[near].mean() / template("grey", VOXEL)[near].mean())


def composite(uptake: np.ndarray) -> float:
    """Return the mean uptake of the composite region divided by that of the reference region."""
    return float(uptake[composite_region(VOXEL)].mean() / uptake[reference_region(REFERENCE, VOXEL)].mean())


def of_real(subject: Subject) -> dict[str, float]:
    """Return the ratio in the PET template, which is in MNI space already."""
    image = nibabel.load(subject.pet)
    return {"SUVR true": composite(resampled(np.asarray(image.dataobj), image.affine, mni_grid(VOXEL)))}


def row(outcome: Outcome, truth: dict[str, float]) -> dict[str, float]:
    """Return the truth and the measures of a participant."""
    sidecar = json.loads(sidecar_of(Path(outcome.maps["anat"])).read_text())["Measured"]
    suvr = np.asarray(nibabel.load(outcome.maps["pet"]).dataobj)
    measured = {
        "grey native ml": sidecar["grey_native_ml"],
        "grey modulated ml": sidecar["modulated_ml"],
        "SUVR": composite(suvr),
    }
    return {**truth, **measured, **outcome.quality}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--twice", action="store_true", help="preprocess the first participant again, and compare the files"
    )
    add_json_option(parser)
    options = parser.parse_args()
    phantoms = phantom_subjects(options.out / "bids")
    subjects = [*phantoms, *real_subject(options.out)]
    out, settings = options.out / "derivative", PreprocessingSettings(REFERENCE, VOXEL)
    outcomes = preprocess_cohort(subjects, AntsEngine(), settings, out, on_subject=lambda outcome: None)
    columns = {}
    for subject, outcome in zip(subjects, outcomes, strict=True):
        if outcome.problems:
            print(*outcome.problems, sep="\n")
            continue
        truth = compared_with_truth(subject, out, options.out / "bids") if subject in phantoms else of_real(subject)
        columns[subject.name] = row(outcome, truth)
    print_table(columns)
    write_tables(options.json, [measure_table(columns)], sources=["deepjive.imaging.preprocessing"])
    print_steps(outcomes)
    if options.twice:
        shutil.rmtree(options.out / "again", ignore_errors=True)
        (again,) = preprocess_cohort(subjects[:1], AntsEngine(), settings, options.out / "again")
        identical = [
            Path(again.maps[stage]).read_bytes() == Path(outcomes[0].maps[stage]).read_bytes() for stage in again.maps
        ]
        print("maps of the second run are identical:", identical)


def measure_table(columns: dict[str, dict[str, float]]) -> ResultTable:
    table = ResultTable("preprocessing", "Preprocessing with ANTs, by participant", ("measure", *columns))
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        table.add(name, *(column.get(name) for column in columns.values()))
    return table


def print_table(columns: dict[str, dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    print("", *columns, sep="\t")
    for name in names:
        print(name, *(f"{column[name]:.4g}" if name in column else "" for column in columns.values()), sep="\t")


def print_steps(outcomes: list[Outcome]) -> None:
    for stage in ("anat", "pet"):
        steps = [
            json.loads(sidecar_of(Path(outcome.maps[stage])).read_text())["Steps"]
            for outcome in outcomes
            if stage in outcome.maps
        ]
        for number, step in enumerate(steps[0]):
            print(step["name"], *(f"{row[number]['cpu_seconds']:.1f}" for row in steps), sep="\t")


if __name__ == "__main__":
    main()
