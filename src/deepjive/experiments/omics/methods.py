"""DeepJIVE and other methods for tables of several modalities, behind one interface.

- exchange, explicit, merged   DeepJIVE with default settings, by identity. "merged" needs all modalities, so it
  predicts none.
- AJIVE, HeteroJIVE, JIVE      linear methods with their own choice of ranks
- separate                     one autoencoder for each modality, with as many scores as DeepJIVE's joint and individual
  rank together
- PCA                          principal components of each modality, as many as the scores of "separate"
- CCA                          regularised canonical correlation analysis of all modalities
- PLS                          partial least squares from the other modalities to each modality
- ridge, kernel-ridge          regression from the other modalities to each modality: bounds, without scores
- MOFA                         factor analysis, where mofapy2 is installed

The scores of "separate" and PCA predict no other modality by themselves, so a ridge regression on the scores of the
other modalities predicts each modality. Where a method concatenates modalities, each has unit total variance. Penalties
and numbers of components are chosen on inner folds of the training samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepjive.data.groups import folds_of, members_of
from deepjive.data.modalities import Modalities
from deepjive.experiments.omics.canonical import fit_regularized_cca
from deepjive.experiments.omics.regression import (
    Folds,
    Path,
    at_setting,
    best_setting,
    kernel_ridge_path,
    pls_components,
    pls_path,
    ridge_path,
)

IDENTITIES = ("exchange", "explicit", "merged")
SIZED = ("separate", "PCA")
SEEDED = (*IDENTITIES, "AJIVE", "HeteroJIVE", "JIVE", "separate", "MOFA")
N_INNER = 3


@dataclass(frozen=True)
class MethodScores:
    """Scores of some samples.

    Attributes
    ----------
    joint : array, shape (n_samples, rank), or None
        Joint scores; None where a method has none.
    individual : dict of str to array, shape (n_samples, rank)
        Individual scores by modality; empty where a method has none.
    other : dict of str to array, shape (n_samples, rank)
        Scores that are neither joint nor individual.
    """

    joint: NDArray | None
    individual: dict[str, NDArray] = field(default_factory=dict)
    other: dict[str, NDArray] = field(default_factory=dict)

    def beside(self) -> NDArray | None:
        """Individual scores of all modalities side by side; None where a method has none."""
        return np.concatenate(list(self.individual.values()), axis=1) if self.individual else None

    def everything(self) -> NDArray | None:
        """All scores side by side; None where a method has none."""
        parts = [scores for scores in (self.joint, self.beside(), *self.other.values()) if scores is not None]
        return np.concatenate(parts, axis=1) if parts else None


class Fitted(Protocol):
    """A method that was fitted to training samples."""

    def scores(self, data: Modalities) -> MethodScores:
        """Return the scores of samples that have all modalities."""

    def predict(self, data: Modalities, name: str) -> NDArray | None:
        """Predict a modality from the others, shape (n_samples, n_features); None for a method that cannot."""


def inner_folds(data: Modalities) -> Folds:
    """Return the inner folds of training samples; all samples of a participant are on the same side."""
    return folds_of(len(data), data.groups, N_INNER, 0)


def sizes_of(data: Modalities, seed: int) -> dict[str, int]:
    """Return DeepJIVE's joint and individual rank together, for each modality; at least 1."""
    from deepjive.deep.estimator import DeepJIVE

    chosen = DeepJIVE(random_state=seed).select_ranks(data)
    return {name: max(1, chosen.joint_rank + rank) for name, rank in chosen.individual_ranks.items()}


def fit_method(
    method: str,
    data: Modalities,
    *,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Fitted:
    """Fit one of `METHODS` to training samples.

    Parameters
    ----------
    method : str
        Name of the method.
    data : Modalities
        Training samples, centred.
    seed : int, default=0
        Seed of the method.
    sizes : mapping of str to int, optional
        Number of scores of each modality, for the methods `SIZED`; by default `sizes_of`.
    settings : mapping, optional
        Parameters of DeepJIVE and of SeparateAutoencoders that differ from the defaults.

    Returns
    -------
    Fitted
    """
    if method in SIZED and sizes is None:
        sizes = sizes_of(data, seed)
    return METHODS[method](data, seed, dict(sizes or {}), dict(settings or {}))


class _JointIndividual:
    def __init__(self, model: Any) -> None:
        self.model = model

    def scores(self, data: Modalities) -> MethodScores:
        parts = self.model.decompose(data)
        return MethodScores(parts.joint_scores, dict(parts.individual_scores))

    def predict(self, data: Modalities, name: str) -> NDArray | None:
        return None if self.model.needs_all_modalities else self.model.impute(data, name)


class _Nothing:
    """A model with joint rank 0 and individual ranks 0: it predicts the mean."""

    def __init__(self, data: Modalities) -> None:
        self.mean = {name: array.mean(axis=0) for name, array in data.items()}

    def scores(self, data: Modalities) -> MethodScores:
        empty = np.zeros((len(data), 0))
        return MethodScores(empty, dict.fromkeys(data.names, empty))

    def predict(self, data: Modalities, name: str) -> NDArray | None:
        return np.tile(self.mean[name], (len(data), 1))


class _Regressed:
    """Scores of each modality alone, with a ridge regression from the scores of the others to each modality."""

    def __init__(self, scores: Callable[[Modalities], dict[str, NDArray]], data: Modalities) -> None:
        self.scores_of = scores
        self.readout = _Regression(ridge_path, Modalities(scores(data), groups=data.groups), dict(data.items()))

    def scores(self, data: Modalities) -> MethodScores:
        return MethodScores(None, other=self.scores_of(data))

    def predict(self, data: Modalities, name: str) -> NDArray | None:
        return self.readout.predict(Modalities(self.scores_of(data)), name)


class _Regression:
    """A regression from the concatenated other modalities to each modality, with its setting chosen on inner folds."""

    def __init__(self, path: Path, data: Modalities, targets: Mapping[str, NDArray] | None = None) -> None:
        self.path = path
        self.unit = _UnitVariance(data)
        self.inputs = {name: self._others(data, name) for name in data.names}
        self.targets = dict(data.items()) if targets is None else dict(targets)
        folds = inner_folds(data)
        self.settings = {
            name: best_setting(path, self.inputs[name], self.targets[name], folds) for name in self.targets
        }

    def scores(self, data: Modalities) -> MethodScores:
        return MethodScores(None)

    def predict(self, data: Modalities, name: str) -> NDArray | None:
        new = self._others(data, name)
        return at_setting(self.path, self.settings[name], self.inputs[name], self.targets[name], new)

    def _others(self, data: Modalities, name: str) -> NDArray:
        return np.hstack([x for other, x in self.unit(data).items() if other != name])


class _PartialLeastSquares(_Regression):
    """PLS; the components that predict each modality are its scores, by the name of the predicted modality."""

    def __init__(self, data: Modalities) -> None:
        super().__init__(pls_path, data)
        self.rotations = {
            name: pls_components(self.inputs[name], self.targets[name], setting + 1)[0]
            for name, setting in self.settings.items()
        }

    def scores(self, data: Modalities) -> MethodScores:
        parts = {name: self._others(data, name) @ rotations for name, rotations in self.rotations.items()}
        return MethodScores(None, other=parts)


class _Canonical:
    def __init__(self, data: Modalities) -> None:
        self.unit = _UnitVariance(data)
        self.model = fit_regularized_cca(self.unit(data), inner_folds(data))

    def scores(self, data: Modalities) -> MethodScores:
        return MethodScores(self.model.scores(self.unit(data)))

    def predict(self, data: Modalities, name: str) -> NDArray | None:
        return self.model.predict(self.unit(data), name) * self.unit.scale[name]


class _FactorAnalysis:
    def __init__(self, data: Modalities, seed: int) -> None:
        from deepjive.experiments.omics.mofa import fit_mofa

        self.unit = _UnitVariance(data)
        self.model = fit_mofa(self.unit(data), seed)

    def scores(self, data: Modalities) -> MethodScores:
        factors = self.model.factors(self.unit(data))
        return MethodScores(factors[:, self.model.joint], {"factors": factors[:, ~self.model.joint]})

    def predict(self, data: Modalities, name: str) -> NDArray | None:
        return self.model.predict(self.unit(data), name) * self.unit.scale[name]


class _UnitVariance:
    """Divides each modality by the square root of its total variance in the training samples."""

    def __init__(self, data: Modalities) -> None:
        totals = {name: float(np.sqrt(array.var(axis=0).sum())) for name, array in data.items()}
        self.scale = {name: total if total > 0 else 1.0 for name, total in totals.items()}

    def __call__(self, data: Modalities) -> dict[str, NDArray]:
        return {name: array / self.scale[name] for name, array in data.items()}


def _deep(data: Modalities, seed: int, settings: dict[str, Any], identity: Any) -> Fitted:
    from deepjive.deep.estimator import NOTHING_TO_FIT, DeepJIVE

    model: Any = DeepJIVE(identity=identity, random_state=seed, **settings)
    try:
        return _JointIndividual(model.fit(data))
    except ValueError as error:
        if not str(error).startswith(NOTHING_TO_FIT.partition(" {")[0]):
            raise
        return _Nothing(data)


def _separate(data: Modalities, seed: int, sizes: dict[str, int], settings: dict[str, Any]) -> Fitted:
    from deepjive.deep.baseline import SeparateAutoencoders

    model: Any = SeparateAutoencoders(ranks=sizes, random_state=seed, **settings).fit(data)
    return _Regressed(lambda samples: dict(model.decompose(samples).individual_scores), data)


def _principal_components(data: Modalities, sizes: dict[str, int]) -> Fitted:
    from sklearn.decomposition import PCA

    fits = {name: PCA(min(sizes[name], *array.shape), svd_solver="full").fit(array) for name, array in data.items()}
    return _Regressed(lambda samples: {name: fit.transform(samples[name]) for name, fit in fits.items()}, data)


def _linear(name: str, data: Modalities, seed: int) -> Fitted:
    """Fit AJIVE, HeteroJIVE or JIVE; JIVE's ranks are chosen on the first sample of each participant."""
    import deepjive.linear as linear

    model = getattr(linear, name)(random_state=seed)
    if name == "JIVE" and data.groups is not None and data.n_participants < len(data):
        first = data[np.sort([rows[0] for rows in members_of(len(data), data.groups)])]
        chosen = model.fit(Modalities(dict(first.items())))
        model = linear.JIVE(joint_rank=chosen.joint_rank_, individual_ranks=chosen.individual_ranks_)
    return _JointIndividual(model.fit(data))


_Fit = Callable[[Modalities, int, dict[str, int], dict[str, Any]], Fitted]
METHODS: dict[str, _Fit] = {
    "exchange": lambda data, seed, sizes, settings: _deep(data, seed, settings, "exchange"),
    "explicit": lambda data, seed, sizes, settings: _deep(data, seed, settings, "explicit"),
    "merged": lambda data, seed, sizes, settings: _deep(data, seed, settings, "merged"),
    "AJIVE": lambda data, seed, sizes, settings: _linear("AJIVE", data, seed),
    "HeteroJIVE": lambda data, seed, sizes, settings: _linear("HeteroJIVE", data, seed),
    "JIVE": lambda data, seed, sizes, settings: _linear("JIVE", data, seed),
    "separate": lambda data, seed, sizes, settings: _separate(data, seed, sizes, settings),
    "PCA": lambda data, seed, sizes, settings: _principal_components(data, sizes),
    "CCA": lambda data, seed, sizes, settings: _Canonical(data),
    "PLS": lambda data, seed, sizes, settings: _PartialLeastSquares(data),
    "ridge": lambda data, seed, sizes, settings: _Regression(ridge_path, data),
    "kernel-ridge": lambda data, seed, sizes, settings: _Regression(kernel_ridge_path, data),
    "MOFA": lambda data, seed, sizes, settings: _FactorAnalysis(data, seed),
}


def silent_fit(*arguments: Any, **keywords: Any) -> Fitted:
    """Fit a method as `fit_method`, without the warnings of phases that reach their last epoch."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_method(*arguments, **keywords)
