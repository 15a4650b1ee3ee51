"""Draw the picture of the README from the run that `deepjive demo` wrote.

    deepjive demo && python examples/demo_picture.py runs/demo docs/images/demo.png

Left: held-out pairs of images, with the joint, individual and residual part of each modality. Right: a t-SNE map of the
joint scores of all held-out pairs, coloured by digit; t-SNE does not use the digits.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

import deepjive as dj
from deepjive.datasets import load_paired_digits
from deepjive.report.style import INDIVIDUAL, INK, JOINT, LABELS, MUTED, PAPER, RESIDUAL

PARTS = ("input", "joint", "individual", "residual")
COLORS = {"input": INK, "joint": JOINT, "individual": INDIVIDUAL, "residual": RESIDUAL}


def main(run: str, path: str) -> None:
    model = dj.load(run)
    _, test = load_paired_digits(2000, 1000, random_state=0)
    parts = model.decompose(test.data)
    shown = [int(np.flatnonzero(test.digit == digit)[0]) for digit in (0, 3, 4, 7, 9)]
    figure = Figure(figsize=(9.6, 4.1), dpi=150, facecolor=PAPER)
    FigureCanvasAgg(figure)
    for block, name in enumerate(test.data):
        left = 0.02 + 0.29 * block
        figure.text(left + 0.125, 0.955, f"modality “{name}”", ha="center", color=INK, fontsize=11, weight="bold")
        for column, part in enumerate(PARTS):
            figure.text(left + 0.064 * column + 0.03, 0.9, part, ha="center", color=COLORS[part], fontsize=8)
            images = test.data[name][shown] if part == "input" else getattr(parts, part).rows(name, np.array(shown))
            signed = part in ("individual", "residual")
            for row, image in enumerate(images):
                axes = figure.add_axes((left + 0.064 * column, 0.72 - 0.168 * row, 0.06, 0.155))
                axes.imshow(
                    image,
                    cmap="RdBu_r" if signed else "gray_r",
                    vmin=-0.8 if signed else -0.1,
                    vmax=0.8 if signed else 1.1,
                )
                axes.set_axis_off()
    axes = figure.add_axes((0.635, 0.07, 0.35, 0.8))
    points = TSNE(random_state=0).fit_transform(parts.joint_scores)
    for digit in range(10):
        members = points[test.digit == digit]
        axes.scatter(*members.T, s=7, color=LABELS[digit], alpha=0.7, linewidths=0)
        axes.annotate(str(digit), np.median(members, axis=0), color=INK, fontsize=13, weight="bold", ha="center")
    axes.set(xticks=[], yticks=[], facecolor=PAPER)
    for spine in axes.spines.values():
        spine.set_color(MUTED)
        spine.set_linewidth(0.5)
    figure.text(0.81, 0.955, "map of the joint scores", ha="center", color=INK, fontsize=11, weight="bold")
    figure.text(0.81, 0.9, "1000 held-out pairs, coloured by digit", ha="center", color=MUTED, fontsize=9)
    figure.savefig(path, facecolor=PAPER)


if __name__ == "__main__":
    main(*sys.argv[1:3])
