"""Partial volume of grey matter, in the participants' own space, on phantom participants with known truth.

    python benchmarks/partial_volume.py --out FOLDER     # needs antspyx; half a CPU minute for each participant

For each way of making a map of grey matter the table shows: the error of its volume, R2 and Dice with the true
fractions (Dice of voxels that are more than half grey matter), the loss in the hippocampi, and over participants the
slope and the correlation of the measured loss with the true loss. The ways are the probabilities of Atropos with the
published weight of the priors (.25) and with weight 0, and the estimate of partial volume from each of the two. Brain
mask and priors are moved by the known transform rather than by a registration, and N4 is run in the brain alone;
Atropos is as in the protocol.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from deepjive.datasets import make_phantom, write_native
from deepjive.datasets.phantom_files import NATIVE, T1_VOXEL, _padded, _scanned
from deepjive.imaging import mni_grid, resampled, template
from deepjive.imaging.grid import sd_of
from deepjive.imaging.preprocessing.ants import quiet_ants
from deepjive.imaging.preprocessing.partial_volume import (
    expected_fractions,
    partial_volume,
    proportions_around,
    pure_tissues,
)
from preprocessing import VOXEL, grey_of, hippocampal_loss
from result_tables import ResultTable, add_json_option, write_tables

STAGES = (0.1, 0.45, 0.58, 0.65, 0.72, 0.9)
WEIGHTS = (0.25, 0.0)


def participants(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Write the scans of the participants, among 40, whose stages are nearest to `STAGES`, and return their factors."""
    table = make_phantom(40, 12.0, random_state=seed).subjects
    stage, rows = table["stage"].to_numpy(), []
    for target in STAGES:
        rows.append(next(row for row in np.argsort(np.abs(stage - target)) if row not in rows))
    write_native(table.iloc[rows], folder)
    return table.iloc[rows].to_dict(orient="records")


def segmented(factors: dict[str, Any], bids: Path) -> dict[str, np.ndarray]:
    """Return the bias-corrected T1, its tissues by Atropos at both weights (fluid, grey, white), and the truth."""
    name = factors["participant_id"]
    path = next((bids / name).rglob("*_T1w.nii.gz"))
    move = np.array(json.loads((bids / name / "moves.json").read_text())["t1"])
    brain, healthy, white = (_padded(template(kind, NATIVE)) for kind in ("brain", "grey", "white"))
    volumes = (brain, _fluid(brain, healthy, white), healthy, white)
    native_brain, *priors = (_scanned(volume, move, T1_VOXEL)[0] for volume in volumes)
    mask = native_brain > 0.5
    ants = quiet_ants()
    scan = ants.image_read(str(path))
    brain_image = scan.new_image_like(mask.astype(np.float32))
    corrected = ants.n4_bias_field_correction(scan, mask=brain_image, shrink_factor=3) * brain_image
    images = [scan.new_image_like(prior) for prior in priors]
    probabilities = {}
    for weight in WEIGHTS:
        atropos = ants.atropos(
            a=corrected, x=brain_image, i=images, m="[0.1,1x1x1]", c="[5,0]", priorweight=weight, r=0, verbose=0
        )
        probabilities[f"weight {weight}"] = np.stack([image.numpy() for image in atropos["probabilityimages"]])
    true = _scanned(_padded(grey_of(factors, NATIVE)), move, T1_VOXEL)[0]
    to_mni = np.linalg.inv(move) @ nibabel.load(path).affine
    return {"t1": corrected.numpy(), "mask": mask, "true": true, "to_mni": to_mni, **probabilities}


def fractions(subject: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """Return the fraction of grey matter by the step `partial_volume`."""
    settings, mask = partial_volume().parameters, subject["mask"]
    means, deviations = pure_tissues(subject["t1"], probabilities, mask, settings["sure"])
    around = proportions_around(probabilities, mask, [sd_of(settings["around_mm"], edge) for edge in T1_VOXEL])
    grey = np.zeros(mask.shape, np.float32)
    grey[mask] = expected_fractions(subject["t1"][mask], around, means, deviations, settings["parts"])[1]
    return grey


def score(subject: dict[str, np.ndarray], grey: np.ndarray) -> dict[str, float]:
    """Return the measures of a map of grey matter."""
    brain = subject["mask"] | (subject["true"] > 0.0)
    estimated, true = grey[brain], subject["true"][brain]
    overlap = ((estimated > 0.5) & (true > 0.5)).sum()
    return {
        "volume": estimated.sum() / true.sum() - 1.0,
        "R2": 1.0 - np.square(estimated - true).sum() / np.square(true - true.mean()).sum(),
        "Dice": 2.0 * overlap / ((estimated > 0.5).sum() + (true > 0.5).sum()),
        "loss": hippocampal_loss(resampled(grey, subject["to_mni"], mni_grid(VOXEL))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--seed", type=int, default=21, help="seed of the phantom; the parameters were chosen with seed 11"
    )
    add_json_option(parser)
    options = parser.parse_args()
    table = ResultTable("partial-volume", "Grey matter of phantom participants", ("method", "measure", "mean", "sd"))
    scores: dict[str, list[dict[str, float]]] = {}
    lost, seconds = [], 0.0
    for factors in participants(options.out / "bids", options.seed):
        file = options.out / f"{factors['participant_id']}.npz"
        if not file.is_file():
            np.savez_compressed(file, **segmented(factors, options.out / "bids"))
        subject = dict(np.load(file))
        lost.append(hippocampal_loss(grey_of(factors, VOXEL)))
        for weight in WEIGHTS:
            probabilities, started = subject[f"weight {weight}"], time.process_time()
            grey = fractions(subject, probabilities)
            seconds += (time.process_time() - started) / len(WEIGHTS) / len(STAGES)
            scores.setdefault(f"Atropos {weight}", []).append(score(subject, probabilities[1]))
            scores.setdefault(f"partial volume {weight}", []).append(score(subject, grey))
    print("loss, true", *(f"{value:.2f}" for value in lost), sep="\t")
    for method, rows in scores.items():
        for name in rows[0]:
            print(method, name, *(f"{row[name]:.2f}" for row in rows), sep="\t")
            table.add(method, name, np.mean([row[name] for row in rows]), np.std([row[name] for row in rows]))
        measured = [row["loss"] for row in rows]
        slope, intercept = np.polyfit(lost, measured, 1)
        correlation = np.corrcoef(lost, measured)[0, 1]
        print(method, f"slope {slope:.2f}, intercept {intercept:.2f}, r {correlation:.3f}", sep="\t")
        print(method, f"mean error of the loss {np.abs(np.subtract(measured, lost)).mean():.3f}", sep="\t")
    print(f"CPU seconds of the estimate: {seconds:.1f}")
    write_tables(options.json, [table], sources=["deepjive.imaging.preprocessing"], seeds=[options.seed])


def _fluid(brain: np.ndarray, grey: np.ndarray, white: np.ndarray) -> np.ndarray:
    return np.clip(brain - grey - white, 0.0, 1.0)


if __name__ == "__main__":
    main()
