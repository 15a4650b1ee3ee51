"""Reading of arrays, data frames and labels from files, never through pickle.

If a file holds several arrays or columns, ``"file.npz:key"`` and ``"file.csv:column"`` choose one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.arrays import map_npy, read_npz
from deepjive.data.readers.guard import UnreadableError, reading
from deepjive.data.readers.labels import LABELS_LENGTH, column_of, labels_of_table
from deepjive.data.readers.lazy import LabelledRows
from deepjive.data.readers.stores import HDF5, ZARR, read_hdf5, read_zarr
from deepjive.data.readers.tables import TABLES, numbers_of, read_table, warn_of_numbers
from deepjive.data.readers.volumes import IMAGES, ImageFrames, ImageRows, is_image, is_missing, listed_paths

if TYPE_CHECKING:
    import pandas as pd

KEYED = (".npz", ZARR, *HDF5)
READERS = (".npy", ".npz", *TABLES, ZARR, *HDF5, *IMAGES, ".txt", ".h5ad")

NOT_A_LIST = "{path} must list the path of an image ({suffixes}) in every line, but line {line} is {text!r}."
NAMES_REPEATED = (
    "{source} names sample {sample!r} more than once. Give each sample a different name; FILE:COLUMN selects another "
    "column than the first."
)


def read_array(source: str | Path) -> Any:
    """Read one modality from a file.

    Parameters
    ----------
    source : path
        A file of one of these kinds; ``:key`` is needed if the file holds several arrays.

        - ``.npy`` (mapped, not loaded), ``.npz`` (``"file.npz:key"``)
        - ``.csv``, ``.tsv`` or ``.parquet``: a table with a header row, one sample a row. A first column that holds
          text, has no header or is called "id", "sample", "subject_id", "RID" or the like names the samples; any
          other column of numbers is a feature, with a warning where it could be names.
        - ``.h5``, ``.hdf5`` (``"file.h5:group/data"``) and ``.zarr`` folders: rows are read when needed
        - ``.nii``, ``.nii.gz``, ``.img`` with ``.hdr``, or ``.mgz`` of four dimensions, the last one being the
          samples; or a ``.txt`` file with the path of an image a line, or a table whose only column (after the
          samples' names) holds such paths; relative paths start at the folder of that file. A sample with an empty
          cell lacks the modality. Images are read when needed.
        - ``.h5ad``: the matrix ``X`` with the names of its observations and variables

    Returns
    -------
    array, pandas.DataFrame or LabelledRows
        A table becomes a data frame of floats; its empty cells are not a number.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it cannot be read, holds text or Python objects, or holds several arrays and no key is given.
    ImportError
        If the file needs an optional library; the error names the extra that brings it.
    """
    path, key = _split(str(source), KEYED)
    suffix = _suffix(path)
    if suffix in TABLES:
        table = read_table(path)
        images = _images_of(path, table)
        if images is not None:
            return images
        numbers = numbers_of(path, table)
        warn_of_numbers(path, table)
        return numbers
    return _open(path, suffix, key)


def read_labels(source: str | Path, samples: Sequence[str] | NDArray[np.str_] | None, n: int) -> NDArray:
    """Read one label for each sample, of text or numbers.

    Parameters
    ----------
    source : path
        A ``.npy`` file, a ``.npz`` file (``"file.npz:key"``) or a table (``"file.csv:column"``).
    samples : sequence of str or None
        Names of the samples. If the rows of the table are named too, labels are matched by name. Rows may then be in
        any order. Samples without a row, and rows of other samples, each give a warning. Otherwise labels are taken in
        order.
    n : int
        Number of samples.

    Returns
    -------
    array, shape (n,)
        Text or numbers. A sample without a row, or with an empty cell, has the empty text or NaN.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_array`; also if the number of labels in order is not `n`, or no label is found by name.
    """
    path, key = _split(str(source), (*KEYED, *TABLES))
    suffix = _suffix(path)
    if suffix in TABLES:
        return labels_of_table(str(source), path, key, samples, n)
    labels = _vector(source, path, suffix, key)
    if len(labels) != n:
        raise UnreadableError(LABELS_LENGTH.format(source=source, n=n, given=len(labels)))
    return labels


def read_names(source: str | Path, n: int) -> NDArray[np.str_]:
    """Read the names of samples, in order.

    Parameters
    ----------
    source : path
        A ``.txt`` file with one name in each line, a ``.npy`` file, a ``.npz`` file (``"file.npz:key"``) or a table.
        The first column of a table holds the names unless another column is chosen (``"file.csv:column"``).
    n : int
        Number of samples.

    Returns
    -------
    array of str, shape (n,)
        Names as written in the file, such as ``"0031"``.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_array`; also if the number of names is not `n`, or two names are the same.
    """
    path, key = _split(str(source), (*KEYED, *TABLES))
    suffix = _suffix(path)
    if suffix in TABLES:
        table = read_table(path, text=True)
        names = np.asarray(table.index if key is None else column_of(path, table, key)).astype(str)
        names = np.char.strip(names)
    elif suffix == ".txt":
        names = np.array([line.strip() for line in _lines(path)], dtype=str)
    else:
        names = _vector(source, path, suffix, key).astype(str)
    if len(names) != n:
        raise UnreadableError(
            f"There are {n} samples, but {source} holds {len(names)} names. Name each sample, in order."
        )
    unique_names, counts = np.unique(names, return_counts=True)
    if len(unique_names) < n:
        raise UnreadableError(NAMES_REPEATED.format(source=source, sample=str(unique_names[counts > 1][0])))
    return names


def _vector(source: str | Path, path: Path, suffix: str, key: str | None) -> NDArray:
    values = _open(path, suffix, key)
    values = np.asarray(values.array if isinstance(values, LabelledRows) else values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise UnreadableError(
            f"Labels and names must be one value for each sample, but {source} has shape {values.shape}."
        )
    return values


def _split(source: str, suffixes: tuple[str, ...]) -> tuple[Path, str | None]:
    head, separator, key = source.rpartition(":")
    if separator and head.lower().endswith(suffixes):
        return Path(head), key
    return Path(source), None


def _suffix(path: Path) -> str:
    """Return the suffix of an existing file, which is one of `READERS`."""
    suffix = next((reader for reader in READERS if path.name.lower().endswith(reader)), None)
    exists = path.is_dir() if suffix == ZARR else path.is_file()
    if not exists:
        raise FileNotFoundError(f"There is no file {path}.")
    if suffix is None:
        raise UnreadableError(
            f"{path} is not of a kind that can be read ({', '.join(READERS)}). Convert it to one of these."
        )
    return suffix


def _open(path: Path, suffix: str, key: str | None) -> Any:
    if suffix == ".npy":
        return map_npy(path)
    if suffix == ".npz":
        return read_npz(path, key)
    if suffix == ZARR:
        return read_zarr(path, key)
    if suffix in HDF5:
        return read_hdf5(path, key)
    if suffix == ".txt":
        return ImageRows(_listed_images(path))
    if suffix == ".h5ad":
        from deepjive.data.readers.annotated import read_h5ad

        return read_h5ad(path)
    return ImageFrames(path)


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank."""
    with reading(path):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line for line in lines if line.strip()]


def _listed_images(path: Path) -> list[Path | None]:
    """Return the image paths that a text file lists."""
    lines = _lines(path)
    wrong = [(number, line) for number, line in enumerate(lines, start=1) if not is_image(line)]
    if wrong or not lines:
        number, text = wrong[0] if wrong else (1, "")
        raise UnreadableError(NOT_A_LIST.format(path=path, suffixes=", ".join(IMAGES), line=number, text=text[:80]))
    return listed_paths(path, lines)


def _images_of(path: Path, table: pd.DataFrame) -> Any:
    """Return the images that a table lists in its only column, named by its index; None if it lists no images."""
    column = table.iloc[:, 0] if table.shape[1] == 1 else table.index.to_series() if table.shape[1] == 0 else None
    if column is None or not any(map(is_image, column)) or not all(is_image(c) or is_missing(c) for c in column):
        return None
    images = ImageRows(listed_paths(path, column.to_list()))
    named = table.shape[1] == 1 and type(table.index).__name__ != "RangeIndex"
    return LabelledRows(images, table.index) if named else images
