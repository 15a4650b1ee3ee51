"""Ridge regression from the other modalities: the baseline of joint prediction without a model of joint variation.

Each modality is predicted from all features of the other modalities. Each of these is centred and divided by the root
of its sum of squares, so that modalities count equally. One penalty for all targets minimizes the generalized
cross-validation error (Golub, Heath and Wahba 1979, Technometrics 21:215) among 13 values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepjive.algebra import thin_svd
from deepjive.data.groups import in_random_order, rows_of
from deepjive.data.modalities import Modalities
from deepjive.evaluation.feature_regression import features_of, filled

RIDGE = "ridge regression"
PENALTIES = np.logspace(-3, 3, 13)


def held_out_rows(data: Modalities, fraction: float = 0.3, random_state: int = 0) -> NDArray[np.intp]:
    """Draw a fraction of the participants that have every modality.

    Parameters
    ----------
    data : Modalities
        Samples.
    fraction : float, default=0.3
        Fraction of the participants.
    random_state : int, default=0
        Seed.

    Returns
    -------
    array of int
        Rows of `data`.
    """
    complete = np.flatnonzero(data.present.all(axis=1))
    groups = None if data.groups is None else data.groups[complete]
    members = in_random_order(len(complete), groups, np.random.RandomState(random_state))
    return np.sort(complete[rows_of(members[: round(fraction * len(members))])])


def ridge_r2(train: Modalities, test: Modalities) -> dict[str, float]:
    """Return the fraction of each modality's variance that ridge regression predicts from the other modalities.

    Parameters
    ----------
    train, test : Modalities
        Samples to fit to, and other samples to measure on; all have every modality. Missing values (NaN) count as the
        mean of their feature in `train`, and are not measured in `test`.

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> from deepjive.datasets import make_synthetic
    >>> data = make_synthetic(120, (20, 16), random_state=0).data
    >>> {name: round(value, 1) for name, value in ridge_r2(data[:80], data[80:]).items()}
    {'modality_1': 0.4, 'modality_2': 0.4}
    """
    scaled = {name: _scaled(features_of(train, name), features_of(test, name)) for name in train.names}
    results = {}
    for name in train.names:
        x, new = (
            np.concatenate([scaled[other][side] for other in train.names if other != name], axis=1) for side in (0, 1)
        )
        values, measured = features_of(test, name), features_of(train, name)
        mean = filled(measured).mean(axis=0)
        predicted = mean + _predicted(x, filled(measured) - mean, new)
        known = np.isfinite(values)
        error = np.square(np.where(known, values - predicted, 0.0)).sum()
        total = np.square(np.where(known, values - mean, 0.0)).sum()
        results[name] = float(1.0 - error / total) if total else float("nan")
    return results


def _scaled(train: NDArray, test: NDArray) -> tuple[NDArray, NDArray]:
    train = filled(train)
    mean = train.mean(axis=0)
    length = float(np.linalg.norm(train - mean)) or 1.0
    return (train - mean) / length, np.where(np.isnan(test), 0.0, (test - mean) / length)


def _predicted(x: NDArray, y: NDArray, new: NDArray) -> NDArray:
    """Predict centred targets with the penalty of least generalized cross-validation error."""
    left, singular, right = thin_svd(x)
    targets = left.T @ y
    beyond = max(float(np.square(y).sum() - np.square(targets).sum()), 0.0)
    errors = []
    for penalty in PENALTIES * np.square(singular).mean():
        kept = penalty / (np.square(singular) + penalty)
        residual = float(np.square(kept[:, None] * targets).sum()) + beyond
        free = 1.0 - (1.0 + float(np.sum(1.0 - kept))) / len(x)
        errors.append(residual / free**2 if free > 0.0 else np.inf)
    best = PENALTIES[int(np.argmin(errors))] * np.square(singular).mean()
    return (new @ right.T * (singular / (np.square(singular) + best))) @ targets
