"""A linear model in which some modalities share components: one matrix of scores, loadings only where they are held.

    X_k = mean_k + sum over subsets S that hold k of U_S L_S,k + U_k A_k + E_k

All scores, shared and individual, are orthogonal. With given ranks, the weighted squared error

    sum_k |X_k - fit_k|^2 / sigma_k^2

is minimized by turns. Given scores ``U``, the loadings are ``U_S' X_k``. Given loadings ``V_k``, 0 where a modality
does not hold a component, the scores are the polar factor of ``M = sum_k X_k V_k / sigma_k^2``, ``M (M'M)^(-1/2)``.
Where a modality without noise holds several components, each turn is tiny. Two turns are therefore extrapolated, and
the extrapolated scores are taken if their error is smaller.
Scores are therefore a linear map of the samples, and new samples are scored by it. Only products of samples are
needed, never the width of the data. ``sigma_k^2`` is the variance of what the starting signal leaves.

Sources:

- Gaynanova and Li 2019, Structural learning and integrative decomposition of multi-view data, Biometrics 75: the
  alternation for scaled data; weighting by noise is ours.
- Varadhan and Roland 2008, Simple and globally convergent methods for accelerating the convergence of any EM algorithm,
  Scandinavian J. Statistics 35: the extrapolation, scheme SqS3.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from deepjive.algebra import thin_svd
from deepjive.base import Scores
from deepjive.data.modalities import Modalities
from deepjive.linear.linear_model import LinearModel
from deepjive.linear.partial_scores import partial_scores
from deepjive.linear.svd import Reduced, project
from deepjive.subsets import Subset, columns_of

MOST_ROUNDS = 1000
CONVERGED = 1e-9
SHORTEST = 1e-30
GROWTH = 4.0
NOT_CONVERGED = (
    "The scores of subsets still changed after {rounds} rounds, so that samples get scores that differ a little from "
    "those of the fit. Give smaller ranks of subsets (subsets=) or smaller individual_ranks."
)
LEAST_NOISE = 1e-6  # of the mean square: scores lose as many digits as the weights of modalities differ in


class StructuredModel(LinearModel):
    """Scores of subsets and of single modalities, fitted together; see the module's docstring.

    The joint scores of this model are those of all subsets side by side, and its joint loadings are 0 where a modality
    does not hold a component. Estimators with `subsets` use it for everything but the choice of ranks.

    Attributes
    ----------
    maps_ : dict of str to array, shape (rank of all subsets + individual_rank, sum of all ranks)
        Coefficients of all scores, shared and then individual by modality, on the products of each modality with its
        loadings.
    """

    maps_: dict[str, NDArray]

    def __init__(self, *, center: bool = True, missing: str = "error") -> None:
        self.center = center
        self.missing = missing

    def fit(self, X: Any, y: Any = None) -> Any:
        raise NotImplementedError("Ranks are chosen by AJIVE or HeteroJIVE; use `fit_to`.")

    def fit_to(
        self,
        data: Modalities,
        signals: Sequence[Any],
        shared: Mapping[Subset, NDArray],
        individual: Mapping[str, NDArray],
        device: str,
    ) -> StructuredModel:
        """Fit to modalities whose ranks are known.

        Parameters
        ----------
        data : Modalities
            The data.
        signals : sequence of deepjive.linear.angles.Signal
            The modalities, reduced.
        shared : mapping of tuple of str to array, shape (n_samples, rank)
            First guess of each subset's scores.
        individual : mapping of str to array, shape (n_samples, rank)
            First guess of the individual scores.
        device : str
            Device of the large products.
        """
        parts: dict[Subset, NDArray] = dict(shared)
        parts |= {(name,): scores for name, scores in individual.items()}
        columns = columns_of({part: scores.shape[1] for part, scores in parts.items()})
        size = max((where.stop for where in columns.values()), default=0)
        held = {name: np.zeros(size, dtype=bool) for name in data.names}
        for part, where in columns.items():
            for name in data.names:
                held[name][where] = name in part
        reduced = {signal.name: signal.reduced for signal in signals}
        weights = {signal.name: 1.0 / _noise(signal, int(held[signal.name].sum())) for signal in signals}
        scores = _alternate(np.concatenate(list(parts.values()), axis=1), reduced, weights, held)
        scores = _with_axes(scores, columns, reduced, weights)
        self._keep_all(data, signals, scores, columns, held, weights, device)
        return self

    def _keep_all(
        self,
        data: Modalities,
        signals: Sequence[Any],
        scores: NDArray,
        columns: Mapping[Subset, slice],
        held: Mapping[str, NDArray[np.bool_]],
        weights: Mapping[str, float],
        device: str,
    ) -> None:
        unit = np.sqrt(len(data))
        own = {part[0]: where for part, where in columns.items() if len(part) == 1}
        rank = min(where.start for where in own.values())
        self.shapes_ = data.shapes
        self._keep_names(data)
        self.joint_rank_ = rank
        self.individual_ranks_ = {name: where.stop - where.start for name, where in own.items()}
        self.mean_, self.joint_loadings_, self.individual_loadings_ = {}, {}, {}
        self.lengths_, self.products_, self.maps_, self.feature_residual_std_ = {}, {}, {}, {}
        fractions: dict[str, NDArray] = {}
        reduced = {signal.name: signal.reduced for signal in signals}
        mixing = _inverse_root(_target(scores, reduced, weights, held))
        for signal in signals:
            name, where, small = signal.name, own[signal.name], signal.reduced
            places = np.concatenate([np.arange(rank), np.arange(where.start, where.stop)])
            holds, along = held[name][places], scores[:, places]
            product, mean, deviation = project(signal.pieces, along, device)
            loadings = np.where(holds[:, None], product / unit, 0.0)
            shape = tuple(signal.pieces.array.shape[1:])
            self.mean_[name] = mean.reshape(shape)
            self.joint_loadings_[name] = loadings[:rank].reshape(rank, *shape)
            self.individual_loadings_[name] = loadings[rank:].reshape(len(loadings) - rank, *shape)
            self.lengths_[name] = float(np.sqrt(small.total)) * small.scale
            self.products_[name] = small.products(along) * holds / (unit * small.total)
            self.maps_[name] = weights[name] * small.total * len(data) * (holds[:, None] * mixing[places])
            self._keep_residual(name, deviation)
            fractions[name] = small.lengths(along) ** 2 * holds / small.total
        both = self._map(self.products_)
        self.joint_scores_ = both[:, :rank]
        self.individual_scores_ = {name: both[:, where] for name, where in own.items()}
        self._set_variance(
            {name: values[:rank] for name, values in fractions.items()},
            {name: values[rank:] for name, values in fractions.items()},
            reduced,
            {name: int(held[name][:rank].sum()) for name in reduced},
        )

    def _scores(self, data: Modalities) -> Scores:
        products = {name: self._products(data, name) for name in data.names}
        if len(data.names) < len(self.shapes_):
            return partial_scores(self, products)
        both, stop, individual = self._map(products), self.joint_rank_, {}
        for name, rank in self.individual_ranks_.items():
            individual[name] = both[:, stop : stop + rank]
            stop += rank
        return Scores(both[:, : self.joint_rank_], {name: individual[name] for name in data.names})

    def _map(self, products: Mapping[str, NDArray]) -> NDArray:
        """All scores, shared and then individual by modality, shape (n_samples, sum of ranks)."""
        return np.asarray(sum(products[name] @ self.maps_[name] for name in self.shapes_))


def _noise(signal: Any, rank: int) -> float:
    """Variance of the noise of a modality in units of the reduced modality."""
    n, width = signal.shape
    total = signal.reduced.total
    left = total - float(np.sum(signal.svd.values[:rank] ** 2))
    free = max(n - 1 - rank, 1) * max(width - rank, 1)
    return max(left / free, LEAST_NOISE * total / (n * width))


def _target(
    scores: NDArray, reduced: Mapping[str, Reduced], weights: Mapping[str, float], held: Mapping[str, NDArray]
) -> NDArray:
    """``M`` of the module's docstring, for the loadings that belong to scores."""
    target = np.zeros_like(scores)
    for name, small in reduced.items():
        target[:, held[name]] += weights[name] * small.products(scores[:, held[name]])
    return target


def _alternate(
    scores: NDArray, reduced: Mapping[str, Reduced], weights: Mapping[str, float], held: Mapping[str, NDArray]
) -> NDArray:
    scores = _polar(scores)
    target, longest = _target(scores, reduced, weights, held), 1.0
    for _ in range(MOST_ROUNDS):
        first = _polar(target)
        second = _polar(_target(first, reduced, weights, held))
        step, after = first - scores, second - first
        if np.linalg.norm(after) <= CONVERGED * np.sqrt(scores.shape[1]):
            return second
        bend = after - step
        ratio = float(np.linalg.norm(step)) / max(float(np.linalg.norm(bend)), SHORTEST)
        length = min(max(ratio, 1.0), longest)
        leap = _polar(scores + 2.0 * length * step + length**2 * bend)
        scores, target = second, _target(second, reduced, weights, held)
        target_of_leap = _target(leap, reduced, weights, held)
        is_better = np.vdot(leap, target_of_leap) > np.vdot(scores, target)  # the weighted squares that scores explain
        longest = longest * GROWTH if is_better else max(longest / GROWTH, 1.0)
        if is_better:
            scores, target = leap, target_of_leap
    warnings.warn(NOT_CONVERGED.format(rounds=MOST_ROUNDS), ConvergenceWarning, stacklevel=2)
    return scores


def _polar(matrix: NDArray) -> NDArray:
    left, _, right = thin_svd(matrix)
    return np.asarray(left @ right)


def _inverse_root(target: NDArray) -> NDArray:
    """``(M'M)^(-1/2)``, shape (rank, rank)."""
    _, values, right = thin_svd(target)
    return np.asarray((right.T / values) @ right)


def _with_axes(
    scores: NDArray, columns: Mapping[Subset, slice], reduced: Mapping[str, Reduced], weights: Mapping[str, float]
) -> NDArray:
    """The same subspaces, with components in order of the weighted variance that they explain in their modalities."""
    scores = scores.copy()
    for part, where in columns.items():
        block = scores[:, where]
        if block.shape[1]:
            gram = sum(weights[name] * (block.T @ reduced[name].products(block)) for name in part)
            scores[:, where] = block @ linalg.eigh(gram)[1][:, ::-1]
    return scores
