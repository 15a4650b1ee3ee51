"""`deepjive export`: the encoders of a run as one file for torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import show
from deepjive.cli.options import RunArgument
from deepjive.progress import progress_bar


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="File to write; its name ends in .pt2.", show_default=False)],
) -> None:
    """Write the encoders of a DeepJIVE run as one file that torch.export.load reads without deepjive.

    Example: deepjive export runs/first --out encoders.pt2
    """
    from deepjive.deep.exporting import export as write
    from deepjive.persistence import load

    with progress_bar() as progress:
        progress(0, None, "Exporting the encoders")
        write(load(run), out)
    show.line(f"Written: {out}")
