"""MRI and PET with the difficulties of real cohorts: classification of diagnoses, new sites, and scans that do not fit.

    python benchmarks/brain_difficulties.py --out runs/hard --json runs          # 5 cohorts of 300 at 8 mm, hours
    python benchmarks/brain_difficulties.py --out runs/hard --seeds 1 --subjects 90 --max-epochs 3

Each cohort is a phantom, without difficulties and with all of them (`deepjive.datasets.HARD`). The features are the
voxels of the brain. Participants without PET are left out. Every method gives as many scores as there are joint scores,
and the separate autoencoders as many of each modality. A linear support vector machine (C = 1) is trained on scores of
the fitted participants and tested on the others:

- **split**: two thirds are fitted. Confounds (age, site) are learned from them.
- **new site**: two sites are fitted, the third is tested; the mean over the three sites. Shift and scale of the new
  site are learned from its own scans, without diagnoses, since no other site knows them.

The ceiling is the same machine on the true factors (`deepjive.datasets.true_factors`). Scans that do not fit are found
by `deepjive.evaluation.pair_fit`; the area under the curve is over all participants with PET.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSCanonical
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.adjust.adjustment import adjusted
from deepjive.datasets import HARD, Difficulties, Phantom, make_phantom, true_factors
from deepjive.deep.baseline import SeparateAutoencoders
from deepjive.evaluation import pair_fit
from deepjive.experiments.cells import Cell, measure_cells
from result_tables import ResultTable, add_json_option, write_tables

JOINT, OWN = 4, 4
LABELLED, DRAWS = 20, 20
COHORTS = {"no difficulties": Difficulties(), "all difficulties": HARD}
METHODS = ("DeepJIVE", "AJIVE", "separate autoencoders", "PCA", "PLS")


def measure(cell: Cell) -> dict[str, float]:
    """Simulate a cohort and measure all methods on it."""
    phantom = make_phantom(
        cell.data["subjects"], cell.data["voxel"], difficulties=COHORTS[cell.row], random_state=cell.seed
    )
    rows = np.flatnonzero(phantom.data.present.all(axis=1))
    table = phantom.subjects.iloc[rows].reset_index(drop=True)
    arrays = {
        name: np.asarray(phantom.data.rows(name, rows)[:, phantom.mask], np.float32) for name in phantom.data.names
    }
    data, labels = Modalities(arrays), (table["diagnosis"] == "AD").to_numpy()
    epochs, seed = cell.model["max_epochs"], cell.seed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = _splits(data, table, labels, epochs, seed)
        if "site" in table:
            found |= _new_sites(data, table, labels, epochs, seed)
        if "pet_of" in table:
            found |= _misfits(phantom, data, table, seed)
    return found


def _splits(data: Modalities, table: Any, labels: NDArray, epochs: int, seed: int) -> dict[str, float]:
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    train, test = next(iter(folds.split(labels, labels)))
    factors = true_factors(table).to_numpy()
    found = {f"split: true factors: {key}": value for key, value in _accuracies(factors, labels, train, test).items()}
    age = table[["age"]].to_numpy()
    found["split: age alone: accuracy"] = _accuracies(age, labels, train, test)["accuracy"]
    for words, confounded in _with_and_without(data, table):
        for method, scores in _scores(confounded, train, test, epochs, seed):
            name = f"split, {words}: {method}"
            found |= {f"{name}: {key}": value for key, value in _accuracies(scores, labels, train, test).items()}
            found[f"{name}: R2 of stage"] = _r2(scores, table["stage"].to_numpy(), train, test)
            if "site" in table:
                site = _machine().fit(scores[train], table["site"].to_numpy()[train])
                found[f"{name}: accuracy of site"] = float(site.score(scores[test], table["site"].to_numpy()[test]))
    return found


def _new_sites(data: Modalities, table: Any, labels: NDArray, epochs: int, seed: int) -> dict[str, float]:
    """Accuracy for each left-out site, and their mean."""
    sites, found = table["site"].to_numpy(), {}
    together = adjusted(Modalities(data, confounds={"age": table["age"], "site": sites}))[0]
    for words, some in (("raw", data), ("adjusted", together)):
        by_method: dict[str, list[float]] = {}
        for site in np.unique(sites):
            train, test = np.flatnonzero(sites != site), np.flatnonzero(sites == site)
            for method, scores in _scores(some, train, test, epochs, seed):
                by_method.setdefault(method, []).append(_accuracies(scores, labels, train, test)["accuracy"])
        found |= {f"new site, {words}: {method}: accuracy": np.mean(values) for method, values in by_method.items()}
    return found


def _misfits(phantom: Phantom, data: Modalities, table: Any, seed: int) -> dict[str, float]:
    """Area under the curve of finding displaced and exchanged PET scans, by AJIVE's joint scores without confounds."""
    named = Modalities(data, samples=table["participant_id"].tolist())
    named = adjusted(Modalities(named, confounds={"age": table["age"], "site": table["site"]}))[0]
    model = AJIVE(signal_ranks=JOINT + OWN, joint_rank=JOINT, individual_ranks=OWN, random_state=seed).fit(named)
    fit = pair_fit(model, named, "pet")
    distance = dict(zip(fit.samples, fit.others_closer, strict=True))
    values = np.array([distance[name] for name in table["participant_id"]])
    moved = np.linalg.norm(table[["shift_x", "shift_y", "shift_z"]], axis=1) > 0
    truth = {"exchanged": (table["pet_of"] != table["participant_id"]).to_numpy(), "displaced": moved}
    fine = ~(truth["exchanged"] | truth["displaced"])
    found = {}
    for name, wrong in truth.items():
        if wrong.any():
            both = wrong | fine
            found[f"found {name} PET: AUC"] = float(roc_auc_score(wrong[both], values[both]))
    return found


def _with_and_without(data: Modalities, table: Any) -> Iterator[tuple[str, Modalities]]:
    yield "raw", data
    if "site" in table:
        yield "adjusted", Modalities(data, confounds={"age": table["age"], "site": table["site"]})


def _scores(data: Modalities, train: NDArray, test: NDArray, epochs: int, seed: int) -> Iterator[tuple[str, NDArray]]:
    """Scores of all samples by each method, fitted to some of them."""
    fitted, rest = adjusted(data[train], data[test])
    deep: dict[str, Any] = {"networks": "dense", "max_epochs": epochs, "random_state": seed}
    makers: dict[str, Callable[[], Callable[[Modalities], NDArray]]] = {
        "DeepJIVE": lambda: DeepJIVE(joint_rank=JOINT, individual_ranks=OWN, **deep).fit(fitted).transform,
        "AJIVE": lambda: (
            AJIVE(signal_ranks=JOINT + OWN, joint_rank=JOINT, individual_ranks=OWN, random_state=seed)
            .fit(fitted)
            .transform
        ),
        "separate autoencoders": lambda: SeparateAutoencoders(ranks=JOINT, **deep).fit(fitted).transform,
        "PCA": lambda: _pca(fitted),
        "PLS": lambda: _pls(fitted),
    }
    for name, make in makers.items():
        transform = make()
        first = np.asarray(transform(fitted))
        scores = np.zeros((len(data), first.shape[1]))
        scores[train], scores[test] = first, transform(rest)
        yield name, scores


def _pca(data: Modalities) -> Callable[[Modalities], NDArray]:
    scale = {name: float(np.std(np.asarray(data[name]), dtype=np.float64)) for name in data.names}

    def flat(some: Modalities) -> NDArray:
        return np.hstack([np.asarray(some[name]) / scale[name] for name in some.names])

    pca = PCA(JOINT, random_state=0).fit(flat(data))
    return lambda some: pca.transform(flat(some))


def _pls(data: Modalities) -> Callable[[Modalities], NDArray]:
    first, second = data.names
    pls = PLSCanonical(JOINT, scale=False, max_iter=200).fit(np.asarray(data[first]), np.asarray(data[second]))
    size = [np.std(part, axis=0) for part in pls.transform(np.asarray(data[first]), np.asarray(data[second]))]

    def transform(some: Modalities) -> NDArray:
        parts = pls.transform(np.asarray(some[first]), np.asarray(some[second]))
        return np.mean([part / sd for part, sd in zip(parts, size, strict=True)], axis=0)

    return transform


def _accuracies(scores: NDArray, labels: NDArray, train: NDArray, test: NDArray) -> dict[str, float]:
    """Accuracy on test samples with all labels of the fitted samples, and with few."""
    rng, few = np.random.default_rng(0), []
    for _ in range(DRAWS):
        chosen = np.concatenate([rng.permutation(train[labels[train] == label])[: LABELLED // 2] for label in (0, 1)])
        few.append(_machine().fit(scores[chosen], labels[chosen]).score(scores[test], labels[test]))
    accuracy = _machine().fit(scores[train], labels[train]).score(scores[test], labels[test])
    return {"accuracy": float(accuracy), "accuracy, 20 labels": float(np.mean(few))}


def _machine() -> Any:
    return make_pipeline(StandardScaler(), SVC(kernel="linear"))


def _r2(scores: NDArray, values: NDArray, train: NDArray, test: NDArray) -> float:
    return float(LinearRegression().fit(scores[train], values[train]).score(scores[test], values[test]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--subjects", type=int, default=300)
    parser.add_argument("--voxel", type=float, default=8.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-epochs", type=int, default=30)
    parser.add_argument("--cohort", choices=list(COHORTS), action="append", help="only this cohort (repeatable)")
    add_json_option(parser)
    options = parser.parse_args()
    data, model = {"subjects": options.subjects, "voxel": options.voxel}, {"max_epochs": options.max_epochs}
    cohorts = options.cohort or list(COHORTS)
    cells = [
        Cell("difficulties", name, seed, {**data, "cohort": name}, model)
        for seed in range(options.seeds)
        for name in cohorts
    ]
    results = measure_cells(
        cells,
        measure,
        options.out,
        progress=lambda done, total, message: print(f"{done}/{total} {message}", flush=True),
    )
    table = ResultTable(
        "brain-difficulties",
        f"Phantom cohorts with and without difficulties, {options.subjects} participants, {options.voxel:g} mm",
        ("cohort", "measure", "mean", "lowest", "highest"),
    )
    for name in cohorts:
        found = [result for cell, result in zip(cells, results, strict=True) if cell.row == name]
        for key in found[0]:
            values = np.array([measures[key] for measures in found if key in measures])
            table.add(name, key, values.mean(), values.min(), values.max())
            print(f"{name:18} {key:60} {values.mean():.3f} ({values.min():.3f}-{values.max():.3f})")
    sources = ["deepjive.deep", "deepjive.linear", "deepjive.datasets", "deepjive.adjust"]
    write_tables(options.json, [table], sources=sources, seeds=range(options.seeds))


if __name__ == "__main__":
    main()
