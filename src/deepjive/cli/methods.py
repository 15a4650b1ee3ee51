"""`deepjive methods`: text for a paper, with the numbers of a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import runs, show
from deepjive.cli.options import RunArgument


def methods(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text file to write; by default it is printed.")
    ] = None,
) -> None:
    """Write sentences for the methods and results sections of a paper, with the numbers of a run.

    Example: deepjive methods runs/first
    """
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.persistence import read_config, write_atomically
    from deepjive.report.methods import methods_text

    config, scores, evidence = read_config(run), run / "joint_scores.csv", run / runs.EVIDENCE
    if not scores.is_file():
        raise ValueError(
            f"{run} has no {scores.name}, which `deepjive fit` writes. Fit the run again with this command."
        )
    from deepjive.data.readers.tables import read_table

    measured = Evidence.load(evidence) if evidence.is_file() else None
    n, have = len(read_table(scores)), runs.samples_of_modalities(run)
    counts = {name: count for name, count in have.items() if count < n}
    text = methods_text(config, n, measured, shlex.quote(str(run)), counts)
    if out is None:
        show.line(text)
    else:
        write_atomically(out, f"{text}\n".encode())
        show.line(f"Text: {out}")
