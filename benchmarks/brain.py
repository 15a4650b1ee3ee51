"""MRI and PET over seeds: the experiment of `deepjive reproduce adni` on phantom cohorts, with mean and spread.

    python benchmarks/brain.py --out runs/brain                 # 5 cohorts of 300 at 6 mm, about an hour
    python benchmarks/brain.py --out runs/quick --subjects 60 --seeds 1 --max-epochs 1

Each seed has its own cohort, split and networks. All measures are of the held-out third of the participants. Finished
seeds are kept in the folder and not repeated.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
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
    table = ResultTable("brain", "MRI and PET of phantom cohorts", ("measure", "mean", "sd"))
    for name in results[0]:
        values = np.array([measures[name] for measures in results])
        table.add(name, values.mean(), values.std())
        print(f"{name:60} {values.mean():.3f} ± {values.std():.3f}   {np.array2string(values, precision=3)}")
    sources = ["deepjive.deep", "deepjive.linear", "deepjive.experiments.brain"]
    write_tables(options.json, [table], sources=sources, seeds=range(options.seeds))


if __name__ == "__main__":
    main()
