"""Labels of samples from a table: found by the samples' names where there are any, in order otherwise.

Cohorts are seldom labelled throughout, and tables of patients seldom hold just those at hand: samples without a row get
an empty label, and rows of other samples are ignored, with a warning each. Where no sample is found, it is an error.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from deepjive.data.readers.guard import UnreadableError, reading
from deepjive.data.readers.tables import read_table, warn_of_numbers

if TYPE_CHECKING:
    import pandas as pd

LABELS_LENGTH = "There are {n} samples, but {source} holds {given} labels. Give one label for each sample, in order."
CHOOSE_COLUMN = "{path} has several columns {columns}; say which one holds the labels with '{path}:COLUMN'."
NO_SUCH_COLUMN = "{path} has no column {column!r}; its columns are {columns}."
LABELS_MISSING = (
    "{source} has no row for {count} of {n} samples, the first being {sample!r}. They are left out of what needs a "
    "label."
)
LABELS_UNKNOWN = (
    "{source} also names {count} that are not among the {n} samples at hand, the first being {sample!r}. They are "
    "ignored."
)
LABELS_OF_OTHERS = (
    "{source} has no label for any of the {n} samples: its first row is of {given!r}, their first is {sample!r}. Name "
    "the samples in its first column as the data do."
)
LABELS_NUMBERED = (
    "{source} has no row for {count} of {n} samples, the first being {sample!r}. The samples are numbered from 0, not "
    "named, so that its rows may be numbered otherwise. Add a row for each; an empty cell is allowed where the label "
    "is unknown."
)
LABELS_REPEATED = "{source} names sample {sample!r} more than once; keep one row of each sample."
NAMES_NOT_FIRST = (
    "{source}: column {column!r} holds the names of the samples, but is not the first, so that labels cannot be found "
    "by name. Make it the first column."
)


def labels_of_table(source: str, path: Path, key: str | None, samples: Any, n: int) -> NDArray:
    """Labels from a table, see `deepjive.data.files.read_labels`.

    Parameters
    ----------
    source : str
        What was asked for, for the errors.
    path : Path
        The table.
    key : str or None
        The column.
    samples : sequence of str or None
        Names of the samples.
    n : int
        Number of samples.
    """
    table = read_table(path)
    with reading(path):
        series = column_of(path, table, key)
    if samples is not None and _names_are_first(table, key, samples):
        series = series.set_axis(table.iloc[:, 0].astype(str))
    elif samples is not None:
        _check_names_first(source, table, key, samples)
        if key not in table.columns[:1]:
            warn_of_numbers(path, table)
    with reading(path):
        values, notes = _label_column(source, series, samples, n)
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    return values


def column_of(path: Path, table: pd.DataFrame, column: str | None) -> pd.Series:
    """A column of a table by its name, or its only one."""
    columns = [str(name) for name in table.columns]
    if column is None and len(columns) != 1:
        if not columns:
            return table.index.to_series().reset_index(drop=True)
        raise UnreadableError(CHOOSE_COLUMN.format(path=path, columns=columns))
    if column is not None and column == table.index.name:
        return table.index.to_series().reset_index(drop=True)
    column = columns[0] if column is None else column
    if column not in columns:
        raise UnreadableError(NO_SUCH_COLUMN.format(path=path, column=column, columns=columns))
    return table.iloc[:, columns.index(column)]


def _names_are_first(table: pd.DataFrame, column: str | None, samples: Any) -> bool:
    """Whether a first column that does not say so names the samples, such as a column of numbers."""
    if type(table.index).__name__ != "RangeIndex" or not table.shape[1] or str(table.columns[0]) == column:
        return False
    return _names_samples(table.iloc[:, 0], samples)


def _names_samples(column: pd.Series, samples: Any) -> bool:
    """Whether all samples are in a column, or all that it holds are samples, each once."""
    names, known = column.astype(str), set(map(str, samples))
    return known <= set(names) or (len(names) > 0 and names.is_unique and set(names) <= known)


def _check_names_first(source: str, table: pd.DataFrame, column: str | None, samples: Any) -> None:
    """Raise if the samples are named by a column to which no one would look."""
    if type(table.index).__name__ != "RangeIndex" and column != table.index.name:
        return
    for position, other in enumerate(table.columns):
        if str(other) != column and _names_samples(table.iloc[:, position], samples):
            raise UnreadableError(NAMES_NOT_FIRST.format(source=source, column=str(other)))


def _label_column(source: str, series: pd.Series, samples: Any, n: int) -> tuple[NDArray, list[str]]:
    """Labels of the samples, and what there is to say of rows that are lacking or ignored."""
    notes: list[str] = []
    if samples is not None and type(series.index).__name__ != "RangeIndex":
        series, notes = _of_samples(source, series, [str(sample) for sample in samples])
    if len(series) != n:
        raise UnreadableError(LABELS_LENGTH.format(source=source, n=n, given=len(series)))
    values = series.to_numpy()
    if values.dtype.kind not in "fiub":
        values = series.astype(object).fillna("").astype(str).to_numpy(dtype=str)
    return values, notes


def _of_samples(source: str, series: pd.Series, samples: list[str]) -> tuple[pd.Series, list[str]]:
    """Rows found by name, in the order of the samples and empty where there is none, and notes."""
    n, series = len(samples), series.set_axis(series.index.astype(str))
    of_sample = series.index.isin(samples)
    others, found = series.index[~of_sample].unique(), series[of_sample]
    if found.empty:
        first = others[0] if len(others) else ""
        raise UnreadableError(LABELS_OF_OTHERS.format(source=source, n=n, given=first, sample=samples[0]))
    repeated = found.index[found.index.duplicated()]
    if len(repeated):
        raise UnreadableError(LABELS_REPEATED.format(source=source, sample=repeated[0]))
    lacking = [sample for sample in samples if sample not in found.index]
    if lacking and samples == [str(i) for i in range(n)]:
        raise UnreadableError(LABELS_NUMBERED.format(source=source, count=len(lacking), n=n, sample=lacking[0]))
    named = ((LABELS_MISSING, lacking), (LABELS_UNKNOWN, others))
    notes = [text.format(source=source, count=len(which), n=n, sample=which[0]) for text, which in named if len(which)]
    return found.reindex(samples), notes
