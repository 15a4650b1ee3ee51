"""Feature effects: which features vary with each joint and individual score, with standard errors and p-values.

**Effect.** All other scores are at their mean, and the score goes from its 5% to its 95% quantile a, b:

    loading(v)  =  [part(b) - part(a)](v) / (b - a)      in data units per unit of the score
    effect(v)   =  loading(v) / sd(v)                    in standard deviations of the feature per unit of the score

Scores have variance 1. In a linear model `loading` is the model's loading. In a deep model it is the mean slope of the
decoded part. The standard error is that of the regression of the feature on all scores of the modality, robust to
unequal variances (HC3; by participant if participants have several samples). It takes the scores as known.

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
MacKinnon and White 1985, Some heteroskedasticity-consistent covariance matrix estimators, J Econometrics 29:305.
Benjamini and Hochberg 1995, Controlling the false discovery rate, J R Stat Soc B 57:289.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.utils import check_random_state

from deepjive.data.groups import in_random_order, members_of, rows_of
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition, power_of_two
from deepjive.evaluation.refit import refitted, with_groups
from deepjive.progress import Progress, silent
from deepjive.results import Result

LOW, HIGH = 5, 95
N_PARTS = 3
BUDGET = 20
PIECE = 4096
MIN_FREE = 3
ROUNDING = 1e-9
DIGITS = 4
EXACT_POWER = 22

UNKNOWN = "There are no modalities {given}; the data have {names}."
TOO_FEW = (
    "The features of {name!r} cannot be tested: {n} samples ({participants} participants) are left for {rank} {part} "
    "scores. Use more samples or smaller ranks, or test=False for effects without p-values."
)
HALF_NOT_FITTED = (
    "Features are tested with scores of the other half of the features, but the model with its ranks cannot be fitted "
    "to one half of them. Use smaller ranks, more features, or test=False for effects without p-values. The error of "
    "the fit was: {reason}"
)


class Regression(NamedTuple):
    """The regression in which features were tested: indices of the features, of the samples, and the regressors.

    Regressors have shape (n_tested_samples, n_regressors) and contain a constant.
    """

    features: NDArray
    rows: NDArray
    regressors: NDArray


@dataclass(frozen=True, repr=False)
class FeatureEffects(Result):
    """Effects of all scores on the features of one modality.

    Arrays have a row for each score: the joint scores, those of subsets that hold the modality, and the individual
    scores.

    Attributes
    ----------
    modality : str
        The modality.
    features : list of str
        Names of the features; their numbers, from 0, if they have no names.
    scores : list of (str, int)
        Part and number of each score, counted from 1: ``("joint", 1)``. The part is "joint", "individual", or the names
        of a subset, such as ``"rna+protein"``.
    effect, standard_error : array, shape (n_scores, n_features)
        Change of the feature for one unit of the score, and its standard error, in standard deviations of the feature.
        The standard error is NaN if there are too few samples for it.
    loading : array, shape (n_scores, n_features)
        The effect in data units.
    p_value, q_value : array, shape (n_scores, n_features)
        P-value of association with the score, and false discovery rate among the features of the score. NaN for
        features that do not vary, and without a test.
    match : array, shape (n_scores,)
        Correlation of the score with the matched score that features were tested with; NaN without a test. If it is
        small, other samples or features give another score.
    n_samples : int
        Number of samples that have the modality.
    data : Modalities
        The samples, without the variation of confounds.
    statistic : array, shape (n_scores, n_features)
        The test statistic as a normal deviate, with the sign of the association; NaN where `p_value` is NaN.
    regressions : dict of str to list of Regression
        By part, the regressions in which the features were tested; empty without a test.
    """

    modality: str
    features: list[str]
    scores: list[tuple[str, int]]
    effect: NDArray
    standard_error: NDArray
    loading: NDArray
    p_value: NDArray
    q_value: NDArray
    match: NDArray
    n_samples: int
    data: Modalities
    statistic: NDArray
    regressions: dict[str, list[Regression]] = field(default_factory=dict)

    def top(self, part: str, number: int, n: int = 10) -> Any:
        """Return the features with the largest effects of one score, strongest first.

        Parameters
        ----------
        part : str
            Part of the score: "joint", "individual", or a subset such as ``"rna+protein"``.
        number : int
            Number of the score, counted from 1.
        n : int, default=10
            Number of features.

        Returns
        -------
        pandas.DataFrame
            As `to_frame`.
        """
        import pandas as pd

        return pd.DataFrame(self._rows_of(self.scores.index((part, number)), n))

    def _summary(self) -> str:
        found = [
            f"{part} {number}: {int(np.sum(self.q_value[row] < 0.05))}"
            for row, (part, number) in enumerate(self.scores)
        ]
        counts = ", ".join(found) if np.isfinite(self.p_value).any() else "not tested"
        return f"{self.modality}: {len(self.features)} features, n={self.n_samples}; with q < 0.05: {counts or 'none'}"

    def _table(self) -> Any:
        """Return rows by score, strongest effects first, with four significant digits."""
        columns: dict[str, list[Any]] = {
            name: []
            for name in (
                "part",
                "score",
                "feature",
                "effect",
                "standard_error",
                "p_value",
                "q_value",
                "loading",
                "match",
            )
        }
        for row in range(len(self.scores)):
            for name, values in self._rows_of(row).items():
                columns[name].extend(values)
        return columns

    def _rows_of(self, row: int, n: int | None = None) -> dict[str, list[Any]]:
        order = np.argsort(-np.abs(self.effect[row]), kind="stable")[:n]
        part, number = self.scores[row]
        numbers = {
            name: significant(getattr(self, name)[row, order]).tolist()
            for name in ("effect", "standard_error", "p_value", "q_value", "loading")
        }
        words: dict[str, list[Any]] = {"part": [part] * len(order), "score": [number] * len(order)}
        match = significant(self.match[[row]], 2).tolist() * len(order)
        return words | {"feature": [self.features[i] for i in order]} | numbers | {"match": match}


def feature_effects(
    model: Any,
    data: Any,
    *,
    names: Sequence[str] | None = None,
    test: bool = True,
    groups: ArrayLike | None = None,
    parts: Decomposition | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
    **budget: Any,
) -> dict[str, FeatureEffects]:
    """Rank the features of each modality by the effect of every score.

    Parameters
    ----------
    model : estimator
        A fitted model, linear or deep. It is not changed.
    data : Modalities, mapping or sequence
        The samples that the model was fitted to. Tested modalities are read into memory.
    names : sequence of str, default=None
        The modalities whose features are ranked; all by default.
    test : bool, default=True
        Whether to compute p-values. They need two refits for joint scores and two for individual scores.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. By default the groups of `data`.
    parts : Decomposition, default=None
        The decomposition of `data` by `model`, if it was computed already.
    random_state : int, RandomState or None, default=0
        Seed of the order of samples, of the halves of features, and of the refits.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after each refit.
    **budget
        Parameters of the refits that differ from the model's. By default a deep model is trained for at most 20 epochs
        in each phase, with ``batch_size="auto"``, because a third of the samples can be fewer than the model's batch.

    Returns
    -------
    dict of str to FeatureEffects

    Raises
    ------
    ValueError
        If a name is unknown, if `groups` has another length, or if there are too few samples for a test.

    See Also
    --------
    deepjive.jackstraw : A test of the features of a linear model with all joint scores together.
    deepjive.evaluation.covariation : Maps of a joint score with permutation p-values, for images.

    Examples
    --------
    >>> from deepjive import AJIVE
    >>> from deepjive.datasets import make_synthetic
    >>> data = make_synthetic(120, (20, 16), random_state=0).data
    >>> model = AJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(data)
    >>> effects = feature_effects(model, data)
    >>> list(effects), effects["modality_1"].effect.shape
    (['modality_1', 'modality_2'], (2, 20))
    """
    data = with_groups(data, groups, model)
    chosen = list(data.names) if names is None else list(names)
    if unknown := [name for name in chosen if name not in data.names]:
        raise ValueError(UNKNOWN.format(given=unknown, names=list(data.names)))
    parts = model.decompose(data) if parts is None else parts.adjusted
    data = parts.data
    effects = {name: effects_of(parts, name) for name in chosen}
    if not test:
        return effects
    rng = check_random_state(random_state)
    budget = {"max_epochs": min(BUDGET, getattr(model, "max_epochs", BUDGET)), "batch_size": "auto"} | budget
    seeds: dict[str, Any] = {"random_state": int(rng.randint(2**31 - 1)), **budget}
    shares = model.joint_rank_ > 0 or bool(parts.subset_scores)
    by_samples = shares and not model.needs_all_modalities
    by_features = model.needs_all_modalities or any(rank > 0 for rank in model.individual_ranks_.values())
    n_fits = (N_PARTS - 1) * by_samples + 2 * by_features
    results: dict[str, dict[str, _Tested]] = {name: {} for name in chosen}
    if by_samples:
        for name, part, tested in _shared_tests(model, data, parts, chosen, rng, seeds, progress, n_fits):
            results[name][part] = tested
    if by_features:
        for name, part, tested in _half_tests(model, data, parts, chosen, rng, seeds, progress, n_fits):
            results[name][part] = tested
    return {name: _with_tests(effect, results[name]) for name, effect in effects.items()}


def effects_of(parts: Decomposition, name: str, most: int | None = None) -> FeatureEffects:
    """Compute the effects of the scores of a decomposition on one modality, with standard errors, without a test.

    Parameters
    ----------
    parts : Decomposition
        A decomposition of at least two samples that have the modality.
    name : str
        The modality.
    most : int, default=None
        The largest number of samples that are read; all by default. The quantiles of the scores use all samples.

    Returns
    -------
    FeatureEffects
        With NaN p-values.
    """
    parts = parts.adjusted
    rows = np.flatnonzero(parts.data.present[:, parts.data.names.index(name)])
    scores = {part: values[rows] for part, values in parts.scores_of(name).items()}
    loading = np.concatenate([_slopes(parts, name, scores, part) for part in scores])
    read = np.arange(len(rows)) if most is None else np.arange(len(rows))[:: max(1, -(-len(rows) // most))]
    values = features_of(parts.data, name, rows[read])
    spread = feature_spread(values)
    groups = None if parts.data.groups is None else parts.data.groups[rows[read]]
    _, error, _ = slopes(np.concatenate(list(scores.values()), axis=1)[read], values, groups)
    n_features = values.shape[1]
    untested = np.full(loading.shape, np.nan)
    named = parts.data.features[name]
    return FeatureEffects(
        modality=name,
        features=[str(i) for i in range(n_features)] if named is None else [str(word) for word in np.ravel(named)],
        scores=[(part, i) for part, values in scores.items() for i in range(1, values.shape[1] + 1)],
        effect=loading / spread,
        standard_error=error / spread,
        loading=loading,
        p_value=untested,
        q_value=untested,
        match=np.full(len(loading), np.nan),
        n_samples=len(read),
        data=parts.data,
        statistic=untested,
    )


def slopes(
    scores: NDArray,
    values: NDArray,
    groups: NDArray | None = None,
    covariates: NDArray | None = None,
    *,
    equal_variances: bool = False,
) -> tuple[NDArray, NDArray, int]:
    """Regress every feature on scores, with standard errors that are robust to unequal variances (HC3).

    Parameters
    ----------
    scores : array, shape (n_samples, n_scores)
        The scores.
    values : array, shape (n_samples, n_features)
        The features. A missing value (NaN) counts as the mean of its feature.
    groups : array, shape (n_samples,), default=None
        The participant of each sample; residuals of a participant may then depend on each other.
    covariates : array, shape (n_samples, n_covariates), default=None
        Further regressors. By default a constant; pass the constant if you pass covariates.
    equal_variances : bool, default=False
        Whether residuals have equal variances. Only without `groups`.

    Returns
    -------
    slope, standard_error : array, shape (n_scores, n_features)
        NaN if fewer than 3 degrees of freedom are left, and for a score that the other regressors determine.
    free : int
        Degrees of freedom: participants minus regressors.
    """
    n, n_scores = scores.shape
    covariates = np.ones((n, 1)) if covariates is None else covariates
    members = members_of(n, groups)
    basis = basis_of(covariates)
    scores = scores - basis @ (basis.T @ scores)
    free = len(members) - basis.shape[1] - n_scores
    slope, error = np.full((2, n_scores, values.shape[1]), np.nan)
    if free < MIN_FREE or n_scores == 0:
        return slope, error, free
    left = basis_of(scores)
    unique = np.linalg.pinv(scores)  # (n_scores, n): its rows are the regression weights of each score
    determined = np.linalg.norm(unique, axis=1) < ROUNDING
    leverage = np.minimum(np.square(basis).sum(axis=1) + np.square(left).sum(axis=1), 1.0 - ROUNDING)
    order = rows_of(members)
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in members])[:-1]])
    for start in range(0, values.shape[1], PIECE):
        piece = slice(start, start + PIECE)
        x = filled(values[:, piece])
        unit = power_of_two(float(np.abs(x).max(initial=0.0)))  # so that squares neither overflow nor vanish
        x = x / unit
        x = x - basis @ (basis.T @ x)
        slope[:, piece] = unique @ x
        residual = x - scores @ slope[:, piece]
        if groups is None and equal_variances:
            spread = np.sqrt(np.square(residual).sum(axis=0) / free)
            error[:, piece] = np.linalg.norm(unique, axis=1)[:, None] * spread * unit
            slope[:, piece] *= unit
            continue
        residual /= (1.0 - leverage)[:, None]
        if groups is None:
            error[:, piece] = np.sqrt(np.square(unique) @ np.square(residual))
        else:
            for row in range(n_scores):
                sums = np.add.reduceat((unique[row][:, None] * residual)[order], starts, axis=0)
                error[row, piece] = np.sqrt(np.square(sums).sum(axis=0))
        slope[:, piece] *= unit
        error[:, piece] *= unit
    slope[determined], error[determined] = np.nan, np.nan
    return slope, error, free


def features_of(data: Modalities, name: str, rows: Any = slice(None)) -> NDArray:
    """Return samples of one modality as a matrix in double precision, shape (n_samples, n_features)."""
    values = np.asarray(data.rows(name, rows), dtype=np.float64)
    return values.reshape(len(values), -1)


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
    unit = power_of_two(float(np.abs(values[finite]).max(initial=0.0)))  # so that squares neither overflow nor vanish
    values = values / unit
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(finite, np.square(values - mean), 0.0).sum(axis=0) / count)
    return np.where(spread > ROUNDING * np.abs(mean), spread * unit, 1.0)


def filled(values: NDArray) -> NDArray:
    """Return values with the mean of its column in place of a missing value (NaN)."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    count = np.maximum(np.sum(~missing, axis=0), 1)
    return np.where(missing, np.where(missing, 0.0, values).sum(axis=0) / count, values)


def significant(values: NDArray, digits: int = DIGITS) -> NDArray:
    """Return numbers rounded to significant digits, so that their text has no more digits.

    Examples
    --------
    >>> significant(np.array([0.0123456, 123456.0, 0.0, 4.454e-199])).tolist()
    [0.01235, 123500.0, 0.0, 4.454e-199]
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values) & (values != 0.0)
    power = np.floor(np.log10(np.abs(values, where=known, out=np.ones_like(values))))
    decimals = digits - 1 - power
    up, down = 10.0 ** np.clip(decimals, 0, EXACT_POWER), 10.0 ** np.clip(-decimals, 0, EXACT_POWER)
    rounded = np.where(known, np.round(values * up / down) / up * down, values)
    inexact = np.flatnonzero(known & (np.abs(decimals) > EXACT_POWER))  # powers of ten that are no double
    rounded.flat[inexact] = [float(f"{value:.{digits}g}") for value in values.flat[inexact]]
    return rounded


@dataclass(frozen=True)
class _Tested:
    """P-values and statistics of the features, shape (n_scores, n_features), and the match of the scores."""

    p_value: NDArray
    statistic: NDArray
    match: NDArray
    regressions: list[Regression]

    def of_scores(self, where: slice) -> _Tested:
        return _Tested(self.p_value[where], self.statistic[where], self.match[where], self.regressions)


def _slopes(parts: Decomposition, name: str, scores: dict[str, NDArray], part: str) -> NDArray:
    """Return the mean slope of the whole modality along each score of a part, shape (rank, n_features)."""
    rank, n_features = scores[part].shape[1], parts.mean[name].size
    if rank == 0:
        return np.zeros((0, n_features))
    limits = np.percentile(scores[part], [LOW, HIGH], axis=0)
    ends = np.concatenate([np.diag(limits[0]), np.diag(limits[1])])
    rendered = parts.rendered_at(name, {part: ends}).reshape(2, rank, n_features)
    width = limits[1] - limits[0]
    return (rendered[1] - rendered[0]) / np.where(width > 0.0, width, 1.0)[:, None]


def _shared_tests(
    model: Any,
    data: Modalities,
    parts: Decomposition,
    names: list[str],
    rng: np.random.RandomState,
    seeds: dict[str, Any],
    progress: Progress,
    n_fits: int,
) -> Iterator[tuple[str, str, _Tested]]:
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


def _test_pieces(data: Modalities, scores: NDArray, name: str, pieces: list[tuple[NDArray, NDArray]]) -> _Tested:
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
) -> _Tested:
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
    return _Tested(p_value, normal, np.array(match), [regression])


def _half_tests(
    model: Any,
    data: Modalities,
    parts: Decomposition,
    names: list[str],
    rng: np.random.RandomState,
    seeds: dict[str, Any],
    progress: Progress,
    n_fits: int,
) -> Iterator[tuple[str, str, _Tested]]:
    """Test scores that one half of the features gives with the features of the other half."""
    sides = {name: rng.permutation(parts.mean[name].size) % 2 for name in data.names}
    results: dict[tuple[str, str], _Tested] = {}
    for side in (0, 1):
        halved = _halved(data, sides, side)
        try:
            refit = refitted(model, halved, **seeds)
        except ValueError as error:
            raise ValueError(HALF_NOT_FITTED.format(reason=error)) from error
        half = refit.decompose(halved)
        progress(n_fits - 1 + side, n_fits, "scores from half of the features")
        for name in names:
            tested = np.flatnonzero(sides[name] != side)
            for part, scores in parts.scores_of(name).items():
                if not scores.shape[1] or (part != "individual" and not model.needs_all_modalities):
                    continue
                result = _half_tested(data, parts, half, name, part, tested)
                rank, width = len(result.match), parts.mean[name].size
                p_value, statistic = np.full((2, rank, width), np.nan)
                whole = results.setdefault((name, part), _Tested(p_value, statistic, np.zeros(rank), []))
                whole.p_value[:, tested], whole.statistic[:, tested] = result.p_value, result.statistic
                whole.match[:] += result.match / 2.0
                whole.regressions.extend(result.regressions)
    for (name, part), result in results.items():
        yield name, part, result


def _half_tested(
    data: Modalities, parts: Decomposition, half: Decomposition, name: str, part: str, tested: NDArray
) -> _Tested:
    rows = np.flatnonzero(data.present[:, data.names.index(name)])
    scores, from_half = (each.scores_of(name)[part][rows] for each in (parts, half))
    constant = np.ones((len(rows), 1))
    given = np.concatenate([constant, _shared(half, name)[rows]], axis=1) if part == "individual" else constant
    centred = from_half - from_half.mean(axis=0)
    weights = np.linalg.lstsq(centred, scores - scores.mean(axis=0), rcond=None)[0]
    values = features_of(data, name, rows)[:, tested]
    return _tested(data, name, part, rows, centred @ weights, scores, given, values, tested)


def _halved(data: Modalities, sides: dict[str, NDArray], side: int) -> Modalities:
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
    halved = Modalities(arrays, present=data.present, groups=data.groups)
    return halved.adjusted_to({}, data.magnitudes) if data.is_adjusted else halved


def _with_tests(effects: FeatureEffects, tests: dict[str, _Tested]) -> FeatureEffects:
    p_value, statistic, match = effects.p_value.copy(), effects.statistic.copy(), effects.match.copy()
    for part, tested in tests.items():
        rows = [row for row, (word, _) in enumerate(effects.scores) if word == part]
        p_value[rows], statistic[rows], match[rows] = tested.p_value, tested.statistic, tested.match
    return replace(
        effects,
        p_value=p_value,
        q_value=q_values(p_value),
        match=match,
        statistic=statistic,
        regressions={part: tested.regressions for part, tested in tests.items()},
    )


def q_values(p_values: NDArray) -> NDArray:
    """Return the false discovery rates within each row of p-values, without those that are NaN."""
    rates = np.full(p_values.shape, np.nan)
    for row, known in enumerate(np.isfinite(p_values)):
        if known.any():
            rates[row, known] = stats.false_discovery_control(p_values[row, known])
    return rates


def basis_of(columns: NDArray) -> NDArray:
    """Return an orthonormal basis of the columns."""
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, values > ROUNDING * values.max(initial=0.0)]


def _correlation(first: NDArray, second: NDArray) -> float:
    first, second = first - first.mean(), second - second.mean()
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second / length) if length > 0.0 else float("nan")
