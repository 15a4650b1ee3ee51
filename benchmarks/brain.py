"""MRI and PET over seeds: the experiment of `deepjive reproduce adni` on phantom cohorts, with mean and spread.

    python benchmarks/brain.py --out runs/brain                 # 5 cohorts of 300 at 6 mm, some minutes
    python benchmarks/brain.py --out runs/quick --subjects 60 --seeds 1 --max-epochs 1

Each seed has its own cohort, split and networks. All measures are of the held-out third of the participants. Finished
seeds are kept in the folder and not repeated.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deepjive.datasets import make_phantom, write_caps
from deepjive.experiments.brain.study import BrainStudy, Budget, brain_study
from deepjive.experiments.cells import Cell, measure_cells
from deepjive.imaging import read_cohort
from result_tables import ResultTable, add_json_option, write_tables

MEASURES = ("accuracy", "precision", "recall", "F1", "AUC", "accuracy, 20 labelled")
FACTORS = ("stage", "asymmetry", "visible asymmetry", "age", "white")
PARTS, NAMES = ("joint", "individual"), ("mri", "pet")


def measure(cell: Cell) -> dict[str, float]:
    """Simulate a cohort, write it to files, read it and run the study."""
    settings: dict[str, Any] = dict(cell.model)
    identity = settings.pop("identity")
    phantom = make_phantom(cell.data["subjects"], cell.data["voxel"], random_state=cell.seed)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        caps, bids = write_caps(phantom, Path(folder) / "phantom")
        sources: Any = {"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}
        cohort, data = read_cohort(sources, clinical=bids).read(cell.data["voxel"], store=Path(folder) / "volumes")
        budget = replace(Budget(), **settings)
        study, _ = brain_study(
            cohort, data, cell.data["voxel"], phantom=phantom, budget=budget, identity=identity, seed=cell.seed
        )
    return figures_of(study)


def figures_of(study: BrainStudy) -> dict[str, float]:
    """Return all measures of a study by name."""
    measures = {}
    for name, _, figures in study.classification:
        measures |= {f"{name}: {key}": figure.value for key, figure in figures.items()}
    measures["permuted labels: accuracy"] = study.shuffled_labels["accuracy"].value
    for name, probes in study.probes:
        measures |= {f"{name}: R2 of {factor}": value for factor, value in probes.items()}
    for method, modality, joint, individual, *_ in study.recovery:
        measures[f"{method}: R2 of joint part, {modality}"] = joint
        measures[f"{method}: R2 of individual part, {modality}"] = individual
    for words, test in (("paired", study.pairing), ("shuffled modalities", study.unpaired)):
        measures |= {f"{words}: predicted of {name}": value for name, value in test.explained.items()}
        measures[f"{words}: p"] = test.p_value
    measures |= {f"Dice with the true map, {name}": value for name, value in study.dice.items()}
    return measures | {f"wall seconds of {name}": value for name, value in study.seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--subjects", type=int, default=300)
    parser.add_argument("--voxel", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-epochs", type=int, default=Budget().max_epochs)
    parser.add_argument("--identity", choices=("exchange", "explicit"), default="exchange")
    add_json_option(parser)
    options = parser.parse_args()
    data = {"subjects": options.subjects, "voxel": options.voxel}
    model = {"identity": options.identity, "max_epochs": options.max_epochs}
    cells = [Cell("brain", options.identity, seed, data, model) for seed in range(options.seeds)]
    results = measure_cells(
        cells,
        measure,
        options.out,
        progress=lambda done, total, message: print(f"{done}/{total} {message}", flush=True),
    )
    tables = tables_of(results, options.subjects, options.voxel)
    for table in tables:
        print(table.title)
        for row in table.rows:
            print("  ", *row, sep="  ")
    sources = ["deepjive.deep", "deepjive.linear", "deepjive.experiments.brain"]
    write_tables(options.json, tables, sources=sources, seeds=range(options.seeds))


def tables_of(results: Sequence[dict[str, float]], subjects: int, voxel: float) -> list[ResultTable]:
    """Tables of the mean and the standard deviation over cohorts."""

    def cell(name: str) -> str | None:
        if name not in results[0]:
            return None
        values = [measures[name] for measures in results]
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}"

    size = f"{len(results)} cohorts of {subjects} participants at {voxel:g} mm, two thirds of them fitted"
    note = f"Held-out participants, mean ± standard deviation over {size}."
    shown = {"AD or CN": MEASURES, "R2 of": FACTORS}
    columns = ("scores", *(f"{what} {name}" for what, names in shown.items() for name in names))
    scores = ResultTable("brain", "Phantom: diagnoses and factors from scores", columns, notes=[note])
    for name in (key.removesuffix(": accuracy") for key in results[0] if key.endswith(": accuracy")):
        of_factors = (f"{name}: R2 of {factor}" for factor in FACTORS)
        scores.add(name, *(cell(f"{name}: {measure}") for measure in MEASURES), *(cell(key) for key in of_factors))
    columns = ("method", *(f"{part} part, {name}" for part in PARTS for name in NAMES), "wall seconds of the fit")
    parts = ResultTable("brain-parts", "Phantom: R2 of the recovered parts with the truth", columns, notes=[note])
    for method in ("DeepJIVE", "AJIVE"):
        keys = (f"{method}: R2 of {part} part, {name}" for part in PARTS for name in NAMES)
        parts.add(method, *(cell(key) for key in keys), cell(f"wall seconds of {method}"))
    controls = ResultTable("brain-controls", "Phantom: prediction of the other modality, and maps", ("measure", *NAMES))
    for words in ("paired", "shuffled modalities"):
        controls.add(f"variance predicted, {words}", *(cell(f"{words}: predicted of {name}") for name in NAMES))
        controls.add(f"p value, {words}", *[cell(f"{words}: p")] * len(NAMES))
    controls.add("Dice of the map with the true map", *(cell(f"Dice with the true map, {name}") for name in NAMES))
    controls.notes = [note]
    return [scores, parts, controls]


if __name__ == "__main__":
    main()
