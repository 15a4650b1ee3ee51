"""Features and scores: the strongest loadings, effects along a score, and heat maps of parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.evaluation.feature_ranking import HIGH, LOW, FeatureEffects, effects_of
from deepjive.evaluation.feature_regression import feature_spread
from deepjive.plot.palette import (
    DIVERGING,
    LABELS,
    axes_of,
    faint,
    muted,
    part_color,
    plain,
    small,
)
from deepjive.plot.pictures import GridLayout
from deepjive.plot.samples import kind_of, line, most_varying
from deepjive.subsets import Subset, part_named, word_of

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANT = 0.05
STEPS = 41
PICTURE_STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
MOST_SAMPLES, MOST_COLUMNS, LOOKED_AT = 400, 120, 400
MOST_TICKS = 40
NO_SCORE = "There is no {part} score {score}. The scores are {scores}."
NO_MODALITY = "There is no modality {name!r}. The modalities are {names}."
ONLY_LINES = (
    "The samples of {name} have the shape {shape}. A heat map is for tables of features; draw images and volumes with "
    "deepjive.plot.examples."
)
NO_FEATURE = "{name} has no feature {feature!r}."


def loadings(
    effects: FeatureEffects | pd.DataFrame,
    score: int = 1,
    *,
    part: str | Subset = "joint",
    top: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Draw the features with the largest effects of a score, with 95% intervals of their standard errors.

    Filled dots have a false discovery rate below 5%. Rings do not, or were not tested.

    Parameters
    ----------
    effects : FeatureEffects or DataFrame
        Effects on the features of one modality, of ``deepjive.evaluation.feature_effects``, or the table that
        ``deepjive fit`` writes (``loadings_*.csv``).
    score : int, default=1
        Number of the score, counted from 1.
    part : str or tuple of str, default="joint"
        Part of the score: "joint", "individual", or a subset of modalities such as ``"rna+protein"``.
    top : int, default=20
        Number of features.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The vertical positions of the features are 0, 1, ... from the top, in the order of their effects.

    Raises
    ------
    ValueError
        If there is no such score.

    See Also
    --------
    deepjive.plot.effects : Curves of the features along the score.
    """
    frame = effects.to_frame() if isinstance(effects, FeatureEffects) else effects
    part = part_named(part, dict.fromkeys([*frame["part"], "joint", "individual"]))
    rows = frame[(frame["part"] == part) & (frame["score"] == score)]
    if not len(rows):
        known = [f"{word} {number}" for word, number in dict.fromkeys(zip(frame["part"], frame["score"], strict=True))]
        raise ValueError(NO_SCORE.format(part=part, score=score, scores=known))
    shown = rows.loc[rows["effect"].abs().sort_values(ascending=False, kind="stable").index[:top]]
    shown = shown.sort_values("effect", ascending=False, kind="stable")
    axes = axes_of(ax)
    places = np.arange(len(shown))
    error = 1.96 * shown["standard_error"].to_numpy(float)
    color = part_color(part)
    found = shown["q_value"].to_numpy(float) < SIGNIFICANT
    axes.axvline(0, color=faint(), linewidth=0.8, zorder=0)
    axes.errorbar(
        shown["effect"], places, xerr=np.nan_to_num(error), fmt="none", ecolor=muted(), elinewidth=0.8, zorder=1
    )
    axes.scatter(
        shown["effect"],
        places,
        s=18,
        facecolors=[color if yes else "none" for yes in found],
        edgecolors=color,
        linewidths=0.9,
        zorder=2,
    )
    axes.set_yticks(places, [plain(name) for name in shown["feature"]])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(f"change (sd) per sd of {part} score {score}")
    axes.grid(visible=False)
    return axes


def effects(
    parts: Decomposition,
    modality: str,
    score: int = 1,
    *,
    part: str | Subset = "joint",
    features: list[str] | None = None,
    top: int = 6,
    ax: Axes | None = None,
) -> Axes:
    """Draw how a modality changes along a score, with all other scores at 0.

    Features are curves over the 5% to 95% range of the score; a linear model has straight lines. Images and volumes are
    a row of pictures from -2 to 2 standard deviations of the score.

    Parameters
    ----------
    parts : Decomposition
        The decomposition.
    modality : str
        The modality.
    score : int, default=1
        Number of the score, counted from 1.
    part : str or tuple of str, default="joint"
        Part of the score: "joint", "individual", or a subset of modalities such as ``"rna+protein"``.
    features : list of str, default=None
        Names of the drawn features, or their numbers from 0 as text if they have no names. By default those with the
        largest effects.
    top : int, default=6
        Number of features if `features` is not given.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes
        Curves are in standard deviations of the feature, as differences from all scores at 0.

    Raises
    ------
    ValueError
        If there is no such modality, score or feature.
    """
    parts = parts.adjusted
    part = _checked_part(parts, modality, part, score)
    axes = axes_of(ax)
    if kind_of(parts.data.shapes[modality]) != "line":
        images = pictures_along(parts, modality, part, score)
        return GridLayout([images], [f"{part} score {score}"], step_labels()).draw(axes)
    ranked = effects_of(parts, modality, LOOKED_AT)
    if features is None:
        row = ranked.scores.index((part, score))
        columns = np.argsort(-np.nan_to_num(np.abs(ranked.effect[row])), kind="stable")[:top].tolist()
    else:
        if unknown := [name for name in features if name not in ranked.features]:
            raise ValueError(NO_FEATURE.format(name=modality, feature=unknown[0]))
        columns = [ranked.features.index(name) for name in features]
    present = parts.data.present[:, parts.data.names.index(modality)]
    all_scores = parts.scores_of(modality)[part][present, score - 1]
    low, high = np.percentile(all_scores, [LOW, HIGH]).tolist()
    points = np.linspace(low, high, STEPS)
    curves = _along(parts, modality, part, score, np.append(points, 0.0)).reshape(STEPS + 1, -1)[:, columns]
    spread = feature_spread(_lines(parts, modality)[:, columns])
    for position, column in enumerate(columns):
        values = (curves[:-1, position] - curves[-1, position]) / spread[position]
        axes.plot(points, values, color=LABELS[position % len(LABELS)], label=plain(ranked.features[column]))
    axes.axhline(0, color=faint(), linewidth=0.8, zorder=0)
    axes.set(xlabel=f"{part} score {score} (sd)", ylabel="change (sd)")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False)
    return axes


def heatmap(
    parts: Decomposition,
    modality: str,
    *,
    part: str | Subset = "joint",
    sort_by: int = 1,
    most: int = MOST_COLUMNS,
    ax: Axes | None = None,
) -> Axes:
    """Draw one part of a table as a heat map of samples and features.

    Values are differences from the mean, in standard deviations of the feature in the data. Samples are in the order of
    a score, and features in the order of their covariance with it, so that the part of this score runs from one
    corner to the other. All parts of a modality have the same samples and features in the same order.

    Parameters
    ----------
    parts : Decomposition
        The decomposition.
    modality : str
        A modality of features.
    part : str or tuple of str, default="joint"
        The part to draw: "data", "joint", "individual", "residual", or a subset of modalities such as
        ``"rna+protein"``.
    sort_by : int, default=1
        Number of the joint score, counted from 1, that orders samples and features; without joint scores, of the first
        part that has scores.
    most : int, default=120
        Number of features; those that vary most are drawn. At most 400 samples are drawn.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the modality has images or volumes, or if there is no such part or score.
    """
    parts = parts.adjusted
    if modality not in parts.data.names:
        raise ValueError(NO_MODALITY.format(name=modality, names=list(parts.data.names)))
    if kind_of(parts.data.shapes[modality]) != "line":
        raise ValueError(ONLY_LINES.format(name=modality, shape=parts.data.shapes[modality]))
    part = part_named(part, ["data", *parts.scores_of(modality), "residual"])
    word = next((key for key, values in parts.scores_of(modality).items() if values.shape[1]), "joint")
    score = parts.scores_of(modality)[_checked_part(parts, modality, word, sort_by)][:, sort_by - 1]
    present = np.flatnonzero(parts.data.present[:, parts.data.names.index(modality)])
    rows = present[np.argsort(score[present], kind="stable")]
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_SAMPLES)).round().astype(int))]
    data = np.stack([line(sample) for sample in parts.data.rows(modality, rows)]).astype(float)
    columns = most_varying(np.nan_to_num(data), most)
    spread, mean = feature_spread(data[:, columns]), line(parts.mean[modality])[columns]
    order = columns[np.argsort(-_covariance(score[rows], data[:, columns] / spread), kind="stable")]
    spread, mean = feature_spread(data[:, order]), line(parts.mean[modality])[order]
    values = _part(parts, modality, part, rows, data, order)
    shown = (values - mean if part in ("data", "joint") else values) / spread
    axes = axes_of(ax)
    axes.imshow(shown, cmap=DIVERGING, vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    axes.set(xlabel=f"{len(order)} features of {plain(modality)}", ylabel=f"samples by {word} score {sort_by}")
    axes.set_title(part, color=muted() if part == "data" else part_color(part), fontsize=small())
    axes.set_yticks([])
    named = parts.data.features[modality]
    if named is not None and len(order) <= MOST_TICKS:
        axes.set_xticks(range(len(order)), [plain(np.ravel(named)[i], 14) for i in order], rotation=90)
    else:
        axes.set_xticks([])
    return axes


def pictures_along(parts: Decomposition, modality: str, part: str, score: int) -> NDArray:
    """Return images from -2 to 2 of a score, with all other scores at 0; the effects are on the mean image."""
    return _along(parts, modality, part, score, np.array(PICTURE_STEPS))


def step_labels() -> list[str]:
    """Return the labels of `pictures_along`, with a typographic minus sign."""
    return [f"{step:+g}".replace("-", "\N{MINUS SIGN}") if step else "0" for step in PICTURE_STEPS]


def _along(parts: Decomposition, modality: str, part: str, score: int, points: NDArray) -> NDArray:
    at = np.zeros((len(points), parts.scores_of(modality)[part].shape[1]))
    at[:, score - 1] = points
    return parts.rendered_at(modality, {part: at})


def _part(parts: Decomposition, name: str, part: str, rows: NDArray, data: NDArray, columns: NDArray) -> NDArray:
    if part == "data":
        return data[:, columns]
    of_subsets = {word_of(subset): values for subset, values in parts.subset.items()}
    samples = (of_subsets[part] if part in of_subsets else getattr(parts, part)).rows(name, rows)
    return np.stack([line(sample) for sample in samples])[:, columns]


def _covariance(score: NDArray, values: NDArray) -> NDArray:
    centred = np.nan_to_num(values - np.nanmean(values, axis=0))
    covariance: NDArray = (score - score.mean()) @ centred
    return covariance


def _lines(parts: Decomposition, name: str) -> NDArray:
    present = np.flatnonzero(parts.data.present[:, parts.data.names.index(name)])
    rows = present[:: max(1, -(-len(present) // LOOKED_AT))]
    return np.stack([line(sample) for sample in parts.data.rows(name, rows)]).astype(float)


def _checked_part(parts: Decomposition, modality: str, part: str | Subset, score: int) -> str:
    """Return the name of a part after checking that the modality has such a score."""
    if modality not in parts.data.names:
        raise ValueError(NO_MODALITY.format(name=modality, names=list(parts.data.names)))
    known = parts.scores_of(modality)
    part = part_named(part, known)
    rank = known[part].shape[1]
    if not 1 <= score <= rank:
        scores = [f"{part} {i}" for i in range(1, rank + 1)]
        raise ValueError(NO_SCORE.format(part=part, score=score, scores=scores))
    return part
