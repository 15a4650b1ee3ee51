"""Style of the figures: one palette, axes without frames, and SVG whose colours follow the theme of the page.

Figures are drawn in the colours of the light theme. `to_svg` replaces each colour by a CSS variable of the same name,
so the same figure works in the light theme, in the dark theme and in print. `deepjive.plot` draws the figures;
`page_style` sets matplotlib's style for it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from deepjive.plot.palette import INDIVIDUAL, JOINT, LABELS, RESIDUAL, number, plain

__all__ = [
    "DARK",
    "FONT",
    "INDIVIDUAL",
    "INK",
    "JOINT",
    "LABELS",
    "LIGHT",
    "LINE",
    "MUTED",
    "PAPER",
    "RESIDUAL",
    "WIDTH",
    "css_variables",
    "new_figure",
    "number",
    "page_style",
    "plain",
    "quiet",
    "to_svg",
]

WIDTH = 3.8  # inches: 274 SVG units, so that text of 7.5 units is still read at the width of a phone
FONT = 7.5

INK, MUTED, LINE, PAPER = "#1d2530", "#5d6674", "#d8d5cd", "#fdfcfa"
DARK = {
    "ink": "#ebe8e2",
    "muted": "#a3abb5",
    "line": "#343b44",
    "paper": "#171b20",
    "joint": "#ff9a52",
    "individual": "#62b8f2",
    "residual": "#7f858d",
    "label-0": "#a99cff",
    "label-1": "#e07a8b",
    "label-2": "#3fbf6d",
    "label-4": "#b8407a",
    "label-7": "#e39be0",
    "label-8": "#97a03a",
    "label-9": "#9aa3ad",
}
LIGHT = {
    "ink": INK,
    "muted": MUTED,
    "line": LINE,
    "paper": PAPER,
    "joint": JOINT,
    "individual": INDIVIDUAL,
    "residual": RESIDUAL,
    **{f"label-{i}": color for i, color in enumerate(LABELS)},
}
PAGE: Any = {
    "font.size": FONT,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": FONT,
    "axes.titlecolor": INK,
    "axes.titlesize": FONT,
    "axes.facecolor": PAPER,
    "axes.edgecolor": LINE,
    "figure.facecolor": PAPER,
    "grid.color": LINE,
    "legend.fontsize": FONT,
    "legend.labelcolor": INK,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": FONT - 0.5,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": FONT - 0.5,
}

_VARIABLE = {color: name for name, color in LIGHT.items()}
_COLOR = re.compile(r"(fill|stroke|stop-color): (#[0-9a-f]{6})")
_serial = count()


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure; height and width are in inches."""
    return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def page_style() -> Iterator[None]:
    """Draw in the style of the page: its font size, ink and paper."""
    with mpl.rc_context(PAGE):
        yield


def quiet(axes: Axes, xlabel: str | None = None, ylabel: str | None = None) -> None:
    """Remove the frame of axes, and set fonts and labels; by default the labels are those of the axes.

    Labels are not escaped, so they must not be user text.
    """
    xlabel = axes.get_xlabel() if xlabel is None else xlabel
    ylabel = axes.get_ylabel() if ylabel is None else ylabel
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(LINE)
    axes.tick_params(labelsize=FONT - 0.5, labelcolor=MUTED, color=LINE, length=2.5, width=0.6)
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, fontsize=FONT, color=MUTED)
    axes.set_ylabel(ylabel, fontsize=FONT, color=MUTED)
    axes.patch.set_visible(False)


def to_svg(figure: Figure, label: str) -> str:
    """Return a figure as SVG for a page.

    Parameters
    ----------
    figure : matplotlib Figure
        A figure in the colours of this module.
    label : str
        Description of the figure for screen readers. It must be escaped for an attribute.

    Returns
    -------
    str
        An ``<svg>`` element whose colours are CSS variables, and whose text is not drawn as paths.
    """
    buffer = io.StringIO()
    figure.patch.set_visible(False)
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"deepjive{next(_serial)}"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has the glyphs
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return _for_page(buffer.getvalue(), label)


def css_variables(colors: dict[str, str]) -> str:
    """Return a palette as CSS declarations."""
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


def _for_page(svg: str, label: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    svg = _COLOR.sub(lambda match: f"{match[1]}: {_themed(match[2])}", svg)
    svg = re.sub(r">\s+<", "><", svg)  # a space between elements would be a node of the page
    return _without_idle_ids(svg).strip()


def _themed(color: str) -> str:
    return f"var(--{_VARIABLE[color]})" if color in _VARIABLE else color


def _without_idle_ids(svg: str) -> str:
    """Remove ids without references, because they would be the same in several figures."""
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
    return re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", svg)
