"""Permutation tests: how many components are joint, and which features carry them.

**Joint components.** Let ``Q_k`` be the orthonormal signal scores of modality k. The statistic of component j is the
largest squared singular value of ``[w_1^(1/2) Q_1 .. w_K^(1/2) Q_K]``, after the directions closest to the first j - 1
components have been removed from every ``Q_k``. The null hypothesis is that two modalities share at most j - 1 joint
directions. Under this hypothesis the remaining signal scores are independent. Permuting the samples of one modality
against the other therefore gives the null distribution, and no model is fitted again. The tests are stepwise tests of
the canonical correlations of the signal scores. P-values never fall along the sequence of components, because a
component counts as joint only if all earlier components do (a closed testing procedure).

With more than two modalities, the remaining scores of *one* modality are independent of all others under the null
hypothesis, whatever the others share. The test therefore permutes one modality at a time while the others stay
together. The p-value of a component is the largest p-value over the modalities (an intersection-union test). Permuting
all modalities at once would call a component joint that only two of three modalities share. The sequence of tests has
one limit: a component that some modalities lack hides later components that all modalities share.

**Features** (jackstraw). The null hypothesis is that a feature carries no joint component. Joint scores explain a
little variance even of such a feature, because the feature takes part in their estimation. The test therefore permutes
a few features over the samples and fits the model again to data with these permuted features; see
``deepjive.linear.nearby``. The variance of the permuted features that the new joint scores explain is the null
distribution.

Sources:

- Winkler, Renaud, Smith, Nichols 2020, Permutation inference for canonical correlation analysis, NeuroImage 220. The
  statistic is Roy's largest root, with the signal scores of the modalities in the place of the data.
- Berger 1982, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24(4): intersection-union tests.
- Chung and Storey 2015, Statistical significance of variables driving systematic variation in high-dimensional data,
  Bioinformatics 31(4), with joint scores in the place of principal components.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats
from sklearn.utils.validation import check_is_fitted

from deepjive.algebra import thin_svd
from deepjive.data.groups import check_one_each
from deepjive.data.modalities import Modalities
from deepjive.linear.bounds import generator
from deepjive.linear.gaps import check_measured
from deepjive.linear.nearby import refits_to_changed_features
from deepjive.linear.refit import aligned, data_of
from deepjive.linear.streaming import checked_masks
from deepjive.progress import Counter, Progress, silent
from deepjive.results import Result
from deepjive.threads import one_thread_if_small

TOO_MANY_COMPONENTS = (
    "n_components is {given}, but the signal of modality {name!r} has {limit} components, and a joint component is "
    "part of every modality's signal. Test at most {limit}, or fit with a larger signal rank."
)
TIE = 1 - 1e-12  # equal statistics may differ by rounding, and ties count as exceeding


@dataclass(frozen=True, repr=False)
class JointTest(Result):
    """Permutation tests of joint components.

    Attributes
    ----------
    p_values : array, shape (n_components,)
        P-value of component j for the hypothesis that fewer than j components are joint: at least one modality is
        independent of the others beyond the first j - 1 components. It is the largest value of `by_modality`.
        P-values never fall along the components.
    statistics : array, shape (n_components,)
        Largest squared singular values. They lie between 1 and the number of modalities if all weights are 1.
    permuted : array, shape (n_components, n_permutations)
        Statistics of permuted samples. With more than two modalities, they are those of the modality with the largest
        p-value.
    by_modality : dict of str to array, shape (n_components,)
        P-values of each modality for the hypothesis that this modality is independent of the others beyond the earlier
        components. With two modalities both p-values are equal.
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
    """Jackstraw tests of the features of one modality.

    Attributes
    ----------
    p_values : array, shape of one sample
        P-value of each feature for the hypothesis that it carries no joint component; 1 outside the mask.
    explained : array, shape of one sample
        Fraction of each feature's variance that the joint scores explain.
    permuted : array, shape (n_permuted,)
        The same fraction of the permuted features, in increasing order.
    counted : array of bool, shape of one sample
        Features that were tested: all features inside the mask.
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
        """False discovery rate among the features with a p-value at most as large (Benjamini and Hochberg 1995)."""
        adjusted = np.ones(self.p_values.shape)
        adjusted[self.counted] = stats.false_discovery_control(self.p_values[self.counted])
        return adjusted


def permutation_test(
    model: Any,
    n_permutations: int = 999,
    *,
    n_components: int | None = None,
    random_state: Any = 0,
    progress: Progress = silent,
) -> JointTest:
    """Permutation p-values of joint components.

    A joint component is part of every modality. With more than two modalities, each modality must therefore agree with
    the others.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model. The test uses its signal scores. In JIVE these are the leading joint_rank + individual_rank
        components of each modality. The p-values do not account for a choice of ranks from the same data.
    n_permutations : int, default=999
        Number of permutations; with more than two modalities, of each modality. The smallest possible p-value is
        ``1 / (n_permutations + 1)``.
    n_components : int, optional
        Number of components to test, in order of agreement. The default is the model's joint rank.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the permutations.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every permutation.

    Returns
    -------
    JointTest

    Raises
    ------
    ValueError
        If `n_components` exceeds a modality's signal rank, if values were filled in for the fit, or if the model was
        fitted to several samples of a participant.

    See Also
    --------
    deepjive.jackstraw : Test which features carry the joint components.
    deepjive.bootstrap : Intervals for variance explained and loadings.

    References
    ----------
    Winkler, Renaud, Smith, Nichols 2020, Permutation inference for canonical correlation analysis, NeuroImage 220.
    """
    bases = _signal_bases(model)
    count = model.joint_rank_ if n_components is None else n_components
    _check_component_count(count, bases)
    roots = np.sqrt(getattr(model, "weights_", np.ones(len(bases))))
    n_orders = n_permutations if len(bases) == 2 else n_permutations * len(bases)
    rng = generator(random_state)
    directions = _stacked_directions(list(bases.values()), roots)
    statistics, permuted = np.zeros(count), np.zeros((len(bases), count, n_permutations))
    with one_thread_if_small(len(model.joint_scores_), model.shapes_):
        for j in range(count):
            remaining = [
                root * _without_directions(basis, directions[:, :j])
                for root, basis in zip(roots, bases.values(), strict=True)
            ]
            statistics[j] = _largest_square(np.concatenate(remaining, axis=1))
            step = Counter(progress, j * n_orders, count * n_orders, f"permutation test of component {j + 1}")
            permuted[:, j] = _permuted_statistics(remaining, n_permutations, rng, step)
    return _joint_test(list(bases), statistics, permuted)


def jackstraw(
    model: Any,
    X: Any,
    name: str,
    *,
    component: int | None = None,
    n_repeats: int = 50,
    share: float = 0.1,
    random_state: Any = 0,
    progress: Progress = silent,
) -> FeatureTest:
    """Jackstraw p-values: which features of a modality carry joint components.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model. Every refit uses its ranks.
    X : Modalities, mapping or sequence
        The data to which the model was fitted. Modality `name` is read into memory.
    name : str
        The modality whose features are tested.
    component : int, optional
        The joint component to test, counted from 0. The default tests all joint components together.
    n_repeats : int, default=50
        Number of times that features are permuted and the model is fitted again.
    share : float, default=0.1
        Share of the features that are permuted in one repeat. It should be small, so that the joint scores hardly
        change. There are ``n_repeats * share`` permuted features for every feature.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the permutations.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every repeat.

    Returns
    -------
    FeatureTest

    Raises
    ------
    ValueError
        If the joint rank is 0, if samples or features differ from those fitted, if values were filled in for the fit,
        or if there are several samples of a participant.

    See Also
    --------
    deepjive.permutation_test : Test how many components are joint.
    deepjive.bootstrap : Intervals for variance explained and loadings.

    References
    ----------
    Chung and Storey 2015, Statistical significance of variables driving systematic variation in high-dimensional data,
    Bioinformatics 31(4).
    """
    check_is_fitted(model)
    check_measured(model, "The jackstraw test")
    if model.joint_rank_ == 0:
        raise ValueError(
            "joint_rank_ of the model is 0, but features are tested for joint components. Use a joint_rank above 0."
        )
    data, rng = data_of(model, X, "The jackstraw test"), generator(random_state)
    counted = _counted_features(model, data, name)
    features = np.asarray(data[name][:], dtype=np.float64).reshape(len(data), -1)
    with one_thread_if_small(len(data), data.shapes):
        reference, refit = model.joint_scores_, refits_to_changed_features(model, data, name, features, counted)
        explained = _explained(features, reference, component)
        permuted = []
        for repeat in range(n_repeats):
            changed, chosen = _permuted_features(features, np.flatnonzero(counted), share, rng)
            joint_scores = refit(changed, chosen)
            scores = joint_scores @ aligned(joint_scores, reference)
            permuted.append(_explained(changed, scores, component))
            progress(repeat + 1, n_repeats, f"jackstraw test of {name!r}")
    return _feature_test(explained, np.sort(np.concatenate(permuted)), counted)


def _signal_bases(model: Any) -> dict[str, NDArray]:
    """Orthonormal signal scores of each modality, shape (n_samples, signal_rank), of a model that can be tested."""
    check_is_fitted(model)
    check_measured(model, "The permutation test")
    n = len(model.joint_scores_)
    # models saved by older versions do not know their number of participants
    check_one_each(n, getattr(model, "n_participants_", n), "The permutation test")
    return {name: scores / np.sqrt(n) for name, scores in model.signal_scores_.items()}


def _check_component_count(count: int, bases: dict[str, NDArray]) -> None:
    for name, basis in bases.items():
        if count > basis.shape[1]:
            raise ValueError(TOO_MANY_COMPONENTS.format(given=count, name=name, limit=basis.shape[1]))


def _stacked_directions(bases: Sequence[NDArray], roots: NDArray) -> NDArray:
    """Left singular vectors of ``[w_1^(1/2) Q_1 .. w_K^(1/2) Q_K]``, by decreasing agreement of the modalities."""
    weighted = [root * basis for root, basis in zip(roots, bases, strict=True)]
    return thin_svd(np.concatenate(weighted, axis=1))[0]


def _without_directions(basis: NDArray, directions: NDArray) -> NDArray:
    """Orthonormal basis of a subspace without its directions that are closest to the given directions."""
    if directions.shape[1] == 0:
        return basis
    full = linalg.qr(basis.T @ directions)[0]
    return basis @ full[:, directions.shape[1] :]


def _permuted_statistics(
    bases: Sequence[NDArray], n_permutations: int, rng: np.random.Generator, step: Callable[[], None]
) -> NDArray:
    """The statistic with each modality permuted against the others, shape (n_modalities, n_permutations)."""
    if len(bases) != 2:
        return np.array([_one_permuted(bases, moved, n_permutations, rng, step) for moved in range(len(bases))])
    draws = []
    for _ in range(n_permutations):
        draws.append(_largest_square(np.concatenate([rng.permutation(basis) for basis in bases], axis=1)))
        step()
    return np.array([draws, draws])


def _one_permuted(
    bases: Sequence[NDArray], moved: int, n_permutations: int, rng: np.random.Generator, step: Callable[[], None]
) -> list[float]:
    """The statistic with modality number `moved` permuted against all others."""
    others = np.concatenate([basis for place, basis in enumerate(bases) if place != moved], axis=1)
    inner = linalg.block_diag(others.T @ others, bases[moved].T @ bases[moved])
    draws = []
    for _ in range(n_permutations):
        inner[others.shape[1] :, : others.shape[1]] = rng.permutation(bases[moved]).T @ others
        draws.append(_largest_eigenvalue(inner))
        step()
    return draws


def _largest_square(stacked: NDArray) -> float:
    """Largest squared singular value."""
    return _largest_eigenvalue(stacked.T @ stacked)


def _largest_eigenvalue(lower: NDArray) -> float:
    """Largest eigenvalue of a symmetric matrix, which is read from its lower triangle."""
    last = len(lower) - 1
    return float(linalg.eigvalsh(lower, subset_by_index=[last, last], check_finite=False)[0])


def _joint_test(names: Sequence[str], statistics: NDArray, permuted: NDArray) -> JointTest:
    """P-values from statistics (n_components,) and permuted statistics (n_modalities, n_components, n_permutations)."""
    n_permutations = permuted.shape[2]
    as_large = np.sum(permuted >= statistics[:, None] * TIE, axis=2)
    by_modality = np.maximum.accumulate((1.0 + as_large) / (1.0 + n_permutations), axis=1)
    least_significant = permuted[np.argmax(as_large, axis=0), np.arange(len(statistics))]
    return JointTest(by_modality.max(axis=0), statistics, least_significant, dict(zip(names, by_modality, strict=True)))


def _counted_features(model: Any, data: Modalities, name: str) -> NDArray[np.bool_]:
    """Features inside the model's mask, all of them without a mask; shape of one sample."""
    mask = checked_masks(model.mask, data.shapes)[name]
    return np.ones(data.shapes[name], dtype=bool) if mask is None else mask


def _permuted_features(
    features: NDArray, candidates: NDArray[np.intp], share: float, rng: np.random.Generator
) -> tuple[NDArray, NDArray[np.intp]]:
    """A share of the candidates, permuted over the samples (n_samples, n_chosen), and their numbers (n_chosen,)."""
    chosen = rng.choice(candidates, size=max(1, round(share * len(candidates))), replace=False)
    return rng.permuted(features[:, chosen], axis=0), chosen


def _explained(features: NDArray, scores: NDArray, component: int | None) -> NDArray:
    """Fraction of each feature's sum of squares about its mean that scores of variance 1 explain.

    Constant features have the fraction 0.
    """
    scores = scores if component is None else scores[:, [component]]
    centred = features - features.mean(axis=0)
    largest = np.abs(centred).max(axis=0, initial=0.0)
    centred /= np.where(largest > 0.0, largest, 1.0)
    total = np.sum(centred**2, axis=0)
    along = np.sum((scores.T @ centred) ** 2, axis=0) / len(scores)
    return along / np.where(total > 0.0, total, 1.0)


def _feature_test(explained: NDArray, permuted: NDArray, counted: NDArray[np.bool_]) -> FeatureTest:
    """P-values of features (n_features,) from the increasing null distribution (n_permuted,)."""
    as_large = len(permuted) - np.searchsorted(permuted, explained * TIE)
    p_values = np.where(counted.reshape(-1), (1.0 + as_large) / (1.0 + len(permuted)), 1.0)
    return FeatureTest(p_values.reshape(counted.shape), explained.reshape(counted.shape), permuted, counted)
