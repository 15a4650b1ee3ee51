"""DeepJIVE and its baselines on pairs, behind one small interface: fit to training pairs, give scores of any pairs.

- DeepJIVE, AJIVE       joint scores of both modalities or of one alone, and individual scores
- CCA                   canonical variates, from regularized principal components (Hotelling 1936; Vinod 1976)
- PCA                   principal components of each modality alone, and of both side by side
- separate              one autoencoder a modality, of the joint and the individual rank together
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
AJIVE_SAMPLES = 5000  # its time is cubic in the samples, and 5000 determine some ten components well


@dataclass(frozen=True)
class PairScores:
    """Scores of some pairs, each (n, rank).

    Attributes
    ----------
    joint : array or None
        Made from both modalities.
    alone : dict of str to array
        Joint scores made from one modality without the other, by modality; empty where a method has none.
    individual : dict of str to array
        By modality; empty where a method has none.
    """

    joint: NDArray | None
    alone: dict[str, NDArray] = field(default_factory=dict)
    individual: dict[str, NDArray] = field(default_factory=dict)

    def everything(self) -> NDArray:
        """All scores side by side."""
        joint = [] if self.joint is None else [self.joint]
        return np.concatenate([*joint, *self.individual.values()], axis=1)


class Fitted(Protocol):
    """A method, fitted.

    Attributes
    ----------
    model : estimator or None
        What decomposes, where the method does.
    """

    model: Any

    def scores(self, data: Modalities) -> PairScores:
        """Scores of pairs, seen or never seen."""


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
        An identity constraint of DeepJIVE, or a baseline.
    data : Modalities
        Training pairs.
    joint_rank : int
        Number of joint scores.
    individual_ranks : int or dict of str to int
        Numbers of individual scores.
    seed : int
        Seed.
    settings : mapping, optional
        Of DeepJIVE and, as far as it knows them, SeparateAutoencoders.
    """
    own = dict.fromkeys(data.names, individual_ranks) if isinstance(individual_ranks, int) else dict(individual_ranks)
    if method == "PCA":
        return _Principal(data, joint_rank)
    if method == "CCA":
        return _Canonical(data, joint_rank)
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
        return _Separate(SeparateAutoencoders(ranks, random_state=seed, **settings).fit(data))
    from deepjive.deep.estimator import DeepJIVE

    deep: Any = DeepJIVE(joint_rank, own, identity=method, random_state=seed, **settings)  # type: ignore[arg-type]
    return _JointIndividual(deep.fit(data), each_alone=method != "merged")


class _JointIndividual:
    def __init__(self, model: Any, each_alone: bool = True) -> None:
        self.model, self.each_alone = model, each_alone

    def scores(self, data: Modalities) -> PairScores:
        parts = self.model.decompose(data)
        alone = {name: self.model.transform(data.select([name])) for name in data.names} if self.each_alone else {}
        own = {name: scores for name, scores in parts.individual_scores.items() if scores.shape[1]}
        return PairScores(parts.joint_scores, alone, own)


class _Separate:
    def __init__(self, model: Any) -> None:
        self.model = model

    def scores(self, data: Modalities) -> PairScores:
        return PairScores(None, {}, dict(self.model.decompose(data).individual_scores))


class _Principal:
    model = None

    def __init__(self, data: Modalities, rank: int) -> None:
        self.alone = {name: _components(_flat(array), rank) for name, array in data.items()}
        self.together = _components(_side_by_side(data), rank)

    def scores(self, data: Modalities) -> PairScores:
        alone = {name: self.alone[name].transform(_flat(array)) for name, array in data.items()}
        return PairScores(self.together.transform(_side_by_side(data)), alone)


class _Canonical:
    """Whitened principal components with a ridge, then the singular value decomposition of their correlations."""

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
