"""Densities of scores, from which new scores are drawn.

Joint scores z have a mixture of normal distributions. The individual scores s of a modality have one given z, from a
mixture of (z, s) with weights ``w_c``, means and covariances of c:

    p(s | z)  =  sum over c of  v_c(z) N(s; m_c + S_c (z - a_c), V_c),      v_c(z) proportional to w_c N(z; a_c, A_c)

or one of their own, p(s). Before the mixture, each score may be mapped by the power transformation of Yeo and Johnson,
which makes its distribution more symmetric.

Everything that is chosen (map, number of components, full or diagonal covariances, and whether s depends on z) has the
largest log likelihood of held-out scores over five folds. Components are added as long as this likelihood grows.

Draws are kept within the range of the fitted scores, extended by half of its width on both sides: a decoder knows
nothing about scores that are far from all that it was trained with.

References
----------
Yeo and Johnson 2000, A new family of power transformations to improve normality or symmetry, Biometrika 87:954.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16)
KINDS = ((False, "diag"), (False, "full"), (True, "full"))  # given joint scores or not, and covariances
EXPONENTS = np.linspace(-1.0, 3.0, 41)
LEAST_VARIANCE = 1e-3  # scores have variance 1
N_FOLDS, FEWEST, FEWEST_EACH = 5, 20, 5
MOST_FOR_CHOICE, MOST = 2000, 20000
MARGIN, ATTEMPTS = 0.5, 100


@dataclass(frozen=True)
class Choice:
    """What held-out likelihood chose.

    Attributes
    ----------
    components : int
        Number of normal distributions in the mixture.
    covariance : {"full", "diag"}
        Kind of their covariances.
    mapped : bool
        Whether scores are mapped before the mixture.
    given_joint : bool
        Whether individual scores depend on joint scores; False for the density of joint scores.
    log_likelihood : float
        Mean log likelihood of held-out scores; NaN for fewer than 20 samples, where nothing is chosen.
    """

    components: int
    covariance: str
    mapped: bool
    given_joint: bool
    log_likelihood: float


class ScoreDensity:
    """Density of scores, given other scores on request.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Scores of the fitted samples.
    given : array, shape (n_samples, given_rank), default=None
        Scores on which these scores may depend.

    Attributes
    ----------
    choice : Choice
        What held-out likelihood chose.
    """

    def __init__(self, scores: NDArray, given: NDArray | None = None) -> None:
        given = np.zeros((len(scores), 0)) if given is None else given
        rows = np.flatnonzero(np.isfinite(scores).all(axis=1))
        scores, given = _some(scores[rows], MOST), _some(given[rows], MOST)
        self.rank = scores.shape[1]
        self.choice = _choose(scores, given)
        self._low, self._high = _range(scores)
        given = given if self.choice.given_joint else given[:, :0]
        whole = np.concatenate([given, scores], axis=1)
        self._map, self._split = _Map(whole, self.choice.mapped), given.shape[1]
        self._mixture = _Mixture(self._map(whole), self.choice.components, self.choice.covariance)

    def draw(self, n: int, rng: np.random.RandomState, given: NDArray | None = None) -> NDArray:
        """Draw scores.

        Parameters
        ----------
        n : int
            Number of draws.
        rng : RandomState
            The random numbers.
        given : array, shape (n, given_rank), default=None
            Scores on which the draws may depend.

        Returns
        -------
        array, shape (n, rank)
        """
        given = np.zeros((n, 0)) if given is None or not self.choice.given_joint else given
        drawn = np.full((n, self.rank), np.nan)
        left = np.arange(n)
        for _ in range(ATTEMPTS):
            candidates = self._candidates(given[left], rng)
            is_within = ((candidates >= self._low) & (candidates <= self._high)).all(axis=1)  # False for NaN
            drawn[left[is_within]] = candidates[is_within]
            left, candidates = left[~is_within], candidates[~is_within]
            if not len(left):
                return drawn
        drawn[left] = np.clip(np.nan_to_num(candidates), self._low, self._high)
        return drawn

    def _candidates(self, given: NDArray, rng: np.random.RandomState) -> NDArray:
        """Draw scores from anywhere; NaN where the map has no inverse."""
        padded = np.concatenate([given, np.zeros((len(given), self.rank))], axis=1)
        mapped = self._map(padded)[:, : self._split]
        both = np.concatenate([mapped, self._mixture.draw(mapped, rng)], axis=1)
        return self._map.inverse(both)[:, self._split :]


class _Mixture:
    """A mixture of normal distributions of mapped scores."""

    def __init__(self, scores: NDArray, components: int, covariance: str) -> None:
        rank = scores.shape[1]
        if components == 1:  # in closed form, as most candidates have one component
            self.weights, self.means = np.ones(1), scores.mean(axis=0)[None]
            spread = np.cov(scores.T, bias=True).reshape(rank, rank)
            spread = spread if covariance == "full" else np.diag(np.diag(spread))
            self.covariances = (spread + LEAST_VARIANCE * np.eye(rank))[None]
            return
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(components, covariance_type=covariance, reg_covar=LEAST_VARIANCE, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few distinct samples, and of components that have not converged
            mixture.fit(scores)
        self.weights, self.means = mixture.weights_, mixture.means_
        of_all = mixture.covariances_
        self.covariances = np.array([np.diag(values) for values in of_all]) if covariance == "diag" else of_all

    def log_likelihood(self, scores: NDArray, split: int) -> NDArray:
        """Log density of the scores from `split` on, given those before, shape (n_samples,)."""
        before = self._log_densities(scores, split)
        return np.asarray(special.logsumexp(self._log_densities(scores), axis=1) - special.logsumexp(before, axis=1))

    def draw(self, given: NDArray, rng: np.random.RandomState) -> NDArray:
        """Draw the scores that follow the given ones, shape (n, rank - given_rank)."""
        n, split = given.shape
        log_weights = self._log_densities(given, split)
        shares = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        component = (rng.random_sample((n, 1)) > np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)
        noise = rng.standard_normal((n, self.means.shape[1] - split))
        drawn = np.zeros_like(noise)
        for c, (mean, covariance) in enumerate(zip(self.means, self.covariances, strict=True)):
            here = component == c
            slopes = np.linalg.solve(covariance[:split, :split], covariance[:split, split:])
            remaining = covariance[split:, split:] - covariance[split:, :split] @ slopes
            expected = mean[split:] + (given[here] - mean[:split]) @ slopes
            drawn[here] = expected + noise[here] @ root_of(remaining)
        return drawn

    def _log_densities(self, mapped: NDArray, width: int | None = None) -> NDArray:
        """Log of weight times density of each component for the first coordinates, shape (n_samples, components)."""
        width = mapped.shape[1] if width is None else width
        columns = []
        for weight, mean, covariance in zip(self.weights, self.means, self.covariances, strict=True):
            root = np.linalg.cholesky(covariance[:width, :width])
            white = linalg.solve_triangular(root, (mapped[:, :width] - mean[:width]).T, lower=True)
            log_scale = np.log(np.diag(root)).sum() + 0.5 * width * np.log(2.0 * np.pi)
            columns.append(np.log(weight) - log_scale - 0.5 * np.square(white).sum(axis=0))
        return np.stack(columns, axis=1)


class _Map:
    """The power transformation of each score, learned from scores; or no transformation.

    With ``p = a`` for positive scores and ``p = 2 - a`` for negative ones, a score s is mapped to
    ``((1 + |s|)^p - 1) / p`` with its own sign. The exponent a of each score is the one of `EXPONENTS` with the largest
    normal likelihood.
    """

    def __init__(self, scores: NDArray, is_power: bool) -> None:
        rank = scores.shape[1]
        self.exponents, self.mean, self.scale = np.ones(rank), np.zeros(rank), np.ones(rank)
        if is_power:
            likelihoods = [self._log_likelihood(scores, exponent) for exponent in EXPONENTS]
            self.exponents = EXPONENTS[np.argmax(likelihoods, axis=0)] if rank else self.exponents
            mapped = self(scores)
            self.mean, deviation = mapped.mean(axis=0), mapped.std(axis=0)
            self.scale = np.where(deviation > 0.0, deviation, 1.0)

    def __call__(self, scores: NDArray) -> NDArray:
        return (_power(scores, self.exponents) - self.mean) / self.scale

    def inverse(self, mapped: NDArray) -> NDArray:
        """Return the scores; NaN where the map has no inverse."""
        mapped = mapped * self.scale + self.mean
        inverse = special.inv_boxcox1p(np.abs(mapped), np.where(mapped >= 0.0, self.exponents, 2.0 - self.exponents))
        return np.asarray(np.sign(mapped) * inverse)

    def log_slope(self, scores: NDArray) -> NDArray:
        """Logarithm of the derivative of the map of each score."""
        return _log_power_slope(scores, self.exponents) - np.log(self.scale)

    def _log_likelihood(self, scores: NDArray, exponent: float) -> NDArray:
        variance = np.maximum(_power(scores, exponent).var(axis=0), np.finfo(float).tiny)
        return np.asarray(_log_power_slope(scores, exponent).sum(axis=0) - 0.5 * len(scores) * np.log(variance))


def _power(scores: NDArray, exponents: NDArray | float) -> NDArray:
    powers = np.where(scores >= 0.0, exponents, 2.0 - np.asarray(exponents))
    return np.asarray(np.sign(scores) * special.boxcox1p(np.abs(scores), powers))


def _log_power_slope(scores: NDArray, exponents: NDArray | float) -> NDArray:
    return np.asarray(np.sign(scores) * (np.asarray(exponents) - 1.0) * np.log1p(np.abs(scores)))


def _choose(scores: NDArray, given: NDArray) -> Choice:
    """Choose map, components, covariances and dependence by held-out likelihood."""
    if len(scores) < FEWEST:
        return Choice(1, "full" if len(scores) > 2 * scores.shape[1] else "diag", False, False, np.nan)
    scores, given = _some(scores, MOST_FOR_CHOICE), _some(given, MOST_FOR_CHOICE)
    best = Choice(1, "diag", False, False, -np.inf)
    for mapped in (False, True):
        folds = list(_folds(np.concatenate([given, scores], axis=1), mapped))
        for given_joint, covariance in KINDS[: 3 if given.shape[1] else 2]:
            last = -np.inf
            for components in COMPONENTS:
                start, split = (0, given.shape[1]) if given_joint else (given.shape[1], 0)
                value = _held_out([fold.since(start) for fold in folds], components, covariance, split)
                if value > best.log_likelihood:
                    best = Choice(components, covariance, mapped, given_joint, value)
                if not value > last:
                    break
                last = value
    return best


class _Fold(NamedTuple):
    """Mapped scores of training and held-out samples, and the log slopes of the map of the held-out samples."""

    train: NDArray
    test: NDArray
    log_slope: NDArray

    def since(self, start: int) -> _Fold:
        return _Fold(*(array[:, start:] for array in self))


def _folds(scores: NDArray, mapped: bool) -> Iterator[_Fold]:
    from sklearn.model_selection import KFold

    for train, test in KFold(N_FOLDS, shuffle=True, random_state=0).split(scores):
        to_normal = _Map(scores[train], mapped)
        yield _Fold(to_normal(scores[train]), to_normal(scores[test]), to_normal.log_slope(scores[test]))


def _held_out(folds: Sequence[_Fold], components: int, covariance: str, split: int) -> float:
    """Mean log likelihood of held-out scores; minus infinity if a component would have too few samples."""
    if components * FEWEST_EACH > len(folds[0].train):
        return -np.inf
    values = []
    for fold in folds:
        likelihood = _Mixture(fold.train, components, covariance).log_likelihood(fold.test, split)
        values.append(likelihood + fold.log_slope[:, split:].sum(axis=1))
    value = float(np.concatenate(values).mean())
    return value if np.isfinite(value) else -np.inf


def _some(array: NDArray, most: int) -> NDArray:
    """At most so many rows, evenly spread over all."""
    if len(array) <= most:
        return array
    return array[np.linspace(0, len(array) - 1, most).astype(int)]


def _range(scores: NDArray) -> tuple[NDArray, NDArray]:
    low, high = scores.min(axis=0), scores.max(axis=0)
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def root_of(covariance: NDArray) -> NDArray:
    """A matrix R with R'R the covariance; variances that rounding made negative are 0."""
    variances, axes = np.linalg.eigh((covariance + covariance.T) / 2.0)
    return np.asarray(np.sqrt(np.maximum(variances, 0.0))[:, None] * axes.T)


def densities_of(model: Any) -> tuple[ScoreDensity | None, dict[str, ScoreDensity]]:
    """Return the density of joint scores and those of individual scores; None and left out where the rank is 0."""
    joint = ScoreDensity(model.joint_scores_) if model.joint_rank_ else None
    individual = {
        name: ScoreDensity(scores, model.joint_scores_)
        for name, scores in model.individual_scores_.items()
        if model.individual_ranks_[name]
    }
    return joint, individual
