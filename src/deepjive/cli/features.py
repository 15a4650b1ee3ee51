"""`deepjive features`: the features of every score, with effects, standard errors and p-values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from deepjive.cli import show
from deepjive.cli.options import (
    ConfoundsOption,
    DecimalOption,
    FeaturesInRowsOption,
    FittedModalityOption,
    LevelOption,
    OneHotOption,
    RunArgument,
    SamplesOption,
    SepOption,
    SiteOption,
    TableOptions,
    UnmatchedOption,
    check_folder,
)
from deepjive.progress import progress_bar

if TYPE_CHECKING:
    from deepjive.data.modalities import Modalities
    from deepjive.decomposition import Decomposition
    from deepjive.evaluation.feature_ranking import FeatureEffects
    from deepjive.linear.bootstrap_intervals import Intervals

MOST_VALUES = 200_000_000
TOP, TOP_SCORES, MOST_LETTERS = 3, 3, 24
SIGNIFICANT = 0.05
NOT_TESTED = "The features were not tested. {reason}"
ONLY_LINEAR = (
    "{run} holds a {kind}, but intervals of variance explained exist only for AJIVE, HeteroJIVE and JIVE. Leave out "
    "--draws."
)
READ_INTERVALS = (
    "How to read it: each cell has an estimate for the population and its interval. The estimate leaves out the noise "
    "that a fit counts as joint or individual variation; the share of the fit itself is in the last columns. The "
    "intervals assume that noise is independent between features."
)


def features(
    run: RunArgument,
    modality: FittedModalityOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder to write; by default the run, whose report then shows the tests."),
    ] = None,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    draws: Annotated[
        int,
        typer.Option(min=0, help="Bootstrap draws for intervals of variance explained, e.g. 200 (linear methods)."),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of refits and draws.")] = 0,
) -> None:
    """Rank the features of every joint and individual score: effect, standard error, p and q per score.

    The model is fitted again to some samples and some features, so that no feature is tested with a score that was
    computed from it. Example: deepjive features runs/first
    """
    from deepjive.cli import runs
    from deepjive.evaluation.feature_ranking import feature_effects
    from deepjive.linear.linear_model import LinearModel
    from deepjive.persistence import load

    if out is not None:
        check_folder(out)
    model = load(run)
    if draws and not isinstance(model, LinearModel):
        raise ValueError(ONLY_LINEAR.format(run=run, kind=type(model).__name__))
    tables = TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
    data = runs.read_fitted(run, modality or [], samples, unmatched, runs.groups_of(run), tables)
    with progress_bar() as progress:
        effects = feature_effects(model, data, random_state=seed, progress=progress)
    folder = run if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    paths = runs.write_loadings(folder, effects)
    for (name, effect), path in zip(effects.items(), paths, strict=True):
        if effect.scores:
            _print_strongest(name, effect, path)
    if draws:
        _print_intervals(model, data, draws, seed)
    if out is None:
        show.line(f"To show the tests on the page: deepjive report {run}")


def features_of_fit(
    model: Any, data: Modalities, parts: Decomposition, *, visible: bool = True
) -> dict[str, FeatureEffects]:
    """Effects of the scores on every modality of vectors, with p-values for a linear model, which is quick to refit.

    Parameters
    ----------
    model : estimator
        The fitted model.
    data : Modalities
        The fitted samples.
    parts : Decomposition
        Their decomposition.
    visible : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    dict of str to FeatureEffects
        Without modalities of images, and without modalities that are too large for the memory.
    """
    from deepjive.evaluation.feature_ranking import feature_effects

    names = [name for name in data.names if _fits(data, name)]
    if not model.is_stochastic and len(names) == len(data.names):
        try:
            with progress_bar(visible) as progress:
                return feature_effects(model, data, parts=parts, progress=progress)
        except ValueError as error:
            show.note(NOT_TESTED.format(reason=error))
    return feature_effects(model, data, names=names, parts=parts, test=False)


def _fits(data: Modalities, name: str) -> bool:
    """Whether the modality has vectors of at least two samples, and can be read into memory."""
    shape, count = data.shapes[name], int(data.present[:, data.names.index(name)].sum())
    return len(shape) == 1 and count > 1 and len(data) * math.prod(shape) <= MOST_VALUES


def _print_strongest(name: str, effects: FeatureEffects, path: Path) -> None:
    """Print the strongest features of the first scores of each part, and the file with all of them."""
    from deepjive.report.effects import named, signed

    rows = []
    for row, (part, number) in enumerate(effects.scores):
        if number > TOP_SCORES:
            continue
        top = effects.top(part, number, TOP)
        pairs = zip(top["feature"], top["effect"], strict=True)
        listed = ", ".join(f"{_cut(named(feature))} {signed(effect)}" for feature, effect in pairs)
        found = int((effects.q_value[row] < SIGNIFICANT).sum())
        tested = int(np.isfinite(effects.q_value[row]).sum())
        rows.append((f"{part} {number}", listed, f"{found:,} of {tested:,}", f"{effects.match[row]:.2f}"))
    show.table(f"{name}: features of the scores", ("score", "strongest features", "q < 0.05", "refit"), rows)
    left = len(effects.scores) - len(rows)
    more = f", of {left} more scores as well" if left else ""
    show.line(f"All {len(effects.features):,} features{more}, with standard errors, p and q: {path}\n")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _print_intervals(model: Any, data: Modalities, draws: int, seed: int) -> None:
    from deepjive.linear.bootstrap_intervals import bootstrap

    with progress_bar() as progress:
        intervals = bootstrap(model, data, n_draws=draws, random_state=seed, progress=progress)
    words = ("joint", "individual", "residual")
    header = ("modality", *words, *(f"{word}, fit" for word in words))
    title = f"Variance explained, {intervals.level:.0%} intervals of {draws} draws"
    show.table(title, header, interval_rows(model, intervals))
    show.line(READ_INTERVALS)


def interval_rows(model: Any, intervals: Intervals) -> list[tuple[str, ...]]:
    """Rows of a table: for each modality the corrected estimates with their intervals, and the shares of the fit."""
    rows = []
    for name, parts in intervals.variance_explained.items():
        cells = [f"{50 * (low + high):.1f}% ({100 * low:.1f} to {100 * high:.1f})" for low, high in parts.values()]
        rows.append((name, *cells, *(f"{100 * model.variance_explained_[name][part]:.1f}%" for part in parts)))
    return rows
