"""NIfTI images: a list of files, one for each sample, or one four-dimensional file whose last axis is the samples.

All files must have the same shape and affine, so that a voxel is the same place in every image. Images are read when
their rows are indexed, as 32-bit floats with the scaling of their headers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, check_claim, check_piece, optional, reading
from deepjive.data.readers.lazy import RowReader, runs_of

NIFTI = (".nii", ".nii.gz")
AFFINE_TOLERANCE = 1e-3  # mm; programs that write the same grid differ by less

DIFFERENT_GRID = (
    "{path} has {what} {given}, but {first} has {expected}. Resample all images to one grid first, e.g. with "
    "nilearn.image.resample_to_img."
)
ONE_IMAGE = (
    "{path} holds one image of shape {shape}. Give a list of files, one for each sample (a table or a .txt file on the "
    "command line), or a file of four dimensions whose last axis is the samples."
)


class NiftiRows(RowReader):
    """NIfTI files of one grid as the rows of an array.

    Parameters
    ----------
    paths : sequence of path
        A file for each sample.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    UnreadableError
        If a file is damaged, or if the grids of two files differ.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]
        first = opened(self.paths[0])
        check_piece(self.paths[0], image_shape(first), np.dtype(np.float32), "an image")
        for path in self.paths[1:]:
            _check_same_grid(path, opened(path), self.paths[0], first)
        super().__init__((len(self.paths), *image_shape(first)), np.float32)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        return np.stack([self._image(self.paths[row]) for row in rows])

    def _image(self, path: Path) -> NDArray:
        with reading(path):
            return np.asarray(opened(path).dataobj, dtype=np.float32).reshape(self.shape[1:])


class NiftiFrames(RowReader):
    """The images of one four-dimensional NIfTI file as the rows of an array.

    Parameters
    ----------
    path : path
        The file; its last axis is the samples.

    Raises
    ------
    UnreadableError
        If the file is damaged or has not four dimensions.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file = opened(self._path)
        shape = tuple(self._file.shape)
        if len(shape) != 4:
            raise UnreadableError(ONE_IMAGE.format(path=path, shape=shape))
        check_piece(self._path, shape[:3], np.dtype(np.float32), "an image")
        super().__init__((shape[3], *shape[:3]), np.float32)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        with reading(self._path):
            pieces = [np.asarray(self._file.dataobj[..., run], dtype=np.float32) for run in runs_of(rows)]
        return np.moveaxis(np.concatenate(pieces, axis=-1), -1, 0)


def is_nifti(path: Any) -> bool:
    """Return whether a path has the suffix of a NIfTI file."""
    return isinstance(path, (str, Path)) and str(path).lower().endswith(NIFTI)


def listed_paths(file: Path, lines: Sequence[Any]) -> list[Path]:
    """Return the paths listed in a file; relative paths start at the folder of this file."""
    return [file.parent / str(line).strip() for line in lines]


def opened(path: Path) -> Any:
    """Open an image, read its header only, and compare the size in the header with the size of the file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    UnreadableError
        If the file is not a NIfTI image of numbers, or is shorter than its header says.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    nibabel = optional("nibabel", f"Reading {path.name}")
    with reading(path):
        image = nibabel.load(path)
        if not is_nifti(path) or not isinstance(image, nibabel.Nifti1Image):
            raise UnreadableError(f"{path} is not a NIfTI file of one image (.nii or .nii.gz).")
        stored = np.dtype(image.get_data_dtype())
        if stored.kind not in "fiu" or any(length < 1 for length in image.shape):
            raise UnreadableError(UNREADABLE.format(path=path, reason=f"{image.shape} of {stored} is no image"))
        claimed, size = stored.itemsize * math.prod(map(int, image.shape)), path.stat().st_size
        n_missing = claimed + int(image.dataobj.offset) - size
        if path.suffix.lower() == ".nii" and n_missing > 0:
            raise UnreadableError(UNREADABLE.format(path=path, reason=f"its last {n_missing} bytes are missing"))
        check_claim(path, claimed, size, "an image")
        return image


def image_shape(image: Any) -> tuple[int, ...]:
    """Return the shape without the axes of length 1 at the end that some programs add."""
    shape = tuple(int(length) for length in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _check_same_grid(path: Path, image: Any, first_path: Path, first: Any) -> None:
    """Raise an error if shape or affine of an image differ from the shape or affine of the first image."""
    shape, expected_shape = image_shape(image), image_shape(first)
    for what, given, expected, is_same in (
        ("the shape", shape, expected_shape, shape == expected_shape),
        ("the affine", image.affine, first.affine, np.allclose(image.affine, first.affine, 0, AFFINE_TOLERANCE)),
    ):
        if not is_same:
            given, expected = (np.round(value, 3).tolist() for value in (given, expected))
            raise UnreadableError(
                DIFFERENT_GRID.format(path=path, what=what, given=given, first=first_path, expected=expected)
            )
