"""Values that a model should not be fitted to: counts, a large feature, constants, copies, marks of missing values.

Only modalities whose samples are vectors are examined, on at most `MOST_VALUES` values of evenly spaced samples. `fit`
does not read arrays on disk for this alone; the command line does.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.adjust.transformations import blocks, some_of
from deepjive.adjust.units import scales_of, transformations_of
from deepjive.data.chunks import BATCH_NUMBERS
from deepjive.data.modalities import Modalities
from deepjive.data.readers.lazy import in_memory
from deepjive.rounding import exceeds_rounding

MOST_VALUES = BATCH_NUMBERS
FEWEST_FEATURES, FEWEST_SAMPLES = 5, 8
LARGE_COUNT, LARGEST_COUNT, DISTINCT_COUNTS = 30, 1e9, 20
LARGEST_BYTE = 255  # grey values of images are no counts
LEAST_DISPERSION = 0.9  # variance over mean, which is 1 for Poisson counts
MOST_OF_VARIANCE = 0.99

COUNTS = (
    "Modality {name!r} seems to hold counts: {n} features of whole numbers up to {largest:g} (feature {feature!r}). "
    "The largest counts would decide everything. Transform them: transformation={{{name!r}: 'log_cpm'}} "
    "(--transformation {name}:log_cpm), or 'clr' or 'log1p'."
)
LARGE_FEATURE = (
    "Feature {feature!r} of modality {name!r} has {share} of the modality's variance: its standard deviation is "
    "{size:.3g}, and the median of the others is {median:.3g}. The model would describe little else. Use "
    "scale={{{name!r}: 'features'}} (--scale {name}:features), or leave the feature out."
)
MARKS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0)
LARGE_MARK = 99  # a smaller one could be a value if it stands alone
MARK = (
    "Modality {name!r} holds {mark:g} in {count} cells ({features}), far from all other values of these features. If "
    "it is a mark for missing values, replace it by an empty cell or NaN."
)
CONSTANT_FEATURES = (
    "{count} of {n} features of modality {name!r} are constant ({features}), so that they are in no part but the mean."
)
COPIES = (
    "{count} of {n} features of modality {name!r} have the values of a feature of modality {other!r} ({features}), so "
    "that they count as joint. If one table was given twice, give the other one; leave copied columns out of one table."
)
COMPARED = 64  # samples, of which copies must agree in all
EXPLAINED_FEATURES = (
    "The confounds explain {count} of {n} features of modality {name!r} wholly ({features}), so that nothing of them "
    "is left to decompose. Leave these features out, or the confounds if they were computed from the features."
)


class UnitsWarning(UserWarning):
    """Values whose units let few features decide what a model describes."""


def warn_of_counts(data: Modalities, rows: Mapping[str, NDArray[np.intp]], transformed: Mapping[str, Any]) -> None:
    """Warn of modalities that seem to hold counts and have no transformation, of those of which rows are given."""
    for name, values, features in _examined(data, rows):
        largest = np.nanmax(values) if np.isfinite(values).any() else 0.0
        is_count = LARGE_COUNT <= largest <= LARGEST_COUNT and largest != LARGEST_BYTE
        if name in transformed or not is_count or not _are_counts(values):
            continue
        means, variances = np.nanmean(values, axis=0), np.nanvar(values, axis=0)
        if np.nanmedian(variances[means > 0] / means[means > 0]) < LEAST_DISPERSION:
            continue
        column = int(np.nanargmax(np.nanmax(values, axis=0)))
        _warn(COUNTS.format(name=name, n=values.shape[1], largest=largest, feature=features(column)))


def warn_of_marks(data: Modalities, rows: Mapping[str, NDArray[np.intp]]) -> None:
    """Warn of numbers such as -999 that stand for missing values, in the modalities of which rows are given."""
    for name, values, features in _examined(data, rows):
        for mark in MARKS:
            is_mark = values == mark
            count, columns = int(is_mark.sum()), np.flatnonzero(is_mark.any(axis=0))
            if count < (1 if abs(mark) >= LARGE_MARK else 2):
                continue
            others = np.where(is_mark, np.nan, values)[:, columns]
            low, high = np.nanmin(others, axis=0), np.nanmax(others, axis=0)
            margin = 0.5 * (high - low)
            if ((mark < low - margin) | (mark > high + margin)).all():
                shown = ", ".join(repr(features(int(column))) for column in columns[:3])
                shown += ", ..." if len(columns) > 3 else ""
                _warn(MARK.format(name=name, mark=mark, count=count, features=shown))


def warn_of_copies(data: Modalities, rows: Mapping[str, NDArray[np.intp]]) -> None:
    """Warn of features whose values are those of a feature of an earlier modality, of those of which rows are given."""
    common = reduce(np.intersect1d, rows.values(), np.arange(len(data)))
    if len(common) < FEWEST_SAMPLES:
        return
    known: dict[bytes, str] = {}  # the modality of each column
    for name in rows:
        if len(data.shapes[name]) != 1:
            continue
        values = np.concatenate([*blocks(data[name], some_of(common, COMPARED))])
        keys = {column: key.tobytes() for column, key in enumerate(np.ascontiguousarray(values.T, dtype=float))}
        copies: dict[str, list[int]] = {}
        for column, key in keys.items():
            if key in known and len(np.unique(values[:, column])) >= FEWEST_SAMPLES:
                copies.setdefault(known[key], []).append(column)
        known = dict.fromkeys(keys.values(), name) | known
        names = data.features[name]
        for other, columns in copies.items():
            shown = _shown(np.array(columns), lambda column, names=names: _called(names, column))
            _warn(COPIES.format(count=len(columns), n=len(keys), name=name, other=other, features=shown))


def warn_of_sizes(data: Modalities, rows: Mapping[str, NDArray[np.intp]], scales: Mapping[str, Any]) -> None:
    """Warn of features much larger than the others, unless features are scaled, and of constant features."""
    for name, values, features in _examined(data, rows):
        unit = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
        if not 0.0 < unit < np.inf:
            continue
        sizes, varies = _sizes(values / unit, data.magnitudes.get(name, np.zeros(1)).reshape(-1) / unit)
        constant = np.flatnonzero(~varies)
        if 0 < len(constant) < values.shape[1] and len(values) == len(rows[name]):
            shown = _shown(constant, features)
            _warn(CONSTANT_FEATURES.format(count=len(constant), n=len(sizes), name=name, features=shown))
        if scales.get(name) in ("features", "robust") or len(sizes) - len(constant) < FEWEST_FEATURES:
            continue
        column = int(sizes.argmax())
        relative = np.square(sizes / sizes[column])
        share = 1.0 / relative.sum()
        if share > MOST_OF_VARIANCE:
            others = np.delete(sizes, column)
            _warn(
                LARGE_FEATURE.format(
                    name=name,
                    feature=features(column),
                    share=f"{share:.1%}" if share < 0.9995 else "nearly all",
                    size=sizes[column] * unit,
                    median=np.median(others[others > 0.0]) * unit,
                )
            )


def warn_of_explained(before: Modalities, after: Modalities, rows: Mapping[str, NDArray[np.intp]]) -> None:
    """Warn of features that varied until confounds were taken out, in the modalities of which rows are given."""
    pairs = zip(_examined(before, rows), _examined(after, rows), strict=True)
    for (name, values, features), (_, without, _) in pairs:
        unit = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
        if not 0.0 < unit < np.inf or len(values) < len(rows[name]):
            continue
        size = before.magnitudes.get(name, np.zeros(1)).reshape(-1) / unit
        varied = _sizes(values / unit, size)[1]
        varies = _sizes(without / unit, after.magnitudes[name].reshape(-1) / unit)[1]
        explained = np.flatnonzero(varied & ~varies)
        if len(explained) and varies.any():
            shown = _shown(explained, features)
            _warn(EXPLAINED_FEATURES.format(count=len(explained), n=len(varied), name=name, features=shown))


def warn_of_arrays_on_disk(data: Modalities, transformation: Any, scale: Any) -> None:
    """Warn of arrays on disk, which a fit without transformation, scale of features and confounds does not examine."""
    kinds, scales = transformations_of(transformation, data.names), scales_of(scale, data.names)
    if adjusts(data, kinds, scales):
        return
    on_disk = {name: rows for name, rows in rows_of(data).items() if not in_memory(data[name])}
    warn_of_marks(data, on_disk)
    warn_of_counts(data, on_disk, kinds)
    warn_of_copies(data, on_disk)
    warn_of_sizes(data, on_disk, scales)


def rows_of(data: Modalities) -> dict[str, NDArray[np.intp]]:
    """Return the samples that have each modality."""
    return {name: np.flatnonzero(present) for name, present in zip(data.names, data.present.T, strict=True)}


def adjusts(data: Modalities, kinds: Mapping[str, Any], scales: Mapping[str, Any]) -> bool:
    """Whether a fit learns something of units or confounds before it sees the values."""
    return bool(kinds) or data.confounds is not None or any(kind in ("features", "robust") for kind in scales.values())


def _examined(data: Modalities, rows: Mapping[str, NDArray[np.intp]]) -> Any:
    """Yield name, values (n, n_features), and a function from columns to names of features of tables."""
    for name, measured in rows.items():
        shape = data.shapes[name]
        if len(shape) != 1 or shape[0] < FEWEST_FEATURES or len(measured) < FEWEST_SAMPLES:
            continue
        names = data.features[name]
        some = some_of(measured, max(MOST_VALUES // shape[0], FEWEST_SAMPLES))
        values = np.concatenate([*blocks(data[name], some)])
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.filterwarnings("ignore", message="(Mean of empty|Degrees of freedom|All-NaN)")
            yield name, values, (lambda column, names=names: _called(names, column))


def _called(names: NDArray[np.str_] | None, column: int) -> int | str:
    """Name of a feature, or its number."""
    return column if names is None else str(np.ravel(names)[column])


def _sizes(values: NDArray, magnitude: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """Standard deviations of features, and whether they exceed rounding errors of values of a magnitude or larger."""
    center = values[np.isfinite(values).argmax(axis=0), np.arange(values.shape[1])]  # large means lose no digits
    sizes = np.nan_to_num(np.nanstd(values - center, axis=0))
    return sizes, exceeds_rounding(sizes, np.maximum(np.abs(np.nan_to_num(center)), magnitude))


def _shown(columns: NDArray[np.intp], features: Any) -> str:
    """Names of the first of some features."""
    shown = ", ".join(repr(features(int(column))) for column in columns[:3])
    return shown + (", ..." if len(columns) > 3 else "")


def _are_counts(values: NDArray) -> bool:
    """Whether values are whole numbers of at least 0, many of them different."""
    measured = values[~np.isnan(values)]
    is_whole = bool((measured >= 0).all()) and bool((measured == np.floor(measured)).all())
    return is_whole and len(np.unique(measured)) >= DISTINCT_COUNTS


def _warn(message: str) -> None:
    warnings.warn(message, UnitsWarning, stacklevel=6)
