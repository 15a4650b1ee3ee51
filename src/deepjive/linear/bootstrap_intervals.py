"""Bootstrap intervals for variance explained and for loadings.

Samples are drawn with replacement, all modalities of a sample together, and the model is fitted again with its ranks.
Let ``e`` be the estimate, ``m`` the mean of the draws, ``s`` their spread, and t Student's quantile with n - 1 degrees
of freedom. The intervals are

    e - (m - e) - f -+ t s sqrt(n / (n - 1)).

They are intervals for the population: for the fractions of a modality's variance that its joint variation, its
individual variation and its noise have. The estimate of a low-rank part is too large, because the part explains some
noise. There are two reasons:

- There are few samples. The bias ``m - e`` estimates this error, because draws with repeated samples make the same
  error again. Percentile intervals would add the two errors instead of subtracting one.
- There are few features. Draws of samples do not show this error ``f``; see `deepjive.linear.uptake`. For loadings,
  ``f`` is 0.

The spread ``s`` is the largest of three estimates, because each of them is too small on some data:

- the standard deviation of the draws;
- the linearized standard error ``s_l``, which uses the contribution of each sample to the sums of squares,

      s_l^2 = sum_i (a_i - p b_i)^2 / (sum_i b_i)^2,      p = sum_i a_i / sum_i b_i,

  where ``a_i`` is the sum of squares of sample i in the part and ``b_i`` its sum of squares in the data;
- ``s_l`` times the standard deviation of the studentized draws (each draw's deviation from their mean over the draw's
  own ``s_l``). This standard deviation exceeds 1 where tails are heavy, as in bootstrap-t intervals.

For loadings, ``s`` is the standard deviation of the draws. Measured coverage of these and of percentile intervals:
benchmarks/inference_calibration.py.

Components are defined up to sign, and nearly equal components up to rotation. The loadings of each draw are therefore
first rotated to the loadings of the estimate (orthogonal Procrustes), joint loadings in all modalities together.

A draw fits only the samples-by-samples products of a modality. The features of a modality are read twice in all.

Sources:

- Efron and Tibshirani 1993, An introduction to the bootstrap, sections 6.5, 10.6 and 12.5.
- Milan and Whittaker 1995, Application of the parametric bootstrap to models that incorporate a singular value
  decomposition, Applied Statistics 44: Procrustes alignment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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
from deepjive.linear.uptake import explained_noise
from deepjive.progress import Progress, silent
from deepjive.results import Result
from deepjive.threads import one_thread_if_small

TOO_FEW_SAMPLES = (
    "There are too few samples for the bootstrap: {n} samples are drawn with replacement, and in {failed} of {tried} "
    "draws the distinct samples do not have the ranks of the model. Use lower ranks or more samples."
)


@dataclass(frozen=True, repr=False)
class Intervals(Result):
    """Bootstrap intervals.

    Attributes
    ----------
    level : float
        Nominal coverage.
    variance_explained : dict of str to dict of str to tuple of float
        For each modality the lower and upper limit of ``"joint"``, ``"individual"`` and ``"residual"``, within 0 and 1.
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
    """One draw: how often each sample was drawn, variance explained, and weights of the samples.

    The loadings are the products of the weights (n_samples, rank) with the data.
    """

    counts: NDArray[np.intp]
    variance: dict[str, dict[str, float]]
    joint: NDArray
    individual: dict[str, NDArray]

    def weights(self, name: str) -> NDArray:
        """Weights of the joint and then of a modality's individual components, shape (n_samples, sum of ranks)."""
        return np.concatenate([self.joint, self.individual[name]], axis=1)


def bootstrap(
    model: Any,
    X: Any,
    *,
    n_draws: int = 200,
    level: float = 0.9,
    random_state: Any = 0,
    progress: Progress = silent,
) -> Intervals:
    """Bootstrap intervals for the variance explained and the loadings of a fitted linear model.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model. Every draw is fitted with its ranks; intervals do not account for the choice of ranks.
    X : Modalities, mapping or sequence
        The data to which the model was fitted.
    n_draws : int, default=200
        Number of draws, at least 2.
    level : float, default=0.9
        Coverage of each interval, between 0 and 1.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the draws.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every draw and after the intervals of every modality.

    Returns
    -------
    Intervals

    Raises
    ------
    ValueError
        If samples or features differ from those fitted, if there are several samples of a participant, if values were
        filled in for the fit, if the level is outside 0 to 1, or if in more than half of the draws the distinct samples
        (about 63% of all) do not have the ranks. Fewer such draws are replaced by other draws.

    See Also
    --------
    deepjive.jackstraw : Test which features carry the joint components.
    deepjive.permutation_test : Test how many components are joint.

    References
    ----------
    Efron and Tibshirani 1993, An introduction to the bootstrap, sections 6.5, 10.6 and 12.5.
    """
    check_is_fitted(model)
    check_measured(model, "The bootstrap")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is the coverage of the intervals, between 0 and 1, but is {level!r}. Use about 0.9.")
    if n_draws < 2:
        raise ValueError(f"n_draws must be at least 2 for a standard deviation, but is {n_draws}; use about 200.")
    data, rng = data_of(model, X, "The bootstrap"), generator(random_state)
    with one_thread_if_small(len(data), data.shapes):
        return _intervals(model, data, n_draws, level, rng, progress)


def _intervals(
    model: Any, data: Modalities, n_draws: int, level: float, rng: np.random.Generator, progress: Progress
) -> Intervals:
    factors = _factors(model, data)
    original = _as_draw(model, np.arange(len(data)))
    n_steps = n_draws + len(factors)
    draws = []
    for draw in _draws(model, data, factors, n_draws, rng):
        draws.append(_aligned(draw, original, factors))
        progress(len(draws), n_steps, "bootstrap draws")
    variance, loadings = {}, {}
    shifts = explained_noise(model, factors)
    for place, factor in enumerate(factors):
        variance[factor.name] = _variance_limits(factor, original, draws, shifts[factor.name], model.center, level)
        loadings[factor.name] = _loading_limits(factor, original, draws, level)
        progress(n_draws + place + 1, n_steps, f"intervals of {factor.name!r}")
    joint, individual = _in_sample_shape(loadings, model.joint_rank_, data)
    return Intervals(level, variance, joint, individual, _variance_draws(draws))


def _factors(model: Any, data: Modalities) -> list[Factor]:
    masks = checked_masks(model.mask, data.shapes)
    sizes = data.magnitudes
    return [
        make_factor(name, Pieces(array, masks[name], model.center, sizes.get(name)), model.device)
        for name, array in data.items()
    ]


def _draws(
    model: Any, data: Modalities, factors: Sequence[Factor], n_draws: int, rng: np.random.Generator
) -> Iterator[_Draw]:
    """Draws of samples, fitted on the factors; HeteroJIVE's weights depend on the width and need the data."""
    needs_width = isinstance(model, HeteroJIVE)
    refit = with_ranks_of(model) if needs_width else with_ranks_of(model, mask=None, center=False)
    matrices = {factor.name: factor.matrix * factor.length for factor in factors}
    n_made = 0
    for n_tried in itertools.count(1):
        rows = rng.integers(len(data), size=len(data))
        try:
            if needs_width:
                made = _as_draw(refit.fit(data[rows]), rows)
            else:
                made = _weighted_draw(refit, matrices, np.bincount(rows, minlength=len(data)), model.center)
        except ValueError as error:  # the ranks fit all samples, but not the distinct samples of this draw
            if n_tried - n_made > max(n_made, n_draws // 2, 10):
                raise ValueError(TOO_FEW_SAMPLES.format(n=len(data), failed=n_tried - n_made, tried=n_tried)) from error
            continue
        yield made
        n_made += 1
        if n_made == n_draws:
            return


def _weighted_draw(refit: Any, matrices: dict[str, NDArray], counts: NDArray[np.intp], center: bool) -> _Draw:
    """A draw fitted to its distinct samples, each times the root of its count: the products over features are equal."""
    distinct = np.flatnonzero(counts)
    shares = counts[distinct, None] / len(counts)
    roots = np.sqrt(shares)
    weighted = {}
    for name, matrix in matrices.items():
        rows = matrix[distinct]
        weighted[name] = roots * (rows - np.sum(shares * rows, axis=0)) if center else roots * rows
    refit.fit(Modalities(weighted).adjusted_to({}))

    def weights(scores: NDArray) -> NDArray:
        weights_of_all = np.zeros((len(counts), scores.shape[1]))
        weights_of_all[distinct] = roots * scores / np.sqrt(len(distinct))
        return weights_of_all

    individual = {name: weights(scores) for name, scores in refit.individual_scores_.items()}
    return _Draw(counts, refit.variance_explained_, weights(refit.joint_scores_), individual)


def _as_draw(model: Any, rows: NDArray[np.intp]) -> _Draw:
    """A model fitted to some rows of the data, with repeats, as a draw."""

    def weights(scores: NDArray) -> NDArray:
        weights_of_all = np.zeros_like(scores)
        np.add.at(weights_of_all, rows, scores / len(scores))
        return weights_of_all

    individual = {name: weights(scores) for name, scores in model.individual_scores_.items()}
    counts = np.bincount(rows, minlength=len(rows))
    return _Draw(counts, model.variance_explained_, weights(model.joint_scores_), individual)


def _aligned(draw: _Draw, original: _Draw, factors: Sequence[Factor]) -> _Draw:
    """Rotate a draw's components so that its loadings are nearest to the original loadings."""
    r = original.joint.shape[1]
    joint, individual = np.zeros((r, r)), {}
    for factor in factors:
        x, name = factor.matrix, factor.name
        joint += (x.T @ draw.joint).T @ (x.T @ original.joint)
        products = (x.T @ draw.individual[name]).T @ (x.T @ original.individual[name])
        individual[name] = draw.individual[name] @ rotation_from(products)
    return _Draw(draw.counts, draw.variance, draw.joint @ rotation_from(joint), individual)


def _variance_draws(draws: Sequence[_Draw]) -> dict[str, dict[str, NDArray]]:
    return {
        name: {part: np.array([draw.variance[name][part] for draw in draws]) for part in fractions}
        for name, fractions in draws[0].variance.items()
    }


def _variance_limits(
    factor: Factor, original: _Draw, draws: Sequence[_Draw], shifts: dict[str, float], center: bool, level: float
) -> dict[str, tuple[float, float]]:
    """Limits of the fractions of one modality's variance."""
    name, n = factor.name, factor.pieces.n_samples
    errors_of_draws = [_linearized_errors(factor, draw, center) for draw in (original, *draws)]
    limits = {}
    for part, fraction in original.variance[name].items():
        fractions = np.array([draw.variance[name][part] for draw in draws])
        errors = np.array([errors[part] for errors in errors_of_draws])
        lower, upper = _limits(fraction, fractions, n, level, shifts[part], errors)
        limits[part] = float(np.clip(lower, 0.0, 1.0)), float(np.clip(upper, 0.0, 1.0))
    return limits


def _loading_limits(factor: Factor, original: _Draw, draws: Sequence[_Draw], level: float) -> NDArray:
    """Limits of the loadings ``weights' X``, shape (2, rank, width), a few features at a time."""
    weights = [draw.weights(factor.name) for draw in (original, *draws)]
    rank, pieces, scale = weights[0].shape[1], factor.pieces, factor.reduced.scale
    rows = np.concatenate(weights, axis=1).T
    limits = np.empty((2, rank, pieces.width))
    for piece in pieces:
        loadings = (rows @ (piece.values / scale)).reshape(1 + len(draws), rank, piece.values.shape[1])
        limits[:, :, piece.features] = np.multiply(scale, _limits(loadings[0], loadings[1:], pieces.n_samples, level))
    if pieces.mask is not None:
        limits[:, :, ~pieces.mask.reshape(-1)] = 0.0
    return limits


def _in_sample_shape(
    limits: dict[str, NDArray], joint_rank: int, data: Modalities
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Joint and individual limits of each modality, shape (2, rank, ...)."""
    joint, individual = {}, {}
    for name, limits_of_both in limits.items():
        n_individual, shape = limits_of_both.shape[1] - joint_rank, data.shapes[name]
        joint[name] = limits_of_both[:, :joint_rank].reshape(2, joint_rank, *shape)
        individual[name] = limits_of_both[:, joint_rank:].reshape(2, n_individual, *shape)
    return joint, individual


def _linearized_errors(factor: Factor, draw: _Draw, center: bool) -> dict[str, float]:
    """Linearized standard errors ``s_l`` of the fractions; samples count as often as they were drawn."""
    drawn = draw.counts > 0
    counts, x = draw.counts[drawn], factor.matrix[drawn]
    x = x - np.average(x, axis=0, weights=counts) if center else x
    whole = np.sum(x**2, axis=1)
    sums = {}
    for part, weights in (("joint", draw.joint[drawn]), ("individual", draw.individual[factor.name][drawn])):
        scores = weights * (len(draw.counts) / counts)[:, None]
        sums[part] = np.sum((scores @ (weights.T @ x)) ** 2, axis=1)
    sums["residual"] = whole - sums["joint"] - sums["individual"]
    total = counts @ whole
    return {
        part: float(np.sqrt(counts @ (squares - (counts @ squares / total) * whole) ** 2) / total)
        for part, squares in sums.items()
    }


def _limits(
    estimate: Any, draws: NDArray, n: int, level: float, shift: float = 0.0, errors: NDArray | None = None
) -> Any:
    """Lower and upper limit of the interval in the module's docstring.

    Draws are along the first axis. `errors` are the linearized standard errors of the estimate and of the draws.
    """
    middle = 2.0 * estimate - draws.mean(axis=0) - shift
    spread = draws.std(axis=0, ddof=1) * np.sqrt(n / (n - 1))
    if errors is not None:
        safe_errors = np.where(errors[1:] > 0.0, errors[1:], 1.0)
        studentized = (draws - draws.mean()) / safe_errors
        spread = max(float(spread), errors[0] * max(1.0, float(np.std(studentized, ddof=1))))
    reach = student.ppf((1.0 + level) / 2.0, n - 1) * spread
    return middle - reach, middle + reach
