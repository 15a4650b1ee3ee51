"""Bootstrap intervals for variance explained and for loadings.

Samples are drawn with replacement, all modalities of a sample together, and the model is fitted again with its ranks.
With ``e`` the estimate, ``m`` and ``s`` the mean and standard deviation of the draws, and z the normal quantile,
intervals are

    e - (m - e) -+ z s.

The bias ``m - e`` is taken away, because draws err in the estimate's direction: a low-rank part takes up some noise, so
that variance explained is too large on average, and larger once more in draws whose samples repeat. Percentile
intervals would add the two errors. Draws of samples show what a part takes up for want of samples but not what it takes
up for want of features (about rank / n_features of the noise), so that with few features and strong noise intervals of
the residual lie too low. Measured coverage, of these and of percentile intervals: benchmarks/inference_calibration.py.

Components are defined up to sign, and nearly equal ones up to rotation, so that each draw's loadings are rotated to
the estimate's first (orthogonal Procrustes), joint ones in all modalities together.

Efron and Tibshirani 1993, An introduction to the bootstrap, sections 10.6 and 12.5; Procrustes alignment after Milan
and Whittaker 1995, Application of the parametric bootstrap to models that incorporate a singular value decomposition,
Applied Statistics 44.

Nothing but the samples-by-samples products of a modality is fitted again, and its features are read once in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.utils.validation import check_is_fitted

from deepjive.linear.bounds import generator
from deepjive.linear.factor import Factor, make_factor
from deepjive.linear.gaps import check_measured
from deepjive.linear.heterojive import HeteroJIVE
from deepjive.linear.refit import rotation_from, with_ranks_of
from deepjive.linear.streaming import Pieces, checked_masks
from deepjive.modalities import Modalities
from deepjive.validation import check_for_fit

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
    variance = {
        name: {part: _limits(fraction, variance_draws[name][part], level) for part, fraction in fractions.items()}
        for name, fractions in original.variance.items()
    }
    joint, individual = {}, {}
    for factor in factors:
        name, shape = factor.name, data.shapes[factor.name]
        loadings = _loading_limits(factor.pieces, _weights(original, name), [_weights(d, name) for d in draws], level)
        joint[name] = loadings[:, : model.joint_rank_].reshape(2, model.joint_rank_, *shape)
        individual[name] = loadings[:, model.joint_rank_ :].reshape(2, model.individual_ranks_[name], *shape)
    return Intervals(level, variance, joint, individual, variance_draws)


def _draws(
    model: Any, data: Modalities, factors: Sequence[Factor], n_draws: int, rng: np.random.Generator
) -> list[_Draw]:
    """Draws of samples, fitted on the factors; HeteroJIVE's weights depend on the width and need the data."""
    if not isinstance(model, HeteroJIVE):
        data = Modalities({factor.name: factor.matrix * factor.length for factor in factors})
        refit = with_ranks_of(model, mask=None)
    else:
        refit = with_ranks_of(model)
    draws = []
    for _ in range(n_draws):
        rows = rng.integers(len(data), size=len(data))
        draws.append(_as_draw(refit.fit(data[rows]), rows))
    return draws


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


def _loading_limits(pieces: Pieces, original: NDArray, draws: Sequence[NDArray], level: float) -> NDArray:
    """Limits of the loadings ``weights' X``, shape (2, rank, width), a few features at a time."""
    rank = original.shape[1]
    rows = np.concatenate([original, *draws], axis=1).T
    limits = np.empty((2, rank, pieces.width))
    for piece in pieces:
        loadings = (rows @ piece.values).reshape(1 + len(draws), rank, -1)
        limits[:, :, piece.features] = _limits(loadings[0], loadings[1:], level)
    if pieces.mask is not None:
        limits[:, :, ~pieces.mask.reshape(-1)] = 0.0
    return limits


def _limits(estimate: Any, draws: NDArray, level: float) -> Any:
    """Lower and upper limit of the interval in the module's docstring; draws are along the first axis."""
    middle, reach = 2.0 * estimate - draws.mean(axis=0), norm.ppf((1.0 + level) / 2.0) * draws.std(axis=0, ddof=1)
    return middle - reach, middle + reach
