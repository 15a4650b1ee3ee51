"""Labels of samples from a table, matched by the samples' names if both have names, and otherwise by order.

Cohorts are seldom labelled completely, and tables of participants often hold other participants too. Samples without a
row therefore get an empty label, and rows of other samples are ignored; each case gives a warning. If the table has no
row for any sample, this is an error. Tables of ADNI's visits are matched by participant and visit
(`deepjive.data.readers.adni`). A table of participants (``sub-01``, or ``01``) describes their sessions
(``sub-01_ses-M00``).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.adni import is_visits, values_of_visits
from deepjive.data.readers.guard import UnreadableError, reading
from deepjive.data.readers.tables import SHOWN_COLUMNS, check_first_column, no_column, read_table, typed
from deepjive.data.readers.words import FORMS

if TYPE_CHECKING:
    import pandas as pd

PARTICIPANT = re.compile(r"(sub-.+?)_ses-.+")
LABELS_LENGTH = "There are {n} samples, but {source} holds {given} labels. Give one label for each sample, in order."
CHOOSE_COLUMN = "{path} has several columns {columns}; say which one holds the labels with '{path}:COLUMN'."
LABELS_MISSING = "{source} has no row for {count} of {n} samples, the first being {sample!r}. They have no value."
LABELS_UNKNOWN = (
    "{source} also names samples that are not among the {n} samples of the data: {count} in all, the first being "
    "{sample!r}. Their rows are ignored."
)
LABELS_OF_OTHERS = (
    "{source} has no label for any of the {n} samples: its first row is of sample {given!r}, but the first sample "
    "of the data is {sample!r}. Use the sample names of the data in the first column of the table."
)
LABELS_NUMBERED = (
    "{source} has no row for {count} of {n} samples, the first being {sample!r}. The samples of the data are numbered "
    "from 0 and have no names, so that the table may number them differently. Add a row for each sample; its cell may "
    "be empty where the label is unknown."
)
IN_ORDER = (
    "{source} does not name its rows: they were taken in the order of the samples of the data ({first!r} first). Add a "
    "first column with the names of the samples if this is not their order."
)
NAMES_NOT_FIRST = (
    "{source}: column {column!r} holds the names of the samples, but is not the first column, so that labels cannot be "
    "matched by name. Make it the first column."
)


def labels_of_table(source: str, path: Path, sheet: str | None, key: str | None, samples: Any, n: int) -> NDArray:
    """Read labels from a table.

    Parameters
    ----------
    source : str
        The source as the user gave it, for the errors.
    path : Path
        The table.
    sheet : str or None
        Sheet of an `.xlsx` file; None if it has only one.
    key : str or None
        Name of the column; None if the table has only one.
    samples : sequence of str or None
        Names of the samples; None matches labels by order.
    n : int
        Number of samples.

    Returns
    -------
    array, shape (n,)
        Numbers, or text that is empty where a label is missing.

    Raises
    ------
    UnreadableError
        If the table is damaged, lacks the column, names a sample more than once, or does not fit the samples.

    Warns
    -----
    UserWarning
        If samples have no row, or if rows are of other samples.

    See Also
    --------
    deepjive.data.files.read_labels : Labels from any kind of file.
    """
    table = read_table(path, sheet, text=True)
    if samples is not None and key is not None and is_visits(table):
        return _labels_of_visits(path, table.apply(typed), key, [str(sample) for sample in samples])
    series = column_of(path, table, key)
    if samples is not None and _names_are_first(table, key, samples):
        series = series.set_axis(table.iloc[:, 0].astype(str))
    elif samples is not None:
        _check_names_first(source, table, key, samples)
        if key not in table.columns[:1]:
            check_first_column(path, table.apply(typed))
    return labels_of_series(source, typed(series), samples, n)


def _labels_of_visits(path: Path, table: pd.DataFrame, key: str, samples: list[str]) -> NDArray:
    """Labels of ADNI's visits; a warning says what was matched."""
    values, words = values_of_visits(str(path), table, key, samples)
    warnings.warn(words, UserWarning, stacklevel=4)
    return as_labels(values)


def labels_of_series(source: str, series: pd.Series, samples: Any, n: int) -> NDArray:
    """Return labels of the samples from a series, matched by its index unless this is the default one.

    Parameters
    ----------
    source : str
        The source as the user gave it, for errors and warnings.
    series : pandas.Series
        Labels of any type.
    samples : sequence of str or None
        Names of the samples; None matches labels by order.
    n : int
        Number of samples.

    Returns
    -------
    array, shape (n,)
        Numbers, or text that is empty where a label is missing.
    """
    with reading(source):
        values, notes = _label_column(source, series, samples, n)
    if notes:
        warnings.warn(" ".join(notes), UserWarning, stacklevel=4)
    return values


def column_of(path: Path, table: pd.DataFrame, column: str | None) -> pd.Series:
    """Return a column of a table by its name, or the only column if the name is None."""
    columns = [str(name) for name in table.columns]
    if column is None and len(columns) != 1:
        if not columns:
            return table.index.to_series().reset_index(drop=True)
        shown = columns if len(columns) <= SHOWN_COLUMNS else [*columns[:SHOWN_COLUMNS], f"... ({len(columns)} in all)"]
        raise UnreadableError(CHOOSE_COLUMN.format(path=path, columns=shown))
    if column is not None and column == table.index.name:
        return table.index.to_series().reset_index(drop=True)
    column = columns[0] if column is None else column
    if column not in columns:
        raise UnreadableError(no_column(path, column, table))
    return table.iloc[:, columns.index(column)]


def _names_are_first(table: pd.DataFrame, column: str | None, samples: Any) -> bool:
    """Whether the first column names the samples although its header does not say so, as a column of numbers may."""
    if type(table.index).__name__ != "RangeIndex" or not table.shape[1] or str(table.columns[0]) == column:
        return False
    return _names_samples(table.iloc[:, 0], samples)


def _names_samples(column: pd.Series, samples: Any) -> bool:
    """Whether a column holds all samples, or holds nothing but samples, each once."""
    names, known = column.astype(str), set(map(str, samples))
    return known <= set(names) or (len(names) > 0 and names.is_unique and set(names) <= known)


def _check_names_first(source: str, table: pd.DataFrame, column: str | None, samples: Any) -> None:
    """Raise an error if a column other than the first one names the samples."""
    if type(table.index).__name__ != "RangeIndex" and column != table.index.name:
        return
    for position, name in enumerate(table.columns):
        if str(name) != column and _names_samples(table.iloc[:, position], samples):
            raise UnreadableError(NAMES_NOT_FIRST.format(source=source, column=str(name)))


def _label_column(source: str, series: pd.Series, samples: Any, n: int) -> tuple[NDArray, list[str]]:
    """Labels of the samples, and warnings of samples without a row and of ignored rows."""
    notes: list[str] = []
    if samples is not None and type(series.index).__name__ != "RangeIndex":
        series, notes = _of_samples(source, series, [str(sample) for sample in samples])
    elif samples is not None and len(series) == n > 0 and not _names_samples(series, samples):
        notes = [IN_ORDER.format(source=source, first=str(samples[0]))]
    if len(series) != n:
        raise UnreadableError(LABELS_LENGTH.format(source=source, n=n, given=len(series)))
    return as_labels(series), notes


def as_labels(series: pd.Series) -> NDArray:
    """Return a series as numbers, or as text that is empty where a label is missing."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(series) and series.notna().all():
        return series.to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
        if pd.api.types.is_complex_dtype(series):
            raise ValueError("labels are complex numbers, but text or real numbers are expected")
        if pd.api.types.is_integer_dtype(series) and series.notna().all():
            return series.to_numpy(dtype=np.int64)
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = series.isna().to_numpy()
    return np.array(["" if lacks else str(x) for x, lacks in zip(series.tolist(), missing, strict=True)], dtype=str)


def _written_alike(names: list[str], samples: list[str]) -> list[str]:
    """Names of rows, written as those of the samples if that finds more samples than their exact texts do."""
    count = len(set(names) & set(samples))
    for form in FORMS.values():
        samples_by_form = {form(sample): sample for sample in samples}
        forms = {form(name) for name in names}
        is_unique = len(samples_by_form) == len(set(samples)) and len(forms) == len(set(names))
        if count < len(samples) and is_unique and len(forms & set(samples_by_form)) > count:
            return [samples_by_form.get(form(name), name) for name in names]
    return names


def _of_samples(source: str, series: pd.Series, samples: list[str]) -> tuple[pd.Series, list[str]]:
    """Rows in the order of the samples, matched by name and empty for samples without a row, and warnings."""
    n, series = len(samples), series.set_axis(series.index.astype(str))
    participants = [PARTICIPANT.fullmatch(sample) for sample in samples]
    if not series.index.isin(samples).any() and all(participants):
        series = series.set_axis([f"sub-{name.removeprefix('sub-')}" for name in series.index])
        samples = [match[1] for match in participants if match is not None]
    series = series.set_axis(_written_alike([*series.index], samples))
    is_of_sample = series.index.isin(samples)
    other_names, matched = series.index[~is_of_sample].unique(), series[is_of_sample]
    if matched.empty:
        first = other_names[0] if len(other_names) else ""
        raise UnreadableError(LABELS_OF_OTHERS.format(source=source, n=n, given=first, sample=samples[0]))
    repeated = matched.index[matched.index.duplicated()]
    if len(repeated):
        raise UnreadableError(f"{source} names sample {repeated[0]!r} more than once; keep one row of each sample.")
    unlabelled = [sample for sample in samples if sample not in matched.index]
    if unlabelled and samples == [str(i) for i in range(n)]:
        raise UnreadableError(LABELS_NUMBERED.format(source=source, count=len(unlabelled), n=n, sample=unlabelled[0]))
    table = source.removesuffix(f":{series.name}")  # the same rows lack in all columns, which then give one warning
    notes = [
        text.format(source=table, count=len(names), n=n, sample=names[0])
        for text, names in ((LABELS_MISSING, unlabelled), (LABELS_UNKNOWN, other_names))
        if len(names)
    ]
    return matched.reindex(samples), notes
