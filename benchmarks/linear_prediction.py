"""Prediction of held-out modalities by linear models: with shrunken scores, without shrinkage, and by ridge regression.

    DEEPJIVE_DATA=../shared/data python benchmarks/linear_prediction.py          # about ten minutes

The table shows the mean R2 of each modality predicted from the others, over five folds. Features are divided by their
standard deviation in the training fold. "Least squares" are joint scores by least-squares regression of the fitted
samples' joint scores on their signal scores, without shrinkage (AJIVE alone). The simulation has 60 samples of four
modalities, and joint and individual scores whose variances decay slowly.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from deepjive import AJIVE, JIVE, HeteroJIVE, Modalities
from deepjive.experiments.omics.data import read_data_set
from result_tables import ResultTable, add_json_option, write_tables

SETS = ("rosmap", "tcga_breast", "tcga_brca")
PENALTIES = np.logspace(-2, 4, 13)
NO_DRAWS = {"n_wedin": 0, "n_random": 0}
MODELS = {
    "AJIVE, ranks by its rules": lambda: AJIVE(random_state=0),
    "AJIVE, 8 joint scores": lambda: AJIVE(joint_rank=8, **NO_DRAWS),
    "AJIVE, 16 joint scores": lambda: AJIVE(joint_rank=16, **NO_DRAWS),
    "HeteroJIVE, 8 joint scores": lambda: HeteroJIVE(joint_rank=8, **NO_DRAWS),
    "JIVE, 8 joint scores, 5 individual": lambda: JIVE(joint_rank=8, individual_ranks=5, tol=1e-3),
}


def simulated(seed: int, n: int = 60, n_modalities: int = 4, d: int = 300) -> Modalities:
    """Simulate few samples of modalities with slowly decaying spectra."""
    rng = np.random.default_rng(seed)
    joint, data = 3.0 * rng.normal(size=(n, 25)) / np.arange(1, 26), {}
    for k in range(n_modalities):
        individual = 2.0 * rng.normal(size=(n, 15)) / np.arange(1, 16)
        signal = joint @ rng.normal(size=(25, d)) + individual @ rng.normal(size=(15, d))
        data[f"m{k}"] = signal + 2.0 * rng.normal(size=(n, d))
    return Modalities(data)


def standardized(data: Modalities, train: np.ndarray, test: np.ndarray) -> tuple[dict, dict]:
    """Return training and held-out samples with features of training mean 0 and variance 1."""
    parts: tuple[dict, dict] = {}, {}
    for name in data.names:
        x = np.asarray(data[name][:], dtype=float)
        mean, sd = x[train].mean(axis=0), x[train].std(axis=0)
        for part, rows in zip(parts, (train, test), strict=True):
            part[name] = (x[rows] - mean) / np.where(sd > 0.0, sd, 1.0)
    return parts


def mean_r2(new: dict, predicted: dict) -> float:
    """Return the mean R2 over the modalities; the mean of the training samples is 0."""
    return float(np.mean([1 - np.sum((new[k] - predicted[k]) ** 2) / np.sum(new[k] ** 2) for k in new]))


def ridge_r2(train: dict, new: dict) -> float:
    """Return the mean R2 of ridge regression on the other modalities, each divided by its length."""
    predicted = {}
    for name in train:
        lengths = {k: np.linalg.norm(x) / np.sqrt(len(x)) for k, x in train.items()}
        x, x_new = (np.hstack([data[k] / lengths[k] for k in data if k != name]) for data in (train, new))
        predicted[name] = RidgeCV(PENALTIES).fit(x, train[name]).predict(x_new)
    return mean_r2(new, predicted)


def least_squares_r2(model: AJIVE, new: dict) -> float:
    """Return the mean R2 of joint scores by least squares, without shrinkage."""
    predicted = {}
    for name in new:
        fitted, scores = [], []
        for k in new:
            if k != name:
                fitted.append(model.signal_scores_[k])
                loadings = model.signal_loadings_[k]
                scores.append((new[k] - model.mean_[k]) @ np.linalg.pinv(loadings))
        coefficients = np.linalg.lstsq(np.hstack(fitted), model.joint_scores_, rcond=1e-6)[0]
        predicted[name] = model.mean_[name] + np.hstack(scores) @ coefficients @ model.joint_loadings_[name]
    return mean_r2(new, predicted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=3)
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    columns = ("data", "model", "joint rank", "least squares", "shrunken", "ridge regression")
    table = ResultTable("linear-prediction", "R2 of held-out modalities predicted by linear models", columns)
    sources = {name: read_data_set(name).data for name in SETS}
    sources |= {f"simulation {seed}": simulated(seed) for seed in range(arguments.simulations)}
    for title, data in sources.items():
        folds = [standardized(data, *split) for split in KFold(5, shuffle=True, random_state=0).split(range(len(data)))]
        ridge = np.mean([ridge_r2(*fold) for fold in folds])
        for name, make in MODELS.items():
            models = [make().fit(train) for train, _ in folds]
            shrunken = np.mean([model.score(new) for model, (_, new) in zip(models, folds, strict=True)])
            plain = None
            if not isinstance(models[0], JIVE):
                plain = np.mean([least_squares_r2(m, new) for m, (_, new) in zip(models, folds, strict=True)])
            rank = float(np.mean([model.joint_rank_ for model in models]))
            table.add(title, name, rank, plain, shrunken, ridge)
            before = "" if plain is None else f"{plain:.3f}"
            print(f"{title:14} {name:36} rank {rank:4.1f}  {before:>7} {shrunken:.3f}  ridge {ridge:.3f}", flush=True)
    write_tables(arguments.json, [table], sources=["deepjive.linear"], seeds=range(arguments.simulations))


if __name__ == "__main__":
    main()
