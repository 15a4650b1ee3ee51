"""Fitting a linear model again, with the ranks that were found, to data that differ a little."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.base import clone

from deepjive.data.groups import check_one_each
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.validation import check_for_fit, check_known

OTHER_SAMPLES = "{purpose} needs the {fitted} samples the model was fitted to, but was given {given} samples."
OTHER_MODALITIES = (
    "{purpose} needs the data the model was fitted to, with the modalities {fitted}, but was given {given}. Pass all."
)


def data_of(model: Any, X: Any, purpose: str) -> Modalities:
    """Check the data that a model was fitted to, and is to be fitted to again.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    X : Modalities, mapping or sequence
        The data.
    purpose : str
        What needs them, for the errors.

    Returns
    -------
    Modalities
        In the model's order of modalities.

    Raises
    ------
    ValueError
        For other modalities, features or numbers of samples than those fitted, for several samples of a participant,
        and as in `fit`.
    """
    data = check_known(as_modalities(X), model.shapes_, getattr(model, "features_", None))
    if len(data.names) < len(model.shapes_):
        raise ValueError(OTHER_MODALITIES.format(purpose=purpose, fitted=list(model.shapes_), given=list(data.names)))
    if len(data) != len(model.joint_scores_):
        raise ValueError(OTHER_SAMPLES.format(purpose=purpose, fitted=len(model.joint_scores_), given=len(data)))
    check_one_each(len(data), data.n_participants, purpose)
    return check_for_fit(data, type(model).__name__)


def with_ranks_of(model: Any, **parameters: Any) -> Any:
    """An unfitted copy of a fitted linear model with its ranks given, so that `fit` draws and searches nothing.

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
    """The rotation (or reflection) R for which ``moving @ R`` is nearest to `reference`, shape (rank, rank).

    Orthogonal Procrustes (Schönemann 1966, Psychometrika 31).

    Parameters
    ----------
    moving, reference : array, shape (n, rank)
        Coordinates of the same points.
    """
    return rotation_from(moving.T @ reference)


def rotation_from(products: NDArray) -> NDArray:
    """The same from the products ``moving' reference``, shape (rank, rank)."""
    left, _, right = linalg.svd(products)
    return np.asarray(left @ right)
