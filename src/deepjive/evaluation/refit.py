"""Fit a model again with the ranks that it has, and fit the baselines of the same sizes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from deepjive.adjust.inspection import UnitsWarning
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.linear.ajive import AJIVE
from deepjive.validation import check_known

SEPARATE = "SeparateAutoencoders"


def refitted(model: Any, data: Any, **parameters: Any) -> Any:
    """Fit a copy of a model to other data, with the same ranks.

    Parameters
    ----------
    model : estimator
        A fitted model. It is not changed.
    data : Modalities, mapping or sequence
        The samples to fit to.
    **parameters
        Parameters of the copy that differ from the model's, such as ``max_epochs``. Parameters that the estimator does
        not have are ignored.

    Returns
    -------
    estimator
        The fitted copy.
    """
    known = model.get_params(deep=False)
    wanted = {"joint_rank": model.joint_rank_, "individual_ranks": dict(model.individual_ranks_), "verbose": 0}
    if "signal_ranks" in known:
        wanted |= {"signal_ranks": dict(model.signal_ranks_), "n_wedin": 0, "n_random": 0}
    if ranks := getattr(model, "subset_ranks_", None):
        wanted["subsets"] = {subset: rank for subset, rank in ranks.items() if len(subset) < len(model.shapes_)}
        if "signal_ranks" in known:
            wanted["individual_ranks"] = _fewer_individual(model, len(data))
    wanted |= parameters
    copy = clone(model).set_params(**{name: value for name, value in wanted.items() if name in known})
    with quietly():
        return copy.fit(data)


def _fewer_individual(model: Any, n: int) -> dict[str, int]:
    """Return the individual ranks of a model of subsets, less where n samples have fewer orthogonal scores."""
    ranks, n_shared = dict(model.individual_ranks_), sum(model.subset_ranks_.values())
    while n_shared > model.joint_rank_ and sum(ranks.values()) > max(n - model.center - n_shared, 0):
        largest = max(ranks, key=lambda name: ranks[name])
        ranks[largest] -= 1
    return ranks


def baselines(model: Any, data: Any, random_state: int | None = 0) -> dict[str, Any]:
    """Fit the baselines of a model: the same sizes, the same samples.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities, mapping or sequence
        The samples that the model was fitted to.
    random_state : int or None, default=0
        Seed.

    Returns
    -------
    dict of str to estimator
        ``"AJIVE"``, unless the model is itself of this class, and for a deep model ``"SeparateAutoencoders"``.
    """
    data, models = as_modalities(data), {}
    if type(model) is not AJIVE:
        models["AJIVE"] = ajive_of_size(model, data, random_state)
    if model.is_stochastic:
        models[SEPARATE] = _separate(model, data, random_state)
    return models


def complete(data: Modalities) -> Modalities:
    """Return the samples that have every modality."""
    return data if data.present.all() else data[np.flatnonzero(data.present.all(axis=1))]


def with_groups(data: Any, groups: ArrayLike | None, model: Any = None) -> Modalities:
    """Return the samples as Modalities, with their participants if `groups` is given.

    Parameters
    ----------
    data : Modalities, mapping or sequence
        Samples.
    groups : array, shape (n_samples,), or None
        The participant of each sample. None keeps the groups of `data`.
    model : estimator, optional
        A fitted model, whose features the data get, in the order of the fit, and whose confounds are taken out.

    Returns
    -------
    Modalities

    Raises
    ------
    ValueError
        If `groups` has another length, or the data lack features of the model.
    """
    data = as_modalities(data) if groups is None else Modalities(as_modalities(data), groups=groups)
    if model is None or not hasattr(model, "shapes_"):
        return data
    return model._adjusted(check_known(data, model.shapes_, getattr(model, "features_", None)))


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress the warnings that a small budget of epochs causes, and those of units, which the first fit gave."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _sizes(model: Any, data: Modalities) -> dict[str, int]:
    """Return joint plus individual rank of each modality, at most as large as the data allow."""
    limits = {name: min(len(data) - 1, math.prod(shape)) for name, shape in data.shapes.items()}
    return {name: min(model.joint_rank_ + rank, limits[name]) for name, rank in model.individual_ranks_.items()}


def ajive_of_size(model: Any, data: Modalities, random_state: int | None) -> AJIVE:
    """Fit AJIVE with the ranks of a model, as far as the data allow."""
    sizes = _sizes(model, data)
    joint_rank = min([model.joint_rank_, *sizes.values()])
    individual_ranks = {name: size - joint_rank for name, size in sizes.items()}
    return AJIVE(
        signal_ranks=sizes,
        joint_rank=joint_rank,
        individual_ranks=individual_ranks,
        n_wedin=0,
        n_random=0,
        transformation=getattr(model, "transformation", None),
        scale=getattr(model, "scale", "modality"),
        missing=getattr(model, "missing", "error"),
        random_state=random_state,
    ).fit(data)


def _separate(model: Any, data: Modalities, random_state: int | None) -> Any:
    from deepjive.deep.baseline import SeparateAutoencoders

    separate = SeparateAutoencoders(ranks=_sizes(model, data))
    settings = {key: value for key, value in model.get_params(deep=False).items() if key in separate.get_params()}
    with quietly():
        return separate.set_params(**{**settings, "random_state": random_state, "verbose": 0}).fit(data)
