"""Where data that are not brought along lie on disk."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "DEEPJIVE_DATA"

NOT_THERE = (
    "{name} is not in {looked}: there is no file {file}. {how} Give the folder that holds the files, or set the "
    "environment variable " + VARIABLE + " to the folder that has a folder {name!r} with them."
)


def data_folder(name: str, folder: str | Path | None, file: str, how: str) -> Path:
    """The folder of a data set: the one given, or `name` inside the folder that DEEPJIVE_DATA names.

    Parameters
    ----------
    name : str
        Name of the data set's folder.
    folder : path or None
        The user's own.
    file : str
        A file that must be there, as it is or gzipped.
    how : str
        Where to get the files, for the error.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    """
    looked = Path(folder) if folder is not None else Path(os.environ.get(VARIABLE, "data")) / name
    if not any((looked / f"{file}{suffix}").is_file() for suffix in ("", ".gz")):
        raise FileNotFoundError(NOT_THERE.format(name=name, looked=looked, file=file, how=how))
    return looked
