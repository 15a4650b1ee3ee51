"""Decomposition: the result of every estimator.

    X_k = J_k + S_k + E_k        for each modality k

`joint`, `individual` and `residual` are computed from the scores on access. A decomposition of large volumes therefore
needs only the memory of its scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepjive._html import html_table
from deepjive.data.chunks import row_batches
from deepjive.data.confounds import Confounds
from deepjive.data.modalities import NO_MODALITY, Modalities
from deepjive.subsets import Subset, word_of

BATCH = 256

PartName = Literal["joint", "individual", "residual"] | Subset
Render = Callable[[Literal["joint", "individual"] | Subset, str, NDArray, NDArray], NDArray]
Restore = Callable[[str, NDArray, Confounds | None], NDArray]


class Part(Mapping[str, NDArray]):
    """One part of all modalities: a mapping from names to arrays in the shape and units of the input.

    Each access computes the array again; `rows` computes some samples only.
    """

    def __init__(self, decomposition: Decomposition, part: PartName) -> None:
        self._decomposition, self._part = decomposition, part

    def rows(self, name: str, indices: Any) -> NDArray:
        """Compute the part of some samples of one modality.

        Parameters
        ----------
        name : str
            The modality.
        indices : slice or array of int or bool
            The samples.

        Returns
        -------
        array, shape (n_selected, ...)
        """
        return self._decomposition._part_rows(self._part, name, indices)

    def __getitem__(self, name: str) -> NDArray:
        n = len(self._decomposition.data)
        pieces = [self.rows(name, slice(start, start + BATCH)) for start in range(0, n, BATCH)]
        return np.concatenate(pieces) if pieces else self.rows(name, slice(0, 0))

    def __iter__(self) -> Iterator[str]:
        names = self._decomposition.data.names
        return iter([name for name in names if name in self._part] if isinstance(self._part, tuple) else names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        word = "subset" if isinstance(self._part, tuple) else self._part
        return f"<{word} part of {', '.join(self)}: computed on access>"


@dataclass(frozen=True, eq=False, repr=False)
class Decomposition:
    """Modalities split into a joint part, an individual part and a residual.

    For each modality, ``joint + individual + residual`` is the input; a model that was fitted with `subsets` adds the
    parts of the modality's subsets. The joint part includes the mean of the modality, so that it is an image if the
    input is an image; ``joint[name] - mean[name]`` is the joint variation. For joint rank 0 the joint part of every
    sample is the mean.

    If the model was fitted with confounds, the joint part of a sample includes the effects of the sample's confounds
    too, as it includes the mean. `adjusted` is the decomposition of the data without confounds.

    Parts are in the units of the input, also if the model scales features. If the model transforms a modality
    (``transformation="log_cpm"``), `data` and parts of this modality are transformed values, because only these are
    sums of parts.

    Attributes
    ----------
    data : Modalities
        The input, transformed if the model transforms it.
    joint_scores : array, shape (n_samples, joint_rank)
        Coordinates of the samples in the joint part, with mean 0 and variance 1 over the fitted samples.
    individual_scores : dict of str to array, shape (n_samples, individual_rank)
        Coordinates of the samples in the individual part of each modality, with the same scaling.
    mean : dict of str to array
        Mean sample of each modality over the fitted samples, in the units of the parts.
    joint, individual, residual : Part
        Mappings from names to arrays of the shape and units of the input, computed on access.
    variance_explained : dict of str to dict
        For each modality the fractions ``"joint"``, ``"individual"`` and ``"residual"``, which add up to 1. Confounds
        have no part in them. For each subset of a modality there is also a fraction such as ``"rna+protein"``.
    subset_scores : dict of tuple of str to array, shape (n_samples, rank)
        Coordinates of the samples in the part of each subset, such as ``("rna", "protein")``, with the same scaling;
        empty unless the model was fitted with `subsets`. Subsets without components are left out.
    subset : dict of tuple of str to Part
        For each subset a mapping from its modalities to arrays, computed on access, without the mean.
    adjusted : Decomposition
        The decomposition of the data as the model sees them: without the effects of confounds, and with scaled
        features. The same decomposition if neither is the case.
    units : dict of str to str
        Units in which the model sees modalities that it transforms or scales, in words.
    masks : mapping of str to array of bool, or None
        Features that count in `variance_explained`, in the shape of one sample; all features of other modalities count.
    """

    data: Modalities
    joint_scores: NDArray
    individual_scores: dict[str, NDArray]
    mean: dict[str, NDArray]
    render: Render
    restore: Restore | None = None
    subset_scores: dict[Subset, NDArray] = field(default_factory=dict)
    masks: Mapping[str, NDArray[np.bool_] | None] | None = None
    adjusted_parts: Decomposition | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def adjusted(self) -> Decomposition:
        """The decomposition of the data without the effects of confounds, and with scaled features."""
        return self if self.adjusted_parts is None else self.adjusted_parts

    def restored(self, data: Modalities, restore: Restore, units: Mapping[str, str]) -> Decomposition:
        """Return the decomposition of the data from which this decomposition's data were adjusted."""
        mean = {name: restore(name, values[None], None)[0] for name, values in self.mean.items()}
        own = replace(self, units=units)
        return replace(self, data=data, mean=mean, restore=restore, adjusted_parts=own, units=units)

    @property
    def joint(self) -> Part:
        """The variation common to the modalities, including the mean of each modality."""
        return Part(self, "joint")

    @property
    def individual(self) -> Part:
        """The variation of one modality alone."""
        return Part(self, "individual")

    @property
    def subset(self) -> dict[Subset, Part]:
        """The variation common to some modalities, for each subset with components."""
        return {subset: Part(self, subset) for subset in self.subset_scores}

    @property
    def residual(self) -> Part:
        """The input minus all parts; NaN if a value is missing or a sample lacks the modality."""
        return Part(self, "residual")

    def scores_of(self, name: str) -> dict[str, NDArray]:
        """Return all scores on which a modality depends.

        Parameters
        ----------
        name : str
            The modality.

        Returns
        -------
        dict of str to array, shape (n_samples, rank)
            Scores by part: "joint", then the subsets that hold the modality, such as ``"rna+protein"``, then
            "individual". Parts without scores have rank 0.

        Examples
        --------
        >>> from deepjive import AJIVE
        >>> from deepjive.datasets import make_synthetic
        >>> data = make_synthetic(60, (20, 16), random_state=0).data
        >>> parts = AJIVE(joint_rank=1, individual_ranks=2, random_state=0).fit(data).decompose(data)
        >>> {part: scores.shape for part, scores in parts.scores_of("modality_1").items()}
        {'joint': (60, 1), 'individual': (60, 2)}
        """
        if name not in self.individual_scores:
            raise KeyError(NO_MODALITY.format(name=name, names=list(self.individual_scores)))
        of_subsets = {word_of(subset): self.subset_scores[subset] for subset in self._subsets_of(name)}
        return {"joint": self.joint_scores, **of_subsets, "individual": self.individual_scores[name]}

    def rendered_at(self, name: str, scores: Mapping[str, NDArray]) -> NDArray:
        """Compute the sum of all parts of a modality at any scores, in the units of `adjusted`.

        Parameters
        ----------
        name : str
            The modality.
        scores : mapping of str to array, shape (n_points, rank)
            Scores by part, as `scores_of` names them; those of parts that are left out are 0, which is their mean.

        Returns
        -------
        array, shape (n_points, ...)
        """
        count = len(next(iter(scores.values())))
        ranks = {part: values.shape[1] for part, values in self.scores_of(name).items()}
        at = {part: scores.get(part, np.zeros((count, rank))) for part, rank in ranks.items()}
        whole = self.render("joint", name, at["joint"], at["individual"]).astype(np.float64)
        for subset in self._subsets_of(name):
            whole += self.render(subset, name, at[word_of(subset)], at["individual"])
        return whole + self.render("individual", name, at["joint"], at["individual"])

    @cached_property
    def variance_explained(self) -> dict[str, dict[str, float]]:
        """Fractions of the variance of each modality.

        Let ``X`` and ``J`` be measured from the mean, and ``|.|^2`` be the sum of squares over the samples that have
        the modality. The joint fraction is ``1 - |X - J|^2 / |X|^2`` and the residual fraction is
        ``|X - J - S|^2 / |X|^2``. The individual fraction is the remainder: the variance that the individual part
        explains beyond the joint part, and beyond the parts of subsets, whose fractions are found in the same way, one
        after the other. The parts of linear estimators are orthogonal on the fitted samples, so that the
        fractions are ``|J|^2 / |X|^2`` and ``|S|^2 / |X|^2``. A fraction is negative if the part increases the error,
        which is possible on new samples. Missing values (NaN), and features outside the model's mask, do not count.
        The data are those without confounds.
        """
        if self.adjusted_parts is not None:
            return self.adjusted.variance_explained
        return {name: self._fractions(name) for name in self.data.names}

    def __repr__(self) -> str:
        ranks = {name: scores.shape[1] for name, scores in self.individual_scores.items()}
        subsets = {word_of(subset): scores.shape[1] for subset, scores in self.subset_scores.items()}
        shared = f", ranks of subsets {subsets}" if subsets else ""
        joint_rank = self.joint_scores.shape[1]
        return f"Decomposition({self.data!r}, joint rank {joint_rank}{shared}, individual ranks {ranks})"

    def _repr_html_(self) -> str:
        """Show the ranks in a notebook, and the variance explained once it has been computed."""
        explained = self.__dict__.get("variance_explained", {})
        header = ["modality", "features", "individual rank", *(next(iter(explained.values())) if explained else ())]
        rows = [
            [
                name,
                " x ".join(map(str, shape)),
                self.individual_scores[name].shape[1],
                *(f"{100 * fraction:.1f}%" for fraction in explained.get(name, {}).values()),
            ]
            for name, shape in self.data.shapes.items()
        ]
        caption = f"Decomposition of {len(self.data):,} samples, joint rank {self.joint_scores.shape[1]}"
        return html_table(caption, header, rows, "" if explained else "Variance explained: .variance_explained")

    def _part_rows(self, part: PartName, name: str, indices: Any) -> NDArray:
        if name not in self.data:
            raise KeyError(NO_MODALITY.format(name=name, names=list(self.data.names)))
        if part == "residual":
            x = self.data.rows(name, indices).astype(self.mean[name].dtype, copy=False)
            residual = x - self._rendered("joint", name, indices) - self._rendered("individual", name, indices)
            for subset in self._subsets_of(name):
                residual -= self._rendered(subset, name, indices)
            residual[~self.data.present[indices, self.data.names.index(name)]] = np.nan
            return residual
        if isinstance(part, tuple) and name not in part:
            raise KeyError(NO_MODALITY.format(name=name, names=list(part)))
        return self._rendered(part, name, indices)

    def _subsets_of(self, name: str) -> list[Subset]:
        return [subset for subset in self.subset_scores if name in subset]

    def _rendered(self, part: Literal["joint", "individual"] | Subset, name: str, indices: Any) -> NDArray:
        scores = self.joint_scores[indices], self.individual_scores[name][indices]
        if isinstance(part, tuple):
            values = self.render(part, name, self.subset_scores[part][indices], scores[1])
        else:
            values = self.render(part, name, *scores)
        if self.restore is None:
            return values
        confounds = None if self.data.confounds is None else self.data.confounds[indices]
        if part == "joint":
            return self.restore(name, values, confounds)
        joint = self.render("joint", name, *scores)
        return self.restore(name, joint + values, confounds) - self.restore(name, joint, confounds)

    def _fractions(self, name: str) -> dict[str, float]:
        rows = np.flatnonzero(self.data.present[:, self.data.names.index(name)])
        mask = (self.masks or {}).get(name)
        total = without_joint = residual = 0.0
        subsets = self._subsets_of(name)
        left = dict.fromkeys(subsets, 0.0)  # root of the sum of squares after a subset's part and those before it
        for batch in row_batches(rows, self.data.shapes[name]):
            x = self.data.rows(name, batch).astype(np.float64)
            known = ~np.isnan(x) if mask is None else ~np.isnan(x) & np.asarray(mask, dtype=bool)
            beyond_joint = x - self._rendered("joint", name, batch)
            total = math.hypot(total, length_of((x - self.mean[name])[known]))
            without_joint = math.hypot(without_joint, length_of(beyond_joint[known]))
            beyond_shared = beyond_joint
            for subset in subsets:
                beyond_shared = beyond_shared - self._rendered(subset, name, batch)
                left[subset] = math.hypot(left[subset], length_of(beyond_shared[known]))
            residual = math.hypot(
                residual, length_of((beyond_shared - self._rendered("individual", name, batch))[known])
            )
        if total == 0.0:
            return dict.fromkeys(["joint", *map(word_of, subsets), "individual", "residual"], np.nan)
        shares = [(length / total) ** 2 for length in (without_joint, *left.values())]
        residual = (residual / total) ** 2
        fractions = {"joint": 1.0 - shares[0]}
        for subset, before, after in zip(subsets, shares, shares[1:], strict=False):
            fractions[word_of(subset)] = before - after
        return {**fractions, "individual": shares[-1] - residual, "residual": residual}


def length_of(array: NDArray) -> float:
    """Return the root of the sum of squares, without overflow or underflow of the squares."""
    flat = array.reshape(-1)
    largest = float(np.abs(flat).max(initial=0.0))
    return largest * float(np.linalg.norm(flat / largest)) if largest > 0.0 else 0.0


def power_of_two(value: float) -> float:
    """Return the power of two at or below a positive number, and 1 for 0: a unit in which numbers keep their digits."""
    return math.ldexp(0.5, math.frexp(value)[1]) if value > 0.0 else 1.0
