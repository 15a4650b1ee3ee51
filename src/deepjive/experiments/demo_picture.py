"""The picture of the demonstration: held-out pairs, digits turned by their individual scores, and both kinds of scores.

The pictures of turned digits are made by the model alone. Each row keeps the joint scores of one held-out pair, and
each column has the individual scores of another held-out image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.experiments.demo import Demonstration
from deepjive.report.style import FONT, INDIVIDUAL, INK, JOINT, LABELS, LINE, MUTED, PAPER, WIDTH

SHOWN = (0, 2, 3, 4, 7)  # digits
ANGLES = (-50, -25, 0, 25, 50)  # degrees
LARGEST = 60  # degrees
NEAREST = 15  # images near an angle, whose median scores are shown
MAPPED = 500  # pairs
POINT = 3.5


def joint_map(results: Demonstration) -> NDArray:
    """Map the joint scores of the first 500 held-out pairs to a plane by t-SNE, which does not know the digits.

    Parameters
    ----------
    results : Demonstration
        Results of `demonstrate`.

    Returns
    -------
    array, shape (500, 2)
    """
    from sklearn.manifold import TSNE

    return TSNE(random_state=0, init="pca").fit_transform(results.parts.joint_scores[:MAPPED])


def demonstration_figure(results: Demonstration, places: NDArray, *, wide: bool = False) -> Figure:
    """Draw held-out pairs, digits turned by their individual scores, and maps of joint and individual scores.

    Parameters
    ----------
    results : Demonstration
        Results of `demonstrate`.
    places : array, shape (n_mapped, 2)
        The map of the joint scores, from `joint_map`. Both maps show these pairs.
    wide : bool, default=False
        Whether images and maps are side by side; otherwise the maps are below the images.

    Returns
    -------
    matplotlib Figure
    """
    height = 2.35
    size = (2 * WIDTH, height) if wide else (WIDTH, 2 * height)
    figure = Figure(figsize=size, facecolor=PAPER)
    parts: Any = figure.subfigures(*((1, 2) if wide else (2, 1)))
    images, maps = parts
    for part in parts:
        part.set_facecolor("none")
    shown = np.array([np.flatnonzero(results.pairs.digit == digit)[0] for digit in SHOWN])
    name = results.pairs.data.names[0]
    _images(images, 0.02, [results.pairs.data[each][shown] for each in results.pairs.data.names])
    _images(images, 0.36, _turned(results, name, shown))
    for column, angle in enumerate(ANGLES):
        label = f"{angle:+d}°".replace("-", "−").replace("+0", "0")  # noqa: RUF001
        images.text(0.415 + 0.12 * column, 0.805, label, ha="center", color=INDIVIDUAL, fontsize=FONT - 1.5)
    _title(images, 0.15, "Held-out pairs", "two writers, two angles", INK)
    _title(images, 0.67, "The first image by the model", "rows: joint scores; columns: individual scores", INK)
    _maps(maps, results, name, places)
    return figure


def _turned(results: Demonstration, name: str, rows: NDArray) -> list[NDArray]:
    """Images of a modality with the joint scores of some pairs; each array has the individual scores of one image."""
    joint, individual = results.parts.joint_scores[rows], results.parts.individual_scores[name]
    images = []
    for angle in ANGLES:
        nearest = individual[np.abs(results.pairs.angle[name] - angle).argsort()[:NEAREST]]
        own = np.repeat(np.median(nearest, axis=0)[None], len(rows), axis=0)
        images.append(np.asarray(results.model.inverse_transform(joint, {name: own})[name]))
    return images


def _images(figure: Any, left: float, columns: list[NDArray]) -> None:
    """Draw images, one column for each array (n, height, width)."""
    step, bottom = (0.12, 0.155), 0.02
    for column, images in enumerate(columns):
        for row, image in enumerate(images):
            place = (
                left + step[0] * column,
                bottom + step[1] * (len(images) - 1 - row),
                0.92 * step[0],
                0.95 * step[1],
            )
            axes = figure.add_axes(place)
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(color=LINE, linewidth=0.5)


def _maps(figure: Any, results: Demonstration, name: str, places: NDArray) -> None:
    digits, angles = (of_pairs[: len(places)] for of_pairs in (results.pairs.digit, results.pairs.angle[name]))
    axes = _map(figure, 0.02)
    for digit in range(10):
        members = places[digits == digit]
        axes.scatter(members[:, 0], members[:, 1], s=POINT, color=LABELS[digit], linewidths=0)
        axes.annotate(
            str(digit),
            np.median(members, axis=0),
            (4, 3),
            textcoords="offset points",
            color=INK,
            fontsize=FONT + 1.5,
            weight="bold",
        )
    _title(figure, 0.25, "Map of the joint scores", "colour: the digit", JOINT)
    axes = _map(figure, 0.52)
    own = results.parts.individual_scores[name][: len(places), :2]
    limits = np.percentile(own, [0.5, 99.5], axis=0)
    points = axes.scatter(
        own[:, 0], own[:, 1], s=POINT, c=angles, cmap="turbo", vmin=-LARGEST, vmax=LARGEST, linewidths=0
    )
    axes.set(xlim=limits[:, 0], ylim=limits[:, 1])
    axes.margins(0.05)
    place, ticks = figure.add_axes((0.6, 0.06, 0.3, 0.025)), [-LARGEST, 0, LARGEST]
    bar = figure.colorbar(points, cax=place, orientation="horizontal", ticks=ticks)
    bar.ax.tick_params(labelsize=FONT - 1, labelcolor=MUTED, length=0, pad=1)
    bar.ax.set_xticklabels(["−60°", "0°", "+60°"])  # noqa: RUF001
    bar.outline.set_visible(False)
    _title(figure, 0.75, "Individual scores, first image", "colour: the angle", INDIVIDUAL)


def _map(figure: Any, left: float) -> Axes:
    axes = figure.add_axes((left, 0.12, 0.46, 0.7))
    axes.set(xticks=[], yticks=[], facecolor="none")
    for spine in axes.spines.values():
        spine.set(color=LINE, linewidth=0.5)
    return axes


def _title(figure: Any, middle: float, title: str, below: str, color: str) -> None:
    figure.text(middle, 0.93, title, ha="center", color=color, fontsize=FONT, weight="bold")
    figure.text(middle, 0.865, below, ha="center", color=MUTED, fontsize=FONT - 1.5)
