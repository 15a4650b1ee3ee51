"""Tests of features with scores that were computed without them.

**Test of a joint score.** The hypothesis is that a feature of modality k is independent of the other modalities. The
model is fitted again, with its ranks, to the first third of the samples in random order, and then to the first two
thirds. The joint scores of the next third are computed from all modalities except k. No feature is therefore tested
with a score that was computed from the feature, or by a model that saw the tested samples. Each fit uses only samples
before those that it scores, so the products of scores and features are martingale differences. Folds that train on
each other's samples do not have this property: their products are correlated, and the variance of their sum doubles if
few directions of k are strong. Scores of a refit are matched to the model's scores by regression on the refit's
samples. Scores of a subset of modalities are tested in the same way, with what the other modalities of the subset give,
in one regression with the joint scores.

**Test of an individual score**, and of a joint score if the model needs all modalities. The hypothesis is that a
feature is independent of all other features. The features of every modality are divided into two random halves. The
model is fitted again with one half, where the other half is replaced by its means, and the resulting scores are
tested with the features of the other half, given the refit's scores of several modalities.

P-values are two-sided, of Student's t of the partial regression on all scores of the part. Under the hypothesis the
residuals have equal variances whatever the scores are, so the ordinary standard error is exact for normal residuals
(with several samples of a participant the standard error is that of independent participants). Q-values control the
false discovery rate among the features of one score.

References
----------
Chung and Storey 2015, Statistical significance of variables driving systematic variation in high-dimensional data,
Bioinformatics 31(4) (the reason not to test a feature with a score that was computed from it).
Dawid 1984, Statistical theory: the prequential approach, J R Stat Soc A 147:278.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from deepjive.data.groups import in_random_order, members_of, rows_of
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.evaluation.feature_regression import MIN_FREE, Regression, features_of, filled, slopes
from deepjive.evaluation.refit import refitted
from deepjive.progress import Progress

N_PARTS = 3

TOO_FEW = (
    "The features of {name!r} cannot be tested: {n} samples ({participants} participants) are left for {rank} {part} "
    "scores. Use more samples or smaller ranks, or test=False for effects without p-values."
)
HALF_NOT_FITTED = (
    "Features are tested with scores of the other half of the features, but the model with its ranks cannot be fitted "
    "to one half of them. Use smaller ranks, more features, or test=False for effects without p-values. The error of "
    "the fit was: {reason}"
)


@dataclass(frozen=True)
class Tested:
    """P-values and statistics of the features, shape (n_scores, n_features), and the match of the scores."""

    p_value: NDArray
    statistic: NDArray
    match: NDArray
    regressions: list[Regression]

    def of_scores(self, where: slice) -> Tested:
        return Tested(self.p_value[where], self.statistic[where], self.match[where], self.regressions)


def shared_tests(
    model: Any,
    data: Modalities,
    parts: Decomposition,
    names: list[str],
    rng: np.random.RandomState,
    seeds: dict[str, Any],
    progress: Progress,
    n_fits: int,
) -> Iterator[tuple[str, str, Tested]]:
    """Test joint scores, and those of subsets, that earlier samples and other modalities give."""
    usable = np.flatnonzero(data.present.any(axis=1))
    groups = None if data.groups is None else data.groups[usable]
    members = [usable[rows] for rows in in_random_order(len(usable), groups, rng)]
    thirds = [rows_of([members[i] for i in third]) for third in np.array_split(np.arange(len(members)), N_PARTS)]
    names = [name for name in names if _shared(parts, name).shape[1]]
    pieces: dict[str, list[tuple[NDArray, NDArray]]] = {name: [] for name in names}
    for number in range(1, N_PARTS):
        earlier, later = np.sort(rows_of(thirds[:number])), np.sort(thirds[number])
        refit = refitted(model, data[earlier], **seeds)
        progress(number, n_fits, "shared scores from the other modalities")
        for name in names:
            rows = _rows_with(data, later, name)
            pieces[name].append((rows, _matched(refit, data, _shared(parts, name), earlier, rows, name)))
    for name in names:
        tested = _test_pieces(data, _shared(parts, name), name, pieces[name])
        start = 0
        for part, scores in parts.scores_of(name).items():
            where = slice(start, start + scores.shape[1])
            if part != "individual" and scores.shape[1]:
                yield name, part, tested.of_scores(where)
            start = where.stop


def _shared(parts: Decomposition, name: str) -> NDArray:
    """Return the joint scores, and those of subsets that hold a modality, side by side."""
    *shared, _ = parts.scores_of(name).values()
    return np.concatenate(shared, axis=1)


def _rows_with(data: Modalities, rows: NDArray, name: str) -> NDArray:
    """Return the rows that have a modality, and another modality from which the joint scores can be computed."""
    column = data.names.index(name)
    others = np.asarray(np.delete(data.present, column, axis=1).any(axis=1))
    return rows[data.present[rows, column] & others[rows]]


def _matched(refit: Any, data: Modalities, scores: NDArray, earlier: NDArray, later: NDArray, name: str) -> NDArray:
    """Return the shared scores of later samples without one modality, matched to the model's scores; not centred."""
    others = data.select([other for other in data.names if other != name])
    earlier = earlier[others.present[earlier].any(axis=1)]
    known, new = (_shared_of_others(refit, others[rows], name) for rows in (earlier, later))
    centre = known.mean(axis=0)
    weights = np.linalg.lstsq(known - centre, scores[earlier] - scores[earlier].mean(axis=0), rcond=None)[0]
    return (new - centre) @ weights


def _shared_of_others(refit: Any, others: Modalities, name: str) -> NDArray:
    """Return the joint scores of samples, and those of subsets that hold the modality that the samples lack."""
    if not any(name in subset for subset in getattr(refit, "subset_ranks_", {}) if len(subset) < len(refit.shapes_)):
        return np.asarray(refit.transform(others))
    parts = refit.decompose(others)
    subsets = [scores for subset, scores in parts.subset_scores.items() if name in subset]
    return np.concatenate([parts.joint_scores, *subsets], axis=1)


def _test_pieces(data: Modalities, scores: NDArray, name: str, pieces: list[tuple[NDArray, NDArray]]) -> Tested:
    """Test features with scores of several thirds; each third has a constant of its own."""
    rows = np.concatenate([rows for rows, _ in pieces])
    third = np.repeat(np.arange(len(pieces)), [len(rows) for rows, _ in pieces])
    predicted = np.concatenate([predicted for _, predicted in pieces])
    constants = (third[:, None] == np.unique(third)).astype(np.float64)
    values = features_of(data, name, rows)
    features = np.arange(values.shape[1])
    return _tested(data, name, "shared", rows, predicted, scores[rows], constants, values, features)


def _tested(
    data: Modalities,
    name: str,
    part: str,
    rows: NDArray,
    predicted: NDArray,
    scores: NDArray,
    covariates: NDArray,
    values: NDArray,
    features: NDArray,
) -> Tested:
    groups = None if data.groups is None else data.groups[rows]
    slope, error, free = slopes(predicted, values, groups, covariates, equal_variances=True)
    if free < MIN_FREE:
        count = len(members_of(len(rows), groups))
        raise ValueError(TOO_FEW.format(name=name, n=len(rows), participants=count, rank=predicted.shape[1], part=part))
    varies = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
    statistic = np.divide(slope, error, out=np.full(slope.shape, np.nan), where=varies & (error > 0.0))
    match = [_correlation(first, second) for first, second in zip(predicted.T, scores.T, strict=True)]
    p_value = 2.0 * stats.t.sf(np.abs(statistic), free)
    normal = np.sign(statistic) * stats.norm.isf(np.maximum(p_value, np.finfo(float).tiny) / 2.0)
    regression = Regression(features, rows, np.concatenate([covariates, predicted], axis=1))
    return Tested(p_value, normal, np.array(match), [regression])


def half_tests(
    model: Any,
    data: Modalities,
    parts: Decomposition,
    names: list[str],
    rng: np.random.RandomState,
    seeds: dict[str, Any],
    progress: Progress,
    n_fits: int,
) -> Iterator[tuple[str, str, Tested]]:
    """Test scores that one half of the features gives with the features of the other half."""
    sides = {name: rng.permutation(parts.mean[name].size) % 2 for name in data.names}
    results: dict[tuple[str, str], Tested] = {}
    for side in (0, 1):
        of_side = halved(data, sides, side)
        try:
            refit = refitted(model, of_side, **seeds)
        except ValueError as error:
            raise ValueError(HALF_NOT_FITTED.format(reason=error)) from error
        half = refit.decompose(of_side)
        progress(n_fits - 1 + side, n_fits, "scores from half of the features")
        for name in names:
            tested = np.flatnonzero(sides[name] != side)
            for part, scores in parts.scores_of(name).items():
                if not scores.shape[1] or (part != "individual" and not model.needs_all_modalities):
                    continue
                result = _half_tested(data, parts, half, name, part, tested)
                rank, width = len(result.match), parts.mean[name].size
                p_value, statistic = np.full((2, rank, width), np.nan)
                whole = results.setdefault((name, part), Tested(p_value, statistic, np.zeros(rank), []))
                whole.p_value[:, tested], whole.statistic[:, tested] = result.p_value, result.statistic
                whole.match[:] += result.match / 2.0
                whole.regressions.extend(result.regressions)
    for (name, part), result in results.items():
        yield name, part, result


def _half_tested(
    data: Modalities, parts: Decomposition, half: Decomposition, name: str, part: str, tested: NDArray
) -> Tested:
    rows = np.flatnonzero(data.present[:, data.names.index(name)])
    scores, from_half = (each.scores_of(name)[part][rows] for each in (parts, half))
    constant = np.ones((len(rows), 1))
    given = np.concatenate([constant, _shared(half, name)[rows]], axis=1) if part == "individual" else constant
    centred = from_half - from_half.mean(axis=0)
    weights = np.linalg.lstsq(centred, scores - scores.mean(axis=0), rcond=None)[0]
    values = features_of(data, name, rows)[:, tested]
    return _tested(data, name, part, rows, centred @ weights, scores, given, values, tested)


def halved(data: Modalities, sides: dict[str, NDArray], side: int) -> Modalities:
    """Return the data with the features of the other side replaced by their means."""
    arrays = {}
    for name in data.names:
        values = features_of(data, name).copy()
        column = data.names.index(name)
        removed = sides[name] != side
        mean = filled(values[data.present[:, column]])[:, removed].mean(axis=0)
        values[:, removed] = mean
        values[~data.present[:, column]] = np.nan
        arrays[name] = values.reshape(len(values), *data.shapes[name])
    kept = Modalities(arrays, present=data.present, groups=data.groups)
    return kept.adjusted_to({}, data.magnitudes) if data.is_adjusted else kept


def _correlation(first: NDArray, second: NDArray) -> float:
    first, second = first - first.mean(), second - second.mean()
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second / length) if length > 0.0 else float("nan")
