"""`deepjive demo`: the library on real data it brings along."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import show


def demo(
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")] = Path("runs/demo"),
) -> None:
    """Decompose handwritten digits, paired by class, and show what was found."""
    summary = importlib.import_module("deepjive.evaluation.demo").run(out)
    if summary is not None:
        show.line(str(summary))
