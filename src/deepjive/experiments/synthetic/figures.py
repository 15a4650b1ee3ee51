"""Figures of experiments: what was recovered beside the truth, and how figures change with size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.report.style import FONT, INDIVIDUAL, INK, JOINT, LABELS, MARKERS, MUTED, new_figure, quiet

FEATURES = 4


def recovered(
    scores: NDArray, truth: NDArray, found: Mapping[str, NDArray], word: str, features: int = FEATURES
) -> Figure:
    """Some features of a part against its true score: the truth as a line, what each method found as points.

    Parameters
    ----------
    scores : array, shape (n_samples,)
        The true score.
    truth : array, shape (n_samples, n_features)
        The true part.
    found : mapping of str to array, shape (n_samples, n_features)
        The part by method.
    word : {"joint", "individual"}
        Which part it is.
    features : int
        Number of features shown, a row of panels each.
    """
    order = np.argsort(scores)
    figure = new_figure(0.25 + 0.62 * features, 7.6)
    panels = figure.subplots(features, len(found), sharex=True, sharey="row", squeeze=False)
    color = JOINT if word == "joint" else INDIVIDUAL
    for column, (name, part) in enumerate(found.items()):
        panels[0][column].set_title(name, fontsize=FONT, color=MUTED)
        for feature in range(features):
            axes = panels[feature][column]
            quiet(axes)
            axes.grid(visible=False)
            axes.plot(scores, part[:, feature], ".", color=color, markersize=1.6, alpha=0.45, rasterized=True)
            axes.plot(scores[order], truth[order, feature], color=INK, linewidth=0.9)
            axes.set_yticks([])
            axes.tick_params(labelbottom=feature == features - 1)
    return figure


def sweep(x: Sequence[float], curves: Mapping[str, Sequence[Sequence[float]]], xlabel: str, ylabel: str) -> Figure:
    """Figures against a size, one curve a method, with the spread over seeds.

    Parameters
    ----------
    x : sequence of float
        The sizes.
    curves : mapping of str to sequence of sequence of float
        For each method and size the figures of all seeds.
    xlabel, ylabel : str
        What is shown.
    """
    figure = new_figure(2.3)
    axes = figure.subplots()
    quiet(axes, xlabel, ylabel)
    for number, (name, values) in enumerate(curves.items()):
        middle = [float(np.mean(one)) if len(one) else np.nan for one in values]
        spread = [float(np.std(one)) if len(one) else np.nan for one in values]
        color, marker = LABELS[number % len(LABELS)], MARKERS[number % len(MARKERS)]
        axes.errorbar(
            x, middle, spread, label=name, color=color, marker=marker, markersize=3.5, linewidth=1.1, capsize=2
        )
    if max(x) > 20 * max(min(x), 1e-9):
        axes.set_xscale("log")
    axes.legend(fontsize=FONT - 0.5, frameon=False, labelcolor=MUTED)
    return figure
