"""Data for the explorer of the page, whose sliders change scores and show the effect on every modality."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.decomposition import Decomposition
from deepjive.report.effects import feature_spread
from deepjive.report.figures import groups_of, thinned
from deepjive.report.responses import Response, respond
from deepjive.report.samples import kind_of, line, most_varying, picture
from deepjive.report.words import enumeration

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
    """Scores, names and labels of the samples, and the effect of scores on each modality, for the page's scripts.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition to explore.
    labels : mapping of str to array, each of shape (n_samples,)
        Labels of the samples.

    Returns
    -------
    dict
        The data in JSON's types; arrays are encoded as base64.
    """
    return {**score_data(decomposition, labels), "modalities": _modalities(decomposition)}


def score_data(decomposition: Decomposition, labels: Mapping[str, NDArray]) -> dict[str, Any]:
    """Scores, names and labels of the samples, for the page's scripts."""
    data = decomposition.data
    rows = thinned(len(data))
    names = np.arange(len(data)) if data.samples is None else data.samples
    present: NDArray = data.present[rows].T
    joint = decomposition.joint_scores[rows]
    parts = [part_data("joint", "joint", "joint score", joint, np.any(present, axis=0))]
    for name, there in zip(data.names, present, strict=True):
        own = decomposition.individual_scores[name][rows]
        parts.append(part_data("individual", name, f"{name}, individual score", own, there))
    return {
        "samples": [_text(names[row]) for row in rows],
        "parts": parts,
        "labels": [label_data(name, np.asarray(values)[rows]) for name, values in labels.items()],
    }


def honesty(explored: Mapping[str, Any]) -> str:
    """Sentences on how close the explorer is to the model."""
    modalities = explored["modalities"]
    exact = [modality["name"] for modality in modalities if modality["reproduced"] is None]
    sentences = [f"The model of {enumeration(exact)} is linear, so the pictures are exact."] if exact else []
    others = [modality for modality in modalities if modality["reproduced"] is not None]
    if others:
        shares = enumeration([f"{100 * min(other['reproduced'], 0.999):.1f}% in {other['name']}" for other in others])
        sentences.append(INTERPOLATED.format(count=max(other["places"] for other in others), shares=shares))
    return " ".join(sentences)


def _modalities(decomposition: Decomposition) -> list[dict[str, Any]]:
    joint_rank = decomposition.joint_scores.shape[1]
    present = np.any(np.asarray(decomposition.data.present), axis=0).tolist()
    return [
        _modality(decomposition, name)
        for name, there in zip(decomposition.data.names, present, strict=True)
        if there and joint_rank + decomposition.individual_scores[name].shape[1] > 0
    ]


def _modality(decomposition: Decomposition, name: str) -> dict[str, Any]:
    shape = decomposition.data.shapes[name]
    kind, size = kind_of(shape), int(np.prod(shape))
    rows = np.flatnonzero(decomposition.data.present[:, decomposition.data.names.index(name)])
    rows = rows[:: max(1, len(rows) // int(np.clip(RENDERED / size, FEWEST, LOOKED_AT)))]
    shown = np.stack([_shown(sample, kind) for sample in decomposition.data.rows(name, rows)])
    z, own = decomposition.joint_scores, decomposition.individual_scores[name]
    view = _View(decomposition, name, kind, np.arange(shown[0].size))
    if kind == "line":
        view.kept = most_varying(view.both(z[rows], own[rows]), MOST_FEATURES)
    base = view.both(np.zeros((1, z.shape[1])), np.zeros((1, own.shape[1])))[0]
    values = shown.reshape(len(rows), -1)[:, view.kept]
    responses = _responses(view, z, own, rows, size)
    content: dict[str, Any] = {"name": _text(name), "kind": kind, "base": _floats(base), "responses": responses}
    content |= {"reproduced": _reproduced(responses), "places": _count(responses)}
    if kind == "line":
        features = decomposition.data.features[name]
        names = view.kept if features is None or len(shape) > 1 else features[view.kept]
        spread = feature_spread(values)
        content |= {"features": [_text(one) for one in names], "named": features is not None, "spread": _floats(spread)}
        return content
    known = values[np.isfinite(values)]
    low, high = (float(one) for one in np.percentile(known if len(known) else [0.0], [0.5, 99.5]))
    moved = _finite(np.abs(view.both(z[rows], own[rows]) - base))
    largest = float(np.percentile(moved, 99.5)) or 1.0
    height, width = shown[0].shape
    return {**content, "height": height, "width": width, "low": low, "high": high, "largest": largest}


class _View:
    """The parts of a modality at given scores, as flat pictures or lines of some of the values."""

    def __init__(self, decomposition: Decomposition, name: str, kind: str, kept: NDArray) -> None:
        self.decomposition, self.name, self.kind, self.kept = decomposition, name, kind, kept

    def part(self, part: Any, joint: NDArray, own: NDArray) -> NDArray:
        """One part at some scores, shape (n_places, n_values)."""
        pieces = []
        for start in range(0, len(joint), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            drawn = self.decomposition.render(part, self.name, joint[rows], own[rows])
            pieces.append(np.stack([_shown(sample, self.kind).reshape(-1)[self.kept] for sample in drawn]))
        return np.concatenate(pieces)

    def both(self, joint: NDArray, own: NDArray) -> NDArray:
        """Joint and individual part, with the mean."""
        return self.part("joint", joint, own) + self.part("individual", joint, own)


def _responses(view: _View, z: NDArray, own: NDArray, rows: NDArray, size: int) -> list[dict[str, Any]]:
    """Responses: the joint part to the joint scores; the individual part to individual scores or, if needed, to all."""
    responses = []
    r, s = z.shape[1], own.shape[1]

    def no(places: NDArray, rank: int) -> NDArray:
        return np.zeros((len(places), rank))

    def joint_part(places: NDArray) -> NDArray:
        return _finite(
            view.part("joint", places, no(places, s)) - view.part("joint", no(places[:1], r), no(places[:1], s))
        )

    def individual_part(places: NDArray) -> NDArray:
        at = np.hstack([no(places, r), places]) if places.shape[1] == s else places
        zero = view.part("individual", no(places[:1], r), no(places[:1], s))
        return _finite(view.part("individual", at[:, :r], at[:, r:]) - zero)

    if r:
        responses.append({"inputs": "joint", **_packed(respond(joint_part, z[rows], size))})
    if s:
        few = rows[:8]
        with_joint = view.part("individual", z[few], own[few])
        without = view.part("individual", no(z[few], r), own[few])
        with_joint, without = np.nan_to_num(with_joint), np.nan_to_num(without)
        alone = bool(np.abs(with_joint - without).max() <= SAME * np.abs(without).max())
        scores = own[rows] if alone else np.hstack([z[rows], own[rows]])
        responses.append({"inputs": "own" if alone else "both", **_packed(respond(individual_part, scores, size))})
    return responses


def _shown(sample: NDArray, kind: str) -> NDArray:
    if kind == "line":
        return line(sample)
    flat = picture(sample)
    step = -(-max(flat.shape[1], flat.shape[0] // (3 if kind == "volume" else 1)) // MOST_PIXELS)
    if step == 1:
        return flat
    height, width = (size // step * step for size in flat.shape)
    return flat[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3))


def part_data(
    word: str, name: str, axis: str, scores: NDArray, present: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Scores of one part for the page's scripts, with their smallest, 5%, 95% and largest values.

    Parameters
    ----------
    word, name : str
        "joint" or "individual", and the modality that has these scores.
    axis : str
        Name of the axis, before the number of the score.
    scores : array, shape (n_samples, rank)
        The scores.
    present : array of bool, shape (n_samples,), optional
        Whether each sample has these scores.
    """
    scores = np.asarray(scores, dtype=np.float64)
    there = np.ones(len(scores), dtype=bool) if present is None else np.asarray(present)
    known = scores[there] if there.any() else np.zeros((1, scores.shape[1]))
    ranges = np.percentile(known, [0, 5, 95, 100], axis=0).T.tolist()
    shown = _floats(np.where(there[:, None], scores, np.nan))
    words = {"word": word, "name": _text(name), "axis": _text(axis)}
    return {**words, "rank": scores.shape[1], "scores": shown, "ranges": ranges}


def label_data(name: str, values: NDArray) -> dict[str, Any]:
    """A label of the samples for the page's scripts: groups and their codes, or numbers."""
    groups = groups_of(values)
    if groups is None:
        numbers = [value if np.isfinite(value) else None for value in values.tolist()]
        return {"name": _text(name), "values": numbers}
    codes = np.zeros(len(values), dtype=int)
    for code, members in enumerate(groups.values()):
        codes[members] = code
    return {"name": _text(name), "groups": [_text(group) for group in groups], "codes": codes.tolist()}


def _packed(response: Response) -> dict[str, Any]:
    """A response in JSON's types; its directions in 16 bits."""
    step = np.maximum(np.abs(response.basis).max(axis=1), 1e-300) / 32767
    basis = np.round(response.basis / step[:, None]).astype("<i2")
    packed = {key: _floats(getattr(response, key)) for key in ("scale", "constant", "linear", "centers", "weights")}
    shares = {"reproduced": response.reproduced, "exact": response.exact, "places": len(response.centers)}
    return {**packed, "step": _floats(step), "basis": _base64(basis), **shares}


def _reproduced(responses: list[dict[str, Any]]) -> float | None:
    return None if all(one["exact"] for one in responses) else min(one["reproduced"] for one in responses)


def _count(responses: list[dict[str, Any]]) -> int:
    return max((one["places"] for one in responses), default=0)


def _finite(values: NDArray) -> NDArray:
    """Zero in the gaps between the slices of a volume."""
    return np.nan_to_num(values)


def _floats(values: ArrayLike) -> str:
    return _base64(np.asarray(values, dtype="<f4"))


def _base64(array: NDArray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"
