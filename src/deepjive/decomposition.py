"""Decomposition: the one thing that flows out of every estimator.

    X_k = J_k + S_k + E_k        for each modality k

`joint`, `individual` and `residual` are computed when asked for, from the scores, so that a decomposition of large
volumes costs no more memory than its scores until a part is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.data.chunks import row_batches
from deepjive.data.modalities import NO_MODALITY, Modalities

BATCH = 256

PartName = Literal["joint", "individual", "residual"]
Render = Callable[[Literal["joint", "individual"], str, NDArray, NDArray], NDArray]


class Part(Mapping[str, NDArray]):
    """One part of all modalities: a mapping from names to arrays in the shape and units of the input.

    Every look-up computes the array anew; `rows` computes some samples only.
    """

    def __init__(self, decomposition: Decomposition, part: PartName) -> None:
        self._decomposition, self._part = decomposition, part

    def rows(self, name: str, indices: Any) -> NDArray:
        """Some samples of one modality's part.

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
        return iter(self._decomposition.data.names)

    def __len__(self) -> int:
        return len(self._decomposition.data.names)

    def __repr__(self) -> str:
        return f"<{self._part} part of {', '.join(self)}: computed when asked for>"


@dataclass(frozen=True, eq=False, repr=False)
class Decomposition:
    """Modalities split into what varies together, what varies alone, and the rest.

    For each modality ``joint + individual + residual`` is the input. The joint part carries the modality's mean, so
    that it is an image where the input is one; ``joint[name] - mean[name]`` is the variation alone. With joint
    rank 0 the joint part does not vary: it is the mean for every sample.

    Attributes
    ----------
    data : Modalities
        The input.
    joint_scores : array, shape (n_samples, joint_rank)
        A sample's coordinates in the joint part; mean 0 and variance 1 over the samples the model was fitted to.
    individual_scores : dict of str to array, shape (n_samples, individual_rank)
        The same for each modality's individual part.
    mean : dict of str to array
        Mean sample of each modality over the samples the model was fitted to, in data units.
    joint, individual, residual : Part
        Mappings from names to arrays of the input's shape and units, computed when asked for.
    variance_explained : dict of str to dict
        For each modality the fractions ``"joint"``, ``"individual"`` and ``"residual"``, which add up to 1.
    """

    data: Modalities
    joint_scores: NDArray
    individual_scores: dict[str, NDArray]
    mean: dict[str, NDArray]
    render: Render

    @property
    def joint(self) -> Part:
        """What varies together, with the mean; see the class."""
        return Part(self, "joint")

    @property
    def individual(self) -> Part:
        """What varies in one modality alone."""
        return Part(self, "individual")

    @property
    def residual(self) -> Part:
        """What neither part explains; not a number where a value is missing or a sample lacks the modality."""
        return Part(self, "residual")

    @cached_property
    def variance_explained(self) -> dict[str, dict[str, float]]:
        """Fractions of each modality's variance.

        With ``|.|^2`` the sum of squares over the samples that have the modality and ``X`` measured from the mean:
        joint is ``1 - |X - J|^2 / |X|^2``, residual ``|X - J - S|^2 / |X|^2`` and individual what is left, that is
        what the individual part explains beyond the joint one. For the linear estimators, whose parts are
        orthogonal, these are the usual ``|J|^2 / |X|^2`` and ``|S|^2 / |X|^2``. A part that makes things worse,
        as can happen on new samples, has a negative fraction. Values that are missing (NaN) do not count.
        """
        return {name: self._fractions(name) for name in self.data.names}

    def __repr__(self) -> str:
        ranks = {name: scores.shape[1] for name, scores in self.individual_scores.items()}
        return f"Decomposition({self.data!r}, joint rank {self.joint_scores.shape[1]}, individual ranks {ranks})"

    def _part_rows(self, part: PartName, name: str, indices: Any) -> NDArray:
        if name not in self.data:
            raise KeyError(NO_MODALITY.format(name=name, names=list(self.data.names)))
        if part == "residual":
            x = self.data.rows(name, indices).astype(self.mean[name].dtype, copy=False)
            rest = x - self._rendered("joint", name, indices) - self._rendered("individual", name, indices)
            rest[~self.data.present[indices, self.data.names.index(name)]] = np.nan
            return rest
        return self._rendered(part, name, indices)

    def _rendered(self, part: Literal["joint", "individual"], name: str, indices: Any) -> NDArray:
        return self.render(part, name, self.joint_scores[indices], self.individual_scores[name][indices])

    def _fractions(self, name: str) -> dict[str, float]:
        rows = np.flatnonzero(self.data.present[:, self.data.names.index(name)])
        total = without_joint = residual = 0.0
        for batch in row_batches(rows, self.data.shapes[name]):
            x = self.data.rows(name, batch).astype(np.float64)
            known = ~np.isnan(x)
            rest = x - self._rendered("joint", name, batch)
            total = math.hypot(total, length_of((x - self.mean[name])[known]))
            without_joint = math.hypot(without_joint, length_of(rest[known]))
            residual = math.hypot(residual, length_of((rest - self._rendered("individual", name, batch))[known]))
        if total == 0.0:
            return {"joint": np.nan, "individual": np.nan, "residual": np.nan}
        without_joint, residual = (without_joint / total) ** 2, (residual / total) ** 2
        return {"joint": 1.0 - without_joint, "individual": without_joint - residual, "residual": residual}


def length_of(array: NDArray) -> float:
    """Return the root of the sum of squares, without overflow or underflow of the squares."""
    flat = array.reshape(-1)
    largest = float(np.abs(flat).max(initial=0.0))
    return largest * float(np.linalg.norm(flat / largest)) if largest > 0.0 else 0.0
