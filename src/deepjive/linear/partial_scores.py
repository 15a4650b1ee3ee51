"""Scores of samples that lack modalities, shrunk by as much as fitted samples show to be right.

A sample that lacks modalities has less information about its joint scores. Coefficients that fit the fitted samples
best would then be far too large for new samples where joint scores are many and samples few. They are shrunk in two
steps. Let ``O`` be the modalities that a sample has.

1. Expected scores. With normal scores of variance 1 and normal noise of variance ``sigma_k^2`` in every feature,
   ``x_k = mean_k + s M_k + e_k`` with the joint loadings of modality k above its individual loadings in ``M_k``, and

       E(s) = (sum_k (x_k - mean_k) M_k' / sigma_k^2) (1 + sum_k M_k M_k' / sigma_k^2)^-1,        k in O.

2. Calibration. Ridge regression of the fitted samples' joint scores on their expected joint scores ``E_J``:

       s_J = E_J (E_J'E_J / n + p)^-1 E_J'U / n.

   The penalty ``p`` has the least leave-one-out error in the modalities that are not in ``O``, whose joint parts are
   predicted from ``s_J``. The error of each of these modalities counts relative to its squared length.

Individual scores of modality k are the expected scores of the remainder ``x_k - mean_k - s_J L_k``. Samples with all
modalities are not scored here, but by the map that gives the fitted samples their own scores.

``sigma_k^2`` is the sum of squares of the residual over its degrees of freedom, ``(n - 1 - r)(d - r)`` for rank r of
both parts and d features that vary. The two steps are our own; benchmarks/linear_prediction.py compares them with ridge
regression and with no shrinkage.

Sources:

- Tipping and Bishop 1999, Probabilistic principal component analysis, J. Royal Statistical Society B 61(3), section
  3.3: expected scores.
- Golub, Heath, Wahba 1979, Generalized cross-validation as a method for choosing a good ridge parameter, Technometrics
  21(2), eq. 1.3: the leave-one-out error of ridge regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.base import Scores

PENALTIES = np.concatenate([[1e-10], np.logspace(-4.0, 2.0, 19)])
LEAST_NOISE = 1e-5
LEAST_REMAINDER = 1e-6


def partial_scores(model: Any, products: dict[str, NDArray]) -> Scores:
    """Scores of samples from some of the fitted modalities; see the module's docstring.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    products : dict of str to array, shape (n_samples, joint_rank + individual_rank)
        Products of the samples with the loadings of the modalities that they have, as `products_` of the model.

    Returns
    -------
    Scores
    """
    names, r = list(products), model.joint_rank_
    joint = _stacked(products) @ joint_coefficients(model, names)
    individual = {}
    for name in names:
        gram, noise = _loading_products(model, name), _noise_variance(model, name)
        remainder = products[name][:, r:] - joint @ gram[:r, r:]
        spread = gram[r:, r:] + noise * np.eye(len(gram) - r)
        individual[name] = linalg.solve(spread, remainder.T, assume_a="pos", check_finite=False).T
    return Scores(joint, individual)


def joint_coefficients(model: Any, names: Sequence[str]) -> NDArray:
    """Coefficients of the joint scores on the products of some modalities, one modality's products above the next.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    names : sequence of str
        Some of the modalities, but not all.

    Returns
    -------
    array, shape (sum of joint_rank + individual_rank, joint_rank)
    """
    if model.joint_rank_ == 0:
        return np.zeros((sum(model.individual_ranks_[name] for name in names), 0))
    coefficients = _expected_coefficients(model, names)
    expected = _stacked({name: model.products_[name] for name in names}) @ coefficients
    calibration = _calibration(model, expected, [k for k in model.shapes_ if k not in names])
    calibration[:, ~expected.any(axis=0)] = 0.0  # components that none of the modalities holds
    return np.asarray(coefficients @ calibration)


def _expected_coefficients(model: Any, names: Sequence[str]) -> NDArray:
    """Step 1 as coefficients on the products."""
    r = model.joint_rank_
    stops = r + np.cumsum([0, *(model.individual_ranks_[name] for name in names)])
    precision, noise = np.eye(stops[-1]), {name: _noise_variance(model, name) for name in names}
    places = [np.concatenate([np.arange(r), np.arange(a, b)]) for a, b in pairwise(stops)]
    for name, place in zip(names, places, strict=True):
        precision[np.ix_(place, place)] += _loading_products(model, name) / noise[name]
    covariance = linalg.solve(precision, np.eye(stops[-1])[:, :r], assume_a="pos", check_finite=False)
    return np.concatenate([covariance[place] / noise[name] for name, place in zip(names, places, strict=True)])


def _calibration(model: Any, expected: NDArray, absent: Sequence[str]) -> NDArray:
    """Step 2: the matrix (joint_rank, joint_rank) that turns expected scores into joint scores."""
    n, joint = expected.shape[0], model.joint_scores_
    spread, axes = linalg.eigh(expected.T @ expected / n, check_finite=False)
    spread = np.maximum(spread, 0.0)
    rotated, covariance = expected @ axes, axes.T @ (expected.T @ joint) / n
    calibrations, errors = [], []
    for penalty in PENALTIES:
        calibration = covariance / (spread + penalty)[:, None]
        leverage = (rotated**2) @ (1.0 / (spread + penalty)) / n + model.center / n
        remainder = np.maximum(1.0 - leverage, LEAST_REMAINDER)[:, None]
        errors.append(_error(model, (joint - rotated @ calibration) / remainder, absent))
        calibrations.append(axes @ calibration)
    return calibrations[int(np.argmin(errors))]


def _error(model: Any, difference: NDArray, absent: Sequence[str]) -> float:
    """Squared error of the absent modalities over their squared lengths, less a constant, for errors of the scores."""
    r, error = model.joint_rank_, 0.0
    for name in absent:
        gram = _loading_products(model, name)[:r, :r]
        residual_products = model.products_[name][:, :r] - model.joint_scores_ @ gram
        error += float(2.0 * np.vdot(residual_products, difference) + np.vdot(difference, difference @ gram))
    return error


def _stacked(products: dict[str, NDArray]) -> NDArray:
    return np.concatenate(list(products.values()), axis=1)


def _loading_products(model: Any, name: str) -> NDArray:
    """``M_k M_k'`` over the squared length, from the fitted samples' scores and products."""
    scores = np.concatenate([model.joint_scores_, model.individual_scores_[name]], axis=1)
    gram = scores.T @ model.products_[name] / len(scores)
    held = model.products_[name].any(axis=0)  # the modality has no loadings of the other components
    gram = np.where(held & held[:, None], (gram + gram.T) / 2.0, 0.0)
    values, axes = linalg.eigh(gram, check_finite=False)
    # scores that are not quite orthogonal, such as more components than samples, give products that no loadings have
    gram = (axes * np.maximum(values, 0.0)) @ axes.T
    return np.where(held & held[:, None], gram, 0.0)


def _noise_variance(model: Any, name: str) -> float:
    """``sigma_k^2`` over the squared length, at least rounding errors of the largest loading."""
    largest = float(np.diag(_loading_products(model, name)).max(initial=0.0))
    noise = float(model.noise_std_[name] / model.lengths_[name]) ** 2
    return max(noise, LEAST_NOISE**2 * largest) or 1.0
