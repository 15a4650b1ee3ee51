"""Conversion of data frames, tensors, lists and files to arrays whose rows are the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, ValuesView
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.files import read_array
from deepjive.data.readers.arrays import tensor_values
from deepjive.data.readers.lazy import LabelledRows, SparseRows
from deepjive.data.readers.stores import rows_of_hdf5
from deepjive.data.readers.tables import from_polars
from deepjive.data.readers.volumes import images_of

NO_MODALITIES = (
    "Modalities needs at least one modality, but was given an empty {kind}. "
    "Pass a dict of names to arrays whose first axis is the sample: Modalities({{'mri': x, 'pet': y}})."
)
NOT_A_COLLECTION = (
    "Modalities needs a dict of names to arrays, or a list of arrays, but was given {kind}. "
    "Write Modalities({{'mri': x, 'pet': y}}); a single matrix must first be split into its modalities."
)
UNEQUAL_INDEX = (
    "The tables of modalities {first!r} and {second!r} do not hold the same samples: {only_first} only in {first!r}, "
    "{only_second} only in {second!r}. {advice}"
)
UNMATCHED_ADVICE = (
    "Use unmatched='drop' (--unmatched drop) to leave out these samples, or unmatched='keep' (--unmatched keep) to "
    "keep them as samples that lack a modality."
)
NOTHING_IN_COMMON = (
    "No sample is in both (the first samples are {first!r} and {second!r}). Use the same names in both tables, with "
    "one sample in each row; transpose a table whose columns are the samples."
)
UNNAMED_ROWS = (
    "Modality {name!r} does not name its samples, so its rows cannot be matched to the other tables, which do not all "
    "have the same samples. Use a table whose first column names the samples, or a data frame whose index names them."
)
WRONG_DTYPE = (
    "Modality {name!r} has dtype {dtype}, but numbers are expected (float or integer). "
    "Convert it first, e.g. with array.astype(float); text and mixed columns must be encoded or dropped."
)
ROW_IS_NONE = (
    "its row {row} is None. Fill the row of a sample that lacks the modality with zeros, and mark the sample in "
    "`present`"
)
UNMATCHED = ("error", "drop", "keep")
HINTS = {
    "MuData": "Write Modalities.from_mudata(mdata).",
    "AnnData": "Write Modalities.from_mudata({'rna': adata_1, 'protein': adata_2}).",
    "Dataset": "Write Modalities.from_dataset(dataset).",
}
UNKNOWN_LENGTH = (
    "Modality {name!r} has shape {shape}: its number of samples is not known before it is computed. Call its "
    "compute_chunk_sizes() first."
)
TOO_FEW_AXES = (
    "Modality {name!r} has shape {shape}, but at least two axes are expected: (samples, features...). "
    "For a single feature write array.reshape(-1, 1)."
)


def named_sources(data: Any) -> dict[str, Any]:
    """Return the sources by name; paths are read, and entries of a sequence are named by their number."""
    if isinstance(data, Mapping):
        named = {str(name): source for name, source in data.items()}
    elif isinstance(data, (list, tuple)):
        named = {f"modality_{i}": source for i, source in enumerate(data, start=1)}
    else:
        hints = [hint for kind in type(data).__mro__ if (hint := HINTS.get(kind.__name__))]
        raise TypeError(" ".join([NOT_A_COLLECTION.format(kind=_describe(data)), *hints]))
    if not named:
        raise ValueError(NO_MODALITIES.format(kind=type(data).__name__))
    if len(named) < len(data):
        raise ValueError(
            f"The names of the modalities must differ as text, but {list(data)} become {list(named)}. Give every "
            "modality its own name."
        )
    return {name: _read(name, source) for name, source in named.items()}


def _describe(data: Any) -> str:
    shape = getattr(data, "shape", None)
    return f"a {type(data).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")


def _read(name: str, source: Any) -> Any:
    """Read paths and lists of images, and convert polars data frames to pandas."""
    if isinstance(source, (str, Path)):
        return read_array(source)
    if isinstance(source, (Iterator, ValuesView)):
        source = list(source)
    images = images_of(source, f"modality {name!r}")
    if images is not None:
        return images
    return from_polars(source) if type(source).__module__.startswith("polars") else source


def _is_frame(source: Any) -> bool:
    return hasattr(source, "columns") and hasattr(source, "loc")


def _is_labelled(source: Any) -> bool:
    return _is_frame(source) or isinstance(source, LabelledRows)


def _has_default_index(frame: Any) -> bool:
    index = frame.index
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def _labelled(frames: dict[str, Any]) -> list[str]:
    """Return the names of the sources whose index names samples.

    The default index 0, 1, 2, ... names samples only if another index has numbers.
    """
    tables = [name for name, frame in frames.items() if _is_labelled(frame)]
    labelled = [name for name in tables if not _has_default_index(frames[name])]
    has_numbers = any(getattr(frames[name].index.dtype, "kind", "O") in "iu" for name in labelled)
    return tables if has_numbers else labelled


def align(
    frames: dict[str, Any], unmatched: str = "error"
) -> tuple[dict[str, Any], NDArray[np.str_] | None, NDArray[np.bool_] | None]:
    """Reorder the rows of labelled data frames to the order of the first frame.

    Parameters
    ----------
    frames : dict of str to source
        Sources as returned by `named_sources`.
    unmatched : {"error", "drop", "keep"}, default="error"
        Treatment of samples that some labelled frames lack; see `Modalities`.

    Returns
    -------
    frames : dict of str to source
        The sources, with the same samples in the same order.
    samples : array of str or None
        Names of the samples, None if no frame names its samples.
    present : array of bool, shape (n_samples, n_modalities), or None
        Which sample has which modality; None if every sample has every modality.
    """
    if unmatched not in UNMATCHED:
        raise ValueError(f"unmatched is {unmatched!r}, but must be one of {list(UNMATCHED)}.")
    labelled = _labelled(frames)
    if not labelled:
        return frames, None, None
    for name in labelled:
        if not frames[name].index.is_unique:
            raise ValueError(
                f"The data frame of modality {name!r} names a sample more than once. Keep one row of each sample."
            )
    index = _common_index({name: frames[name].index for name in labelled}, unmatched)
    unnamed = [name for name in frames if name not in labelled]
    if unnamed and not index.equals(frames[labelled[0]].index):
        raise ValueError(UNNAMED_ROWS.format(name=unnamed[0]))
    present = np.ones((len(index), len(frames)), dtype=bool)
    for column, name in enumerate(frames):
        if name in labelled:
            present[:, column] = index.isin(frames[name].index)
    frames = {name: _reordered(frame, index) if name in labelled else frame for name, frame in frames.items()}
    return frames, np.asarray(index).astype(str), None if present.all() else present


def _common_index(indices: dict[str, Any], unmatched: str) -> Any:
    """Return the names of the kept samples: all names of the first frame, then names that only other frames have."""
    (first, index), *others = indices.items()
    for name, other in others:
        in_both = index.isin(other)
        only_first, only_second = int((~in_both).sum()), int((~other.isin(index)).sum())
        if not (only_first or only_second):
            continue
        if unmatched == "error" or not in_both.any():
            advice = UNMATCHED_ADVICE
            if len(index) and len(other) and not in_both.any():
                advice = NOTHING_IN_COMMON.format(first=str(index[0]), second=str(other[0]))
            counts = {"only_first": only_first, "only_second": only_second}
            raise ValueError(UNEQUAL_INDEX.format(first=first, second=name, **counts, advice=advice))
        index = index[in_both] if unmatched == "drop" else index.append(other[~other.isin(index)])
    return index


def _reordered(source: Any, index: Any) -> Any:
    if isinstance(source, LabelledRows):
        return source.reordered(index)
    return source.loc[index] if index.isin(source.index).all() else source.reindex(index, fill_value=0)


def feature_names(frame: Any) -> NDArray[np.str_] | None:
    """Return the columns of a data frame as text; None for a source without columns."""
    if isinstance(frame, LabelledRows):
        return frame.features
    return np.asarray([str(column) for column in frame.columns]) if _is_frame(frame) else None


def as_array(name: str, source: Any) -> Any:
    """Convert a source to an array; arrays in memory or on disk stay as they are."""
    try:
        source = _converted(source)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = str(error).rstrip(".")
        raise kind(
            f"Modality {name!r} cannot be read as an array: {reason}. Give numbers of shape (samples, features...)."
        ) from error
    if np.dtype(source.dtype).kind not in "fiub":
        raise TypeError(WRONG_DTYPE.format(name=name, dtype=source.dtype))
    if any(length != length for length in source.shape):  # dask writes NaN
        raise ValueError(UNKNOWN_LENGTH.format(name=name, shape=tuple(source.shape)))
    if len(source.shape) < 2:
        raise ValueError(TOO_FEW_AXES.format(name=name, shape=tuple(source.shape)))
    return source


def _converted(source: Any) -> Any:
    """Convert frames, tensors and lists to arrays in memory; leave arrays unchanged."""
    if isinstance(source, LabelledRows):
        return source.array
    if _is_frame(source):
        return _frame_values(source)
    if hasattr(source, "toarray"):
        return SparseRows(source)
    if hasattr(source, "iloc"):
        return source.to_numpy()
    if hasattr(source, "detach"):
        return tensor_values(source)
    if isinstance(source, (list, tuple)) and any(row is None for row in source):
        raise ValueError(ROW_IS_NONE.format(row=[row is None for row in source].index(True)))
    if isinstance(source, (list, tuple)) and any(hasattr(row, "detach") for row in source):
        return np.asarray([tensor_values(row) if hasattr(row, "detach") else row for row in source])
    if type(source).__module__.startswith("h5py."):
        return rows_of_hdf5(source)
    if isinstance(source, np.ma.MaskedArray):  # a computation would turn masked values into data
        return np.ma.filled(source.astype(np.float64), np.nan) if np.ma.is_masked(source) else source.data
    return source if hasattr(source, "shape") and hasattr(source, "dtype") else np.asarray(source)


def _frame_values(frame: Any) -> NDArray:
    """Return the values of a data frame; numbers of several kinds, or of pandas' own types, become floats."""
    from pandas.api.types import is_numeric_dtype

    values = frame.to_numpy()
    if values.dtype.kind == "O" and all(is_numeric_dtype(dtype) for dtype in frame.dtypes):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return values
