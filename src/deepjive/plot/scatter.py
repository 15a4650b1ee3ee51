"""Samples by their scores, coloured by label: two scores, one score, or a map of all scores (UMAP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from deepjive.data.pairing import in_order_of_samples
from deepjive.data.readers.guard import optional
from deepjive.decomposition import Decomposition
from deepjive.plot.palette import (
    RESIDUAL,
    SEQUENTIAL,
    axes_of,
    faint,
    group_color,
    groups_of,
    ink,
    paper,
    part_color,
    plain,
    thinned,
)
from deepjive.subsets import Subset, part_named, word_of

MOST_LEGEND = 18
NO_SCORES = (
    "There are no scores to show, because joint_rank_ or individual_ranks_ is 0. Choose another part, or a model with "
    "scores."
)
NO_SCORE = "There is no {word} score {number}; there are {rank}. Scores are counted from 1."
WRONG_LABELS = "labels has {given} entries, but there are {n} samples. Give one label for each sample."


def scores(
    parts: Decomposition | NDArray,
    labels: ArrayLike | None = None,
    *,
    modality: str | None = None,
    part: str | Subset | None = None,
    x: int = 1,
    y: int = 2,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw samples by two scores, coloured by label.

    With one score, the figure has a row of dots for each label, or is a histogram without labels. At most 3,000 samples
    are drawn, which are the same in every call.

    Parameters
    ----------
    parts : Decomposition or array, shape (n_samples, rank)
        The decomposition, or scores; the rank is at least 1.
    labels : array, shape (n_samples,), default=None
        Labels of the samples. Each text, or each number if there are few, has a colour. Many different numbers have a
        colour scale or, with one score, are the vertical axis.
    modality : str, default=None
        The modality whose individual scores are drawn; the joint scores by default.
    part : str or tuple of str, default=None
        A subset of modalities whose scores are drawn, such as ``"rna+protein"``; by default joint or individual scores,
        as `modality` says.
    x, y : int, default=1 and 2
        Numbers of the scores on the axes, counted from 1.
    legend : bool, default=True
        Whether to draw a legend, or a scale, of the colours.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the rank is 0, if a score does not exist, or if there is not one label for each sample.

    See Also
    --------
    deepjive.evaluation.score_association : Association of every score with labels, with intervals and q-values.
    """
    word, values = scores_of(parts, modality, part)
    if values.shape[1] == 0:
        raise ValueError(NO_SCORES)
    chosen = [x] if values.shape[1] == 1 else [x, y]
    for score in chosen:
        if not 1 <= score <= values.shape[1]:
            raise ValueError(NO_SCORE.format(word=word, number=score, rank=values.shape[1]))
    before = "" if modality is None else f"{plain(modality)}, "
    texts = [f"{before}{plain(word)} score {score}" for score in chosen]
    labels = _in_order(labels, parts)
    return draw_scores(axes_of(ax), values[:, [score - 1 for score in chosen]], labels, word, texts, legend)


def scores_of(
    parts: Decomposition | NDArray, modality: str | None, part: str | Subset | None = None
) -> tuple[str, NDArray]:
    """Return the name of a part and its scores; an array is returned as it is."""
    word = "joint" if modality is None else "individual"
    if not isinstance(parts, Decomposition):
        return word, np.asarray(parts, dtype=float)
    if modality is not None and modality not in parts.individual_scores:
        raise ValueError(f"modality is {modality!r}, but the modalities are {list(parts.individual_scores)}.")
    of_subsets = {word_of(subset): values for subset, values in parts.subset_scores.items()}
    known = {"joint": parts.joint_scores, **of_subsets} if modality is None else parts.scores_of(modality)
    word = word if part is None else part_named(part, known)
    return word, known[word]


def draw_scores(
    axes: Axes, values: NDArray, labels: ArrayLike | None, word: str, texts: list[str], legend: bool
) -> Axes:
    """Draw one or two columns of scores; `texts` are the titles of the axes."""
    given = None if labels is None else np.asarray(labels)
    if given is not None and len(given) != len(values):
        raise ValueError(WRONG_LABELS.format(given=len(given), n=len(values)))
    rows = thinned(len(values))
    values, given = values[rows], None if given is None else given[rows]
    axes.set_xlabel(texts[0])
    if len(texts) == 1:
        _strip(axes, values[:, 0], given, word)
        return axes
    axes.set_ylabel(texts[1])
    axes.axhline(0, color=faint(), linewidth=0.6, zorder=0)
    axes.axvline(0, color=faint(), linewidth=0.6, zorder=0)
    axes.grid(visible=False)
    _points(axes, values, given, part_color(word), legend)
    return axes


def umap(
    parts: Decomposition | NDArray,
    labels: ArrayLike | None = None,
    *,
    modality: str | None = None,
    part: str | Subset | None = None,
    random_state: int | None = 0,
    legend: bool = True,
    ax: Axes | None = None,
    **settings: Any,
) -> Axes:
    """Draw samples in two dimensions by UMAP of all scores, coloured by label.

    Neighbours in the picture are neighbours in the scores. Distances between groups, and axes, have no meaning.

    Parameters
    ----------
    parts : Decomposition or array, shape (n_samples, rank)
        The decomposition, or scores. Samples whose scores are NaN are left out.
    labels : array, shape (n_samples,), default=None
        As for `scores`.
    modality : str, default=None
        The modality whose individual scores are used; the joint scores by default.
    part : str or tuple of str, default=None
        A subset of modalities whose scores are used, such as ``"rna+protein"``; by default joint or individual scores,
        as `modality` says.
    random_state : int or None, default=0
        Seed of UMAP.
    legend : bool, default=True
        Whether to draw a legend, or a scale, of the colours.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.
    **settings
        Arguments of ``umap.UMAP``, such as ``n_neighbors``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    deepjive.data.readers.guard.MissingExtraError
        Without umap-learn (extra ``umap``).
    ValueError
        If the rank is 0, or if there is not one label for each sample.
    """
    library = optional("umap", "A UMAP of scores")
    word, values = scores_of(parts, modality, part)
    if values.shape[1] == 0:
        raise ValueError(NO_SCORES)
    known = np.isfinite(values).all(axis=1)
    points = np.full((len(values), 2), np.nan)
    settings = {"n_jobs": 1} | settings if random_state is not None else settings
    points[known] = library.UMAP(random_state=random_state, **settings).fit_transform(values[known])
    labels = _in_order(labels, parts)
    axes = draw_scores(axes_of(ax), points, labels, word, ["UMAP 1", "UMAP 2"], legend)
    axes.set(xticks=[], yticks=[])
    for line in [*axes.lines]:
        line.remove()  # the zero lines; zero means nothing here
    return axes


def _in_order(labels: Any, parts: Any) -> Any:
    """Labels in the order of the samples of a decomposition; those of an array of scores are in order already."""
    return in_order_of_samples(labels, getattr(getattr(parts, "data", None), "samples", None), "labels")


def _points(axes: Axes, values: NDArray, labels: NDArray | None, color: str, legend: bool) -> None:
    x, y = values[:, 0], values[:, 1]
    size = float(np.clip(2500 / max(len(x), 1), 3.5, 16))
    if labels is None:
        axes.scatter(x, y, s=size, color=color, alpha=0.6, linewidths=0)
        return
    groups = groups_of(labels)
    if groups is None:
        known = np.isfinite(labels.astype(float))
        axes.scatter(x[~known], y[~known], s=size, color=RESIDUAL, linewidths=0)
        dots = axes.scatter(x[known], y[known], s=size, c=labels[known].astype(float), cmap=SEQUENTIAL, linewidths=0)
        if legend and axes.figure is not None:
            axes.figure.colorbar(dots, ax=axes, pad=0.02).outline.set_visible(False)
        return
    for position, (name, members) in enumerate(groups.items()):
        text = plain(name, MOST_LEGEND)
        axes.scatter(
            x[members], y[members], s=size, color=group_color(name, position), alpha=0.8, linewidths=0, label=text
        )
    if legend:
        box = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False)
        for handle in box.legend_handles:
            handle.set_sizes([18.0])  # type: ignore[union-attr]


def _strip(axes: Axes, values: NDArray, labels: NDArray | None, word: str) -> None:
    groups = None if labels is None else groups_of(labels)
    if labels is None:
        bins = min(40, max(8, len(values) // 12))
        values = values[np.isfinite(values)]
        axes.hist(values, bins=bins, color=part_color(word), alpha=0.8, edgecolor=paper(), linewidth=0.5)
        axes.set_ylabel("samples")
    elif groups is None:
        axes.scatter(values, labels.astype(float), s=6, color=part_color(word), alpha=0.6, linewidths=0)
        axes.set_ylabel("label")
    else:
        _rows(axes, values, groups)


def _rows(axes: Axes, values: NDArray, groups: Mapping[str, NDArray[np.bool_]]) -> None:
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(values))
    for row, (name, members) in enumerate(groups.items()):
        color = group_color(name, row)
        axes.scatter(values[members], row + jitter[members], s=5, color=color, alpha=0.7, linewidths=0)
        known = values[members][np.isfinite(values[members])]
        if len(known):
            axes.plot([np.median(known)] * 2, [row - 0.4, row + 0.4], color=ink(), linewidth=1.2)
    axes.set_yticks(range(len(groups)), [plain(name, MOST_LEGEND) for name in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
