"""How many scores belong to each subset of modalities, and linear parts of subsets with which training starts.

Pairs are looked at first. The number of scores that two modalities have in common is chosen as a joint rank is
(`deepjive.deep.geometry.rank_selection`).

- **Linear relations.** If linear scores describe what a pair has in common, or if no pair has more than one score in
  common, the ranks of all subsets are those of AJIVE (`deepjive.linear.shared_directions`), which compares directions
  of samples. One sample of each participant counts: chance is then that of independent samples.
- **Curved relations.** AJIVE would count several linear components for each curved one. If unrolled coordinates
  describe every pair that has more than one score in common, ranks follow from pairs (`deepjive.subsets`): what a
  subset has in common is its joint part, by the same scores, side by side for its modalities, and the next modality is
  compared with this part. Many subsets are tried, so that fewer scores are enough than for a joint rank: those that
  reach `ENOUGH` of the best prediction. A score of a subset therefore predicts each of its modalities, and one that
  predicts a further modality as well belongs to the larger subset.

Individual ranks are chosen from what the parts of the subsets leave.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.groups import folds_of, members_of
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
from deepjive.subsets import MOST_MODALITIES, EmptySubsetWarning, Subset, common_spaces, ranks_of_subsets, word_of

ENOUGH = 0.95  # of the best prediction
DRAWS = 100  # of AJIVE's bounds, which subsets do not use
FOLDS, FEWEST_FOR_FOLDS = 5, 40
LEFT_OVER = 0.03  # held-out variance of what is left, predicted by individual scores

BY_AJIVE = "Subsets: {ranks}. These are the ranks of AJIVE, because {reason}."
LINEAR = "linear scores are enough for what {pair} have in common"
FEW = "no pair that was compared has more than one score in common"


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
    straight : tuple of str or None
        A pair whose linear scores led to the ranks of AJIVE, or all modalities if no pair has more than one score in
        common; None if ranks follow from prediction.
    given : frozenset of tuple of str
        Subsets whose ranks were given.
    """

    subset_ranks: dict[Subset, int]
    individual_ranks: dict[str, int]
    selection: RankSelection
    straight: Subset | None = None
    given: frozenset[Subset] = frozenset()

    def reason(self) -> str:
        """Explain the choice in words, one line for each part."""
        lines = [self.selection.reason()]
        if self.straight is not None:
            chosen = {subset: rank for subset, rank in self.subset_ranks.items() if subset not in self.given}
            ranks = ", ".join(f"{word_of(subset)} {rank}" for subset, rank in chosen.items())
            reason = LINEAR.format(pair=word_of(self.straight)) if len(self.straight) == 2 else FEW
            lines = [BY_AJIVE.format(ranks=ranks, reason=reason), *lines]
        return "\n".join(line for line in lines if line)

    def nothing_common(self, subset: Subset) -> str:
        """Say why a subset has rank 0."""
        if self.straight is not None:
            return "AJIVE finds no component that its modalities have in common beyond larger subsets"
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
    complete, names = complete_sample(data, seed), data.names
    small = one_each(complete, seed)
    known = {names: joint_rank, **subsets}
    curves: dict[str, RankCurve] = {}
    found: dict[Subset, _Common] = {}
    straight = linear = None
    features = {name: _Common(np.asarray(small[name], dtype=np.float64)) for name in names}
    if None in known.values():
        straight = _straight_pair(features, subsets, found, seed, progress)
        linear = None if straight is None else _ajive(small, subsets, joint_rank, seed)
    if linear is not None:
        ranks = {subset: linear.subset_ranks_[subset] if rank is None else rank for subset, rank in known.items()}
    elif None in known.values():
        straight, ranks = None, _ranks_from_pairs(features, known, found, curves, seed, progress)
    else:
        ranks = {subset: int(rank or 0) for subset, rank in known.items()}
    if individual_ranks is None:
        if linear is not None and ranks == dict(linear.subset_ranks_):
            left = _without_linear(complete, linear)
        else:
            left = _without_subsets(small, ranks, curves, seed)
        alone = select_ranks(left, joint_rank=0, seed=seed)
        held = {name: sum(rank for subset, rank in ranks.items() if name in subset) for name in names}
        individual_ranks = {
            name: min(_clear(name, rank, alone.curves), max(0, complete.shapes[name][0] - held[name]))
            for name, rank in alone.individual_ranks.items()
        }
        curves |= {
            name: replace(curve, rank=individual_ranks.get(name, curve.rank)) for name, curve in alone.curves.items()
        }
    selection = RankSelection(ranks[names], dict(individual_ranks), curves)
    given = frozenset(subset for subset, rank in known.items() if rank is not None)
    return SubsetSelection(ranks, dict(individual_ranks), selection, straight, given)


def _straight_pair(
    features: Mapping[str, _Common],
    subsets: Mapping[Subset, int | None],
    found: dict[Subset, _Common],
    seed: int,
    progress: Progress,
) -> Subset | None:
    """The first pair whose common scores are linear and more than one; all modalities if no pair has more than one.

    None if unrolled coordinates describe what pairs have in common. What was computed goes to `found`.
    """
    names = tuple(features)
    within = [names] if len(names) <= MOST_MODALITIES else list(subsets)
    is_curved = False
    for pair in itertools.combinations(names, 2):
        if not any(set(pair) <= set(subset) for subset in within):
            continue
        progress(len(found), None, f"what {word_of(pair)} share")
        found[pair] = _common_of_two(features[pair[0]].features, features[pair[1]].features, seed)
        curve = found[pair].curve
        if curve is None or not curve.rank:
            continue
        if curve.coordinates == "linear" and curve.linear_rank > 1:
            return pair
        is_curved |= curve.coordinates == "unrolled"
    return None if is_curved else names


def _ajive(data: Modalities, subsets: Iterable[Subset], joint_rank: int | None, seed: int) -> AJIVE | None:
    """AJIVE with the same subsets, which chooses their ranks; None if the data are too small for it."""
    options: dict[str, Any] = {} if joint_rank is None else {"joint_rank": joint_rank}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what AJIVE doubts in the data, the deep model's fit says as well
        try:
            return AJIVE(subsets=list(subsets), n_wedin=DRAWS, n_random=DRAWS, random_state=seed, **options).fit(data)
        except ValueError:
            return None


def _ranks_from_pairs(
    features: Mapping[str, _Common],
    known: Mapping[Subset, int | None],
    found: Mapping[Subset, _Common],
    curves: dict[str, RankCurve],
    seed: int,
    progress: Progress,
) -> dict[Subset, int]:
    """Ranks by held-out prediction: of pairs, then of their common parts with a third modality, and so on."""
    names, common_ranks = tuple(features), dict[Subset, int]()

    def meet(subset: Subset, pairs: Sequence[tuple[_Common, _Common]]) -> _Common:
        progress(len(common_ranks), None, f"what {word_of(subset)} share")
        if subset in found:
            met = [found[subset]]
        else:
            met = [_common_of_two(others.features, left_out.features, seed) for others, left_out in pairs]
        ranks = [0 if one.curve is None else one.curve.rank for one in met]
        common_ranks[subset] = int(np.median(ranks))
        best = met[int(np.argmin(np.abs(np.subtract(ranks, common_ranks[subset]))))]
        if best.curve is not None:
            curves[f"common to {word_of(subset)}"] = best.curve
        return best

    common_spaces(names, [subset for subset in known if subset != names], features, meet)
    return ranks_of_subsets({subset: common_ranks.get(subset, 0) for subset in known}, known)


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


def _without_linear(data: Modalities, linear: AJIVE) -> Modalities:
    """What the joint part and the parts of subsets of AJIVE leave of each modality."""
    parts = linear.decompose(data)
    arrays = {}
    for name in data.names:
        shared = sum((part[name] for subset, part in parts.subset.items() if name in subset), parts.joint[name])
        arrays[name] = np.asarray(data[name], dtype=np.float64) - shared
    return Modalities(arrays, groups=data.groups).adjusted_to({})


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
    network of all modalities would otherwise describe strong variation that only some of them share. The parts of a
    sample are those of a model that was fitted to other samples: what the parts of its own fit leave of one modality
    would be correlated with the noise of another. With fewer than 40 participants, with samples that lack modalities,
    and where a fit to four fifths of the samples is not possible, the parts are those of a fit to all samples.

    Parameters
    ----------
    data : Modalities
        The data.
    ranks : mapping of tuple of str to int
        The subsets, with that of all modalities among them. Subsets of rank 0 are left out.
    seed : int
        Seed of AJIVE, and of the folds.
    """
    subsets = [subset for subset, rank in ranks.items() if rank and len(subset) < len(data.names)]
    every = tuple(data.names)
    plain = Modalities(dict(data.items()), present=data.present).adjusted_to({}, data.magnitudes)  # visits all count
    missing = "error" if data.present.all() else "impute"
    options: dict[str, Any] = {"missing": missing, "n_wedin": DRAWS, "n_random": DRAWS, "random_state": seed}
    options |= {} if ranks[every] else {"joint_rank": 0}
    held = [*([every] if ranks[every] else []), *subsets]
    found = {subset: {name: np.zeros((len(data), *data.shapes[name])) for name in subset} for subset in held}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptySubsetWarning)  # the ranks of the deep model count
        for fitted, rows in _folds(data, seed):
            try:
                linear = AJIVE(subsets=subsets, **options).fit(plain[fitted])
            except ValueError:  # such as a feature that varies in the left-out samples alone
                linear = AJIVE(subsets=subsets, **options).fit(plain)
            parts = linear.decompose(plain[rows])
            for subset, part in parts.subset.items():
                for name in subset:
                    found[subset][name][rows] = part[name]
            if every in found and linear.joint_rank_:
                for name in every:
                    found[every][name][rows] = parts.joint[name] - linear.mean_[name]
    return found


def _folds(data: Modalities, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to fit and rows to predict; the same, all of them, for few samples and where samples lack modalities."""
    rows = np.arange(len(data))
    if len(members_of(len(data), data.groups)) < FEWEST_FOR_FOLDS or not data.present.all():
        return [(rows, rows)]
    return folds_of(len(data), data.groups, FOLDS, seed)
