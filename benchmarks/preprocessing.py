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
    """The phantom participants of the lowest, a middle and the highest stage among 40, as scans."""
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
    """The single-subject T1 and the PET template of SPM12, as one subject."""
    data = Path(os.environ.get("DEEPJIVE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "brain"
    scans = [data / f"spm_{name}_2mm.nii.gz" for name in ("single_subj_T1", "PET_template")]
    return [Subject("sub-real", "", *scans)] if all(path.is_file() for path in scans) else []


def moved(transform: Path, places: np.ndarray) -> np.ndarray:
    """Places in mm through an affine of ITK, which counts left and front as negative."""
    content = loadmat(transform)
    (values,) = (value.ravel() for name, value in content.items() if "Transform" in name)
    matrix, shift, centre = values[:9].reshape(3, 3), values[9:, None], content["fixed"].ravel()[:, None]
    return LPS * (matrix @ (LPS * places - centre) + centre + shift)


def warped(field: Path, places: np.ndarray) -> np.ndarray:
    """Places in mm through a displacement field of ITK."""
    image = nibabel.load(field)
    values = np.asarray(image.dataobj, np.float32).reshape(*image.shape[:3], 3)
    numbers = np.linalg.inv(image.affine) @ np.vstack([places, np.ones(places.shape[1])])
    shifts = [map_coordinates(values[..., axis], numbers[:3], order=1) for axis in range(3)]
    return places + LPS * np.stack(shifts)


def against_truth(subject: Subject, out: Path, bids: Path) -> dict[str, float]:
    """Registrations, volume and ratios beside what is known of the phantom."""
    import pandas as pd

    moves = json.loads((bids / subject.participant / "moves.json").read_text())
    factors = pd.read_csv(bids / "factors.csv").set_index("participant_id").loc[subject.participant]
    folder = out / subject.participant / subject.session
    affine, warp, rigid = (next(folder.glob(f"*/*{name}_xfm*")) for name in ("desc-affine", "desc-warp", "mode-image"))
    inside = template("brain", VOXEL) > 0
    places = mni_grid(VOXEL).points()[:, inside].astype(float)
    homogeneous = np.vstack([places, np.ones(places.shape[1])])
    t1, pet = ((np.array(moves[name]) @ homogeneous)[:3] for name in ("t1", "pet"))
    found = moved(affine, warped(warp, places))
    grey = millilitres(grey_of(factors, NATIVE), NATIVE) * np.linalg.det(np.array(moves["t1"])[:3, :3])
    unmodulated = np.asarray(nibabel.load(next(folder.glob("anat/*desc-unmodulated_probseg.nii.gz"))).dataobj)
    image = nibabel.load(subject.pet)
    numbers = np.linalg.inv(image.affine) @ np.vstack([pet, np.ones(pet.shape[1])])
    uptake = np.zeros(inside.shape)
    uptake[inside] = map_coordinates(np.asarray(image.dataobj, float), numbers[:3], order=1)
    return {
        "stage": float(factors["stage"]),
        "T1 to MNI mm": float(np.linalg.norm(found - t1, axis=0).mean()),
        "PET to T1 mm": float(np.linalg.norm(moved(rigid, t1) - pet, axis=0).mean()),
        "grey true ml": grey,
        "hippocampal loss true": hippocampal_loss(grey_of(factors, VOXEL)),
        "hippocampal loss found": hippocampal_loss(unmodulated),
        "SUVR true": composite(uptake),
    }


def grey_of(factors: Any, voxel: float) -> np.ndarray:
    """The true grey matter in MNI space."""
    lopsided = 1.0 + 0.5 * factors["asymmetry"] * np.tanh(mni_grid(voxel).points()[0] / 20.0)
    lost = np.clip(atrophy_curve(factors["stage"]) * pattern("atrophy", voxel) * lopsided, 0.0, 0.8)
    return template("grey", voxel) * (1.0 - lost)


def hippocampal_loss(grey: np.ndarray) -> float:
    """What is missing of the template's grey matter within 10 mm of the hippocampi's centres."""
    sides = (REGIONS["hippocampus"].left, REGIONS["hippocampus"].right)
    near = np.min([sphere_distance(mni_grid(VOXEL), centre) for centre in sides], axis=0) < 10.0
    return float(1.0 - grey[near].mean() / template("grey", VOXEL)[near].mean())


def composite(uptake: np.ndarray) -> float:
    """Mean uptake of the composite region over that of the reference region."""
    return float(uptake[composite_region(VOXEL)].mean() / uptake[reference_region(REFERENCE, VOXEL)].mean())


def of_real(subject: Subject) -> dict[str, float]:
    """The ratio in the PET template as it is, which is in MNI space already."""
    image = nibabel.load(subject.pet)
    return {"SUVR true": composite(resampled(np.asarray(image.dataobj), image.affine, mni_grid(VOXEL)))}


def row(outcome: Outcome, known: dict[str, float]) -> dict[str, float]:
    sidecar = json.loads(sidecar_of(Path(outcome.maps["anat"])).read_text())["Measured"]
    suvr = np.asarray(nibabel.load(outcome.maps["pet"]).dataobj)
    measured = {
        "grey native ml": sidecar["grey_native_ml"],
        "grey modulated ml": sidecar["modulated_ml"],
        "SUVR": composite(suvr),
    }
    return {**known, **measured, **outcome.quality}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--twice", action="store_true", help="Run the first subject again, and compare bytes.")
    add_json_option(parser)
    options = parser.parse_args()
    phantoms = phantom_subjects(options.out / "bids")
    subjects = [*phantoms, *real_subject(options.out)]
    out, settings = options.out / "derivative", PreprocessingSettings(REFERENCE, VOXEL)
    outcomes = preprocess_cohort(subjects, AntsEngine(), settings, out, on_subject=lambda now: None)
    columns = {}
    for subject, outcome in zip(subjects, outcomes, strict=True):
        if outcome.problems:
            print(*outcome.problems, sep="\n")
            continue
        known = against_truth(subject, out, options.out / "bids") if subject in phantoms else of_real(subject)
        columns[subject.name] = row(outcome, known)
    print_table(columns)
    write_tables(options.json, [measure_table(columns)], sources=["deepjive.imaging.preprocessing"])
    print_steps(outcomes)
    if options.twice:
        shutil.rmtree(options.out / "again", ignore_errors=True)
        (again,) = preprocess_cohort(subjects[:1], AntsEngine(), settings, options.out / "again")
        same = [
            Path(again.maps[stage]).read_bytes() == Path(outcomes[0].maps[stage]).read_bytes() for stage in again.maps
        ]
        print("the same to the byte when run again:", same)


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
            print(step["name"], *(f"{of[number]['cpu_seconds']:.1f}" for of in steps), sep="\t")


if __name__ == "__main__":
    main()
