"""Prediction of held-out samples from coordinates along the manifold on which samples lie.

The samples' places are their linear joint parts (AJIVE), or, where nothing is linear, what a kernel regression on the
other modalities expects. Unrolling (`deepjive.deep.geometry.unrolling`) gives coordinates along the manifold of these
places, and a kernel regression on the coordinates of the other modalities predicts each modality.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from deepjive.algebra import thin_svd
from deepjive.data.modalities import Modalities
from deepjive.deep.geometry.dimension import diffusion_coordinates, sheet_dimension
from deepjive.deep.geometry.unrolling import KernelRegression, sheets_of
from deepjive.linear.ajive import AJIVE
from deepjive.linear.angles import NoSignalWarning

CLEAR = 3.0  # standard errors above no prediction
STANDARD_ERRORS = 2.0
LEAST_SHARE = 0.05
FOLDS = 4
ENOUGH_HELD_OUT, ENOUGH_TO_LEARN = 250, 500
DRAWS = 100


def linear_fit(data: Modalities, seed: int, draws: int = 1000, signal_ranks: Mapping[str, int] | None = None) -> AJIVE:
    """AJIVE with ranks of its own finding, but a signal in every modality: of one feature no threshold can tell.

    With `draws` of each bound, and with signal ranks that are known.
    """
    bounds: Any = {"n_wedin": draws, "n_random": draws, "random_state": seed}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* of the modality's variance", UserWarning)  # of individual scores
        warnings.simplefilter("ignore", NoSignalWarning)
        if signal_ranks is not None:
            return AJIVE(signal_ranks=signal_ranks, **bounds).fit(data)
        linear = AJIVE(**bounds).fit(data)
        if all(linear.signal_ranks_.values()):
            return linear
        ranks = {name: max(1, rank) for name, rank in linear.signal_ranks_.items()}
        return AJIVE(signal_ranks=ranks, **bounds).fit(data)


def places(linear: AJIVE, data: Modalities) -> NDArray:
    """Where samples lie in the linear joint part, shape (n_samples, joint_rank): distances are those of joint parts.

    Of `data` that lacks modalities, as far as the others tell.
    """
    loadings = np.concatenate([rows.reshape(len(rows), -1) for rows in linear.joint_loadings_.values()], axis=1)
    rotation, lengths, _ = thin_svd(loadings)
    return linear.transform(data) @ (rotation * lengths)


def signal_of(linear: AJIVE, data: Modalities, name: str) -> tuple[NDArray, NDArray]:
    """A modality's samples (n_samples, signal_rank) along the directions (n_features, signal_rank) of its signal."""
    loadings = linear.signal_loadings_[name].reshape(linear.signal_ranks_[name], -1)
    directions = (loadings / np.linalg.norm(loadings, axis=1, keepdims=True)).T
    return (np.asarray(data[name]) - linear.mean_[name]).reshape(len(data), -1) @ directions, directions


def is_curved(data: Modalities, seed: int) -> bool:
    """Whether a kernel regression on the others' signals clearly predicts held-out samples."""
    linear = linear_fit(data, seed, DRAWS)
    gains = []
    for train, test in held_out_folds(len(data), seed):
        seen, unseen, model = data[train], data[test], _like(linear).fit(data[train])
        some = _enough(len(train))
        by_modality = []
        for name in data.names:
            others = [other for other in data.names if other != name]
            target, held_out = (signal_of(model, part, name)[0] for part in (seen, unseen))
            near, far = (_signals(model, part, others) for part in (seen, unseen))
            predicted = KernelRegression.of(near[some], target[some])(far)
            gain = np.square(held_out).sum(axis=1) - np.square(held_out - predicted).sum(axis=1)
            by_modality.append(gain / max(float(np.square(held_out).sum(axis=1).mean()), 1e-300))
        gains.append(np.mean(by_modality, axis=0))
    gain = np.concatenate(gains)
    return bool(gain.mean() > CLEAR * gain.std(ddof=1) / np.sqrt(len(gain)))


def climb(
    data: Modalities,
    linear: AJIVE,
    most: int,
    seed: int,
    adjust: Callable[[float], float],
    worthwhile: Callable[[int, float], bool],
) -> tuple[list[float], list[float]]:
    """Held-out prediction by 0, 1, ... unrolled coordinates, until one more is not worth having.

    A coordinate is worth having if it lowers the error by two standard errors and by a twentieth of what is predicted.
    The largest number is tried first. If it is not worthwhile, smaller numbers are not tried, and are not a number
    (NaN).
    """
    folds = [_Fold(data, train, test, _like(linear), most) for train, test in held_out_folds(len(data), seed)]
    mean_error = np.concatenate([fold.error_of_mean for fold in folds])

    def by(count: int) -> tuple[NDArray, float]:
        by_sheet = np.concatenate([fold.errors(count) for fold in folds], axis=1)
        error = by_sheet[by_sheet.mean(axis=1).argmin()]
        return error, float(1 - error.mean() / mean_error.mean())

    def standard_error(gain: NDArray) -> float:
        return float(gain.std(ddof=1) / np.sqrt(len(gain)) / mean_error.mean())

    last = by(most)
    if not worthwhile(most, adjust(last[1])):
        unknown = [float("nan")] * (most - 1)
        return [0.0, *unknown, adjust(last[1])], [0.0, *unknown, standard_error(mean_error - last[0])]
    errors, reached, standard_errors = [mean_error], [0.0], [0.0]
    for count in range(1, most + 1):
        error, r2 = last if count == most else by(count)
        uncertain = standard_error(errors[-1] - error)
        if r2 - reached[-1] <= max(STANDARD_ERRORS * uncertain, LEAST_SHARE * r2):
            break
        errors.append(error)
        reached.append(r2)
        standard_errors.append(uncertain)
    return [0.0, *map(adjust, reached[1:])], standard_errors


def without_unrolled(data: Modalities, joint_rank: int, seed: int) -> Modalities:
    """What `joint_rank` coordinates of all modalities, without a sample's own share in them, leave of each sample."""
    linear = linear_fit(data, seed)
    if joint_rank > linear.joint_rank_ > 0:
        linear = AJIVE(joint_rank=joint_rank, random_state=seed).fit(data)
    rest = {name: np.asarray(data[name]) - linear.mean_[name] for name in data.names}
    if not joint_rank:
        return Modalities(rest).adjusted_to({})
    points, some = points_of(linear, data), _enough(len(data))
    coordinates = [sheet(points) for sheet in sheets_of(points, joint_rank)]
    if points.shape[1] > joint_rank >= sheet_dimension(points, seed):
        coordinates.append(diffusion_coordinates(points))  # they are more, and describe all of the sheet
    signals = _signals(linear, data, data.names)
    best = min(coordinates, key=lambda one: KernelRegression.of(one[some], signals[some]).left_out_error)
    joint = KernelRegression.of(best, signals).left_out
    for name in data.names:
        signal, directions = signal_of(linear, data, name)
        expected, joint = np.split(joint, [signal.shape[1]], axis=1)
        rest[name] = rest[name] - expected * _size(linear, name) @ directions.T
    return Modalities(rest).adjusted_to({})


class _Fold:
    """Prediction of held-out samples by 1, 2, ... coordinates of the modalities that are not predicted."""

    def __init__(self, data: Modalities, train: NDArray, test: NDArray, linear: AJIVE, largest: int) -> None:
        seen, unseen = data[train], data[test]
        linear.fit(seen)
        sheets = sheets_of(places(linear, seen), largest) if linear.joint_rank_ else []
        self.cases: list[tuple[list[tuple[NDArray, NDArray]], NDArray, NDArray]] = []
        rest = []
        for name in data.names:
            variance = float(np.square(seen[name] - linear.mean_[name]).sum()) / len(train)
            target, held_out = (signal_of(linear, part, name)[0] / np.sqrt(variance) for part in (seen, unseen))
            whole = np.square(unseen[name] - linear.mean_[name]).reshape(len(test), -1).sum(axis=1) / variance
            rest.append(whole - np.square(held_out).sum(axis=1))
            others = [other for other in data.names if other != name]
            if linear.joint_rank_:
                near, far = (places(linear, part.select(others)) for part in (seen, unseen))
            else:
                near, far = _expected(target, *(_signals(linear, part, others) for part in (seen, unseen)))
            ways = sheets or sheets_of(near, largest)
            some = _enough(len(train))
            self.cases.append(([(way(near[some]), way(far)) for way in ways], target[some], held_out))
        self.rest = np.mean(rest, axis=0)

    @property
    def error_of_mean(self) -> NDArray:
        """Squared error (n_test,) of predicting the mean, averaged over modalities; 1 is its usual size."""
        return self.rest + np.mean([np.square(held_out).sum(axis=1) for *_, held_out in self.cases], axis=0)

    def errors(self, rank: int) -> NDArray:
        """Squared errors (n_sheets, n_test) of prediction by `rank` coordinates."""
        errors = [
            [
                np.square(held_out - KernelRegression.of(near[:, :rank], target)(far[:, :rank])).sum(axis=1)
                for near, far in coordinates
            ]
            for coordinates, target, held_out in self.cases
        ]
        sheets = max(map(len, errors))  # what has one dimension lies in one way, however others are unrolled
        return self.rest + np.mean([one * sheets if len(one) == 1 else one for one in errors], axis=0)


def _expected(target: NDArray, near: NDArray, far: NDArray) -> tuple[NDArray, NDArray]:
    """What a kernel regression expects of a target, of the samples learned from (each by the others) and of others."""
    regression = KernelRegression.of(near, target)
    rotation = thin_svd(regression.left_out - regression.left_out.mean(axis=0))[2].T
    return regression.left_out @ rotation, regression(far) @ rotation


def points_of(linear: AJIVE, data: Modalities) -> NDArray:
    """Where samples lie: in the linear joint part, or, where there is none, by a kernel regression."""
    return places(linear, data) if linear.joint_rank_ else _curved_places(linear, data)


def _curved_places(linear: AJIVE, data: Modalities) -> NDArray:
    """What the others let expect of every modality's signal, side by side, shape (n_samples, sum of signal ranks)."""
    expected = []
    for name in data.names:
        others = _signals(linear, data, [other for other in data.names if other != name])
        expected.append(_expected(_signals(linear, data, [name]), others, others)[0])
    return np.concatenate(expected, axis=1)


def _signals(linear: AJIVE, data: Modalities, names: Sequence[str]) -> NDArray:
    """The signals of some modalities side by side, each of unit variance in total."""
    signals = [signal_of(linear, data, name)[0] for name in names]
    return np.concatenate([signal / _size(linear, name) for name, signal in zip(names, signals, strict=True)], axis=1)


def _size(linear: AJIVE, name: str) -> float:
    """Root of the total variance of a modality's signal."""
    return float(np.linalg.norm(linear.signal_loadings_[name])) or 1.0


def _like(linear: AJIVE) -> AJIVE:
    """An unfitted AJIVE of the same signal and joint ranks."""
    return AJIVE(
        signal_ranks=linear.signal_ranks_,
        joint_rank=linear.joint_rank_,
        individual_ranks=0,
        n_wedin=0,
        n_random=0,
        random_state=0,
    )


def _enough(n: int) -> NDArray:
    """Samples from first to last, as many as are enough to learn from by kernel regression."""
    return np.linspace(0, n - 1, min(n, ENOUGH_TO_LEARN)).astype(int)


def held_out_folds(n: int, seed: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Folds until enough samples were held out."""
    held_out = 0
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(n)):
        if held_out < min(ENOUGH_HELD_OUT, n):
            held_out += len(test)
            yield train, test
