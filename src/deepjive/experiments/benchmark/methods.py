"""DeepJIVE and baselines for several views, behind one interface: scores, reconstructions, drawn views and samples.

- DeepJIVE, shuffled    DeepJIVE; "shuffled" is fitted to views whose samples were permuted against each other
- AJIVE                 the linear method, with the same numbers of scores
- separate              one autoencoder for each view, with as many scores as joint and individual scores together; a
                        ridge regression from the scores of the other views predicts those of a view
- ridge                 a ridge regression from the other views to a view, without scores
- GCCA, DGCCA, VCCA-private, MOFA    methods of other packages (`deepjive.experiments.benchmark.peers`)

A view is drawn from others with the joint scores that these have, without their uncertainty; individual scores are
drawn. A method that has no distribution draws its prediction.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.experiments.omics.methods import MethodScores

OWN = ("DeepJIVE", "shuffled", "AJIVE", "separate", "ridge")
COMPONENTS = 100  # principal components of each view, where a linear method would otherwise see all pixels
PENALTIES = tuple(np.logspace(-1, 5, 7))

Arrays = dict[str, NDArray]


class FittedViews(Protocol):
    """A fitted method."""

    def scores(self, data: Modalities) -> MethodScores | None:
        """Return scores of samples with all or some of the views; None for a method without scores."""

    def reconstructed(self, data: Modalities) -> Arrays | None:
        """Return all views from their own scores; None where a method does not decode."""

    def drawn(self, given: Modalities, name: str, seed: int) -> NDArray | None:
        """Return view `name` drawn from other views; None where a method cannot."""

    def sampled(self, n: int, seed: int) -> Arrays | None:
        """Return samples of all views; None where a method cannot."""


def fit_own(method: str, data: Modalities, joint_rank: int, rank: int, seed: int, settings: Mapping[str, Any]) -> Any:
    """Fit one of `OWN` to training samples.

    Parameters
    ----------
    method : str
        The method.
    data : Modalities
        Training samples.
    joint_rank, rank : int
        Number of joint scores, and of individual scores of each view.
    seed : int
        Seed of the method.
    settings : mapping
        Parameters of DeepJIVE. SeparateAutoencoders gets those that it also has.

    Returns
    -------
    FittedViews
    """
    if method == "ridge":
        return _Ridge(data)
    if method == "AJIVE":
        from deepjive.linear.ajive import AJIVE

        ranks: dict[str, Any] = {"joint_rank": joint_rank, "individual_ranks": rank, "signal_ranks": joint_rank + rank}
        if not data.present.all():
            ranks["missing"] = "impute"
        return _JointIndividual(AJIVE(**ranks, n_wedin=0, n_random=0, random_state=seed).fit(data))
    if method == "separate":
        from deepjive.deep.baseline import SeparateAutoencoders

        known = SeparateAutoencoders().get_params(deep=False)
        settings = {key: value for key, value in settings.items() if key in known}
        model = SeparateAutoencoders(ranks=joint_rank + rank, random_state=seed, **settings).fit(data)
        return _Separate(model.model_, data)
    from deepjive.deep.estimator import DeepJIVE

    model = DeepJIVE(joint_rank=joint_rank, individual_ranks=rank, random_state=seed, **settings)
    return _JointIndividual(model.fit(data))


def flat(array: Any) -> NDArray:
    """Return samples as vectors, of shape (n, p)."""
    return np.asarray(array).reshape(len(array), -1)


class _JointIndividual:
    """A model of deepjive that has a joint part."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def scores(self, data: Modalities) -> MethodScores:
        if set(data.names) != set(self.model.individual_ranks_):
            return MethodScores(self.model.transform(data))
        parts = self.model.decompose(data)
        return MethodScores(parts.joint_scores, dict(parts.individual_scores))

    def reconstructed(self, data: Modalities) -> Arrays:
        parts = self.model.decompose(data)
        return {name: np.asarray(data[name]) - parts.residual[name] for name in data.names}

    def drawn(self, given: Modalities, name: str, seed: int) -> NDArray:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The model is not calibrated")
            return np.asarray(self.model.sample(given=given, random_state=seed)[name])

    def sampled(self, n: int, seed: int) -> Arrays:
        return dict(self.model.sample(n, random_state=seed))


class _Separate:
    """Autoencoders without a joint part, and ridge regressions between their scores."""

    def __init__(self, model: Any, data: Modalities) -> None:
        self.model, self.training_scores = model, dict(model.decompose(data).individual_scores)

    def scores(self, data: Modalities) -> MethodScores | None:
        if set(data.names) != set(self.training_scores):
            return None
        return MethodScores(None, other=dict(self.model.decompose(data).individual_scores))

    def reconstructed(self, data: Modalities) -> Arrays:
        parts = self.model.decompose(data)
        return {name: np.asarray(data[name]) - parts.residual[name] for name in data.names}

    def drawn(self, given: Modalities, name: str, seed: int) -> NDArray:
        from sklearn.linear_model import RidgeCV

        others = list(given.names)
        padded = Modalities(
            {other: given[other] if other in others else _zeros(self.model, other, len(given)) for other in self._names}
        )
        scores = self.model.decompose(padded).individual_scores
        known = np.hstack([self.training_scores[other] for other in others])
        ridge = RidgeCV(PENALTIES).fit(known, self.training_scores[name])
        individual = {other: np.zeros_like(array) for other, array in scores.items()}
        individual[name] = ridge.predict(np.hstack([scores[other] for other in others]))
        return np.asarray(self.model.inverse_transform(np.zeros((len(given), 0)), individual)[name])

    def sampled(self, n: int, seed: int) -> Arrays:
        return dict(self.model.sample(n, random_state=seed))

    @property
    def _names(self) -> list[str]:
        return list(self.training_scores)


def _zeros(model: Any, name: str, n: int) -> NDArray:
    return np.zeros((n, *model.shapes_[name]), dtype=np.float32)


class _Ridge:
    """Ridge regressions from the principal components of other views to the pixels of a view."""

    def __init__(self, data: Modalities) -> None:
        self.components = {name: components(data[name]) for name in data.names}
        self.training, self.shapes = data, data.shapes

    def scores(self, data: Modalities) -> None:
        return None

    def reconstructed(self, data: Modalities) -> None:
        return None

    def drawn(self, given: Modalities, name: str, seed: int) -> NDArray:
        from sklearn.linear_model import RidgeCV

        known, asked = (
            np.hstack([self.components[other].transform(flat(data[other])) for other in given.names])
            for data in (self.training, given)
        )
        predicted = RidgeCV(PENALTIES).fit(known, flat(self.training[name])).predict(asked)
        return np.asarray(predicted).reshape(-1, *self.shapes[name])

    def sampled(self, n: int, seed: int) -> None:
        return None


def components(array: Any) -> Any:
    """Return principal components of a view, fitted to training samples."""
    from sklearn.decomposition import PCA

    pixels = flat(array)
    return PCA(min(COMPONENTS, *pixels.shape), svd_solver="covariance_eigh").fit(pixels)
