"""`deepjive features`: significance of the features of a linear run, and intervals of its results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepjive.cli import show
from deepjive.cli.options import (
    ConfoundsOption,
    DecimalOption,
    FeaturesInRowsOption,
    LevelOption,
    ModalityOption,
    OneHotOption,
    RunArgument,
    SamplesOption,
    SepOption,
    SiteOption,
    TableOptions,
    UnmatchedOption,
    check_folder,
    read_modalities,
)
from deepjive.progress import progress_bar
from deepjive.report.tables import csv_text, file_names

if TYPE_CHECKING:
    from deepjive.data.modalities import Modalities
    from deepjive.linear.bootstrap_intervals import Intervals
    from deepjive.linear.permutation import FeatureTest

FALSE_DISCOVERY_RATE = 0.05
READ_AS = (
    "How to read it: the intervals are for the population, without the noise that a fit counts as joint or individual "
    "variation. They assume that noise is independent between features. The values of the fit itself may lie outside."
)


def features(
    run: RunArgument,
    modality: ModalityOption,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder to write; it gets a table for each modality.", show_default=False),
    ],
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    draws: Annotated[int, typer.Option(min=2, help="Bootstrap draws.")] = 200,
    repeats: Annotated[int, typer.Option(min=1, help="Permutations; each permutes a tenth of the features.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
) -> None:
    """Test which features have joint variation; 90% intervals of loadings and of variance explained.

    The run must be of a linear method; give the data that it was fitted to. Example:

    deepjive features runs/ajive -m rna=rna.csv -m protein=protein.csv --out features
    """
    from deepjive.cli.runs import groups_of
    from deepjive.linear.bootstrap_intervals import bootstrap
    from deepjive.linear.linear_model import LinearModel
    from deepjive.linear.permutation import jackstraw
    from deepjive.persistence import load, write_atomically
    from deepjive.validation import check_known

    check_folder(out)
    model, tables = load(run), TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
    data = read_modalities(modality, samples, unmatched, groups_of(run), tables)
    if not isinstance(model, LinearModel):
        raise ValueError(
            f"{run} holds a {type(model).__name__}, but p-values and intervals exist only for AJIVE, HeteroJIVE and "
            "JIVE."
        )
    data = check_known(data, model.shapes_, model.features_)  # features in the order of the loadings
    with progress_bar() as progress:
        intervals = bootstrap(model, data, n_draws=draws, random_state=seed, progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, file in file_names(data.names).items():
        with progress_bar() as progress:
            test = jackstraw(model, data, name, n_repeats=repeats, random_state=seed, progress=progress)
        write_atomically(out / f"features_{file}.csv", features_text(model, data, name, test, intervals).encode())
        limits = intervals.variance_explained[name].values()
        n_significant = int((test.q_values[test.counted] <= FALSE_DISCOVERY_RATE).sum())
        rows.append((name, *(f"{100 * low:.1f} to {100 * high:.1f}%" for low, high in limits), n_significant))
    header = (
        "modality",
        "joint",
        "individual",
        "residual",
        f"features at a false discovery rate of {FALSE_DISCOVERY_RATE:.0%}",
    )
    show.table(f"Variance explained, {intervals.level:.0%} intervals of {draws} draws", header, rows)
    show.line(READ_AS)
    show.line(f"Features: {out}")


def features_text(model: Any, data: Modalities, name: str, test: FeatureTest, intervals: Intervals) -> str:
    """A table with a row per feature: the test of its joint variation, and its joint loadings with intervals."""
    header = ["feature", "joint_share", "p_value", "q_value"]
    for i in range(1, model.joint_rank_ + 1):
        header += [f"loading_{i}", f"loading_{i}_low", f"loading_{i}_high"]
    return csv_text(header, _rows(model, data, name, test, intervals))


def _rows(
    model: Any, data: Modalities, name: str, test: FeatureTest, intervals: Intervals
) -> Iterator[list[str | int | float]]:
    loadings = model.joint_loadings_[name].reshape(model.joint_rank_, -1)
    limits = intervals.joint_loadings[name].reshape(2, *loadings.shape)
    names = data.features[name]
    explained, p_values, q_values = (values.reshape(-1) for values in (test.explained, test.p_values, test.q_values))
    for i in range(loadings.shape[1]):
        row: list[str | int | float] = [i if names is None else str(names[i])]
        row += [explained[i], p_values[i], q_values[i]]
        for loading, (low, high) in zip(loadings[:, i], limits[:, :, i].T, strict=True):
            row += [loading, low, high]
        yield row
