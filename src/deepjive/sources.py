"""What may be given as a modality: frames, tensors, lists and files become arrays whose rows are the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.files import read_array
from deepjive.readers.lazy import LabelledRows, SparseRows
from deepjive.readers.tables import from_polars
from deepjive.readers.volumes import NiftiRows, is_nifti

NO_MODALITIES = (
    "Modalities needs at least one modality, but was given an empty {kind}. "
    "Pass a dict of names to arrays whose first axis is the sample: Modalities({{'mri': x, 'pet': y}})."
)
NOT_A_COLLECTION = (
    "Modalities needs a dict of names to arrays, or a list of arrays, but was given {kind}. "
    "Write Modalities({{'mri': x, 'pet': y}}); a single matrix must first be split into its modalities."
)
UNEQUAL_INDEX = (
    "The data frames of modalities {first!r} and {second!r} do not hold the same samples: {only_first} only in "
    "{first!r}, {only_second} only in {second!r}. Select the common rows first, e.g. "
    "common = a.index.intersection(b.index); Modalities({{{first!r}: a.loc[common], {second!r}: b.loc[common]}})."
)
REPEATED_SAMPLE = "The data frame of modality {name!r} names a sample more than once; keep one row of each sample."
WRONG_DTYPE = (
    "Modality {name!r} has dtype {dtype}, but numbers are expected (float or integer). "
    "Convert it first, e.g. with array.astype(float); text and mixed columns must be encoded or dropped."
)
SAME_NAME = (
    "The names of the modalities must differ as text, but {given} become {names}. Give every modality its own name."
)
NOT_AN_ARRAY = "Modality {name!r} cannot be read as an array: {reason}. Give numbers of shape (samples, features...)."
HINTS = {
    "MuData": "Write Modalities.from_mudata(mdata).",
    "AnnData": "Write Modalities.from_mudata({'rna': adata_1, 'protein': adata_2}).",
    "Dataset": "Write Modalities.from_dataset(dataset).",
}
UNKNOWN_LENGTH = (
    "Modality {name!r} has shape {shape}: how many samples it has is not known before it is computed. Call its "
    "compute_chunk_sizes() first."
)
TOO_FEW_AXES = (
    "Modality {name!r} has shape {shape}, but at least two axes are expected: (samples, features...). "
    "For a single feature write array.reshape(-1, 1)."
)


def named_sources(data: Any) -> dict[str, Any]:
    """Arrays, frames, tensors or lists by name; paths are read, and the entries of a sequence are named by number."""
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
        raise ValueError(SAME_NAME.format(given=list(data), names=list(named)))
    return {name: _read(source) for name, source in named.items()}


def _describe(data: Any) -> str:
    shape = getattr(data, "shape", None)
    return f"a {type(data).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")


def _read(source: Any) -> Any:
    """Read what is a path, or a list of paths of images, and what is not pandas' but becomes a frame of it."""
    if isinstance(source, (str, Path)):
        return read_array(source)
    if isinstance(source, (list, tuple, np.ndarray)) and len(source) and is_nifti(source[0]):
        return NiftiRows(list(source))
    return from_polars(source) if type(source).__module__.startswith("polars") else source


def _is_frame(source: Any) -> bool:
    return hasattr(source, "columns") and hasattr(source, "loc")


def _is_labelled(source: Any) -> bool:
    return _is_frame(source) or isinstance(source, LabelledRows)


def _has_default_index(frame: Any) -> bool:
    index = frame.index
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def _labelled(frames: dict[str, Any]) -> list[str]:
    """Data frames whose index names samples; 0, 1, 2 ... does only where another frame's index holds numbers too."""
    tables = [name for name, frame in frames.items() if _is_labelled(frame)]
    labelled = [name for name in tables if not _has_default_index(frames[name])]
    numbered = any(getattr(frames[name].index.dtype, "kind", "O") in "iu" for name in labelled)
    return tables if numbered else labelled


def align(frames: dict[str, Any]) -> tuple[dict[str, Any], NDArray[np.str_] | None]:
    """Bring the rows of labelled data frames into the first one's order; gives the names of the samples too."""
    labelled = _labelled(frames)
    if not labelled:
        return frames, None
    first = labelled[0]
    index = frames[first].index
    for name in labelled:
        other = frames[name].index
        only_first, only_second = int((~index.isin(other)).sum()), int((~other.isin(index)).sum())
        if only_first or only_second:
            raise ValueError(
                UNEQUAL_INDEX.format(first=first, second=name, only_first=only_first, only_second=only_second)
            )
        if not other.is_unique:
            raise ValueError(REPEATED_SAMPLE.format(name=name))
    frames = {name: _reordered(frame, index) if name in labelled else frame for name, frame in frames.items()}
    return frames, np.asarray(index).astype(str)


def _reordered(source: Any, index: Any) -> Any:
    return source.reordered(index) if isinstance(source, LabelledRows) else source.loc[index]


def feature_names(frame: Any) -> NDArray[np.str_] | None:
    """Columns of a data frame as text; None for what has none."""
    if isinstance(frame, LabelledRows):
        return frame.features
    return np.asarray([str(column) for column in frame.columns]) if _is_frame(frame) else None


def as_array(name: str, source: Any) -> Any:
    """The array of a source; what has `shape`, `dtype` and rows already, in memory or on disk, is left as it is."""
    try:
        source = _converted(source)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(NOT_AN_ARRAY.format(name=name, reason=str(error).rstrip("."))) from error
    if np.dtype(source.dtype).kind not in "fiub":
        raise TypeError(WRONG_DTYPE.format(name=name, dtype=source.dtype))
    if any(length != length for length in source.shape):  # dask writes NaN
        raise ValueError(UNKNOWN_LENGTH.format(name=name, shape=tuple(source.shape)))
    if len(source.shape) < 2:
        raise ValueError(TOO_FEW_AXES.format(name=name, shape=tuple(source.shape)))
    return source


def _converted(source: Any) -> Any:
    """Take frames, tensors and lists into memory as arrays; leave arrays where they are."""
    if isinstance(source, LabelledRows):
        return source.array
    if _is_frame(source):
        return _frame_values(source)
    if hasattr(source, "toarray"):
        return SparseRows(source)
    if hasattr(source, "iloc"):
        return source.to_numpy()
    if hasattr(source, "detach"):
        return source.detach().cpu().numpy()
    if isinstance(source, np.ma.MaskedArray):  # its masked values would come back as data in the first computation
        return np.ma.filled(source.astype(np.float64), np.nan) if np.ma.is_masked(source) else source.data
    return source if hasattr(source, "shape") and hasattr(source, "dtype") else np.asarray(source)


def _frame_values(frame: Any) -> NDArray:
    """Values of a data frame; columns of numbers of several kinds, or of pandas' own, become floats."""
    from pandas.api.types import is_numeric_dtype

    values = frame.to_numpy()
    if values.dtype.kind == "O" and all(is_numeric_dtype(dtype) for dtype in frame.dtypes):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return values
