"""Single missing values inside a modality, filled in before a linear model is fitted.

Missing entries start at their feature's mean. Then, until they stay the same, they are replaced by those of the
modality's best approximation of its signal rank r, whose singular values are shrunk by the noise:

    X = mean + U diag((s_j^2 - v) / s_j) V',      v = mean of the squared singular values behind the first r.

Those that are 0 because there are fewer features that vary than singular values do not count.

Without shrinking, the entries filled in would confirm themselves wherever many are missing.

Josse and Husson 2012, Handling missing values in exploratory multivariate data analysis methods, Journal de la Société
Française de Statistique 153(2), section 2.3 (regularized iterative PCA). A sample that lacks a whole modality is no
case for this: it is marked in ``Modalities.present``. The estimators' ``missing="impute"`` goes on from here with what
the other modalities say; see `deepjive.linear.gaps`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from deepjive.data.modalities import Modalities, as_modalities
from deepjive.linear.signal_ranks import optimal_hard_threshold
from deepjive.validation import check_modality_ranks

EMPTY = (
    "Modality {name!r} has no value at all in {what} {index}. Drop it. A sample that lacks the whole modality is "
    "marked in `present`, or its row left out of the table and unmatched='keep' given (--unmatched keep)."
)
NOT_CONVERGED = (
    "The missing values of modality {name!r} still changed after max_iter={max_iter} iterations. "
    "Raise max_iter or tol, or lower its signal rank."
)


def fill_missing(X: Any, signal_ranks: Any = "auto", *, max_iter: int = 500, tol: float = 1e-5) -> Modalities:
    """Modalities whose missing values (NaN) are filled in from the modality's own signal.

    Parameters
    ----------
    X : Modalities, mapping or sequence
        The data; modalities with missing values are read into memory, the others are passed on as they are.
    signal_ranks : int, dict of str to int, or "auto"
        Components of each modality, joint and individual together. "auto" counts the singular values of the modality,
        filled with means, above Gavish and Donoho's threshold.
    max_iter : int
        Most iterations.
    tol : float
        The iteration ends where the filled values change by less than this, relative to the modality's length.

    Returns
    -------
    Modalities
        The same samples, names and features; observed values are unchanged.

    Raises
    ------
    ValueError
        For a feature without any value, or a sample that has the modality but no value in it.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        Where `max_iter` was reached.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import fill_missing
    >>> x = np.outer(np.arange(6.0), np.ones(4))
    >>> x[2, 1] = np.nan
    >>> round(float(fill_missing({"a": x, "b": np.eye(6)}, 1)["a"][2, 1]), 2)
    2.0
    """
    data = as_modalities(X)
    ranks = check_modality_ranks("signal_ranks", data, signal_ranks)
    filled = {}
    for column, (name, array) in enumerate(data.items()):
        values = np.asarray(array[:])
        present = data.present[:, column]
        flat = values[present].reshape(int(present.sum()), -1)
        if not np.isnan(flat).any():
            filled[name] = array
            continue
        check_not_empty(name, np.isnan(flat))
        full = values.astype(np.float64)
        rank = None if ranks is None else ranks[name]
        size = _power_of_two(flat)  # so that squares neither overflow nor vanish
        full[present] = size * _fill(name, flat / size, rank, max_iter, tol).reshape(-1, *values.shape[1:])
        filled[name] = full
    return with_arrays(data, filled, data.present)


def with_arrays(data: Modalities, arrays: dict[str, Any], present: NDArray[np.bool_]) -> Modalities:
    """The same samples, names, features and participants with other values."""
    changed = Modalities(arrays, samples=data.samples, present=present, groups=data.groups)
    changed.features.update(data.features)
    return changed


def check_not_empty(name: str, gaps: NDArray[np.bool_], kinds: tuple[str, ...] = ("feature", "sample")) -> None:
    """Raise where all values of a feature or of a sample are gaps; shape (n_samples, n_features)."""
    for what in kinds:
        empty = np.flatnonzero(gaps.all(axis=0 if what == "feature" else 1))
        if len(empty):
            raise ValueError(EMPTY.format(name=name, what=what, index=int(empty[0])))


def _power_of_two(values: NDArray) -> float:
    largest = float(np.nanmax(np.abs(values)))
    return float(2.0 ** np.floor(np.log2(largest))) if largest > 0.0 else 1.0


def _fill(name: str, values: NDArray, rank: int | None, max_iter: int, tol: float) -> NDArray:
    gaps = np.isnan(values)
    varying = int(np.sum(np.nanmax(values, axis=0) > np.nanmin(values, axis=0)))
    values = np.where(gaps, np.nanmean(values, axis=0), values)
    rank = _signal_rank(values, varying) if rank is None else rank
    enough = tol * float(np.linalg.norm(values - values.mean(axis=0)))
    for _ in range(max_iter):
        new = _shrunk(values, rank, varying)[gaps]
        change = float(np.linalg.norm(new - values[gaps]))
        values[gaps] = new
        if change <= enough:
            return values
    warnings.warn(NOT_CONVERGED.format(name=name, max_iter=max_iter), ConvergenceWarning, stacklevel=3)
    return values


def _shrunk(values: NDArray, rank: int, varying: int) -> NDArray:
    """The formula of the module's docstring, shape (n_samples, n_features)."""
    mean = values.mean(axis=0)
    u, s, vt = linalg.svd(values - mean, full_matrices=False, check_finite=False)
    free = min(len(values) - 1, varying)
    noise = float(np.mean(s[rank:free] ** 2)) if rank < free else 0.0
    first = s[:rank]
    kept = np.divide(np.maximum(first**2 - noise, 0.0), first, out=np.zeros_like(first), where=first > 0.0)
    return mean + (u[:, :rank] * kept) @ vt[:rank]


def _signal_rank(values: NDArray, varying: int) -> int:
    s = linalg.svdvals(values - values.mean(axis=0), check_finite=False)
    return int(np.sum(s > optimal_hard_threshold(s, len(values) - 1, varying)))
