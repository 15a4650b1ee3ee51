"""The README's picture, from a run of the demonstration.

deepjive demo --out runs/demo && python docs/_tools/demo_picture.py runs/demo docs/images/demo.png

Rows are the first held-out pairs of five digits; the map is t-SNE of the joint scores of all held-out pairs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

import deepjive
from deepjive.datasets.digits import load_paired_digits

PAPER, INK, FAINT = "#fefdfb", "#1b2430", "#8d8d85"
PARTS = {
    "input": INK,
    "joint": "#c8500a",
    "individual": "#0b6fb4",
    "residual": FAINT,
}
DIGITS = 0, 3, 4, 7, 9


def draw(run: Path, pairs: int = 2000, held_out: int = 1000) -> Figure:
    """The picture; the run is one with the command's own number of pairs and seed."""
    _, test = load_paired_digits(pairs, held_out, random_state=0)
    parts = deepjive.load(run).decompose(test.data)
    rows = [int(np.argmax(test.digit == digit)) for digit in DIGITS]
    figure = Figure(figsize=(14.4, 6.1), facecolor=PAPER)
    left, right = figure.subfigures(1, 2, width_ratios=(1.72, 1))
    for half, name in zip(left.subfigures(1, 2), test.data, strict=True):
        half.set_facecolor(PAPER)
        half.suptitle(f"modality “{name}”", color=INK, weight="bold", size=16)
        axes = half.subplots(len(rows), len(PARTS))
        half.subplots_adjust(0.03, 0.03, 0.97, 0.86, 0.08, 0.12)
        shown = {
            "input": test.data[name],
            "joint": parts.joint[name],
            "individual": parts.individual[name],
            "residual": parts.residual[name],
        }
        low, high = np.percentile(np.asarray(test.data[name]), (2, 98))
        widest = np.percentile(np.abs(parts.individual[name]), 99.5)
        for (part, images), column in zip(shown.items(), axes.T, strict=True):
            column[0].set_title(part, color=PARTS[part], size=12)
            for row, panel in zip(rows, column, strict=True):
                whole = part in ("input", "joint")
                limits = (low, high) if whole else (-widest, widest)
                panel.imshow(
                    images[row],
                    cmap="gray_r" if whole else "RdBu_r",
                    vmin=limits[0],
                    vmax=limits[1],
                )
                panel.set_axis_off()
    right.set_facecolor(PAPER)
    right.suptitle("map of the joint scores", color=INK, weight="bold", size=16)
    axes = right.subplots()
    right.subplots_adjust(0.06, 0.05, 0.97, 0.86)
    axes.set_title(
        f"{held_out} pairs never seen, coloured by digit", color=INK, size=12
    )
    axes.set(xticks=[], yticks=[], facecolor=PAPER)
    places = TSNE(random_state=0).fit_transform(parts.joint_scores)
    colours = colormaps["tab10"](test.digit)
    axes.scatter(*places.T, s=9, c=colours, alpha=0.75, linewidths=0)
    for digit in range(10):
        middle = np.median(places[test.digit == digit], axis=0)
        axes.annotate(
            str(digit), middle, size=16, weight="bold", color=INK, ha="center"
        )
    return figure


if __name__ == "__main__":
    draw(Path(sys.argv[1])).savefig(sys.argv[2], dpi=100)
