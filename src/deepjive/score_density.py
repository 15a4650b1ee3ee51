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
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16)
COVARIANCES = ("full", "diag")
LEAST_VARIANCE = 1e-3  # scores have variance 1
N_FOLDS, FEWEST = 5, 20
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
        self._fitted = _Mixture(scores, given if self.choice.given_joint else given[:, :0], self.choice)

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
            candidates = self._fitted.draw(given[left], rng)
            is_within = ((candidates >= self._low) & (candidates <= self._high)).all(axis=1)  # False for NaN
            drawn[left[is_within]] = candidates[is_within]
            left, candidates = left[~is_within], candidates[~is_within]
            if not len(left):
                return drawn
        drawn[left] = np.clip(np.nan_to_num(candidates), self._low, self._high)
        return drawn


class _Mixture:
    """A mixture of (given, scores) after a map of each score."""

    def __init__(self, scores: NDArray, given: NDArray, choice: Choice) -> None:
        from sklearn.mixture import GaussianMixture

        self.split = given.shape[1]
        whole = np.concatenate([given, scores], axis=1)
        self.map = _Map(whole) if choice.mapped else None
        mapped = whole if self.map is None else self.map(whole)
        mixture = GaussianMixture(
            choice.components, covariance_type=choice.covariance, reg_covar=LEAST_VARIANCE, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few distinct samples, and of components that have not converged
            mixture.fit(mapped)
        self.weights, self.means = mixture.weights_, mixture.means_
        covariances = mixture.covariances_
        self.covariances = np.array([np.diag(c) for c in covariances]) if choice.covariance == "diag" else covariances

    def log_likelihood(self, scores: NDArray, given: NDArray) -> NDArray:
        """Log density of scores given the others, shape (n_samples,)."""
        from scipy.special import logsumexp

        whole = np.concatenate([given, scores], axis=1)
        mapped = whole if self.map is None else self.map(whole)
        joint = logsumexp(self._log_densities(mapped), axis=1) - logsumexp(self._log_densities(mapped, self.split), 1)
        slope = 0.0 if self.map is None else self.map.log_slope(whole)[:, self.split :].sum(axis=1)
        return np.asarray(joint + slope)

    def draw(self, given: NDArray, rng: np.random.RandomState) -> NDArray:
        """Draw scores for each row of the others, shape (n, rank); NaN where the map has no inverse."""
        n, split, rank = len(given), self.split, self.means.shape[1] - self.split
        padded = np.concatenate([given, np.zeros((n, rank))], axis=1)
        mapped = (padded if self.map is None else self.map(padded))[:, :split]
        log_weights = self._log_densities(mapped, split)
        shares = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        component = (rng.random_sample((n, 1)) > np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)
        noise, drawn = rng.standard_normal((n, rank)), np.zeros((n, rank))
        for c, (mean, covariance) in enumerate(zip(self.means, self.covariances, strict=True)):
            here = component == c
            slopes = np.linalg.solve(covariance[:split, :split], covariance[:split, split:])
            remaining = covariance[split:, split:] - covariance[split:, :split] @ slopes
            expected = mean[split:] + (mapped[here] - mean[:split]) @ slopes
            drawn[here] = expected + noise[here] @ _root(remaining)
        if self.map is None:
            return drawn
        return self.map.inverse(np.concatenate([mapped, drawn], axis=1))[:, split:]

    def _log_densities(self, mapped: NDArray, width: int | None = None) -> NDArray:
        """Log of weight times density of each component for the first coordinates, shape (n_samples, components)."""
        from scipy.linalg import solve_triangular

        width = mapped.shape[1] if width is None else width
        columns = []
        for weight, mean, covariance in zip(self.weights, self.means, self.covariances, strict=True):
            root = np.linalg.cholesky(covariance[:width, :width])
            white = solve_triangular(root, (mapped[:, :width] - mean[:width]).T, lower=True)
            log_scale = np.log(np.diag(root)).sum() + 0.5 * width * np.log(2.0 * np.pi)
            columns.append(np.log(weight) - log_scale - 0.5 * np.square(white).sum(axis=0))
        return np.stack(columns, axis=1)


class _Map:
    """The power transformation of each score, learned from scores."""

    def __init__(self, scores: NDArray) -> None:
        from sklearn.preprocessing import PowerTransformer

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of scores that are the same for all samples
            self.transformer = PowerTransformer(standardize=False).fit(scores)
            mapped = self.transformer.transform(scores)
        self.mean, deviation = mapped.mean(axis=0), mapped.std(axis=0)
        self.scale = np.where(deviation > 0.0, deviation, 1.0)

    def __call__(self, scores: NDArray) -> NDArray:
        return np.asarray((self.transformer.transform(scores) - self.mean) / self.scale)

    def inverse(self, mapped: NDArray) -> NDArray:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            return np.asarray(self.transformer.inverse_transform(mapped * self.scale + self.mean))

    def log_slope(self, scores: NDArray) -> NDArray:
        """Logarithm of the derivative of the map of each score."""
        lambdas = self.transformer.lambdas_
        slope: NDArray = np.sign(scores) * (lambdas - 1.0) * np.log1p(np.abs(scores)) - np.log(self.scale)
        return slope


def _choose(scores: NDArray, given: NDArray) -> Choice:
    """Choose map, components, covariances and dependence by held-out likelihood."""
    if len(scores) < FEWEST:
        return Choice(1, "full" if len(scores) > 2 * scores.shape[1] else "diag", False, False, np.nan)
    scores, given = _some(scores, MOST_FOR_CHOICE), _some(given, MOST_FOR_CHOICE)
    best = Choice(1, "diag", False, False, -np.inf)
    for given_joint, mapped, covariance in product((False, True)[: 1 + bool(given.shape[1])], (False, True), COVARIANCES):
        if given_joint and covariance == "diag":
            continue  # one component is then independent, and more are seldom better than full ones
        last = -np.inf
        for components in COMPONENTS:
            candidate = Choice(components, covariance, mapped, given_joint, np.nan)
            value = _held_out(scores, given if given_joint else given[:, :0], candidate)
            if value > best.log_likelihood:
                best = Choice(components, covariance, mapped, given_joint, value)
            if not value > last:
                break
            last = value
    return best


def _held_out(scores: NDArray, given: NDArray, choice: Choice) -> float:
    """Mean log likelihood of held-out scores; minus infinity if a fold has fewer samples than components."""
    from sklearn.model_selection import KFold

    if choice.components * 5 > len(scores) * (N_FOLDS - 1) / N_FOLDS:
        return -np.inf
    values = [
        _Mixture(scores[train], given[train], choice).log_likelihood(scores[test], given[test])
        for train, test in KFold(N_FOLDS, shuffle=True, random_state=0).split(scores)
    ]
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


def _root(covariance: NDArray) -> NDArray:
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
