"""Figures of the synthetic experiment: recovered parts beside the true parts, and measures by size of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.report.style import FONT, INDIVIDUAL, INK, JOINT, LABELS, MUTED, new_figure, quiet

FEATURES = 4


def recovered_parts(
    scores: NDArray, truth: NDArray, recovered: Mapping[str, NDArray], part: str, features: int = FEATURES
) -> Figure:
    """Some features of a part against its true score: the true part as a line, recovered parts as points.

    Parameters
    ----------
    scores : array, shape (n_samples,)
        The true score.
    truth : array, shape (n_samples, n_features)
        The true part.
    recovered : mapping of str to array, shape (n_samples, n_features)
        The recovered part by method.
    part : {"joint", "individual"}
        Name of the part.
    features : int, default=4
        Number of features shown, each in a row of panels.

    Returns
    -------
    matplotlib Figure
    """
    order = np.argsort(scores)
    figure = new_figure(0.25 + 0.62 * features, 7.6)
    panels = figure.subplots(features, len(recovered), sharex=True, sharey="row", squeeze=False)
    color = JOINT if part == "joint" else INDIVIDUAL
    for column, (name, values) in enumerate(recovered.items()):
        panels[0][column].set_title(name, fontsize=FONT, color=MUTED)
        for feature in range(features):
            axes = panels[feature][column]
            quiet(axes)
            axes.grid(visible=False)
            axes.plot(scores, values[:, feature], ".", color=color, markersize=1.6, alpha=0.45, rasterized=True)
            axes.plot(scores[order], truth[order, feature], color=INK, linewidth=0.9)
            axes.set_yticks([])
            axes.tick_params(labelbottom=feature == features - 1)
    return figure


def measure_by_size(
    sizes: Sequence[float], curves: Mapping[str, Sequence[Sequence[float]]], xlabel: str, ylabel: str
) -> Figure:
    """A measure against a size of the data, with one curve for each method and standard deviations over seeds.

    Parameters
    ----------
    sizes : sequence of float
        The sizes.
    curves : mapping of str to sequence of sequence of float
        For each method and size the measure of each seed.
    xlabel, ylabel : str
        Labels of the axes.

    Returns
    -------
    matplotlib Figure
    """
    figure = new_figure(2.3)
    axes = figure.subplots()
    quiet(axes, xlabel, ylabel)
    for number, (name, values) in enumerate(curves.items()):
        mean = [float(np.mean(seeds)) if len(seeds) else np.nan for seeds in values]
        sd = [float(np.std(seeds)) if len(seeds) else np.nan for seeds in values]
        color, marker = LABELS[number % len(LABELS)], "o"
        axes.errorbar(sizes, mean, sd, label=name, color=color, marker=marker, markersize=3.5, linewidth=1.1, capsize=2)
    if max(sizes) > 20 * max(min(sizes), 1e-9):
        axes.set_xscale("log")
    axes.legend(fontsize=FONT - 0.5, frameon=False, labelcolor=MUTED)
    return figure
