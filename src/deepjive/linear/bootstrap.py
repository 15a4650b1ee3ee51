"""Bootstrap intervals for variance explained and for loadings.

Samples are drawn with replacement, all modalities of a sample together, and the model is fitted again with its ranks.
With ``e`` the estimate, ``m`` the mean of the draws, ``s`` their spread, and t Student's quantile of n - 1 degrees of
freedom, intervals are

    e - (m - e) - f -+ t s sqrt(n / (n - 1)).

They are intervals for the population: for the fractions of a modality's variance that its joint, its individual
variation and its noise have. The estimate is too large for a low-rank part, which takes up some noise, in two ways.

- For want of samples. The bias ``m - e`` shows it, because it is there once more in draws whose samples repeat.
  Percentile intervals would add the two errors instead of taking one away.
- For want of features, ``f``, which draws of samples do not show; see `deepjive.linear.uptake`. For loadings it is 0.

The spread ``s`` is the largest of three estimates, of which each is too small on some data: the draws' standard
deviation; the linearized standard error ``s_l``, from what each sample adds to the sums of squares,

    s_l^2 = sum_i (a_i - p b_i)^2 / (sum_i b_i)^2,      p = sum_i a_i / sum_i b_i,

``a_i`` the sample's part and ``b_i`` its whole; and ``s_l`` times the standard deviation of the draws over their own
``s_l``, which is above 1 where tails are heavy (as in bootstrap-t intervals). For loadings it is the first.

Measured coverage, of these and of percentile intervals: benchmarks/inference_calibration.py.

Components are defined up to sign, and nearly equal ones up to rotation, so that each draw's loadings are rotated to
the estimate's first (orthogonal Procrustes), joint ones in all modalities together.

Efron and Tibshirani 1993, An introduction to the bootstrap, sections 6.5, 10.6 and 12.5; Procrustes alignment after
Milan and Whittaker 1995, Application of the parametric bootstrap to models that incorporate a singular value
decomposition, Applied Statistics 44.

Nothing but the samples-by-samples products of a modality is fitted again, and its features are read twice in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.utils.validation import check_is_fitted

from deepjive.data.modalities import Modalities
from deepjive.linear.bounds import generator
from deepjive.linear.factor import Factor, make_factor
from deepjive.linear.gaps import check_measured
from deepjive.linear.heterojive import HeteroJIVE
from deepjive.linear.refit import data_of, rotation_from, with_ranks_of
from deepjive.linear.streaming import Pieces, checked_masks
from deepjive.linear.uptake import taken_up
from deepjive.results import Result

WRONG_LEVEL = "level is the coverage of the intervals, between 0 and 1, but is {given!r}; 0.9 gives 90% intervals."


@dataclass(frozen=True, repr=False)
class Intervals(Result):
    """Bootstrap intervals.

    Attributes
    ----------
    level : float
        Nominal coverage.
    variance_explained : dict of str to dict of str to tuple of float
        For each modality the lower and upper limit of ``"joint"``, ``"individual"`` and ``"residual"``.
    joint_loadings, individual_loadings : dict of str to array, shape (2, rank, ...)
        For each modality the lower and upper limits, in data units.
    variance_draws : dict of str to dict of str to array, shape (n_draws,)
        Variance explained in every draw.
    """

    level: float
    variance_explained: dict[str, dict[str, tuple[float, float]]]
    joint_loadings: dict[str, NDArray]
    individual_loadings: dict[str, NDArray]
    variance_draws: dict[str, dict[str, NDArray]]

    def _summary(self) -> str:
        joint = {name: limits["joint"] for name, limits in self.variance_explained.items()}
        limits = ", ".join(f"{name} {lower:.2f} to {upper:.2f}" for name, (lower, upper) in joint.items())
        n_draws = len(next(iter(self.variance_draws.values()))["joint"])
        return f"{self.level:.0%} intervals, joint variance explained: {limits}; {n_draws} draws"

    def _table(self) -> Any:
        return [
            {"modality": name, "part": part, "lower": lower, "upper": upper, "level": self.level}
            for name, parts in self.variance_explained.items()
            for part, (lower, upper) in parts.items()
        ]


@dataclass(frozen=True)
class _Draw:
    """One draw: variance explained, how often each sample was drawn, and weights.

    Products of the weights (n_samples, rank) with the data are the loadings.
    """

    counts: NDArray[np.intp]
    variance: dict[str, dict[str, float]]
    joint: NDArray
    individual: dict[str, NDArray]


def bootstrap(model: Any, X: Any, *, n_draws: int = 200, level: float = 0.9, random_state: Any = 0) -> Intervals:
    """Bootstrap intervals for a fitted linear model.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model; its ranks are kept, so that intervals do not account for their choice.
    X : Modalities, mapping or sequence
        The data it was fitted to.
    n_draws : int
        Number of draws, at least 2.
    level : float
        Coverage of each interval.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the draws.

    Returns
    -------
    Intervals

    Raises
    ------
    ValueError
        For other samples or features than those fitted, several samples of a participant, a level outside 0 to 1, or
        ranks that a draw's distinct samples (about 63% of all) do not have.
    """
    check_is_fitted(model)
    check_measured(model, "The bootstrap")
    if not 0.0 < level < 1.0:
        raise ValueError(WRONG_LEVEL.format(given=level))
    if n_draws < 2:
        raise ValueError(f"n_draws must be at least 2 for a standard deviation, but is {n_draws}; use about 200.")
    data, rng = data_of(model, X, "The bootstrap"), generator(random_state)
    masks = checked_masks(model.mask, data.shapes)
    factors = [
        make_factor(name, Pieces(array, masks[name], model.center), model.device) for name, array in data.items()
    ]
    original = _as_draw(model, np.arange(len(data)))
    draws = [_aligned(draw, original, factors) for draw in _draws(model, data, factors, n_draws, rng)]
    variance_draws = {
        name: {part: np.array([draw.variance[name][part] for draw in draws]) for part in fractions}
        for name, fractions in original.variance.items()
    }
    variance: dict[str, dict[str, tuple[float, float]]] = {}
    shifts = taken_up(model, factors)
    joint, individual = {}, {}
    for factor in factors:
        name, shape = factor.name, data.shapes[factor.name]
        errors = _errors_of_all(factor, [original, *draws], model.center)
        variance[name] = {
            part: _limits(fraction, variance_draws[name][part], len(data), level, shifts[name][part], errors[part])
            for part, fraction in original.variance[name].items()
        }
        loadings = _loading_limits(factor, _weights(original, name), [_weights(d, name) for d in draws], level)
        joint[name] = loadings[:, : model.joint_rank_].reshape(2, model.joint_rank_, *shape)
        individual[name] = loadings[:, model.joint_rank_ :].reshape(2, model.individual_ranks_[name], *shape)
    return Intervals(level, variance, joint, individual, variance_draws)


def _draws(
    model: Any, data: Modalities, factors: Sequence[Factor], n_draws: int, rng: np.random.Generator
) -> list[_Draw]:
    """Draws of samples, fitted on the factors; HeteroJIVE's weights depend on the width and need the data."""
    hetero = isinstance(model, HeteroJIVE)
    refit = with_ranks_of(model) if hetero else with_ranks_of(model, mask=None, center=False)
    matrices = {factor.name: factor.matrix * factor.length for factor in factors}
    draws = []
    for _ in range(n_draws):
        rows = rng.integers(len(data), size=len(data))
        if hetero:
            draws.append(_as_draw(refit.fit(data[rows]), rows))
        else:
            draws.append(_weighted_draw(refit, matrices, np.bincount(rows, minlength=len(data)), model.center))
    return draws


def _weighted_draw(refit: Any, matrices: dict[str, NDArray], counts: NDArray[np.intp], center: bool) -> _Draw:
    """A draw fitted to its distinct samples, each times the root of its count: the same products over features."""
    distinct = np.flatnonzero(counts)
    shares = counts[distinct, None] / len(counts)
    roots = np.sqrt(shares)
    weighted = {}
    for name, matrix in matrices.items():
        rows = matrix[distinct]
        weighted[name] = roots * (rows - np.sum(shares * rows, axis=0)) if center else roots * rows
    refit.fit(weighted)

    def weights(scores: NDArray) -> NDArray:
        total = np.zeros((len(counts), scores.shape[1]))
        total[distinct] = roots * scores / np.sqrt(len(distinct))
        return total

    individual = {name: weights(scores) for name, scores in refit.individual_scores_.items()}
    return _Draw(counts, refit.variance_explained_, weights(refit.joint_scores_), individual)


def _as_draw(model: Any, rows: NDArray[np.intp]) -> _Draw:
    def weights(scores: NDArray) -> NDArray:
        total = np.zeros_like(scores)
        np.add.at(total, rows, scores / len(scores))
        return total

    individual = {name: weights(scores) for name, scores in model.individual_scores_.items()}
    counts = np.bincount(rows, minlength=len(rows))
    return _Draw(counts, model.variance_explained_, weights(model.joint_scores_), individual)


def _aligned(draw: _Draw, original: _Draw, factors: Sequence[Factor]) -> _Draw:
    """Rotate a draw's components so that its loadings are nearest to the original ones."""
    r = original.joint.shape[1]
    joint, individual = np.zeros((r, r)), {}
    for factor in factors:
        x, name = factor.matrix, factor.name
        joint += (x.T @ draw.joint).T @ (x.T @ original.joint)
        products = (x.T @ draw.individual[name]).T @ (x.T @ original.individual[name])
        individual[name] = draw.individual[name] @ rotation_from(products)
    return _Draw(draw.counts, draw.variance, draw.joint @ rotation_from(joint), individual)


def _weights(draw: _Draw, name: str) -> NDArray:
    return np.concatenate([draw.joint, draw.individual[name]], axis=1)


def _loading_limits(factor: Factor, original: NDArray, draws: Sequence[NDArray], level: float) -> NDArray:
    """Limits of the loadings ``weights' X``, shape (2, rank, width), a few features at a time."""
    rank, pieces, size = original.shape[1], factor.pieces, factor.reduced.scale
    rows = np.concatenate([original, *draws], axis=1).T
    limits = np.empty((2, rank, pieces.width))
    for piece in pieces:
        loadings = (rows @ (piece.values / size)).reshape(1 + len(draws), rank, piece.values.shape[1])
        limits[:, :, piece.features] = np.multiply(size, _limits(loadings[0], loadings[1:], pieces.n_samples, level))
    if pieces.mask is not None:
        limits[:, :, ~pieces.mask.reshape(-1)] = 0.0
    return limits


def _errors_of_all(factor: Factor, draws: Sequence[_Draw], center: bool) -> dict[str, NDArray]:
    """Linearized standard errors of the fractions, in the estimate and in the draws, shape (1 + n_draws,)."""
    errors = [_errors(factor, draw, center) for draw in draws]
    return {part: np.array([error[part] for error in errors]) for part in errors[0]}


def _errors(factor: Factor, draw: _Draw, center: bool) -> dict[str, float]:
    """The formula of the module's docstring, for samples that count as often as they were drawn."""
    drawn = draw.counts > 0
    counts, x = draw.counts[drawn], factor.matrix[drawn]
    x = x - np.average(x, axis=0, weights=counts) if center else x
    sums = {"whole": np.sum(x**2, axis=1)}
    for part, weights in (("joint", draw.joint[drawn]), ("individual", draw.individual[factor.name][drawn])):
        scores = weights * (len(draw.counts) / counts)[:, None]
        sums[part] = np.sum((scores @ (weights.T @ x)) ** 2, axis=1)
    whole = sums.pop("whole")
    sums["residual"] = whole - sums["joint"] - sums["individual"]
    total = counts @ whole
    return {
        part: float(np.sqrt(counts @ (own - (counts @ own / total) * whole) ** 2) / total) for part, own in sums.items()
    }


def _limits(
    estimate: Any, draws: NDArray, n: int, level: float, shift: float = 0.0, errors: NDArray | None = None
) -> Any:
    """Lower and upper limit of the interval in the module's docstring; draws are along the first axis."""
    middle = 2.0 * estimate - draws.mean(axis=0) - shift
    spread = draws.std(axis=0, ddof=1) * np.sqrt(n / (n - 1))
    if errors is not None:
        safe = np.where(errors[1:] > 0.0, errors[1:], 1.0)
        spread = max(float(spread), errors[0] * max(1.0, float(np.std((draws - draws.mean()) / safe, ddof=1))))
    reach = student.ppf((1.0 + level) / 2.0, n - 1) * spread
    return middle - reach, middle + reach
