"""Fitting a model again, with the ranks that it has, and the baselines of the same sizes beside it."""

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

from deepjive.data.modalities import Modalities


def refitted(model: Any, data: Modalities, **parameters: Any) -> Any:
    """A copy of a fitted model, fitted to other data with the same ranks.

    Parameters
    ----------
    model : estimator
        A fitted model; it is not changed.
    data : Modalities
        What to fit to.
    **parameters
        Parameters that are to differ, such as ``max_epochs``; those that the estimator does not have are left out.

    Returns
    -------
    estimator
    """
    known = model.get_params(deep=False)
    wanted = {"joint_rank": model.joint_rank_, "individual_ranks": dict(model.individual_ranks_), "verbose": 0}
    if "signal_ranks" in known:
        wanted |= {"signal_ranks": dict(model.signal_ranks_), "n_wedin": 0, "n_random": 0}
    wanted |= parameters
    copy = clone(model).set_params(**{name: value for name, value in wanted.items() if name in known})
    with quietly():
        return copy.fit(data)


def baselines(model: Any, data: Modalities, random_state: int = 0) -> dict[str, Any]:
    """AJIVE and, beside a deep model, separate autoencoders: of the same sizes, fitted to the same samples.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities
        The samples it was fitted to.
    random_state : int
        Seed.

    Returns
    -------
    dict of str to estimator
        By name: ``"AJIVE"``, but not beside itself, and ``"SeparateAutoencoders"``.
    """
    found = {}
    if type(model).__name__ != "AJIVE":
        found["AJIVE"] = _ajive(model, data, random_state)
    if is_deep(model):
        found["SeparateAutoencoders"] = _separate(model, data, random_state)
    return found


def is_deep(model: Any) -> bool:
    """Whether a model was trained."""
    return hasattr(model, "history_")


def complete(data: Modalities) -> Modalities:
    """The samples that have every modality."""
    return data if data.present.all() else data[np.flatnonzero(data.present.all(axis=1))]


def with_groups(data: Modalities, groups: ArrayLike | None) -> Modalities:
    """The samples, with their participants if any are given; errors are those of `Modalities`."""
    return data if groups is None else Modalities(data, groups=groups)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings that a small budget gives rise to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _sizes(model: Any, data: Modalities) -> dict[str, int]:
    """Joint and individual rank of each modality together, as far as the data allow."""
    limits = {name: min(len(data) - 1, math.prod(shape)) for name, shape in data.shapes.items()}
    return {name: min(model.joint_rank_ + rank, limits[name]) for name, rank in model.individual_ranks_.items()}


def _ajive(model: Any, data: Modalities, random_state: int) -> Any:
    from deepjive.linear.ajive import AJIVE

    sizes = _sizes(model, data)
    joint_rank = min([model.joint_rank_, *sizes.values()])
    individual = {name: size - joint_rank for name, size in sizes.items()}
    missing = getattr(model, "missing", "error")
    fixed = AJIVE(
        signal_ranks=sizes,
        joint_rank=joint_rank,
        individual_ranks=individual,
        n_wedin=0,
        n_random=0,
        missing=missing,
        random_state=random_state,
    )
    return fixed.fit(data)


def _separate(model: Any, data: Modalities, random_state: int) -> Any:
    from deepjive.deep.baseline import SeparateAutoencoders

    separate = SeparateAutoencoders(ranks=_sizes(model, data))
    settings = {key: value for key, value in model.get_params(deep=False).items() if key in separate.get_params()}
    with quietly():
        return separate.set_params(**{**settings, "random_state": random_state, "verbose": 0}).fit(data)
