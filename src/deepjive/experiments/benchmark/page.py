"""The tables, result files and the report page of `deepjive reproduce benchmark`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepjive.experiments.benchmark.measures import Measures
from deepjive.experiments.benchmark.study import REAL
from deepjive.experiments.cells import Cell
from deepjive.experiments.omics.mofa import NOT_INSTALLED
from deepjive.experiments.results import TableCell, cell_text, mean_and_sd, write_results
from deepjive.persistence import write_atomically
from deepjive.report import Table
from deepjive.report.figures import grid
from deepjive.report.study import Section, write_study
from deepjive.report.tables import csv_text

TITLE = "Digits over varying backgrounds: DeepJIVE and other methods on several views"
LEAD = (
    "Each view shows another image of one digit, over a background of its own. All measures are of held-out test "
    "samples. The figures are not comparable with those of PolyMNIST: images are grey, and the backgrounds are others."
)
SOURCES = ("deepjive.deep", "deepjive.linear", "deepjive.sampling", "deepjive.experiments.benchmark")
LABELS = {
    "shuffled": "DeepJIVE, shuffled views",
    "separate": "separate autoencoders",
    "GCCA": "GCCA (cca_zoo)",
    "DGCCA": "deep GCCA (cca_zoo)",
    "VCCA-private": "VCCA-private (cca_zoo)",
    "MOFA": "MOFA (mofapy2)",
}
SCORES = {
    "digit from joint, 1 given": "digit: joint of 1 view",
    "digit from joint, {most} given": "digit: joint of all",
    "digit from individual": "digit: individual",
    "digit from individual, radial kernel": "digit: individual, radial",
    "background from individual": "background: individual",
    "background from joint": "background: joint",
    "digit from all scores": "digit: all scores",
}
DRAWN = {
    "reconstruction error": "reconstruction error",
    "coherence, 1 given": "coherence, 1 given",
    "coherence, {fewer} given": "coherence, {fewer} given",
    "joint coherence": "joint coherence",
    "spread, others given": "spread, others given",
    "spread, samples": "spread, samples",
    "CPU seconds of the fit": "CPU s",
}
READ_SCORES = (
    "Digit: accuracy of a logistic regression from joint scores of one view or of all views, from the individual "
    "scores of one view (also by a support vector machine with a radial kernel), and from all scores; chance is 0.10. "
    "Background: R2 of the mean grey of 4 x 4 cells of a view's background. Joint scores should give the digit and not "
    "the background, individual scores the background and not the digit. Mean ± standard deviation over seeds."
)
READ_DRAWN = (
    "Reconstruction error: fraction of a view's variance that its own scores leave. Coherence: how often a view drawn "
    "from other views is classified as their digit, by a classifier that reads the digit of {real} of real test views. "
    "Joint coherence: how often all views of a sample show one digit; chance is {chance}. Spread: variance of drawn "
    "views as a fraction of that of real ones; a method that draws means has a small spread. Mean ± standard deviation "
    "over seeds."
)

READ_PICTURE = (
    "Above: test samples of the ten digits, and each view drawn from the other views. Below: samples of all views; the "
    "views of a column should show one digit."
)

BySeed = list[Measures]


def write_page(
    out: Path,
    cells: Sequence[Cell],
    measures: Sequence[Measures],
    command: str,
    *,
    missing_methods: Sequence[str] = (),
    note: str = "",
) -> tuple[list[Table], Path]:
    """Write ``cells.csv``, result files in ``results/`` and ``report.html`` into a folder.

    Parameters
    ----------
    out : Path
        The folder; its folder "pictures" holds the drawn views of seed 0.
    cells : sequence of Cell
        The fits.
    measures : sequence of dict of str to float
        The measures of each fit.
    command : str
        The command that makes the page again.
    missing_methods : sequence of str, default=()
        Methods that are not installed; a row of each table says so.
    note : str, default=""
        A sentence before the lead.

    Returns
    -------
    tables : list of Table
        Two tables for each number of views: scores, and drawn views.
    page : Path
        The report.
    """
    results = list(zip(cells, measures, strict=True))
    lines = [
        (cell.part, cell.row, cell.seed, name, value) for cell, values in results for name, value in values.items()
    ]
    write_atomically(out / "cells.csv", csv_text(("data", "method", "seed", "measure", "value"), lines).encode())
    (out / "results").mkdir(exist_ok=True)
    sections, shown = [], []
    for part in dict.fromkeys(cell.part for cell in cells):
        of_part = [(cell, values) for cell, values in results if cell.part == part]
        tables = _tables(out, of_part, command, missing_methods)
        shown += tables
        sections.append(Section(part, "", tables, _pictures(out, [cell for cell, _ in of_part])))
    lead = f"{note} {LEAD}".strip()
    return shown, write_study(out / "report.html", title=TITLE, lead=lead, sections=sections, command=command)


def _tables(
    out: Path, results: Sequence[tuple[Cell, Measures]], command: str, missing_methods: Sequence[str]
) -> list[Table]:
    """Write the result files of one number of views, and return their tables."""
    rows: dict[str, BySeed] = {}
    for cell, values in results:
        rows.setdefault(cell.row, []).append(values)
    real = _cell(rows.pop(REAL), "real views classified")
    data = results[0][0].data
    n_views, seeds = data["views"], sorted({cell.seed for cell, _ in results})
    title = f"{n_views} views of digits of {data['images']}, {data['n']:,} training samples"
    file = f"views-{n_views}" + ("" if data["images"] == "MNIST" else "-small")
    if data["missing"]:
        title, file = f"{title}, of which {data['missing']:.0%} lack each view", f"{file}-missing"
    chance = f"{0.1 ** (n_views - 1):g}"
    tables = []
    for suffix, columns, reading in (
        ("scores", SCORES, READ_SCORES),
        ("drawn", DRAWN, READ_DRAWN.format(real=cell_text(real), chance=chance)),
    ):
        names = {_of(name, n_views): _of(label, n_views) for name, label in columns.items()}
        body: list[list[TableCell]] = [
            [LABELS.get(row, row), *(_cell(by_seed, name) for name in names)]
            for row, by_seed in rows.items()
            if any(name in values for values in by_seed for name in names if name != "CPU seconds of the fit")
        ]
        body += [[LABELS[method], NOT_INSTALLED, *[None] * (len(names) - 1)] for method in missing_methods]
        header = ["method", *names.values()]
        write_results(
            out / "results",
            f"{file}-{suffix}",
            title,
            header,
            body,
            command=command,
            seeds=seeds,
            sources=SOURCES,
            notes=[reading],
        )
        tables.append(Table(title, header, [[cell_text(cell) for cell in row] for row in body], reading))
    return tables


def _of(text: str, n_views: int) -> str:
    return text.format(most=n_views, fewer=n_views - 1)


def _cell(by_seed: BySeed, name: str) -> TableCell:
    """Mean and standard deviation over seeds, or the value of a single seed."""
    values = [measures[name] for measures in by_seed if math.isfinite(measures.get(name, math.nan))]
    decimals = 0 if "seconds" in name else 3
    if len(values) == 1:
        return f"{values[0]:.{decimals}f}"
    return mean_and_sd(values, decimals) if values else None


def _pictures(out: Path, cells: Sequence[Cell]) -> list[tuple[str, Any, str]]:
    """Pictures of views that each method of seed 0 drew."""
    pictures = []
    for cell in cells:
        file = out / "pictures" / f"{cell.key}.npz"
        if not file.is_file():
            continue
        with np.load(file, allow_pickle=False) as arrays:
            rows = {name: arrays[name] for name in arrays.files}
        heading = LABELS.get(cell.row, cell.row)
        pictures.append((heading, grid(list(rows.values()), list(rows)), READ_PICTURE))
    return pictures
