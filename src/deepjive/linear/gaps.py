"""Missing values and missing modalities, filled in from a linear model.

The model is read as a model with normal scores and normal noise,

    x_k = mean_k + s M_k + e_k,        s of variance 1,  e_k of variance sigma_k^2 in every feature,

where ``M_k`` holds the joint loadings of modality k above its individual loadings. Let ``o`` mark the features of a
sample that were measured, in all its modalities. The expected scores given the measured features are

    s = (sum_k (x_ko - mean_ko) M_ko' / sigma_k^2) (1 + sum_k M_ko M_ko' / sigma_k^2)^-1

and the expected values of the missing features are ``mean_k + s M_k``.

Fitting alternates between these expected values and the model:

1. Single missing values of the complete samples are filled in as in `deepjive.linear.missing`. A model of these samples
   gives the ranks.
2. Everything that is missing is filled in from the model.
3. The model is fitted again with the same ranks. Steps 2 and 3 are repeated until the filled values stay the same.

Filled values have no noise. Variance explained is therefore computed from the measured values alone.

Sources:

- Tipping and Bishop 1999, Probabilistic principal component analysis, J. Royal Statistical Society B 61(3), section
  3.3.
"""

from __future__ import annotations

import re
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
from deepjive.progress import Progress, expected_total, silent

MOST_ROUNDS = 50
ENOUGH = 1e-3
LEAST_NOISE = 1e-6
REPRODUCED = 0.02  # standard deviations

TOO_FEW_COMPLETE = (
    "Only {count} of {n} samples have every modality, but at least 2 are needed: ranks and the first estimate come "
    "from complete samples. Drop the modality that is missing most often."
)
NOT_CONVERGED = (
    "The filled values still changed after {rounds} rounds of filling in and fitting. Lower the ranks, or fit to the "
    "complete samples."
)
NOT_REPRODUCED = (
    "{part} that are computed from samples differ from those of the fit by up to {difference:.2g} standard deviations, "
    "because filled values decide a weak component. Use smaller ranks, or fit to samples without missing values."
)
OF_SUBSETS = (
    "{purpose} describes joint and individual components alone, but subsets of modalities have components in this "
    "model. Fit without `subsets`."
)
WEAKER_THAN_GAPS = (
    "{parameter}[{name!r}] is {given}, but only {limit} components of the modality have more than {share:.0e} of its "
    "variance. Weaker ones are errors of the missing values that were filled in. Use smaller ranks, at most {limit} "
    "for this modality, or fit to samples without missing values."
)
FILLED_IN = (
    "{purpose} needs a model of data that were measured, but {share:.1%} of modality {name!r} was filled in by "
    "missing='impute', and filled values agree with the model by construction. Fit to the complete samples instead."
)


def checked_missing(missing: Any) -> bool:
    """Return whether missing values are filled in, from the estimators' parameter `missing`.

    Raises
    ------
    ValueError
        If `missing` is neither "error" nor "impute".
    """
    if missing not in ("error", "impute"):
        raise ValueError(f"missing must be 'error' or 'impute', but is {missing!r}.")
    return bool(missing == "impute")


def check_measured(model: Any, purpose: str) -> None:
    """Raise an error if values were filled in for the fit of a model, or if subsets of modalities have components."""
    if hasattr(model, "structured_"):
        raise ValueError(OF_SUBSETS.format(purpose=purpose))
    for name, share in model.filled_shares_.items():
        if share > 0.0:
            raise ValueError(FILLED_IN.format(purpose=purpose, name=name, share=share))


def has_gaps(data: Modalities) -> bool:
    """Return whether a sample lacks a modality or a value."""
    return not data.present.all() or any(_gaps(data, name) is not None for name in data.names)


def fill_from(model: Any, data: Modalities, *, absent: bool = False) -> Modalities:
    """Replace missing values by their expectation given the measured values; see the module's docstring.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    data : Modalities
        Some or all of the model's modalities. Modalities with missing values are read into memory.
    absent : bool, default=False
        Whether modalities that samples lack are filled in too. These modalities are then present in the result.

    Returns
    -------
    Modalities
    """
    model = getattr(model, "structured_", model)  # that of all subsets
    gaps = {name: _gaps(data, name) for name in data.names}
    to_fill = {name: _gaps_to_fill(data, name, gap, absent) for name, gap in gaps.items() if gap is not None}
    has_gap = np.zeros(len(data), dtype=bool)
    for gap in to_fill.values():
        has_gap |= gap.any(axis=1)
    if not has_gap.any():
        return data
    rows = np.flatnonzero(has_gap)
    scores = np.concatenate([_expected_scores(model, data, gaps, batch) for batch in _batches(data, rows)])
    arrays = dict(data.items())
    for name, gap in to_fill.items():
        if gap.any():
            arrays[name] = _with_expected_values(model, data, name, gap, rows, scores)
    return with_arrays(data, arrays, np.ones_like(data.present) if absent else data.present)


def fill_for_use(model: Any, data: Modalities) -> Modalities:
    """Fill in the single missing values of samples to be scored.

    Raises
    ------
    ValueError
        If a sample has a modality but no value in it.
    """
    for column, name in enumerate(data.names):
        gap = _gaps(data, name)
        if gap is not None:
            check_not_empty(name, gap[data.present[:, column]], ("sample",))
    return fill_from(model, data)


def fit_with_gaps(model: Any, data: Modalities, *, progress: Progress = silent) -> Any:
    """Fit a linear model to data with missing values or modalities.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        An estimator with ``missing="impute"``.
    data : Modalities
        The data.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every iteration within a modality, and then after every round
        of filling in and fitting. The total is the number that the fall of the change lets expect.

    Returns
    -------
    AJIVE, HeteroJIVE or JIVE
        The same estimator, fitted.

    Raises
    ------
    ValueError
        If fewer than two samples are complete, and as in `deepjive.linear.missing.fill_missing`.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the filled values still change after the last round.
    """
    complete = np.asarray(data.present.all(axis=1))
    if complete.sum() < 2:
        raise ValueError(TOO_FEW_COMPLETE.format(count=int(complete.sum()), n=len(data)))
    with warnings.catch_warnings(record=True) as caught:
        _fit_in_rounds(model, data, complete, progress)
    for (category, _), message in _last_of_each_kind(caught).items():
        warnings.warn(message, category, stacklevel=4)  # once, although many models are fitted
    _check_components(model, data)
    _warn_of_other_scores(model, data)
    return model


def _last_of_each_kind(caught: list[warnings.WarningMessage]) -> dict[tuple[type[Warning], str], str]:
    """The last message by category and first sentence; rounds differ in their numbers, and the last model is kept."""
    kinds = {}
    for warning in caught:
        sentence = re.split(r"\.\s", str(warning.message), maxsplit=1)[0]
        kinds[warning.category, re.sub(r"\d+", "", sentence)] = str(warning.message)
    return kinds


def _fit_in_rounds(model: Any, data: Modalities, complete: NDArray[np.bool_], progress: Progress) -> None:
    """Fit to the complete samples, then alternate between filling in and fitting; set the model's attributes."""
    first = clone(model).set_params(missing="error").fit(fill_missing(data, progress=progress)[complete])
    refit, filled = with_ranks_of(first), fill_from(first, data, absent=True)
    fitted = first
    changes: list[float] = []
    while len(changes) < MOST_ROUNDS:
        fitted = _measure(clone(refit)._fit_nearby(filled, fitted), data)
        refilled = fill_from(fitted, data, absent=True)
        change = _change(filled, refilled, data)
        if change <= ENOUGH and not fitted._nearby_is_complete:  # other weights may change the filled values again
            fitted = _measure(clone(refit).fit(filled), data)
            refilled = fill_from(fitted, data, absent=True)
            change = _change(filled, refilled, data)
        changes.append(change)
        total = expected_total(changes, ENOUGH, MOST_ROUNDS)
        progress(len(changes), total, f"missing values from all modalities, change {change:.0e}")
        if change <= ENOUGH:
            break
        filled = refilled
    else:
        warnings.warn(NOT_CONVERGED.format(rounds=MOST_ROUNDS), ConvergenceWarning, stacklevel=2)
    learned = {key: value for key, value in fitted._learned().items() if key != "adjustment_"}  # the model has its own
    model._restore({**learned, **{key: getattr(first, key) for key in model._rank_evidence}})
    model.filled_shares_ = {name: _share(data, name) for name in data.names}


def _check_components(model: Any, data: Modalities) -> None:
    """Raise an error if a component of a modality is weaker than the errors of its filled values."""
    for name in data.names:
        if _gaps(data, name) is None:
            continue
        shares = {"individual_ranks": (model.individual_ranks_[name], model.component_variance_[name]["individual"])}
        if hasattr(model, "signal_ranks_") and model.singular_values_[name].size:  # empty for signal rank 0
            squares = (model.singular_values_[name] / model.singular_values_[name].max()) ** 2
            shares["signal_ranks"] = (model.signal_ranks_[name], squares / squares.sum())
        for parameter, (rank, share) in shares.items():
            if (count := int((share > ENOUGH**2).sum())) < rank:
                given = {"parameter": parameter, "name": name, "given": rank, "limit": count, "share": ENOUGH**2}
                raise ValueError(WEAKER_THAN_GAPS.format(**given))


def _warn_of_other_scores(model: Any, data: Modalities) -> None:
    """Warn if complete samples do not get the scores of the fit, because filled values decide a weak component."""
    rows = np.flatnonzero(data.present.all(axis=1))
    differences = {"joint": 0.0}
    for batch in _batches(data, rows):
        scores = model._scores(fill_for_use(model, data[batch]))
        pairs = {"joint": (scores.joint[:, : model.joint_rank_], model.joint_scores_[batch])}
        pairs |= {name: (scores.individual[name], model.individual_scores_[name][batch]) for name in data.names}
        for part, (again, fitted) in pairs.items():
            differences[part] = max(differences.get(part, 0.0), float(np.abs(again - fitted).max(initial=0.0)))
    worst = max(differences, key=lambda part: differences[part])
    if differences[worst] > REPRODUCED:
        part = "Joint scores" if worst == "joint" else f"Individual scores of modality {worst!r}"
        warnings.warn(NOT_REPRODUCED.format(part=part, difference=differences[worst]), UserWarning, stacklevel=5)


def _gaps(data: Modalities, name: str) -> NDArray[np.bool_] | None:
    """Missing values of a modality, shape (n_samples, n_features), or None if no value is missing."""
    absent = ~data.present[:, data.names.index(name)]
    gaps_of_rows = {}
    for rows in row_batches(np.flatnonzero(~absent), data.shapes[name]):
        missing = np.isnan(data.rows(name, rows)).reshape(len(rows), -1)
        gaps_of_rows.update({int(row): gap for row, gap in zip(rows, missing, strict=True) if gap.any()})
    if not gaps_of_rows and not absent.any():
        return None
    gaps = np.zeros((len(data), int(np.prod(data.shapes[name]))), dtype=bool)
    gaps[absent] = True
    for row, gap in gaps_of_rows.items():
        gaps[row] = gap
    return gaps


def _gaps_to_fill(data: Modalities, name: str, gap: NDArray[np.bool_], absent: bool) -> NDArray[np.bool_]:
    """All gaps if `absent` is true, and otherwise the gaps in samples that have the modality."""
    return gap if absent else gap & data.present[:, [data.names.index(name)]]


def _batches(data: Modalities, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    widest = max(data.shapes.values(), key=lambda shape: int(np.prod(shape)))
    return list(row_batches(rows, widest))


def _with_expected_values(
    model: Any, data: Modalities, name: str, gap: NDArray[np.bool_], rows: NDArray[np.intp], scores: NDArray
) -> NDArray:
    """A modality whose gaps in some rows hold the values ``mean_k + s M_k``, shape (n_samples, ...)."""
    loadings, places, _ = _loadings(model, name)
    values = np.array(data[name][:], dtype=np.float64).reshape(gap.shape)
    expected = model.mean_[name].reshape(-1) + scores[:, places] @ loadings
    values[rows] = np.where(gap[rows], expected, values[rows])
    return values.reshape(len(data), *data.shapes[name])


def _loadings(model: Any, name: str) -> tuple[NDArray, NDArray[np.intp], float]:
    """``M_k`` (rank, n_features), the places of its scores among all scores, and the noise's standard deviation."""
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
    """Expected scores of some samples, joint and then all individual ones, shape (n_rows, sum of ranks)."""
    size = model.joint_rank_ + sum(model.individual_ranks_.values())
    precision, product = np.tile(np.eye(size), (len(rows), 1, 1)), np.zeros((len(rows), size))
    for name in data.names:
        loadings, places, noise = _loadings(model, name)
        loadings = loadings / noise
        gap = gaps[name]
        missing = np.zeros((len(rows), loadings.shape[1]), dtype=bool) if gap is None else gap[rows]
        values = np.asarray(data.rows(name, rows), dtype=np.float64) - model.mean_[name]
        values = np.where(missing, 0.0, values.reshape(missing.shape) / noise)
        product[:, places] += values @ loadings.T
        complete_precision = loadings @ loadings.T
        for i, gap_of_sample in enumerate(missing):
            if not gap_of_sample.all():
                lost = loadings[:, gap_of_sample]
                measured_precision = complete_precision - lost @ lost.T if gap_of_sample.any() else complete_precision
                precision[i][np.ix_(places, places)] += measured_precision
    return np.linalg.solve(precision, product[:, :, None])[:, :, 0]


def _measure(model: Any, data: Modalities) -> Any:
    """Compute variance explained from the measured values, in the place of the filled data's; return the model."""
    masks = checked_masks(model.mask, data.shapes)
    for column, name in enumerate(data.names):
        if _gaps(data, name) is not None:
            rows = np.flatnonzero(data.present[:, column])
            counted = np.ones(data.shapes[name], dtype=bool) if (mask := masks[name]) is None else mask
            measured = Modalities({name: np.where(counted, data.rows(name, rows), np.nan)})
            scores = {name: model.individual_scores_[name][rows]}
            subsets = {key: own[rows] for key, own in getattr(model, "subset_scores_", {}).items() if name in key}
            parts = Decomposition(
                measured, model.joint_scores_[rows], scores, model.mean_, model._render, subset_scores=subsets
            )
            _keep_measured(model, name, parts)
    return model


def _keep_measured(model: Any, name: str, parts: Decomposition) -> None:
    """Recompute a modality's fractions and residual from its measured values."""
    fractions, components = parts.variance_explained[name], model.component_variance_[name]
    for part in components:
        filled = model.variance_explained_[name][part]
        components[part] = components[part] * (fractions[part] / filled if filled else 1.0)
    model.variance_explained_[name] = fractions
    residual = parts.residual[name]
    measured = residual[~np.isnan(residual)]
    residual_std = float(row_norms(measured[None])[0]) / float(np.sqrt(measured.size))
    model.noise_std_[name] *= residual_std / (model.residual_std_[name] or 1.0)
    model.residual_std_[name] = residual_std
    counts = (~np.isnan(residual)).sum(axis=0)
    largest = float(np.abs(measured).max(initial=0.0)) or 1.0
    squares = np.nansum(np.square(residual / largest), axis=0)
    model.feature_residual_std_[name] = largest * np.sqrt(squares / np.maximum(counts, 1))


def _change(old: Modalities, new: Modalities, data: Modalities) -> float:
    """Largest root mean square of the changes over the modalities, relative to the features' standard deviations."""
    changes = [0.0]
    for name in data.names:
        gap = _gaps(data, name)
        if gap is not None:
            before, after = (np.asarray(filled[name][:]).reshape(gap.shape) for filled in (old, new))
            deviations = after - after[0]  # large means lose no digits
            deviations -= deviations.mean(axis=0)
            largest = float(np.abs(deviations).max()) or 1.0
            spread = np.broadcast_to(np.sqrt(np.square(deviations / largest).mean(axis=0)), gap.shape)
            length = float(np.linalg.norm(spread[gap])) or 1.0
            changes.append(float(np.linalg.norm((after - before)[gap] / largest)) / length)
    return max(changes)


def _share(data: Modalities, name: str) -> float:
    """Share of a modality's values that are missing."""
    gap = _gaps(data, name)
    return 0.0 if gap is None else float(gap.mean())
