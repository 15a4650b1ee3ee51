"""Ridge regression, kernel ridge regression and partial least squares, with settings chosen by cross-validation.

A *path* yields the predictions for all settings of a method from one factorisation of the training samples:

- ridge: with ``X = U S V'``, the prediction for penalty c is ``X_new V diag(s / (s^2 + c)) U' Y`` (Hoerl and Kennard
  1970). A path of penalties costs hardly more than one penalty.
- kernel ridge: with ``K = Q L Q'``, it is ``K_new Q diag(1 / (l + c)) Q' Y`` (Saunders et al. 1998), with a Gaussian
  kernel of several widths.
- partial least squares: the first r components of a fit with more components are the fit with r components.

All paths centre both sides by the training samples.

References
----------
Hoerl and Kennard 1970, Ridge regression: biased estimation for nonorthogonal problems, Technometrics 12.
Saunders, Gammerman, Vovk 1998, Ridge regression learning algorithm in dual variables, ICML.
Wold, Sjöström, Eriksson 2001, PLS-regression, Chemometrics and Intelligent Laboratory Systems 58.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Folds = Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
Path = Callable[[NDArray, NDArray, NDArray], Iterable[NDArray]]

PENALTIES = tuple(np.logspace(-4, 3, 15))
WIDTHS = (0.1, 0.3, 1.0)
MAX_COMPONENTS = 15


def ridge_path(x: NDArray, y: NDArray, new: NDArray, penalties: Sequence[float] = PENALTIES) -> Iterable[NDArray]:
    """Yield the predictions of ridge regression for each penalty.

    Parameters
    ----------
    x, y : array, shape (n_samples, n_inputs) and (n_samples, n_targets)
        Training samples.
    new : array, shape (n_new, n_inputs)
        Samples to predict.
    penalties : sequence of float, default=PENALTIES
        Penalties in units of the mean squared singular value of the centred `x`, which makes them comparable between
        tables.

    Yields
    ------
    array, shape (n_new, n_targets)
    """
    mean = y.mean(axis=0)
    u, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    inputs, targets = (new - x.mean(axis=0)) @ vt.T, u.T @ (y - mean)
    for penalty in penalties:
        yield mean + (inputs * shrinkage(s, penalty)) @ targets


def shrinkage(s: NDArray, penalty: float) -> NDArray:
    """Return ``s / (s^2 + c)`` for the singular values `s`, with c in units of their mean square."""
    return s / (np.square(s) + penalty * np.square(s).mean() + np.finfo(float).tiny)


def kernel_ridge_path(
    x: NDArray,
    y: NDArray,
    new: NDArray,
    penalties: Sequence[float] = PENALTIES,
    widths: Sequence[float] = WIDTHS,
) -> Iterable[NDArray]:
    """Yield the predictions of kernel ridge regression for each width of a Gaussian kernel and each penalty.

    Parameters
    ----------
    x, y, new
        As for `ridge_path`.
    penalties : sequence of float, default=PENALTIES
        Penalties in units of the mean eigenvalue of the kernel matrix, which is 1.
    widths : sequence of float, default=WIDTHS
        Factors a of the kernel ``exp(-a d^2 / m)``; m is the mean squared distance d^2 of training samples.

    Yields
    ------
    array, shape (n_new, n_targets)
    """
    from sklearn.metrics.pairwise import euclidean_distances

    mean = y.mean(axis=0)
    among, to_new = euclidean_distances(x, squared=True), euclidean_distances(new, x, squared=True)
    typical = among.mean() or 1.0
    for width in widths:
        values, vectors = np.linalg.eigh(np.exp(-width * among / typical))
        inputs, targets = np.exp(-width * to_new / typical) @ vectors, vectors.T @ (y - mean)
        for penalty in penalties:
            yield mean + (inputs / (np.maximum(values, 0.0) + penalty)) @ targets


def pls_path(x: NDArray, y: NDArray, new: NDArray, max_components: int = MAX_COMPONENTS) -> Iterable[NDArray]:
    """Yield the predictions of partial least squares for each number of components, from 1.

    Parameters
    ----------
    x, y, new
        As for `ridge_path`.
    max_components : int, default=15
        Largest number of components.

    Yields
    ------
    array, shape (n_new, n_targets)
    """
    rotations, loadings = pls_components(x, y, max_components)
    scores = (new - x.mean(axis=0)) @ rotations
    for rank in range(1, scores.shape[1] + 1):
        yield y.mean(axis=0) + scores[:, :rank] @ loadings[:rank]


def pls_components(x: NDArray, y: NDArray, n_components: int) -> tuple[NDArray, NDArray]:
    """Return the rotations, shape (n_inputs, n_components), and target loadings, shape (n_components, n_targets)."""
    from sklearn.cross_decomposition import PLSRegression

    most = min(n_components, len(x) - 1, x.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of components that are exhausted, or found to a lower accuracy
        fit = PLSRegression(most, scale=False).fit(x - x.mean(axis=0), y - y.mean(axis=0))
    return fit.x_rotations_, fit.y_loadings_.T


def best_setting(path: Path, x: NDArray, y: NDArray, folds: Folds) -> int:
    """Return the number of the setting with the least squared error on held-out folds.

    Parameters
    ----------
    path : callable
        ``path(x, y, new)`` yields the predictions for each setting, such as `ridge_path`.
    x, y : array
        Training samples.
    folds : sequence of pairs of arrays of int
        Training and test rows of each inner fold.

    Returns
    -------
    int
    """
    errors = [
        [np.square(y[test] - predicted).sum() for predicted in path(x[train], y[train], x[test])]
        for train, test in folds
    ]
    shortest = min(map(len, errors))
    return int(np.argmin(np.sum([fold[:shortest] for fold in errors], axis=0)))


def at_setting(path: Path, setting: int, x: NDArray, y: NDArray, new: NDArray) -> NDArray:
    """Return the predictions for one setting of a path."""
    return next(itertools.islice(iter(path(x, y, new)), setting, None))
