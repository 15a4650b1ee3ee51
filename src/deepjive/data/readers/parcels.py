"""A parcellation applied to images when they are read: the mean of each region instead of its voxels.

A parcellation is an image of whole numbers, one for each region; 0 is the background. The value of a region is the mean
over its voxels with a finite value. The parcellation is sampled at the voxels of the images by nearest neighbour, so
both must be in the same space, but not on the same grid.

Names come from a table with the columns ``index`` and ``name`` (as BIDS' ``*_dseg.tsv``): the table that is named, or
else a table beside the parcellation with the same name up to its suffix.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.chunks import row_batches
from deepjive.data.readers.guard import UnreadableError, reading
from deepjive.data.readers.lazy import LabelledRows
from deepjive.data.readers.volumes import IMAGES, ImageFrames, ImageRows, image_shape, image_values, opened

NAME_TABLES = (".tsv", ".csv")
INDEX_COLUMNS, NAME_COLUMNS = ("index", "label", "roi", "id"), ("name", "label_name", "region", "roi_name")

NOT_LABELS = "{path} is no parcellation: it holds {value!r}, but whole numbers from 0 on are expected."
NOT_VOLUMES = (
    "A parcellation is applied to images with an affine, but modality {name!r} is {what}. Give it as a list of NIfTI "
    "files, or leave out the parcellation."
)
NO_OVERLAP = (
    "{path} has no region at the voxels of the images of modality {name!r}. Their spaces differ, or an affine is wrong."
)
LOST = "{path}: {count} regions have no voxel on the grid of the images, e.g. {example!r}; they are left out."
NO_NAMES = "{path} needs the columns 'index' and 'name'; its columns are {columns}."


def parcellated(name: str, source: Any, parcellation: str | Path) -> Any:
    """Return the mean of each region of images.

    Parameters
    ----------
    name : str
        The modality, for the errors.
    source : object
        What `deepjive.data.files.read_array` returned; tables are returned unchanged.
    parcellation : path
        The image of labels; ``"atlas.nii.gz:names.tsv"`` names the table of names.

    Returns
    -------
    DataFrame, shape (n_samples, n_regions), or `source`
        A sample without an image has no row; if the samples have no names, its row is NaN.

    Raises
    ------
    UnreadableError
        If the parcellation is damaged, or has no region at the voxels of the images.
    """
    import pandas as pd

    rows, index = (source.array, source.index) if isinstance(source, LabelledRows) else (source, None)
    if isinstance(source, pd.DataFrame) or (len(getattr(rows, "shape", ())) == 2):
        return source
    if not isinstance(rows, (ImageRows, ImageFrames)) or len(rows.shape) != 4:
        raise UnreadableError(NOT_VOLUMES.format(name=name, what=f"an array of shape {tuple(rows.shape)}"))
    path, names = _files(str(parcellation))
    labels = _on_images(path, rows)
    numbers = np.unique(labels[labels > 0])
    if not len(numbers):
        raise UnreadableError(NO_OVERLAP.format(path=path, name=name))
    means = _means(rows, labels, numbers)
    has_image = rows.has_image if isinstance(rows, ImageRows) else np.ones(len(rows), dtype=bool)
    means[~has_image] = np.nan
    columns = [names.get(int(number), f"region {number}") for number in numbers]
    _check_lost(path, numbers, names)
    table = pd.DataFrame(means, index=index, columns=columns)
    return table if index is None else table[has_image]


def names_at(parcellation: str | Path, points: NDArray) -> list[str]:
    """Return the name of the region at each point.

    Parameters
    ----------
    parcellation : path
        The image of labels; ``"atlas.nii.gz:names.tsv"`` names the table of names.
    points : array, shape (n_points, 3)
        Coordinates in mm, in the space of the parcellation.

    Returns
    -------
    list of str
        Empty where the parcellation has no region.

    Raises
    ------
    UnreadableError
        If the parcellation is damaged.
    """
    path, names = _files(str(parcellation))
    labels, affine = _labels(path)
    inverse = np.linalg.inv(affine)
    places = np.round(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    found = []
    for place in places:
        is_inside = bool(((place >= 0) & (place < labels.shape)).all())
        number = int(labels[tuple(place)]) if is_inside else 0
        found.append(names.get(number, f"region {number}") if number else "")
    return found


def _files(source: str) -> tuple[Path, dict[int, str]]:
    """The image and the names of its labels."""
    for end in sorted(IMAGES, key=len, reverse=True):
        image, separator, names = source.partition(f"{end}:")
        if separator:
            return Path(image + end), _names(Path(names))
    path = Path(source)
    stem = next((path.name[: -len(end)] for end in sorted(IMAGES, key=len)[::-1] if path.name.endswith(end)), path.stem)
    tables = [path.with_name(f"{stem}{middle}{end}") for middle in ("", "_labels") for end in NAME_TABLES]
    table = next((table for table in tables if table.is_file()), None)
    return path, {} if table is None else _names(table)


def _names(path: Path) -> dict[int, str]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with reading(path):
        separator = "," if path.suffix.lower() == ".csv" else "\t"
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(), delimiter=separator))
        columns = {str(column).strip().lower(): column for column in (rows[0] if rows else {})}
        index = next((columns[key] for key in INDEX_COLUMNS if key in columns), None)
        name = next((columns[key] for key in NAME_COLUMNS if key in columns), None)
        if index is None or name is None:
            raise UnreadableError(NO_NAMES.format(path=path, columns=list(columns.values())))
        return {int(float(row[index])): row[name].strip() for row in rows if row[index]}


def _on_images(path: Path, rows: ImageRows | ImageFrames) -> NDArray[np.int64]:
    """Label of each voxel of the images, shape of an image."""
    from scipy.ndimage import map_coordinates

    values, affine = _labels(path)
    to_labels = np.linalg.inv(affine) @ rows.affine
    shape = rows.shape[1:]
    indices = np.indices(shape, dtype=np.float64).reshape(3, -1)
    places = (to_labels[:3, :3] @ indices + to_labels[:3, 3:]).reshape(3, *shape)
    return map_coordinates(values.astype(np.float64), np.round(places, 4), order=0).astype(np.int64)


def _labels(path: Path) -> tuple[NDArray, NDArray[np.float64]]:
    """The labels of a parcellation and its affine."""
    image = opened(path)
    values = image_values(path, image).reshape(image_shape(image))
    if values.ndim != 3:
        raise UnreadableError(f"{path} has the shape {values.shape}, but one volume of labels is expected.")
    wrong = values[~(np.isfinite(values) & (values >= 0) & (values == np.round(values)))]
    if wrong.size:
        raise UnreadableError(NOT_LABELS.format(path=path, value=float(wrong.flat[0])))
    return values, np.asarray(image.affine, dtype=np.float64)


def _means(rows: ImageRows | ImageFrames, labels: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    inside = labels > 0
    place = np.searchsorted(numbers, labels[inside])
    means = np.zeros((len(rows), len(numbers)))
    for batch in row_batches(np.arange(len(rows)), rows.shape[1:]):
        for row, volume in zip(batch, rows[batch], strict=True):
            values = volume[inside].astype(np.float64)
            finite = np.isfinite(values)
            sums = np.bincount(place[finite], values[finite], len(numbers))
            counts = np.bincount(place[finite], minlength=len(numbers))
            means[row] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def _check_lost(path: Path, numbers: NDArray[np.int64], names: dict[int, str]) -> None:
    import warnings

    lost = [name for number, name in names.items() if number > 0 and number not in set(numbers.tolist())]
    if lost:
        warnings.warn(LOST.format(path=path, count=len(lost), example=lost[0]), UserWarning, stacklevel=2)
