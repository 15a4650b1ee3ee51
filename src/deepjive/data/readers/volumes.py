"""NIfTI images: a list of files, one for each sample, or one four-dimensional file whose last axis is the samples.

All files must share shape and affine, or their voxels would not be the same places. Images are read as 32-bit floats,
scaled as their headers say, when their rows are asked for.
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
AFFINE_TOLERANCE = 1e-3  # mm, which no two programs that write the same grid differ by

NO_FILE = "There is no file {path}."
NOT_NIFTI = "{path} is not a NIfTI file of one image (.nii or .nii.gz)."
DIFFERENT_GRID = (
    "{path} has {what} {given}, but {first} has {expected}. Bring all images to one grid first, e.g. with "
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
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]
        first = opened(self.paths[0])
        shape, affine = image_shape(first), np.asarray(first.affine)
        check_piece(self.paths[0], shape, np.dtype(np.float32), "an image")
        for path in self.paths[1:]:
            image = opened(path)
            for what, given, expected, same in (
                ("the shape", image_shape(image), shape, image_shape(image) == shape),
                ("the affine", image.affine, affine, np.allclose(image.affine, affine, rtol=0, atol=AFFINE_TOLERANCE)),
            ):
                if not same:
                    given, expected = (np.round(value, 3).tolist() for value in (given, expected))
                    raise UnreadableError(
                        DIFFERENT_GRID.format(path=path, what=what, given=given, first=self.paths[0], expected=expected)
                    )
        super().__init__((len(self.paths), *shape), np.float32)

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
    """Whether a path is named as a NIfTI file."""
    return isinstance(path, (str, Path)) and str(path).lower().endswith(NIFTI)


def listed_paths(file: Path, lines: Sequence[Any]) -> list[Path]:
    """Paths listed in a file, as they are or from the folder of that file."""
    return [file.parent / str(line).strip() for line in lines]


def opened(path: Path) -> Any:
    """An image of which only the header is read, after comparing what it claims with the size of the file."""
    if not path.is_file():
        raise FileNotFoundError(NO_FILE.format(path=path))
    nibabel = optional("nibabel", f"Reading {path.name}")
    with reading(path):
        image = nibabel.load(path)
        if not is_nifti(path) or not isinstance(image, nibabel.Nifti1Image):
            raise UnreadableError(NOT_NIFTI.format(path=path))
        stored = np.dtype(image.get_data_dtype())
        if stored.kind not in "fiu" or any(length < 1 for length in image.shape):
            raise UnreadableError(UNREADABLE.format(path=path, reason=f"{image.shape} of {stored} is no image"))
        claimed, size = stored.itemsize * math.prod(map(int, image.shape)), path.stat().st_size
        missing = claimed + int(image.dataobj.offset) - size
        if path.suffix.lower() == ".nii" and missing > 0:
            raise UnreadableError(UNREADABLE.format(path=path, reason=f"the last {missing} bytes of it are missing"))
        check_claim(path, claimed, size, "an image")
        return image


def image_shape(image: Any) -> tuple[int, ...]:
    """The shape without axes of length 1 at the end, which some programs add."""
    shape = tuple(int(length) for length in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
