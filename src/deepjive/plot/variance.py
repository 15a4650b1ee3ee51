"""Variance explained: a bar for each modality, divided into parts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from deepjive.decomposition import Decomposition
from deepjive.plot.palette import PART_COLORS, SUBSET, axes_of, ink, muted, paper, percent, plain, small


def variance_explained(parts: Decomposition | Mapping[str, Mapping[str, float]], *, ax: Axes | None = None) -> Axes:
    """Draw a bar for each modality, divided into joint, individual and residual fraction.

    A negative fraction, which is possible for new samples, has no width in the bar. Its number is below the bar.

    Parameters
    ----------
    parts : Decomposition or mapping of str to mapping of str to float
        The decomposition, or for each name the fractions "joint", "individual" and "residual".
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> shares = {"mri": {"joint": 0.5, "individual": 0.2, "residual": 0.3}}
    >>> axes = variance_explained(shares, ax=Figure().subplots())
    >>> [text.get_text() for text in axes.texts]
    ['mri', 'joint 50%', 'individual 20%', 'residual 30%']
    """
    fractions = parts.variance_explained if isinstance(parts, Decomposition) else parts
    axes = axes_of(ax)
    for row, (name, shares) in enumerate(fractions.items()):
        _stacked_bar(axes, row, plain(name, 44), shares)
    axes.set(xlim=(0, 1), ylim=(len(fractions) - 0.35, -0.55))
    axes.set_axis_off()
    return axes


def _stacked_bar(axes: Axes, row: int, name: str, parts: Mapping[str, float]) -> None:
    axes.text(0, row - 0.27, name, color=ink(), va="bottom")
    subsets = [part for part in parts if part not in PART_COLORS]
    colors = {"joint": PART_COLORS["joint"], **dict.fromkeys(subsets, SUBSET), **PART_COLORS}
    widths = np.array([max(parts[part], 0.0) if np.isfinite(parts[part]) else 0.0 for part in colors])
    widths = widths / (widths.sum() or 1.0)
    left = 0.0
    for width, color in zip(widths, colors.values(), strict=True):
        axes.add_patch(Rectangle((left, row - 0.22), width, 0.3, facecolor=color, edgecolor=paper(), linewidth=0.8))
        left += width
    shown = {part: (PART_COLORS[part], parts[part]) for part in PART_COLORS}
    if subsets:
        shared = {"shared": (SUBSET, sum(parts[part] for part in subsets))}
        shown = {"joint": shown["joint"], **shared, **shown}
    for position, (part, (color, share)) in zip(np.linspace(0.0, 0.72, len(shown)), shown.items(), strict=True):
        axes.add_patch(Rectangle((position, row + 0.17), 0.014, 0.1, facecolor=color, edgecolor="none"))
        text = f"{part} {percent(share)}"
        axes.text(position + 0.025, row + 0.22, text, fontsize=small(), color=muted(), va="center")
