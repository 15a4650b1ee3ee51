"""Real data: which subset of modalities shares what, with held-out prediction, tests, labels, and stability over folds.

    python benchmarks/subsets_real.py                          # linear models and DeepJIVE
    python benchmarks/subsets_real.py --methods AJIVE "AJIVE with subsets" "ridge regression"

Three folds of samples, or of participants. `DATA` says which subsets are tried. The six feature sets of the handwritten
digits (uci_mfeat) are too many for all subsets, so that subsets are named by what the features can see: the profiles
(fac), Karhunen-Loeve coefficients (kar) and pixels (pix) see an upright image, and kar is a linear function of pix; the
Fourier coefficients (fou) and Zernike moments (zer) do not change if the image is turned, and morphological features
(mor) hardly do. 600 of the 2000 digits are drawn.

For each subset: its ranks by fold; the part of its modalities' variance in held-out samples that it adds to the
prediction from the other modalities, with the largest p-value of the folds (`subset_structure_test`); the accuracy of
a logistic regression of the label on its scores, fitted to training samples; and the mean canonical correlation of its
scores between the models of two folds, over all samples, of which each model was fitted to two thirds.

With ``--cells FILE`` each fit is kept in a file, and a later call continues an interrupted one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import itertools
import json
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.data.groups import folds_of
from deepjive.evaluation import canonical_correlations, subset_structure_test
from deepjive.evaluation.ridge import ridge_r2
from deepjive.evaluation.score_prediction import scores_of
from deepjive.experiments.omics.data import NO_LABEL, Tables, fold_of, read_data_set
from deepjive.experiments.results import mean_and_sd
from deepjive.persistence import write_atomically
from deepjive.subsets import EmptySubsetWarning
from result_tables import ResultTable, add_json_option, write_tables

FOLDS, MOST_SAMPLES = 3, 600
DATA: dict[str, Any] = {
    "tcga_brca": "auto",
    "covid_su": "auto",
    "uci_mfeat": [("fac", "kar", "pix"), ("fou", "mor", "zer"), ("kar", "pix"), ("fou", "zer")],
}
LINEAR = ("AJIVE", "AJIVE with subsets")
DEEP = ("DeepJIVE with subsets", "DeepJIVE")
RIDGE = "ridge regression"
INDIVIDUAL = "individual"
Cell = dict[str, Any]


def model_of(method: str, subsets: Any) -> Any:
    subsets = subsets if "subsets" in method else None
    if method in LINEAR:
        return AJIVE(subsets=subsets, n_wedin=200, n_random=200, random_state=0)
    return DeepJIVE(subsets=subsets, random_state=0)


def tables_named(name: str) -> Tables:
    """Return a data set of at most `MOST_SAMPLES` samples; its features are divided by their standard deviations."""
    tables = replace(read_data_set(name), standardize=True)
    if len(tables.data) <= MOST_SAMPLES:
        return tables
    rows = np.sort(np.random.default_rng(0).permutation(len(tables.data))[:MOST_SAMPLES])
    return replace(tables, data=tables.data[rows], labels=None if tables.labels is None else tables.labels[rows])


def measured(name: str, method: str, number: int, folder: Path) -> Cell:
    """Fit a method to a fold, and measure it on the held-out samples; scores of all samples go to a file."""
    tables = tables_named(name)
    fold = fold_of(tables, number, FOLDS)
    if method == RIDGE:
        return {"r2": float(np.mean(list(ridge_r2(fold.train, fold.test).values())))}
    model = model_of(method, DATA[name]).fit(fold.train)
    train, test = scores_of(model.decompose(fold.train)), scores_of(model.decompose(fold.test))
    labels = [np.asarray(values) for values in (fold.train_labels, fold.test_labels)]
    cell: Cell = {
        "r2": model.score(fold.test),
        "ranks": {part: int(scores.shape[1]) for part, scores in train.items()},
        "variance": {key: dict(parts) for key, parts in model.decompose(fold.test).variance_explained.items()},
        "accuracy": {part: accuracy(scores, test[part], *labels) for part, scores in train.items()},
    }
    if any(rank for subset, rank in getattr(model, "subset_ranks_", {}).items() if len(subset) < len(model.shapes_)):
        test_of = subset_structure_test(model, fold.test, 199)
        cell |= {"p": test_of.p_values, "gain": test_of.explained}
    whole = scores_of(model.decompose(_whole(tables, number)))
    np.savez(folder / f"{name} {method} {number}.npz", **whole)
    return cell


def _whole(tables: Tables, number: int) -> Modalities:
    """All samples, centred and scaled by the training samples of a fold, in the order of the data set."""
    train, _ = folds_of(len(tables.data), tables.data.groups, FOLDS, 0)[number]
    arrays = {}
    for name, array in tables.data.items():
        deviation = array[train].std(axis=0)
        arrays[name] = (array - array[train].mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return Modalities(arrays, groups=tables.data.groups)


def accuracy(train: np.ndarray, test: np.ndarray, labels: np.ndarray, answers: np.ndarray) -> float | None:
    """Return how many labels of held-out samples a logistic regression on scores predicts."""
    if not train.shape[1]:
        return None
    known, asked = labels != NO_LABEL, answers != NO_LABEL
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(train[known], labels[known])
    return float(np.mean(pipeline.predict(test[asked]) == answers[asked]))


def stabilities(name: str, method: str, folder: Path) -> dict[str, float]:
    """Return the mean canonical correlation of each part's scores between the models of two folds."""
    found: dict[str, list[float]] = {}
    files = [folder / f"{name} {method} {number}.npz" for number in range(FOLDS)]
    models = [dict(np.load(file, allow_pickle=False)) for file in files if file.is_file()]
    for one, other in itertools.combinations(models, 2):
        for part in one.keys() & other.keys():
            if one[part].shape[1] and other[part].shape[1]:
                found.setdefault(part, []).append(float(np.mean(canonical_correlations(one[part], other[part]))))
    return {part: float(np.mean(values)) for part, values in found.items()}


def prediction_table(cells: list[Cell]) -> ResultTable:
    table = ResultTable(
        "subsets-real",
        "Real data, 3 folds: held-out R2 of each modality from the others, the mean of the modalities",
        ("data", "method", "R2", "components of all modalities and of subsets, by fold"),
    )
    for name, method in dict.fromkeys((cell["data"], cell["method"]) for cell in cells):
        own = [cell for cell in cells if (cell["data"], cell["method"]) == (name, method)]
        shared = [
            ", ".join(f"{part} {rank}" for part, rank in cell["ranks"].items() if not part.startswith(INDIVIDUAL))
            for cell in own
            if "ranks" in cell
        ]
        values = [cell["r2"] for cell in own]
        table.add(name, method, mean_and_sd(values) if len(values) > 1 else values[0], "; ".join(shared) or None)
    return table


def parts_table(cells: list[Cell], folder: Path) -> ResultTable:
    table = ResultTable(
        "subsets-real-parts",
        "Real data, 3 folds: what each subset shares",
        (
            "data",
            "method",
            "part",
            "components by fold",
            "held-out variance explained",
            "added to the prediction",
            "largest p",
            "accuracy of the label",
            "stability",
        ),
    )
    for name, method in dict.fromkeys((cell["data"], cell["method"]) for cell in cells if "with" in cell["method"]):
        own = [cell for cell in cells if (cell["data"], cell["method"]) == (name, method)]
        stable = stabilities(name, method, folder)
        for part in dict.fromkeys(part for cell in own for part in cell["ranks"]):
            if part.startswith(INDIVIDUAL):
                continue
            answers = [value for cell in own if (value := cell["accuracy"].get(part)) is not None]
            p = [cell["p"][part] for cell in own if part in cell.get("p", {})]
            table.add(
                name,
                method,
                part,
                ", ".join(str(cell["ranks"].get(part, 0)) for cell in own),
                _shares([cell["variance"] for cell in own], part),
                _gains([cell["gain"][part] for cell in own if part in cell.get("gain", {})]),
                max(p) if p else None,
                float(np.mean(answers)) if answers else None,
                stable.get(part),
            )
    return table


def _shares(variances: list[dict[str, dict[str, float]]], part: str) -> str:
    """Mean fraction of each modality's variance that a part explains; 0 in folds without the part."""
    names = [name for name in variances[0] if any(part in fractions[name] for fractions in variances)]
    means = {name: np.mean([fractions[name].get(part, 0.0) for fractions in variances]) for name in names}
    return ", ".join(f"{name} {mean:.1%}" for name, mean in means.items())


def _gains(gains: list[dict[str, float]]) -> str | None:
    """Mean added prediction of each modality over the folds that have the subset."""
    return ", ".join(f"{name} {np.mean([gain[name] for gain in gains]):.1%}" for name in gains[0]) if gains else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=list(DATA), choices=list(DATA))
    parser.add_argument("--methods", nargs="*", default=[*LINEAR, RIDGE, *DEEP], choices=[*LINEAR, RIDGE, *DEEP])
    parser.add_argument("--cells", type=Path, metavar="FILE", help="keep what was measured, to continue later")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", EmptySubsetWarning)
    path: Path | None = arguments.cells
    folder = Path(tempfile.mkdtemp()) if path is None else path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    cells: list[Cell] = json.loads(path.read_text()) if path is not None and path.is_file() else []
    for method, name, number in itertools.product(arguments.methods, arguments.data, range(FOLDS)):
        key = {"data": name, "method": method, "fold": number}
        if any(all(cell[word] == value for word, value in key.items()) for cell in cells):
            continue
        cells.append(key | measured(name, method, number, folder))
        print(json.dumps(cells[-1]), flush=True)
        if path is not None:
            write_atomically(path, json.dumps(cells).encode())
    order = {key: place for place, key in enumerate(itertools.product(DATA, [*LINEAR, *DEEP, RIDGE]))}
    cells.sort(key=lambda cell: (order[cell["data"], cell["method"]], cell["fold"]))
    sources = ["deepjive.linear", "deepjive.subsets"]
    sources += ["deepjive.deep"] if any(cell["method"] in DEEP for cell in cells) else []
    write_tables(arguments.json, [prediction_table(cells), parts_table(cells, folder)], sources=sources)


if __name__ == "__main__":
    main()
