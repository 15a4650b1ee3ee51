"""Covariation maps: the effect of one standard deviation of a joint score on every modality, and its significance.

    effect_k(v)  =  mean over samples of [J_k(z + e_c / 2) - J_k(z - e_c / 2)](v)        in data units per sd

The test of significance needs no refit. The joint score of *held-out* samples is computed from all modalities except k,
and correlated with every voxel of modality k. The null distribution permutes the pairing of samples. So no voxel is
tested against a score that was computed from it. If participants have several samples, whole participants are permuted
(`deepjive.data.groups`). The correlation is still computed over all samples, so differences between participants and
changes within a participant both count. The false-discovery rate is controlled over voxels.

With ``clusters=True`` the same permutations give two corrections for the family-wise error, the probability of any
false finding (`deepjive.evaluation.clusters`): of the largest correlation over all voxels, and of the mass of clusters
of neighbouring voxels.

References
----------
Benjamini and Hochberg 1995, Controlling the false discovery rate, J R Stat Soc B 57:289.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import orders_of
from deepjive.evaluation.clusters import family_wise
from deepjive.evaluation.refit import with_groups
from deepjive.progress import Progress, silent
from deepjive.results import Result

MAX_EFFECT_SAMPLES = 50
PIECE = 4096
ROUNDING = 1e-9


@dataclass(frozen=True, repr=False)
class Covariation(Result):
    """Covariation map of one joint score in one modality.

    Attributes
    ----------
    effect : array, shape of a sample
        Change for one standard deviation of the score, in data units.
    correlation : array, shape of a sample
        Correlation of the values of held-out samples with the score that the other modalities give; 0 for values that
        do not vary. A missing value (NaN) counts as the mean of its feature.
    p_value, q_value : array, shape of a sample
        Permutation p-value, and its value after control of the false-discovery rate; 1 for values that do not vary.
    n_samples, n_permutations : int
        Number of held-out samples, and of permutations.
    family_p, cluster_p : array, shape of a sample, or None
        Family-wise p-value of each voxel by the largest correlation, and that of the cluster that holds it, 1 outside
        of clusters. None unless they were asked for.
    """

    effect: NDArray
    correlation: NDArray
    p_value: NDArray
    q_value: NDArray
    n_samples: int
    n_permutations: int
    family_p: NDArray | None = None
    cluster_p: NDArray | None = None

    def turned(self) -> Covariation:
        """Return the map of the score with the opposite sign."""
        return replace(self, effect=-self.effect, correlation=-self.correlation)

    def _summary(self) -> str:
        shape, significant = " x ".join(map(str, self.effect.shape)), int(np.sum(self.q_value < 0.05))
        return (
            f"map of {shape} values: {significant} with q < 0.05, largest absolute correlation "
            f"{np.abs(self.correlation).max(initial=0.0):.2f}, smallest p={self.p_value.min(initial=1.0):.3g}, "
            f"n={self.n_samples}, {self.n_permutations} permutations"
        )

    def _table(self) -> Any:
        maps: dict[str, NDArray | None] = {
            "effect": self.effect,
            "correlation": self.correlation,
            "p_value": self.p_value,
        }
        maps |= {"q_value": self.q_value, "family_p": self.family_p, "cluster_p": self.cluster_p}
        return columns_of_maps(**{name: values for name, values in maps.items() if values is not None})


def columns_of_maps(**maps: NDArray) -> dict[str, NDArray]:
    """Return maps of one shape as columns: the index of each value along every axis, and the values."""
    shape = next(iter(maps.values())).shape
    indices = {f"axis_{axis}": index.ravel() for axis, index in enumerate(np.indices(shape))}
    return {**indices, **{name: values.ravel() for name, values in maps.items()}}


def effect_maps(model: Any, joint_scores: NDArray, component: int) -> dict[str, NDArray]:
    """Compute the effect of one standard deviation of a joint score on every modality, around the samples.

    Parameters
    ----------
    model : estimator
        A fitted model.
    joint_scores : array, shape (n_samples, joint_rank)
        Joint scores of samples. The first 50 are used.
    component : int
        Number of the score, counted from 0.

    Returns
    -------
    dict of str to array, shape of a sample
        In the units in which the model sees the data.

    See Also
    --------
    effect_along : The same for any direction of the joint scores.
    """
    direction = np.zeros(np.shape(joint_scores)[1])
    direction[component] = 1.0
    return effect_along(model, joint_scores, direction)


def effect_along(model: Any, joint_scores: NDArray, direction: NDArray) -> dict[str, NDArray]:
    """Compute the effect of a step of the joint scores on every modality, around the samples.

    Parameters
    ----------
    model : estimator
        A fitted model.
    joint_scores : array, shape (n_samples, joint_rank)
        Joint scores of samples. The first 50 are used.
    direction : array, shape (joint_rank,)
        The step.

    Returns
    -------
    dict of str to array, shape of a sample
        In the units in which the model sees the data.
    """
    scores = np.asarray(joint_scores, dtype=np.float64)[:MAX_EFFECT_SAMPLES]
    sides = [scores + side * direction / 2 for side in (1, -1)]
    parts = {name: [model._joint_part(name, moved) for moved in sides] for name in model.shapes_}
    return {name: np.mean(above - below, axis=0) for name, (above, below) in parts.items()}


def covariation(
    model: Any,
    held_out: Any,
    component: int,
    *,
    n_permutations: int = 999,
    clusters: bool = False,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
) -> dict[str, Covariation]:
    """Compute the covariation maps of one joint score, with significance on held-out samples.

    Parameters
    ----------
    model : estimator
        A fitted model that gives joint scores without one modality (not ``identity="merged"``).
    held_out : Modalities, mapping or sequence
        Complete samples that the model was not fitted to.
    component : int
        Number of the score, counted from 0.
    n_permutations : int, default=999
        Number of permutations. The smallest possible p-value is ``1 / (n_permutations + 1)``. If fewer than 2% of the
        voxels carry the score, use more permutations: at a false-discovery rate of .05 a fraction f of significant
        voxels needs p-values below ``.05 f``.
    clusters : bool, default=False
        Whether family-wise p-values of voxels and of clusters are computed as well, for images and volumes. Each
        permutation is then labelled, which takes a millisecond for 20,000 voxels.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Whole participants are then permuted,
        among participants with equally many samples. The p-value of each voxel is then exact if participants are
        exchangeable; without `groups` it is exact if samples are exchangeable. By default the groups of `held_out`.
    random_state : int, RandomState or None, default=0
        Seed of the permutations.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` for each modality.

    Returns
    -------
    dict of str to Covariation

    Raises
    ------
    ValueError
        If `groups` has another length, or if fewer than 120 orders of participants can be permuted.

    See Also
    --------
    bootstrap_maps : The same maps with the uncertainty of the fit.
    """
    held_out = with_groups(held_out, groups, model)
    draw_order = orders_of(len(held_out), held_out.groups, check_random_state(random_state))
    effects = effect_maps(model, model.transform(held_out), component)
    maps = {}
    for done, name in enumerate(held_out.names):
        progress(done, len(held_out.names), f"map of {name}")
        others = held_out.select([other for other in held_out.names if other != name])
        score = _standard(model.transform(others)[:, [component]])[:, 0]
        orders = np.stack([draw_order() for _ in range(n_permutations)])
        x = _standard(np.asarray(held_out.rows(name, slice(None)), dtype=np.float64).reshape(len(score), -1))
        correlation, p_value = _permuted(x, score, score[orders])
        shape, q_value = held_out.shapes[name], false_discovery(p_value)
        families: tuple[Any, ...] = ()
        if clusters and len(shape) > 1:
            families = family_wise(x, correlation, score[orders], shape)
        maps[name] = Covariation(
            effects[name],
            correlation.reshape(shape),
            p_value.reshape(shape),
            q_value.reshape(shape),
            len(held_out),
            n_permutations,
            *families,
        )
    progress(len(maps), len(maps), "done")
    return maps


def false_discovery(p_values: NDArray) -> NDArray:
    """Adjust p-values for the false-discovery rate by the method of Benjamini and Hochberg.

    Parameters
    ----------
    p_values : array, shape (n_tests,)
        P-values. Tests with p-value 1, where nothing varies, are not counted.

    Returns
    -------
    array, shape (n_tests,)
        Adjusted p-values (q-values).

    Examples
    --------
    >>> false_discovery(np.array([0.01, 0.02, 0.5, 1.0])).round(3).tolist()
    [0.03, 0.03, 0.5, 1.0]
    """
    q_values = np.ones(len(p_values))
    tested = np.flatnonzero(p_values < 1.0)
    if len(tested):
        order = tested[np.argsort(p_values[tested])]
        raw = p_values[order] * len(tested) / np.arange(1, len(tested) + 1)
        q_values[order] = np.minimum.accumulate(raw[::-1])[::-1].clip(max=1.0)
    return q_values


def dice_of_strongest(first: NDArray, second: NDArray, mask: NDArray[np.bool_], fraction: float = 0.2) -> float:
    """Return the Dice overlap of the voxels with the largest absolute values in two maps.

    Parameters
    ----------
    first, second : array
        Maps of the same shape.
    mask : array of bool
        The voxels that are compared.
    fraction : float, default=0.2
        Fraction of these voxels that counts as largest.

    Returns
    -------
    float
        1 if the same voxels are largest in both maps, 0 if none are.
    """
    a, b = (np.abs(values[mask]) for values in (first, second))
    tops = [values >= np.quantile(values, 1 - fraction) for values in (a, b)]
    return float(2 * np.sum(tops[0] & tops[1]) / (tops[0].sum() + tops[1].sum()))


def _permuted(x: NDArray, score: NDArray, permuted: NDArray) -> tuple[NDArray, NDArray]:
    """Correlate standardized columns with a score, and compute two-sided p-values from permuted scores."""
    n = len(score)
    correlation, p_value = score @ x / n, np.ones(x.shape[1])
    varies = np.flatnonzero(x.any(axis=0))
    for start in range(0, len(varies), PIECE):
        piece = varies[start : start + PIECE]
        null = np.abs(permuted @ x[:, piece] / n)
        larger = (null >= np.abs(correlation[piece]) - 1e-12).sum(axis=0)
        p_value[piece] = (1.0 + larger) / (1.0 + len(permuted))
    return correlation, p_value


def _standard(x: NDArray) -> NDArray:
    """Standardize columns to mean 0 and variance 1; a column whose variation is within rounding error becomes 0."""
    missing = np.isnan(x)
    if missing.any():
        count = np.maximum(np.sum(~missing, axis=0), 1)
        x = np.where(missing, np.where(missing, 0.0, x).sum(axis=0) / count, x)
    largest = np.abs(x).max(axis=0, initial=0.0)
    centred = x / np.where(largest > 0.0, largest, 1.0)
    centred -= centred.mean(axis=0)
    spread = centred.std(axis=0)
    return np.where(spread > ROUNDING, centred / np.maximum(spread, ROUNDING), 0.0)
