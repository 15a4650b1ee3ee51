"""Files in: from a path to an array or a data frame, never through pickle."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

READERS = (".npy", ".npz", ".csv", ".tsv")

NO_FILE = "There is no file {path}."
UNKNOWN_SUFFIX = "{path} is not of a kind that can be read ({readers}); convert it to one of these."
CHOOSE_ARRAY = "{path} holds several arrays {keys}; say which one with '{path}:NAME'."
NO_SUCH_ARRAY = "{path} has no array {key!r}; it holds {keys}."
UNREADABLE = "{path} could not be read: {reason}."


def read_array(source: str | Path) -> Any:
    """Read one modality from a file.

    Parameters
    ----------
    source : path
        A ``.npy`` file (mapped, not loaded), a ``.npz`` file (``"file.npz:key"`` when it holds several arrays), or
        a ``.csv`` / ``.tsv`` table with a header row, one sample a row; a first column of text names the samples.

    Returns
    -------
    array or pandas.DataFrame

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it cannot be read, or does not say which array is meant.
    """
    path, key = _split_key(str(source))
    if not path.is_file():
        raise FileNotFoundError(NO_FILE.format(path=path))
    if path.suffix not in READERS:
        raise ValueError(UNKNOWN_SUFFIX.format(path=path, readers=", ".join(READERS)))
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".npz":
            return _read_npz(path, key)
        return _read_table(path)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(UNREADABLE.format(path=path, reason=error)) from error


def _split_key(source: str) -> tuple[Path, str | None]:
    head, separator, key = source.rpartition(":")
    if separator and head.endswith(".npz"):
        return Path(head), key
    return Path(source), None


def _read_npz(path: Path, key: str | None) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        keys = list(archive.files)
        if key is None and len(keys) != 1:
            raise ValueError(CHOOSE_ARRAY.format(path=path, keys=keys))
        key = keys[0] if key is None else key
        if key not in keys:
            raise ValueError(NO_SUCH_ARRAY.format(path=path, key=key, keys=keys))
        return archive[key]


def _read_table(path: Path) -> Any:
    import pandas as pd

    table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    first = table.columns[0]
    if table[first].dtype.kind not in "fiub":
        table = table.set_index(first)
    return table
