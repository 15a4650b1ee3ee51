"""Features of a modality as a matrix, and their regression on scores with robust standard errors.

References
----------
MacKinnon and White 1985, Some heteroskedasticity-consistent covariance matrix estimators, J Econometrics 29:305.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepjive.algebra import thin_svd
from deepjive.data.groups import members_of, rows_of
from deepjive.data.modalities import Modalities
from deepjive.decomposition import power_of_two

PIECE = 4096
MIN_FREE = 3
ROUNDING = 1e-9


class Regression(NamedTuple):
    """The regression in which features were tested: indices of the features, of the samples, and the regressors.

    Regressors have shape (n_tested_samples, n_regressors) and contain a constant.
    """

    features: NDArray
    rows: NDArray
    regressors: NDArray


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


def basis_of(columns: NDArray) -> NDArray:
    """Return an orthonormal basis of the columns."""
    left, values, _ = thin_svd(columns)
    return left[:, values > ROUNDING * values.max(initial=0.0)]
