"""Tables: `.csv`, `.tsv` and `.parquet` files, and polars frames, as pandas data frames of numbers.

A first column that holds text, has no header or is called "id", "sample", "subject_id" or the like names the samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.readers.guard import UnreadableError, check_claim, optional, reading

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".tsv", ".parquet")
SAMPLE_COLUMNS = ("id", "sample", "sample_id", "subject", "subject_id", "participant_id", "patient", "patient_id")

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
SEPARATORS = {".csv": "commas", ".tsv": "tabs"}
EMPTY_TABLE = "{path} has no column."


def read_table(path: Path) -> pd.DataFrame:
    """Read a table, its samples' names as the index where it has them."""
    with reading(path):
        return _named(_read_parquet(path) if path.suffix.lower() == ".parquet" else _read_text(path), path)


def numbers_of(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """A table as floats; a column that is not of numbers is named."""
    import pandas as pd

    if table.shape[1] == 0:
        separator = SEPARATORS.get(path.suffix.lower(), "the format itself")
        raise UnreadableError(NO_NUMBERS.format(path=path, column=table.index.name, separator=separator))
    for position, column in enumerate(table.columns):
        values = table.iloc[:, position]
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_complex_dtype(values):
            text = pd.to_numeric(values, errors="coerce").isna() & values.notna()
            example = str(values[text].iloc[0]) if text.any() else ""
            raise UnreadableError(TEXT_COLUMN.format(path=path, column=str(column), example=example[:40]))
    with reading(path):
        return table.astype(float)


def from_polars(frame: Any) -> pd.DataFrame:
    """A polars frame as a pandas frame, by the same rule for the names of samples as files."""
    import pandas as pd

    frame = frame.collect() if hasattr(frame, "collect") else frame
    return _named(pd.DataFrame({column: frame[column].to_numpy() for column in frame.columns}), None)


def _read_text(path: Path) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",")
    if _is_data(list(table.columns)):
        raise UnreadableError(NO_HEADER.format(path=path, start=", ".join(map(str, table.columns[:3]))))
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    parquet = optional("pyarrow.parquet", f"Reading {path.name}")
    with parquet.ParquetFile(path) as file:
        claimed = 8 * file.metadata.num_rows * max(file.metadata.num_columns, 1)
        check_claim(path, claimed, path.stat().st_size)
        return file.read().to_pandas()


def _named(table: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """The table with its first column as the index, if that names the samples."""
    import pandas as pd

    if table.shape[1] == 0:
        raise UnreadableError(EMPTY_TABLE.format(path=path or "The frame"))
    if not isinstance(table.index, pd.RangeIndex):
        return table
    first, values = table.columns[0], table.iloc[:, 0]
    name = str(first).strip().lower()
    if name.startswith("unnamed:") or name in SAMPLE_COLUMNS or not pd.api.types.is_numeric_dtype(values):
        table = table.iloc[:, 1:].set_axis(pd.Index(values.astype(str), name=first), axis=0)
    return table


def _is_data(columns: list[str]) -> bool:
    """Whether a header row is a row of data; 0, 1, 2 ... and rising numbers such as wavelengths are names."""
    try:
        values = [float(column) for column in columns]
    except ValueError:
        return False
    return bool(np.any(np.diff(values) <= 0))
