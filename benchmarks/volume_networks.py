"""Perceptrons and convolutions for few volumes: CPU seconds, and what held-out participants show.

    python benchmarks/volume_networks.py --json docs/results
    python benchmarks/volume_networks.py --fitted 133 --seeds 1

Both kinds of networks are fitted to the same participants of the phantom at 8 mm, without and with difficulties, with
the settings of the study of MRI and PET. Held-out participants give R2 of the true joint and individual parts, R2 of
each modality predicted from the other, and R2 of the true stage of the disease by ridge regression on joint scores.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV

from deepjive import DeepJIVE
from deepjive.datasets import Phantom, make_phantom
from deepjive.datasets.difficulties import NONE, Difficulties
from deepjive.evaluation.recovery import r2
from deepjive.experiments.brain.study import Budget
from result_tables import ResultTable, add_json_option, write_tables

VOXEL, HELD_OUT = 8.0, 80
COHORTS = {
    "no difficulties": NONE,
    "difficulties": Difficulties(sites=3, subtypes=True, copathology=True, discordant=True, age_shift=0.4),
}
COLUMNS = (
    *("phantom", "participants fitted", "networks", "CPU seconds"),
    *("joint R2, MRI", "joint R2, PET", "individual R2, MRI", "individual R2, PET"),
    *("MRI predicted", "PET predicted", "stage R2"),
)


def measures(phantom: Phantom, n_fitted: int, networks: str, seed: int) -> NDArray:
    """CPU seconds of a fit, and R2 on held-out participants."""
    budget, data = Budget(), phantom.data
    train, test = np.arange(n_fitted), np.arange(n_fitted, n_fitted + HELD_OUT)
    settings: dict[str, Any] = {
        name: getattr(budget, name) for name in ("max_epochs", "batch_size", "learning_rate", "dropout")
    }
    model = DeepJIVE(
        joint_rank=budget.joint_rank,
        individual_ranks=budget.individual_rank,
        identity="exchange",
        networks=networks,  # type: ignore[arg-type]
        random_state=seed,
        **settings,
    )
    start = time.process_time()
    model.fit(data[train])
    cpu_seconds = time.process_time() - start
    parts = model.decompose(data[test])
    recovered = [
        r2(phantom.truth(part, name, test), getattr(parts, part)[name])
        for part in ("joint", "individual")
        for name in data.names
    ]
    predicted = [
        _r2_beyond_mean(data[test][name], model.impute({other: data[test][other]}, name), data[train][name])
        for name, other in (("mri", "pet"), ("pet", "mri"))
    ]
    stage = phantom.subjects["stage"].to_numpy()
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(model.transform(data[train]), stage[train])
    return np.array([cpu_seconds, *recovered, *predicted, ridge.score(model.transform(data[test]), stage[test])])


def _r2_beyond_mean(x: NDArray, predicted: NDArray, fitted: NDArray) -> float:
    x, mean = np.asarray(x, dtype=float), np.asarray(fitted, dtype=float).mean(axis=0)
    return 1.0 - float(np.square(x - predicted).sum() / np.square(x - mean).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fitted", type=int, nargs="+", default=[133, 400], help="numbers of fitted participants")
    parser.add_argument("--seeds", type=int, default=3, help="number of cohorts")
    add_json_option(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    note = f"Mean ± standard deviation over {options.seeds} cohorts of the phantom at 8 mm, one thread each."
    table = ResultTable("volume-networks", "Perceptrons and convolutions for few volumes", COLUMNS, notes=[note])
    for n_fitted in options.fitted:
        for cohort, difficulties in COHORTS.items():
            values: dict[str, list[NDArray]] = {"dense": [], "conv": []}
            for seed in range(options.seeds):
                phantom = make_phantom(n_fitted + HELD_OUT, VOXEL, difficulties=difficulties, random_state=200 + seed)
                for networks, of_seeds in values.items():
                    of_seeds.append(measures(phantom, n_fitted, networks, seed))
                    print(cohort, n_fitted, networks, seed, np.round(of_seeds[-1], 3), flush=True)
            for networks, of_seeds in values.items():
                mean, std = np.mean(of_seeds, axis=0), np.std(of_seeds, axis=0)
                cells = (f"{a:.2f} ± {b:.2f}" for a, b in zip(mean[1:], std[1:], strict=True))
                table.add(cohort, n_fitted, networks, f"{mean[0]:.1f}", *cells)
            write_tables(
                options.json, [table], sources=["deepjive.deep", "deepjive.datasets"], seeds=range(options.seeds)
            )


if __name__ == "__main__":
    main()
