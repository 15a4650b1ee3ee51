"""Samples that lack a modality, and missing values: ways to fit AJIVE, on simulations with known truth.

    python benchmarks/linear_missing.py                # 50 simulations

Three ways are compared: complete samples alone, whose missing values are filled in from the same modality
(`deepjive.linear.missing.fill_missing`); `missing="impute"`; and, as an upper limit, the data without gaps. The table
shows the angle between joint loadings and the truth, the error of predicting the joint part of one modality from the
other in new samples (relative to that part), and the variance explained by the joint part minus the truth.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Callable

import numpy as np
from scipy.linalg import subspace_angles

from deepjive import AJIVE, HeteroJIVE, Modalities
from deepjive.linear.missing import fill_missing
from result_tables import ResultTable, add_json_option, write_tables

JOINT, INDIVIDUAL, NEW = 2, 2, 300
SETTINGS = [
    # n, widths, noise, share of samples that lack one modality, share of missing values
    (100, (60, 150), 1.0, 0.2, 0.0),
    (100, (60, 150), 1.0, 0.5, 0.0),
    (100, (60, 150), 3.0, 0.3, 0.0),
    (60, (30, 40), 1.0, 0.5, 0.0),
    (100, (60, 150), 1.0, 0.0, 0.2),
    (100, (60, 150), 3.0, 0.0, 0.4),
    (100, (60, 150), 1.0, 0.3, 0.2),
]


def simulate(rng: np.random.Generator, loadings: dict, n: int, noise: float) -> tuple[dict, np.ndarray]:
    """Return simulated modalities and their joint scores."""
    z = rng.normal(size=(n, JOINT))
    data = {}
    for name, (joint, individual) in loadings.items():
        signal = z @ joint + rng.normal(size=(n, INDIVIDUAL)) @ individual
        data[name] = signal + noise * rng.normal(size=signal.shape)
    return data, z


def with_gaps(rng: np.random.Generator, data: dict, lacking: float, missing: float) -> Modalities:
    """Remove modalities of some samples, and single values, at random."""
    n = len(data["m0"])
    present = np.ones((n, 2), dtype=bool)
    incomplete = np.flatnonzero(rng.random(n) < lacking)
    present[incomplete, rng.integers(2, size=len(incomplete))] = False
    return Modalities({k: np.where(rng.random(x.shape) < missing, np.nan, x) for k, x in data.items()}, present=present)


def fits(whole: dict, gappy: Modalities, method: Callable) -> dict[str, object]:
    """Return the models of the three ways to fit."""
    ranks = {"joint_rank": JOINT, "individual_ranks": INDIVIDUAL, "n_wedin": 0, "n_random": 0}
    complete, filled = gappy.present.all(axis=1), fill_missing(gappy, JOINT + INDIVIDUAL)
    return {
        "without gaps": method(**ranks).fit(whole),
        "complete samples, filled from the same modality": method(**ranks).fit(filled[complete]),
        "missing='impute'": method(**ranks, missing="impute").fit(gappy),
    }


def errors(model, loadings: dict, new: dict, z: np.ndarray, noise: float) -> list[float]:
    """Return angle of the joint loadings, error of the predicted joint part, and error of the joint variance."""
    angles, predictions, variances = [], [], []
    for name, (joint, individual) in loadings.items():
        angles.append(np.degrees(subspace_angles(model.joint_loadings_[name].T, joint.T).max()))
        other = {key: x for key, x in new.items() if key != name}
        truth = z @ joint
        predictions.append(np.sum((model.impute(other, name) - truth) ** 2) / np.sum(truth**2))
        sizes = np.sum(joint**2), np.sum(individual**2), joint.shape[1] * noise**2
        variances.append(model.variance_explained_[name]["joint"] - sizes[0] / sum(sizes))
    return [float(np.mean(values)) for values in (angles, predictions, variances)]


def one_simulation(seed: int, setting: tuple, method: Callable) -> dict[str, list[float]]:
    """Return the errors of every way to fit, for one simulation."""
    n, widths, noise, lacking, missing = setting
    rng = np.random.default_rng(seed)
    loadings = {
        f"m{k}": (rng.normal(size=(JOINT, width)), rng.normal(size=(INDIVIDUAL, width)))
        for k, width in enumerate(widths)
    }
    whole, _ = simulate(rng, loadings, n, noise)
    gappy = with_gaps(rng, whole, lacking, missing)
    new, z = simulate(rng, loadings, NEW, noise)
    return {title: errors(model, loadings, new, z, noise) for title, model in fits(whole, gappy, method).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=50)
    add_json_option(parser)
    arguments = parser.parse_args()
    columns = ("method", "n", "d", "noise", "samples lacking a modality", "values missing", "fit")
    measures = ("angle, degrees", "prediction error", "joint variance less the truth")
    table = ResultTable("linear-missing", "AJIVE and HeteroJIVE with missing data", (*columns, *measures))
    for method in (AJIVE, HeteroJIVE):
        print(f"{method.__name__}, mean of {arguments.simulations} simulations")
        for setting in SETTINGS:
            n, widths, noise, lacking, missing = setting
            print(f"n {n}, d {widths}, noise {noise}; {lacking:.0%} lack a modality, {missing:.0%} of values missing")
            results = [one_simulation(seed, setting, method) for seed in range(arguments.simulations)]
            for title in results[0]:
                angle, prediction, variance = np.mean([result[title] for result in results], axis=0)
                data = n, str(widths), noise, lacking, missing
                table.add(method.__name__, *data, title, angle, prediction, variance)
                print(
                    f"  {title:48} angle {angle:5.1f}  prediction {prediction:.3f}  joint variance {variance:+.3f}",
                    flush=True,
                )
    write_tables(arguments.json, [table], sources=["deepjive.linear"], seeds=range(arguments.simulations))


if __name__ == "__main__":
    main()
