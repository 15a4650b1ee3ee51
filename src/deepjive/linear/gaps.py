"""What was not measured, filled in from a linear model: single values, and modalities that a sample lacks.

The model is read as one of normal scores and noise,

    x_k = mean_k + s M_k + e_k,        s of variance 1,  e_k of variance sigma_k^2 in every feature,

``M_k`` the joint and the individual loadings of modality k one above the other. From what was measured of a sample, in
all its modalities (``o`` marks these features), its scores are expected to be

    s = (sum_k (x_ko - mean_ko) M_ko' / sigma_k^2) (1 + sum_k M_ko M_ko' / sigma_k^2)^-1

and what was not measured ``mean_k + s M_k`` (Tipping and Bishop 1999, Probabilistic principal component analysis,
J. Royal Statistical Society B 61(3), section 3.3).

Fitting alternates between the two: a model of the complete samples, single values filled in as in
`deepjive.linear.missing`, gives the ranks; then everything missing is filled in from the model and the model fitted
again, until what is filled in stays the same. Filled values have no noise, so that variance explained is measured on
what was measured.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from deepjive.data.chunks import row_batches
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.linear.missing import check_not_empty, fill_missing, with_arrays
from deepjive.linear.refit import with_ranks_of
from deepjive.linear.streaming import checked_masks
from deepjive.linear.svd import row_norms

MOST_ROUNDS = 50
ENOUGH = 1e-3
LEAST_NOISE = 1e-6

UNKNOWN_MISSING = "missing must be 'error' or 'impute', but is {given!r}."
TOO_FEW_COMPLETE = (
    "Only {count} of {n} samples have every modality, but at least 2 are needed: ranks and the first estimate come "
    "from them. Drop the modality that is missing most often."
)
NOT_CONVERGED = (
    "What was filled in still changed after {rounds} rounds of filling in and fitting. Lower the ranks, or fit to the "
    "complete samples."
)
FILLED_IN = (
    "{purpose} needs a model of data that were measured, but {share:.1%} of modality {name!r} was filled in by "
    "missing='impute', and filled values agree with the model by construction. Fit to the complete samples instead."
)


def checked_missing(missing: Any) -> bool:
    """Whether missing values are to be filled in.

    Raises
    ------
    ValueError
        For anything but "error" and "impute".
    """
    if missing not in ("error", "impute"):
        raise ValueError(UNKNOWN_MISSING.format(given=missing))
    return bool(missing == "impute")


def check_measured(model: Any, purpose: str) -> None:
    """Raise where a fitted model has seen values that were filled in."""
    for name, share in model.filled_shares_.items():
        if share > 0.0:
            raise ValueError(FILLED_IN.format(purpose=purpose, name=name, share=share))


def has_gaps(data: Modalities) -> bool:
    """Whether a sample lacks a modality or a value."""
    return not data.present.all() or any(_gaps(data, name) is not None for name in data.names)


def fill_from(model: Any, data: Modalities, *, absent: bool = False) -> Modalities:
    """Data whose missing values are those expected from what was measured; see the module's docstring.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    data : Modalities
        Some or all of its modalities. Those with missing values are read into memory.
    absent : bool
        Whether modalities that samples lack are filled in too; they are then present in the result.

    Returns
    -------
    Modalities
    """
    gaps = {name: _gaps(data, name) for name in data.names}
    wanted = {name: _wanted(data, name, gap, absent) for name, gap in gaps.items() if gap is not None}
    gapped = np.zeros(len(data), dtype=bool)
    for gap in wanted.values():
        gapped |= gap.any(axis=1)
    if not gapped.any():
        return data
    rows = np.flatnonzero(gapped)
    scores = np.concatenate([_expected_scores(model, data, gaps, some) for some in _batches(data, rows)])
    arrays = dict(data.items())
    for name, gap in wanted.items():
        if gap.any():
            loadings, places, _ = _loadings(model, name)
            values = np.array(data[name][:], dtype=np.float64).reshape(gap.shape)
            expected = model.mean_[name].reshape(-1) + scores[:, places] @ loadings
            values[rows] = np.where(gap[rows], expected, values[rows])
            arrays[name] = values.reshape(len(data), *data.shapes[name])
    return with_arrays(data, arrays, np.ones_like(data.present) if absent else data.present)


def fill_for_use(model: Any, data: Modalities) -> Modalities:
    """Samples to be scored, their single missing values filled in.

    Raises
    ------
    ValueError
        For a sample that has a modality but no value in it.
    """
    for column, name in enumerate(data.names):
        gap = _gaps(data, name)
        if gap is not None:
            check_not_empty(name, gap[data.present[:, column]], ("sample",))
    return fill_from(model, data)


def fit_with_gaps(model: Any, data: Modalities) -> Any:
    """Fit a linear model to data with missing values or modalities.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        An estimator with ``missing="impute"``.
    data : Modalities
        The data.

    Returns
    -------
    The same estimator, fitted.

    Raises
    ------
    ValueError
        For fewer than two complete samples, and as `deepjive.linear.missing.fill_missing`.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        Where what is filled in does not settle.
    """
    complete = data.present.all(axis=1)
    if complete.sum() < 2:
        raise ValueError(TOO_FEW_COMPLETE.format(count=int(complete.sum()), n=len(data)))
    first = clone(model).set_params(missing="error").fit(fill_missing(data)[complete])
    current, filled = with_ranks_of(first), fill_from(first, data, absent=True)
    for _ in range(MOST_ROUNDS):
        _measure(current.fit(filled), data)
        new = fill_from(current, data, absent=True)
        if _change(filled, new, data) <= ENOUGH:
            break
        filled = new
    else:
        warnings.warn(NOT_CONVERGED.format(rounds=MOST_ROUNDS), ConvergenceWarning, stacklevel=4)
    model._restore({**current._learned(), **{key: getattr(first, key) for key in model._rank_evidence}})
    model.filled_shares_ = {name: _share(data, name) for name in data.names}
    return model


def _gaps(data: Modalities, name: str) -> NDArray[np.bool_] | None:
    """Which values of a modality are missing, shape (n_samples, n_features), or None where none is."""
    absent = ~data.present[:, data.names.index(name)]
    flags = {}
    for rows in row_batches(np.flatnonzero(~absent), data.shapes[name]):
        gaps = np.isnan(data.rows(name, rows)).reshape(len(rows), -1)
        flags.update({int(row): gap for row, gap in zip(rows, gaps, strict=True) if gap.any()})
    if not flags and not absent.any():
        return None
    found = np.zeros((len(data), int(np.prod(data.shapes[name]))), dtype=bool)
    found[absent] = True
    for row, gap in flags.items():
        found[row] = gap
    return found


def _wanted(data: Modalities, name: str, gap: NDArray[np.bool_], absent: bool) -> NDArray[np.bool_]:
    """The gaps that are to be filled: all, or those in samples that have the modality."""
    return gap if absent else gap & data.present[:, [data.names.index(name)]]


def _batches(data: Modalities, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    widest = max(data.shapes.values(), key=lambda shape: int(np.prod(shape)))
    return list(row_batches(rows, widest))


def _loadings(model: Any, name: str) -> tuple[NDArray, NDArray[np.intp], float]:
    """Joint above individual loadings (rank, d), their places among all scores, and the noise's standard deviation."""
    joint, individual = model.joint_loadings_[name], model.individual_loadings_[name]
    width = model.mean_[name].size
    loadings = np.concatenate([part.reshape(len(part), width) for part in (joint, individual)])
    names = list(model.shapes_)
    start = model.joint_rank_ + sum(model.individual_ranks_[other] for other in names[: names.index(name)])
    places = np.concatenate([np.arange(model.joint_rank_), start + np.arange(len(individual))])
    largest = float(np.abs(loadings).max(initial=0.0))
    return loadings, places, max(model.residual_std_[name], LEAST_NOISE * largest) or 1.0


def _expected_scores(
    model: Any, data: Modalities, gaps: dict[str, NDArray[np.bool_] | None], rows: NDArray[np.intp]
) -> NDArray:
    """Scores of some samples, joint and then all individual ones, shape (n_rows, sum of ranks)."""
    size = model.joint_rank_ + sum(model.individual_ranks_.values())
    precision, product = np.tile(np.eye(size), (len(rows), 1, 1)), np.zeros((len(rows), size))
    for name in data.names:
        loadings, places, noise = _loadings(model, name)
        loadings = loadings / noise
        gap = gaps[name]
        unknown = np.zeros((len(rows), loadings.shape[1]), dtype=bool) if gap is None else gap[rows]
        values = np.asarray(data.rows(name, rows), dtype=np.float64) - model.mean_[name]
        values = np.where(unknown, 0.0, values.reshape(unknown.shape) / noise)
        product[:, places] += values @ loadings.T
        whole = loadings @ loadings.T
        for i, missing in enumerate(unknown):
            if not missing.all():
                known = whole - loadings[:, missing] @ loadings[:, missing].T if missing.any() else whole
                precision[i][np.ix_(places, places)] += known
    return np.linalg.solve(precision, product[:, :, None])[:, :, 0]


def _measure(model: Any, data: Modalities) -> None:
    """Replace what is explained of the data filled in by what is explained of the values that were measured."""
    masks = checked_masks(model.mask, data.shapes)
    for column, name in enumerate(data.names):
        if _gaps(data, name) is not None:
            rows = np.flatnonzero(data.present[:, column])
            counted = np.ones(data.shapes[name], dtype=bool) if (mask := masks[name]) is None else mask
            measured = Modalities({name: np.where(counted, data.rows(name, rows), np.nan)})
            scores = {name: model.individual_scores_[name][rows]}
            parts = Decomposition(measured, model.joint_scores_[rows], scores, model.mean_, model._render)
            _keep_measured(model, name, parts)


def _keep_measured(model: Any, name: str, parts: Decomposition) -> None:
    fractions, components = parts.variance_explained[name], model.component_variance_[name]
    for part in ("joint", "individual"):
        filled = model.variance_explained_[name][part]
        components[part] = components[part] * (fractions[part] / filled if filled else 1.0)
    model.variance_explained_[name] = fractions
    residual = parts.residual[name]
    known = residual[~np.isnan(residual)]
    model.residual_std_[name] = float(row_norms(known[None])[0]) / float(np.sqrt(known.size))


def _change(old: Modalities, new: Modalities, data: Modalities) -> float:
    """Largest relative change of what was filled in, over the modalities."""
    changes = [0.0]
    for name in data.names:
        gap = _gaps(data, name)
        if gap is not None:
            before, after = (np.asarray(filled[name][:]).reshape(gap.shape)[gap] for filled in (old, new))
            largest = np.abs(after).max(initial=0.0) or 1.0
            length = float(np.linalg.norm((after - after.mean()) / largest)) or 1.0
            changes.append(float(np.linalg.norm((after - before) / largest)) / length)
    return max(changes)


def _share(data: Modalities, name: str) -> float:
    gap = _gaps(data, name)
    return 0.0 if gap is None else float(gap.mean())
