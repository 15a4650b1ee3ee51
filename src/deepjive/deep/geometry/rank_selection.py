"""How many joint and individual scores there are: as many as help to predict what was not seen.

1. AJIVE finds the linear joint dimensions. A curve takes several of them: a joint score that every feature is a
   sinusoid of makes seven or eight.
2. The samples' places in these dimensions may lie on a bent sheet. Its own dimension
   (`deepjive.deep.geometry.dimension`), which counts a curve as the one dimension it is, is the largest number there can be.
3. The places are unrolled (`deepjive.deep.geometry.unrolling`) to 1, 2, ... coordinates. Made of the other modalities,
   they predict a modality on held-out samples. One after another is allowed as long as that gets better, by two standard
   errors (over samples, paired) and by a twentieth of what is then predicted.

Individual ranks follow in the same way from what the joint coordinates leave of a modality, as if two random halves of
its features were modalities: what the halves have in common is signal, and noise of single features is not.

Sources: AJIVE on scores as in DeepJIVE (arXiv 2507.19682), section 2.3.5, as summarised publicly; bi-cross-validation
of ranks, Owen and Perry (2009), "Bi-cross-validation of the SVD and the nonnegative matrix factorization".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from deepjive.data.chunks import row_batches
from deepjive.data.modalities import Modalities
from deepjive.deep.geometry.dimension import diffusion_coordinates, sheet_dimension
from deepjive.deep.geometry.unrolling import KernelRegression, sheets_of
from deepjive.linear.ajive import AJIVE

STANDARD_ERRORS = 2.0
LEAST_SHARE = 0.05
FOLDS = 4
ENOUGH_HELD_OUT, ENOUGH_TO_LEARN = 250, 500
LARGEST = 10
MOST_SAMPLES, MOST_FEATURES = 1500, 20_000

OnStep = Callable[[str, int, float], None]

REASON = (
    "{name}: {rank}, since {steps}. Linear dimensions in common, by AJIVE: {linear}. "
    "Dimensions of the sheet on which samples lie: {dimension}; no more scores were tried."
)
STEP = "{rank} predicts {r2:.1%} of held-out variance"


@dataclass(frozen=True)
class Ladder:
    """Prediction by 0, 1, 2, ... scores.

    Attributes
    ----------
    rank : int
        The chosen number.
    linear_rank : int
        AJIVE's number, of linear dimensions.
    dimension : int
        Dimension of the sheet on which samples lie, at most 10; no more scores were tried.
    r2 : list of float
        Held-out variance predicted by 0, 1, ... scores, as a fraction.
    standard_error : list of float
        Standard error of each step's gain, in the same units.
    """

    rank: int
    linear_rank: int
    dimension: int
    r2: list[float]
    standard_error: list[float]

    def reason(self, name: str) -> str:
        """The choice in words."""
        steps = ", ".join(STEP.format(rank=rank, r2=r2) for rank, r2 in enumerate(self.r2))
        dimension = f"{self.dimension} or more" if self.dimension == LARGEST else str(self.dimension)
        return REASON.format(name=name, rank=self.rank, steps=steps, linear=self.linear_rank, dimension=dimension)


@dataclass(frozen=True)
class RankSelection:
    """Ranks and what they were chosen by.

    Attributes
    ----------
    joint_rank : int
        Number of joint scores.
    individual_ranks : dict of str to int
        Number of individual scores of each modality.
    ladders : dict of str to Ladder
        "joint", and each modality's individual ladder.
    """

    joint_rank: int
    individual_ranks: dict[str, int]
    ladders: dict[str, Ladder]

    def table(self) -> dict[str, list[Any]]:
        """One row a candidate: ladder, AJIVE's rank, the sheet's, rank, R2, standard error of the gain, if chosen."""
        rows: dict[str, list[Any]] = {
            key: [] for key in ("ladder", "linear_rank", "dimension", "rank", "r2", "standard_error", "chosen")
        }
        for name, ladder in self.ladders.items():
            for rank, (r2, error) in enumerate(zip(ladder.r2, ladder.standard_error, strict=True)):
                row = (name, ladder.linear_rank, ladder.dimension, rank, r2, error, rank == ladder.rank)
                for key, value in zip(rows, row, strict=True):
                    rows[key].append(value)
        return rows

    def reason(self) -> str:
        """The choice in words, one line a ladder."""
        return "\n".join(
            ladder.reason("joint rank" if name == "joint" else f"individual rank of {name}")
            for name, ladder in self.ladders.items()
        )


def select_ranks(
    data: Modalities,
    *,
    joint_rank: int | None = None,
    individual_ranks: Mapping[str, int] | None = None,
    seed: int = 0,
    on_step: OnStep = lambda name, rank, r2: None,
) -> RankSelection:
    """Choose the ranks that are not given.

    Parameters
    ----------
    data : Modalities
        The data. Of more than 1500 complete samples and of more than 20,000 features, so many are drawn; of a
        participant with several samples one, since predicting a visit from another of the same person tells nothing.
    joint_rank : int or None
        None to choose it.
    individual_ranks : mapping of str to int, or None
        None to choose them.
    seed : int
        Draws samples, features, folds and halves.
    on_step : callable
        Called with the ladder's name, the rank and its R2 after every step.

    Returns
    -------
    RankSelection
    """
    small, ladders = _sampled(data, seed), {}
    if joint_rank is None:
        ladders["joint"] = climb("joint", small, seed, on_step)
        joint_rank = ladders["joint"].rank
    if individual_ranks is None:
        rest = without_joint(small, joint_rank, seed)
        wide = [name for name in data.names if small.shapes[name][0] > 1]
        ladders |= {name: climb(name, halved(rest, name, seed), seed, on_step) for name in wide}
        individual_ranks = {name: ladders[name].rank if name in wide else max(0, 1 - joint_rank) for name in data.names}
    return RankSelection(joint_rank, dict(individual_ranks), ladders)


def climb(name: str, data: Modalities, seed: int, on_step: OnStep) -> Ladder:
    """Allow one score after another until one is not worth having, or the sheet on which samples lie has no more."""
    linear = linear_fit(data, seed)
    largest = min(LARGEST, sheet_dimension(_points(linear, data), seed))
    folds = [_Fold(data, train, test, _like(linear), largest) for train, test in _folds(len(data), seed)]
    errors = [np.concatenate([fold.error_of_mean for fold in folds])]
    r2, standard_errors, rank = [0.0], [0.0], 0
    for candidate in range(1, largest + 1):
        by_sheet = np.concatenate([fold.errors(candidate) for fold in folds], axis=1)
        errors.append(by_sheet[by_sheet.mean(axis=1).argmin()])
        gain = errors[-2] - errors[-1]
        r2.append(float(1 - errors[-1].mean() / errors[0].mean()))
        standard_errors.append(float(gain.std(ddof=1) / np.sqrt(len(gain)) / errors[0].mean()))
        on_step(name, candidate, r2[-1])
        if r2[-1] - r2[-2] <= max(STANDARD_ERRORS * standard_errors[-1], LEAST_SHARE * r2[-1]):
            break
        rank = candidate
    return Ladder(rank, linear.joint_rank_, largest, r2, standard_errors)


def without_joint(data: Modalities, joint_rank: int, seed: int) -> Modalities:
    """What `joint_rank` coordinates of all modalities, without a sample's own share in them, leave of each sample."""
    linear = linear_fit(data, seed)
    if joint_rank > linear.joint_rank_ > 0:
        linear = AJIVE(joint_rank=joint_rank, random_state=seed).fit(data)
    rest = {name: np.asarray(data[name]) - linear.mean_[name] for name in data.names}
    if not joint_rank:
        return Modalities(rest)
    points, some = _points(linear, data), _enough(len(data))
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
    return Modalities(rest)


def linear_fit(data: Modalities, seed: int, draws: int = 1000, signal_ranks: Mapping[str, int] | None = None) -> AJIVE:
    """AJIVE with ranks of its own finding, but a signal in every modality: of one feature no threshold can tell.

    With `draws` of each bound, and with signal ranks that are known.
    """
    if signal_ranks is not None:
        return AJIVE(signal_ranks=signal_ranks, n_wedin=draws, n_random=draws, random_state=seed).fit(data)
    linear = AJIVE(n_wedin=draws, n_random=draws, random_state=seed).fit(data)
    if all(linear.signal_ranks_.values()):
        return linear
    ranks = {name: max(1, rank) for name, rank in linear.signal_ranks_.items()}
    return AJIVE(signal_ranks=ranks, n_wedin=draws, n_random=draws, random_state=seed).fit(data)


def halved(data: Modalities, name: str, seed: int) -> Modalities:
    """Two random halves of a modality's features as modalities of their own."""
    x = np.asarray(data[name]).reshape(len(data), -1)
    order = np.random.default_rng(seed).permutation(x.shape[1])
    half = len(order) // 2
    return Modalities({"first": x[:, np.sort(order[:half])], "second": x[:, np.sort(order[half:])]})


def places(linear: AJIVE, data: Modalities) -> NDArray:
    """Where samples lie in the linear joint part, shape (n_samples, joint_rank): distances are those of joint parts.

    Of `data` that lacks modalities, as far as the others tell.
    """
    loadings = np.concatenate([rows.reshape(len(rows), -1) for rows in linear.joint_loadings_.values()], axis=1)
    rotation, lengths, _ = np.linalg.svd(loadings, full_matrices=False)
    return linear.transform(data) @ (rotation * lengths)


def signal_of(linear: AJIVE, data: Modalities, name: str) -> tuple[NDArray, NDArray]:
    """A modality's samples (n_samples, signal_rank) along the directions (n_features, signal_rank) of its signal."""
    loadings = linear.signal_loadings_[name].reshape(linear.signal_ranks_[name], -1)
    directions = (loadings / np.linalg.norm(loadings, axis=1, keepdims=True)).T
    return (np.asarray(data[name]) - linear.mean_[name]).reshape(len(data), -1) @ directions, directions


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
    rotation = np.linalg.svd(regression.left_out - regression.left_out.mean(axis=0), full_matrices=False)[2].T
    return regression.left_out @ rotation, regression(far) @ rotation


def _points(linear: AJIVE, data: Modalities) -> NDArray:
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


def _sampled(data: Modalities, seed: int) -> Modalities:
    """Complete samples and features that vary, as many as can be computed with, flat."""
    rng = np.random.default_rng(seed)
    rows = candidates(data, rng)
    if len(rows) > MOST_SAMPLES:
        rows = np.sort(rng.choice(rows, MOST_SAMPLES, replace=False))
    arrays = {}
    for name in data.names:
        width = int(np.prod(data.shapes[name]))
        columns: Any = slice(None)
        if width > MOST_FEATURES:
            columns = np.sort(rng.choice(width, MOST_FEATURES, replace=False))
        pieces = [data.rows(name, batch).reshape(len(batch), -1)[:, columns] for batch in row_batches(rows, (width,))]
        x = np.concatenate(pieces).astype(np.float64)
        varying = np.ptp(x, axis=0) > 0
        arrays[name] = x[:, varying] if varying.any() else x
    return Modalities(arrays)


def candidates(data: Modalities, rng: np.random.Generator) -> NDArray[np.intp]:
    """The samples that ranks can be found from: those that have every modality, of each participant one."""
    rows = np.flatnonzero(data.present.all(axis=1))
    if data.groups is None:
        return rows
    mixed = rng.permutation(rows)
    return np.sort(mixed[np.unique(data.groups[mixed], return_index=True)[1]])


def _enough(n: int) -> NDArray:
    """Samples from first to last, as many as are enough to learn from by kernel regression."""
    return np.linspace(0, n - 1, min(n, ENOUGH_TO_LEARN)).astype(int)


def _folds(n: int, seed: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Folds until enough samples were held out."""
    held_out = 0
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(n)):
        if held_out < min(ENOUGH_HELD_OUT, n):
            held_out += len(test)
            yield train, test
