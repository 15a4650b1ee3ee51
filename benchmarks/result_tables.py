"""The option ``--json`` of the benchmarks: what a benchmark prints is also written as tables for the documentation.

A table records version, commit, date, machine, seeds and command (`deepjive.experiments.results.write_results`).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACES = ("--json", "--cells")


@dataclass
class ResultTable:
    """A table of results, to which a benchmark adds rows while it runs.

    Attributes
    ----------
    name : str
        Name of the file without its suffix.
    title : str
        Title of the table.
    columns : sequence of str
        Names of the columns.
    rows : list of tuple
        The rows.
    notes : sequence of str, default=()
        Sentences below the table.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    notes: Sequence[str] = ()

    def add(self, *cells: Any) -> None:
        """Add a row; numbers of numpy become numbers of Python."""
        self.rows.append(tuple(cell.item() if hasattr(cell, "item") else cell for cell in cells))


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json PATH`` to the options of a benchmark."""
    parser.add_argument(
        "--json",
        type=Path,
        metavar="PATH",
        help="write the tables as JSON: a file, or a folder with a file for each table",
    )


def write_tables(
    path: Path | None, tables: Iterable[ResultTable], *, sources: Sequence[str], seeds: Iterable[int] = ()
) -> None:
    """Write the tables that have rows; nothing if ``--json`` was not given.

    Parameters
    ----------
    path : Path or None
        The value of ``--json``: a folder, or a file if its suffix is ".json" and there is one table.
    tables : iterable of ResultTable
        The tables.
    sources : sequence of str
        Packages and modules of deepjive that were measured.
    seeds : iterable of int, default=()
        The seeds.
    """
    if path is None:
        return
    from deepjive.experiments.results import write_results

    filled = [table for table in tables if table.rows]
    is_file = path.suffix == ".json" and len(filled) == 1
    folder = path.parent if is_file else path
    folder.mkdir(parents=True, exist_ok=True)
    for table in filled:
        file = path if is_file else folder / f"{table.name}.json"
        write_results(
            file,
            table.name,
            table.title,
            table.columns,
            table.rows,
            command=command(),
            seeds=list(seeds),
            sources=sources,
            notes=table.notes,
        )


def command() -> str:
    """Return the command that was called, without ``--json PATH`` and ``--cells FILE``, which say where files are."""
    words, given = [], iter(sys.argv[1:])
    for word in given:
        if word in PLACES:
            next(given, None)
        elif not word.startswith(tuple(f"{place}=" for place in PLACES)):
            words.append(word)
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
