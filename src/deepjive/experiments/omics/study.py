"""The experiment with omics: data sets, methods, folds and seeds, and the measures of one fit.

Each method is fitted to the same five outer folds, which hold out whole participants. A method chooses everything
inside the training fold. Three kinds of fits are made:

fold       A fit to the training samples of one fold, measured on its held-out samples.
seed       The same with another seed, on the first fold: do seeds give the same scores?
shuffled   A fit to training samples that were shuffled between modalities, measured on shuffled held-out samples.
           Nothing is joint there. Participants are shuffled as a whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.groups import folds_of
from deepjive.data.modalities import Modalities
from deepjive.evaluation.null import shuffled
from deepjive.evaluation.recovery import canonical_correlations
from deepjive.experiments.cells import Cell
from deepjive.experiments.omics.data import N_FOLDS, NO_LABEL, Fold, Tables, fold_of
from deepjive.experiments.omics.methods import (
    IDENTITIES,
    METHODS,
    N_INNER,
    SEEDED,
    SIZED,
    Fitted,
    MethodScores,
    silent_fit,
    sizes_of,
)
from deepjive.threads import one_thread

FOLD, SEED, SHUFFLED = "fold", "seed", "shuffled"
NETWORKS = (*IDENTITIES, "separate")
SHUFFLED_METHODS = ("exchange", "AJIVE")
REFERENCE = "exchange"
PENALTIES = tuple(np.logspace(-3, 2, 6))
QUICK_FOLDS = 2

Measures = dict[str, float]


@dataclass(frozen=True)
class Budget:
    """How much is computed.

    Attributes
    ----------
    folds : int, default=5
        How many of the five outer folds are measured.
    extra_seeds : int, default=2
        Number of additional seeds on the first fold.
    max_epochs : int or None, default=None
        Largest number of epochs of each phase of the networks; None for their default.
    """

    folds: int = N_FOLDS
    extra_seeds: int = 2
    max_epochs: int | None = None


QUICK = Budget(folds=QUICK_FOLDS)


def cells_of(budget: Budget, tables: Mapping[str, Tables], methods: Sequence[str] = tuple(METHODS)) -> list[Cell]:
    """Return all fits of the experiment; the fits of one data set follow each other.

    Parameters
    ----------
    budget : Budget
        How much is computed.
    tables : mapping of str to Tables
        The data sets.
    methods : sequence of str, default=all
        The methods.

    Returns
    -------
    list of Cell
    """
    cells = []
    for name, table in tables.items():
        data = {"name": name, "digest": digest(table)}
        for fold in range(budget.folds):
            cells += [_cell(name, method, data, fold, FOLD, 0, budget) for method in methods]
            shuffles = [method for method in SHUFFLED_METHODS if method in methods]
            cells += [_cell(name, method, data, fold, SHUFFLED, 0, budget) for method in shuffles]
        for seed in range(1, budget.extra_seeds + 1):
            cells += [_cell(name, method, data, 0, SEED, seed, budget) for method in methods if method in SEEDED]
    return cells


def _cell(name: str, method: str, data: dict[str, Any], fold: int, kind: str, seed: int, budget: Budget) -> Cell:
    settings: dict[str, Any] = {}
    if budget.max_epochs is not None and method in NETWORKS:
        settings = {"max_epochs": budget.max_epochs}
    row = f"{method}, {kind} pairs" if kind == SHUFFLED else method
    model = {"method": method, "kind": kind, "seed": seed, "settings": settings}
    return Cell(name, row, fold, {**data, "fold": fold}, model)


def digest(table: Tables) -> str:
    """Return a digest of the values, labels and participants of a data set."""
    content = hashlib.sha256(str(table.standardize).encode())
    for name, array in table.data.items():
        content.update(name.encode() + np.ascontiguousarray(array).tobytes())
    for texts in (table.labels, table.data.groups):
        content.update(b"none" if texts is None else "\0".join(map(str, texts)).encode())
    return content.hexdigest()[:20]


def run_cell(cell: Cell, tables: Mapping[str, Tables], scores_folder: Path | None = None) -> Measures:
    """Fit the method of a cell, and measure the fit on held-out samples.

    Parameters
    ----------
    cell : Cell
        A cell of `cells_of`.
    tables : mapping of str to Tables
        The data sets.
    scores_folder : Path, optional
        A folder for the scores of fits to the first fold, from which `seed_agreement` is computed.

    Returns
    -------
    dict of str to float
        The measures below; those that a method does not have are left out.

        - "R2 NAME", "R2": held-out R2 of each modality predicted from the others, and their mean. Squared errors and
          squares about the training mean are summed over samples and features.
        - "labels joint", "labels individual", "labels all": accuracy of a logistic regression on held-out samples.
          "labels most frequent" is the accuracy of the most frequent class.
        - "joint rank", "individual rank": the number of joint scores, and of individual scores of all modalities
          together. For methods that have neither, "individual rank" is the number of all scores.
        - "CPU seconds", "peak MiB": of the fit, with all choices that it makes. The memory is the peak of the whole
          process, libraries included.
    """
    method, kind, seed = cell.model["method"], cell.model["kind"], cell.model["seed"]
    fold = fold_of(tables[cell.part], cell.data["fold"])
    train, test = fold.train, fold.test
    if kind == SHUFFLED:
        train, test = shuffled(train, cell.data["fold"]), shuffled(test, 1000 + cell.data["fold"])
    sizes = sizes_of(train, seed) if method in SIZED else None
    if method in NETWORKS:
        _load_networks()
    reset_peak_memory()
    started = time.process_time()
    fitted = silent_fit(method, train, seed=seed, sizes=sizes, settings=cell.model["settings"])
    cost = {"CPU seconds": time.process_time() - started, "peak MiB": peak_memory()}
    held_out = fitted.scores(test)
    measures = cost | prediction_measures(fitted, test) | _ranks(held_out)
    if kind == FOLD:
        measures |= label_measures(fitted.scores(train), held_out, fold)
    if scores_folder is not None and cell.data["fold"] == 0 and kind in (FOLD, SEED):
        _write_scores(scores_folder / f"{cell.key}.npz", fitted.scores(train), held_out)
    return measures


def prediction_measures(fitted: Fitted, test: Modalities) -> Measures:
    """R2 of each modality predicted from the others; nothing for a method that predicts none.

    The training mean of each feature is 0, because folds are centred by their training samples.
    """
    r2 = {}
    for name, array in test.items():
        predicted = fitted.predict(test, name)
        if predicted is None:
            return {}
        r2[f"R2 {name}"] = float(1.0 - np.square(array - predicted).sum() / np.square(array).sum())
    return r2 | {"R2": float(np.mean(list(r2.values())))}


def label_measures(train: MethodScores, test: MethodScores, fold: Fold) -> Measures:
    """Accuracy of the classes of held-out samples, predicted from each kind of scores."""
    if fold.train_labels is None or fold.test_labels is None:
        return {}
    known = np.flatnonzero(fold.train_labels != NO_LABEL), np.flatnonzero(fold.test_labels != NO_LABEL)
    labels = fold.train_labels[known[0]], fold.test_labels[known[1]]
    groups = None if fold.train.groups is None else fold.train.groups[known[0]]
    pairs = {
        "joint": (train.joint, test.joint),
        "individual": (train.beside(), test.beside()),
        "all": (train.everything(), test.everything()),
    }
    accuracies = {
        f"labels {name}": label_accuracy(a[known[0]], labels[0], b[known[1]], labels[1], groups)
        for name, (a, b) in pairs.items()
        if a is not None and b is not None
    }
    nothing = np.zeros((len(known[0]), 0)), np.zeros((len(known[1]), 0))
    return accuracies | {"labels most frequent": label_accuracy(nothing[0], labels[0], nothing[1], labels[1], None)}


def label_accuracy(
    train_scores: NDArray,
    train_labels: NDArray,
    test_scores: NDArray,
    test_labels: NDArray,
    groups: NDArray | None,
) -> float:
    """Return the accuracy of a logistic regression on standardized scores; inner folds choose its penalty.

    Parameters
    ----------
    train_scores, test_scores : array, shape (n_samples, rank)
        Scores. With rank 0 the most frequent class is predicted.
    train_labels, test_labels : array of str, shape (n_samples,)
        Classes.
    groups : array, shape (n_samples,), or None
        The participant of each training sample.

    Returns
    -------
    float
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if train_scores.shape[1] == 0:
        classes, counts = np.unique(train_labels, return_counts=True)
        return float(np.mean(test_labels == classes[np.argmax(counts)]))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    folds = folds_of(len(train_scores), groups, N_INNER, 0)
    with one_thread():
        search = GridSearchCV(pipeline, {"logisticregression__C": PENALTIES}, cv=folds)
        return float(search.fit(train_scores, train_labels).score(test_scores, test_labels))


def seed_agreement(cells: Sequence[Cell], scores_folder: Path) -> dict[tuple[str, str], float]:
    """Return how similar the scores of fits with different seeds are, by data set and method.

    Parameters
    ----------
    cells : sequence of Cell
        Cells that were run with `scores_folder`.
    scores_folder : Path
        The folder of their scores, of the fitted and the held-out samples of the first fold.

    Returns
    -------
    dict of (str, str) to float
        Sum of the canonical correlations of the scores of two seeds, divided by the larger rank; the mean over pairs
        of the first seed and another seed. 1 if both seeds give the same space. The larger the rank is for the number
        of samples, the higher is the value by chance. Methods with joint scores are compared by these, others by the
        scores of each modality. Pairs of rank 0 are left out.
    """
    scores: dict[tuple[str, str], dict[int, dict[str, NDArray]]] = {}
    for cell in cells:
        path = scores_folder / f"{cell.key}.npz"
        if cell.data["fold"] == 0 and cell.model["kind"] in (FOLD, SEED) and path.is_file():
            with np.load(path, allow_pickle=False) as file:
                scores.setdefault((cell.part, cell.model["method"]), {})[cell.model["seed"]] = dict(file)
    agreement = {}
    for key, by_seed in scores.items():
        first = by_seed.pop(0, {})
        pairs = [(first[name], other[name]) for other in by_seed.values() for name in first]
        values = [_agreement(a, b) for a, b in pairs if a.shape[1] or b.shape[1]]
        if values:
            agreement[key] = float(np.mean(values))
    return agreement


def _agreement(first: NDArray, second: NDArray) -> float:
    ranks = first.shape[1], second.shape[1]
    return float(canonical_correlations(first, second).sum() / max(ranks)) if min(ranks) else 0.0


def _ranks(scores: MethodScores) -> Measures:
    ranks = {} if scores.joint is None else {"joint rank": float(scores.joint.shape[1])}
    ranks |= {} if not scores.individual else {"individual rank": float(_width(scores.individual))}
    return ranks if not scores.other else ranks | {"individual rank": float(_width(scores.other))}


def _width(scores: Mapping[str, NDArray]) -> int:
    return sum(array.shape[1] for array in scores.values())


def _write_scores(path: Path, train: MethodScores, test: MethodScores) -> None:
    parts = [scores.other if scores.joint is None else {"joint": scores.joint} for scores in (train, test)]
    if parts[0]:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        np.savez(path, **whole)


@cache
def _load_networks() -> None:
    """Fit tiny networks once in a process, so that loading libraries does not count as time of the first fit."""
    from deepjive.deep.estimator import DeepJIVE

    random = np.random.default_rng(0)
    data = Modalities({name: random.normal(size=(40, 3)) for name in ("first", "second")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        DeepJIVE(joint_rank=1, individual_ranks=0, max_epochs=1, random_state=0).fit(data)


def reset_peak_memory() -> None:
    """Let the peak memory of this process begin anew on Linux; elsewhere it counts from the start of the process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """Return the peak memory of this process in MiB, NaN where the system does not say it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
