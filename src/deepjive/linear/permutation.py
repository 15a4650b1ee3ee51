"""Permutation tests: how many components are joint, and which features carry them.

**Joint components.** With orthonormal signal scores ``Q_k`` of each modality, the statistic of component j is the
largest squared singular value of ``[w_1^(1/2) Q_1 .. w_K^(1/2) Q_K]`` after the directions closest to the j - 1 before
it have been taken out of every ``Q_k``. Under the hypothesis that two modalities have at most j - 1 joint directions,
what is left of them is independent, so that permuting the samples of one against the other gives the statistic's
distribution; nothing is fitted again. These are stepwise tests of the canonical correlations of the signal scores. A
component is tested only as far as those before it: p-values never fall along the sequence (a closed testing procedure).

With more modalities, what is left of *one* is independent of the others under that hypothesis, whatever these share
among each other. So one modality is permuted at a time while the others stay together, which asks how much the
statistic gains by it, and the largest of these p-values counts (an intersection-union test: Berger 1982, Technometrics
24). Permuting all at once would call joint what two of three modalities share. A component that is not in all
modalities, but before others that are, hides these: of a sequence, no more can be tested.

Winkler, Renaud, Smith, Nichols 2020, Permutation inference for canonical correlation analysis, NeuroImage 220; Roy's
largest root, with the modalities' signal scores in the place of the data.

**Features** (jackstraw). A feature carries joint components if they explain more of its variance than of a feature
that carries none. That feature takes part in the estimation of the joint scores, which alone makes them agree a
little; so a few features are permuted over the samples, the model is fitted again with these in it, and what the new
joint scores explain of the permuted features is what chance and that circle do.

Chung and Storey 2015, Statistical significance of variables driving systematic variation in high-dimensional data,
Bioinformatics 31(4), with joint scores in the place of principal components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats
from sklearn.utils.validation import check_is_fitted

from deepjive.data.groups import check_one_each
from deepjive.data.modalities import Modalities
from deepjive.linear.bounds import generator
from deepjive.linear.gaps import check_measured
from deepjive.linear.refit import aligned, data_of, with_ranks_of
from deepjive.linear.streaming import checked_masks
from deepjive.results import Result

TOO_MANY_COMPONENTS = (
    "n_components is {given}, but the signal of modality {name!r} has {limit} components, of which no more can be "
    "joint. Test at most {limit}, or fit with a larger signal rank."
)
NOTHING_TO_CARRY = "The model has joint rank 0: there is no joint component that features could carry."


@dataclass(frozen=True, repr=False)
class JointTest(Result):
    """Permutation tests of joint components.

    Attributes
    ----------
    p_values : array, shape (n_components,)
        Of the hypothesis that fewer than 1, 2, .. components are joint: that at least one modality is independent of
        the others beyond those. The largest of `by_modality`. They never fall.
    statistics : array, shape (n_components,)
        Largest squared singular values, between 1 and the number of modalities for weights of 1.
    permuted : array, shape (n_components, n_permutations)
        The same of permuted samples; of more than two modalities, those of the one with the largest p-value.
    by_modality : dict of str to array, shape (n_components,)
        Of each modality: that it is independent of the others beyond the components before. For two they are the same.
    """

    p_values: NDArray
    statistics: NDArray
    permuted: NDArray
    by_modality: dict[str, NDArray]

    def _summary(self) -> str:
        tests = zip(self.statistics, self.p_values, strict=True)
        components = ", ".join(f"{number}: {value:.3g} (p={p:.3g})" for number, (value, p) in enumerate(tests, 1))
        return f"joint components, squared singular value {components or 'none'}; {self.permuted.shape[1]} permutations"

    def _table(self) -> Any:
        columns = {f"p_value_{name}": p_values for name, p_values in self.by_modality.items()}
        numbers = np.arange(1, len(self.p_values) + 1)
        return {"component": numbers, "statistic": self.statistics, "p_value": self.p_values, **columns}


@dataclass(frozen=True, repr=False)
class FeatureTest(Result):
    """Jackstraw tests of one modality's features.

    Attributes
    ----------
    p_values : array, shape of one sample
        Of the hypothesis that the feature carries no joint component; 1 outside the mask.
    explained : array, shape of one sample
        Fraction of the feature's variance that the joint scores explain.
    permuted : array, shape (n_permuted,)
        The same of permuted features, in increasing order.
    counted : array of bool, shape of one sample
        Features that were tested: the mask.
    """

    p_values: NDArray
    explained: NDArray
    permuted: NDArray
    counted: NDArray[np.bool_]

    def _summary(self) -> str:
        tested, significant = int(self.counted.sum()), int(np.sum(self.q_values[self.counted] < 0.05))
        return (
            f"{tested} features tested: {significant} with q < 0.05, largest fraction explained "
            f"{self.explained.max(initial=0.0):.2f}, smallest p={self.p_values.min(initial=1.0):.3g}, "
            f"{len(self.permuted)} permuted features"
        )

    def _table(self) -> Any:
        indices = {f"axis_{axis}": index.ravel() for axis, index in enumerate(np.indices(self.p_values.shape))}
        maps = {"explained": self.explained, "p_value": self.p_values, "q_value": self.q_values, "tested": self.counted}
        return {**indices, **{name: values.ravel() for name, values in maps.items()}}

    @property
    def q_values(self) -> NDArray:
        """False discovery rate of the features with as small a p-value (Benjamini and Hochberg 1995)."""
        adjusted = np.ones(self.p_values.shape)
        adjusted[self.counted] = stats.false_discovery_control(self.p_values[self.counted])
        return adjusted


def permutation_test(
    model: Any, n_permutations: int = 999, *, n_components: int | None = None, random_state: Any = 0
) -> JointTest:
    """Permutation p-values of joint components.

    What is joint is in every modality: of more than two, each has to agree with the others.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model. What is tested is its signal: for JIVE the leading joint_rank + individual_rank components of
        each modality. The p-values do not account for a choice of ranks from the same data.
    n_permutations : int
        Draws, of more than two modalities for each; the smallest possible p-value is ``1 / (n_permutations + 1)``.
    n_components : int, optional
        Number of components to test, in order of agreement; the model's joint rank when not given.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the permutations.

    Returns
    -------
    JointTest

    Raises
    ------
    ValueError
        For more components than a modality's signal has, or a model of several samples of a participant.
    """
    check_is_fitted(model)
    check_measured(model, "The permutation test")
    n = len(model.joint_scores_)
    check_one_each(n, getattr(model, "n_participants_", n), "The permutation test")  # older models do not know
    unit = np.sqrt(len(model.joint_scores_))
    names, bases = list(model.signal_scores_), [scores / unit for scores in model.signal_scores_.values()]
    count = model.joint_rank_ if n_components is None else n_components
    for name, basis in zip(names, bases, strict=True):
        if count > basis.shape[1]:
            raise ValueError(TOO_MANY_COMPONENTS.format(given=count, name=name, limit=basis.shape[1]))
    roots = np.sqrt(getattr(model, "weights_", np.ones(len(bases))))
    rng = generator(random_state)
    weighted = [root * basis for root, basis in zip(roots, bases, strict=True)]
    directions = linalg.svd(np.concatenate(weighted, axis=1), full_matrices=False)[0]
    statistics, permuted = np.zeros(count), np.zeros((len(bases), count, n_permutations))
    for j in range(count):
        left = [root * _without_directions(basis, directions[:, :j]) for root, basis in zip(roots, bases, strict=True)]
        statistics[j] = _largest(np.concatenate(left, axis=1))
        permuted[:, j] = _when_permuted(left, n_permutations, rng)
    as_large = np.sum(permuted >= statistics[:, None] * (1 - 1e-12), axis=2)
    each = np.maximum.accumulate((1.0 + as_large) / (1.0 + n_permutations), axis=1)
    most = permuted[np.argmax(as_large, axis=0), np.arange(count)]
    return JointTest(each.max(axis=0), statistics, most, dict(zip(names, each, strict=True)))


def jackstraw(
    model: Any,
    X: Any,
    name: str,
    *,
    component: int | None = None,
    n_repeats: int = 50,
    share: float = 0.1,
    random_state: Any = 0,
) -> FeatureTest:
    """Jackstraw p-values: which features of a modality carry joint components.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model; its ranks are kept.
    X : Modalities, mapping or sequence
        The data it was fitted to. Modality `name` is read into memory.
    name : str
        The modality.
    component : int, optional
        Test a single joint component, counted from 0; all together when not given.
    n_repeats : int
        How often features are permuted and the model is fitted again.
    share : float
        Share of the features that are permuted at a time; small, so that the joint scores stay what they are.
        There are ``n_repeats * share`` permuted features for every feature.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the permutations.

    Returns
    -------
    FeatureTest

    Raises
    ------
    ValueError
        For a model of joint rank 0, other samples or features than those fitted, or several samples of a participant.
    """
    check_is_fitted(model)
    check_measured(model, "The jackstraw test")
    if model.joint_rank_ == 0:
        raise ValueError(NOTHING_TO_CARRY)
    data, rng = data_of(model, X, "The jackstraw test"), generator(random_state)
    values = np.asarray(data[name][:], dtype=np.float64)
    counted = _counted(model, data, name)
    flat, candidates = values.reshape(len(values), -1), np.flatnonzero(counted)
    reference, refit = model.joint_scores_, with_ranks_of(model)
    explained = _explained(flat, reference, component)
    permuted = []
    for _ in range(n_repeats):
        chosen = rng.choice(candidates, size=max(1, round(share * len(candidates))), replace=False)
        changed = flat.copy()
        changed[:, chosen] = rng.permuted(flat[:, chosen], axis=0)
        again = refit.fit(Modalities({**data, name: changed.reshape(values.shape)}))
        scores = again.joint_scores_ @ aligned(again.joint_scores_, reference)
        permuted.append(_explained(changed[:, chosen], scores, component))
    null = np.sort(np.concatenate(permuted))
    as_large = len(null) - np.searchsorted(null, explained * (1 - 1e-12))
    p_values = np.where(counted.reshape(-1), (1.0 + as_large) / (1.0 + len(null)), 1.0)
    return FeatureTest(p_values.reshape(counted.shape), explained.reshape(counted.shape), null, counted)


def _largest(stacked: NDArray) -> float:
    """Largest squared singular value."""
    return _largest_eigenvalue(stacked.T @ stacked)


def _largest_eigenvalue(lower: NDArray) -> float:
    """Of a symmetric matrix of which the lower triangle is given."""
    last = len(lower) - 1
    return float(linalg.eigvalsh(lower, subset_by_index=[last, last], check_finite=False)[0])


def _when_permuted(bases: Sequence[NDArray], n_permutations: int, rng: np.random.Generator) -> NDArray:
    """The statistic with each modality permuted against the others, shape (n_modalities, n_permutations)."""
    if len(bases) == 2:
        draws = [
            _largest(np.concatenate([rng.permutation(basis) for basis in bases], axis=1)) for _ in range(n_permutations)
        ]
        return np.array([draws, draws])
    return np.array([_when_one_is_permuted(bases, moved, n_permutations, rng) for moved in range(len(bases))])


def _when_one_is_permuted(
    bases: Sequence[NDArray], moved: int, n_permutations: int, rng: np.random.Generator
) -> list[float]:
    others = np.concatenate([basis for place, basis in enumerate(bases) if place != moved], axis=1)
    inner = linalg.block_diag(others.T @ others, bases[moved].T @ bases[moved])
    found = []
    for _ in range(n_permutations):
        inner[others.shape[1] :, : others.shape[1]] = rng.permutation(bases[moved]).T @ others
        found.append(_largest_eigenvalue(inner))
    return found


def _without_directions(basis: NDArray, directions: NDArray) -> NDArray:
    """Orthonormal basis of what is left of a subspace without its own directions closest to the given ones."""
    if directions.shape[1] == 0:
        return basis
    full = linalg.qr(basis.T @ directions)[0]
    return basis @ full[:, directions.shape[1] :]


def _counted(model: Any, data: Modalities, name: str) -> NDArray[np.bool_]:
    mask = checked_masks(model.mask, data.shapes)[name]
    return np.ones(data.shapes[name], dtype=bool) if mask is None else mask


def _explained(features: NDArray, scores: NDArray, component: int | None) -> NDArray:
    """Fraction of each feature's sum of squares about its mean along scores of variance 1; 0 for constant features."""
    scores = scores if component is None else scores[:, [component]]
    centred = features - features.mean(axis=0)
    largest = np.abs(centred).max(axis=0, initial=0.0)
    centred /= np.where(largest > 0.0, largest, 1.0)
    total = np.sum(centred**2, axis=0)
    along = np.sum((scores.T @ centred) ** 2, axis=0) / len(scores)
    return along / np.where(total > 0.0, total, 1.0)
