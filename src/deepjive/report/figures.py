"""Figures of a decomposition. Each function takes a Decomposition or arrays, and returns a matplotlib Figure.

Figures do not use the global state of matplotlib. They are for reports, and can be saved by
``figure.savefig("name.png")``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import Decomposition
from deepjive.report.style import (
    FONT,
    INDIVIDUAL,
    INK,
    JOINT,
    LABELS,
    LINE,
    MARKERS,
    MUTED,
    PAPER,
    RESIDUAL,
    new_figure,
    plain,
    quiet,
)
from deepjive.subsets import word_of

MAX_POINTS = 3000
MORE_COMPONENTS = 12
PART_COLORS = {"joint": JOINT, "individual": INDIVIDUAL, "residual": RESIDUAL}
NOT_TERMS = ("phase", "epoch", "is_best", "learning_rate", "seconds")
OTHER, UNKNOWN = "other", "unknown"
NO_LABEL = ("None", "nan", "NaT", "<NA>")  # the texts of missing values in Python, NumPy and pandas


def variance_explained(decomposition: Decomposition) -> Figure:
    """Draw a bar for each modality, divided into joint, individual and residual fraction.

    A negative fraction, which is possible for new samples, has no width in the bar. Its number is below the bar.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.

    Returns
    -------
    matplotlib Figure
    """
    return variance_bars(decomposition.variance_explained)


def variance_bars(fractions: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a bar for each name, divided into the fractions "joint", "individual" and "residual"."""
    figure = new_figure(0.15 + 0.52 * len(fractions))
    axes = figure.subplots()
    for row, (name, parts) in enumerate(fractions.items()):
        _stacked_bar(axes, row, plain(name, 44), parts)
    axes.set(xlim=(0, 1), ylim=(len(fractions) - 0.35, -0.55))
    axes.set_axis_off()
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
        color = {"joint": JOINT, "individual": INDIVIDUAL}.get(part, LABELS[5])
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
    scores: NDArray, labels: ArrayLike | None = None, word: str = "joint", legend: bool = True
) -> Figure:
    """Draw samples by their first two scores, coloured by label.

    With one score, the figure is a strip for each label, or a histogram without labels.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Joint or individual scores; the rank is at least 1.
    labels : array, shape (n_samples,), optional
        Labels of the samples. Each text, or each number if there are few, has a colour and a marker. Many different
        numbers have a colour scale or, with one score, are the vertical axis.
    word : {"joint", "individual"}, default="joint"
        The part, for the titles of the axes.
    legend : bool, default=True
        Whether to draw a legend of the colours. A figure without a legend is smaller.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If the rank is 0.
    """
    if scores.shape[1] == 0:
        raise ValueError("With rank 0 there are no scores to show.")
    rows = thinned(len(scores))
    scores = np.asarray(scores)[rows]
    values = None if labels is None else np.asarray(labels)[rows]
    if scores.shape[1] == 1:
        return _strip(scores[:, 0], values, word)
    figure = new_figure(3.1) if legend else new_figure(2.4, width=2.9)
    axes = figure.subplots()
    quiet(axes, f"{word} score 1", f"{word} score 2")
    axes.axhline(0, color=LINE, linewidth=0.6, zorder=0)
    axes.axvline(0, color=LINE, linewidth=0.6, zorder=0)
    axes.grid(visible=False)
    _points(figure, axes, scores, values, PART_COLORS[word])
    if legend and axes.get_legend_handles_labels()[0]:
        _legend(figure)
    return figure


def training_curves(history: Mapping[str, Sequence[Any]]) -> dict[str, Figure]:
    """Draw the training and validation values of each loss term by epoch.

    Parameters
    ----------
    history : mapping of str to list
        The `history_` of a deep model: lists ``"train_<term>"`` and ``"validation_<term>"`` of equal lengths, with NaN
        in phases without the term, and ``"phase"``.

    Returns
    -------
    dict of str to Figure
        A figure for each term with a finite value; the total is last.
    """
    terms: dict[str, dict[str, NDArray]] = {}
    for key, values in history.items():
        split, _, term = key.partition("_") if key.startswith(("train_", "validation_")) else ("train", "", key)
        if key not in NOT_TERMS and np.isfinite(np.asarray(values, dtype=float)).any():
            terms.setdefault(term, {})[split] = np.asarray(values, dtype=float)
    ordered = sorted(terms, key=lambda term: term == "total")
    return {term: _curve(terms[term], list(history.get("phase", []))) for term in ordered}


def ajive_diagnostic(
    squared_singular_values: ArrayLike,
    wedin_samples: ArrayLike,
    random_samples: ArrayLike,
    joint_rank: int,
    rejected: Sequence[int] = (),
) -> Figure:
    """Draw the singular values and bounds from which AJIVE selects the joint rank.

    At most twelve components that are not joint are drawn.

    Parameters
    ----------
    squared_singular_values : array, shape (n_components,)
        Squared singular values of the stacked score bases of the modalities, between 0 and the number of modalities.
    wedin_samples : array, shape (n_draws,)
        Lower bounds for joint components; the cutoff is their 5th percentile.
    random_samples : array, shape (n_draws,)
        Largest squared singular values of random directions; the cutoff is their 95th percentile.
    joint_rank : int
        Number of joint components.
    rejected : sequence of int, default=()
        Components, counted from 0, that are not joint although they exceed both cutoffs. They are drawn as rings.

    Returns
    -------
    matplotlib Figure

    References
    ----------
    Feng, Jiang, Hannig and Marron 2018, Angle-based joint and individual variation explained.
    """
    bounds = {"wedin": np.asarray(wedin_samples, dtype=float), "random": np.asarray(random_samples, dtype=float)}
    values = np.sort(np.asarray(squared_singular_values, dtype=float))[::-1]
    cutoffs = [float(np.percentile(bounds["wedin"], 5)), float(np.percentile(bounds["random"], 95))]
    values = values[: max(int((values > max(cutoffs)).sum()), joint_rank) + MORE_COMPONENTS]
    figure = new_figure(2.5)
    top, wedin, random = figure.subplots(3, 1, sharex=True, height_ratios=[2.4, 1, 1])
    _ladder(top, values, joint_rank, max(cutoffs), set(rejected))
    for axes, draws, color, cutoff, text in (
        (wedin, bounds["wedin"], INDIVIDUAL, cutoffs[0], "perturbed joint component (Wedin bound)"),
        (random, bounds["random"], MUTED, cutoffs[1], "directions drawn at random"),
    ):
        quiet(axes)
        axes.grid(visible=False)
        axes.hist(draws, bins=30, color=color, alpha=0.55)
        axes.axvline(cutoff, color=color, linewidth=1.1)
        axes.set_yticks([])
        axes.set_title(text, fontsize=FONT - 0.5, color=color, loc="left", pad=1.5)
    random.set_xlabel("squared singular value", fontsize=FONT, color=MUTED)
    return figure


def _stacked_bar(axes: Axes, row: int, name: str, parts: Mapping[str, float]) -> None:
    axes.text(0, row - 0.27, name, fontsize=FONT + 1, color=INK, va="bottom")
    subsets = [part for part in parts if part not in PART_COLORS]
    colors = {"joint": JOINT, **dict.fromkeys(subsets, LABELS[5]), **PART_COLORS}
    widths = np.array([max(parts[part], 0.0) if np.isfinite(parts[part]) else 0.0 for part in colors])
    widths = widths / (widths.sum() or 1.0)
    left = 0.0
    for width, color in zip(widths, colors.values(), strict=True):
        axes.add_patch(Rectangle((left, row - 0.22), width, 0.3, facecolor=color, edgecolor=PAPER, linewidth=0.8))
        left += width
    for position, (part, color) in zip((0.0, 0.36, 0.72), PART_COLORS.items(), strict=True):
        axes.add_patch(Rectangle((position, row + 0.17), 0.014, 0.1, facecolor=color, edgecolor="none"))
        text = f"{part} {percent(parts[part])}"
        axes.text(position + 0.025, row + 0.22, text, fontsize=FONT, color=MUTED, va="center")


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with a typographic minus sign, or a dash for NaN.

    Examples
    --------
    >>> percent(0.4567), percent(0.004), percent(float("nan"))
    ('46%', '0.4%', '–')
    """
    if not np.isfinite(fraction):
        return "–"  # noqa: RUF001
    digits = 1 if 0 < abs(fraction) < 0.0995 else 0
    return f"{100 * fraction:.{digits}f}%".replace("-", "−")  # noqa: RUF001


def thinned(n: int) -> NDArray[np.intp]:
    """Return at most `MAX_POINTS` row numbers, which are the same in every call."""
    if n <= MAX_POINTS:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MAX_POINTS, replace=False))


def groups_of(labels: NDArray) -> dict[str, NDArray[np.bool_]] | None:
    """Return the mask of the samples of each label; None if the labels are many different numbers.

    Parameters
    ----------
    labels : array, shape (n_samples,)
        Text or numbers.

    Returns
    -------
    dict of str to array of bool, or None
        The largest groups. Samples of smaller groups are in the group "other", and samples without a label in the group
        "unknown".
    """
    numeric = labels.dtype.kind in "fiu"
    known = np.isfinite(labels.astype(float)) if numeric else np.array([_is_known(label) for label in labels])
    words = labels[known].astype(str)
    if numeric:  # whole numbers are floats if some are missing
        words = np.array([word.removesuffix(".0") for word in words], dtype=str)
    names, inverse, counts = np.unique(words, return_inverse=True, return_counts=True)
    if numeric and len(names) > len(LABELS):
        return None
    codes = np.full(len(labels), -1)
    codes[known] = inverse
    largest = np.argsort(-counts, kind="stable")[: len(LABELS) if len(names) <= len(LABELS) else len(LABELS) - 1]
    order = sorted(largest, key=lambda code: float(names[code]) if numeric else 0.0) if numeric else sorted(largest)
    groups = {str(names[code]): codes == code for code in order}
    in_small_group = known & ~np.isin(codes, largest)
    if in_small_group.any():
        groups[OTHER] = groups.pop(OTHER, False) | in_small_group
    if not known.all():
        groups[UNKNOWN] = groups.pop(UNKNOWN, False) | ~known
    return groups


def _is_known(label: Any) -> bool:
    return bool(label.strip()) if isinstance(label, str) else str(label) not in NO_LABEL


def group_color(name: str, position: int) -> str:
    """Return the colour of a group of samples."""
    return RESIDUAL if name in (OTHER, UNKNOWN) else LABELS[position % len(LABELS)]


def _points(figure: Figure, axes: Axes, scores: NDArray, labels: NDArray | None, color: str) -> None:
    x, y = scores[:, 0], scores[:, 1]
    size = float(np.clip(2500 / max(len(x), 1), 3.5, 16))
    if labels is None:
        axes.scatter(x, y, s=size, color=color, alpha=0.6, linewidths=0)
        return
    groups = groups_of(labels)
    if groups is None:
        known = np.isfinite(labels.astype(float))
        axes.scatter(x[~known], y[~known], s=size, color=RESIDUAL, linewidths=0)
        dots = axes.scatter(x[known], y[known], s=size, c=labels[known].astype(float), cmap="viridis", linewidths=0)
        bar = figure.colorbar(dots, ax=axes, location="bottom", aspect=40, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=FONT - 0.5, labelcolor=MUTED, color=LINE, length=2)
        return
    for position, (name, members) in enumerate(groups.items()):
        marker, group = MARKERS[position % len(MARKERS)], group_color(name, position)
        axes.scatter(x[members], y[members], s=size, color=group, marker=marker, alpha=0.8, linewidths=0)
        axes.scatter([], [], s=18, color=group, marker=marker, label=plain(name, 18), linewidths=0)


def _legend(figure: Figure) -> None:
    figure.legend(
        loc="outside lower center",
        ncols=5,
        fontsize=FONT,
        labelcolor=INK,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.0,
        borderpad=0.1,
    )


def _strip(scores: NDArray, labels: NDArray | None, word: str) -> Figure:
    groups = None if labels is None else groups_of(labels)
    figure = new_figure(1.9 if groups is None else 0.6 + 0.26 * len(groups))
    axes = figure.subplots()
    quiet(axes, f"{word} score 1")
    if labels is None:
        bins = min(40, max(8, len(scores) // 12))
        axes.hist(scores, bins=bins, color=PART_COLORS[word], alpha=0.8, edgecolor=PAPER, linewidth=0.5)
        axes.set_ylabel("samples", fontsize=FONT, color=MUTED)
    elif groups is None:
        axes.scatter(scores, labels.astype(float), s=6, color=PART_COLORS[word], alpha=0.6, linewidths=0)
        axes.set_ylabel("label", fontsize=FONT, color=MUTED)
    else:
        _rows(axes, scores, groups)
    return figure


def _rows(axes: Axes, scores: NDArray, groups: Mapping[str, NDArray[np.bool_]]) -> None:
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(scores))
    for row, (name, members) in enumerate(groups.items()):
        color = group_color(name, row)
        axes.scatter(scores[members], row + jitter[members], s=5, color=color, alpha=0.7, linewidths=0)
        if members.any():
            axes.plot([np.median(scores[members])] * 2, [row - 0.4, row + 0.4], color=INK, linewidth=1.2)
    axes.set_yticks(range(len(groups)), [plain(name, 18) for name in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)


def _curve(lines: Mapping[str, NDArray], phases: list[Any]) -> Figure:
    figure = new_figure(1.75, width=2.9)
    axes = figure.subplots()
    quiet(axes, "epoch")
    for split, color in (("train", MUTED), ("validation", LABELS[6])):
        if split in lines:
            epochs = np.arange(1, len(lines[split]) + 1)
            axes.plot(epochs, lines[split], color=color, linewidth=1.3, label=split)
    axes.set_xlim(1, max(2, len(next(iter(lines.values())))))
    starts = [i for i in range(1, len(phases)) if phases[i] != phases[i - 1]]
    for start in starts:
        axes.axvline(start + 0.5, color=LINE, linewidth=1.0, linestyle=(0, (3, 2)))
    finite = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    if finite.min() > 0 and finite.max() > 20 * finite.min():
        axes.set_yscale("log")
        axes.minorticks_off()
    if len(lines) > 1:
        axes.legend(fontsize=FONT, labelcolor="linecolor", frameon=False, loc="best", handlelength=1.2, borderpad=0.1)
    return figure


def _ladder(axes: Axes, values: NDArray, joint_rank: int, cutoff: float, rejected: set[int]) -> None:
    quiet(axes)
    axes.grid(visible=False)
    right = max(values.max(initial=1.0), cutoff) * 1.03
    axes.axvspan(cutoff, right, color=JOINT, alpha=0.10, linewidth=0)
    rows = np.arange(1, len(values) + 1)
    joint = [row for row in range(len(values)) if row not in rejected][:joint_rank]
    edges = [JOINT if row in joint or row in rejected else RESIDUAL for row in range(len(values))]
    faces = [PAPER if row in rejected else edge for row, edge in enumerate(edges)]
    axes.hlines(rows, values.min(initial=0.0) * 0.97, values, color=LINE, linewidth=0.6)
    axes.scatter(values, rows, s=12, facecolors=faces, edgecolors=edges, zorder=3, linewidths=0.8)
    axes.set_ylim(len(values) + 0.7, 0.3)
    axes.set_xlim(right=right)
    axes.set_ylabel("component", fontsize=FONT, color=MUTED)
    axes.set_title("joint: beyond both cutoffs", fontsize=FONT - 0.5, color=JOINT, loc="right", pad=1.5)
