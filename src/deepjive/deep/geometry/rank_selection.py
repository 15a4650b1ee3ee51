"""How many joint and individual scores there are: as many as predict held-out samples about as well as the best number.

1. Linear scores. One reduced-rank ridge regression per fold (`deepjive.deep.geometry.joint_ridge`) gives the held-out
   prediction of every modality from the others by 0, 1, 2, ... scores. The rank is the smallest that reaches 99% of
   the best prediction, or that lies within one standard error of it. It is 0 where the best prediction is not three
   standard errors above 0.
2. Unrolled coordinates. A joint score of which every feature is a sinusoid fills seven or eight linear dimensions,
   although one coordinate describes it. The dimension of the manifold on which samples lie
   (`deepjive.deep.geometry.dimension`) says how many coordinates to try; unrolling (`deepjive.deep.geometry.unrolling`)
   gives them, and a kernel regression on them predicts held-out samples. They replace the linear scores only where
   fewer of them predict at least as well.
3. Individual ranks follow in the same way from what the joint scores leave of a modality, as if two random halves of
   its features were modalities: what the halves predict of each other is signal, and noise of single features is not.

References
----------
Owen and Perry (2009), Bi-cross-validation of the SVD and the nonnegative matrix factorization, Annals of Applied
Statistics 3.
Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees: the one-standard-error rule.
DeepJIVE (arXiv 2507.19682), section 2.3.5, as summarised publicly: AJIVE on scores of separate autoencoders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.data.chunks import row_batches
from deepjive.data.groups import members_of
from deepjive.data.modalities import Modalities
from deepjive.decomposition import power_of_two
from deepjive.deep.geometry.dimension import sheet_dimension
from deepjive.deep.geometry.joint_ridge import HeldOut, cross_validate, fit_joint_ridge
from deepjive.deep.geometry.manifold_prediction import (
    CLEAR,
    DRAWS,
    climb,
    held_out_folds,
    is_curved,
    linear_fit,
    points_of,
    without_unrolled,
)
from deepjive.deep.geometry.unrolling import MOST_DIMENSIONS, is_clustered
from deepjive.progress import Progress, silent

ENOUGH, WITHIN = 0.99, 1.0  # of the best prediction, or so many standard errors from it
CLOSED = 0.6  # of the difference between as many linear scores and the best number of them
STRAIGHT, CLOSED_IF_CURVED = 0.5, 0.35  # see `_replaces`
REPEATS, MOST_REPEATS, ENOUGH_REPEATED = 2, 4, 1000  # of the folds, and of the halves of a modality
LARGEST = 40  # linear scores
SAMPLES_A_SCORE = 4
FEWEST_UNROLLED = 50  # samples
MOST_UNROLLED = 10
MOST_SAMPLES, MOST_FEATURES = 1000, 20_000

Coordinates = Literal["linear", "unrolled"]


@dataclass(frozen=True)
class RankCurve:
    """Held-out prediction by 0, 1, 2, ... scores, and the chosen number.

    Attributes
    ----------
    rank : int
        The chosen number of scores.
    coordinates : {"linear", "unrolled"}
        The kind of scores by which it was chosen.
    linear_rank : int
        The number of linear scores that predict about as well as the best number of them.
    ajive_rank : int or None
        AJIVE's number of joint components, for comparison; None where it was not needed.
    dimension : int or None
        Dimension of the manifold on which samples lie; None where no unrolled coordinates could replace linear scores.
    r2 : dict of str to list of float
        For each kind of scores the held-out variance predicted by 0, 1, ... of them, as a fraction.
    standard_error : dict of str to list of float
        Standard errors of the same, over samples.
    """

    rank: int
    coordinates: Coordinates
    linear_rank: int
    ajive_rank: int | None
    dimension: int | None
    r2: dict[str, list[float]]
    standard_error: dict[str, list[float]]

    def reason(self, name: str) -> str:
        """Explain the choice in words."""
        linear = self.r2["linear"]
        best = int(np.argmax(linear))
        words = [f"{name}: {self.rank}."]
        if self.linear_rank:
            predict = "linear score predicts" if self.linear_rank == 1 else "linear scores predict"
            words.append(
                f"{self.linear_rank} {predict} {linear[self.linear_rank]:.1%} of held-out variance; "
                f"the best number, {best}, predicts {linear[best]:.1%}."
            )
        else:
            words.append("No number of linear scores clearly predicts held-out samples.")
        if unrolled := self.r2.get("unrolled"):
            words.append(
                f"The samples lie on a manifold of dimension {self.dimension}; "
                f"unrolled coordinates ({len(unrolled) - 1}) predict {unrolled[-1]:.1%}, so that they "
                f"{'replace' if self.coordinates == 'unrolled' else 'do not replace'} the linear scores."
            )
        return " ".join(words)


@dataclass(frozen=True)
class RankSelection:
    """Ranks, and what they were chosen by.

    Attributes
    ----------
    joint_rank : int
        Number of joint scores.
    individual_ranks : dict of str to int
        Number of individual scores of each modality.
    curves : dict of str to RankCurve
        "joint", and one for each modality's individual rank.
    """

    joint_rank: int
    individual_ranks: dict[str, int]
    curves: dict[str, RankCurve]

    def table(self) -> dict[str, list[Any]]:
        """One row for each number of scores that was tried."""
        columns = ("part", "coordinates", "rank", "r2", "standard_error", "chosen", "ajive_rank", "dimension")
        rows: dict[str, list[Any]] = {key: [] for key in columns}
        for name, curve in self.curves.items():
            for kind, r2 in curve.r2.items():
                for rank, (value, error) in enumerate(zip(r2, curve.standard_error[kind], strict=True)):
                    if value != value:  # not tried
                        continue
                    chosen = kind == curve.coordinates and rank == curve.rank
                    row = (name, kind, rank, value, error, chosen, curve.ajive_rank, curve.dimension)
                    for key, cell in zip(columns, row, strict=True):
                        rows[key].append(cell)
        return rows

    def reason(self) -> str:
        """Explain the choice in words, one line for each part."""
        return "\n".join(
            curve.reason("Joint rank" if name == "joint" else f"Individual rank of {name}")
            for name, curve in self.curves.items()
        )


def select_ranks(
    data: Modalities,
    *,
    joint_rank: int | None = None,
    individual_ranks: Mapping[str, int] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> RankSelection:
    """Choose the ranks that are not given.

    Parameters
    ----------
    data : Modalities
        The data. More than 1000 complete samples or 20,000 features are reduced to so many by chance. Participants are
        held out as a whole, since a visit is easily predicted from another visit of the same participant.
    joint_rank : int or None, default=None
        None to choose it.
    individual_ranks : mapping of str to int, or None, default=None
        None to choose them.
    seed : int, default=0
        Draws samples, features, folds and halves.
    progress : callable, default=silent
        ``progress(done, total, message)``, called for every part.

    Returns
    -------
    RankSelection

    See Also
    --------
    deepjive.DeepJIVE.select_ranks : The same for an estimator's parameters.
    """
    small, curves = complete_sample(data, seed), {}
    total = (joint_rank is None) + len(data.names) * (individual_ranks is None)
    if joint_rank is None:
        progress(0, total, "joint rank")
        curves["joint"] = rank_curve([small], seed)
        joint_rank = curves["joint"].rank
    if individual_ranks is None:
        if "joint" in curves and curves["joint"].coordinates == "unrolled":
            remainder = without_unrolled(one_each(small, seed), joint_rank, seed)
        else:
            remainder = without_joint(small, joint_rank, seed)
        chosen = {}
        for name in data.names:
            progress(len(curves), total, f"individual rank of {name}")
            if small.shapes[name][0] < 2:
                chosen[name] = max(0, 1 - joint_rank)
                continue
            curves[name] = rank_curve([halved(remainder, name, seed + i) for i in range(REPEATS)], seed)
            chosen[name] = min(curves[name].rank, max(0, small.shapes[name][0] - joint_rank))
        individual_ranks = chosen
    progress(total, total, "ranks chosen")
    return RankSelection(joint_rank, dict(individual_ranks), curves)


def rank_curve(versions: Sequence[Modalities], seed: int, enough: float = ENOUGH) -> RankCurve:
    """Choose the number of scores that modalities have in common.

    Parameters
    ----------
    versions : sequence of Modalities
        The same samples: one set of modalities, or several random halvings of one modality.
    seed : int
        Draws folds.
    enough : float, default=0.99
        Share of the best prediction by linear scores that is enough.
    """
    first = one_each(versions[0], seed)
    straight = linear_curve(versions, seed, enough)
    linear_rank = straight.rank
    curves, standard_errors = {"linear": straight.r2}, {"linear": straight.standard_errors}
    rank, ajive_rank, dimension = linear_rank, None, None
    kind: Coordinates = "linear"
    if linear_rank != 1 and len(first) >= FEWEST_UNROLLED and (linear_rank or is_curved(first, seed)):
        linear = linear_fit(first, seed, DRAWS)
        ajive_rank = linear.joint_rank_
        points = points_of(linear, first)
        dimension = min(MOST_UNROLLED, sheet_dimension(points, seed))
        most = min(dimension, linear_rank - 1) if linear_rank else dimension
        bends = dimension < points.shape[1] or linear_rank > points.shape[1] or not linear_rank
        if 0 < dimension <= MOST_DIMENSIONS and most > 0 and bends and not is_clustered(points):
            adjust = partial(straight.adjusted, seed=seed) if first is versions[0] else float
            worthwhile = partial(_replaces, linear=straight.r2, linear_rank=linear_rank)
            unrolled, standard_errors["unrolled"] = climb(first, linear, most, seed, adjust, worthwhile)
            curves["unrolled"] = unrolled
            clear = len(unrolled) > 1 and unrolled[1] > CLEAR * standard_errors["unrolled"][1]
            if clear and worthwhile(len(unrolled) - 1, unrolled[-1]):
                rank, kind = len(unrolled) - 1, "unrolled"
    return RankCurve(rank, kind, linear_rank, ajive_rank, dimension, curves, standard_errors)


@dataclass(frozen=True)
class LinearCurve:
    """Held-out prediction by 0, 1, ... linear scores.

    Attributes
    ----------
    r2, standard_errors : list of float
        Held-out variance predicted, as a fraction, and its standard errors over samples.
    rank : int
        The smallest rank that predicts enough.
    errors : array, shape (max_rank + 1, n_samples)
        Squared errors of each sample in the first repeat of the folds.
    """

    r2: list[float]
    standard_errors: list[float]
    rank: int
    errors: NDArray

    def adjusted(self, r2: float, seed: int) -> float:
        """Prediction of the samples that `climb` holds out, as it would be of all samples.

        Some samples are more easily predicted than others. The difference from linear prediction is hardly changed by
        this, and it is added to the linear prediction of all samples.
        """
        rows = np.concatenate([test for _, test in held_out_folds(self.errors.shape[1], seed)])
        same = 1 - self.errors[self.rank, rows].mean() / self.errors[0, rows].mean()
        return float(self.r2[self.rank] + r2 - same)


def linear_curve(versions: Sequence[Modalities], seed: int, enough: float = ENOUGH) -> LinearCurve:
    """Predict held-out samples by 0, 1, ... linear scores, and choose the number that predicts enough."""
    n = len(versions[0])
    widths = sorted((min(n, version.shapes[name][0]) for version in versions for name in version.names), reverse=True)
    most = max(1, min(LARGEST, n // SAMPLES_A_SCORE, widths[1] if len(widths) > 1 else widths[0]))
    runs: list[HeldOut] = []
    for repeat in range(_repeats(n) if len(versions) == 1 else len(versions)):
        version = versions[repeat % len(versions)]
        arrays = [np.asarray(version[name], dtype=np.float64) for name in version.names]
        runs.append(cross_validate(arrays, most, seed + repeat, version.groups))
    mean_errors = np.mean([run.mean_errors for run in runs], axis=0)
    penalties = mean_errors.argmin(axis=0)  # every rank has its own best penalty
    best = int(mean_errors.min(axis=0).argmin()) + 1
    by_run = [np.concatenate([run.error_of_mean[None], run.errors(penalties)]) for run in runs]
    curve = np.mean(by_run, axis=0)
    none = curve[0]
    gains = none - curve
    r2 = [float(value) for value in gains.mean(axis=1) / none.mean()]
    standard_errors = [float(value) for value in _standard_errors(gains, versions[0].groups) / none.mean()]
    if r2[best] <= CLEAR * standard_errors[best]:
        return LinearCurve(r2, standard_errors, 0, by_run[0])
    lost = (curve - curve[best]) / none.mean()
    allowed = np.maximum((1 - enough) * r2[best], WITHIN * _standard_errors(lost, versions[0].groups))
    return LinearCurve(r2, standard_errors, int(np.argmax(lost.mean(axis=1)[1:] <= allowed[1:])) + 1, by_run[0])


def _repeats(n: int) -> int:
    """Number of repeats of the folds: more of few samples, whose folds differ more."""
    return min(MOST_REPEATS, max(REPEATS, ENOUGH_REPEATED // n))


def _standard_errors(values: NDArray, groups: NDArray | None) -> NDArray:
    """Standard errors (m,) of the means of values (m, n) over samples; participants are independent, visits are not."""
    n = values.shape[1]
    deviations = values - values.mean(axis=1, keepdims=True)
    if groups is not None:
        members = members_of(n, groups)
        deviations = np.stack([deviations[:, rows].sum(axis=1) for rows in members], axis=1)
    count = deviations.shape[1]
    return np.sqrt(np.square(deviations).sum(axis=1) * count / max(count - 1, 1)) / n


def _replaces(count: int, r2: float, linear: Sequence[float], linear_rank: int) -> bool:
    """Whether so many unrolled coordinates predict about as well as the larger number of linear scores.

    A thousand samples give only a rough unrolling, and heavy tails make it rougher. Unrolled coordinates are therefore
    compared with as many linear scores: they have to gain most of what the best number of linear scores gains over
    these. A third is enough of several coordinates where as many linear scores predict less than half of the best:
    only a clearly curved manifold shows this.
    """
    if not linear_rank:
        return True
    best, same_number = linear[linear_rank], linear[min(count, len(linear) - 1)]
    enough = CLOSED_IF_CURVED if count > 1 and same_number < STRAIGHT * best else CLOSED
    return r2 >= same_number + enough * (best - same_number)


def without_joint(data: Modalities, joint_rank: int, seed: int) -> Modalities:
    """What linear joint scores of all modalities leave of each modality, flat and centred."""
    arrays = [np.asarray(data[name], dtype=np.float64).reshape(len(data), -1) for name in data.names]
    centred = [x - x.mean(axis=0) for x in arrays]
    if joint_rank:
        scores = fit_joint_ridge(centred, joint_rank, seed, data.groups).joint_scores
        basis = np.linalg.qr(scores - scores.mean(axis=0))[0]
        centred = [x - basis @ (basis.T @ x) for x in centred]
    return Modalities(dict(zip(data.names, centred, strict=True)), groups=data.groups).adjusted_to({})


def halved(data: Modalities, name: str, seed: int) -> Modalities:
    """Two random halves of a modality's features as modalities of their own."""
    x = np.asarray(data[name]).reshape(len(data), -1)
    order = np.random.default_rng(seed).permutation(x.shape[1])
    half = len(order) // 2
    halves = {"first": x[:, np.sort(order[:half])], "second": x[:, np.sort(order[half:])]}
    return Modalities(halves, groups=data.groups).adjusted_to({})


def complete_sample(data: Modalities, seed: int) -> Modalities:
    """Complete samples and features that vary, as many as can be computed with, flat."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(data.present.all(axis=1))
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
        x /= power_of_two(float(np.abs(x - x[0]).max(initial=0.0)))  # so that squares neither overflow nor vanish
        varying = np.ptp(x, axis=0) > 0
        arrays[name] = x[:, varying] if varying.any() else x
    return Modalities(arrays, groups=None if data.groups is None else data.groups[rows]).adjusted_to({})


def one_each(data: Modalities, seed: int) -> Modalities:
    """One sample of each participant, drawn by chance; all samples where no participants are given."""
    if data.groups is None:
        return data
    mixed = np.random.default_rng(seed).permutation(len(data))
    rows = np.sort(mixed[np.unique(data.groups[mixed], return_index=True)[1]])
    return Modalities(dict(data[rows].items())).adjusted_to({})
