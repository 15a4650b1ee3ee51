"""MRI and PET with the difficulties of real cohorts: diagnoses, new sites, maps, and scans that do not fit.

    python benchmarks/brain_difficulties.py --out runs/hard --json runs     # five cohorts of 300 at 8 mm, an hour
    python benchmarks/brain_difficulties.py --out runs/hard --seeds 1 --subjects 90 --max-epochs 3

Each cohort is a phantom: without difficulties, with all of them (`deepjive.datasets.HARD`), and with each alone. The
features are the voxels of the brain. Participants without PET are left out. Every method gives as many scores as there
are joint scores, and the separate autoencoders as many of each modality. A linear support vector machine (C = 1) is
trained on scores of the fitted participants and tested on the others:

- **split**: two thirds are fitted. Confounds (site; age and site) are learned from them.
- **new site**: two sites are fitted, the third is tested; the mean over the three sites. Shift and scale of the new
  site are learned from its own scans, without diagnoses, since no other site knows them.

The ceiling is the same machine on the true factors (`deepjive.datasets.true_factors`). Maps are those of the joint
score that differs most between the diagnoses of the fitted participants. The true map is the covariance of the stage of
the held-out participants with their true joint part. A voxel is false if it is significant and its true value is less
than `NEGLIGIBLE` of the largest. Cohorts with one difficulty are measured by DeepJIVE and AJIVE alone. Wrong scans are
looked for by `benchmarks/wrong_scans.py`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t
from sklearn.cross_decomposition import PLSCanonical
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.adjust.adjustment import adjusted
from deepjive.datasets import HARD, Difficulties, Phantom, make_phantom, true_factors
from deepjive.deep.baseline import SeparateAutoencoders
from deepjive.evaluation import covariation
from deepjive.evaluation.covariation_maps import dice_of_strongest
from deepjive.experiments.cells import Cell, measure_cells
from deepjive.experiments.omics.mofa import fit_mofa, is_installed
from result_tables import ResultTable, add_json_option, write_tables

JOINT, OWN = 4, 4
LABELLED, DRAWS = 20, 20
NEGLIGIBLE, FALSE_DISCOVERY, N_PERMUTATIONS = 0.05, 0.05, 2000
NONE, ALL = "no difficulties", "all difficulties"
ALONE = {name: replace(Difficulties(), **{name: getattr(HARD, name)}) for name in HARD.names}
COHORTS = {NONE: Difficulties(), ALL: HARD, **ALONE}
JIVES = ("DeepJIVE", "AJIVE")
METHODS = (*JIVES, "separate autoencoders", "PCA", "PLS", "MOFA")
LEFT_IN = "left in"
SPLIT, NEW_SITE = "split", "new site"
MEASURES = ("accuracy", "precision", "recall", "F1", "accuracy, 20 labels")

Fit = tuple[str, NDArray, Any]


def measure(cell: Cell) -> dict[str, float]:
    """Simulate a cohort and measure the methods on it."""
    phantom = make_phantom(
        cell.data["subjects"], cell.data["voxel"], difficulties=COHORTS[cell.row], random_state=cell.seed
    )
    rows = np.flatnonzero(phantom.data.present.all(axis=1))
    phantom = phantom.where(rows)
    table = phantom.subjects
    arrays = {
        name: np.asarray(phantom.data.rows(name, slice(None))[:, phantom.mask], np.float32)
        for name in phantom.data.names
    }
    data, labels = Modalities(arrays), (table["diagnosis"] == "AD").to_numpy()
    epochs, seed = cell.model["max_epochs"], cell.seed
    methods = JIVES if cell.row in ALONE else METHODS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if cell.part == NEW_SITE:
            return _new_sites(data, table, labels, methods, epochs, seed)
        return _splits(phantom, data, labels, methods, epochs, seed)


def cells_of(cohorts: Sequence[str], n_seeds: int, subjects: int, voxel: float, epochs: int) -> list[Cell]:
    """The cells of the experiment; cohorts with all difficulties have one more for the new sites."""
    return [
        Cell(
            part,
            name,
            seed,
            {"subjects": subjects, "voxel": voxel, "cohort": name, "part": part},
            {"max_epochs": epochs},
        )
        for seed in range(n_seeds)
        for name in cohorts
        for part in ((SPLIT, NEW_SITE) if name == ALL else (SPLIT,))
    ]


def _splits(
    phantom: Phantom, data: Modalities, labels: NDArray, methods: Sequence[str], epochs: int, seed: int
) -> dict[str, float]:
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    train, test = next(iter(folds.split(labels, labels)))
    table = phantom.subjects
    factors = {"true factors": true_factors(table), "age alone": table[["age"]]}
    measures = {
        f"split: {name}: {key}": value
        for name, columns in factors.items()
        for key, value in _accuracies(columns.to_numpy(), labels, train, test).items()
    }
    true_maps = _true_maps(phantom, test)
    for words, names in _confounds(phantom.difficulties).items():
        confounded = Modalities(data, confounds={name: table[name] for name in names}) if names else data
        for method, scores, model in _fits(confounded, train, test, methods, epochs, seed):
            name = f"split, {words}: {method}"
            measures |= {f"{name}: {key}": value for key, value in _accuracies(scores, labels, train, test).items()}
            measures[f"{name}: R2 of stage"] = _r2(scores, table["stage"].to_numpy(), train, test)
            if "site" in table:
                site = _machine().fit(scores[train], table["site"].to_numpy()[train])
                measures[f"{name}: accuracy of site"] = float(site.score(scores[test], table["site"].to_numpy()[test]))
            if model is not None:
                held_out = adjusted(confounded[train], confounded[test])[1]
                component = _contrast(scores[train], labels[train])
                maps = covariation(model, held_out, component, n_permutations=N_PERMUTATIONS, random_state=seed)
                measures |= {f"{name}: {key}": value for key, value in _map_quality(maps, true_maps).items()}
    return measures


def _contrast(scores: NDArray, labels: NDArray) -> int:
    """The score that differs most between the diagnoses."""
    return int(np.argmax([abs(np.corrcoef(column, labels)[0, 1]) for column in scores.T]))


def _true_maps(phantom: Phantom, rows: NDArray) -> dict[str, NDArray]:
    """Covariance of the stage with the true joint part, in the voxels of the brain."""
    stage = phantom.subjects["stage"].to_numpy()[rows]
    return {
        name: np.tensordot(stage - stage.mean(), phantom.truth("joint", name, rows)[:, phantom.mask], axes=1)
        for name in phantom.data.names
    }


def _map_quality(maps: Any, true_maps: dict[str, NDArray]) -> dict[str, float]:
    """Overlap of the strongest fifth, and shares of significant voxels that are false and of true voxels found."""
    measures = {}
    for name, true_map in true_maps.items():
        significant = maps[name].q_value < FALSE_DISCOVERY
        is_true = np.abs(true_map) >= NEGLIGIBLE * np.abs(true_map).max()
        everywhere = np.ones(true_map.shape, dtype=bool)
        measures[f"{name} Dice"] = dice_of_strongest(maps[name].effect, true_map, everywhere)
        measures[f"{name} false"] = float(np.sum(significant & ~is_true) / max(significant.sum(), 1))
        measures[f"{name} found"] = float(significant[is_true].mean())
    return measures


def _new_sites(
    data: Modalities, table: Any, labels: NDArray, methods: Sequence[str], epochs: int, seed: int
) -> dict[str, float]:
    """Accuracy at sites that were left out, mean over the sites."""
    sites, measures = table["site"].to_numpy(), {}
    for words, names in list(_confounds(HARD).items())[:2]:
        columns = {name: table[name] for name in names}
        some = adjusted(Modalities(data, confounds=columns))[0] if names else data
        by_method: dict[str, list[float]] = {"true factors": []}
        for site in np.unique(sites):
            train, test = np.flatnonzero(sites != site), np.flatnonzero(sites == site)
            best = _accuracies(true_factors(table).to_numpy(), labels, train, test)
            by_method["true factors"].append(best["accuracy"])
            for method, scores, _ in _fits(some, train, test, methods, epochs, seed):
                by_method.setdefault(method, []).append(_accuracies(scores, labels, train, test)["accuracy"])
        measures |= {f"new site, {words}: {method}: accuracy": np.mean(values) for method, values in by_method.items()}
    return measures


def _confounds(difficulties: Difficulties) -> dict[str, tuple[str, ...]]:
    """The sets of confounds that are taken out, under the words of the tables."""
    sets: dict[str, tuple[str, ...]] = {LEFT_IN: ()}
    if difficulties.sites > 1:
        sets["site taken out"] = ("site",)
    if difficulties.age_shift:
        names = ("age", "site") if difficulties.sites > 1 else ("age",)
        sets[f"{' and '.join(names)} taken out"] = names
    return sets


def _fits(
    data: Modalities, train: NDArray, test: NDArray, methods: Sequence[str], epochs: int, seed: int
) -> Iterator[Fit]:
    """Scores of all samples by each method, fitted to some of them; models of JIVE with them, else None."""
    fitted, others = adjusted(data[train], data[test])
    deep: dict[str, Any] = {"networks": "dense", "max_epochs": epochs, "random_state": seed}
    linear: dict[str, Any] = {"signal_ranks": JOINT + OWN, "random_state": seed}
    ranks: dict[str, Any] = {"joint_rank": JOINT, "individual_ranks": OWN}
    makers: dict[str, Callable[[], Any]] = {
        "DeepJIVE": lambda: DeepJIVE(**ranks, **deep).fit(fitted),
        "AJIVE": lambda: AJIVE(**ranks, **linear).fit(fitted),
        "separate autoencoders": lambda: SeparateAutoencoders(ranks=JOINT, **deep).fit(fitted).transform,
        "PCA": lambda: _pca(fitted),
        "PLS": lambda: _pls(fitted),
        "MOFA": lambda: _mofa(fitted, seed),
    }
    for name in methods:
        if name == "MOFA" and not is_installed():
            continue
        model = makers[name]()
        transform = model.transform if name in JIVES else model
        first = np.asarray(transform(fitted))
        scores = np.zeros((len(data), first.shape[1]))
        scores[train], scores[test] = first, transform(others)
        yield name, scores, model if name in JIVES else None


def _pca(data: Modalities) -> Callable[[Modalities], NDArray]:
    scale = {name: float(np.std(np.asarray(data[name]), dtype=np.float64)) for name in data.names}

    def flat(some: Modalities) -> NDArray:
        return np.hstack([np.asarray(some[name]) / scale[name] for name in some.names])

    pca = PCA(JOINT, random_state=0).fit(flat(data))
    return lambda some: pca.transform(flat(some))


def _mofa(data: Modalities, seed: int) -> Callable[[Modalities], NDArray]:
    means = {name: np.asarray(data[name]).mean(axis=0) for name in data.names}
    scale = {name: float(np.std(np.asarray(data[name]), dtype=np.float64)) for name in data.names}

    def centred(some: Modalities) -> dict[str, NDArray]:
        return {name: (np.asarray(some[name], np.float64) - means[name]) / scale[name] for name in some.names}

    model = fit_mofa(centred(data), seed, n_factors=JOINT)
    return lambda some: model.factors(centred(some))


def _pls(data: Modalities) -> Callable[[Modalities], NDArray]:
    first, second = data.names
    pls = PLSCanonical(JOINT, scale=False, max_iter=200).fit(np.asarray(data[first]), np.asarray(data[second]))
    size = [np.std(part, axis=0) for part in pls.transform(np.asarray(data[first]), np.asarray(data[second]))]

    def transform(some: Modalities) -> NDArray:
        parts = pls.transform(np.asarray(some[first]), np.asarray(some[second]))
        return np.mean([part / sd for part, sd in zip(parts, size, strict=True)], axis=0)

    return transform


def _accuracies(scores: NDArray, labels: NDArray, train: NDArray, test: NDArray) -> dict[str, float]:
    """Classification of test samples with all labels of the fitted samples, and accuracy with few."""
    rng, few = np.random.default_rng(0), []
    for _ in range(DRAWS):
        chosen = np.concatenate([rng.permutation(train[labels[train] == label])[: LABELLED // 2] for label in (0, 1)])
        few.append(_machine().fit(scores[chosen], labels[chosen]).score(scores[test], labels[test]))
    predicted = _machine().fit(scores[train], labels[train]).predict(scores[test])
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels[test], predicted, average="binary", zero_division=0.0
    )
    accuracy = np.mean(predicted == labels[test])
    values = (accuracy, precision, recall, f1, np.mean(few))
    return {name: float(value) for name, value in zip(MEASURES, values, strict=True)}


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
    cohorts = options.cohort or list(COHORTS)
    cells = cells_of(cohorts, options.seeds, options.subjects, options.voxel, options.max_epochs)
    results = measure_cells(
        cells,
        measure,
        options.out,
        progress=lambda done, total, message: print(f"{done}/{total} {message}", flush=True),
    )
    by_cohort = {
        name: [result for cell, result in zip(cells, results, strict=True) if cell.row == name] for name in cohorts
    }
    size = f"{options.seeds} phantom cohorts of {options.subjects} participants, {options.voxel:g} mm"
    tables = [
        _diagnosis_table(by_cohort, size),
        _new_site_table(by_cohort, size),
        _map_table(by_cohort, size),
    ]
    for table in tables:
        print(f"\n{table.title}\n" + " | ".join(table.columns))
        for row in table.rows:
            print(" | ".join(map(str, row)))
    sources = ["deepjive.deep", "deepjive.linear", "deepjive.datasets", "deepjive.adjust", "deepjive.evaluation"]
    write_tables(options.json, tables, sources=sources, seeds=range(options.seeds))


def _diagnosis_table(by_cohort: dict[str, list[dict[str, float]]], size: str) -> ResultTable:
    table = ResultTable(
        "brain-difficulties",
        f"AD or CN from joint scores of held-out participants; mean of {size}",
        (
            "cohort",
            "confounds",
            "scores of",
            "accuracy (lowest-highest)",
            "below the ceiling (95% interval)",
            "precision, recall, F1",
            "20 labelled",
            "R2 of stage",
            "site",
        ),
    )
    for cohort in (NONE, ALL):
        found = by_cohort.get(cohort, [])
        for words in ("", *_confounds(HARD)):
            for name in ("true factors", "age alone", *METHODS):
                start = f"split{', ' * bool(words)}{words}: {name}: "
                if not len(_values(found, f"{start}accuracy")):
                    continue
                values = {key: _values(found, f"{start}{key}") for key in MEASURES}
                ceiling = _values(found, "split: true factors: accuracy")
                table.add(
                    cohort,
                    words,
                    name,
                    _range(values["accuracy"]),
                    "" if name == "true factors" else _interval(ceiling - values["accuracy"]),
                    ", ".join(f"{values[key].mean():.2f}" for key in ("precision", "recall", "F1")),
                    f"{values['accuracy, 20 labels'].mean():.3f}",
                    _mean(found, f"{start}R2 of stage"),
                    _mean(found, f"{start}accuracy of site"),
                )
    return table


def _new_site_table(by_cohort: dict[str, list[dict[str, float]]], size: str) -> ResultTable:
    table = ResultTable(
        "brain-difficulties-new-site",
        f"Accuracy at a site that was not fitted, all difficulties; mean (lowest-highest) of {size}",
        ("scores of", "confounds left in", "site taken out", "gain (95% interval)"),
    )
    found = by_cohort.get(ALL, [])
    for name in ("true factors", *METHODS):
        left_in, site = (_values(found, f"new site, {words}: {name}: accuracy") for words in list(_confounds(HARD))[:2])
        if len(left_in) and name == "true factors":
            table.add(name, _range(left_in), "", "")
        elif len(left_in):
            table.add(name, _range(left_in), _range(site), _interval(site - left_in))
    return table


def _map_table(by_cohort: dict[str, list[dict[str, float]]], size: str) -> ResultTable:
    table = ResultTable(
        "brain-difficulties-maps",
        f"Maps of the joint score that differs most between the diagnoses, against the truth; mean of {size}",
        (
            "difficulty",
            "confounds",
            "maps of",
            "accuracy",
            "Dice MRI",
            "Dice PET",
            "false MRI",
            "false PET",
            "found MRI",
            "found PET",
        ),
    )
    for cohort, found in by_cohort.items():
        for words in _confounds(COHORTS[cohort]):
            for name in JIVES:
                start = f"split, {words}: {name}: "
                if not len(_values(found, f"{start}accuracy")):
                    continue
                percent = [
                    f"{_values(found, f'{start}{modality} {key}').mean():.0%}"
                    for key in ("false", "found")
                    for modality in ("mri", "pet")
                ]
                dice = [_mean(found, f"{start}{modality} Dice") for modality in ("mri", "pet")]
                table.add(cohort, words, name, _mean(found, f"{start}accuracy"), *dice, *percent)
    return table


def _values(found: Sequence[dict[str, float]], key: str) -> NDArray:
    return np.array([measures[key] for measures in found if key in measures])


def _mean(found: Sequence[dict[str, float]], key: str) -> str:
    values = _values(found, key)
    return f"{values.mean():.2f}" if len(values) else ""


def _range(values: NDArray) -> str:
    return f"{values.mean():.3f} ({values.min():.2f}-{values.max():.2f})"


def _interval(differences: NDArray) -> str:
    """Mean difference over cohorts with the interval of Student's t."""
    n, mean = len(differences), differences.mean()
    if n < 2:
        return f"{mean:.3f}"
    half = student_t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


if __name__ == "__main__":
    main()
