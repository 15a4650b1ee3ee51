"""Reading of arrays, data frames and labels from files, never through pickle.

If a file holds several arrays or columns, ``"file.npz:key"`` and ``"file.csv:column"`` choose one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.arrays import map_npy, read_npz
from deepjive.data.readers.guard import UnreadableError, reading
from deepjive.data.readers.labels import LABELS_LENGTH, column_of, labels_of_series, labels_of_table
from deepjive.data.readers.lazy import LabelledRows
from deepjive.data.readers.region_tables import read_region_source
from deepjive.data.readers.stores import HDF5, ZARR, read_hdf5, read_zarr
from deepjive.data.readers.tables import (
    SHEETS,
    TABLES,
    TableFormat,
    check_first_column,
    is_default,
    numbers_of,
    read_table,
    without_columns,
)
from deepjive.data.readers.volumes import IMAGES, ImageFrames, is_image, is_missing, listed_paths, rows_of_images

if TYPE_CHECKING:
    import pandas as pd

KEYED = (".npz", ZARR, *HDF5, SHEETS)
ANNOTATED = (".h5ad", ".h5mu")
READERS = (".npy", ".npz", *TABLES, ZARR, *HDF5, *IMAGES, ".txt", ".h5ad")

NOT_A_LIST = (
    "{path} must list the path of an image ({suffixes}) in every line, but line {line} is {text!r}. Rename a table to "
    ".csv, or to .tsv if tabs separate its columns."
)
NOT_ORIENTED = (
    "{path} cannot be read with its features in rows. This is possible for tables, .npy and .npz; transpose it "
    "beforehand."
)
NO_OBS_COLUMN = "{path} holds many columns; say which one with '{path}:obs:COLUMN'."
NAMES_REPEATED = (
    "{source} names sample {sample!r} more than once. Give each sample a different name; FILE:COLUMN selects another "
    "column than the first."
)


@dataclass(frozen=True)
class FileSource:
    """A file together with how it is read, as a modality of `Modalities`.

    Attributes
    ----------
    path : path
        The file; see `read_array`.
    separator, decimal, one_hot, not_features, ignored, parcellation
        As for `read_array`.

    Examples
    --------
    >>> from deepjive.data import FileSource
    >>> FileSource("proteins.csv", decimal=",").decimal
    ','
    """

    path: str | Path
    separator: str | None = None
    decimal: str | None = None
    one_hot: bool = False
    not_features: Sequence[str] = ()
    ignored: Sequence[str] = ()
    parcellation: str | Path | None = None

    def read(self, features_in_rows: bool | None) -> Any:
        """Read the file."""
        return read_array(
            self.path,
            separator=self.separator,
            decimal=self.decimal,
            features_in_rows=features_in_rows,
            one_hot=self.one_hot,
            not_features=self.not_features,
            ignored=self.ignored,
            parcellation=self.parcellation,
        )


def read_array(
    source: str | Path,
    *,
    separator: str | None = None,
    decimal: str | None = None,
    features_in_rows: bool | None = None,
    one_hot: bool = False,
    not_features: Sequence[str] = (),
    ignored: Sequence[str] = (),
    parcellation: str | Path | None = None,
) -> Any:
    """Read one modality from a file.

    Parameters
    ----------
    source : path
        A file of one of these kinds; ``:key`` is needed if the file holds several arrays.

        - ``.npy`` (mapped, not loaded), ``.npz`` (``"file.npz:key"``)
        - ``.csv``, ``.tsv`` (also ``.csv.gz``, ``.tsv.gz``), ``.xlsx`` (``"file.xlsx:sheet"``) or ``.parquet``: a
          table with a header row, one sample a row. A first column that holds text, has no header or is called "id",
          "sample", "subject_id", "RID" or the like names the samples. A first column of whole numbers that could be
          names is refused.
        - ``.h5``, ``.hdf5`` (``"file.h5:group/data"``) and ``.zarr`` folders: rows are read when needed
        - ``.nii``, ``.nii.gz``, ``.img`` with ``.hdr``, ``.mgh`` or ``.mgz`` of four dimensions, the last one being the
          samples; or a ``.txt`` file with the path of an image a line, or a table whose only column (after the
          samples' names) holds such paths; relative paths start at the folder of that file. A sample with an empty
          cell lacks the modality. Images are read when needed. Maps on a surface (``.gii``, ``.dscalar.nii``, and
          ``.mgh`` of shape (n_vertices, 1, 1)) are listed in the same way and have one value for each vertex.
        - ``.h5ad``: the matrix ``X`` with the names of its observations and variables
        - ``FOLDER:ATLAS:MEASURE``: regions of all participants in a folder of FreeSurfer, Clinica or CAT12, such as
          ``"SUBJECTS_DIR:aparc:thickness"`` or ``"CAPS:AAL2:pet:trc-18FAV45"``; see `region_table`
    separator, decimal : str, optional
        Separator of the columns and decimal mark of a table. By default both are found from the file.
    features_in_rows : bool, optional
        Whether the rows are features and the columns are samples. By default rows are samples, and a table whose first
        column is called "gene", "feature" or the like is refused.
    one_hot : bool, default=False
        Whether a column of text becomes a column of 0 and 1 for each of its values, named ``"column=value"``.
    not_features : sequence of str, optional
        Columns of a table that are left out, such as labels. A table without one of them is an error.
    ignored : sequence of str, optional
        Columns that are left out of a table that has them, such as labels that were known for the fitted samples.
    parcellation : path, optional
        An image of labels in the space of the images, such as ``"atlas.nii.gz"`` or ``"atlas.nii.gz:names.tsv"``. The
        mean of each region then takes the place of the voxels. The table of names has the columns ``index`` and
        ``name``; by default it is the table with the name of the image, e.g. ``atlas.tsv``.

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
    regions = read_region_source(str(source))
    if regions is not None:
        if features_in_rows:
            raise UnreadableError(NOT_ORIENTED.format(path=source))
        return regions
    path, key = _split(str(source), KEYED)
    suffix = _suffix(path)
    if suffix in TABLES:
        table_format = TableFormat(separator, decimal, features_in_rows, one_hot, tuple(not_features))
        table = read_table(path, key, table_format)
        left_out = [name for name in ignored if name in table.columns and name not in not_features]
        table = without_columns(path, table, left_out)
        images = _images_of(path, table)
        if images is not None:
            return _in_parcels(source, images, parcellation)
        if not features_in_rows:
            check_first_column(path, without_columns(path, table, table_format.not_features))
        return numbers_of(path, table, table_format)
    array = _in_parcels(source, _open(path, suffix, key), parcellation)
    if features_in_rows and suffix not in (".npy", ".npz"):
        raise UnreadableError(NOT_ORIENTED.format(path=path))
    return array.T if features_in_rows else array


def _in_parcels(source: str | Path, array: Any, parcellation: str | Path | None) -> Any:
    """Images as the means of their regions; other arrays unchanged."""
    if parcellation is None:
        return array
    from deepjive.data.readers.parcels import parcellated

    return parcellated(str(source), array, parcellation)


def read_labels(source: str | Path, samples: Sequence[str] | NDArray[np.str_] | None, n: int) -> NDArray:
    """Read one label for each sample, of text or numbers.

    Parameters
    ----------
    source : path
        A ``.npy`` file, a ``.npz`` file (``"file.npz:key"``), a table (``"file.csv:column"``,
        ``"file.xlsx:sheet:column"``), or a column of the observations of an AnnData or MuData file
        (``"file.h5ad:obs:column"``, ``"file.h5mu:modality:obs:column"``).
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
    path, key = _split(str(source), (*KEYED, *TABLES, *ANNOTATED))
    suffix = _suffix(path, (*READERS, *ANNOTATED))
    if suffix in TABLES:
        sheet, column = _sheet_and_column(suffix, key)
        return labels_of_table(str(source), path, sheet, column, samples, n)
    if suffix in ANNOTATED:
        return _labels_of_obs(str(source), path, key, samples, n)
    labels = _vector(source, path, suffix, key)
    if len(labels) != n:
        raise UnreadableError(LABELS_LENGTH.format(source=source, n=n, given=len(labels)))
    return labels


def read_names(source: str | Path, n: int | None = None) -> NDArray[np.str_]:
    """Read the names of samples, in order.

    Parameters
    ----------
    source : path
        A ``.txt`` file with one name in each line, a ``.npy`` file, a ``.npz`` file (``"file.npz:key"``) or a table.
        The first column of a table holds the names unless another column is chosen (``"file.csv:column"``).
    n : int, optional
        Number of samples, which is checked.

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
        sheet, column = _sheet_and_column(suffix, key)
        table = read_table(path, sheet, text=True)
        has_names = not is_default(table.index)
        first = table.index if has_names or not table.shape[1] else table.iloc[:, 0]
        names = np.asarray(first if column is None else column_of(path, table, column)).astype(str)
        names = np.char.strip(names)
    elif suffix == ".txt":
        names = np.array([line.strip() for line in _lines(path)], dtype=str)
    else:
        names = _vector(source, path, suffix, key).astype(str)
    if n is not None and len(names) != n:
        raise UnreadableError(
            f"There are {n} samples, but {source} holds {len(names)} names. Name each sample, in order."
        )
    unique_names, counts = np.unique(names, return_counts=True)
    if len(unique_names) < len(names):
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


def file_and_key(source: str) -> tuple[Path, str | None]:
    """Split the source of an array, of names or of labels into its file and what it chooses from the file."""
    return _split(source, (*KEYED, *TABLES, *ANNOTATED))


def columns_of(source: str) -> dict[str, str]:
    """Return the sources of several columns of one file, such as ``"patients.csv:age,sex"``, by their names.

    Raises
    ------
    ValueError
        If no column is named.
    """
    path, key = file_and_key(source)
    place, _, names = (key or "").rpartition(":")
    columns = [name.strip() for name in names.split(",") if name.strip()]
    if not columns:
        raise UnreadableError(f"Name the columns of {path}: '{path}:COLUMN,COLUMN'.")
    return {name: ":".join(part for part in (str(path), place, name) if part) for name in columns}


def _split(source: str, suffixes: tuple[str, ...]) -> tuple[Path, str | None]:
    """Split "FILE:KEY" after the suffix of the file; the key may hold colons itself."""
    ends = "|".join(re.escape(suffix) for suffix in sorted(suffixes, key=len, reverse=True))
    match = re.fullmatch(rf"(.*?(?:{ends})):(.*)", source, re.IGNORECASE | re.DOTALL)
    if match is None or Path(source).exists():
        return Path(source), None
    return Path(match[1]), match[2]


def _sheet_and_column(suffix: str, key: str | None) -> tuple[str | None, str | None]:
    """Sheet and column in the key of labels; only `.xlsx` files have sheets."""
    if suffix != SHEETS or key is None or ":" not in key:
        return None, key
    sheet, _, column = key.partition(":")
    return sheet, column


def _labels_of_obs(source: str, path: Path, key: str | None, samples: Any, n: int) -> NDArray:
    from deepjive.data.readers.annotated import read_obs

    if not key:
        raise UnreadableError(NO_OBS_COLUMN.format(path=path))
    modality, has_place, column = f":{key}".partition(":obs:")
    modality, column = (modality.strip(":"), column) if has_place else ("", key)
    series = read_obs(path, column, modality or None)
    return labels_of_series(source, series.set_axis(series.index.astype(str)), samples, n)


def _suffix(path: Path, suffixes: tuple[str, ...] = READERS) -> str:
    """Return the suffix of an existing file, which is one of `suffixes`."""
    suffix = next((reader for reader in suffixes if path.name.lower().endswith(reader)), None)
    exists = path.is_dir() if suffix == ZARR else path.is_file()
    if not exists:
        raise FileNotFoundError(f"There is no file {path}.")
    if suffix is None:
        raise UnreadableError(
            f"{path} is not of a kind that can be read ({', '.join(suffixes)}). Convert it to one of these."
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
        return rows_of_images(_listed_images(path))
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
    images = rows_of_images(listed_paths(path, column.to_list()))
    named = table.shape[1] == 1 and not is_default(table.index)
    return LabelledRows(images, table.index) if named else images
