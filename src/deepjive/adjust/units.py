"""The parameters `transformation` and `scale` of estimators, and the scale of features.

`scale` decides what counts as much variation:

- ``"modality"``: each modality is divided by one number, so that all modalities have the same weight. Features keep
  their proportions.
- ``"features"``: each feature is divided by its standard deviation, and modalities have the same weight.
- ``"robust"``: each feature is divided by its interquartile range over 1.349, which is the standard deviation of a
  normal variable; by the standard deviation if the range is 0.
- None: nothing is divided, so that modalities with larger values have a larger weight.

Scales are those of the fitted samples, after the transformation and without the effects of confounds. A constant
feature is divided by 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from deepjive.adjust.transformations import TransformationName, blocks, some_of
from deepjive.rounding import exceeds_rounding

ScaleName = Literal["modality", "features", "robust"]
Transformations = TransformationName | Mapping[str, TransformationName | None] | None
Scale = ScaleName | Mapping[str, ScaleName | None] | None

ROUNDING = 1e-12  # of a feature's standard deviation; equal values may differ by as much after confounds are taken out

NOT_ALLOWED = "{parameter}{of_modality} is {given!r}, but must be one of {allowed} or None."
OTHER_MODALITIES = (
    "{parameter} names the modalit{ies} {unknown}, but the modalities are {names}. Modalities without a {parameter} of "
    "their own need not be named."
)
NONE_FOR_SOME = (
    "scale is None for {nones} and something else for {others}. None leaves all modalities with the weight of their "
    "own variance, so that it is for all or for none. 'modality' leaves the features of one modality as they are."
)
IN_WORDS = {
    "features": "each feature divided by its standard deviation",
    "robust": "each feature divided by its interquartile range",
}


def transformations_of(given: Any, names: Sequence[str]) -> dict[str, TransformationName]:
    """Return the transformations of modalities that have one.

    Raises
    ------
    ValueError
        For an unknown transformation or modality.
    """
    by_name = _by_name("transformation", given, names, get_args(TransformationName), None)
    return {name: kind for name, kind in by_name.items() if kind is not None}


def scales_of(given: Any, names: Sequence[str]) -> dict[str, ScaleName | None]:
    """Return the scale of each modality.

    Raises
    ------
    ValueError
        For an unknown scale or modality, or None for some modalities only.
    """
    by_name = _by_name("scale", given, names, get_args(ScaleName), "modality")
    nones = [name for name, kind in by_name.items() if kind is None]
    if nones and len(nones) < len(by_name):
        raise ValueError(NONE_FOR_SOME.format(nones=nones, others=[name for name in by_name if name not in nones]))
    return by_name


def has_equal_weights(scale: Any) -> bool:
    """Whether all modalities have the same weight, whatever their units."""
    values = scale.values() if isinstance(scale, Mapping) else [scale]
    return not any(value is None for value in values)


def feature_sizes(
    kind: ScaleName | None, array: Any, rows: NDArray[np.intp], magnitude: ArrayLike = 0.0
) -> NDArray | None:
    """Return the number by which each feature is divided, shape (n_features,); None if features are not divided.

    Parameters
    ----------
    kind : {"modality", "features", "robust"} or None
        The scale.
    array : array-like, shape (n_samples, ...)
        Values; NaN are missing.
    rows : array of int
        The samples to learn from.
    magnitude : array, shape (n_features,), default=0.0
        Size of the numbers from which the values were computed.
    """
    if kind not in ("features", "robust"):
        return None
    sizes = _standard_deviations(array, rows, magnitude)
    if kind == "robust":
        unit = np.where(sizes > 0.0, sizes, 1.0)
        values = np.concatenate([*blocks(array, some_of(rows))]) / unit
        ranges = stats.iqr(values, axis=0, scale="normal", nan_policy="omit")
        sizes = np.where((sizes > 0.0) & (ranges > ROUNDING), ranges * unit, sizes)
    return np.where(sizes > 0.0, sizes, 1.0)


def _standard_deviations(array: Any, rows: NDArray[np.intp], magnitude: ArrayLike) -> NDArray:
    """Standard deviation of the measured values of each feature, shape (n_features,); 0 if there is only rounding.

    Values are measured from one of them, in units of the largest difference: squares neither overflow nor vanish.
    """
    width = math.prod(array.shape[1:])
    origin, largest = np.full(width, np.nan), np.zeros(width)
    for values in blocks(array, rows):
        origin = np.where(np.isnan(origin), values[(~np.isnan(values)).argmax(axis=0), np.arange(width)], origin)
        largest = np.fmax(largest, np.fmax.reduce(np.abs(values - origin), axis=0))
    varies = exceeds_rounding(largest, np.maximum(np.abs(np.nan_to_num(origin)), magnitude))
    unit = np.where(varies, largest, 1.0)
    count, total, squares = (np.zeros(len(unit)) for _ in range(3))
    for values in blocks(array, rows):
        differences = (values - origin) / unit
        measured = ~np.isnan(differences)
        differences = np.where(measured, differences, 0.0)
        count += measured.sum(axis=0)
        total += differences.sum(axis=0)
        squares += np.square(differences).sum(axis=0)
    count = np.maximum(count, 1.0)
    variance = np.maximum(squares / count - np.square(total / count), 0.0)
    return np.where(varies, unit * np.sqrt(variance), 0.0)


def _by_name(parameter: str, given: Any, names: Sequence[str], allowed: Sequence[str], default: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        _check(parameter, "", given, allowed)
        return dict.fromkeys(names, given)
    unknown = [name for name in given if name not in names]
    if unknown:
        ies = "y" if len(unknown) == 1 else "ies"
        raise ValueError(OTHER_MODALITIES.format(parameter=parameter, ies=ies, unknown=unknown, names=list(names)))
    for name, value in given.items():
        _check(parameter, f"[{name!r}]", value, allowed)
    return {name: given.get(name, default) for name in names}


def _check(parameter: str, of_modality: str, value: Any, allowed: Sequence[str]) -> None:
    if value is not None and not (isinstance(value, str) and value in allowed):
        raise ValueError(
            NOT_ALLOWED.format(parameter=parameter, of_modality=of_modality, given=value, allowed=list(allowed))
        )
