"""Experiments made of cells: each cell is measured once, and its measures are written as soon as it is done."""

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
from deepjive.progress import Progress, silent


@dataclass(frozen=True)
class Cell:
    """One measurement of an experiment.

    Attributes
    ----------
    part : str
        The part of the experiment; each part has its own table.
    row : str
        The row of that table.
    seed : int
        The seed; cells of one row differ only in their seeds.
    data, model : dict
        Settings of the data and of the model; JSON types only.
    """

    part: str
    row: str
    seed: int
    data: dict[str, Any]
    model: dict[str, Any]

    @property
    def key(self) -> str:
        """A digest of seed, data, model and the code of deepjive; it does not depend on machine or libraries."""
        content = json.dumps([code_digest(), self.seed, self.data, self.model], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:20]


@cache
def code_digest(package: Path = Path(__file__).parents[1]) -> str:
    """SHA-256 of the names and contents of a package's Python files; 20 ms for deepjive, computed once per process.

    The version number does not change with every change of the code. With the version alone, one table could mix
    measures of old and new code.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def measure_cells(
    cells: Sequence[Cell],
    measure: Callable[[Cell], dict[str, float]],
    folder: Path,
    *,
    jobs: int = 1,
    progress: Progress = silent,
) -> list[dict[str, float]]:
    """Measure the cells of an experiment; cells that were measured before are read from their files.

    Parameters
    ----------
    cells : sequence of Cell
        The cells of the experiment.
    measure : callable
        Returns the measures of a cell, a dict of str to float.
    folder : Path
        Folder with one JSON file of measures for each cell; it is made where it does not exist.
    jobs : int, default=1
        Number of cells that are measured at the same time. With several jobs each cell has its own process, with its
        share of the cores.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each cell.

    Returns
    -------
    list of dict
        The measures of each cell, and its CPU time as "seconds".
    """
    from joblib import Parallel, delayed

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{cell.key}.json" for cell in cells]
    missing = {path: cell for path, cell in zip(paths, cells, strict=True) if not path.exists()}
    done = len(cells) - sum(path in missing for path in paths)

    def tasks() -> Iterator[Any]:
        for path, cell in missing.items():
            progress(done, len(cells), f"{cell.part}: {cell.row}, seed {cell.seed}")
            yield delayed(_measure_and_write)(cell, measure, path)

    for path in Parallel(jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)(tasks()):
        done += paths.count(path)
    progress(len(cells), len(cells), "done")
    return [json.loads(path.read_text())["measures"] for path in paths]


def _measure_and_write(cell: Cell, measure: Callable[[Cell], dict[str, float]], path: Path) -> Path:
    """Measure a cell and write its measures; returns the path of the file."""
    started = time.process_time()
    measures = {**measure(cell), "seconds": time.process_time() - started}
    record = {"part": cell.part, "row": cell.row, "seed": cell.seed, "data": cell.data, "model": cell.model}
    write_atomically(path, json.dumps({**record, "measures": measures}, indent=1).encode())
    return path
