"""Effects of the scores: pictures from low to high scores, and tables of the features that change most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.report.grids import traversals
from deepjive.report.pieces import Picture, Table, picture
from deepjive.report.samples import kind_of, line

TOP, LOOKED_AT = 8, 400
LOW, HIGH = 5, 95

READ_PICTURES = (
    "How to read it: each row is one {word} score, from low on the left to high on the right (in standard deviations). "
    "All other scores are at their average. The changes along a row show the effect of the score."
)
READ_TABLE = (
    "How to read it: the change of a feature when the score goes from its 5% to its 95% quantile, with all other "
    "scores at their average. The unit is the standard deviation of the feature among the samples. Each score has "
    "the {top} features that change most."
)
HEADER = ("score", "feature", "change")


def effect_pictures(decomposition: Decomposition) -> list[Picture]:
    """Return pictures of the effects of joint and individual scores, for each modality of images or volumes."""
    pictures = []
    for name, shape in decomposition.data.shapes.items():
        ranks = {
            "joint": decomposition.joint_scores.shape[1],
            "individual": decomposition.individual_scores[name].shape[1],
        }
        for word, rank in ranks.items():
            if rank and kind_of(shape) != "line":
                reading = READ_PICTURES.format(word=word)
                pictures.append(picture(f"{name}, {word} scores", traversals(decomposition, name, word), reading))
    return pictures


def effect_tables(decomposition: Decomposition) -> list[Table]:
    """Return tables of the features that change most with the scores, for each modality of features."""
    names = [name for name, shape in decomposition.data.shapes.items() if kind_of(shape) == "line"]
    tables = [(name, list(_rows(decomposition, name))) for name in names]
    reading = READ_TABLE.format(top=TOP)
    return [Table(f"{name}: features that change most", HEADER, rows, reading) for name, rows in tables if rows]


def _rows(decomposition: Decomposition, name: str) -> Iterator[tuple[str, Any, str]]:
    present = np.flatnonzero(decomposition.data.present[:, decomposition.data.names.index(name)])
    if not len(present):
        return
    sampled_rows = present[:: max(1, len(present) // LOOKED_AT)]
    spread = feature_spread(np.stack([line(sample) for sample in decomposition.data.rows(name, sampled_rows)]))
    features = decomposition.data.features[name]
    scores = {"joint": decomposition.joint_scores, "individual": decomposition.individual_scores[name]}
    for part, part_scores in scores.items():
        for k in range(part_scores.shape[1]):
            limits = np.percentile(part_scores[present, k], [LOW, HIGH])
            change = _change(decomposition, name, scores, part, k, limits) / spread
            has_names = features is not None and len(features) == len(change)
            for i in np.argsort(-np.abs(change), kind="stable")[:TOP]:
                change_text = f"{change[i]:+.2f}".replace("-", "−")  # noqa: RUF001
                yield f"{part} {k + 1}", features[i] if has_names and features is not None else int(i), change_text


def _change(
    decomposition: Decomposition, name: str, scores: dict[str, NDArray], part: str, k: int, limits: NDArray
) -> NDArray:
    """Return the change of every feature when one score goes from its low to its high limit, the others at 0."""
    ends = {key: np.zeros((2, values.shape[1])) for key, values in scores.items()}
    ends[part][:, k] = limits
    low, high = (
        line(sample)
        for sample in decomposition.render("joint", name, ends["joint"], ends["individual"])
        + decomposition.render("individual", name, ends["joint"], ends["individual"])
    )
    return high - low


def feature_spread(values: NDArray) -> NDArray:
    """Return the standard deviation of each feature, or 1 for a constant feature.

    Parameters
    ----------
    values : array, shape (n_samples, n_features)
        The features; missing values are NaN and are left out.

    Returns
    -------
    array, shape (n_features,)

    Examples
    --------
    >>> import numpy as np
    >>> feature_spread(np.array([[0.0, 5.0, np.nan], [2.0, 5.0, np.nan]]))
    array([1., 1., 1.])
    """
    finite = np.isfinite(values)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(finite, np.square(values - mean), 0.0).sum(axis=0) / count)
    return np.where(spread > 0, spread, 1.0)
