"""The adjustment of all modalities: learned from the fitted samples, applied to any samples, and undone for parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.adjust.regression import Coding, Effects, learn
from deepjive.data.confounds import Confounds
from deepjive.data.modalities import Modalities
from deepjive.data.readers.lazy import RowReader, in_memory, read_rows

NO_CONFOUNDS = (
    "The model was fitted with the confounds {fitted}, which it takes out of new samples too, but these samples have "
    "none. Give them: Modalities(data, confounds=frame), --confounds FILE:COLUMN,COLUMN."
)
NOT_FITTED_WITH = (
    "The model was fitted without confounds, but these samples have the confounds {given}, which would stay in the "
    "data. Fit with confounds, or pass data.without_confounds()."
)


@dataclass(frozen=True)
class Adjustment:
    """What was learned of confounds.

    Attributes
    ----------
    coding : Coding
        Columns of the confounds.
    effects : dict of str to Effects
        Their effects on each modality.
    """

    coding: Coding
    effects: dict[str, Effects]

    @classmethod
    def learn(cls, data: Modalities) -> Adjustment | None:
        """Learn the adjustment of data; None if there is nothing to adjust.

        Raises
        ------
        ValueError
            If a confound is constant, there are nearly as many columns as samples, or a site has one sample.
        """
        if data.confounds is None:
            return None
        coding = Coding.of(data.confounds)
        present = dict(zip(data.names, data.present.T, strict=True))
        effects = {
            name: learn(name, array, np.flatnonzero(present[name]), data.confounds, coding)
            for name, array in data.items()
        }
        return cls(coding, effects)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Adjustment | None:
        """The adjustment from its state; None for an empty state."""
        if not state:
            return None
        effects = {
            name: Effects(**{key: np.asarray(value) for key, value in arrays.items()})
            for name, arrays in state["effects"].items()
        }
        return cls(Coding.from_state(state["coding"]), effects)

    def state(self) -> dict[str, Any]:
        """The adjustment as dicts, lists and arrays, to be saved with a model."""
        effects = {name: effects.state() for name, effects in self.effects.items()}
        return {"coding": self.coding.state(), "effects": effects}

    def of(self, data: Modalities) -> Modalities:
        """Adjust modalities; those on disk are adjusted when rows are read.

        Raises
        ------
        ValueError
            If the data lack confounds, or a category was not fitted.
        """
        confounds = self.checked(data.confounds)
        columns, sites = self.coding.columns(confounds), self.coding.sites(confounds)
        arrays = {}
        for name, array in data.items():
            rows = AdjustedRows(array, self.effects[name], columns, sites)
            arrays[name] = rows[:] if in_memory(array) else rows
        return data.adjusted_to(arrays)

    def checked(self, confounds: Confounds | None) -> Confounds:
        """Return confounds of new samples, which must be those of the fit."""
        if confounds is None:
            raise ValueError(NO_CONFOUNDS.format(fitted=list(self.coding.levels)))
        self.coding.check(confounds)
        return confounds

    def undo(self, name: str, values: NDArray, confounds: Confounds | None) -> NDArray:
        """Put the effects back into adjusted values.

        Parameters
        ----------
        name : str
            The modality.
        values : array, shape (n_samples, ...)
            Adjusted values.
        confounds : Confounds or None
            Confounds of the samples; None leaves them at their means.

        Returns
        -------
        array, shape (n_samples, ...)
        """
        if confounds is None:
            return values
        flat = np.asarray(values, dtype=np.float64).reshape(len(values), self.effects[name].reference.size)
        columns, sites = self.coding.columns(confounds), self.coding.sites(confounds)
        restored = self.effects[name].restore(flat, columns, sites)
        return restored.reshape(values.shape).astype(values.dtype, copy=False)


def adjusted(fitted: Modalities, *others: Modalities) -> list[Modalities]:
    """Return samples without the effects of confounds that some of them show, without a model.

    Parameters
    ----------
    fitted : Modalities
        The samples from which the effects are learned.
    *others : Modalities
        Samples that are adjusted too.

    Returns
    -------
    list of Modalities
        `fitted` and the others; unchanged without confounds.
    """
    adjustment = None if fitted.is_adjusted else Adjustment.learn(fitted)
    return [data if adjustment is None else adjustment.of(data) for data in (fitted, *others)]


class AdjustedRows(RowReader):
    """Rows of an array without the effects of confounds.

    Parameters
    ----------
    array : array-like, shape (n_samples, ...)
        An array in memory or on disk.
    effects : Effects
        Effects of the confounds.
    columns, sites : array, shape (n_samples, n_columns), (n_samples,)
        Coded confounds of the samples.
    """

    def __init__(self, array: Any, effects: Effects, columns: NDArray, sites: NDArray[np.intp]) -> None:
        dtype = array.dtype if np.dtype(array.dtype) == np.float32 else np.float64
        super().__init__(array.shape, dtype)
        self._array, self._effects, self._columns, self._sites = array, effects, columns, sites

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        values = np.asarray(read_rows(self._array, rows), dtype=np.float64)
        flat = values.reshape(len(rows), self._effects.reference.size)
        adjusted = self._effects.remove(flat, self._columns[rows], self._sites[rows])
        return adjusted.reshape(values.shape).astype(self.dtype, copy=False)
