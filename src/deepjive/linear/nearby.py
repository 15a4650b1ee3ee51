"""Joint scores after a few features of one modality have changed, without a fit to all data.

The signal scores of the other modalities stay the same. The changed modality ``X`` gets its leading left singular
vectors from iterations that start from the vectors before. Of a modality with more features than samples, the Gram
matrix changes by a matrix of low rank:

    G = X X' - C C' + D D',

where the features ``C`` were replaced by ``D``, all of them centred. The joint scores follow from the signal scores as
in `deepjive.linear.angles`. They equal those of a new fit with the same ranks, up to rounding errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.linear.angles import AngleBased, Signal, joint_svd
from deepjive.linear.refit import with_ranks_of
from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import Reduced, reduce

Refit = Callable[[NDArray, NDArray[np.intp]], NDArray]


def refits_to_changed_features(
    model: Any, data: Modalities, name: str, features: NDArray, counted: NDArray[np.bool_]
) -> Refit:
    """Return a function that gives the joint scores of a fit to data in which features of a modality have changed.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model. JIVE is fitted again to all data.
    data : Modalities
        The data to which the model was fitted.
    name : str
        The modality that changes.
    features : array, shape (n_samples, n_features)
        The modality's values.
    counted : array of bool, shape of one sample
        The features that count.

    Returns
    -------
    callable
        ``refit(changed, chosen)`` with new values (n_samples, k) of the features whose numbers are ``chosen`` (k,);
        returns the joint scores, shape (n_samples, joint_rank).
    """

    def fit_to_all(changed: NDArray, chosen: NDArray[np.intp]) -> NDArray:
        values = features.copy()
        values[:, chosen] = changed
        changed_data = data.with_arrays({name: values.reshape(len(data), *counted.shape)}).adjusted_to({})
        fitted = with_ranks_of(model).fit(changed_data)
        return np.asarray(fitted.joint_scores_)

    if not isinstance(model, AngleBased):
        return fit_to_all
    mask = None if counted.all() else counted
    pieces = Pieces(features.reshape(len(data), *counted.shape), mask, model.center, data.magnitudes.get(name))
    reduced, rank, unit = reduce(pieces, model.device), model.signal_ranks_[name], np.sqrt(len(data))
    bases = {other: scores / unit for other, scores in model.signal_scores_.items()}
    places = np.cumsum(counted.reshape(-1)) - 1

    def refit(changed: NDArray, chosen: NDArray[np.intp]) -> NDArray:
        other = _with_changed(reduced, features[:, chosen], changed, places[chosen], model.center)
        svd = other.leading(rank, start=bases[name])
        if rank and not other.is_accurate(svd.values[-1], svd.values[0]):
            return fit_to_all(changed, chosen)
        weights = model._weights_after(Signal(name, pieces, other, svd))
        both = {**bases, name: svd.vectors}
        return unit * joint_svd(list(both.values()), weights).first(model.joint_rank_).vectors

    return refit


def _with_changed(reduced: Reduced, before: NDArray, after: NDArray, places: NDArray[np.intp], center: bool) -> Reduced:
    """A reduced modality after some features, at these places among those that count, have changed."""
    old, new = ((values - values.mean(axis=0) if center else values) / reduced.scale for values in (before, after))
    if reduced.route == "gram":
        return replace(reduced, matrix=reduced.matrix + new @ new.T - old @ old.T)
    matrix = reduced.matrix.copy()
    matrix[:, places] = new
    return replace(reduced, matrix=matrix)
