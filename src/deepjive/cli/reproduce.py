"""`deepjive reproduce`: experiments that anyone can run again, each a folder with its figures and a page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepjive.cli import show
from deepjive.cli.help import PlainCommand, PlainGroup
from deepjive.cli.options import command_of

if TYPE_CHECKING:
    from deepjive.progress import Progress as OnCell

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    help="Run an experiment again, and write its tables and figures.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

QUICK_NOTE = "Quick: {pairs} pairs and one seed, to see that it runs; these figures are not results."
NOT_MNIST = (
    "MNIST is not there, so scikit-learn's digits of 8 x 8 pixels stand in for it; give --mnist FOLDER or set "
    "DEEPJIVE_DATA for the real experiment. Image and sound are left out."
)
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Fits at a time, each in a process with its share of the cores.")
]
NO_FIT = (
    "No fit is asked for: of the studies ({studies}) none uses the methods ({methods}). "
    "leakage is of explicit and separate, rotated of explicit and AJIVE, overlay of the identities and AJIVE; labels "
    "belong to noisy."
)


class Part(StrEnum):
    """The parts of the experiment with synthetic data."""

    recovery = "recovery"
    sizes = "sizes"
    ablation = "ablation"
    ranks = "ranks"


class Study(StrEnum):
    """The questions of the experiment with paired digits."""

    noisy = "noisy"
    leakage = "leakage"
    overlay = "overlay"
    sound = "sound"
    rotated = "rotated"


class Method(StrEnum):
    """What pairs of digits are decomposed by; "labels" are encoders that are told the digits."""

    explicit = "explicit"
    exchange = "exchange"
    merged = "merged"
    AJIVE = "AJIVE"
    CCA = "CCA"
    PCA = "PCA"
    separate = "separate"
    labels = "labels"


@app.command(cls=PlainCommand)
def synthetic(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write; goes on where it was left.")] = Path(
        "runs/synthetic"
    ),
    part: Annotated[
        list[Part] | None, typer.Option(help="A part of the experiment; may be repeated.", show_default="all")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small data, few seeds: minutes instead of hours.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Fewer seeds.", show_default="5 or 10, by part")] = None,
    jobs: JobsOption = 1,
) -> None:
    """One-dimensional data with known parts: what is recovered, how it changes with size, what each piece buys.

    Every measurement is kept as soon as it is done, so that an interrupted run goes on where it was.
    """
    from deepjive.experiments.cells import measure_cells
    from deepjive.experiments.synthetic.page import write_synthetic
    from deepjive.experiments.synthetic.study import COLUMNS, MAIN_COLUMNS, PARTS, example, measure, plan, tables
    from deepjive.persistence import write_atomically
    from deepjive.report.tables import csv_text

    parts = tuple(name for name in PARTS if part is None or name in [one.value for one in part])
    cells = plan(parts, quick, seeds)
    out.mkdir(parents=True, exist_ok=True)
    with cells_shown() as on_cell:
        found = measure_cells(cells, measure, out / "cells", jobs=jobs, progress=on_cell)
        on_cell(len(cells), len(cells), "drawing an example")
        drawn = example(quick) if "recovery" in parts else None
    for name, of_part in tables(cells, found, MAIN_COLUMNS).items():
        show.table(name, ("", *MAIN_COLUMNS, "seeds"), of_part)
    lines = [
        (cell.part, cell.row, cell.seed, *(figures.get(column, math.nan) for column in COLUMNS))
        for cell, figures in zip(cells, found, strict=True)
    ]
    write_atomically(out / "cells.csv", csv_text(("part", "row", "seed", *COLUMNS), lines).encode())
    page = write_synthetic(out / "report.html", cells, found, tables(cells, found), drawn, command_of(context))
    show.line(f"Report: {page}")


@app.command(cls=PlainCommand)
def mnist(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write; goes on where it was left.")] = Path(
        "runs/mnist"
    ),
    study: Annotated[list[Study] | None, typer.Option(help="A question; may be repeated.", show_default="all")] = None,
    method: Annotated[list[Method] | None, typer.Option(help="A method; may be repeated.", show_default="all")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few pairs, one seed: 6 minutes with --jobs 2.")] = False,
    pairs: Annotated[int | None, typer.Option(min=500, help="Training pairs.", show_default="50000")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of data and networks.", show_default="5")] = None,
    max_epochs: Annotated[
        int | None, typer.Option(min=1, help="Most passes over the data in each phase.", show_default="8")
    ] = None,
    sound_epochs: Annotated[
        int | None, typer.Option(min=1, help="The same, over the 24,000 pairs of image and sound.", show_default="2")
    ] = None,
    mnist_folder: Annotated[
        Path | None,
        typer.Option("--mnist", metavar="FOLDER", help="MNIST's four files.", show_default="$DEEPJIVE_DATA/mnist"),
    ] = None,
    fsdd_folder: Annotated[
        Path | None,
        typer.Option("--fsdd", metavar="FOLDER", help="The spoken digits.", show_default="$DEEPJIVE_DATA/fsdd"),
    ] = None,
    accelerator: Annotated[str, typer.Option(help="What networks are trained on: cpu, cuda or auto.")] = "cpu",
    jobs: JobsOption = 1,
) -> None:
    """Paired digits: noisy MNIST, leakage, overlaid and turned digits, image with sound; beside the baselines.

    Every fit is kept as soon as it is done, so that an interrupted run goes on where it was.
    """
    from dataclasses import replace

    from deepjive.experiments.cells import measure_cells
    from deepjive.experiments.digits.page import write_page
    from deepjive.experiments.digits.study import QUICK, STUDIES, Budget, Sources, cells_of, images_of, run_cell

    given = {"pairs": pairs, "seeds": seeds, "max_epochs": max_epochs, "sound_epochs": sound_epochs}
    changed: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    budget = replace(QUICK if quick else Budget(), **changed)
    sources = Sources(mnist_folder, fsdd_folder, accelerator)
    studies = tuple(name for name in STUDIES if study is None or name in [one.value for one in study])
    if images_of(sources) != "MNIST":
        show.line(NOT_MNIST)
        studies = tuple(name for name in studies if name != "sound")
    methods = tuple(one.value for one in method or Method)
    cells = cells_of(budget, sources, studies, methods)
    if not cells:
        raise typer.BadParameter(NO_FIT.format(studies=", ".join(studies), methods=", ".join(methods)))
    out.mkdir(parents=True, exist_ok=True)
    with cells_shown() as on_cell:
        found = measure_cells(
            cells, lambda cell: run_cell(cell, sources, out / "models"), out / "cells", jobs=jobs, progress=on_cell
        )
    note = QUICK_NOTE.format(pairs=budget.pairs) if quick else ""
    tables, page = write_page(out, cells, found, sources, command_of(context), note)
    for table in tables:
        show.table(table.caption, table.header, table.rows)
        show.line(table.sentence + "\n")
    show.line(f"Report: {page}")


@contextmanager
def cells_shown() -> Iterator[OnCell]:
    """A function to call before each cell, which moves a bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description}", markup=False)
    columns = (words, BarColumn(bar_width=16), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task: Any = bars.add_task("measuring")
        yield lambda done, total, words: bars.update(task, completed=done, total=total, description=words)
