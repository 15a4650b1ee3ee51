"""Files in: from a path to an array, a data frame or labels, never through pickle.

A `.npz` file or a table may hold several things; ``"file.npz:key"`` and ``"file.csv:column"`` say which one is meant.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".tsv")
READERS = (".npy", ".npz", *TABLES)
SAMPLE_COLUMNS = ("id", "sample", "sample_id", "subject", "subject_id", "participant_id", "patient", "patient_id")

NO_FILE = "There is no file {path}."
UNKNOWN_SUFFIX = "{path} is not of a kind that can be read ({readers}); convert it to one of these."
CHOOSE_ARRAY = "{path} holds several arrays {keys}; say which one with '{path}:NAME'."
NO_ARRAY = "{path} holds no array."
NO_SUCH_ARRAY = "{path} has no array {key!r}; it holds {keys}."
UNREADABLE = "{path} could not be read: {reason}."
PICKLED = (
    "{path} holds Python objects, which are never read because doing so could run code hidden in the file. "
    "Save plain numbers or text instead, e.g. np.save(path, array.astype(float))."
)
NOT_THE_KIND = "{path} is not what its name says: its content is not {suffix}. Save it again, or correct the name."
TEXT_COLUMN = (
    "{path}: column {column!r} holds text such as {example!r}, but numbers are expected in every column after the "
    "first. Encode the column as numbers or drop it."
)
NO_NUMBERS = (
    "{path} has no column of numbers after its first column {column!r}. Columns must be separated by {separator}; "
    "check the file's separator."
)
NO_HEADER = (
    "{path} seems to have no header row: its first line holds the numbers {start} ... "
    "Add a first line that names the columns."
)
CHOOSE_COLUMN = "{path} has several columns {columns}; say which one holds the labels with '{path}:COLUMN'."
NO_SUCH_COLUMN = "{path} has no column {column!r}; its columns are {columns}."
LABELS_SHAPE = "Labels must be one value for each sample, but {source} has shape {shape}."
LABELS_LENGTH = "There are {n} samples, but {source} holds {given} labels. Give one label for each sample, in order."
LABELS_MISSING = (
    "{source} has no label for {count} of {n} samples, the first being {sample!r}. Add a row for each; an empty cell "
    "is allowed where the label is unknown."
)
LABELS_REPEATED = "{source} names sample {sample!r} more than once; keep one row of each sample."


def read_array(source: str | Path) -> Any:
    """Read one modality from a file.

    Parameters
    ----------
    source : path
        A ``.npy`` file (mapped, not loaded), a ``.npz`` file (``"file.npz:key"`` when it holds several arrays), or
        a ``.csv`` / ``.tsv`` table with a header row, one sample a row. A first column that holds text, has no
        header or is called "id", "sample", "subject_id" or the like names the samples.

    Returns
    -------
    array or pandas.DataFrame
        A table becomes a data frame of floats; its empty cells are not a number.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it cannot be read, holds text or Python objects, or does not say which array is meant.
    """
    path, key = _split(str(source), (".npz",))
    return _open(path, key) if path.suffix.lower() not in TABLES else _numbers(path, _open(path, None))


def read_labels(source: str | Path, samples: Sequence[str] | NDArray[np.str_] | None, n: int) -> NDArray:
    """Read one label for each sample, of text or numbers.

    Parameters
    ----------
    source : path
        A ``.npy`` file, a ``.npz`` file (``"file.npz:key"``) or a table (``"file.csv:column"``).
    samples : sequence of str or None
        Names of the samples. Where both these and the table's rows are named, rows are found by name and may be in
        any order; otherwise labels are taken in order.
    n : int
        Number of samples.

    Returns
    -------
    array, shape (n,)
        Text or numbers; an empty cell is the empty text or not a number.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_array`, and if there is not one label for each sample.
    """
    path, key = _split(str(source), (".npz", *TABLES))
    if path.suffix.lower() in TABLES:
        return _label_column(str(source), _label_series(path, _open(path, None), key), samples, n)
    labels = np.asarray(_open(path, key))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(LABELS_SHAPE.format(source=source, shape=labels.shape))
    if len(labels) != n:
        raise ValueError(LABELS_LENGTH.format(source=source, n=n, given=len(labels)))
    return labels


def _split(source: str, suffixes: tuple[str, ...]) -> tuple[Path, str | None]:
    head, separator, key = source.rpartition(":")
    if separator and head.lower().endswith(suffixes):
        return Path(head), key
    return Path(source), None


def _open(path: Path, key: str | None) -> Any:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise FileNotFoundError(NO_FILE.format(path=path))
    if suffix not in READERS:
        raise ValueError(UNKNOWN_SUFFIX.format(path=path, readers=", ".join(READERS)))
    try:
        if suffix in TABLES:
            return _read_table(path)
        return _map_npy(path) if suffix == ".npy" else _read_npz(path, key)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        if str(error).startswith(str(path)):
            raise
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise ValueError(PICKLED.format(path=path)) from error
        if "pickle" in str(error):  # what NumPy says of any content it does not know
            raise ValueError(NOT_THE_KIND.format(path=path, suffix=suffix)) from error
        raise ValueError(UNREADABLE.format(path=path, reason=str(error).rstrip("."))) from error


def _map_npy(path: Path) -> NDArray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(NOT_THE_KIND.format(path=path, suffix=".npy"))
    return array


def _read_npz(path: Path, key: str | None) -> NDArray:
    with path.open("rb") as file:  # np.load would leave the file open where it fails
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError(NOT_THE_KIND.format(path=path, suffix=".npz"))
        keys = list(archive.files)
        if not keys:
            raise ValueError(NO_ARRAY.format(path=path))
        if key is None and len(keys) != 1:
            raise ValueError(CHOOSE_ARRAY.format(path=path, keys=keys))
        key = keys[0] if key is None else key
        if key not in keys:
            raise ValueError(NO_SUCH_ARRAY.format(path=path, key=key, keys=keys))
        return archive[key]


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(path, sep=_separator(path))
    if _is_data(list(table.columns)):
        raise ValueError(NO_HEADER.format(path=path, start=", ".join(map(str, table.columns[:3]))))
    first = table.columns[0]
    name = str(first).strip().lower()
    numeric = pd.api.types.is_numeric_dtype(table[first])
    if name.startswith("unnamed:") or name in SAMPLE_COLUMNS or not numeric:
        table = table.set_index(first)
        table.index = table.index.astype(str)
    return table


def _separator(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _is_data(columns: list[str]) -> bool:
    """Whether a header row is a row of data; 0, 1, 2 ... and rising numbers such as wavelengths are names."""
    try:
        values = [float(column) for column in columns]
    except ValueError:
        return False
    return bool(np.any(np.diff(values) <= 0))


def _numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    if table.shape[1] == 0:
        separator = "tabs" if _separator(path) == "\t" else "commas"
        raise ValueError(NO_NUMBERS.format(path=path, column=table.index.name, separator=separator))
    for column in table.columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            text = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
            example = str(table[column][text].iloc[0]) if text.any() else ""
            raise ValueError(TEXT_COLUMN.format(path=path, column=str(column), example=example[:40]))
    return table.astype(float)


def _label_series(path: Path, table: pd.DataFrame, column: str | None) -> pd.Series:
    columns = [str(name) for name in table.columns]
    if column is None and len(columns) != 1:
        if not columns:
            return table.index.to_series().reset_index(drop=True)
        raise ValueError(CHOOSE_COLUMN.format(path=path, columns=columns))
    if column is not None and column == table.index.name:
        return table.index.to_series().reset_index(drop=True)
    column = columns[0] if column is None else column
    if column not in columns:
        raise ValueError(NO_SUCH_COLUMN.format(path=path, column=column, columns=columns))
    return table.iloc[:, columns.index(column)]


def _label_column(source: str, series: pd.Series, samples: Any, n: int) -> NDArray:
    named = samples is not None and type(series.index).__name__ != "RangeIndex"
    if named:
        repeated = series.index[series.index.duplicated()]
        if len(repeated):
            raise ValueError(LABELS_REPEATED.format(source=source, sample=str(repeated[0])))
        lacking = [str(sample) for sample in samples if sample not in series.index]
        if lacking:
            raise ValueError(LABELS_MISSING.format(source=source, count=len(lacking), n=n, sample=lacking[0]))
        series = series.loc[list(samples)]
    if len(series) != n:
        raise ValueError(LABELS_LENGTH.format(source=source, n=n, given=len(series)))
    values = series.to_numpy()
    return values if values.dtype.kind in "fiub" else series.fillna("").astype(str).to_numpy(dtype=str)
