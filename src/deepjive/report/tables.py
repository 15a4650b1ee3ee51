"""CSV files that are safe in spreadsheets, and file names that are valid on every operating system.

Spreadsheets run a cell that starts with =, +, -, @ or a tab as a formula. An apostrophe is put before such text.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
NAME_LENGTH = 60


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as the text of a CSV file, with numbers in full precision and empty cells for NaN."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_cell(name) for name in header])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def scores_text(scores: NDArray, samples: NDArray | None, word: str) -> str:
    """Return scores as CSV text with a row for each sample.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Joint or individual scores.
    samples : array of str, shape (n_samples,), or None
        Names of the samples; None gives the numbers 0, 1, 2, ...
    word : str
        Name of the columns: ``"joint"`` gives ``joint_1``, ``joint_2``, ...
    """
    names = range(len(scores)) if samples is None else samples
    header = ["sample", *(f"{word}_{i}" for i in range(1, scores.shape[1] + 1))]
    return csv_text(header, ([name, *row] for name, row in zip(names, scores, strict=True)))


def variance_text(explained: Mapping[str, Mapping[str, float]]) -> str:
    """Return fractions of variance explained as CSV text with a row for each modality."""
    parts = list(dict.fromkeys(part for fractions in explained.values() for part in fractions))
    parts = [part for part in parts if part not in ("individual", "residual")] + ["individual", "residual"]
    rows = ([name, *(fractions.get(part, np.nan) for part in parts)] for name, fractions in explained.items())
    return csv_text(["id", *parts], rows)


def frame_text(frame: pd.DataFrame) -> str:
    """Return a data frame as CSV text, without its index."""
    return csv_text(list(frame.columns), frame.itertuples(index=False))


def history_text(history: Mapping[str, Sequence[Any]]) -> str:
    """Return a training history as CSV text with a row for each epoch."""
    return csv_text(list(history), zip(*history.values(), strict=True))


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return a valid file name for each name. File names differ also if upper and lower case count as the same.

    Examples
    --------
    >>> file_names(["mri", "MRI", "../pet 1"])
    {'mri': 'mri', 'MRI': 'MRI_2', '../pet 1': 'pet_1'}
    """
    file_name_of: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        stem = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", name))[:NAME_LENGTH].strip("_") or "modality"
        candidate, number = stem, 1
        while candidate.casefold() in used:
            number += 1
            candidate = f"{stem}_{number}"
        used.add(candidate.casefold())
        file_name_of[name] = candidate
    return file_name_of


def as_written(cell: str) -> str:
    """Return a text cell without the apostrophe that `csv_text` put before it.

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
    return safe.replace("\r", " ")  # csv.writer does not quote it


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None
