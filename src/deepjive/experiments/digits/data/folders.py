"""Folders of data sets that are not part of the package."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "DEEPJIVE_DATA"

NOT_THERE = (
    "{name} is not in {folder}: there is no file {file}. {how} Give the folder that holds the files, or set the "
    "environment variable " + VARIABLE + " to a folder that contains a folder {name!r} with the files."
)


def data_folder(name: str, folder: str | Path | None, file: str, how: str) -> Path:
    """The folder of a data set: the folder given, or `name` inside the folder that DEEPJIVE_DATA names.

    Parameters
    ----------
    name : str
        Name of the data set's folder.
    folder : path or None
        The folder given by the user.
    file : str
        Name of a file that must be in the folder, plain or gzipped.
    how : str
        A sentence for the error that says where to get the files.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If the file is not in the folder.
    """
    path = Path(folder) if folder is not None else Path(os.environ.get(VARIABLE, "data")) / name
    if not any((path / f"{file}{suffix}").is_file() for suffix in ("", ".gz")):
        raise FileNotFoundError(NOT_THERE.format(name=name, folder=path, file=file, how=how))
    return path
