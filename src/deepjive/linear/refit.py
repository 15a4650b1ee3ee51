"""Fit a linear model again with the same ranks, to resampled, permuted or filled-in data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from deepjive.algebra import thin_svd
from deepjive.data.groups import check_one_each
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.linear.streaming import within_masks
from deepjive.validation import check_for_fit, check_known

OTHER_SAMPLES = (
    "{purpose} needs the {fitted} samples the model was fitted to, but was given {given} samples. Pass the same data."
)
OTHER_MODALITIES = (
    "{purpose} needs the data the model was fitted to, with the modalities {fitted}, but was given {given}. Pass all."
)


def data_of(model: Any, X: Any, purpose: str) -> Modalities:
    """Return the data to which a model was fitted, after checking that it can be fitted to them again.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    X : Modalities, mapping or sequence
        The data.
    purpose : str
        Purpose of the data, for the errors.

    Returns
    -------
    Modalities
        In the model's order of modalities.

    Raises
    ------
    ValueError
        If modalities, features or numbers of samples differ from those fitted, if there are several samples of a
        participant, and as in `fit`.
    """
    data = within_masks(as_modalities(X), getattr(model, "mask", None))
    data = model._adjusted(check_known(data, model.shapes_, getattr(model, "features_", None)))
    if len(data.names) < len(model.shapes_):
        raise ValueError(OTHER_MODALITIES.format(purpose=purpose, fitted=list(model.shapes_), given=list(data.names)))
    if len(data) != len(model.joint_scores_):
        raise ValueError(OTHER_SAMPLES.format(purpose=purpose, fitted=len(model.joint_scores_), given=len(data)))
    check_one_each(len(data), data.n_participants, purpose)
    return check_for_fit(data, type(model).__name__)


def with_ranks_of(model: Any, **parameters: Any) -> Any:
    """Return an unfitted copy of a fitted linear model with fixed ranks, so that `fit` draws and searches nothing.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    **parameters
        Other parameters to set.
    """
    fixed = {"joint_rank": model.joint_rank_, "individual_ranks": dict(model.individual_ranks_)}
    if hasattr(model, "signal_ranks_"):
        fixed |= {"signal_ranks": dict(model.signal_ranks_), "n_wedin": 0, "n_random": 0}
    return clone(model).set_params(**fixed, **parameters)


def aligned(moving: NDArray, reference: NDArray) -> NDArray:
    """Return the rotation (or reflection) R for which ``moving @ R`` is nearest to `reference`, shape (rank, rank).

    Parameters
    ----------
    moving, reference : array, shape (n, rank)
        Coordinates of the same points.

    References
    ----------
    Schönemann 1966, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31.
    """
    return rotation_from(moving.T @ reference)


def rotation_from(products: NDArray) -> NDArray:
    """Return the rotation of `aligned` from the products ``moving' reference``, shape (rank, rank)."""
    left, _, right = thin_svd(products)
    return np.asarray(left @ right)
