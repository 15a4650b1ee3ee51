"""Grids of images: the effects of scores, and one modality predicted from another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import Decomposition
from deepjive.report.samples import picture
from deepjive.report.style import FONT, MUTED, WIDTH, plain

MOST = 10
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
GAP = 0.08


def traversals(decomposition: Decomposition, name: str, part: str = "joint") -> Figure:
    """Effects of the scores of a part on a modality of images; in each row one score goes from -2 to 2.

    The other scores are 0. At most the first ten scores are shown.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition that has the scores.
    name : str
        The modality.
    part : {"joint", "individual"}
        The part whose scores change. Effects of individual scores are added to the mean image.
    """
    joint, own = decomposition.joint_scores.shape[1], decomposition.individual_scores[name].shape[1]
    rows, labels = [], []
    for score in range(min(MOST, joint if part == "joint" else own)):
        scores = {"joint": np.zeros((len(STEPS), joint)), "individual": np.zeros((len(STEPS), own))}
        scores[part][:, score] = STEPS
        drawn = decomposition.render("joint", name, scores["joint"], scores["individual"])
        if part == "individual":
            drawn = drawn + decomposition.render("individual", name, scores["joint"], scores["individual"])
        rows.append(drawn)
        labels.append(f"{score + 1}")
    return grid(rows, labels, [f"{step:+g}".replace("-", "−") if step else "0" for step in STEPS])  # noqa: RUF001


def grid(rows: Sequence[NDArray], row_labels: Sequence[str], column_labels: Sequence[str] = ()) -> Figure:
    """Images in rows and columns; each row has its own grey scale.

    Parameters
    ----------
    rows : sequence of array, each (n_columns, height, width)
        The images of each row.
    row_labels, column_labels : sequence of str
        Labels beside the rows and above the columns.
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
    down = top
    for row, label, height in zip(pictures, row_labels, heights, strict=True):
        low, high = map(float, np.nanpercentile(np.concatenate([image.ravel() for image in row]), [0.5, 99.5]))
        axes.text(margin - 0.12, down + height / 2, plain(label), fontsize=FONT, color=MUTED, ha="right", va="center")
        for column, image in enumerate(row):
            left = margin + column * (1 + GAP)
            axes.imshow(
                image,
                cmap="gray",
                vmin=low,
                vmax=high,
                extent=(left, left + 1, down + height, down),
                interpolation="none",
                aspect="auto",
            )
        down += height + GAP
    axes.set(xlim=(0, width), ylim=(total, 0), autoscale_on=False)
    return figure


def one_of_each(labels: ArrayLike) -> NDArray[np.intp]:
    """The first sample of each label, in the labels' order.

    Examples
    --------
    >>> one_of_each([2, 0, 0, 1, 2]).tolist()
    [1, 3, 0]
    """
    return np.unique(np.asarray(labels), return_index=True)[1]
