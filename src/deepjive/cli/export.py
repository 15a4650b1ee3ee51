"""`deepjive export`: the encoders of a run as one file that needs torch alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import show
from deepjive.cli.options import RunArgument


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="File to write; it ends in .pt2.", show_default=False)],
) -> None:
    """Write the encoders of a DeepJIVE run as one file for torch alone, without deepjive: torch.export.load reads it.

    Example: deepjive export runs/first --out encoders.pt2
    """
    from deepjive.deep.exporting import export as write
    from deepjive.persistence import load

    write(load(run), out)
    show.line(f"Written: {out}")
