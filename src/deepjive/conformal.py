"""Conformal prediction: how far predictions are from what was measured, on samples that the model was not fitted to.

`calibrated` measures the errors of a model's predictions on calibration samples, and keeps their quantiles. An interval
of level ``1 - a`` is the prediction minus and plus the quantile. Let G be the number of participants in the
calibration samples, and ``m_i`` the number of samples of participant i. The quantile at level l is the smallest q with

    sum over samples with error <= q of 1 / ((G + 1) m_i)  >=  l.

With one sample of each participant this is the ``ceil((G + 1) l)``-th smallest error. A new sample of a new participant
is covered with probability at least l if the participants are exchangeable and the model does not depend on the
calibration samples. If errors have no ties, and each participant has one sample, the probability is below
``l + 1 / (G + 1)``. The probability is over calibration samples and new sample together.

Errors are absolute differences: of each feature (`Intervals.lower`, `Intervals.upper`), and the root mean square over
all features of a sample (`Intervals.radius`). Errors of joint scores are differences between the scores from some of
the modalities and those from all.

Two kinds of calibration samples:

- **held-out**: samples that the model was not fitted to. Coverage is exact in the sense above.
- **folds**: the fitted samples. The model is fitted again without each fold in turn, ranks included, and the errors are
  those of the samples left out. No sample is lost. There is no exact guarantee, because new samples are predicted by
  the model of all samples: intervals are as a rule a little too wide, because models of fewer samples predict worse.

References
----------
Vovk, Gammerman, Shafer 2005, Algorithmic learning in a random world, Springer.
Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, Distribution-free predictive inference for regression, J. American
Statistical Association 113:1094.
Lee, Barber, Willett 2023, Distribution-free inference with hierarchical data, arXiv 2306.06342: several samples of each
participant.
Barber, Candes, Ramdas, Tibshirani 2021, Predictive inference with the jackknife+, Annals of Statistics 49:486.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from deepjive.adjust.inspection import UnitsWarning
from deepjive.data.groups import folds_of, named_groups
from deepjive.data.modalities import Modalities
from deepjive.progress import Progress, silent

FEW_MODALITIES = 4  # with more, only all other modalities together and each alone are calibrated
BLOCK = 2**22
LEAST_LEVELS = 20
SAME = 1e-5
MOVED = 0.05
ROUNDING = 1e-9

WRONG_LEVEL = "interval is {given!r}, but must be a number between 0 and 1, such as 0.9."
NOT_CALIBRATED = (
    "The model is not calibrated, so its intervals are not known. Call model.calibrate(samples) (deepjive calibrate) "
    "with samples that the model was not fitted to, or model.calibrate(fitted_samples, folds=5)."
)
NOT_GIVEN = (
    "Predictions of {target} from {given} are not calibrated; those from {known} are. Calibrate them with "
    "model.calibrate(samples, given=[{example}])."
)
TOO_FEW = (
    "An interval of level {level:g} needs at least {needed} participants in the calibration samples, but {target} was "
    "calibrated with {n}. Calibrate with more participants, or ask for a lower level."
)
FITTED = (
    "{count} of the {n} calibration samples are samples that the model was fitted to, whose errors are too small. Pass "
    "samples that the model was not fitted to, or pass all fitted samples with folds=5."
)
NOT_FITTED = (
    "folds={folds} fits the model again to parts of the samples that it was fitted to, but these are other samples: "
    "{reason}. Pass the fitted samples in their order, or pass held-out samples without `folds`."
)
NEEDS_ALL = (
    "This {estimator} computes joint scores only from all modalities together, so it predicts no modality. Fit a model "
    "that can do without a modality, such as identity='exchange'."
)
WRONG_GIVEN = "given names {names}, but must name some of the modalities {fitted} and leave at least one to predict."
NO_SAMPLES = "No calibration sample has {names} together. Calibrate with samples that have these modalities."
WRONG_FOLDS = "folds is {given!r}, but must be None or a whole number of at least 2."


class Intervals(NamedTuple):
    """Predictions with intervals.

    Attributes
    ----------
    values : array, shape (n_samples, ...)
        The predictions, in data units.
    lower, upper : array, shape (n_samples, ...)
        Ends of the interval of each feature. Each feature alone is covered with the probability that was asked for.
    radius : array, shape (n_samples,)
        A bound for each sample as a whole: with the probability that was asked for, the root mean square over all
        features of the difference between truth and prediction is at most this. It is in the units of
        ``model.adjust``: transformed, without confounds, and with scaled features.
    """

    values: NDArray
    lower: NDArray
    upper: NDArray
    radius: NDArray


def quantiles(errors: NDArray, participants: NDArray[np.intp], levels: NDArray) -> NDArray:
    """Return the conformal quantiles of errors; see the module's docstring.

    Parameters
    ----------
    errors : array, shape (n_samples, n_features)
        Absolute errors; NaN where nothing was measured.
    participants : array of int, shape (n_samples,)
        Number of the participant of each sample, from 0.
    levels : array, shape (n_levels,)
        Levels between 0 and 1.

    Returns
    -------
    array, shape (n_levels, n_features)
        Infinite where there are too few participants for the level.

    Examples
    --------
    >>> errors = np.arange(1.0, 10.0)[:, None]
    >>> quantiles(errors, np.arange(9), np.array([0.5, 0.9, 0.95])).ravel().tolist()
    [5.0, 9.0, inf]
    """
    n, width = errors.shape
    step = max(BLOCK // max(n, 1), 1)
    blocks = [_quantiles(errors[:, start : start + step], participants, levels) for start in range(0, width, step)]
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(levels), 0))


def _quantiles(errors: NDArray, participants: NDArray[np.intp], levels: NDArray) -> NDArray:
    measured = ~np.isnan(errors)
    counts = np.zeros((int(participants.max(initial=-1)) + 1, errors.shape[1]))
    np.add.at(counts, participants, measured)
    n_participants = (counts > 0).sum(axis=0)
    weights = measured / np.maximum(counts[participants], 1.0) / (n_participants + 1)
    order = np.argsort(np.where(measured, errors, np.inf), axis=0)
    ordered = np.take_along_axis(np.where(measured, errors, np.inf), order, axis=0)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    ordered = np.concatenate([ordered, np.full((1, errors.shape[1]), np.inf)])
    places = [(reached < level - ROUNDING).sum(axis=0) for level in levels]
    return np.take_along_axis(ordered, np.array(places), axis=0)


def calibrated(
    model: Any,
    data: Modalities,
    folds: int | None = None,
    given: Sequence[Sequence[str]] | None = None,
    random_state: int | None = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure the errors of a model's predictions; the arguments are those of `JointIndividualModel.calibrate`.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities
        Calibration samples in the features of the fit, with their confounds.
    folds, given, random_state, progress
        As for `JointIndividualModel.calibrate`.

    Returns
    -------
    dict
        "samples" ("held-out" or "folds"), "n_samples", "n_participants", "predictions" and "scores": lists with
        the quantiles ("width", "radius") at "levels" of each "target" from each set "given". Scores have the
        "covariance" of their errors as well.
    """
    if model.needs_all_modalities:
        raise ValueError(NEEDS_ALL.format(estimator=type(model).__name__))
    names = [name for name in model.shapes_ if name in data]
    sets = _given_sets(names, list(model.shapes_), given)
    fits = _fits(model, data, folds, random_state, progress)
    jobs = [(target, source) for source in sets for target in names if target not in source]
    predictions = []
    for done, (target, source) in enumerate(jobs):
        progress(done, len(jobs), f"Predicting {target}")
        predictions.append(_of_prediction(fits, data, target, source))
    scores = [_of_scores(model, fits, data, source) for source in sets] if model.joint_rank_ else []
    return {
        "samples": "held-out" if folds is None else "folds",
        "n_samples": len(data),
        "n_participants": data.n_participants,
        "predictions": predictions,
        "scores": [entry for entry in scores if entry is not None],
    }


class _Fit(NamedTuple):
    """A model, the rows that calibrate it, and the map of its joint scores to those of the model of all samples."""

    model: Any
    rows: NDArray[np.intp]
    alignment: NDArray | None


def _fits(model: Any, data: Modalities, folds: int | None, random_state: int | None, progress: Progress) -> list[_Fit]:
    if folds is None:
        _check_held_out(model, data)
        return [_Fit(model, np.arange(len(data)), None)]
    if not isinstance(folds, (int, np.integer)) or folds < 2:
        raise ValueError(WRONG_FOLDS.format(given=folds))
    _check_fitted(model, data, folds)
    fits = []
    splits = folds_of(len(data), data.groups, folds, random_state)
    for number, (train, test) in enumerate(splits):
        progress(number, len(splits), f"Fitting without fold {number + 1}")
        train = np.sort(train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UnitsWarning)
            refit = clone(model).fit(data[train])
        alignment = np.linalg.lstsq(refit.joint_scores_, model.joint_scores_[train], rcond=None)[0]
        fits.append(_Fit(refit, np.sort(test), alignment))
    return fits


def _given_sets(
    names: Sequence[str], fitted: Sequence[str], given: Sequence[Sequence[str]] | None
) -> list[tuple[str, ...]]:
    """Sets of modalities that others are predicted from, each in the order of the fit."""
    if given is not None:
        asked = [{wanted} if isinstance(wanted, str) else set(wanted) for wanted in given]
        for wanted in asked:
            if not wanted or not wanted < set(fitted):
                raise ValueError(WRONG_GIVEN.format(names=sorted(wanted), fitted=list(fitted)))
        return [tuple(name for name in fitted if name in wanted) for wanted in asked]
    sizes: Sequence[int] = range(1, len(names))
    if len(names) > FEW_MODALITIES:
        sizes = (1, len(names) - 1)
    return [source for size in sizes for source in combinations(names, size)]


def _of_prediction(fits: Sequence[_Fit], data: Modalities, target: str, source: tuple[str, ...]) -> dict[str, Any]:
    columns = [data.names.index(name) for name in (target, *source)]
    usable = np.asarray(data.present[:, columns].all(axis=1))
    pieces = [np.abs(_differences(fit, data, target, source, usable)) for fit in fits]
    rows = np.concatenate([fit.rows[usable[fit.rows]] for fit in fits])
    if not len(rows):
        raise ValueError(NO_SAMPLES.format(names=" and ".join((target, *source))))
    errors = np.concatenate(pieces)
    flat = errors.reshape(len(errors), -1)
    radius = np.sqrt(np.nanmean(np.square(flat, dtype=np.float64), axis=1, keepdims=True))
    entry = _entry(flat, radius, _participants(data, rows))
    entry["width"] = entry["width"].reshape(-1, *errors.shape[1:])
    return {"target": target, "given": list(source), **entry}


def _differences(
    fit: _Fit, data: Modalities, target: str, source: tuple[str, ...], usable: NDArray[np.bool_]
) -> NDArray:
    """Measured minus predicted values of the usable samples of a fold, without confounds."""
    samples = fit.model._adjusted(data[fit.rows[usable[fit.rows]]])
    predicted = fit.model.impute(samples.select(source), target)
    measured = np.asarray(samples.rows(target, slice(None)), dtype=predicted.dtype)
    return np.subtract(measured, predicted, out=predicted)


def _of_scores(model: Any, fits: Sequence[_Fit], data: Modalities, source: tuple[str, ...]) -> dict[str, Any] | None:
    """Errors of the joint scores from some modalities; None if the samples lack modalities of the fit."""
    if set(data.names) != set(model.shapes_):
        return None
    usable = np.asarray(data.present.all(axis=1))
    errors = []
    for fit in fits:
        here = fit.rows[usable[fit.rows]]
        samples = fit.model._adjusted(data[here])
        scores = _joint_of(fit.model, samples.select(source))
        if fit.alignment is None:
            errors.append(_joint_of(fit.model, samples) - scores)
        else:  # against the scores of the model of all samples, because a refit may have another joint rank
            errors.append(model.joint_scores_[here] - scores @ fit.alignment)
    rows = np.concatenate([fit.rows[usable[fit.rows]] for fit in fits])
    if not len(rows):
        return None
    flat = np.concatenate(errors)
    radius = np.sqrt(np.square(flat).mean(axis=1, keepdims=True))
    covariance = flat.T @ flat / len(flat)
    return {"given": list(source), **_entry(np.abs(flat), radius, _participants(data, rows)), "covariance": covariance}


def _joint_of(model: Any, data: Modalities) -> NDArray:
    """Joint scores of checked samples, without the scores of subsets."""
    return np.asarray(model._joint_scores_by_pattern(data)[:, : model.joint_rank_])


def _entry(errors: NDArray, radius: NDArray, participants: NDArray[np.intp]) -> dict[str, Any]:
    """Quantiles at as many levels as there are samples, or at fewer where samples are large."""
    n, n_samples = int(participants.max()) + 1, len(errors)
    most = max(BLOCK // max(errors.shape[1], 1), LEAST_LEVELS)
    ranks = np.unique(np.linspace(1, n_samples, min(n_samples, most)).round().astype(int))
    levels = ranks / n_samples * (n / (n + 1))  # those that are reached if all participants have as many samples
    return {
        "n_participants": n,
        "levels": levels,
        "width": quantiles(errors, participants, levels).astype(errors.dtype),
        "radius": quantiles(radius, participants, levels)[:, 0],
    }


def _participants(data: Modalities, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number of the participant of some samples, from 0."""
    if data.groups is None:
        return np.arange(len(rows))
    return np.asarray(np.unique(named_groups(len(data), data.groups)[rows], return_inverse=True)[1])


def width_at(
    calibration: Mapping[str, Any] | None, target: str | None, source: Sequence[str], level: float
) -> tuple[NDArray, float]:
    """Return half the width of the intervals, and the radius.

    Parameters
    ----------
    calibration : mapping or None
        `calibrated`; None if the model is not calibrated.
    target : str or None
        The modality that is predicted; None for the joint scores.
    source : sequence of str
        The modalities that it is predicted from.
    level : float
        Level between 0 and 1.

    Returns
    -------
    width : array, shape of one sample
    radius : float
    """
    check_level(level)
    if not calibration:
        raise ValueError(NOT_CALIBRATED)
    entry = entry_of(calibration, target, source)
    place = int(np.searchsorted(entry["levels"], level - ROUNDING))
    if place == len(entry["levels"]):
        needed = math.ceil(level / (1.0 - level) - ROUNDING)
        what = "the joint scores" if target is None else repr(target)
        raise ValueError(TOO_FEW.format(level=level, needed=needed, target=what, n=entry["n_participants"]))
    return entry["width"][place], float(entry["radius"][place])


def entry_of(calibration: Mapping[str, Any], target: str | None, source: Sequence[str]) -> Mapping[str, Any]:
    """Return the calibration of one target from some modalities; raise ValueError if there is none."""
    entries = calibration["scores"] if target is None else calibration["predictions"]
    entries = [entry for entry in entries if target is None or entry["target"] == target]
    for entry in entries:
        if set(entry["given"]) == set(source):
            found: Mapping[str, Any] = entry
            return found
    what = "the joint scores" if target is None else repr(target)
    known = " or ".join(" and ".join(entry["given"]) for entry in entries) or "nothing"
    example = tuple(source)
    raise ValueError(NOT_GIVEN.format(target=what, given=" and ".join(source), known=known, example=example))


def check_level(level: Any) -> None:
    """Raise ValueError unless the level of an interval is a number between 0 and 1."""
    is_number = isinstance(level, (int, float, np.number)) and not isinstance(level, bool)
    if not is_number or not 0.0 < float(level) < 1.0:
        raise ValueError(WRONG_LEVEL.format(given=level))


def patterns_of(data: Modalities) -> Iterator[tuple[NDArray[np.intp], list[str]]]:
    """Yield the rows and the modalities of each pattern of missing modalities."""
    for pattern in np.unique(data.present, axis=0):
        names = [name for name, has in zip(data.names, pattern, strict=True) if has]
        yield np.flatnonzero((data.present == pattern).all(axis=1)), names


def _check_held_out(model: Any, data: Modalities) -> None:
    """Raise ValueError if most samples have the scores of fitted samples."""
    from scipy.spatial import cKDTree

    complete = np.flatnonzero(data.present.all(axis=1)) if set(data.names) == set(model.shapes_) else np.zeros(0, int)
    fitted = _beside(model.joint_scores_, model.individual_scores_)
    fitted = fitted[np.isfinite(fitted).all(axis=1)]
    if not len(complete) or not len(fitted) or not fitted.shape[1]:
        return
    parts = model.decompose(data[complete])
    distances = cKDTree(fitted).query(_beside(parts.joint_scores, parts.individual_scores))[0]
    count = int((distances < SAME * math.sqrt(fitted.shape[1])).sum())
    if count > len(complete) / 2:
        raise ValueError(FITTED.format(count=count, n=len(data)))


def _beside(joint: NDArray, individual: Mapping[str, NDArray]) -> NDArray:
    return np.concatenate([joint, *individual.values()], axis=1)


def _check_fitted(model: Any, data: Modalities, folds: int) -> None:
    """Raise ValueError if the samples are not those that the model was fitted to."""
    n = len(model.joint_scores_)
    if set(data.names) != set(model.shapes_):
        reason = f"they have {list(data.names)} instead of {list(model.shapes_)}"
    elif len(data) != n:
        reason = f"there are {len(data)}, but {n} were fitted"
    elif model.joint_rank_ and _median_difference(model, data) > MOVED:
        reason = "their joint scores are not those of the fitted samples"
    else:
        return
    raise ValueError(NOT_FITTED.format(folds=folds, reason=reason))


def _median_difference(model: Any, data: Modalities) -> float:
    scores = _joint_of(model, model._adjusted(data))
    return float(np.median(np.abs(scores - model.joint_scores_)))
