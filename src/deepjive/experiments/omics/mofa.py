"""Multi-omics factor analysis (MOFA) by the package mofapy2, with predictions of held-out samples.

MOFA is fitted to the training samples. The factors of other samples are their posterior means given the modalities that
they have, with the weights W_k and noise precisions t_k of the fit: ``(I + sum_k E[W_k' T_k W_k])^-1 sum_k W_k' T_k
x_k``. This is MOFA's own update of the factors, at its fixed point.

The number of factors starts at `FACTORS`. Factors that explain less than `LEAST` of the variance of every modality are
dropped during training, as MOFA's authors recommend. Factors that explain at least `LEAST` of each modality count as
joint, the others as individual.

Argelaguet et al. 2020, MOFA+: a statistical framework for comprehensive integration of multi-modal single-cell data,
Genome Biology 21.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FACTORS = 15
LEAST = 0.01
NOT_INSTALLED = "not installed: pip install 'deepjive[peers]'"

Arrays = Mapping[str, NDArray]


def is_installed() -> bool:
    """Return whether mofapy2 can be imported."""
    return importlib.util.find_spec("mofapy2") is not None


@dataclass(frozen=True)
class MofaModel:
    """Weights and noise of a fitted MOFA.

    Attributes
    ----------
    weights : dict of str to array, shape (n_features, n_factors)
        Posterior means of the weights.
    precision : dict of str to array, shape (n_features,)
        Posterior means of the noise precisions.
    information : dict of str to array, shape (n_factors, n_factors)
        Posterior means of ``W' T W``.
    held : dict of str to array of bool, shape (n_factors,)
        Which factors explain at least `LEAST` of the variance of a modality.
    """

    weights: dict[str, NDArray]
    precision: dict[str, NDArray]
    information: dict[str, NDArray]
    held: dict[str, NDArray[np.bool_]]

    @property
    def joint(self) -> NDArray[np.bool_]:
        """Which factors explain at least `LEAST` of the variance of each modality."""
        return np.all(list(self.held.values()), axis=0)

    def factors(self, arrays: Arrays) -> NDArray:
        """Return the factors of centred samples with some or all modalities, shape (n_samples, n_factors)."""
        total = np.eye(len(self.joint)) + sum(self.information[name] for name in arrays)
        projected = sum((x * self.precision[name]) @ self.weights[name] for name, x in arrays.items())
        return np.linalg.solve(total, np.asarray(projected).T).T

    def predict(self, arrays: Arrays, name: str) -> NDArray:
        """Predict a modality from the other modalities of `arrays`."""
        return self.factors({other: x for other, x in arrays.items() if other != name}) @ self.weights[name].T


def fit_mofa(arrays: Arrays, seed: int, n_factors: int = FACTORS) -> MofaModel:
    """Fit MOFA to centred training samples, with its default priors.

    Parameters
    ----------
    arrays : mapping of str to array, shape (n_samples, n_features)
        Training samples, each modality scaled to the same total variance.
    seed : int
        Seed.
    n_factors : int, default=FACTORS
        Number of factors at the start.

    Returns
    -------
    MofaModel
    """
    from mofapy2.run.entry_point import entry_point

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        entry = entry_point()
        entry.set_data_options(scale_views=True)
        entry.set_data_matrix([[x] for x in arrays.values()], views_names=list(arrays))
        entry.set_model_options(factors=min(n_factors, *(x.shape[1] for x in arrays.values())))
        entry.set_train_options(seed=seed, dropR2=LEAST, convergence_mode="fast", quiet=True)
        entry.build()
        entry.run()
    nodes = entry.model.getNodes()
    weights, precision, information = {}, {}, {}
    scores = nodes["Z"].getExpectations()["E"]
    held = {}
    for number, (name, x) in enumerate(arrays.items()):
        expected = nodes["W"].getNodes()[number].getExpectations()
        noise = np.atleast_2d(nodes["Tau"].getNodes()[number].getExpectations()["E"])[0]
        scale = x.std()  # by which set_data_options(scale_views=True) divides
        w = expected["E"]
        squares = (w.T * noise) @ w
        np.fill_diagonal(squares, noise @ expected["E2"])
        weights[name], precision[name], information[name] = w * scale, noise / np.square(scale), squares
        held[name] = _explained(x, scores, weights[name]) >= LEAST
    return MofaModel(weights, precision, information, held)


def _explained(x: NDArray, scores: NDArray, weights: NDArray) -> NDArray:
    """Fraction of a modality's variance that each factor alone explains, shape (n_factors,)."""
    total = np.square(x).sum()
    products = np.sum((x.T @ scores) * weights, axis=0)
    return (2 * products - np.square(scores).sum(axis=0) * np.square(weights).sum(axis=0)) / total
