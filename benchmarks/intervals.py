"""Coverage and width of 90% prediction intervals on real data, beside those of ridge regression on the same splits.

    DEEPJIVE_DATA=../shared/data python benchmarks/intervals.py --keep runs/intervals

Each seed splits the participants of a data set into 60% training, 20% calibration and 20% test samples. With held-out
calibration, a model is fitted to the training samples. With folds, it is fitted to training and calibration samples
together, and calibrated by five refits. Every modality is predicted from all others. Coverage is the fraction of values
of test samples that lie in their intervals, and the fraction of test samples whose root mean square error is at most
the radius. The width of an interval is in standard deviations of the feature over training and calibration samples.
Numbers are means over features and modalities, then mean and standard deviation over seeds. Features of different units
are divided by their standard deviations (`deepjive.experiments.omics.data`). Ridge regression from all features of the
other modalities chooses its penalty by cross-validation on its training samples, and its intervals are conformal as
well, with the same calibration samples or folds.

`--keep FOLDER` keeps each split's result, so that an interrupted run continues.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.conformal import quantiles
from deepjive.data.groups import folds_of, in_random_order, members_of, rows_of
from deepjive.experiments.omics.data import Tables, read_data_set
from deepjive.experiments.omics.methods import fit_method
from deepjive.experiments.results import mean_and_sd
from deepjive.persistence import write_atomically
from result_tables import ResultTable, add_json_option, write_tables

SETS = ("rosmap", "covid_su", "bmmc_cite", "tcga_brca", "tcga_breast")
LEVEL, FOLDS = 0.9, 5
MODELS: dict[str, Callable[[], Any]] = {
    "AJIVE": lambda: AJIVE(random_state=0),
    "DeepJIVE": lambda: DeepJIVE(random_state=0),
}
RIDGE = "ridge regression"
CALIBRATIONS = ("held-out", "folds")
Measured = dict[str, float]


def split(tables: Tables, seed: int) -> tuple[Modalities, Modalities, Modalities]:
    """Return training, calibration and test samples, in units of the first two if features have different units."""
    data = tables.data
    order = in_random_order(len(data), data.groups, np.random.RandomState(seed))
    stops = round(0.6 * len(order)), round(0.8 * len(order))
    train, calibration, test = (
        np.sort(rows_of(part)) for part in (order[: stops[0]], order[stops[0] : stops[1]], order[stops[1] :])
    )
    known, scaled = np.concatenate([train, calibration]), {}
    for name, array in data.items():
        deviation = array[known].std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0) if tables.standardize else 1.0
        scaled[name] = (array - array[known].mean(axis=0)) / scale
    whole = Modalities(scaled, groups=data.groups)
    return whole[train], whole[calibration], whole[test]


def together(first: Modalities, second: Modalities) -> Modalities:
    """Return the samples of both."""
    groups = None if first.groups is None else np.concatenate([first.groups, second.groups])
    return Modalities({name: np.concatenate([first[name], second[name]]) for name in first.names}, groups=groups)


def measures(intervals: dict[str, tuple], known: Modalities, test: Modalities) -> Measured:
    """Return coverages and width from predictions, half widths and radius by modality."""
    covered, samples, widths = [], [], []
    for name, (predicted, half, radius) in intervals.items():
        error = np.abs(test[name] - predicted)
        deviation = known[name].std(axis=0)
        varies = deviation > 0
        covered.append((error <= half)[:, varies].mean())
        samples.append((np.sqrt(np.square(error).mean(axis=1)) <= radius).mean())
        widths.append((2.0 * np.broadcast_to(half, error.shape)[:, varies] / deviation[varies]).mean())
    values = {"coverage": covered, "samples": samples, "width": widths}
    return {key: float(np.mean(value)) for key, value in values.items()}


def of_model(make: Callable[[], Any], parts: tuple[Modalities, Modalities, Modalities], calibration: str) -> Measured:
    """Measure the intervals of a model."""
    train, held_out, test = parts
    known = together(train, held_out)
    if calibration == "folds":
        model = make().fit(known).calibrate(known, folds=FOLDS, given=all_but_one(known))
    else:
        model = make().fit(train).calibrate(held_out, given=all_but_one(known))
    intervals = {}
    for name in test.names:
        values, _, upper, radius = model.impute(test, name, interval=LEVEL)
        intervals[name] = (values, upper - values, radius)
    return measures(intervals, known, test)


def all_but_one(data: Modalities) -> list[list[str]]:
    """Return for each modality the names of all others."""
    return [[other for other in data.names if other != name] for name in data.names]


def of_ridge(parts: tuple[Modalities, Modalities, Modalities], calibration: str) -> Measured:
    """Measure the intervals of ridge regression."""
    train, held_out, test = parts
    known = together(train, held_out)
    if calibration == "folds":
        whole, calibrated = fit_method("ridge", known), known
        fits = [
            (fit_method("ridge", known[rows]), other) for rows, other in folds_of(len(known), known.groups, FOLDS, 0)
        ]
    else:
        whole, calibrated = fit_method("ridge", train), held_out
        fits = [(whole, np.arange(len(held_out)))]
    participants = np.empty(len(calibrated), dtype=np.intp)
    for number, rows in enumerate(members_of(len(calibrated), calibrated.groups)):
        participants[rows] = number
    intervals = {}
    for name in test.names:
        error = np.empty(calibrated[name].shape)
        for fit, rows in fits:
            error[rows] = np.abs(calibrated[name][rows] - fit.predict(calibrated[rows], name))
        radius = np.sqrt(np.square(error).mean(axis=1, keepdims=True))
        half, bound = (quantiles(values, participants, np.array([LEVEL]))[0] for values in (error, radius))
        intervals[name] = (whole.predict(test, name), half, bound)
    return measures(intervals, known, test)


def kept(folder: Path | None, name: str, compute: Callable[[], Measured]) -> Measured:
    """Return a result that was kept, or compute and keep it."""
    file = None if folder is None else folder / f"{name}.json"
    if file is not None and file.is_file():
        result: Measured = json.loads(file.read_text())
        return result
    result = compute()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(result).encode())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--methods", nargs="+", default=(*MODELS, RIDGE), choices=(*MODELS, RIDGE))
    parser.add_argument("--calibrations", nargs="+", default=CALIBRATIONS, choices=CALIBRATIONS)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    columns = ("data", "method", "calibration", "coverage of values", "coverage of samples", "width")
    name = "intervals-folds" if list(arguments.calibrations) == ["folds"] else "intervals"
    table = ResultTable(name, "90% prediction intervals of held-out samples", columns)
    for name in arguments.sets:
        tables = read_data_set(name)
        splits = [split(tables, seed) for seed in range(arguments.seeds)]
        for method in arguments.methods:
            for calibration in arguments.calibrations:
                results = []
                for seed, parts in enumerate(splits):

                    def compute(method: str = method, calibration: str = calibration, parts: Any = parts) -> Measured:
                        if method == RIDGE:
                            return of_ridge(parts, calibration)
                        return of_model(MODELS[method], parts, calibration)

                    results.append(kept(arguments.keep, f"{name} {method} {calibration} {seed}", compute))
                values = {key: [result[key] for result in results] for key in results[0]}
                table.add(name, method, calibration, *(mean_and_sd(values[key]) for key in values))
                shown = "  ".join(f"{key} {np.mean(value):.3f} +- {np.std(value):.3f}" for key, value in values.items())
                print(f"{name:12} {method:17} {calibration:9} {shown}", flush=True)
    sources = ["deepjive.conformal", "deepjive.linear"]
    sources += ["deepjive.deep"] if "DeepJIVE" in arguments.methods else []
    write_tables(arguments.json, [table], sources=sources, seeds=range(arguments.seeds))


if __name__ == "__main__":
    main()
