"""Rows and columns of a table that are neither samples nor features, and that would be read as such in silence.

Such are a column that names samples a second time, a row of totals or means, a row of units or a second header, and
names of genes that a spreadsheet turned into dates.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.data.readers.guard import UnreadableError
from deepjive.data.readers.words import is_id_column, is_sample_column, is_summary, number_of

if TYPE_CHECKING:
    import pandas as pd

FEWEST_SUMMED, FEWEST_COLUMNS, MOST_COLUMNS = 5, 4, 50  # fewer may add up by chance
LAST_ROWS = 3
RELATIVE = 1e-3  # rounding of a written sum or mean
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
STARTS_AS_NUMBER = re.compile(r"[-+\u2212]?[$<>]?\s*\d")  # such as "1,234.0", which is no word
DATE = re.compile(rf"\d{{1,2}}-({MONTHS})|({MONTHS})-\d{{1,2}}|\d{{4}}-\d\d-\d\d(T00:00:00)?", re.IGNORECASE)

NAMES_AGAIN = (
    "{path}: column {column!r} seems to name samples or participants ({first}, {second}, ...), but is not the first "
    "column, so that it would be a feature. If it names the samples, put it first. If not, leave it out, or rename it "
    "if it is a feature."
)
SUMMARY = (
    "{what} {name!r} of {path} seems to be {kind} of the samples, and not a sample. Remove it, or rename it if it is a "
    "sample."
)
TEXT_ROW = (
    "{path}: row {row!r} holds text in all {n} columns ({examples}, ...), so that it is no sample. It may be the line "
    "that names the columns, below a title, or a line of units. Remove {lines}."
)
DATES = (
    "{path}: names of features such as {examples} look like dates. Spreadsheets turn names of genes such as MARCH1 and "
    "SEPT2 into dates: compare the names with the original table."
)


def check_id_columns(path: Path | str, table: pd.DataFrame) -> None:
    """Raise an error for a column of whole numbers or texts that is named like an id.

    Parameters
    ----------
    path : path or str
        What the table is called in errors.
    table : pandas.DataFrame
        A table with its samples in rows; its index may name them.
    """
    for position, name in enumerate(table.columns):
        if not (is_sample_column(name) or is_id_column(name)) or str(name).startswith("Unnamed: "):
            continue
        values = table.iloc[:, position].dropna()
        is_number = values.dtype.kind in "iuf"
        if len(values) and values.nunique() > 1 and (not is_number or bool((values % 1 == 0).all())):
            first, second = (f"{value:g}" if is_number else str(value)[:40] for value in values.iloc[:2])
            raise UnreadableError(NAMES_AGAIN.format(path=path, column=str(name), first=first, second=second))


def check_no_summary(path: Path | str, numbers: pd.DataFrame, *, turned: bool = False) -> None:
    """Raise an error if the last sample is the sum or the mean of the others, or has the name of a summary.

    Parameters
    ----------
    path : path or str
        What the table is called in errors.
    numbers : pandas.DataFrame
        Numbers with the samples in rows.
    turned : bool, default=False
        Whether samples are the columns of the table, for the error.
    """
    what = "Column" if turned else "Row"
    for name in numbers.index[-LAST_ROWS:]:
        if is_summary(name):
            raise UnreadableError(SUMMARY.format(what=what, path=path, name=str(name), kind="a summary"))
    columns = [i for i, dtype in enumerate(numbers.dtypes) if getattr(dtype, "kind", "O") in "fiu"][:MOST_COLUMNS]
    if len(numbers) <= FEWEST_SUMMED or len(columns) < FEWEST_COLUMNS:
        return
    *values, last = numbers.iloc[:, columns].to_numpy(dtype=float)
    if not np.isfinite(last).all() or len(np.unique(last)) < FEWEST_COLUMNS:
        return
    with np.errstate(all="ignore"):
        for kind, of_others in {"the sum": np.nansum(values, axis=0), "the mean": _means(values)}.items():
            if np.allclose(last, of_others, rtol=RELATIVE, atol=0.0):
                name = str(numbers.index[-1])
                raise UnreadableError(SUMMARY.format(what=what, path=path, name=name, kind=kind))


def _means(values: Any) -> Any:
    values = np.asarray(values)
    return np.nansum(values, axis=0) / np.maximum((~np.isnan(values)).sum(axis=0), 1)


def text_row(path: Path | str, table: pd.DataFrame, row: int) -> str | None:
    """Describe a row that holds text in all columns but few others do; None if the row is not of this kind."""
    cells = [str(cell).strip() for cell in table.iloc[row]]
    if len(cells) < 2 or any(is_number_or_empty(cell) or STARTS_AS_NUMBER.match(cell) for cell in cells):
        return None
    others = table.drop(index=table.index[row]).iloc[:LAST_ROWS]
    if not any(is_number_or_empty(str(cell)) for cell in others.to_numpy().ravel()):
        return None
    lines = "it and the lines above it that are no sample" if row == 0 else "this line"
    examples = ", ".join(map(repr, cells[:3]))
    return TEXT_ROW.format(path=path, row=str(table.index[row]), n=len(cells), examples=examples, lines=lines)


def is_number_or_empty(cell: str) -> bool:
    """Whether a cell is a number, is empty, or says that a value is missing."""
    return number_of(cell) is not None


def warn_of_dates(path: Path | str, features: Sequence[object]) -> None:
    """Warn of names of features that look like dates."""
    found = [str(name) for name in features if DATE.fullmatch(str(name).strip())]
    if found and len(found) < len(features):
        warnings.warn(DATES.format(path=path, examples=", ".join(map(repr, found[:3]))), UserWarning, stacklevel=2)
