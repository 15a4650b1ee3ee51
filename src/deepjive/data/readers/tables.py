"""Tables: files and polars frames, as pandas data frames of numbers whose index names the samples.

The first column names the samples if it holds text, has no header, or has a name such as "id", "sample" or
"participant_id".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.data.readers.doubts import check_id_columns, check_no_summary, text_row, warn_of_dates
from deepjive.data.readers.guard import UnreadableError, check_claim, optional, reading
from deepjive.data.readers.text_tables import COMMA, SEPARATORS, check_marks, parse, text_of_file, text_of_sheet
from deepjive.data.readers.words import MISSING, is_feature_column, is_sample_column, number_of

if TYPE_CHECKING:
    import pandas as pd

SHEETS = ".xlsx"
ROWS_OF_PARQUET = (
    "{path} is damaged: its description names {n} rows in all, but {in_groups} in its groups. Write or copy the file "
    "again."
)
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", SHEETS)
FEW = 3

TEXT_COLUMN = (
    "{path}: column {column!r} holds {kind}, such as {example!r} in row {row!r} ({count} of {n} rows), but "
    "numbers are expected. {remedy}Leave the column out (--labels FILE:COLUMN of deepjive fit and ranks does so for a "
    "label), leave cells with missing values empty, or, if the column holds categories, code them as columns of 0 and "
    "1 (one_hot=True, --one-hot)."
)
BEYOND_LIMIT = "Write a number in the place of a value beyond a limit of detection, such as half of the limit. "
CONVERT = "Convert the column, e.g. by frame[column].astype(float). "
NO_NUMBERS = (
    "{path} has no column of numbers after its first column {column!r}. Columns were taken to be separated by "
    "{separator}; name the separator (separator=, --sep), or check how the file was exported."
)
NO_ROWS = "{path} has a header but no rows. Check how the file was exported."
NO_HEADER = (
    "{path} seems to have no header row: its first line holds {start} ... as a sample would. Add a first line that "
    "names the columns. If the first line does name them, add a first column 'id' that names the samples."
)
NUMBERS_FIRST = (
    "{path}: the first column {column!r} holds a different whole number in each row ({first}, {second}, ...), so that "
    "it may name the samples or be a feature. If it names the samples, call it 'id'. If it is a feature, put a column "
    "'id' that names the samples before it."
)
NUMBERS_AND_TEXT = (
    "{path}: the first column {column!r} holds numbers such as {number!r} as well as text such as {text!r}, so that it "
    "may name the samples or be a feature. If it names the samples, call it 'id'. If it is a feature, leave cells with "
    "missing values empty."
)
UNNAMED_ROW = (
    "{path}: row {row} has no name, because its cell in the first column is empty. Name every row in the first column."
)
ONE_EACH = "Give the option once for each column."
NO_COLUMN = "{path} has no column {column!r}; its columns are {columns}."
FEATURES_FIRST = (
    "{path}: the first column is called {column!r}, so that the rows seem to be features and the columns samples. Read "
    "the table with its features in rows (features_in_rows=, --features-in-rows all). If the rows are samples, call "
    "the column 'id'."
)
SHOWN_COLUMNS = 10


@dataclass(frozen=True)
class TableFormat:
    """How a table is written.

    Attributes
    ----------
    separator, decimal : str or None
        Separator of columns and decimal mark of text; None finds them from the file.
    features_in_rows : bool or None
        Whether rows are features and columns samples. None reads rows as samples, but refuses a table whose first
        column says otherwise.
    one_hot : bool
        Whether a column of text becomes a column of 0 and 1 for each of its values.
    not_features : tuple of str
        Columns that are left out, such as labels.
    """

    separator: str | None = None
    decimal: str | None = None
    features_in_rows: bool | None = None
    one_hot: bool = False
    not_features: tuple[str, ...] = ()


def read_table(
    path: Path, sheet: str | None = None, table_format: TableFormat = TableFormat(), *, text: bool = False
) -> pd.DataFrame:
    """Read a table; its index holds the names of the rows if the table has them.

    Parameters
    ----------
    path : Path
        A `.csv`, `.tsv`, `.csv.gz`, `.tsv.gz`, `.parquet` or `.xlsx` file.
    sheet : str or None
        Sheet of an `.xlsx` file; None reads its only sheet.
    table_format : TableFormat, optional
        Separator and decimal mark.
    text : bool, default=False
        Whether all cells stay text.

    Returns
    -------
    pandas.DataFrame
        Names of columns may repeat.

    Raises
    ------
    UnreadableError
        If the table is damaged or has no header row, or if it is doubtful what the first column is.
    """
    with reading(path):
        if path.suffix.lower() == ".parquet":
            table = _read_parquet(path)
            return with_named_rows(table.astype(str) if text else table, path)
        check_marks(path, table_format.separator, table_format.decimal)
        is_sheet = path.suffix.lower() == SHEETS
        unparsed = text_of_sheet(path, sheet) if is_sheet else text_of_file(path)
        first_lines = unparsed.records(table_format.separator or unparsed.usual)
        if first_lines and _is_data(first_lines[0]):
            raise UnreadableError(NO_HEADER.format(path=path, start=", ".join(first_lines[0][:3])))
        cells = parse(unparsed, table_format.separator, table_format.decimal, text=text)
        if _is_data(cells.header):
            raise UnreadableError(NO_HEADER.format(path=path, start=", ".join(cells.header[:3])))
        if cells.body.shape[1] == 1 and not text:
            _check_names_alone(path, cells.header, cells.body.iloc[:, 0], cells.separator)
        return _with_names(path, cells.header, cells.body, text)


def check_first_column(path: Path | str, table: pd.DataFrame) -> None:
    """Raise an error if the first column is read as a feature although it could name the samples.

    Whole numbers that differ in each row could be names. Counts of a feature may differ too: the first column is then
    doubtful only if the numbers increase, or if no other column could be names.
    """
    import pandas as pd

    if table.shape[1] < 2 or len(table) < 2 or not isinstance(table.index, pd.RangeIndex):
        return
    name, first, *others = str(table.columns[0]), *(table.iloc[:, i] for i in range(table.shape[1]))
    if number_of(name) is not None or not _could_be_names(first):
        return
    alike = [_could_be_names(column) for column in others]
    if not any(alike) or (first.is_monotonic_increasing and not all(alike)):
        start = [f"{value:g}" for value in first.iloc[:2]]
        raise UnreadableError(NUMBERS_FIRST.format(path=path, column=name, first=start[0], second=start[1]))


def numbers_of(path: Path | str, table: pd.DataFrame, table_format: TableFormat = TableFormat()) -> pd.DataFrame:
    """Convert a table to floats, with the samples in rows.

    Raises
    ------
    UnreadableError
        If a column does not hold numbers, names samples, or if a row summarizes the others; the message names both.
    """
    table = without_columns(path, table, table_format.not_features)
    if table.shape[1] == 0:
        raise UnreadableError(
            NO_NUMBERS.format(path=path, column=table.index.name, separator=" or ".join(SEPARATORS.values()))
        )
    if not len(table):
        raise UnreadableError(NO_ROWS.format(path=path))
    if table_format.features_in_rows is None and is_feature_column(table.index.name or ""):
        raise UnreadableError(FEATURES_FIRST.format(path=path, column=table.index.name))
    if not table_format.features_in_rows:
        check_id_columns(path, table)
    text = [i for i in range(table.shape[1]) if not _is_number(table.iloc[:, i])]
    if text and table_format.one_hot and not table_format.features_in_rows:
        table = one_hot(table, text)
    elif text:
        raise UnreadableError(text_column(path, table, text[0]))
    with reading(path):
        numbers = table.astype(float)
    if table_format.features_in_rows:
        numbers = numbers.T
        check_id_columns(path, numbers)
    check_no_summary(path, numbers, turned=bool(table_format.features_in_rows))
    warn_of_dates(path, [*numbers.columns])
    return numbers


def text_column(path: Path | str, table: pd.DataFrame, position: int) -> str:
    """Describe a column that does not hold numbers."""
    import pandas as pd

    values = table.iloc[:, position]
    numbers = pd.to_numeric(values.astype(object), errors="coerce") if values.dtype.kind != "c" else values * np.nan
    rows = np.flatnonzero(numbers.isna() & values.notna())
    rows = np.array([row for row in rows if not _has_decimal_comma(values.iloc[row])] or rows, dtype=np.intp)
    kind, remedy = "text or dates", ""
    if not len(rows):  # numbers of another type, or nothing
        rows = np.flatnonzero(values.notna()) if values.notna().any() else np.arange(len(values))
        kind = f"values of type {type(values.iloc[rows[0]]).__name__}" if len(rows) else "no values"
        remedy = CONVERT if values.notna().any() else ""
    row = int(rows[0]) if len(rows) else 0
    if kind == "text or dates" and (no_sample := text_row(path, table, row)):
        return no_sample
    if len(values) and re.match(r"\s*[<>]", str(values.iloc[row])):
        remedy = BEYOND_LIMIT
    return TEXT_COLUMN.format(
        kind=kind,
        remedy=remedy,
        path=path,
        column=str(table.columns[position]),
        example=str(values.iloc[row])[:40] if len(values) else "",
        row=str(table.index[row]) if len(values) else "",
        count=len(rows),
        n=len(table),
    )


def _has_decimal_comma(value: Any) -> bool:
    """Whether a cell stayed text because of other cells of its column, although it is a number."""
    return isinstance(value, str) and COMMA.fullmatch(value.strip()) is not None


def one_hot(table: pd.DataFrame, positions: Sequence[int]) -> pd.DataFrame:
    """Replace columns of text by a column of 0 and 1 for each of their values, named "column=value"."""
    import pandas as pd

    pieces = []
    for position in range(table.shape[1]):
        values = table.iloc[:, position]
        if position in positions:
            known = values.notna()
            as_text = values.where(known).astype(object).map(str, na_action="ignore")
            coded = pd.get_dummies(as_text, dtype=float).add_prefix(f"{table.columns[position]}=")
            coded.loc[~known.to_numpy()] = np.nan
            pieces.append(coded)
        else:
            pieces.append(values.to_frame())
    return pd.concat(pieces, axis=1)


def from_polars(frame: Any) -> pd.DataFrame:
    """Convert a polars frame to a pandas frame, with the rule of files for the samples' names."""
    import pandas as pd

    frame = frame.collect() if hasattr(frame, "collect") else frame
    return with_named_rows(pd.DataFrame({column: frame[column].to_numpy() for column in frame.columns}), None)


def is_default(index: Any) -> bool:
    """Whether an index is the default one, 0, 1, 2, ..., which names no rows."""
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def with_named_rows(table: pd.DataFrame, path: Path | str | None) -> pd.DataFrame:
    """Return a frame with its first column as the index, if the first column names the samples.

    A frame whose index is not the default one is returned unchanged.
    """
    import pandas as pd

    if table.shape[1] == 0:
        raise UnreadableError(f"{path or 'The frame'} has no column. Give columns of numbers.")
    if not is_default(table.index) or (table.shape[1] == 1 and not is_sample_column(table.columns[0])):
        return table
    stored = [i for i, name in enumerate(table.columns) if str(name).startswith("__index_level_")]
    position = stored[0] if stored else 0
    values, name = table.iloc[:, position], table.columns[position]
    of = values.dtype.categories.dtype if isinstance(values.dtype, pd.CategoricalDtype) else values.dtype
    is_text = of.kind in "OUST" or isinstance(of, pd.StringDtype)
    if not (stored or is_sample_column(name) or (is_text and not _is_number(values))):
        return table
    others = [i for i in range(table.shape[1]) if i not in (stored or [0])]
    return table.iloc[:, others].set_axis(pd.Index(values.to_numpy(), name=name), axis=0)


def _with_names(path: Path, header: list[str], body: pd.DataFrame, text: bool) -> pd.DataFrame:
    """The table with its header; its first column is the index if it names the rows, and else becomes numbers."""
    import pandas as pd

    first, columns = np.array([str(cell) for cell in body.iloc[:, 0]], dtype=str), pd.Index(header)
    numbers = [number_of(cell.replace(",", ".")) for cell in first]
    if not header[0] or is_sample_column(header[0]) or (None in numbers):
        if header[0] and not is_sample_column(header[0]):
            _check_mixed(path, header[0], first, numbers)
        if "" in first:
            raise UnreadableError(UNNAMED_ROW.format(path=path, row=int(np.flatnonzero(first == "")[0]) + 1))
        names = pd.Index(first.tolist(), name=header[0] or None)
        return body.iloc[:, 1:].set_axis(columns[1:], axis=1).set_axis(names, axis=0)
    if text:
        return body.set_axis(columns, axis=1)
    are_whole = all(number.is_integer() for number in numbers if number is not None)
    values: Any = np.array(numbers, dtype=float)
    values = values.astype(np.int64) if are_whole and np.all(np.abs(values) < 2**53) else values
    return pd.concat([pd.Series(values), body.iloc[:, 1:]], axis=1).set_axis(columns, axis=1)


def _check_mixed(path: Path, column: str, cells: Any, numbers: list[float | None]) -> None:
    """Raise an error if a first column holds decimals as well as text: a feature with a mark for missing values."""
    decimals = [i for i, number in enumerate(numbers) if number is not None and not float(number).is_integer()]
    decimals = [i for i in decimals if not math.isnan(float(numbers[i] or math.nan))]
    if decimals and None in numbers:
        text = str(cells[numbers.index(None)])
        raise UnreadableError(
            NUMBERS_AND_TEXT.format(path=path, column=column, number=str(cells[decimals[0]]), text=text)
        )


def _check_names_alone(path: Path, header: list[str], column: pd.Series, separator: str) -> None:
    """Raise an error for a table of one column whose cells look as if they held several."""
    cells = [header[0], *(str(cell) for cell in column.iloc[:FEW])]
    if any(mark in cell for cell in cells for mark in SEPARATORS):
        words = SEPARATORS.get(separator, repr(separator))
        raise UnreadableError(NO_NUMBERS.format(path=path, column=header[0], separator=words))


def without_columns(path: Path | str, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table without some columns, which must exist."""
    for column in columns:
        if column not in (*table.columns, table.index.name):
            raise UnreadableError(no_column(path, column, table))
    return table.loc[:, [name not in columns for name in table.columns]] if columns else table


def no_column(path: Path | str, column: str, table: pd.DataFrame) -> str:
    """Describe a column that does not exist, with some of those that do."""
    names = [str(name) for name in table.columns]
    shown = names if len(names) <= SHOWN_COLUMNS else [*names[:SHOWN_COLUMNS], f"... ({len(names)} in all)"]
    text = NO_COLUMN.format(path=path, column=column, columns=shown)
    return f"{text} {ONE_EACH}" if set(column.split(",")) <= set(names) else text


def _read_parquet(path: Path) -> pd.DataFrame:
    parquet = optional("pyarrow.parquet", f"Reading {path.name}")
    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        claimed = 8 * file.metadata.num_rows * max(file.metadata.num_columns, 1)
        check_claim(path, claimed, path.stat().st_size)
        n_rows, groups = file.metadata.num_rows, range(file.metadata.num_row_groups)
        in_groups = sum(file.metadata.row_group(i).num_rows for i in groups)
        if in_groups != n_rows:  # these numbers have no checksum, and rows would be left out in silence
            raise UnreadableError(ROWS_OF_PARQUET.format(path=path, n=n_rows, in_groups=in_groups))
        return file.read().to_pandas()


def _is_number(values: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values)


def _could_be_names(values: pd.Series) -> bool:
    """Whether a column holds whole numbers that differ."""
    if not _is_number(values) or values.dtype.kind == "b" or values.isna().any() or not values.is_unique:
        return False
    return values.dtype.kind in "iu" or bool((values.to_numpy(dtype=float) % 1 == 0).all())


def _is_data(header: Sequence[str]) -> bool:
    """Whether the first line is a row of data; 0, 1, 2 ... and increasing numbers such as wavelengths are names."""
    filled = [i for i, cell in enumerate(header) if cell.strip()]
    header = header[: filled[-1] + 1] if filled else header  # spreadsheets leave empty columns at the end
    if not header or is_sample_column(header[0]) or is_feature_column(header[0]):
        return False
    unnamed, values = not header[0].strip(), [number_of(cell) for cell in header]
    values = values[1:] if unnamed or values[0] is None else values
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values) or all(map(math.isnan, numbers)):
        return False
    are_whole, increase = all(number.is_integer() for number in numbers), bool(np.all(np.diff(numbers) > 0))
    if unnamed and are_whole and len(set(numbers)) == len(numbers):
        return False
    return not (increase and (are_whole or len(numbers) >= FEW))


def typed(values: pd.Series) -> pd.Series:
    """Convert a column of text to numbers if every cell is a number or missing; text stays, and is empty if missing.

    "None" and "null" are missing values beside numbers, and categories beside text.
    """
    import pandas as pd

    cells = values.astype(str)
    numbers = [number_of(cell) for cell in cells]
    if None in numbers or all(math.isnan(float(number or 0)) for number in numbers):
        missing = cells.str.lower().isin(MISSING - {"none", "null"})
        return cells.mask(missing, "").astype(object)
    converted = pd.Series(numbers, index=values.index, dtype=float, name=values.name)
    is_whole = converted.notna().all() and not cells.str.contains(r"[.e]", case=False, regex=True).any()
    return converted.astype(np.int64) if is_whole and (converted.abs() < 2**53).all() else converted
