"""CSV files whose text cannot run as a formula in a spreadsheet, and file names that every system accepts.

A cell that starts with = + - @ or a tab is run as a formula by spreadsheets; such text gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
NAME_LENGTH = 60


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as the text of a CSV file; numbers in full precision, empty cells for NaN."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_cell(name) for name in header])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def scores_text(scores: NDArray, samples: NDArray | None, word: str) -> str:
    """Scores as CSV, a row for each sample.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Joint or individual scores.
    samples : array of str, shape (n_samples,), or None
        Names of the samples; numbered from 0 where None.
    word : str
        Name of the columns: ``"joint"`` gives ``joint_1``, ``joint_2``, ...
    """
    names = range(len(scores)) if samples is None else samples
    header = ["sample", *(f"{word}_{i}" for i in range(1, scores.shape[1] + 1))]
    return csv_text(header, ([name, *row] for name, row in zip(names, scores, strict=True)))


def variance_text(explained: Mapping[str, Mapping[str, float]]) -> str:
    """Fractions of variance explained as CSV, a row for each modality."""
    parts = ("joint", "individual", "residual")
    return csv_text(["id", *parts], ([name, *(of[part] for part in parts)] for name, of in explained.items()))


def history_text(history: Mapping[str, Sequence[Any]]) -> str:
    """A training history as CSV, a row for each epoch."""
    return csv_text(list(history), zip(*history.values(), strict=True))


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A different file name for each name, valid on every system, also where letter case is ignored.

    Examples
    --------
    >>> file_names(["mri", "MRI", "../pet 1"])
    {'mri': 'mri', 'MRI': 'MRI_2', '../pet 1': 'pet_1'}
    """
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", name))[:NAME_LENGTH].strip("_") or "modality"
        candidate, number = stem, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{stem}_{number}"
        taken.add(candidate.casefold())
        chosen[name] = candidate
    return chosen


def as_written(cell: str) -> str:
    """A text cell as it was before `csv_text` kept it from being run as a formula.

    Examples
    --------
    >>> as_written("'=1+1"), as_written("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else str(value)
    if not isinstance(value, str):
        return str(value)
    safe = f"'{value}" if value.startswith(FORMULA) and not _is_number(value) else value
    return safe.replace("\r", " ")  # which csv.writer would not quote


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None
