"""Grids of images: effects of scores, and predictions of one modality from another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import Decomposition
from deepjive.report.samples import picture
from deepjive.report.style import FONT, MUTED, WIDTH, plain

MOST = 10
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
GAP = 0.08


def traversals(decomposition: Decomposition, name: str, part: str = "joint") -> Figure:
    """Draw the effect of each score of a part on a modality of images.

    Each row is one score from -2 to 2, with all other scores at 0. At most the first ten scores are shown.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    name : str
        The modality.
    part : {"joint", "individual"}, default="joint"
        The part whose scores vary. Effects of individual scores are shown on the mean image.

    Returns
    -------
    matplotlib Figure
    """
    ranks = {"joint": decomposition.joint_scores.shape[1], "individual": decomposition.individual_scores[name].shape[1]}
    rows, labels = [], []
    for score in range(min(MOST, ranks[part])):
        scores = {key: np.zeros((len(STEPS), rank)) for key, rank in ranks.items()}
        scores[part][:, score] = STEPS
        images = decomposition.render("joint", name, scores["joint"], scores["individual"])
        if part == "individual":
            images = images + decomposition.render("individual", name, scores["joint"], scores["individual"])
        rows.append(images)
        labels.append(f"{score + 1}")
    return grid(rows, labels, [f"{step:+g}".replace("-", "−") if step else "0" for step in STEPS])  # noqa: RUF001


def grid(rows: Sequence[NDArray], row_labels: Sequence[str], column_labels: Sequence[str] = ()) -> Figure:
    """Draw images in rows and columns. Each row has a separate grey scale.

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
    pictures = [[picture(image) for image in row] for row in rows]
    columns = max(len(row) for row in pictures)
    heights = [row[0].shape[0] / row[0].shape[1] for row in pictures]
    margin = 0.35 + 0.11 * max(len(label) for label in row_labels) * columns / 8
    top, width = 0.3 if column_labels else 0.0, columns * (1 + GAP) + margin
    total = sum(height + GAP for height in heights) + top
    figure = Figure(figsize=(WIDTH, WIDTH * total / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for column, label in enumerate(column_labels):
        axes.text(
            margin + column * (1 + GAP) + 0.5, top / 2, label, fontsize=FONT, color=MUTED, ha="center", va="center"
        )
    row_top = top
    for row, label, height in zip(pictures, row_labels, heights, strict=True):
        middle = row_top + height / 2
        axes.text(margin - 0.12, middle, plain(label), fontsize=FONT, color=MUTED, ha="right", va="center")
        _draw_row(axes, row, margin, row_top, height)
        row_top += height + GAP
    axes.set(xlim=(0, width), ylim=(total, 0), autoscale_on=False)
    return figure


def _draw_row(axes: Axes, images: Sequence[NDArray], margin: float, top: float, height: float) -> None:
    """Draw the images of one row on the same grey scale."""
    low, high = map(float, np.nanpercentile(np.concatenate([image.ravel() for image in images]), [0.5, 99.5]))
    for column, image in enumerate(images):
        left = margin + column * (1 + GAP)
        axes.imshow(
            image,
            cmap="gray",
            vmin=low,
            vmax=high,
            extent=(left, left + 1, top + height, top),
            interpolation="none",
            aspect="auto",
        )


def one_of_each(labels: ArrayLike) -> NDArray[np.intp]:
    """Return the row number of the first sample of each label, in the order of the labels.

    Examples
    --------
    >>> one_of_each([2, 0, 0, 1, 2]).tolist()
    [1, 3, 0]
    """
    return np.unique(np.asarray(labels), return_index=True)[1]
