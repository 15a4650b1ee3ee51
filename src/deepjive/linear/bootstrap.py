"""Bootstrap intervals for variance explained and for loadings.

Samples are drawn with replacement, all modalities of a sample together, and the model is fitted again with its ranks.
With ``e`` the estimate, ``m`` and ``s`` the mean and standard deviation of the draws, and t Student's quantile of
n - 1 degrees of freedom, intervals are

    e - (m - e) - f -+ t s sqrt(n / (n - 1)).

They are intervals for the population: for the fractions of a modality's variance that its joint, its individual
variation and its noise have. The estimate is too large for a low-rank part, which takes up some noise, in two ways.

- For want of samples. The bias ``m - e`` shows it, because it is there once more in draws whose samples repeat.
  Percentile intervals would add the two errors instead of taking one away.
- For want of features: scores are bent towards the noise along their loadings, by an amount that more samples do not
  change, and draws of samples do not show it. With ``Q`` an orthonormal basis of a part's loadings, and noise that is
  independent between features and has variance ``v_j`` in feature j, a part of its own would take up
  ``sum_j (QQ')_jj v_j``, the fraction ``q`` of the modality's variance. The individual part does: ``f = q``. Joint
  scores are an average over the modalities with pulls ``a_k``, the weights of AJIVE and HeteroJIVE or, in JIVE, the
  joint parts' sums of squares; modality k bends them ``a_k`` times as far, and what another modality bends them is
  lost, so that with ``r_k`` the joint fractions, to first order in the noise,

      f_k = 2 a_k q_k - r_k sum_l a_l^2 q_l / r_l.

  For the residual f is minus the sum of both, and 0 for loadings. ``v_j`` is the residual's variance over
  ``1 - (QQ')_jj``, with ``Q`` of both parts. The derivation is ours.

Measured coverage, of these and of percentile intervals: benchmarks/inference_calibration.py.

Components are defined up to sign, and nearly equal ones up to rotation, so that each draw's loadings are rotated to
the estimate's first (orthogonal Procrustes), joint ones in all modalities together.

Efron and Tibshirani 1993, An introduction to the bootstrap, sections 10.6 and 12.5; Procrustes alignment after Milan
and Whittaker 1995, Application of the parametric bootstrap to models that incorporate a singular value decomposition,
Applied Statistics 44.

Nothing but the samples-by-samples products of a modality is fitted again, and its features are read twice in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.stats import t as student
from sklearn.utils.validation import check_is_fitted

from deepjive.linear.bounds import generator
from deepjive.linear.factor import Factor, make_factor
from deepjive.linear.gaps import check_measured
from deepjive.linear.heterojive import HeteroJIVE
from deepjive.linear.refit import rotation_from, with_ranks_of
from deepjive.linear.streaming import Pieces, checked_masks
from deepjive.modalities import Modalities
from deepjive.validation import check_for_fit

LEAST_LEFT = 0.05

OTHER_DATA = "The bootstrap needs the {fitted} samples the model was fitted to, but was given {given} samples."
WRONG_LEVEL = "level is the coverage of the intervals, between 0 and 1, but is {given!r}; 0.9 gives 90% intervals."


@dataclass(frozen=True)
class Intervals:
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


@dataclass(frozen=True)
class _Draw:
    """One draw: variance explained, and weights (n_samples, rank) whose products with the data are the loadings."""

    variance: dict[str, dict[str, float]]
    joint: NDArray
    individual: dict[str, NDArray]


def bootstrap(model: Any, X: Any, *, n_draws: int = 200, level: float = 0.9, random_state: Any = None) -> Intervals:
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
    random_state : int, RandomState, Generator or None
        Seed of the draws.

    Returns
    -------
    Intervals

    Raises
    ------
    ValueError
        For other samples than those fitted, a level outside 0 to 1, or ranks that a draw's distinct samples (about 63%
        of all) do not have.
    """
    check_is_fitted(model)
    check_measured(model, "The bootstrap")
    if not 0.0 < level < 1.0:
        raise ValueError(WRONG_LEVEL.format(given=level))
    if n_draws < 2:
        raise ValueError(f"n_draws must be at least 2 for a standard deviation, but is {n_draws}; use about 200.")
    data, rng = check_for_fit(X, type(model).__name__), generator(random_state)
    if len(data) != len(model.joint_scores_):
        raise ValueError(OTHER_DATA.format(fitted=len(model.joint_scores_), given=len(data)))
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
    shifts = _shifts(model, factors)
    joint, individual = {}, {}
    for factor in factors:
        name, shape = factor.name, data.shapes[factor.name]
        variance[name] = {
            part: _limits(fraction, variance_draws[name][part], len(data), level, shifts[name][part])
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
    return _Draw(refit.variance_explained_, weights(refit.joint_scores_), individual)


def _as_draw(model: Any, rows: NDArray[np.intp]) -> _Draw:
    def weights(scores: NDArray) -> NDArray:
        total = np.zeros_like(scores)
        np.add.at(total, rows, scores / len(scores))
        return total

    individual = {name: weights(scores) for name, scores in model.individual_scores_.items()}
    return _Draw(model.variance_explained_, weights(model.joint_scores_), individual)


def _aligned(draw: _Draw, original: _Draw, factors: Sequence[Factor]) -> _Draw:
    """Rotate a draw's components so that its loadings are nearest to the original ones."""
    r = original.joint.shape[1]
    joint, individual = np.zeros((r, r)), {}
    for factor in factors:
        x, name = factor.matrix, factor.name
        joint += (x.T @ draw.joint).T @ (x.T @ original.joint)
        products = (x.T @ draw.individual[name]).T @ (x.T @ original.individual[name])
        individual[name] = draw.individual[name] @ rotation_from(products)
    return _Draw(draw.variance, draw.joint @ rotation_from(joint), individual)


def _weights(draw: _Draw, name: str) -> NDArray:
    return np.concatenate([draw.joint, draw.individual[name]], axis=1)


def _loading_limits(factor: Factor, original: NDArray, draws: Sequence[NDArray], level: float) -> NDArray:
    """Limits of the loadings ``weights' X``, shape (2, rank, width), a few features at a time."""
    rank, pieces, size = original.shape[1], factor.pieces, factor.reduced.scale
    rows = np.concatenate([original, *draws], axis=1).T
    limits = np.empty((2, rank, pieces.width))
    for piece in pieces:
        loadings = (rows @ (piece.values / size)).reshape(1 + len(draws), rank, -1)
        limits[:, :, piece.features] = np.multiply(size, _limits(loadings[0], loadings[1:], pieces.n_samples, level))
    if pieces.mask is not None:
        limits[:, :, ~pieces.mask.reshape(-1)] = 0.0
    return limits


def _shifts(model: Any, factors: Sequence[Factor]) -> dict[str, dict[str, float]]:
    """The fractions ``f`` of the module's docstring, by modality and part."""
    names = [factor.name for factor in factors]
    taken = np.array([_taken_up(model, factor) for factor in factors])
    explained = np.array([model.variance_explained_[name]["joint"] for name in names])
    pulls = _pulls(model, factors)
    relative = pulls**2 * taken[:, 0] / np.where(explained > 0.0, explained, 1.0)
    joint = 2.0 * pulls * taken[:, 0] - explained * relative.sum()
    return {
        name: {"joint": float(j), "individual": float(i), "residual": float(-j - i)}
        for name, j, i in zip(names, joint, taken[:, 1], strict=True)
    }


def _pulls(model: Any, factors: Sequence[Factor]) -> NDArray:
    """How much each modality has to say about the joint scores, shape (n_modalities,), with sum 1."""
    if hasattr(model, "weights_"):
        return np.asarray(model.weights_ / model.weights_.sum())
    scaled = [factor.length / model.lengths_[factor.name] for factor in factors]
    sizes = [model.variance_explained_[f.name]["joint"] * s**2 for f, s in zip(factors, scaled, strict=True)]
    return np.asarray(sizes) / (sum(sizes) or 1.0)


def _taken_up(model: Any, factor: Factor) -> tuple[float, float]:
    """The fractions ``q`` of the module's docstring, of the joint and of the individual part."""
    pieces, n, name = factor.pieces, factor.reduced.n_samples, factor.name
    parts = (model.joint_loadings_[name], model.individual_loadings_[name])
    loadings = [part.reshape(len(part), pieces.width) for part in parts]
    shares = linalg.qr(np.concatenate(loadings).T, mode="economic")[0] ** 2
    joint, both = shares[:, : len(loadings[0])].sum(axis=1), shares.sum(axis=1)
    size = factor.length / np.sqrt(n)
    free = max(n - pieces.center - shares.shape[1], 1) / n
    taken, taken_jointly = 0.0, 0.0
    for piece in pieces:
        here = piece.features
        values = pieces.counted(piece) / size
        values = values - values.mean(axis=0) if pieces.center else values
        explained = np.sum((np.concatenate([part[:, here] for part in loadings]) / size) ** 2, axis=0)
        noise = np.maximum(np.mean(values**2, axis=0) - explained, 0.0) / free
        noise /= np.maximum(1.0 - both[here], LEAST_LEFT)
        taken, taken_jointly = taken + float(both[here] @ noise), taken_jointly + float(joint[here] @ noise)
    return taken_jointly, taken - taken_jointly


def _limits(estimate: Any, draws: NDArray, n: int, level: float, shift: float = 0.0) -> Any:
    """Lower and upper limit of the interval in the module's docstring; draws are along the first axis."""
    middle = 2.0 * estimate - draws.mean(axis=0) - shift
    spread = draws.std(axis=0, ddof=1) * np.sqrt(n / (n - 1))
    reach = student.ppf((1.0 + level) / 2.0, n - 1) * spread
    return middle - reach, middle + reach
