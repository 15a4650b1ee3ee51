"""`deepjive figures`: all figures of a run as files for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from deepjive.cli import show
from deepjive.cli.options import (
    ConfoundsOption,
    DecimalOption,
    FeaturesInRowsOption,
    FittedModalityOption,
    LabelsOption,
    LevelOption,
    OneHotOption,
    RunArgument,
    SamplesOption,
    SepOption,
    SiteOption,
    TableOptions,
    UnmatchedOption,
    read_named_labels,
)
from deepjive.progress import progress_bar

FOLDER = "figures"


def figures(
    run: RunArgument,
    modality: FittedModalityOption = None,
    labels: LabelsOption = None,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    format: Annotated[str, typer.Option(help="Formats of the files, separated by commas.")] = "svg,pdf,png",  # noqa: A002
    width: Annotated[
        Literal["single", "double"], typer.Option(help="Width of one column (89 mm) or of two columns (183 mm).")
    ] = "single",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write; by default figures in the run.")
    ] = None,
) -> None:
    """Write all figures of a run at the width of a journal's column, with embedded fonts.

    Example: deepjive figures runs/first --labels patients.csv:diagnosis --format pdf --width double
    """
    from deepjive.cli import runs
    from deepjive.cli.apply import measured_evidence
    from deepjive.persistence import load
    from deepjive.report.run_figures import RunFigures

    formats = [word.strip().lower().lstrip(".") for word in format.split(",") if word.strip()]
    model, tables = load(run), TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
    labels = labels or ([] if modality else runs.options_of(run).get("labels"))
    groups = runs.groups_of(run) if tables.level else None
    data = runs.read_fitted(run, modality or [], samples, unmatched, groups, tables, labels)
    decomposition = model.decompose(data)
    facts = model.report_facts()
    content = RunFigures(
        decomposition,
        labels=read_named_labels(labels, decomposition.data),
        loadings=runs.read_loadings(run, data.names),
        evidence=measured_evidence(run),
        **{key: facts.get(key) for key in ("history", "rank_table", "diagnostics")},
    )
    folder = out or run / FOLDER
    with progress_bar() as progress:
        paths = content.write(folder, formats, width, progress)
    names = len({path.stem for path in paths})
    show.line(f"Figures: {names} in {folder}, as {', '.join(dict.fromkeys(formats))}")
