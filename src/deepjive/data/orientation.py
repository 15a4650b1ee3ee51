"""Orientation: whether the rows of a table are samples, and tables whose columns are the samples.

Two tables of the same samples share the names of their samples. If their columns share names instead of their rows,
or the columns of one are named like the rows of the other, a table has its features in rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.lazy import LabelledRows
from deepjive.data.readers.words import is_feature_column, is_sample_column

FEWEST_SAMPLES = 10  # fewer columns than this are hardly samples
FEATURES_FIRST = (
    "The index of modality {name!r} is called {column!r}, so that its rows seem to be features and its columns "
    "samples. Say which: features_in_rows=[{name!r}] (--features-in-rows {name}), or features_in_rows=False if the "
    "rows are samples."
)
COLUMNS_SHARED = (
    "The columns of modalities {first!r} and {second!r} share {columns} names{examples}, their rows {rows}. So the "
    "columns seem to be the samples. Read these tables with features_in_rows=True (--features-in-rows all), or say "
    "features_in_rows=False (--features-in-rows none) if the rows are samples."
)
EITHER = (
    "The tables of modalities {first!r} and {second!r} have the same {n} row names and the same {p} column names, so "
    "that either may be the samples. Say which: features_in_rows=True (--features-in-rows all) if the {p} columns are "
    "the samples, features_in_rows=False (--features-in-rows none) if the {n} rows are."
)
ONE_TURNED = (
    "The columns of {turned!r} are named like the rows of {other!r}. Read {turned!r} with its features in rows: "
    "features_in_rows=[{turned!r}] (--features-in-rows {turned})."
)
NOT_A_TABLE = (
    "Modality {name!r} cannot be read with its features in rows: it is a {kind}. This is possible for tables, data "
    "frames, and arrays of two axes in memory. Transpose it beforehand."
)
UNKNOWN_TABLES = (
    "features_in_rows (--features-in-rows) names {unknown}, but the modalities are {names}. Name some of them, or all."
)


def turned(features_in_rows: bool | Sequence[str] | None, names: Sequence[str]) -> dict[str, bool | None]:
    """Return for each modality whether its features are in rows; None if it was not said.

    Parameters
    ----------
    features_in_rows : bool, sequence of str, or None
        True or False for all modalities, or the names of those that have their features in rows.
    names : sequence of str
        The modalities.

    Raises
    ------
    ValueError
        If a modality is named that does not exist.
    """
    if features_in_rows is None or isinstance(features_in_rows, (bool, np.bool_)):
        return dict.fromkeys(names, None if features_in_rows is None else bool(features_in_rows))
    chosen = [features_in_rows] if isinstance(features_in_rows, str) else list(features_in_rows)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(UNKNOWN_TABLES.format(unknown=unknown, names=list(names)))
    return {name: name in chosen for name in names}


def transposed(name: str, source: Any) -> Any:
    """Return a frame or an array in memory with its rows and columns exchanged."""
    if _is_frame(source):
        return source.T
    if getattr(source, "ndim", 0) == 2 and hasattr(source, "T"):
        return source.T
    raise ValueError(NOT_A_TABLE.format(name=name, kind=type(source).__name__))


def check_orientation(sources: Mapping[str, Any], named: Mapping[str, NDArray[np.str_]]) -> None:
    """Raise an error if the columns of tables, rather than their rows, seem to be the samples.

    Parameters
    ----------
    sources : mapping of str to source
        The modalities.
    named : mapping of str to array of str
        Names of the rows of the modalities that name their rows.
    """
    for name in named:
        column = sources[name].index.name if _is_frame(sources[name]) else None
        if column is not None and is_feature_column(column):
            raise ValueError(FEATURES_FIRST.format(name=name, column=column))
    columns = {name: names for name in named if (names := _column_names(sources[name])) is not None}
    if len(columns) < 2 or len(columns) < len(sources):
        return
    if any(is_sample_column(sources[name].index.name or "") for name in columns):
        return
    (first, of_first), *others = columns.items()
    for second, of_second in others:
        shared = of_first & of_second
        rows = [set(named[name].tolist()) for name in (first, second)]
        common = len(rows[0] & rows[1])
        if len(shared) < FEWEST_SAMPLES or len(shared) < 0.5 * min(len(of_first), len(of_second)):
            return
        if rows[0] != rows[1]:
            if common < 0.5 * min(map(len, rows)) or of_first == of_second:
                examples = f" ({', '.join(map(repr, sorted(shared)[:3]))}, ...)"
                raise ValueError(
                    COLUMNS_SHARED.format(
                        first=first, second=second, columns=len(shared), examples=examples, rows=common or "none"
                    )
                )
            return
        if of_first != of_second:
            return
    if len(rows[0]) > len(of_first) >= FEWEST_SAMPLES:
        raise ValueError(EITHER.format(first=first, second=second, n=len(rows[0]), p=len(of_first)))


def orientation_advice(
    sources: Mapping[str, Any], named: Mapping[str, NDArray[np.str_]], first: str, second: str
) -> str | None:
    """Return how to read two tables of different rows if the columns of one are named like the rows of the other."""
    for one, other in ((second, first), (first, second)):
        columns = _column_names(sources[one])
        rows = set(named[other].tolist())
        if columns is not None and rows and len(columns & rows) >= max(1, 0.5 * min(len(columns), len(rows))):
            return ONE_TURNED.format(turned=one, other=other)
    return None


def lengths_advice(sources: Mapping[str, Any]) -> str:
    """Return how to read tables of different lengths if one has as many columns as another has rows; else nothing."""
    shapes = {name: tuple(getattr(source, "shape", ())) for name, source in sources.items()}
    for name, shape in shapes.items():
        others = {other[0] for key, other in shapes.items() if key != name and other}
        if len(shape) == 2 and others == {shape[1]} and shape[0] != shape[1]:
            return (
                f" The columns of {name!r} are as many as the samples of the others: if they are the samples, read it "
                f"with features_in_rows=[{name!r}] (--features-in-rows {name})."
            )
    if len({shape[1] for shape in shapes.values() if len(shape) == 2}) == 1 and all(
        len(s) == 2 for s in shapes.values()
    ):
        return (
            " All have the same number of columns: if these are the samples, read them with features_in_rows=True "
            "(--features-in-rows all)."
        )
    return ""


def _is_frame(source: Any) -> bool:
    return hasattr(source, "loc") and hasattr(source, "columns")


def _column_names(source: Any) -> set[str] | None:
    """Names of the columns of a table; None if it has none but 0, 1, 2, ..."""
    if isinstance(source, LabelledRows):
        return None if source.features is None else set(np.ravel(source.features).tolist())
    if not _is_frame(source) or type(source.columns).__name__ == "RangeIndex":
        return None
    return {str(column).strip() for column in source.columns}
