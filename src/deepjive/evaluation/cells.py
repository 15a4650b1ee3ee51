"""Experiments as cells: each is measured once, kept as soon as it is done, and not measured again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from deepjive.persistence import write_atomically

OnCell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Cell:
    """One measurement of an experiment.

    Attributes
    ----------
    part : str
        The part of the experiment, which has a table of its own.
    row : str
        What it stands under in that table.
    seed : int
        Its seed; the cells of a row differ in nothing else.
    data, model : dict
        What the data are made with, and the model; numbers and text only.
    """

    part: str
    row: str
    seed: int
    data: dict[str, Any]
    model: dict[str, Any]

    @property
    def key(self) -> str:
        """A name made of seed, data, model and deepjive's own code; machine and libraries are not in it."""
        content = json.dumps([code_digest(), self.seed, self.data, self.model], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:20]


@cache
def code_digest(package: Path = Path(__file__).parents[1]) -> str:
    """SHA-256 of a package's Python files, names and contents; of deepjive's in 20 ms, once a process.

    A version stays the same from one change to the next, and figures of old and new code would stand in one table.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def measured(
    cells: Sequence[Cell],
    measure: Callable[[Cell], dict[str, float]],
    folder: Path,
    on_cell: OnCell = lambda done, total, words: None,
) -> list[dict[str, float]]:
    """Measure cells, or read what was measured before.

    Parameters
    ----------
    cells : sequence of Cell
        The experiment.
    measure : callable
        From a cell to its figures.
    folder : Path
        Where the figures are kept, a JSON file for each cell; made where it does not exist.
    on_cell : callable
        Called before each cell with the number of cells done, the number of all, and the cell in words.

    Returns
    -------
    list of dict
        The figures of each cell, and "seconds" of processor time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for done, cell in enumerate(cells):
        path = folder / f"{cell.key}.json"
        on_cell(done, len(cells), f"{cell.part}: {cell.row}, seed {cell.seed}")
        if path.exists():
            found.append(json.loads(path.read_text())["found"])
            continue
        started = time.process_time()
        figures = {**measure(cell), "seconds": time.process_time() - started}
        record = {"part": cell.part, "row": cell.row, "seed": cell.seed, "data": cell.data, "model": cell.model}
        write_atomically(path, json.dumps({**record, "found": figures}, indent=1).encode())
        found.append(figures)
    on_cell(len(cells), len(cells), "done")
    return found
