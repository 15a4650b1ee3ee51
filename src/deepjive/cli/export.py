"""`deepjive export` and `deepjive tables`: a run for other tools."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepjive.cli import show
from deepjive.cli.options import RunArgument
from deepjive.progress import progress_bar

if TYPE_CHECKING:
    from deepjive.decomposition import Decomposition

SUFFIXES = ".pt2, .onnx or .h5mu"
WRONG_SUFFIX = "--out {out} must end in {suffixes}."


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help=f"File to write; its name ends in {SUFFIXES}.", show_default=False)],
) -> None:
    """Write a run as one file for other tools.

    .pt2 holds the encoders of a DeepJIVE for torch.export.load, and .onnx holds the encoders and the predictions of
    missing modalities for ONNX runtimes; neither needs deepjive. .h5mu holds the data of any run with all scores,
    loadings, effects and labels, for scverse. Example: deepjive export runs/first --out encoders.pt2
    """
    from deepjive.persistence import load

    if out.suffix not in (".pt2", ".onnx", ".h5mu"):
        raise ValueError(WRONG_SUFFIX.format(out=out, suffixes=SUFFIXES))
    with progress_bar() as progress:
        progress(0, None, "Exporting the run")
        model = load(run)
        if out.suffix == ".h5mu":
            _write_mudata(run, model, out)
        elif out.suffix == ".onnx":
            from deepjive.deep.exporting import export_onnx

            export_onnx(model, out)
        else:
            from deepjive.deep.exporting import export as export_program

            export_program(model, out)
    show.line(f"Written: {out}")


def tables(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write; by default tables in the run.")
    ] = None,
    format: Annotated[Literal["csv", "parquet"], typer.Option(help="Format of the files.")] = "csv",  # noqa: A002
) -> None:
    """Write scores, loadings and variance explained of a run as tidy tables: one row for each value.

    Example: deepjive tables runs/first --format parquet
    """
    from deepjive.cli import runs
    from deepjive.report.tidy_tables import loading_table, score_table, variance_table, write_tidy

    samples, joint, individual = runs.read_scores(run)
    explained = runs.read_variance(run)
    tidy = {
        "scores": score_table(samples, joint, individual),
        "loadings": loading_table(runs.read_loadings(run, list(explained))),
        "variance": variance_table(explained),
    }
    for path in write_tidy(tidy, out or run / "tables", format):
        show.line(f"Written: {path}")


def _write_mudata(run: Path, model: Any, out: Path) -> None:
    import pandas as pd

    from deepjive.data.readers.guard import optional

    anndata = optional("anndata", "Writing .h5mu files")
    # text as anndata 0.12 can write it, which knows neither Arrow's nor, without being told, pandas 3's
    storage = pd.option_context("mode.string_storage", "python")
    with storage, anndata.settings.override(allow_write_nullable_strings=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mudata, on later versions of pandas
        mdata = _mudata(run, model)
        out.parent.mkdir(parents=True, exist_ok=True)
        mdata.write(out)


def _mudata(run: Path, model: Any) -> Any:
    """The data of a run as MuData, with scores, loadings, effects and labels."""
    from deepjive.cli import runs
    from deepjive.cli.options import TableOptions, read_named_labels
    from deepjive.data.readers.annotated import mudata_of

    options = runs.options_of(run)
    settings = TableOptions.of_run(run, None, None, None, False, None, None, None)
    groups = runs.groups_of(run) if settings.level else None
    data = runs.read_fitted(run, [], None, "error", groups, settings, options.get("labels"))
    parts = model.decompose(data)
    mdata = mudata_of(parts, model, read_named_labels(options.get("labels"), parts.data))
    _add_effects(mdata, runs.read_loadings(run, parts.data.names), parts)
    return mdata


def _add_effects(mdata: Any, loadings: Any, parts: Decomposition) -> None:
    """Write effects and q-values of the features into the ``varm`` of each modality, a column for each score."""
    for name, frame in loadings.items():
        variables = mdata[name].var_names
        if not variables.is_unique:
            continue
        for part, rows in frame.groupby("part"):
            for column, word in (("effect", "effects"), ("q_value", "q_values")):
                wide = rows.pivot(index="feature", columns="score", values=column)
                mdata[name].varm[f"jive_{part}_{word}"] = wide.reindex(variables).to_numpy(dtype=float)
