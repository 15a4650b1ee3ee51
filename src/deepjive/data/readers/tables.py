"""Tables: `.csv`, `.tsv` and `.parquet` files, and polars frames, as pandas data frames of numbers.

The first column names the samples if it holds text, has no header, or has a name such as "id", "sample" or
"participant_id".
"""

from __future__ import annotations

import csv
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.data.readers.guard import UnreadableError, check_claim, optional, reading

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".tsv", ".parquet")
PEOPLE = ("subject", "subj", "sub", "participant", "patient", "person", "donor", "individual")
MATERIAL = ("sample", "specimen", "biosample", "aliquot", "cell", "scan", "image", "record", "case", "study")
SAMPLE_COLUMNS = {
    *PEOPLE,
    *("id", "sample", "samplename", "specimen", "barcode", "cellbarcode", "samplebarcode", "name", "rowname"),
    *(f"{word}id" for word in (*PEOPLE, *MATERIAL)),
    *("rid", "ptid", "iid", "eid", "pid", "sid", "uid", "guid", "mrn", "srcsubjectid", "subjectkey", "imageuid"),
}
MISSING = {"", "na", "n/a", "nan", "null", "none"}
FEW = 3

TEXT_COLUMN = (
    "{path}: column {column!r} holds text such as {example!r}, but numbers are expected in every column after the "
    "first. Encode the column as numbers or drop it."
)
NO_NUMBERS = (
    "{path} has no column of numbers after its first column {column!r}. Columns must be separated by {separator}; "
    "check the file's separator."
)
MORE_CELLS = (
    "{path}: the first line names {columns} columns, but the next one holds {cells} cells. Columns must be separated "
    "by {separator}, and decimals by a point; check how the file was exported."
)
NO_HEADER = (
    "{path} seems to have no header row: its first line holds {start} ... as a sample would. Add a first line that "
    "names the columns. If the first line does name them, add a first column 'id' that names the samples."
)
NUMBERS_FIRST = (
    "{path}: the first column {column!r} holds a different whole number in each row. It is read as a feature, and rows "
    "are matched by their order. If it names the samples, call it 'id'. If it is a feature, put a column 'id' that "
    "names the samples before it."
)
SEPARATORS = {".csv": "commas", ".tsv": "tabs"}


def read_table(path: Path, *, text: bool = False) -> pd.DataFrame:
    """Read a table; its index holds the samples' names if the table has them.

    Parameters
    ----------
    path : Path
        A `.csv`, `.tsv` or `.parquet` file.
    text : bool, default=False
        Whether all cells are read as text.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    UnreadableError
        If the table is damaged or has no header row.
    """
    with reading(path):
        if path.suffix.lower() != ".parquet":
            return _named(_read_text(path, text), path)
        table = _read_parquet(path)
        return _named(table.astype(str) if text else table, path)


def warn_of_numbers(path: Path | str, table: pd.DataFrame) -> None:
    """Warn if the first column is read as a feature although, unlike other columns, it could name the samples."""
    import pandas as pd

    if table.shape[1] < 2 or len(table) < 2 or not isinstance(table.index, pd.RangeIndex):
        return
    first, columns = str(table.columns[0]), (table.iloc[:, i] for i in range(table.shape[1]))
    if _number(first) is None and _could_be_names(next(columns)) and not all(map(_could_be_names, columns)):
        warnings.warn(NUMBERS_FIRST.format(path=path, column=first), UserWarning, stacklevel=3)


def numbers_of(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Convert a table to floats.

    Raises
    ------
    UnreadableError
        If a column does not hold numbers; the message names the column.
    """
    import pandas as pd

    if table.shape[1] == 0:
        separator = SEPARATORS.get(path.suffix.lower(), "the format itself")
        raise UnreadableError(NO_NUMBERS.format(path=path, column=table.index.name, separator=separator))
    for position, column in enumerate(table.columns):
        values = table.iloc[:, position]
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_complex_dtype(values):
            is_text = pd.to_numeric(values, errors="coerce").isna() & values.notna()
            example = str(values[is_text].iloc[0]) if is_text.any() else ""
            raise UnreadableError(TEXT_COLUMN.format(path=path, column=str(column), example=example[:40]))
    with reading(path):
        return table.astype(float)


def from_polars(frame: Any) -> pd.DataFrame:
    """Convert a polars frame to a pandas frame, with the rule of files for the samples' names."""
    import pandas as pd

    frame = frame.collect() if hasattr(frame, "collect") else frame
    table = _named(pd.DataFrame({column: frame[column].to_numpy() for column in frame.columns}), None)
    warn_of_numbers("The frame", table)
    return table


def _read_text(path: Path, text: bool) -> pd.DataFrame:
    """Read a `.csv` or `.tsv` file; names of samples keep leading zeros."""
    import pandas as pd

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    header, row = _first_lines(path, separator)
    if _is_data(header):
        raise UnreadableError(NO_HEADER.format(path=path, start=", ".join(header[:3])))
    if header and len(row) > len(header) + 1:  # pandas would read all cells before the last ones as names
        words = SEPARATORS[".tsv" if separator == "\t" else ".csv"]
        raise UnreadableError(MORE_CELLS.format(path=path, columns=len(header), cells=len(row), separator=words))
    if text:
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    named = bool(header) and (not header[0].strip() or _is_sample_column(header[0]) or len(row) == len(header) + 1)
    return pd.read_csv(path, sep=separator, converters={0: str.strip} if named else None)


def _first_lines(path: Path, separator: str) -> tuple[list[str], list[str]]:
    """Cells of the first two lines that are not blank, as text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = (row for row in csv.reader(file, delimiter=separator) if len(row) > 1 or "".join(row).strip())
        return next(rows, []), next(rows, [])


def _read_parquet(path: Path) -> pd.DataFrame:
    parquet = optional("pyarrow.parquet", f"Reading {path.name}")
    with parquet.ParquetFile(path) as file:
        claimed = 8 * file.metadata.num_rows * max(file.metadata.num_columns, 1)
        check_claim(path, claimed, path.stat().st_size)
        return file.read().to_pandas()


def _named(table: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """The table with its first column as the index, if the first column names the samples."""
    import pandas as pd

    if table.shape[1] == 0:
        raise UnreadableError(f"{path or 'The frame'} has no column.")
    if not isinstance(table.index, pd.RangeIndex):
        return table
    first, values = table.columns[0], table.iloc[:, 0]
    unnamed = str(first).startswith("Unnamed:")
    if unnamed or _is_sample_column(str(first)) or not pd.api.types.is_numeric_dtype(values):
        table = table.iloc[:, 1:].set_axis(pd.Index(values.astype(str), name=first), axis=0)
    return table


def _is_sample_column(name: str) -> bool:
    return re.sub(r"[\s_.-]", "", name).lower() in SAMPLE_COLUMNS


def _could_be_names(values: pd.Series) -> bool:
    return values.dtype.kind in "iu" and values.is_unique


def _is_data(header: Sequence[str]) -> bool:
    """Whether the first line is a row of data; 0, 1, 2 ... and increasing numbers such as wavelengths are names."""
    if not header or _is_sample_column(header[0]):
        return False
    unnamed, values = not header[0].strip(), [_number(cell) for cell in header]
    values = values[1:] if unnamed or values[0] is None else values
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values) or all(map(math.isnan, numbers)):
        return False
    are_whole, increase = all(number.is_integer() for number in numbers), bool(np.all(np.diff(numbers) > 0))
    if unnamed and are_whole and len(set(numbers)) == len(numbers):
        return False
    return not (increase and (are_whole or len(numbers) >= FEW))


def _number(cell: str) -> float | None:
    """A cell as a number; NaN if it is empty, and None if it is text."""
    text = cell.strip().lower()
    if text in MISSING:
        return math.nan
    try:
        return None if "_" in text else float(text)  # Python reads 1_2 as 12
    except ValueError:
        return None
