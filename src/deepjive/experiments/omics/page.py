"""The tables, result files and report page of `deepjive reproduce omics`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepjive.experiments.cells import Cell
from deepjive.experiments.omics.data import Tables
from deepjive.experiments.omics.methods import METHODS
from deepjive.experiments.omics.mofa import NOT_INSTALLED
from deepjive.experiments.omics.study import REFERENCE, SEED, Measures, seed_agreement
from deepjive.experiments.results import TableCell, cell_text, mean_and_sd, write_results
from deepjive.persistence import write_atomically
from deepjive.report import Table
from deepjive.report.study import Section, write_study
from deepjive.report.tables import csv_text

TITLE = "Omics: missing modalities and labels, predicted by DeepJIVE and by other methods"
LEAD = (
    "Each method is fitted to the same training folds and measured on the held-out samples. Penalties, ranks and "
    "numbers of components are chosen inside the training fold. Folds hold out whole participants."
)
READ = (
    "R2: held-out variance of each modality that is predicted from the others, pooled over features, relative to the "
    "training mean. Labels: accuracy of a logistic regression from joint, individual and all scores. Differences "
    "from DeepJIVE (exchange) are paired by fold. Entries are the mean ± standard deviation over {folds} folds; "
    "training folds overlap, so the standard deviation is no standard error. Seeds: sum of the canonical correlations "
    "of the scores of two seeds divided by the larger rank, on the first fold; 1 is the same space, and large ranks "
    "give high values by chance. CPU seconds and peak memory are of one fit; the memory is of the whole process. "
    "Individual rank: of all modalities together; for PCA, PLS and separate autoencoders the number of all scores. The "
    "time of PCA and of separate autoencoders leaves out the choice of their sizes by DeepJIVE."
)
PREDICTION = "Mean R2 over modalities, each predicted from the others"
READ_PREDICTION = (
    "Ridge and kernel ridge regress each modality on the features of the others and have no scores. DeepJIVE with the "
    "identity merged needs all modalities and predicts none. Entries are the mean ± standard deviation over folds."
)
LABEL_ACCURACY = "Accuracy of labels, classified from joint scores and from all scores"
READ_LABELS = "Logistic regression on standardized scores. Entries are the mean ± standard deviation over folds."
LABELS = {
    "exchange": "DeepJIVE, exchange",
    "explicit": "DeepJIVE, explicit",
    "merged": "DeepJIVE, merged",
    "separate": "separate autoencoders",
    "CCA": "regularised CCA",
    "kernel-ridge": "kernel ridge",
}
SOURCES = ("deepjive.deep", "deepjive.linear", "deepjive.experiments.omics")
PREFIX = "omics"

ByFold = dict[int, Measures]
Rows = list[list[TableCell]]


def write_page(
    out: Path,
    cells: Sequence[Cell],
    measures: Sequence[Measures],
    tables: Mapping[str, Tables],
    command: str,
    *,
    missing_methods: Sequence[str] = (),
    note: str = "",
) -> tuple[list[Table], Path]:
    """Write ``cells.csv``, a result file for each table in ``results/``, and ``report.html`` into a folder.

    Parameters
    ----------
    out : Path
        The folder; its folder "scores" holds the scores that seeds are compared by.
    cells : sequence of Cell
        The fits.
    measures : sequence of dict of str to float
        The measures of each fit.
    tables : mapping of str to Tables
        The data sets.
    command : str
        The command that makes the page again.
    missing_methods : sequence of str, default=()
        Methods that are not installed; a row of each table says so.
    note : str, default=""
        A sentence before the lead.

    Returns
    -------
    tables : list of Table
        The tables of all data sets, and one table for each data set.
    page : Path
        The report.
    """
    results = list(zip(cells, measures, strict=True))
    _write_cells(out / "cells.csv", results)
    agreement = seed_agreement(cells, out / "scores")
    (out / "results").mkdir(exist_ok=True)
    rows = {name: _by_row(results, name) for name in tables}
    sections, shown = [], []
    for name, table in tables.items():
        if not rows[name]:
            continue
        columns, body = _table(table, rows[name], {row: agreement.get((name, row)) for row in rows[name]})
        body += [[_label(method), NOT_INSTALLED, *[None] * (len(columns) - 2)] for method in missing_methods]
        reading = READ.format(folds=max(map(len, rows[name].values())))
        words = _describe(table, rows[name])
        write_results(
            out / "results",
            f"{PREFIX}-{name}",
            f"{name}: {words}",
            columns,
            body,
            command=command,
            sources=SOURCES,
            notes=[reading],
        )
        shown.append(Table(name, columns, [[cell_text(cell) for cell in row] for row in body], reading))
        sections.append(Section(name, words, [shown[-1]]))
    summaries = []
    for suffix, title, note_of, (columns, body) in (
        ("summary", PREDICTION, READ_PREDICTION, _summary(rows, {"": "R2"})),
        ("labels", LABEL_ACCURACY, READ_LABELS, _summary(rows, {", joint": "labels joint", ", all": "labels all"})),
    ):
        if not body:
            continue
        write_results(
            out / "results",
            f"{PREFIX}-{suffix}",
            title,
            columns,
            body,
            command=command,
            sources=SOURCES,
            notes=[note_of],
        )
        summaries.append(Table(title, columns, [[cell_text(cell) for cell in row] for row in body], note_of))
    sections.insert(0, Section("All data sets", "", summaries))
    lead = f"{note} {LEAD}".strip()
    page = write_study(out / "report.html", title=TITLE, lead=lead, sections=sections, command=command)
    return [*summaries, *shown], page


def _write_cells(path: Path, results: Sequence[tuple[Cell, Measures]]) -> None:
    """Write a CSV file with a line for each measure of each fit."""
    lines = [
        (cell.part, cell.row, cell.data["fold"], cell.model["seed"], name, value)
        for cell, measures in results
        for name, value in measures.items()
    ]
    write_atomically(path, csv_text(("data", "method", "fold", "seed", "measure", "value"), lines).encode())


def _by_row(results: Sequence[tuple[Cell, Measures]], name: str) -> dict[str, ByFold]:
    """Measures by row and fold, without the fits with other seeds."""
    rows: dict[str, ByFold] = {}
    for cell, measures in results:
        if cell.part == name and cell.model["kind"] != SEED:
            rows.setdefault(cell.row, {})[cell.data["fold"]] = measures
    return rows


def _table(table: Tables, rows: Mapping[str, ByFold], agreement: Mapping[str, float | None]) -> tuple[list[str], Rows]:
    """Columns and rows of the table of one data set."""
    predicted = [f"R2 {name}" for name in table.data.names]
    kinds = ["joint", "individual", "all"] if table.labels is not None else []
    columns = ["method", "joint rank", "individual rank", *predicted, "mean R2", "R2 minus DeepJIVE's"]
    columns += [f"labels: {kind}" for kind in kinds] + (["labels minus DeepJIVE's"] if kinds else [])
    columns += ["seeds", "CPU s", "MiB"]
    body: Rows = []
    for row, folds in rows.items():
        reference = {} if row == REFERENCE or row not in METHODS else rows.get(REFERENCE, {})
        cells: list[TableCell] = [_label(row)]
        cells += [_cell(folds, "joint rank", 1), _cell(folds, "individual rank", 1)]
        cells += [_cell(folds, name) for name in (*predicted, "R2")]
        cells.append(difference(folds, reference, "R2"))
        cells += [_cell(folds, f"labels {kind}") for kind in kinds]
        cells += [difference(folds, reference, "labels all")] if kinds else []
        seeds = agreement.get(row)
        cells += [
            None if seeds is None else f"{seeds:.2f}",
            _cell(folds, "CPU seconds", 1),
            _cell(folds, "peak MiB", 0),
        ]
        body.append(cells)
    return columns, body


def difference(folds: ByFold, reference: ByFold, name: str) -> dict[str, float] | None:
    """Mean and standard deviation over folds of a measure minus that of DeepJIVE on the same fold, or None."""
    both = [fold for fold in folds if name in folds[fold] and name in reference.get(fold, {})]
    return mean_and_sd([folds[fold][name] - reference[fold][name] for fold in both]) if both else None


def _summary(rows: Mapping[str, Mapping[str, ByFold]], measures: Mapping[str, str]) -> tuple[list[str], Rows]:
    """Columns and rows of measures of all data sets, without what no method or no data set has."""
    kept = [
        (name, word, measure)
        for name, of_data in rows.items()
        for word, measure in measures.items()
        if _has(of_data, measure)
    ]
    methods = dict.fromkeys(method for of_data in rows.values() for method in of_data)
    body: Rows = []
    for method in methods:
        cells = [_cell(rows[name].get(method, {}), measure) for name, _, measure in kept]
        if any(cell is not None for cell in cells):
            body.append([_label(method), *cells])
    return ["method", *(f"{name}{word}" for name, word, _ in kept)], body


def _has(rows: Mapping[str, ByFold], name: str) -> bool:
    return any(name in measures for folds in rows.values() for measures in folds.values())


def _describe(table: Tables, rows: Mapping[str, ByFold]) -> str:
    """The size of a data set in words, and the accuracy of its most frequent class."""
    features = ", ".join(f"{name} {shape[0]}" for name, shape in table.data.shapes.items())
    words = f"{len(table.data)} samples"
    words += f" of {table.data.n_participants} participants" if table.data.groups is not None else ""
    words += f"; features: {features}"
    words += "; features standardized by the training fold" if table.standardize else ""
    frequent = [m["labels most frequent"] for f in rows.values() for m in f.values() if "labels most frequent" in m]
    return words + (f"; accuracy of the most frequent class {np.mean(frequent):.3f}." if frequent else ".")


def _label(row: str) -> str:
    method, comma, more = row.partition(",")
    return LABELS.get(method, method) + comma + more


def _cell(folds: ByFold, name: str, decimals: int = 3) -> dict[str, float] | None:
    values = [measures[name] for measures in folds.values() if math.isfinite(measures.get(name, math.nan))]
    return mean_and_sd(values, decimals) if values else None
