"""Covariation maps: what one standard deviation of a joint score does to every modality, and where it is significant.

    effect_k(v)  =  mean over samples of [J_k(z + e_c / 2) - J_k(z - e_c / 2)](v)        in data units per sd

Significance asks whether the map would be seen between samples that do not belong together, and needs no refit: the
joint score of *held-out* samples is made without modality k, from the others alone, and correlated with every voxel of
modality k; the null permutes the pairing of samples. So nothing is tested on what it was made from. Where participants
have several samples, whole participants are permuted (`deepjive.data.groups`): the correlation stays that
over all samples, and neither the level nor the course of a participant is averaged away. The false-discovery rate is
controlled over voxels (Benjamini and Hochberg 1995, J R Stat Soc B 57:289).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import orders_of
from deepjive.data.modalities import Modalities
from deepjive.evaluation.refit import with_groups

MOST_SAMPLES = 50
PIECE = 4096
ROUNDING = 1e-9


@dataclass(frozen=True)
class Covariation:
    """One joint score in one modality.

    Attributes
    ----------
    effect : array, shape of a sample
        Change for one standard deviation of the score, in data units.
    correlation : array, shape of a sample
        Of the values of held-out samples with the score that the other modalities give; 0 where values do not vary.
        A value that is missing (NaN) counts as its feature's mean.
    p_value, q_value : array, shape of a sample
        By permutation of the pairing, and after control of the false-discovery rate; 1 where nothing varies.
    """

    effect: NDArray
    correlation: NDArray
    p_value: NDArray
    q_value: NDArray

    def turned(self) -> Covariation:
        """The map of the score with the other sign."""
        return Covariation(-self.effect, -self.correlation, self.p_value, self.q_value)


def effect_maps(model: Any, joint_scores: NDArray, component: int) -> dict[str, NDArray]:
    """What one standard deviation of a joint score does to every modality, around where samples are.

    Parameters
    ----------
    model : estimator
        Fitted.
    joint_scores : array, shape (n_samples, joint_rank)
        Scores of some samples; the first 50 are used.
    component : int
        Which score, from 0.

    Returns
    -------
    dict of str to array, shape of a sample
    """
    direction = np.zeros(np.shape(joint_scores)[1])
    direction[component] = 1.0
    return effect_along(model, joint_scores, direction)


def effect_along(model: Any, joint_scores: NDArray, direction: NDArray) -> dict[str, NDArray]:
    """The same for a step of the joint scores in any direction, shape (joint_rank,)."""
    scores = np.asarray(joint_scores, dtype=np.float64)[:MOST_SAMPLES]
    above, below = (model.inverse_transform(scores + side * direction / 2) for side in (1, -1))
    return {name: np.mean(above[name] - below[name], axis=0) for name in above}


def covariation(
    model: Any,
    held_out: Modalities,
    component: int,
    *,
    n_permutations: int = 2000,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
) -> dict[str, Covariation]:
    """Covariation maps of one joint score, with significance on held-out samples.

    Parameters
    ----------
    model : estimator
        Fitted, and able to give joint scores without one modality (not the merged identity).
    held_out : Modalities
        Complete samples that the model was not fitted to.
    component : int
        Which score, from 0.
    n_permutations : int
        Permutations; the smallest p-value is ``1 / (n_permutations + 1)``.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: whole participants are then permuted, among those
        with equally many samples. The p-value of each voxel is exact if participants are exchangeable; without it, if
        samples are. By default those of the data.
    random_state : int, RandomState or None
        Seed of the permutations.

    Returns
    -------
    dict of str to Covariation

    Raises
    ------
    ValueError
        For groups of another length, or participants that can change places in fewer than 120 orders.
    """
    held_out = with_groups(held_out, groups)
    order = orders_of(len(held_out), held_out.groups, check_random_state(random_state))
    effects = effect_maps(model, model.transform(held_out), component)
    found = {}
    for name in held_out.names:
        others = held_out.select([other for other in held_out.names if other != name])
        score = _standard(model.transform(others)[:, [component]])[:, 0]
        orders = np.stack([order() for _ in range(n_permutations)])
        x = _standard(np.asarray(held_out.rows(name, slice(None)), dtype=np.float64).reshape(len(score), -1))
        correlation, p_value = _permuted(x, score, score[orders])
        shape = held_out.shapes[name]
        q_value = false_discovery(p_value)
        found[name] = Covariation(
            effects[name], correlation.reshape(shape), p_value.reshape(shape), q_value.reshape(shape)
        )
    return found


def false_discovery(p_values: NDArray) -> NDArray:
    """Adjusted p-values of Benjamini and Hochberg; tests with p-value 1, where nothing varies, are not counted.

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
    """Overlap of the voxels with the largest absolute values in two maps.

    Parameters
    ----------
    first, second : array
        Maps.
    mask : array of bool
        The voxels that count.
    fraction : float
        Fraction of the voxels that is compared.
    """
    a, b = (np.abs(values[mask]) for values in (first, second))
    tops = [values >= np.quantile(values, 1 - fraction) for values in (a, b)]
    return float(2 * np.sum(tops[0] & tops[1]) / (tops[0].sum() + tops[1].sum()))


def _permuted(x: NDArray, score: NDArray, permuted: NDArray) -> tuple[NDArray, NDArray]:
    """Correlations of standardized columns with a score, and two-sided p-values by its permutations."""
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
    """Columns of mean 0 and variance 1; zero where a column does not vary beyond rounding, beside its largest value."""
    gaps = np.isnan(x)
    if gaps.any():
        count = np.maximum(np.sum(~gaps, axis=0), 1)
        x = np.where(gaps, np.where(gaps, 0.0, x).sum(axis=0) / count, x)
    largest = np.abs(x).max(axis=0, initial=0.0)
    centred = x / np.where(largest > 0.0, largest, 1.0)
    centred -= centred.mean(axis=0)
    spread = centred.std(axis=0)
    return np.where(spread > ROUNDING, centred / np.maximum(spread, ROUNDING), 0.0)
