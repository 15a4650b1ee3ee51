"""The adjustment of all modalities: learned from the fitted samples, applied to any samples, and undone for parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.adjust.inspection import (
    adjusts,
    rows_of,
    warn_of_copies,
    warn_of_counts,
    warn_of_explained,
    warn_of_marks,
    warn_of_sizes,
)
from deepjive.adjust.regression import Coding, Effects, learn, least_squares
from deepjive.adjust.transformations import (
    TRANSFORMATIONS,
    RangeWords,
    Transformation,
    check_range,
    from_state,
    name_of,
)
from deepjive.adjust.units import IN_WORDS, feature_sizes, scales_of, transformations_of
from deepjive.data.chunks import row_batches
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


FEWEST_PER_COLUMN = 5  # samples; residuals of fewer are too alike to be permuted

Step = Callable[[NDArray, NDArray[np.intp]], NDArray]


@dataclass(frozen=True)
class Adjustment:
    """What was learned of units and confounds.

    Values are transformed first. Then the effects of confounds are taken out, and last features are scaled.

    Attributes
    ----------
    transformations : dict of str to Transformation
        Transformations of the modalities that have one.
    coding : Coding or None
        Columns of the confounds; None without confounds.
    effects : dict of str to Effects
        Their effects on each modality.
    sizes : dict of str to array, shape (n_features,)
        Numbers by which the features are divided, of the modalities whose features are scaled.
    scales : dict of str to str
        The scales of these modalities.
    is_change : bool
        Whether the samples are changes between visits. Visits are transformed before changes are computed, so that
        changes stay in the units of the transformation.
    """

    transformations: dict[str, Transformation]
    coding: Coding | None
    effects: dict[str, Effects]
    sizes: dict[str, NDArray]
    scales: dict[str, str]
    is_change: bool = False

    @classmethod
    def learn(cls, data: Modalities, transformation: Any = None, scale: Any = "modality") -> Adjustment | None:
        """Learn the adjustment of data; None if there is nothing to adjust.

        Parameters
        ----------
        data : Modalities
            The samples to be fitted.
        transformation, scale : str, mapping of str to str, or None
            As of the estimators.

        Raises
        ------
        ValueError
            If a confound is constant, there are nearly as many columns as samples, a site has one sample, or values are
            out of the range of their transformation.

        Warns
        -----
        UnitsWarning
            If values seem to be counts or marks of missing values, one feature is much larger than the others, or
            features are constant.
        """
        rows = rows_of(data)
        kinds, scales = transformations_of(transformation, data.names), scales_of(scale, data.names)
        if min(len(of_modality) for of_modality in rows.values()) < 2 or any(0 in s for s in data.shapes.values()):
            return None  # too little to learn from, which `check_for_fit` says
        is_read = adjusts(data, kinds, scales)
        examined = {name: rows[name] for name, array in data.items() if is_read or in_memory(array)}
        measured = data if data.visits is None or data.level is None else data.visits[data.level.rows_used]
        rows_measured = rows_of(measured)
        if data.is_transformed:
            kinds = {}
        else:
            warn_of_marks(measured, {name: rows_measured[name] for name in examined})
            warn_of_copies(measured, {name: rows_measured[name] for name in examined})
            warn_of_counts(measured, {name: rows_measured[name] for name in examined}, kinds)
        is_change = data.level is not None and data.level.name == "within"
        adjustment = cls({}, None, {}, {}, {}, is_change)
        for name, kind in kinds.items():
            _check_blocks(measured, name, kind, rows_measured[name])
            adjustment.transformations[name] = TRANSFORMATIONS[kind].learn(measured[name], rows_measured[name])
        data = adjustment.transformed(data)
        warn_of_sizes(data, examined, scales)
        if data.confounds is not None:
            coding = Coding.of(data.confounds)
            flat = {name: size.reshape(-1) for name, size in data.magnitudes.items()}
            effects = {
                name: learn(name, array, rows[name], data.confounds, coding, flat.get(name))
                for name, array in data.items()
            }
            adjustment = replace(adjustment, coding=coding, effects=effects)
        without_confounds = adjustment._changed(data, [adjustment._without_effects(data)])
        magnitudes = adjustment._magnitudes(data)
        if adjustment.effects:
            warn_of_explained(data, data.adjusted_to(without_confounds, magnitudes), examined)
        for name, array in without_confounds.items():
            sizes = feature_sizes(scales[name], array, rows[name], magnitudes.get(name, np.zeros(1)).reshape(-1))
            if sizes is not None:
                adjustment.sizes[name], adjustment.scales[name] = sizes, str(scales[name])
        is_empty = not (adjustment.transformations or adjustment.effects or adjustment.sizes)
        return None if is_empty else adjustment

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Adjustment | None:
        """The adjustment from its state; None for an empty state."""
        if not state:
            return None
        effects = {
            name: Effects(**{key: np.asarray(value) for key, value in arrays.items()})
            for name, arrays in state["effects"].items()
        }
        return cls(
            {name: from_state(of_modality) for name, of_modality in state["transformations"].items()},
            Coding.from_state(state["coding"]) if state["coding"] else None,
            effects,
            {name: np.asarray(sizes) for name, sizes in state["sizes"].items()},
            dict(state["scales"]),
            bool(state.get("is_change", False)),  # lacking in older models
        )

    def state(self) -> dict[str, Any]:
        """The adjustment as dicts, lists and arrays, to be saved with a model."""
        return {
            "transformations": {
                name: {"name": name_of(map_), "learned": map_.state()} for name, map_ in self.transformations.items()
            },
            "coding": {} if self.coding is None else self.coding.state(),
            "effects": {name: effects.state() for name, effects in self.effects.items()},
            "sizes": self.sizes,
            "scales": self.scales,
            "is_change": self.is_change,
        }

    def words(self) -> dict[str, str]:
        """The units of adjusted values in words, of the modalities that are transformed or scaled."""
        words = {}
        for name in {**self.transformations, **self.sizes}:
            after = [f"after {name_of(self.transformations[name])}"] if name in self.transformations else []
            scaled = [IN_WORDS[self.scales[name]]] if name in self.sizes else []
            words[name] = ", ".join([*after, *scaled])
        return words

    def of(self, data: Modalities) -> Modalities:
        """Adjust modalities; those on disk are adjusted when rows are read.

        Raises
        ------
        ValueError
            If the data lack confounds, a category was not fitted, or values are out of the range of a transformation.
        """
        data = self.transformed(data)
        steps = [self._without_effects(data), self._scaled]
        return data.adjusted_to(self._changed(data, steps), self._magnitudes(data))

    def _magnitudes(self, data: Modalities) -> dict[str, NDArray]:
        """Sizes of the values before anything was taken out, in the units of adjusted values."""
        magnitudes = data.magnitudes
        for name in data.names:
            if name in self.effects:
                magnitudes[name] = self.effects[name].size_before().reshape(data.shapes[name])
            if name in magnitudes and name in self.sizes:
                magnitudes[name] = magnitudes[name] / self.sizes[name].reshape(data.shapes[name])
        return magnitudes

    def transformed(self, data: Modalities) -> Modalities:
        """Transform modalities, which keep their confounds and the scale of their features.

        Visits are transformed before they are combined by `between` or `within`.
        """
        if data.is_transformed or not self.transformations:
            return data
        if data.visits is not None and data.level is not None:
            step, arrays, magnitudes = self._transformed(data.visits), {}, data.magnitudes
            for name, array in data.visits.items():
                if (change := step(name)) is not None:
                    visits = ChangedRows(array, [change])
                    combined = data.level.rows(visits)
                    arrays[name] = combined[:] if in_memory(data[name]) else combined
                    if name in magnitudes:
                        present = data.visits.present[:, data.visits.names.index(name)]
                        magnitudes[name] = data.level.magnitude(visits, present)
            return data.transformed_to(arrays, magnitudes)
        magnitudes = {name: size for name, size in data.magnitudes.items() if name not in self.transformations}
        return data.transformed_to(self._changed(data, [self._transformed(data)]), magnitudes)

    def _changed(self, data: Modalities, steps: Sequence[Callable[[str], Step | None]]) -> dict[str, Any]:
        """The arrays after some steps, each a function from modalities to a change of rows."""
        arrays = {}
        for name, array in data.items():
            changes = [change for step in steps if (change := step(name)) is not None]
            if changes:
                rows = ChangedRows(array, changes)
                arrays[name] = rows[:] if in_memory(array) else rows
            else:
                arrays[name] = array
        return arrays

    def _transformed(self, data: Modalities) -> Callable[[str], Step | None]:
        is_change = data.level is not None and data.level.name == "within"

        def step(name: str) -> Step | None:
            if name not in self.transformations:
                return None
            transformation, present = self.transformations[name], data.present[:, data.names.index(name)]
            words = RangeWords(data.samples, data.features[name], is_change)

            def change(values: NDArray, rows: NDArray[np.intp]) -> NDArray:
                values = np.where(present[rows, None], values, np.nan)
                check_range(name, name_of(transformation), values, rows, words)
                return np.where(present[rows, None], transformation.forward(values), 0.0)

            return change

        return step

    def _without_effects(self, data: Modalities) -> Callable[[str], Step | None]:
        if self.coding is None:
            return lambda name: None
        confounds = self.checked(data.confounds)
        columns, sites = self.coding.columns(confounds), self.coding.sites(confounds)
        return lambda name: lambda values, rows: self.effects[name].remove(values, columns[rows], sites[rows])

    def _scaled(self, name: str) -> Step | None:
        return None if name not in self.sizes else lambda values, rows: values / self.sizes[name]

    def checked(self, confounds: Confounds | None) -> Confounds:
        """Return confounds of new samples, which must be those of the fit."""
        if self.coding is None:
            raise ValueError("The model was fitted without confounds (`adjustment_`). Give samples without confounds.")
        if confounds is None:
            raise ValueError(NO_CONFOUNDS.format(fitted=list(self.coding.levels)))
        self.coding.check(confounds)
        return confounds

    def cleaned(self, adjusted: Modalities, confounds: Confounds) -> Modalities:
        """Take out of adjusted samples what a regression on the confounds still explains among these very samples.

        Effects that few fitted samples showed leave a part of each confound in new samples, in every modality. A test
        of what modalities share would find it. Modalities with few samples for the number of columns stay as they are.

        Parameters
        ----------
        adjusted : Modalities
            Samples as `of` returns them.
        confounds : Confounds
            Their confounds.
        """
        if self.coding is None:
            return adjusted
        confounds = self.checked(confounds)
        sites = np.eye(self.coding.n_sites)[self.coding.sites(confounds)]
        design, arrays = np.concatenate([sites, self.coding.columns(confounds)], axis=1), {}
        for name, rows in rows_of(adjusted).items():
            if len(rows) >= FEWEST_PER_COLUMN * design.shape[1]:
                _, _, slopes = least_squares(adjusted[name], rows, design)
                values = np.asarray(adjusted[name][:], dtype=np.float64)
                left = (design - design[rows].mean(axis=0)) @ slopes
                arrays[name] = values - left.reshape(values.shape)
        return adjusted.adjusted_to(arrays)

    def restore(self, name: str, values: NDArray, confounds: Confounds | None) -> NDArray:
        """Undo the scale of features, and put the effects of confounds back into adjusted values.

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
            Values in the units of `transformed`.
        """
        flat = np.asarray(values, dtype=np.float64).reshape(len(values), math.prod(values.shape[1:]))
        if name in self.sizes:
            flat = flat * self.sizes[name]
        if self.coding is not None and confounds is not None:
            flat = self.effects[name].restore(flat, self.coding.columns(confounds), self.coding.sites(confounds))
        dtype = np.float64 if name in self.sizes else values.dtype  # large units do not fit into single precision
        return flat.reshape(values.shape).astype(dtype, copy=False)

    def undo(self, name: str, values: NDArray, confounds: Confounds | None) -> NDArray:
        """Return whole samples in the units of the input, from adjusted values; arguments as of `restore`.

        Changes between visits stay in the units of the transformation.
        """
        restored = self.restore(name, values, confounds)
        if name not in self.transformations or self.is_change:
            return restored
        flat = restored.astype(np.float64).reshape(len(values), math.prod(values.shape[1:]))
        return self.transformations[name].inverse(flat).reshape(values.shape).astype(values.dtype, copy=False)


def _check_blocks(data: Modalities, name: str, kind: str, rows: NDArray[np.intp]) -> None:
    """Raise ValueError if values of some samples are out of the range of a transformation."""
    words = RangeWords(data.samples, data.features[name], data.level is not None and data.level.name == "within")
    for batch in row_batches(rows, data.shapes[name]):
        values = np.asarray(data.rows(name, batch), dtype=np.float64).reshape(len(batch), -1)
        check_range(name, kind, values, batch, words)


def adjusted(
    fitted: Modalities, *others: Modalities, transformation: Any = None, scale: Any = "modality"
) -> list[Modalities]:
    """Return samples as a model sees them, without a model.

    Parameters
    ----------
    fitted : Modalities
        The samples from which units and effects of confounds are learned.
    *others : Modalities
        Samples that are adjusted too.
    transformation, scale : str, mapping of str to str, or None
        As of the estimators.

    Returns
    -------
    list of Modalities
        `fitted` and the others.
    """
    adjustment = None if fitted.is_adjusted else Adjustment.learn(fitted, transformation, scale)
    return [data if adjustment is None else adjustment.of(data) for data in (fitted, *others)]


class ChangedRows(RowReader):
    """Rows of an array that are changed when they are read.

    Parameters
    ----------
    array : array-like, shape (n_samples, ...)
        An array in memory or on disk.
    changes : list of callable
        Called in order with values (n, n_features) and the numbers of their rows.
    """

    def __init__(self, array: Any, changes: list[Step]) -> None:
        dtype = array.dtype if np.dtype(array.dtype) == np.float32 else np.float64
        super().__init__(array.shape, dtype)
        self._array, self._changes = array, changes

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        values = np.asarray(read_rows(self._array, rows), dtype=np.float64)
        flat = values.reshape(len(rows), math.prod(self.shape[1:]))
        for change in self._changes:
            flat = change(flat, rows)
        return flat.reshape(values.shape).astype(self.dtype, copy=False)
