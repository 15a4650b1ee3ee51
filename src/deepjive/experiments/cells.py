"""Experiments as cells: each is measured once, kept as soon as it is done, and not measured again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
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
    jobs: int = 1,
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
    jobs : int
        Cells at a time; each in a process of its own if there are several, with its share of the processor's cores.

    Returns
    -------
    list of dict
        The figures of each cell, and "seconds" of processor time.
    """
    from joblib import Parallel, delayed

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{cell.key}.json" for cell in cells]
    missing = {path: cell for path, cell in zip(paths, cells, strict=True) if not path.exists()}
    done = len(cells) - sum(path in missing for path in paths)

    def begun() -> Iterator[Any]:
        for path, cell in missing.items():
            on_cell(done, len(cells), f"{cell.part}: {cell.row}, seed {cell.seed}")
            yield delayed(_measure)(cell, measure, path)

    for path in Parallel(jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)(begun()):
        done += paths.count(path)
    on_cell(len(cells), len(cells), "done")
    return [json.loads(path.read_text())["found"] for path in paths]


def _measure(cell: Cell, measure: Callable[[Cell], dict[str, float]], path: Path) -> Path:
    """Measure a cell and keep its figures; gives where."""
    started = time.process_time()
    figures = {**measure(cell), "seconds": time.process_time() - started}
    record = {"part": cell.part, "row": cell.row, "seed": cell.seed, "data": cell.data, "model": cell.model}
    write_atomically(path, json.dumps({**record, "found": figures}, indent=1).encode())
    return path
