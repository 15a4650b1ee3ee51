"""Tables of results as JSON files, from which the documentation renders its tables.

Each file holds one table and says how the table was made: version, commit, date, machine, seeds, command, and a
digest of the code that was measured. `docs/_tools/results.py` compares this digest with the digest of the present
code, so that a table that is older than its method says so.
"""

from __future__ import annotations

import ast
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import deepjive
from deepjive._version import __version__
from deepjive.persistence import write_atomically

TableCell: TypeAlias = str | int | float | Mapping[str, float] | None

WRONG_WIDTH = (
    "Row {row} of the table {name!r} has {given} cells, but the table has {expected} columns: {columns}. "
    "Give None for an empty cell."
)
UNKNOWN_SOURCE = "{source!r} is not a module or package of deepjive. Give names such as 'deepjive.deep'."


def write_results(
    path: str | Path,
    name: str,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[TableCell]],
    *,
    command: str,
    seeds: Sequence[int] = (),
    sources: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write a table of results, with the origin of its numbers, to a JSON file.

    Parameters
    ----------
    path : str or Path
        The file, or an existing folder, in which the file is then called `<name>.json`.
    name : str
        Name of the table. A page of the documentation shows the table where it says `<!-- results: NAME -->`.
    title : str
        Title of the table, in one line of Markdown.
    columns : sequence of str
        Names of the columns.
    rows : sequence of sequence
        Rows of the table. A cell is Markdown text, a number, the result of `mean_and_sd`, or None if it is empty.
    command : str
        The command that makes the table.
    seeds : sequence of int, default=()
        The seeds over which the numbers are summarised.
    sources : sequence of str, default=()
        Packages and modules that hold the measured method, for example `["deepjive.deep", "deepjive.linear"]`.
    notes : sequence of str, default=()
        Sentences that stand beneath the table.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If a row does not have one cell for each column, or if a source is no module of deepjive.

    See Also
    --------
    mean_and_sd : A cell that summarises the values of several seeds.
    """
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            lengths = {"given": len(row), "expected": len(columns), "columns": list(columns)}
            raise ValueError(WRONG_WIDTH.format(row=number, name=name, **lengths))
    commit, has_changes = git_commit()
    record = {
        "name": name,
        "title": title,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "command": command,
        "seeds": [int(seed) for seed in seeds],
        "notes": list(notes),
        "version": __version__,
        "commit": commit,
        "uncommitted_changes": has_changes,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "sources": list(sources),
        "sources_digest": sources_digest(sources),
        "remade": True,
    }
    path = Path(path)
    file = path / f"{name}.json" if path.is_dir() else path
    write_atomically(file, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    return file


def mean_and_sd(values: Sequence[float], decimals: int = 3) -> dict[str, float]:
    """Summarise the values of several seeds as a cell, which is rendered as `mean ± sd`.

    Parameters
    ----------
    values : sequence of float
        One value for each seed.
    decimals : int, default=3
        Number of decimals that are rendered.

    Returns
    -------
    dict
        Mean, standard deviation (with `n - 1`; 0 for a single value), number of values, and decimals.
    """
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "sd": sd, "n": len(values), "decimals": decimals}


def cell_text(cell: TableCell) -> str:
    """Return a cell of a table as text for a page; empty for None."""
    if cell is None:
        return ""
    if not isinstance(cell, Mapping):
        return str(cell)
    summary: Mapping[str, Any] = cell
    decimals = int(summary["decimals"])
    space = "\N{NO-BREAK SPACE}"
    spread = f"{space}±{space}{summary['sd']:.{decimals}f}" if summary["n"] > 1 and decimals else ""
    return f"{round(summary['mean'], decimals) + 0.0:.{decimals}f}{spread}"  # no negative zero


def sources_digest(sources: Sequence[str]) -> str:
    """Return the SHA-256 of the code of packages and modules.

    Comments, layout, docstrings and imports do not count, and neither do the names of the files: the digest changes
    when statements change. The digest is the same for all supported versions of Python.

    Parameters
    ----------
    sources : sequence of str
        Names such as `"deepjive.deep"` (all modules of the package) or `"deepjive.linear.ajive"` (one module).

    Returns
    -------
    str
        Hexadecimal digest.
    """
    files = {file for source in sources for file in _files_of(source)}
    digests = sorted(_code_digest(file.read_text(encoding="utf-8")) for file in files)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _files_of(source: str) -> list[Path]:
    package, *names = source.split(".")
    folder = Path(deepjive.__file__).parent.joinpath(*names)
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    if package != "deepjive" or not files or not files[0].is_file():
        raise ValueError(UNKNOWN_SOURCE.format(source=source))
    return files


@cache
def _code_digest(code: str) -> str:
    return hashlib.sha256("\n".join(_statements(ast.parse(code))).encode()).hexdigest()


def _statements(node: Any) -> Iterator[str]:
    """Yield the parts of a syntax tree as text, without what differs between versions of Python."""
    if isinstance(node, list):
        for element in node:
            yield from _statements(element)
    elif isinstance(node, ast.AST):
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node):
            return
        yield f"({type(node).__name__}"
        for field, value in ast.iter_fields(node):
            if value is not None and value != [] and field not in ("ctx", "kind", "type_comment"):
                yield field
                yield from _statements(value)
        yield ")"
    else:
        yield repr(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def git_commit() -> tuple[str | None, bool]:
    """Return the commit of the checkout that holds deepjive, and whether its code has uncommitted changes.

    Returns
    -------
    commit : str or None
        Hexadecimal hash; None if deepjive is not in a git checkout, or if git is not installed.
    has_changes : bool
        Whether a file of the package differs from the commit; False without a commit.
    """
    package = Path(deepjive.__file__).parent
    commit = _git(package, "rev-parse", "HEAD") if _git(package, "ls-files", "__init__.py") else None
    return commit or None, bool(commit and _git(package, "status", "--porcelain", "--", "."))


def _git(folder: Path, *arguments: str) -> str:
    try:
        run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip()


def machine() -> dict[str, str | int | None]:
    """Return the processor, its number of cores, and the versions of Python, NumPy and PyTorch."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "torch": importlib.metadata.version("torch"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
