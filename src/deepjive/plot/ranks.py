"""How ranks were chosen: prediction of held-out samples by number of scores, and the bounds of AJIVE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from deepjive.plot.palette import INDIVIDUAL, JOINT, RESIDUAL, axes_of, faint, muted, paper, small

MORE_COMPONENTS = 12
MOST_TICKS = 8
MARKERS = {"linear": "o", "unrolled": "s"}
HISTOGRAM_ROWS = 0.2  # height of a histogram of a bound, relative to the components
NO_TABLE = (
    "The model has no table of ranks: its ranks were given. Fit a DeepJIVE with joint_rank='auto' or "
    "individual_ranks='auto', or pass a rank_table_."
)
NO_PART = "The table of ranks has no part {part!r}; it has {parts}."
NO_BOUNDS = "The model has no bounds. Use AJIVE or HeteroJIVE with n_wedin > 0 and n_random > 0."


def prediction_by_rank(model: Any, *, part: str = "joint", ax: Axes | None = None) -> Axes:
    """Draw the predicted variance of held-out samples for each number of scores that was tried.

    Bars are standard errors. The filled marker is the number that was chosen. Squares are coordinates along a curved
    manifold.

    Parameters
    ----------
    model : DeepJIVE or mapping of str to list
        A model that chose its ranks, or its `rank_table_`.
    part : str, default="joint"
        "joint", or the modality whose individual rank was chosen.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the ranks were given, or if no rank of `part` was chosen.
    """
    table: Mapping[str, Sequence[Any]] = model if isinstance(model, Mapping) else getattr(model, "rank_table_", {})
    if not table:
        raise ValueError(NO_TABLE)
    if part not in table["part"]:
        raise ValueError(NO_PART.format(part=part, parts=list(dict.fromkeys(table["part"]))))
    color = JOINT if part == "joint" else INDIVIDUAL
    axes = axes_of(ax)
    axes.set(xlabel="scores", ylabel="predicted (%)")
    for kind, marker in MARKERS.items():
        rows = [i for i, of in enumerate(table["part"]) if of == part and table["coordinates"][i] == kind]
        if not rows:
            continue
        rank, r2, error = (
            np.array([table[key][row] for row in rows], float) for key in ("rank", "r2", "standard_error")
        )
        fills = [color if table["chosen"][row] else paper() for row in rows]
        axes.errorbar(rank, 100 * r2, yerr=100 * error, color=muted(), linewidth=1.0, elinewidth=0.8, zorder=1)
        axes.scatter(rank, 100 * r2, s=16, marker=marker, facecolors=fills, edgecolors=color, zorder=3)
    axes.locator_params(axis="x", integer=True, nbins=MOST_TICKS)
    return axes


def ajive_bounds(model: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the singular values and the bounds from which AJIVE selects the joint rank.

    Each dot is a component; in the shaded area it exceeds both bounds. Orange dots are the joint components. Rings
    exceed both bounds and are not joint, because they are too weak in one modality. The histograms below are the draws
    of both bounds. At most twelve components that are not joint are drawn.

    Parameters
    ----------
    model : AJIVE or HeteroJIVE
        A fitted model that drew its bounds.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the model drew no bounds.

    References
    ----------
    Feng, Jiang, Hannig and Marron 2018, Angle-based joint and individual variation explained.
    """
    diagnostics = model.report_facts().get("diagnostics") if hasattr(model, "report_facts") else None
    if diagnostics is None:
        raise ValueError(NO_BOUNDS)
    return draw_bounds(axes_of(ax), joint_rank=model.joint_rank_, **diagnostics)


def draw_bounds(
    axes: Axes,
    squared_singular_values: Any,
    wedin_samples: Any,
    random_samples: Any,
    joint_rank: int,
    rejected: Sequence[int] = (),
) -> Axes:
    """Draw squared singular values, their bounds, and the draws of both bounds; components are counted from 0."""
    bounds = [np.asarray(wedin_samples, dtype=float), np.asarray(random_samples, dtype=float)]
    values = np.sort(np.asarray(squared_singular_values, dtype=float))[::-1]
    cutoffs = [float(np.percentile(bounds[0], 5)), float(np.percentile(bounds[1], 95))]
    values = values[: max(int((values > max(cutoffs)).sum()), joint_rank) + MORE_COMPONENTS]
    _ladder(axes, values, joint_rank, max(cutoffs), set(rejected))
    height = max(1.0, HISTOGRAM_ROWS * len(values))
    texts = ("perturbed joint component (Wedin bound)", "directions drawn at random")
    base = len(values) + 0.7
    for draws, color, cutoff, text in zip(bounds, (INDIVIDUAL, RESIDUAL), cutoffs, texts, strict=True):
        base += 1.75 * height
        _histogram(axes, draws, color, base, height)
        axes.vlines(cutoff, base, base - height, color=color, linewidth=1.2)
        left = min(values.min(initial=0.0) * 0.97, *(float(bound.min()) for bound in bounds))
        axes.text(left, base - 1.05 * height, text, fontsize=small(), color=color if color != RESIDUAL else muted())
    axes.set_ylim(base + 0.3, 0.3)
    axes.set_xlabel("squared singular value")
    return axes


def _histogram(axes: Axes, draws: NDArray, color: str, base: float, height: float) -> None:
    """Draw a histogram upwards from `base`; the vertical axis points down."""
    counts, edges = np.histogram(draws, bins=30)
    tops = base - height * counts / max(counts.max(), 1)
    axes.fill_between(np.repeat(edges, 2)[1:-1], np.repeat(tops, 2), base, color=color, alpha=0.55, linewidth=0)


def _ladder(axes: Axes, values: NDArray, joint_rank: int, cutoff: float, rejected: set[int]) -> None:
    axes.grid(visible=False)
    right = max(values.max(initial=1.0), cutoff) * 1.03
    axes.axvspan(cutoff, right, color=JOINT, alpha=0.10, linewidth=0)
    rows = np.arange(1, len(values) + 1)
    joint = [row for row in range(len(values)) if row not in rejected][:joint_rank]
    edges = [JOINT if row in joint or row in rejected else RESIDUAL for row in range(len(values))]
    faces = [paper() if row in rejected else edge for row, edge in enumerate(edges)]
    axes.hlines(rows, values.min(initial=0.0) * 0.97, values, color=faint(), linewidth=0.6)
    axes.scatter(values, rows, s=12, facecolors=faces, edgecolors=edges, zorder=3, linewidths=0.8)
    axes.set_yticks(rows if len(rows) <= MOST_TICKS else rows[:: -(-len(rows) // MOST_TICKS)])
    axes.set_xlim(right=right)
    axes.set_ylabel("component", loc="top")
    axes.set_title("shaded: beyond both bounds", fontsize=small(), color=JOINT, loc="right", pad=1.5)
