"""Repeated measures: variation between participants, and variation within them.

The samples of a participant, such as visits, are combined linearly.

- *Between* participants, the sample of a participant is the mean of the participant's visits.
- *Within* participants, a participant with m visits has m - 1 samples. Sample j is visit j + 1 minus the mean of the
  visits before it, times ``sqrt(j / (j + 1))`` (Helmert contrasts). Of two visits this is the second minus the first,
  divided by ``sqrt(2)``.

Deviations of visits from their mean add up to 0 and would count m samples where there are m - 1. Contrasts contain the
same variation. They are orthonormal, so that independent noise of the visits is independent noise of the same variance
in the contrasts, and rank choices and tests keep their levels.

The mean of a participant has a share 1 / m of the variation within participants.

Sources:

- Liquet, Lê Cao, Hocini and Thiébaut 2012, A novel approach for biomarker selection and the integration of repeated
  measures experiments from two assays, BMC Bioinformatics 13: the multilevel split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.data.confounds import Confounds
from deepjive.data.groups import members_of
from deepjive.data.readers.lazy import RowReader, read_rows

LevelName = Literal["between", "within"]
MEASURED = 32  # samples whose magnitudes are measured

NO_GROUPS = (
    "Variation {level} participants needs the participant of each sample: Modalities(data, groups=participants), "
    "--groups FILE:COLUMN."
)
ONE_VISIT = (
    "There is no variation within participants: each of the {n} participants has one sample. Give participants with "
    "several samples."
)
VARYING_CATEGORY = (
    "The confound {name!r} differs between the samples of participant {participant!r}, which are combined into one "
    "sample. Leave it out, or leave out the participants who changed."
)


@dataclass(frozen=True)
class Level:
    """How the samples of participants were combined.

    Attributes
    ----------
    name : {"between", "within"}
        The level.
    samples : array of str, shape (n_samples,), or None
        Names of the samples that were combined.
    n : int
        Number of the samples that were combined.
    members : list of array of int
        Numbers of the samples of which each combination consists.
    weights : list of array
        Their weights.
    participants : array, shape (n_combined,)
        The participant of each combination.
    """

    name: LevelName
    samples: NDArray[np.str_] | None
    n: int
    members: list[NDArray[np.intp]]
    weights: list[NDArray]
    participants: NDArray

    @classmethod
    def of(cls, name: LevelName, samples: NDArray[np.str_] | None, groups: NDArray | None, n: int) -> Level:
        """Choose the combinations.

        Raises
        ------
        ValueError
            If the participants are not known, or none has two samples.
        """
        if groups is None:
            raise ValueError(NO_GROUPS.format(level=name))
        members: list[NDArray[np.intp]] = []
        weights: list[NDArray] = []
        for rows in members_of(n, groups):
            if name == "between":
                members.append(rows)
                weights.append(np.full(len(rows), 1.0 / len(rows)))
                continue
            for j in range(1, len(rows)):
                members.append(rows[: j + 1])
                weights.append(np.append(np.full(j, -1.0 / j), 1.0) * np.sqrt(j / (j + 1.0)))
        if not members:
            raise ValueError(ONE_VISIT.format(n=n))
        return cls(name, samples, n, members, weights, groups[[rows[0] for rows in members]])

    def __getitem__(self, rows: NDArray[np.intp]) -> Level:
        """Some of the combinations."""
        members, weights = ([of_all[row] for row in rows] for of_all in (self.members, self.weights))
        return Level(self.name, self.samples, self.n, members, weights, self.participants[rows])

    @property
    def rows_used(self) -> NDArray[np.intp]:
        """Numbers of the samples that are in a combination."""
        return np.unique(np.concatenate(self.members)) if self.members else np.zeros(0, dtype=np.intp)

    @property
    def names(self) -> NDArray[np.str_]:
        """Names of the combinations: the participant, and the number of the contrast if there are several."""
        texts = self.participants.astype(str)
        if self.name == "between" or len(np.unique(texts)) == len(texts):
            return texts
        return np.array([f"{text}:{len(rows) - 1}" for text, rows in zip(texts, self.members, strict=True)], dtype=str)

    def combined(self, values: NDArray) -> NDArray:
        """Combine one number of each sample, shape (n_samples,)."""
        pairs = zip(self.members, self.weights, strict=True)
        return np.array([float(_combination(weights, values[rows])) for rows, weights in pairs])

    def labels(self, values: NDArray) -> NDArray:
        """Labels of the combinations; text that differs within a combination is empty.

        Numbers are combined like the values, and those of a contrast are 0 if they do not change.
        """
        if values.dtype.kind in "iuf":
            return self.combined(values.astype(np.float64))
        texts = values.astype(str)
        return np.array([texts[r[0]] if (texts[r] == texts[r[0]]).all() else "" for r in self.members], dtype=str)

    def confounds(self, confounds: Confounds | None) -> Confounds | None:
        """Confounds of the combinations; what does not change within participants has no part in contrasts.

        Raises
        ------
        ValueError
            If categories differ between samples that are combined.
        """
        if confounds is None:
            return None
        columns: dict[str, NDArray] = {}
        for name, values in confounds.columns.items():
            combined = self.labels(values)
            if values.dtype.kind == "U":
                if (combined == "").any():
                    participant = self.participants[(combined == "").argmax()]
                    raise ValueError(VARYING_CATEGORY.format(name=name, participant=str(participant)))
                if self.name == "within":
                    continue
            elif self.name == "within" and not combined.any():
                continue
            columns[name] = combined
        site = confounds.site if confounds.site in columns else None
        return Confounds(columns, site) if columns else None

    def rows(self, array: Any) -> CombinedRows:
        """Combinations of the rows of an array."""
        return CombinedRows(array, self.members, self.weights)

    def magnitude(self, array: Any, present: NDArray[np.bool_]) -> NDArray:
        """Magnitude of each feature of some samples that have the modality, in the shape of one sample."""
        rows = self.rows_used[present[self.rows_used]]
        some = rows[np.unique(np.linspace(0, len(rows) - 1, MEASURED).astype(np.intp))] if len(rows) else rows
        if not len(some):
            return np.zeros(array.shape[1:])
        values = np.abs(np.asarray(read_rows(array, some), dtype=np.float64))
        return np.asarray(np.where(np.isfinite(values), values, 0.0).max(axis=0))

    def present(self, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which combination has which modality: only samples that all have the modality can be combined."""
        return np.array([present[rows].all(axis=0) for rows in self.members], dtype=bool).reshape(-1, present.shape[1])

    def groups(self) -> NDArray | None:
        """The participant of each combination; None if each has one."""
        return None if len(np.unique(self.participants)) == len(self.participants) else self.participants


class CombinedRows(RowReader):
    """Linear combinations of the rows of an array.

    Parameters
    ----------
    array : array-like, shape (n_samples, ...)
        An array in memory or on disk.
    members : list of array of int
        Rows of which each combination consists, in increasing order.
    weights : list of array
        Their weights.
    """

    def __init__(self, array: Any, members: list[NDArray[np.intp]], weights: list[NDArray]) -> None:
        dtype = array.dtype if np.dtype(array.dtype) == np.float32 else np.float64
        super().__init__((len(members), *array.shape[1:]), dtype)
        self._array, self._members, self._weights = array, members, weights

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        wanted = np.unique(np.concatenate([self._members[row] for row in rows]))
        values = np.asarray(read_rows(self._array, wanted), dtype=np.float64)
        places = [np.searchsorted(wanted, self._members[row]) for row in rows]
        pairs = zip(places, rows, strict=True)
        combined = [_combination(self._weights[row], values[place]) for place, row in pairs]
        return np.stack(combined).astype(self.dtype, copy=False)


def _combination(weights: NDArray, values: NDArray) -> NDArray:
    """Combine values (n, ...) with weights (n,) whose sum is 0 or 1; exact where the values are equal.

    A feature that does not change then leaves no rounding errors, which would count as variation.
    """
    first = np.where(np.isfinite(values[0]), values[0], 0.0)
    return np.asarray(np.round(weights.sum()) * first + np.tensordot(weights, values - first, axes=1))
