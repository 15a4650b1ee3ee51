"""Data of the explorer: effects of all scores on all modalities, for the sliders of the page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import Decomposition
from deepjive.evaluation.feature_regression import feature_spread
from deepjive.plot.palette import groups_of, thinned
from deepjive.plot.samples import kind_of, line, most_varying, picture
from deepjive.report.responses import Response, respond
from deepjive.report.words import enumeration
from deepjive.subsets import word_of

MOST_FEATURES, MOST_PIXELS = 1000, 128
RENDERED, FEWEST, LOOKED_AT = 2e7, 60, 400
BATCH_SIZE = 64
TEXT_LENGTH = 200
SAME = 1e-5  # relative to the largest value

INTERPOLATED = (
    "The pictures interpolate between the model's output at up to {count} combinations of scores. Elsewhere the "
    "interpolation reproduces {shares} of the output."
)


def page_data(decomposition: Decomposition, labels: Mapping[str, NDArray]) -> dict[str, Any]:
    """Return scores, names and labels of the samples, and the effects of scores, for the scripts of the page.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    labels : mapping of str to array, each of shape (n_samples,)
        Labels of the samples.

    Returns
    -------
    dict
        JSON types, with arrays as base64.
    """
    return {**score_data(decomposition, labels), "modalities": _modalities(decomposition)}


def score_data(decomposition: Decomposition, labels: Mapping[str, NDArray]) -> dict[str, Any]:
    """Return scores, names and labels of the samples, for the scripts of the page."""
    data = decomposition.data
    rows = thinned(len(data))
    names = np.arange(len(data)) if data.samples is None else data.samples
    present: NDArray = data.present[rows].T
    joint = decomposition.joint_scores[rows]
    parts = [part_data("joint", "joint", "joint score", joint, np.any(present, axis=0))]
    for subset, values in decomposition.subset_scores.items():
        word, columns = word_of(subset), [data.names.index(name) for name in subset if name in data.names]
        of_some = part_data("subset", word, f"{word} score", values[rows], np.any(present[columns], axis=0))
        parts.append({**of_some, "members": [_text(name) for name in subset]})
    for name, has_modality in zip(data.names, present, strict=True):
        scores = decomposition.individual_scores[name][rows]
        parts.append(part_data("individual", name, f"{name}, individual score", scores, has_modality))
    return {
        "samples": [_text(names[row]) for row in rows],
        "parts": parts,
        "labels": [label_data(name, np.asarray(values)[rows]) for name, values in labels.items()],
    }


def honesty(explored: Mapping[str, Any]) -> str:
    """Return sentences on the accuracy of the explorer."""
    modalities = explored["modalities"]
    exact = [modality["name"] for modality in modalities if modality["reproduced"] is None]
    sentences = [f"The model of {enumeration(exact)} is linear, so the pictures are exact."] if exact else []
    others = [modality for modality in modalities if modality["reproduced"] is not None]
    if others:
        shares = enumeration([f"{100 * min(other['reproduced'], 0.999):.1f}% in {other['name']}" for other in others])
        sentences.append(INTERPOLATED.format(count=max(other["places"] for other in others), shares=shares))
    return " ".join(sentences)


def _modalities(decomposition: Decomposition) -> list[dict[str, Any]]:
    has_samples = np.any(np.asarray(decomposition.data.present), axis=0).tolist()
    return [
        _modality(decomposition, name)
        for name, measured in zip(decomposition.data.names, has_samples, strict=True)
        if measured and any(scores.shape[1] for scores in decomposition.scores_of(name).values())
    ]


def _modality(decomposition: Decomposition, name: str) -> dict[str, Any]:
    shape = decomposition.data.shapes[name]
    kind, size = kind_of(shape), int(np.prod(shape))
    rows = np.flatnonzero(decomposition.data.present[:, decomposition.data.names.index(name)])
    rows = rows[:: max(1, len(rows) // int(np.clip(RENDERED / size, FEWEST, LOOKED_AT)))]
    shown = np.stack([_shown(sample, kind) for sample in decomposition.data.rows(name, rows)])
    scores = {part: values[rows] for part, values in decomposition.scores_of(name).items()}
    view = _View(decomposition, name, kind, np.arange(shown[0].size))
    if kind == "line":
        view.pixels = most_varying(view.whole(scores), MOST_FEATURES)
    base = view.whole({part: np.zeros((1, values.shape[1])) for part, values in scores.items()})[0]
    values = shown.reshape(len(rows), -1)[:, view.pixels]
    responses = _responses(view, scores, size)
    content: dict[str, Any] = {"name": _text(name), "kind": kind, "base": _floats(base), "responses": responses}
    content |= {"reproduced": _reproduced(responses), "places": _count(responses)}
    if kind == "line":
        features = decomposition.data.features[name]
        names = view.pixels if features is None or len(shape) > 1 else features[view.pixels]
        texts = [_text(feature) for feature in names]
        return {**content, "features": texts, "named": features is not None, "spread": _floats(feature_spread(values))}
    differences = _finite(np.abs(view.whole(scores) - base))
    return {**content, **_picture_scales(values, differences, shown[0].shape)}


def _picture_scales(values: NDArray, differences: NDArray, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the size of the pictures, and the ranges of their grey values and of their differences from the mean."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite if len(finite) else [0.0], [0.5, 99.5]).tolist()
    largest = float(np.percentile(differences, 99.5)) or 1.0
    height, width = shape[:2]
    channels = shape[2] if len(shape) == 3 else 1
    return {"height": height, "width": width, "channels": channels, "low": low, "high": high, "largest": largest}


class _View:
    """Pictures or lines of a modality's parts at any scores, reduced to some of their values.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    name : str
        The modality.
    kind : {"line", "image", "volume"}
        How samples are shown.
    pixels : array of int
        Indices of the values that are shown, in the flattened picture or line.
    """

    def __init__(self, decomposition: Decomposition, name: str, kind: str, pixels: NDArray) -> None:
        self.decomposition, self.name, self.kind, self.pixels = decomposition, name, kind, pixels

    def part(self, part: Any, joint: NDArray, individual: NDArray) -> NDArray:
        """Return one part at some scores, shape (n_points, n_values).

        The scores of a subset are in the place of the joint scores.
        """
        return self._in_batches(
            len(joint), lambda rows: self.decomposition.render(part, self.name, joint[rows], individual[rows])
        )

    def whole(self, scores: Mapping[str, NDArray]) -> NDArray:
        """Return the sum of all parts at scores of all parts, with the mean, shape (n_points, n_values)."""
        return self._in_batches(
            len(scores["joint"]),
            lambda rows: self.decomposition.rendered_at(
                self.name, {part: values[rows] for part, values in scores.items()}
            ),
        )

    def _in_batches(self, count: int, render: Callable[[slice], NDArray]) -> NDArray:
        batches = []
        for start in range(0, count, BATCH_SIZE):
            samples = render(slice(start, start + BATCH_SIZE))
            batches.append(np.stack([_shown(sample, self.kind).reshape(-1)[self.pixels] for sample in samples]))
        return np.concatenate(batches)


def _responses(view: _View, scores: Mapping[str, NDArray], size: int) -> list[dict[str, Any]]:
    """Return the responses of the parts to scores of samples.

    The joint part is a function of the joint scores, and the part of a subset of the subset's scores. The individual
    part is a function of the individual scores, or of both if it also depends on the joint scores.
    """
    responses = []
    joint, individual = scores["joint"], scores["individual"]
    r, s = joint.shape[1], individual.shape[1]

    def zeros(points: NDArray, rank: int) -> NDArray:
        return np.zeros((len(points), rank))

    def shared_part(points: NDArray, part: Any) -> NDArray:
        at_zero = view.part(part, zeros(points[:1], points.shape[1]), zeros(points[:1], s))
        return _finite(view.part(part, points, zeros(points, s)) - at_zero)

    def individual_part(points: NDArray) -> NDArray:
        both = np.hstack([zeros(points, r), points]) if points.shape[1] == s else points
        at_zero = view.part("individual", zeros(points[:1], r), zeros(points[:1], s))
        return _finite(view.part("individual", both[:, :r], both[:, r:]) - at_zero)

    subsets: dict[str, Any] = {word_of(subset): subset for subset in view.decomposition.subset_scores}
    for part, values in scores.items():
        if part != "individual" and values.shape[1]:
            function = partial(shared_part, part=subsets.get(part, part))
            responses.append({"inputs": part, **_packed(respond(function, values, size))})
    if s:
        independent = _is_independent_of_joint_scores(view, joint[:8], individual[:8])
        inputs = "own" if independent else "both"
        points = individual if independent else np.hstack([joint, individual])
        responses.append({"inputs": inputs, **_packed(respond(individual_part, points, size))})
    return responses


def _is_independent_of_joint_scores(view: _View, joint: NDArray, individual: NDArray) -> bool:
    """Return whether the individual part stays the same when the joint scores become 0."""
    with_joint = np.nan_to_num(view.part("individual", joint, individual))
    without_joint = np.nan_to_num(view.part("individual", np.zeros(joint.shape), individual))
    return bool(np.abs(with_joint - without_joint).max() <= SAME * np.abs(without_joint).max())


def _shown(sample: NDArray, kind: str) -> NDArray:
    """Return a sample as a line, or as a picture of at most 128 pixels across, with three channels for colours."""
    if kind == "line":
        return line(sample)
    flat = picture(sample)
    step = -(-max(flat.shape[1], flat.shape[0] // (3 if kind == "volume" else 1)) // MOST_PIXELS)
    if step == 1:
        return flat
    height, width = (size // step * step for size in flat.shape[:2])
    cells = flat[:height, :width].reshape(height // step, step, width // step, step, *flat.shape[2:])
    return cells.mean(axis=(1, 3))


def part_data(
    word: str, name: str, axis: str, scores: NDArray, present: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Return the scores of one part for the scripts of the page, with their smallest, 5%, 95% and largest values.

    Parameters
    ----------
    word : {"joint", "subset", "individual"}
        The kind of the part.
    name : str
        The modality, the subset, or the run.
    axis : str
        Text before the number of a score in the title of an axis.
    scores : array, shape (n_samples, rank)
        The scores.
    present : array of bool, shape (n_samples,), optional
        Which samples have the scores; all by default.

    Returns
    -------
    dict
    """
    scores = np.asarray(scores, dtype=np.float64)
    has_scores = np.ones(len(scores), dtype=bool) if present is None else np.asarray(present)
    present_scores = scores[has_scores] if has_scores.any() else np.zeros((1, scores.shape[1]))
    ranges = np.percentile(present_scores, [0, 5, 95, 100], axis=0).T.tolist()
    packed_scores = _floats(np.where(has_scores[:, None], scores, np.nan))
    words = {"word": word, "name": _text(name), "axis": _text(axis)}
    return {**words, "rank": scores.shape[1], "scores": packed_scores, "ranges": ranges}


def label_data(name: str, values: NDArray) -> dict[str, Any]:
    """Return a label of the samples for the scripts of the page: groups and their codes, or numbers."""
    groups = groups_of(values)
    if groups is None:
        numbers = [value if np.isfinite(value) else None for value in values.tolist()]
        return {"name": _text(name), "values": numbers}
    codes = np.zeros(len(values), dtype=int)
    for code, members in enumerate(groups.values()):
        codes[members] = code
    return {"name": _text(name), "groups": [_text(group) for group in groups], "codes": codes.tolist()}


def _packed(response: Response) -> dict[str, Any]:
    """Return a response as JSON types, with its directions in 16 bits."""
    step = np.maximum(np.abs(response.basis).max(axis=1), 1e-300) / 32767
    basis = np.round(response.basis / step[:, None]).astype("<i2")
    packed = {key: _floats(getattr(response, key)) for key in ("scale", "constant", "linear", "centers", "weights")}
    shares = {"reproduced": response.reproduced, "exact": response.exact, "places": len(response.centers)}
    return {**packed, "step": _floats(step), "basis": _base64(basis), **shares}


def _reproduced(responses: list[dict[str, Any]]) -> float | None:
    if all(response["exact"] for response in responses):
        return None
    return min(response["reproduced"] for response in responses)


def _count(responses: list[dict[str, Any]]) -> int:
    return max((response["places"] for response in responses), default=0)


def _finite(values: NDArray) -> NDArray:
    """Replace NaN, as in the gaps between the slices of a volume, by 0."""
    return np.nan_to_num(values)


def _floats(values: ArrayLike) -> str:
    return _base64(np.asarray(values, dtype="<f4"))


def _base64(array: NDArray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"
