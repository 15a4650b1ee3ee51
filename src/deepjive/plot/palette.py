"""Colours and texts of figures. Fonts, sizes, ink and paper are those of matplotlib's current style.

The label colours are Paul Tol's "muted" scheme, whose colours can be distinguished with all common kinds of colour
blindness. Joint and individual parts are orange and blue, which differ in lightness too.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

JOINT, INDIVIDUAL, RESIDUAL = "#c8520a", "#0a6fb0", "#9b9a94"
PART_COLORS = {"joint": JOINT, "individual": INDIVIDUAL, "residual": RESIDUAL}
LABELS = (
    "#332288",
    "#cc6677",
    "#117733",
    "#88ccee",
    "#882255",
    "#ddcc77",
    "#44aa99",
    "#aa4499",
    "#999933",
    "#6b7280",
)
SUBSET = LABELS[5]
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"
MAX_POINTS = 3000
OTHER, UNKNOWN = "other", "unknown"
NO_LABEL = ("None", "nan", "NaT", "<NA>")  # the texts of missing values in Python, NumPy and pandas


def part_color(part: str) -> str:
    """Return the colour of a part; all subsets of modalities have one colour."""
    return PART_COLORS.get(part, SUBSET)


def axes_of(ax: Axes | None) -> Axes:
    """Return the given axes, or those of a new figure in matplotlib's style."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    axes: Axes = plt.subplots(layout="constrained")[1]
    return axes


def ink() -> Any:
    """Colour of text in the current style."""
    return mpl.rcParams["text.color"]


def muted() -> Any:
    """Colour of labels of axes in the current style."""
    return mpl.rcParams["axes.labelcolor"]


def faint() -> Any:
    """Colour of auxiliary lines in the current style."""
    return mpl.rcParams["grid.color"]


def paper() -> Any:
    """Colour behind the data in the current style."""
    return mpl.rcParams["axes.facecolor"]


def small() -> float:
    """Size of text in a figure, a little smaller than that of labels, in points."""
    return float(mpl.rcParams["font.size"]) * 0.94


def plain(text: Any, limit: int = 28) -> str:
    """Return user text for a figure: one short line in which a dollar sign does not start mathematics."""
    line = " ".join(str(text).split()) or "(empty)"
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return line.replace("\\", "⧵").replace("$", r"\$")  # noqa: RUF001 - the look-alike has no meaning to matplotlib


def number(value: float) -> str:
    """Return a number with three digits and a typographic minus sign.

    Examples
    --------
    >>> number(0.123456), number(1234.5)
    ('0.123', '1.23e+03')
    """
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with a typographic minus sign, or a dash for NaN.

    Examples
    --------
    >>> percent(0.4567), percent(0.004), percent(float("nan"))
    ('46%', '0.4%', '\N{EN DASH}')
    """
    if not np.isfinite(fraction):
        return "\N{EN DASH}"
    digits = 1 if 0 < abs(fraction) < 0.0995 else 0
    return f"{100 * fraction:.{digits}f}%".replace("-", "\N{MINUS SIGN}")


def thinned(n: int, most: int = MAX_POINTS) -> NDArray[np.intp]:
    """Return at most `most` row numbers, which are the same in every call."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


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
