"""How many scores belong to each subset of modalities, and linear parts of subsets with which training starts.

Ranks follow from pairs (`deepjive.subsets`). The number of scores that two sets of features have in common is chosen as
a joint rank is (`deepjive.deep.geometry.rank_selection`): the scores predict held-out samples of either from the other.
What a subset has in common is then its joint part, by the same scores, side by side for its modalities, and the next
modality is compared with this part. Many subsets are tried, so that fewer scores are enough than for a joint rank:
those that reach `ENOUGH` of the best prediction. A score of a subset therefore predicts each of its modalities, and one
that predicts a further modality as well belongs to the larger subset.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.deep.geometry.manifold_prediction import without_unrolled
from deepjive.deep.geometry.rank_selection import (
    RankCurve,
    RankSelection,
    complete_sample,
    one_each,
    rank_curve,
    select_ranks,
    without_joint,
)
from deepjive.linear.ajive import AJIVE
from deepjive.progress import Progress, silent
from deepjive.subsets import EmptySubsetWarning, Subset, common_spaces, ranks_of_subsets, word_of

ENOUGH = 0.95  # of the best prediction
LEFT_OVER = 0.03  # held-out variance of what is left, predicted by individual scores


@dataclass(frozen=True)
class SubsetSelection:
    """Ranks of subsets and of single modalities, and what they were chosen by.

    Attributes
    ----------
    subset_ranks : dict of tuple of str to int
        Number of scores of each subset, that of all modalities among them.
    individual_ranks : dict of str to int
        Number of individual scores of each modality.
    selection : RankSelection
        The curves behind the ranks.
    """

    subset_ranks: dict[Subset, int]
    individual_ranks: dict[str, int]
    selection: RankSelection

    def nothing_common(self, subset: Subset) -> str:
        """Say why a subset has rank 0."""
        curve = self.selection.curves.get(f"common to {word_of(subset)}")
        if curve is None or not curve.rank:
            return "its modalities do not clearly predict each other in held-out samples"
        return f"what its modalities have in common ({curve.rank}) larger subsets have too"


@dataclass(frozen=True)
class _Common:
    """What modalities have in common: features (n_samples, n_features), and the curve by which they were chosen."""

    features: NDArray
    curve: RankCurve | None = None


def select_subset_ranks(
    data: Modalities,
    subsets: Mapping[Subset, int | None],
    *,
    joint_rank: int | None = None,
    individual_ranks: Mapping[str, int] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> SubsetSelection:
    """Choose the ranks that are not given.

    Parameters
    ----------
    data : Modalities
        The data; reduced as in `deepjive.deep.geometry.rank_selection.select_ranks`.
    subsets : mapping of tuple of str to int or None
        The subsets without that of all modalities; None for a rank that is chosen.
    joint_rank, individual_ranks, seed, progress
        As in `select_ranks`.

    Returns
    -------
    SubsetSelection
    """
    small, names = one_each(complete_sample(data, seed), seed), data.names
    known = {names: joint_rank, **subsets}
    curves: dict[str, RankCurve] = {}
    common_ranks: dict[Subset, int] = {}

    def meet(subset: Subset, pairs: Sequence[tuple[_Common, _Common]]) -> _Common:
        progress(len(common_ranks), None, f"what {word_of(subset)} share")
        found = [_common_of_two(others.features, left_out.features, seed) for others, left_out in pairs]
        ranks = [0 if one.curve is None else one.curve.rank for one in found]
        common_ranks[subset] = int(np.median(ranks))
        best = found[int(np.argmin(np.abs(np.subtract(ranks, common_ranks[subset]))))]
        if best.curve is not None:
            curves[f"common to {word_of(subset)}"] = best.curve
        return best

    if None in known.values():
        features = {name: _Common(np.asarray(small[name], dtype=np.float64)) for name in names}
        common_spaces(names, subsets, features, meet)
    ranks = ranks_of_subsets({subset: common_ranks.get(subset, 0) for subset in known}, known)
    if individual_ranks is None:
        left = _without_subsets(small, ranks, curves, seed)
        alone = select_ranks(left, joint_rank=0, seed=seed)
        individual_ranks = {name: _clear(name, rank, alone.curves) for name, rank in alone.individual_ranks.items()}
        curves |= {
            name: replace(curve, rank=individual_ranks.get(name, curve.rank)) for name, curve in alone.curves.items()
        }
    selection = RankSelection(ranks[names], dict(individual_ranks), curves)
    return SubsetSelection(ranks, dict(individual_ranks), selection)


def _common_of_two(one: NDArray, other: NDArray, seed: int) -> _Common:
    """The joint parts of two sets of features, side by side; without features if nothing is common."""
    if not one.shape[1] or not other.shape[1]:
        return _Common(np.zeros((len(one), 0)))
    pair = Modalities({"one": one, "other": other})
    curve = rank_curve([pair], seed, ENOUGH)
    if not curve.rank:
        return _Common(np.zeros((len(one), 0)), curve)
    left = _without_joint(pair, curve.rank, curve, seed)
    parts = [np.asarray(pair[name]) - np.asarray(pair[name]).mean(axis=0) - left[name] for name in pair.names]
    return _Common(np.concatenate([part / (np.linalg.norm(part) or 1.0) for part in parts], axis=1), curve)


def _clear(name: str, rank: int, curves: Mapping[str, RankCurve]) -> int:
    """The individual rank of a modality; 0 if it predicts little, which parts of subsets may have left."""
    predicted = max(curves[name].r2["linear"]) if name in curves else 1.0
    return rank if predicted > LEFT_OVER else 0


def _without_joint(data: Modalities, rank: int, curve: RankCurve | None, seed: int) -> Modalities:
    unrolled = curve is not None and curve.coordinates == "unrolled"
    return (without_unrolled if unrolled else without_joint)(data, rank, seed)


def _without_subsets(
    data: Modalities, ranks: Mapping[Subset, int], curves: Mapping[str, RankCurve], seed: int
) -> Modalities:
    """What the parts of all subsets leave of each modality, large subsets first."""
    arrays = {name: np.asarray(data[name], dtype=np.float64) for name in data.names}
    for subset, rank in ranks.items():
        if rank:
            members = Modalities({name: arrays[name] for name in subset})
            left = _without_joint(members, rank, curves.get(f"common to {word_of(subset)}"), seed)
            arrays |= dict(left.items())
    return Modalities(arrays)


def linear_parts(data: Modalities, ranks: Mapping[Subset, int], seed: int) -> dict[Subset, dict[str, NDArray]]:
    """Linear parts of subsets, by AJIVE with the same subsets but ranks of its own; without the mean.

    They are taken out of the modalities while a network of another subset is trained for the first time, because a
    network of all modalities would otherwise describe strong variation that only some of them share.

    Parameters
    ----------
    data : Modalities
        The data.
    ranks : mapping of tuple of str to int
        The subsets, with that of all modalities among them. Subsets of rank 0 are left out.
    seed : int
        Seed of AJIVE.
    """
    subsets = [subset for subset, rank in ranks.items() if rank and len(subset) < len(data.names)]
    missing = "error" if data.present.all() else "impute"
    options: dict[str, Any] = {} if ranks[tuple(data.names)] else {"joint_rank": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptySubsetWarning)  # the ranks of the deep model count
        linear = AJIVE(subsets=subsets, missing=missing, random_state=seed, **options).fit(data.without_confounds())
    parts = linear.decompose(data.without_confounds())
    found = {subset: {name: part[name] for name in part} for subset, part in parts.subset.items()}
    if ranks[tuple(data.names)] and linear.joint_rank_:
        found[tuple(data.names)] = {name: parts.joint[name] - linear.mean_[name] for name in data.names}
    return found
