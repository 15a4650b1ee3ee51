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

if TYPE_CHECKING:
    from deepjive.evaluation.cells import OnCell

app = typer.Typer(no_args_is_help=True, help="Run an experiment again, and write its tables and figures.")


class Part(StrEnum):
    """The parts of the experiment with synthetic data."""

    recovery = "recovery"
    sizes = "sizes"
    ablation = "ablation"
    ranks = "ranks"


@app.command()
def synthetic(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write; goes on where it was left.")] = Path(
        "runs/synthetic"
    ),
    part: Annotated[
        list[Part] | None, typer.Option(help="A part of the experiment; may be repeated.", show_default="all")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small data, few seeds: minutes instead of hours.")] = False,
) -> None:
    """One-dimensional data with known parts: what is recovered, how it changes with size, what each piece buys.

    Every measurement is kept as soon as it is done, so that an interrupted run goes on where it was.
    """
    from deepjive.cli.tables import csv_text
    from deepjive.evaluation.cells import measured
    from deepjive.evaluation.synthetic_study import COLUMNS, MAIN_COLUMNS, PARTS, example, measure, plan, tables
    from deepjive.persistence import write_atomically
    from deepjive.report.synthetic import write_synthetic

    parts = tuple(name for name in PARTS if part is None or name in [one.value for one in part])
    cells = plan(parts, quick)
    out.mkdir(parents=True, exist_ok=True)
    with cells_shown() as on_cell:
        found = measured(cells, measure, out / "cells", on_cell)
        on_cell(len(cells), len(cells), "drawing an example")
        drawn = example(quick) if "recovery" in parts else None
    for name, of_part in tables(cells, found, MAIN_COLUMNS).items():
        show.table(name, ("", *MAIN_COLUMNS, "seeds"), of_part)
    lines = [
        (cell.part, cell.row, cell.seed, *(figures.get(column, math.nan) for column in COLUMNS))
        for cell, figures in zip(cells, found, strict=True)
    ]
    write_atomically(out / "cells.csv", csv_text(("part", "row", "seed", *COLUMNS), lines).encode())
    options = "".join(f" --part {name}" for name in parts) if part else ""
    command = f"deepjive reproduce synthetic{options}{' --quick' if quick else ''} --out {out}"
    page = write_synthetic(out / "report.html", cells, found, tables(cells, found), drawn, command)
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
