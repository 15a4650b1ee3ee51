"""New samples of a fitted model: scores are drawn from their densities, decoded, and given residuals on request.

    z ~ p(z),   s_k ~ p(s_k | z),   x_k = J_k(z) + S_k(s_k) + e_k

`deepjive.score_density` fits the densities to the scores of the fitted samples, when a model is sampled for the first
time. The scores are saved with the model, so a model that was loaded draws the same samples. Given some modalities,
z is their joint score plus, if the model is calibrated, a normal error with the covariance that the calibration samples
have. Residuals are normal and independent, with the residual's standard deviation of each feature.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.conformal import patterns_of
from deepjive.data.chunks import row_batches
from deepjive.data.modalities import Modalities
from deepjive.score_density import densities_of, root_of

NO_RESIDUAL = (
    "The model does not know the residual of each feature, because an earlier version of deepjive saved it. Fit it "
    "again, or draw with noise=False."
)
WRONG_NUMBER = "n_samples is {given!r}, but must be a whole number of at least 1."
OF_SUBSETS = (
    "sample() draws joint and individual scores alone, but subsets of modalities have scores in this model. Fit "
    "without `subsets` to draw samples."
)
NEEDS_ALL = (
    "This {estimator} computes joint scores only from all modalities together, so it draws none given the others. "
    "Call sample() without `given`, or fit a model that can do without a modality, such as identity='exchange'."
)
NOT_CALIBRATED = (
    "The model is not calibrated for joint scores from {given}, so the samples are drawn at the predicted scores, and "
    "vary too little. Call model.calibrate(samples) first."
)


def drawn(
    model: Any,
    n_samples: int,
    given: Modalities | None,
    noise: bool,
    rng: np.random.RandomState,
) -> Modalities:
    """Draw samples; the arguments are those of `JointIndividualModel.sample`, with `given` in the features of the fit.

    Parameters
    ----------
    model : estimator
        A fitted model.
    n_samples : int
        Number of samples, or of draws for each given sample.
    given : Modalities or None
        Samples that lack modalities.
    noise : bool
        Whether residuals are added.
    rng : RandomState
        The random numbers.

    Returns
    -------
    Modalities
    """
    if not isinstance(n_samples, (int, np.integer)) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(WRONG_NUMBER.format(given=n_samples))
    if noise and not hasattr(model, "feature_residual_std_"):
        raise ValueError(NO_RESIDUAL)
    features = {name: names for name, names in model._fitted_features().items() if names is not None}
    if any(rank for subset, rank in getattr(model, "subset_ranks_", {}).items() if len(subset) < len(model.shapes_)):
        raise ValueError(OF_SUBSETS)
    densities = _densities(model)
    if given is None:
        joint = np.zeros((n_samples, 0)) if densities[0] is None else densities[0].draw(n_samples, rng)
        return Modalities(model._undone(_decoded(model, densities[1], joint, noise, rng)), features=features)
    if model.needs_all_modalities and not given.present.all():
        raise ValueError(NEEDS_ALL.format(estimator=type(model).__name__))
    given = given[np.repeat(np.arange(len(given)), n_samples)]
    joint = _joint_given(model, given, rng)
    samples = _decoded(model, densities[1], joint, noise, rng)
    arrays = {name: _completed(model, name, values, given) for name, values in samples.items()}
    names = given.samples if n_samples == 1 else None
    new = Modalities(arrays, samples=names, features=features, groups=given.groups, confounds=given.confounds)
    if given.is_adjusted:
        return new.adjusted_to({})
    return new.transformed_to({}) if given.is_transformed else new


def _densities(model: Any) -> Any:
    """Return the densities of a model's scores, which are fitted once for each fit of the model."""
    known = vars(model).get("_densities")
    if known is None or known[0] is not model.joint_scores_:
        known = model._densities = (model.joint_scores_, densities_of(model))
    return known[1]


def _joint_given(model: Any, given: Modalities, rng: np.random.RandomState) -> NDArray:
    """Draw joint scores given some modalities."""
    adjusted = model._adjusted(given)
    joint = model._joint_scores_by_pattern(adjusted)
    if not model.joint_rank_:
        return np.asarray(joint)
    covariances = {
        frozenset(entry["given"]): entry["covariance"] for entry in getattr(model, "calibration_", {}).get("scores", [])
    }
    unknown = []
    for rows, names in patterns_of(given):
        if set(names) == set(model.shapes_):
            continue
        noise = rng.standard_normal((len(rows), model.joint_rank_))
        covariance = covariances.get(frozenset(names))
        if covariance is None:
            unknown.append(names)
        else:
            joint[rows] += noise @ root_of(covariance)
    if unknown:
        listed = " or ".join(" and ".join(names) for names in unknown)
        warnings.warn(NOT_CALIBRATED.format(given=listed), UserWarning, stacklevel=4)
    return np.asarray(joint)


def _decoded(
    model: Any, densities: Mapping[str, Any], joint: NDArray, noise: bool, rng: np.random.RandomState
) -> dict[str, NDArray]:
    """Draw individual scores and residuals, and decode all modalities, in the units in which the model sees them."""
    samples = {}
    for name, shape in model.shapes_.items():
        individual = np.zeros((len(joint), model.individual_ranks_[name]))
        if name in densities:
            individual = densities[name].draw(len(joint), rng, joint)
        pieces = []
        for rows in row_batches(np.arange(len(joint)), shape):
            values = model._render("joint", name, joint[rows], individual[rows])
            if individual.shape[1]:
                values = values + model._render("individual", name, joint[rows], individual[rows])
            if noise:
                residual = rng.standard_normal(values.shape) * model.feature_residual_std_[name]
                values = values + residual.astype(values.dtype)
            pieces.append(values)
        samples[name] = np.concatenate(pieces)
    return samples


def _completed(model: Any, name: str, drawn_values: NDArray, given: Modalities) -> NDArray:
    """Put the given samples of a modality in the place of those drawn."""
    drawn_values = model._restored(name, drawn_values, given)
    if name not in given:
        return drawn_values
    has = given.present[:, given.names.index(name)]
    values = given.rows(name, slice(None)).astype(drawn_values.dtype)
    values[~has] = drawn_values[~has]
    return np.asarray(values)
