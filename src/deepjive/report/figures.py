"""Figures of a page: `deepjive.plot` in the style of the page, each on a matplotlib Figure of its own.

Figures do not use the global state of matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import Decomposition
from deepjive.plot import fits, pictures, ranks, scatter, variance
from deepjive.plot.features import pictures_along, step_labels
from deepjive.plot.palette import INDIVIDUAL, JOINT, SUBSET, groups_of, percent, plain, thinned
from deepjive.report.style import FONT, INK, LINE, MUTED, WIDTH, new_figure, page_style, quiet
from deepjive.subsets import word_of

MOST_ROWS = 10
PAGE_POINTS = 600  # each is an element of the page, in several figures


def variance_explained(parts: Decomposition | Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a bar for each modality or name, divided into joint, individual and residual fraction."""
    fractions = parts.variance_explained if isinstance(parts, Decomposition) else parts
    figure = new_figure(0.15 + 0.52 * len(fractions))
    with page_style():
        variance.variance_explained(fractions, ax=figure.subplots())
    return figure


def subset_variance(decomposition: Decomposition) -> Figure:
    """Draw what each subset of modalities shares: a row for each subset, with a dot for each of its modalities.

    The bars beside the dots are the fractions of the modalities' variance that the subset explains, one bar for each
    modality in the order of the columns. The rows are all modalities together, the subsets with components, and each
    modality alone.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition of a model that was fitted with `subsets`.

    Returns
    -------
    matplotlib Figure
    """
    names, fractions = list(decomposition.data.names), decomposition.variance_explained
    rows: list[tuple[tuple[str, ...], str]] = [(tuple(names), "joint")]
    rows += [(subset, word_of(subset)) for subset in decomposition.subset_scores]
    rows += [((name,), "individual") for name in names]
    figure = new_figure(0.55 + 0.34 * len(rows))
    dots, bars = figure.subplots(1, 2, width_ratios=(len(names), 7.0))
    height = 0.7 / len(names)
    for row, (subset, part) in enumerate(rows):
        color = {"joint": JOINT, "individual": INDIVIDUAL}.get(part, SUBSET)
        held = [names.index(name) for name in subset if name in names]
        dots.plot(range(len(names)), [row] * len(names), "o", color=LINE, markersize=5)
        dots.plot(held, [row] * len(held), "o-", color=color, markersize=5, linewidth=1.5)
        for column in held:
            value = fractions[names[column]].get(part, np.nan)
            where = row + (column - (len(names) - 1) / 2) * height
            bars.barh(where, max(value, 0.0) if np.isfinite(value) else 0.0, height=0.85 * height, color=color)
            bars.text(max(value, 0.0) + 0.005, where, percent(value), fontsize=FONT - 1.5, color=MUTED, va="center")
    quiet(bars, "fraction of the modality's variance")
    quiet(dots)
    dots.spines["bottom"].set_visible(False)
    dots.set(xlim=(-0.6, len(names) - 0.4), ylim=(len(rows) - 0.4, -0.6), yticks=[], xticks=range(len(names)))
    dots.set_xticklabels([plain(name, 14) for name in names], rotation=45, ha="right", fontsize=FONT - 0.5)
    dots.tick_params(length=0)
    bars.set(ylim=(len(rows) - 0.4, -0.6), yticks=[])
    bars.set_xlim(0.0, 1.15 * bars.get_xlim()[1])
    bars.grid(visible=False)
    for axes in (dots, bars):
        axes.grid(visible=False)
    return figure


def scores_scatter(
    scores: NDArray,
    labels: ArrayLike | None = None,
    word: str = "joint",
    small: bool = False,
    legend: bool = True,
) -> Figure:
    """Draw samples by their first two scores, coloured by label, as `deepjive.plot.scores` does.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Scores of a part; the rank is at least 1.
    labels : array, shape (n_samples,), optional
        Labels of the samples.
    word : str, default="joint"
        The part, for the titles of the axes.
    small : bool, default=False
        Whether the figure is one of several side by side.
    legend : bool, default=True
        Whether to draw a legend of the groups.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If the rank is 0.
    """
    if scores.shape[1] == 0:
        raise ValueError(scatter.NO_SCORES)
    rows = thinned(len(scores), PAGE_POINTS)
    chosen = np.asarray(scores, dtype=float)[rows, :2]
    values = None if labels is None else np.asarray(labels)[rows]
    groups = None if values is None else groups_of(values)
    if chosen.shape[1] == 1:
        figure = new_figure(1.9 if groups is None else 0.6 + 0.26 * len(groups))
    else:
        figure = new_figure(2.7, width=2.9) if small else new_figure(3.1)
    axes = figure.subplots()
    texts = [f"{word} score {i}" for i in range(1, chosen.shape[1] + 1)]
    with page_style():
        scatter.draw_scores(axes, chosen, values, word, texts, False)
        quiet(axes)
        if chosen.shape[1] == 2:
            axes.grid(visible=False)
            if groups is None and values is not None:
                _scale(figure, axes)
            elif legend and axes.get_legend_handles_labels()[0]:
                _legend(figure, 2 if small else 5)
    return figure


def training_curves(history: Mapping[str, Sequence[Any]]) -> dict[str, Figure]:
    """Draw each term of the loss with a finite value by epoch; the total is last."""
    figures = {term: _drawn(1.75, 2.9, fits.training, history, term) for term in fits.terms_of(history)}
    for figure in figures.values():
        figure.axes[0].set_ylabel("")  # the heading of the picture
    return figures


def ajive_diagnostic(
    squared_singular_values: ArrayLike,
    wedin_samples: ArrayLike,
    random_samples: ArrayLike,
    joint_rank: int,
    rejected: Sequence[int] = (),
) -> Figure:
    """Draw the singular values and bounds from which AJIVE selects the joint rank, as `deepjive.plot.ajive_bounds`."""
    figure = new_figure(2.5)
    axes = figure.subplots()
    with page_style():
        ranks.draw_bounds(axes, squared_singular_values, wedin_samples, random_samples, joint_rank, rejected)
        quiet(axes)
        axes.grid(visible=False)
    return figure


def rank_curve(table: Mapping[str, Sequence[Any]], part: str) -> Figure:
    """Draw the predicted variance of held-out samples for each number of scores of a part."""
    return _drawn(1.75, 2.9, ranks.prediction_by_rank, table, part=part)


def examples(decomposition: Decomposition, name: str, samples: NDArray[np.intp]) -> Figure:
    """Draw samples of one modality in rows: input, joint, individual and residual part."""
    figure, axes = _bare(pictures.examples_size(decomposition, name, len(samples)))
    with page_style():
        pictures.examples(decomposition, name, samples, ax=axes)
        axes.set_aspect("auto")
    return figure


def traversals(decomposition: Decomposition, name: str, part: str = "joint") -> Figure:
    """Draw the effect of each score of a part on a modality of images, in a row for each of the first ten scores.

    Each row is one score from -2 to 2, with all other scores at 0. The effects are shown on the mean image.
    """
    numbers = range(1, min(MOST_ROWS, decomposition.scores_of(name)[part].shape[1]) + 1)
    rows = [pictures_along(decomposition, name, part, score) for score in numbers]
    return grid(rows, [str(score) for score in numbers], step_labels())


def grid(rows: Sequence[NDArray], row_labels: Sequence[str], column_labels: Sequence[str] = ()) -> Figure:
    """Draw images in rows and columns. Each row has a separate scale of grey or colours.

    Parameters
    ----------
    rows : sequence of array, each (n_columns, height, width)
        The images of each row.
    row_labels, column_labels : sequence of str
        Labels beside the rows, and above the columns. By default columns have no labels.

    Returns
    -------
    matplotlib Figure
    """
    layout = pictures.GridLayout(rows, row_labels, column_labels)
    figure, axes = _bare(layout.height / layout.width)
    with page_style():
        layout.draw(axes)
        axes.set_aspect("auto")
    return figure


def _drawn(height: float, width: float, draw: Callable[..., Axes], *arguments: Any, **named: Any) -> Figure:
    figure = new_figure(height, width=width)
    with page_style():
        quiet(draw(*arguments, ax=figure.subplots(), **named))
    return figure


def _bare(ratio: float) -> tuple[Figure, Axes]:
    """Return a figure of the width of a page, filled by axes, and the axes."""
    figure = Figure(figsize=(WIDTH, WIDTH * ratio))
    return figure, figure.add_axes((0, 0, 1, 1))


def _scale(figure: Figure, axes: Axes) -> None:
    """Draw the scale of the colours of numbers below the dots."""
    bar = figure.colorbar(axes.collections[-1], ax=axes, location="bottom", aspect=40, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=FONT - 0.5, labelcolor=MUTED, length=2)


def _legend(figure: Figure, columns: int) -> None:
    legend = figure.legend(
        loc="outside lower center",
        ncols=columns,
        fontsize=FONT,
        labelcolor=INK,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.0,
        borderpad=0.1,
    )
    for handle in legend.legend_handles:
        handle.set_sizes([18.0])  # type: ignore[union-attr]
