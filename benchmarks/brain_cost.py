"""CPU seconds of each step of `deepjive reproduce adni` on a phantom cohort, from drawing it to the page.

    python benchmarks/brain_cost.py --out runs/cost --voxel 6 --voxel 3       # 300 participants, one thread

The phantom takes the place of files from elsewhere: it is drawn, written as Clinica writes, and read from these files.
Every resolution is measured in this process, the coarsest first, so that each one has its own peak of memory. Finished
resolutions are kept in the folder and not repeated.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from deepjive.datasets import make_phantom, write_caps
from deepjive.experiments.brain.page import write_brain_page
from deepjive.experiments.brain.study import Budget, brain_study
from deepjive.experiments.cells import Cell, measure_cells
from deepjive.imaging import read_cohort
from result_tables import ResultTable, add_json_option, write_tables

STEPS = {
    "Drawing": "drawing the phantom and writing it as files",
    "Reading": "reading the files",
    "Fitting DeepJIVE": "fit of DeepJIVE",
    "Fitting AJIVE": "fit of AJIVE",
    "Fitting": "fits of the five baselines",
    "Classifying": "classification of diagnoses",
    "Testing": "test of pairs and of shuffled modalities",
    "Computing": "maps, with permutations and clusters",
    "Writing": "page, maps and tables",
}


class Stopwatch:
    """CPU seconds between the messages of a progress callback, by the first words of a message."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STEPS.values(), 0.0)
        self.step, self.since = "", time.process_time()

    def __call__(self, done: int, total: int | None, message: str) -> None:
        now = time.process_time()
        if self.step:
            self.seconds[self.step] += now - self.since
        self.step = next((words for start, words in STEPS.items() if message.startswith(start)), self.step)
        self.since = now
        if not message.startswith("Reading"):
            print(f"  {now:7.0f} CPU seconds: {message}", flush=True)


def measure(cell: Cell) -> dict[str, float]:
    """Run the study of a cohort from drawing it to the page; CPU seconds of each step, and the peak memory in GB."""
    watch, voxel = Stopwatch(), cell.data["voxel"]
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        folder = Path(name)
        watch(0, 1, f"Drawing at {voxel:g} mm")
        phantom = make_phantom(cell.data["subjects"], voxel, random_state=cell.seed)
        caps, bids = write_caps(phantom, folder / "phantom")
        sources: Any = {"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}
        cohort = read_cohort(sources, clinical=bids)
        cohort, data = cohort.read(voxel, store=folder / "volumes", progress=watch)
        budget = replace(Budget(), **cell.model)
        study, _ = brain_study(cohort, data, voxel, phantom=phantom, budget=budget, seed=cell.seed, progress=watch)
        watch(0, 1, "Writing the page")
        write_brain_page(folder, study, voxel, "", "")
        watch(1, 1, "Done")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {**watch.seconds, "peak memory": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voxel", type=float, action="append")
    parser.add_argument("--subjects", type=int, default=300)
    parser.add_argument("--max-epochs", type=int, default=Budget().max_epochs)
    add_json_option(parser)
    options = parser.parse_args()
    voxels = sorted(options.voxel or [6.0], reverse=True)
    sizes = [{"subjects": options.subjects, "voxel": voxel} for voxel in voxels]
    cells = [Cell("cost", f"{size['voxel']:g} mm", 0, size, {"max_epochs": options.max_epochs}) for size in sizes]
    results = measure_cells(
        cells,
        measure,
        options.out,
        progress=lambda done, total, message: print(f"{done}/{total} {message}", flush=True),
    )
    title = f"Cost of the study with {options.subjects} participants, CPU seconds of one thread"
    table = ResultTable("brain-cost", title, ("step", *(cell.row for cell in cells)))
    for words in STEPS.values():
        table.add(words, *(f"{measures[words]:.0f}" for measures in results))
    table.add("all, in minutes", *(f"{measures['seconds'] / 60:.0f}" for measures in results))
    table.add("peak memory (GB)", *(f"{measures['peak memory']:.1f}" for measures in results))
    table.notes = [f"Two thirds of the participants are fitted, for at most {options.max_epochs} epochs per phase."]
    for row in table.rows:
        print("  ", *row, sep="  ")
    sources = ["deepjive.deep", "deepjive.linear", "deepjive.experiments.brain", "deepjive.evaluation"]
    write_tables(options.json, [table], sources=sources, seeds=[0])


if __name__ == "__main__":
    main()
