"""Single missing values inside a modality, filled in before a linear model is fitted.

Missing entries start at the mean of their feature. Then they are replaced repeatedly, until they stay the same, by the
entries of the modality's best approximation of signal rank r. The singular values are shrunk by the noise:

    X = mean + U diag((s_j^2 - v) / s_j) V',      v = mean of the squared singular values behind the first r.

Singular values that are 0 because few features vary do not count in ``v``. Without shrinking, filled entries would
confirm themselves wherever many entries are missing.

A sample that lacks a whole modality is a different case and is marked in ``Modalities.present``. The estimators'
``missing="impute"`` starts from these values and then also uses the other modalities; see `deepjive.linear.gaps`.

Sources:

- Josse and Husson 2012, Handling missing values in exploratory multivariate data analysis methods, Journal de la
  Société Française de Statistique 153(2), section 2.3 (regularized iterative PCA).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from deepjive.data.modalities import Modalities, as_modalities
from deepjive.linear.leading import TOLERANCE
from deepjive.linear.signal_ranks import optimal_hard_threshold
from deepjive.linear.svd import Reduced
from deepjive.progress import Progress, expected_total, silent
from deepjive.rounding import exceeds_rounding
from deepjive.threads import one_thread_if_small
from deepjive.validation import check_modality_ranks

ACCURATE = 1e-4  # errors of the singular vectors are far smaller than the change at which filling in ends

EMPTY = (
    "Modality {name!r} has no value at all in {what} {index}. Drop this {what}. A sample that lacks the whole modality "
    "is marked in `present`, or its row is left out of the table with unmatched='keep' (--unmatched keep)."
)
NOT_CONVERGED = (
    "The missing values of modality {name!r} still changed after max_iter={max_iter} iterations. "
    "Raise max_iter or tol, or lower the signal rank of the modality."
)


def fill_missing(
    X: Any, signal_ranks: Any = "auto", *, max_iter: int = 500, tol: float = 1e-5, progress: Progress = silent
) -> Modalities:
    """Fill in the missing values (NaN) of each modality from the modality's own signal.

    Parameters
    ----------
    X : Modalities, mapping or sequence
        The data. Modalities with missing values are read into memory; the others are returned unchanged.
    signal_ranks : int, dict of str to int, or "auto", default="auto"
        Components of each modality, joint and individual together. "auto" fills the modality with feature means and
        counts the singular values above Gavish and Donoho's threshold.
    max_iter : int, default=500
        Largest number of iterations for each modality.
    tol : float, default=1e-5
        The iteration ends when the filled values change by less than `tol`, relative to the length (Frobenius norm) of
        the centred modality.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every iteration. The total is the number of iterations that
        the fall of the change lets expect, at most `max_iter`.

    Returns
    -------
    Modalities
        The same samples, names and features. Observed values are unchanged.

    Raises
    ------
    ValueError
        If a feature has no value, or if a sample has the modality but no value in it.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If `max_iter` was reached.

    See Also
    --------
    deepjive.AJIVE : With ``missing="impute"`` it fills in values from all modalities of a sample.

    References
    ----------
    Josse and Husson 2012, Handling missing values in exploratory multivariate data analysis methods, Journal de la
    Société Française de Statistique 153(2).

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
        rows = values[present].reshape(int(present.sum()), -1)
        if not np.isnan(rows).any():
            filled[name] = array
            continue
        check_not_empty(name, np.isnan(rows))
        rank = None if ranks is None else ranks[name]
        complete = values.astype(np.float64)
        with one_thread_if_small(len(rows), {name: values.shape[1:]}):
            completed = _fill(name, rows, rank, max_iter, tol, progress)
        complete[present] = completed.reshape(-1, *values.shape[1:])
        filled[name] = complete
    return with_arrays(data, filled, data.present)


def with_arrays(data: Modalities, arrays: dict[str, Any], present: NDArray[np.bool_]) -> Modalities:
    """Return the same samples, names, features and participants with other values."""
    return data.with_arrays(arrays, present)


def check_not_empty(name: str, gaps: NDArray[np.bool_], kinds: tuple[str, ...] = ("feature", "sample")) -> None:
    """Raise an error if all values of a feature or of a sample are missing; gaps have shape (n_samples, n_features)."""
    for what in kinds:
        empty = np.flatnonzero(gaps.all(axis=0 if what == "feature" else 1))
        if len(empty):
            raise ValueError(EMPTY.format(name=name, what=what, index=int(empty[0])))


def _fill(name: str, rows: NDArray, rank: int | None, max_iter: int, tol: float, progress: Progress) -> NDArray:
    """Regularized iterative PCA of one modality, shape (n_samples, n_features)."""
    size = _power_of_two(rows)  # so that squares neither overflow nor vanish
    values = rows / size
    gaps = np.isnan(values)
    origin = values[(~gaps).argmax(axis=0), np.arange(values.shape[1])]  # constant features become exactly 0
    values -= origin
    n_varying = int(np.sum(exceeds_rounding(np.nanmax(np.abs(values), axis=0), origin)))
    values = np.where(gaps, np.nanmean(values, axis=0), values)
    rank = _signal_rank(values, n_varying) if rank is None else rank
    length = float(np.linalg.norm(values - values.mean(axis=0)))
    changes: list[float] = []
    scores = None
    while len(changes) < max_iter:
        approximation, scores = _shrunk_approximation(values, rank, n_varying, scores, ACCURATE * tol)
        expected = approximation[gaps]
        changes.append(float(np.linalg.norm(expected - values[gaps])))
        values[gaps] = expected
        message = f"missing values of {name!r}, change {changes[-1] / (length or 1.0):.0e}"
        progress(len(changes), expected_total(changes, tol * length, max_iter), message)
        if changes[-1] <= tol * length:
            break
    else:
        warnings.warn(NOT_CONVERGED.format(name=name, max_iter=max_iter), ConvergenceWarning, stacklevel=3)
    return np.where(gaps, size * (values + origin), rows)


def _power_of_two(values: NDArray) -> float:
    """The power of two below the largest magnitude; 1 if all values are 0."""
    largest = float(np.nanmax(np.abs(values)))
    return float(2.0 ** np.floor(np.log2(largest))) if largest > 0.0 else 1.0


def _shrunk_approximation(
    values: NDArray, rank: int, n_varying: int, start: NDArray | None = None, tolerance: float = TOLERANCE
) -> tuple[NDArray, NDArray]:
    """The formula of the module's docstring, shape (n_samples, n_features), and its left singular vectors.

    Vectors from a similar matrix, `start`, save time. The tolerance is that of the vectors.
    """
    reduced = _centred(values, n_varying)
    rank = min(rank, *values.shape)
    svd = reduced.leading(rank, start=start, tolerance=tolerance)
    u, s = svd.vectors, svd.values
    n_free = min(len(values) - 1, n_varying)
    noise = max(reduced.total - float(np.sum(s**2)), 0.0) / (n_free - rank) if rank < n_free else 0.0
    shares = np.divide(np.maximum(s**2 - noise, 0.0), s**2, out=np.zeros_like(s), where=s > 0.0)
    return values.mean(axis=0) + (u * shares) @ (u.T @ reduced.matrix), u


def _signal_rank(values: NDArray, n_varying: int) -> int:
    s = _centred(values, n_varying).all_values()
    return int(np.sum(s > optimal_hard_threshold(s, len(values) - 1, n_varying)))


def _centred(values: NDArray, n_varying: int) -> Reduced:
    return Reduced("factor", values - values.mean(axis=0), 1.0, values.shape[1], n_varying)
