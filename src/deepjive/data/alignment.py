"""Conversion of data frames, tensors, lists and files to arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence, ValuesView
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.files import FileSource
from deepjive.data.orientation import transposed, turned
from deepjive.data.readers.annotated import labelled_matrix
from deepjive.data.readers.arrays import tensor_values
from deepjive.data.readers.doubts import check_id_columns, check_no_summary
from deepjive.data.readers.lazy import LabelledRows, SparseRows
from deepjive.data.readers.stores import rows_of_hdf5
from deepjive.data.readers.tables import check_first_column, from_polars, text_column, with_named_rows
from deepjive.data.readers.volumes import images_of

NO_MODALITIES = (
    "Modalities needs at least one modality, but was given an empty {kind}. "
    "Pass a dict of names to arrays whose first axis is the sample: Modalities({{'mri': x, 'pet': y}})."
)
NOT_A_COLLECTION = (
    "Modalities needs a dict of names to arrays, or a list of arrays, but was given {kind}. "
    "Write Modalities({{'mri': x, 'pet': y}}); a single matrix must first be split into its modalities."
)
WRONG_DTYPE = (
    "Modality {name!r} has dtype {dtype}, but numbers are expected (float or integer). "
    "Convert it first, e.g. with array.astype(float); text and mixed columns must be encoded or dropped."
)
ROW_IS_NONE = (
    "its row {row} is None. Fill the row of a sample that lacks the modality with zeros, and mark the sample in "
    "`present`"
)
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


def named_sources(data: Any, features_in_rows: bool | Sequence[str] | None = None) -> dict[str, Any]:
    """Return the sources by name; paths are read, and entries of a sequence are named by their number.

    Parameters
    ----------
    data : mapping or sequence
        The sources.
    features_in_rows : bool, sequence of str, or None
        Sources whose rows are features; see `Modalities`.
    """
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
    return {name: _read(name, named[name], is_turned) for name, is_turned in turned(features_in_rows, [*named]).items()}


def _describe(data: Any) -> str:
    shape = getattr(data, "shape", None)
    return f"a {type(data).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")


def _read(name: str, source: Any, is_turned: bool | None) -> Any:
    """Read paths and lists of images, and give frames an index of names and samples in their rows."""
    what = f"The frame of modality {name!r}"
    if isinstance(source, (str, Path, FileSource)):
        return (source if isinstance(source, FileSource) else FileSource(source)).read(is_turned)
    if isinstance(source, (Iterator, ValuesView, KeysView, deque)):
        source = list(source)
    if type(source).__module__.startswith("h5py."):
        source = _of_modality(name, rows_of_hdf5, source)
    images = images_of(source, f"modality {name!r}")
    if images is not None:
        return transposed(name, images) if is_turned else images
    if hasattr(source, "obs_names") and hasattr(source, "var_names"):
        source = labelled_matrix(name, source)
    module = type(source).__module__.partition(".")[0]
    if module == "polars":
        source = from_polars(source)
    elif module == "xarray":
        source = _of_xarray(source)
    elif module == "pyarrow" and hasattr(source, "to_pandas"):
        source = source.to_pandas()
    elif module == "dask" and _is_frame(source):
        source = source.compute()
    if _is_frame(source):
        source = with_named_rows(source, what)
    if is_turned:
        source = transposed(name, source)
    if _is_frame(source):
        check_id_columns(what, source)
        check_first_column(what, source)
        check_no_summary(what, source, turned=bool(is_turned))
    return source


def _of_xarray(source: Any) -> Any:
    """A frame or labelled rows from an xarray DataArray, whose coordinates along the first axis name the samples."""
    if source.ndim == 2:
        return source.to_pandas()
    index = source.indexes.get(source.dims[0]) if source.dims else None
    return source.data if index is None else LabelledRows(source.data, index)


def _is_frame(source: Any) -> bool:
    return hasattr(source, "loc") and hasattr(source, "columns")


def feature_names(frame: Any) -> NDArray[np.str_] | None:
    """Return the columns of a data frame as text; None for a source without columns."""
    if isinstance(frame, LabelledRows):
        return frame.features
    if not _is_frame(frame):
        return None
    levels = [column if isinstance(column, tuple) else (column,) for column in frame.columns]
    return np.array(["_".join(str(level).strip() for level in column) for column in levels], dtype=str)


def as_array(name: str, source: Any) -> Any:
    """Convert a source to an array; arrays in memory or on disk stay as they are."""
    source = _of_modality(name, _converted, source)
    if not _is_numeric(source.dtype):
        raise TypeError(WRONG_DTYPE.format(name=name, dtype=" ".join(str(source.dtype).split())[:80]))
    if any(length != length for length in source.shape):  # dask writes NaN
        raise ValueError(UNKNOWN_LENGTH.format(name=name, shape=tuple(source.shape)))
    if len(source.shape) < 2:
        raise ValueError(TOO_FEW_AXES.format(name=name, shape=tuple(source.shape)))
    return source


def _of_modality(name: str, convert: Callable[[Any], Any], source: Any) -> Any:
    """Convert a source; errors name the modality."""
    try:
        return convert(source)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = " ".join(str(error).split()).rstrip(".")
        raise kind(
            f"Modality {name!r} cannot be read as an array: {reason}. Give numbers of shape (samples, features...)."
        ) from error


def _is_numeric(dtype: Any) -> bool:
    """Whether a dtype, which may be of pandas or another library, is one of NumPy's real numbers or truth values."""
    try:
        return np.dtype(dtype).kind in "fiub"
    except TypeError:
        return False


def _converted(source: Any) -> Any:
    """Convert frames, tensors and lists to arrays in memory; leave arrays unchanged."""
    if isinstance(source, LabelledRows):
        return _converted(source.array)
    if _is_frame(source):
        return _frame_values(source)
    if hasattr(source, "toarray"):  # the dense matrix of a view of AnnData has it too
        return np.asarray(source) if isinstance(source, np.ndarray) else SparseRows(source)
    if hasattr(source, "iloc"):
        return source.to_numpy()
    if hasattr(source, "detach"):
        return tensor_values(source)
    if isinstance(source, (list, tuple)) and any(row is None for row in source):
        raise ValueError(ROW_IS_NONE.format(row=[row is None for row in source].index(True)))
    if isinstance(source, (list, tuple)) and any(hasattr(row, "detach") for row in source):
        return np.asarray([tensor_values(row) if hasattr(row, "detach") else row for row in source])
    if isinstance(source, np.ma.MaskedArray):  # a computation would turn masked values into data
        return np.ma.filled(source.astype(np.float64), np.nan) if np.ma.is_masked(source) else source.data
    return source if hasattr(source, "shape") and hasattr(source, "dtype") else np.asarray(source)


def _frame_values(frame: Any) -> NDArray:
    """Return the values of a data frame; numbers of several kinds, or of pandas' own types, become floats."""
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    are_numbers = [is_numeric_dtype(dtype) and not is_complex_dtype(dtype) for dtype in frame.dtypes]
    if not all(are_numbers):
        raise TypeError(text_column("The frame", frame, are_numbers.index(False)))
    values = frame.to_numpy()
    return frame.to_numpy(dtype=np.float64, na_value=np.nan) if values.dtype.kind == "O" else values
