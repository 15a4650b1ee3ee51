"""DeepJIVE and its baselines on pairs, behind one interface: fit training pairs, then compute scores of any pairs.

- DeepJIVE, AJIVE       joint scores of both modalities or of one modality alone, and individual scores
- CCA                   canonical variates of regularized principal components (Hotelling 1936; Vinod 1976)
- PCA                   principal components of each modality alone, and of both modalities side by side
- separate              one autoencoder for each modality, with as many scores as the joint and individual rank together
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities

IDENTITIES = ("explicit", "exchange", "merged")
METHODS = (*IDENTITIES, "AJIVE", "CCA", "PCA", "separate")
CCA_COMPONENTS, CCA_RIDGE = 100, 1e-2
AJIVE_SAMPLES = 5000  # AJIVE's time is cubic in the samples, and 5000 samples determine about ten components well


@dataclass(frozen=True)
class PairScores:
    """Scores of some pairs; each array has shape (n, rank).

    Attributes
    ----------
    joint : array or None
        Joint scores computed from both modalities; None where a method has none.
    alone : dict of str to array
        Joint scores computed from one modality alone, by modality; empty where a method has none.
    individual : dict of str to array
        Individual scores by modality; empty where a method has none.
    """

    joint: NDArray | None
    alone: dict[str, NDArray] = field(default_factory=dict)
    individual: dict[str, NDArray] = field(default_factory=dict)

    def everything(self) -> NDArray:
        """All scores side by side."""
        joint = [] if self.joint is None else [self.joint]
        return np.concatenate([*joint, *self.individual.values()], axis=1)


class Fitted(Protocol):
    """A fitted method.

    Attributes
    ----------
    model : estimator or None
        The estimator that decomposes pairs; None for a method that does not decompose.
    """

    model: Any

    def scores(self, data: Modalities) -> PairScores:
        """Scores of training pairs or of held-out pairs."""


def fit_method(
    method: str,
    data: Modalities,
    joint_rank: int,
    individual_ranks: int | Mapping[str, int],
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Fitted:
    """Fit one of `METHODS` to pairs.

    Parameters
    ----------
    method : str
        The identity constraint of DeepJIVE, or the name of a baseline.
    data : Modalities
        Training pairs.
    joint_rank : int
        Number of joint scores.
    individual_ranks : int or mapping of str to int
        Number of individual scores, of both modalities or by modality.
    seed : int, default=0
        Seed of the method.
    settings : mapping, optional
        Parameters of DeepJIVE. SeparateAutoencoders gets those parameters that it also has.

    Returns
    -------
    Fitted
    """
    own = dict.fromkeys(data.names, individual_ranks) if isinstance(individual_ranks, int) else dict(individual_ranks)
    if method == "PCA":
        return _PrincipalComponents(data, joint_rank)
    if method == "CCA":
        return _CanonicalCorrelation(data, joint_rank)
    if method == "AJIVE":
        from deepjive.linear.ajive import AJIVE

        whole = {name: joint_rank + rank for name, rank in own.items()}
        model = AJIVE(signal_ranks=whole, joint_rank=joint_rank, individual_ranks=own, n_wedin=0, n_random=0)
        return _JointIndividual(model.set_params(random_state=seed).fit(data[:AJIVE_SAMPLES]))
    settings = dict(settings or {})
    if method == "separate":
        from deepjive.deep.baseline import SeparateAutoencoders

        ranks = {name: joint_rank + rank for name, rank in own.items()}
        known = SeparateAutoencoders().get_params(deep=False)
        settings = {key: value for key, value in settings.items() if key in known}
        return _SeparateScores(SeparateAutoencoders(ranks=ranks, random_state=seed, **settings).fit(data))
    from deepjive.deep.estimator import DeepJIVE

    deep: Any = DeepJIVE(joint_rank=joint_rank, individual_ranks=own, identity=method, random_state=seed, **settings)  # type: ignore[arg-type]
    return _JointIndividual(deep.fit(data), each_alone=method != "merged")


class _JointIndividual:
    def __init__(self, model: Any, each_alone: bool = True) -> None:
        self.model, self.each_alone = model, each_alone

    def scores(self, data: Modalities) -> PairScores:
        parts = self.model.decompose(data)
        alone = {name: self.model.transform(data.select([name])) for name in data.names} if self.each_alone else {}
        individual = {name: scores for name, scores in parts.individual_scores.items() if scores.shape[1]}
        return PairScores(parts.joint_scores, alone, individual)


class _SeparateScores:
    def __init__(self, model: Any) -> None:
        self.model = model

    def scores(self, data: Modalities) -> PairScores:
        return PairScores(None, {}, dict(self.model.decompose(data).individual_scores))


class _PrincipalComponents:
    model = None

    def __init__(self, data: Modalities, rank: int) -> None:
        self.alone = {name: _components(_flat(array), rank) for name, array in data.items()}
        self.both = _components(_side_by_side(data), rank)

    def scores(self, data: Modalities) -> PairScores:
        alone = {name: self.alone[name].transform(_flat(array)) for name, array in data.items()}
        return PairScores(self.both.transform(_side_by_side(data)), alone)


class _CanonicalCorrelation:
    """Principal components whitened with a ridge, then the singular value decomposition of their cross-correlation."""

    model = None

    def __init__(self, data: Modalities, rank: int) -> None:
        self.components = {name: _components(_flat(array), CCA_COMPONENTS) for name, array in data.items()}
        first, second = data.names
        self.weights: dict[str, NDArray] = {}
        a, b = (self._whitened(name, np.asarray(data[name])) for name in (first, second))
        u, _, vt = np.linalg.svd(a.T @ b / len(a))
        self.weights = {first: u[:, :rank], second: vt[:rank].T}

    def scores(self, data: Modalities) -> PairScores:
        alone = {name: self._whitened(name, np.asarray(array)) @ self.weights[name] for name, array in data.items()}
        return PairScores(np.mean(list(alone.values()), axis=0), alone)

    def _whitened(self, name: str, array: NDArray) -> NDArray:
        components = self.components[name]
        variance = components.explained_variance_
        return components.transform(_flat(array)) / np.sqrt(variance + CCA_RIDGE * variance.mean())


def _components(flat: NDArray, rank: int) -> Any:
    from sklearn.decomposition import PCA

    return PCA(min(rank, *flat.shape), svd_solver="covariance_eigh").fit(flat)


def _flat(array: Any) -> NDArray:
    return np.asarray(array).reshape(len(array), -1)


def _side_by_side(data: Modalities) -> NDArray:
    return np.concatenate([_flat(array) for array in data.values()], axis=1)
