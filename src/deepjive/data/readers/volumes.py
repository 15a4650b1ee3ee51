"""Images: a list of files, one for each sample, or one four-dimensional file whose last axis is the samples.

The formats are NIfTI (.nii, .nii.gz, or .img with .hdr), Analyze (.img with .hdr) and MGH of FreeSurfer (.mgz, .mgh).
All images must have the same shape and affine, so that a voxel is the same place in every image. Images are read when
their rows are indexed, as 32-bit floats with the scaling of their headers. A compressed file is read to its end, where
its checksum is, so that a damaged file is an error and never gives other values.
"""

from __future__ import annotations

import gzip
import math
from collections import deque
from collections.abc import KeysView, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UNREADABLE, UnreadableError, check_claim, check_piece, optional, reading
from deepjive.data.readers.lazy import LabelledRows, LazyRows, RowReader, SpreadRows, runs_of
from deepjive.data.readers.surfaces import SurfaceRows, is_surface
from deepjive.data.readers.tables import is_default

IMAGES = (".nii", ".nii.gz", ".img", ".img.gz", ".hdr", ".mgz", ".mgh", ".gii")
COMPRESSED = (".gz", ".mgz")
AFFINE_TOLERANCE = 1e-3  # mm; programs that write the same grid differ by less
PIECE = 2**20

DIFFERENT_GRID = (
    "{image} has {what} {given}, but {first} has {expected}. Resample all images to one grid first, e.g. with "
    "nilearn.image.resample_to_img."
)
ONE_IMAGE = (
    "{image} holds one image of shape {shape}. Give a list of files, one for each sample (a table or a .txt file on "
    "the command line), or a file of four dimensions whose last axis is the samples."
)
NOT_AN_IMAGE = (
    "Entry {row} of {name} is {given!r}, but the path of an image ({suffixes}), a nibabel image, or None for "
    "a sample without this image is expected."
)


class ImageRows(RowReader):
    """Images of one grid as the rows of an array.

    Parameters
    ----------
    images : sequence of path, nibabel image or None
        An image for each sample. None stands for a sample without this image; its row is 0. At least one entry is an
        image.

    Attributes
    ----------
    has_image : array of bool, shape (n_samples,)
        Whether the sample has an image.
    affine : array, shape (4, 4)
        Affine from voxel indices to mm.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    UnreadableError
        If a file is damaged, or if the grids of two images differ.
    """

    def __init__(self, images: Sequence[Any]) -> None:
        self.images = [_source_of(image) for image in images]
        self.has_image = np.array([image is not None for image in self.images], dtype=bool)
        rows = np.flatnonzero(self.has_image)
        first_name, first = _name(self.images[rows[0]], rows[0]), _opened(self.images[rows[0]])
        check_piece(first_name, image_shape(first), np.dtype(np.float32), "an image")
        for row in rows[1:]:
            _check_same_grid(_name(self.images[row], row), _opened(self.images[row]), first_name, first)
        self.affine = np.asarray(first.affine, dtype=float)
        super().__init__((len(self.images), *image_shape(first)), np.float32)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        return np.stack([self._image(self.images[row]) for row in rows])

    def _image(self, image: Any) -> NDArray:
        if image is None:
            return np.zeros(self.shape[1:], np.float32)
        values = (
            image_values(image, opened(image)) if isinstance(image, Path) else np.asarray(image.dataobj, np.float32)
        )
        return values.reshape(self.shape[1:])


class ImageFrames(RowReader):
    """The images of one four-dimensional image as the rows of an array.

    Parameters
    ----------
    image : path or nibabel image
        The image; its last axis is the samples.

    Raises
    ------
    UnreadableError
        If the file is damaged or has not four dimensions.
    """

    def __init__(self, image: Any) -> None:
        source = _source_of(image)
        self._name = _name(source, 0)
        self._file = _opened(source)
        self.affine = np.asarray(self._file.affine, dtype=float)
        shape = tuple(self._file.shape)
        if len(shape) != 4:
            raise UnreadableError(ONE_IMAGE.format(image=self._name, shape=shape))
        check_piece(self._name, shape[:3], np.dtype(np.float32), "an image")
        if isinstance(source, Path):
            _check_compressed(source, self._file)
        super().__init__((shape[3], *without_empty_axes(shape[:3])), np.float32)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        with reading(self._name):
            pieces = [np.asarray(self._file.dataobj[..., run], dtype=np.float32) for run in runs_of(rows)]
        return np.moveaxis(np.concatenate(pieces, axis=-1), -1, 0).reshape(len(rows), *self.shape[1:])


def rows_of_images(images: Sequence[Any]) -> ImageRows | SurfaceRows:
    """Return files of images, or of maps on a surface, as the rows of an array; see `ImageRows` and `SurfaceRows`."""
    first = next((image for image in images if not is_missing(image)), None)
    if not is_surface(first):
        return ImageRows(images)
    return SurfaceRows([None if is_missing(image) else image for image in images])


def is_image(value: Any) -> bool:
    """Return whether a value is a path with the suffix of an image, or a nibabel image."""
    if isinstance(value, (str, Path)):
        return str(value).strip().lower().endswith(IMAGES)
    return hasattr(value, "dataobj") and hasattr(value, "affine")


def is_missing(value: Any) -> bool:
    """Return whether an entry of a list of images says that there is none: None, NaN, pandas' NA, or an empty text."""
    if isinstance(value, str):
        return not value.strip()
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def images_of(source: Any, name: str = "the list of images") -> Any:
    """Return images as the rows of an array.

    Parameters
    ----------
    source : object
        A sequence of paths or nibabel images, such as a list, an array of text or a Series, whose index names the
        samples; or a nibabel image of four dimensions.
    name : str, default="the list of images"
        What the source is called in errors.

    Returns
    -------
    ImageRows, ImageFrames, LabelledRows or None
        None if the source holds no images.

    Raises
    ------
    UnreadableError
        If some entries are images and others neither images nor missing, or as `ImageRows` and `ImageFrames`.
    """
    if isinstance(source, (str, bytes, Path, Mapping)):
        return None
    if is_image(source):
        return ImageFrames(source)
    index = getattr(source, "index", None)
    if hasattr(source, "iloc") and hasattr(source, "columns") and source.shape[1] == 1:
        source = source.iloc[:, 0]
    if hasattr(source, "to_list") or (hasattr(source, "tolist") and not isinstance(source, np.ndarray)):
        is_one_column = len(getattr(source, "shape", ())) == 1 and _may_hold_paths(getattr(source, "dtype", ""))
        entries = list(source) if is_one_column else []
    elif isinstance(source, (list, tuple, deque, KeysView)):
        entries = list(source)
    elif isinstance(source, np.ndarray) and source.ndim == 1 and source.dtype.kind in "OUT":
        entries = source.tolist()
    else:
        return None
    first = next((entry for entry in entries if not is_missing(entry)), None)
    if not is_image(first):
        return None
    for row, entry in enumerate(entries):
        if not (is_missing(entry) or is_image(entry)):
            raise UnreadableError(
                NOT_AN_IMAGE.format(row=row, name=name, given=_shown(entry), suffixes=", ".join(IMAGES))
            )
    rows = rows_of_images(entries)
    return LabelledRows(rows, index) if hasattr(source, "iloc") and not is_default(index) else rows


def rows_with_image(array: Any) -> NDArray[np.bool_] | None:
    """Return which rows have an image, for a selection of rows of images; None for other arrays."""
    if isinstance(array, LabelledRows):
        return rows_with_image(array.array)
    if isinstance(array, (ImageRows, SurfaceRows)):
        return array.has_image
    if isinstance(array, LazyRows):
        has_image = rows_with_image(array.array)
        return None if has_image is None else has_image[array.indices]
    if isinstance(array, SpreadRows):
        has_image = rows_with_image(array.array)
        return None if has_image is None else has_image[array.places] & (array.places >= 0)
    return None


def listed_paths(file: Path, lines: Sequence[Any]) -> list[Path | None]:
    """Return the paths listed in a file; relative paths start at its folder, and an empty line or cell is None."""
    return [None if is_missing(line) else file.parent / str(line).strip() for line in lines]


def opened(path: Path) -> Any:
    """Open an image, read its header only, and compare the size in the header with the size of the file.

    Raises
    ------
    FileNotFoundError
        If the file, or the other file of a pair of .img and .hdr, does not exist.
    UnreadableError
        If the file is not an image of numbers, or is shorter than its header says.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    nibabel = optional("nibabel", f"Reading {path.name}")
    with reading(path):
        image = nibabel.load(path)
        if not is_image(path) or not isinstance(image, (nibabel.AnalyzeImage, nibabel.MGHImage)):
            raise UnreadableError(f"{path} must be a file of one image ({', '.join(IMAGES)}).")
        stored = np.dtype(image.get_data_dtype())
        if stored.kind not in "fiu" or any(length < 1 for length in image.shape):
            raise UnreadableError(UNREADABLE.format(path=path, reason=f"{image.shape} of {stored} is no image"))
        file = _file_of_values(path, image)
        if not file.is_file():
            raise FileNotFoundError(f"There is no file {file}, which holds the values of {path}.")
        claimed, size = stored.itemsize * math.prod(map(int, image.shape)), file.stat().st_size
        n_missing = claimed + int(image.dataobj.offset) - size
        if not _is_compressed(file) and n_missing > 0:
            raise UnreadableError(UNREADABLE.format(path=path, reason=f"its last {n_missing} bytes are missing"))
        check_claim(path, claimed, size, "an image")
        return image


def image_values(path: Path, image: Any) -> NDArray[np.float32]:
    """Read all values of an opened image.

    Parameters
    ----------
    path : Path
        The file, for the errors.
    image : nibabel image
        The image that `opened` gave for the file.

    Returns
    -------
    array, shape of the image, single precision

    Raises
    ------
    UnreadableError
        If the file is damaged. A compressed file is read to its end, where its checksum is compared.
    """
    file, stored = _file_of_values(path, image), image.dataobj
    with reading(path):
        if not _is_compressed(file):
            return np.asarray(stored, dtype=np.float32)
        n_bytes = int(stored.offset) + stored.dtype.itemsize * math.prod(map(int, stored.shape))
        with gzip.open(file) as stream:
            content = stream.read(n_bytes)
            _read_to_end(path, stream, len(content), file.stat().st_size)
        from nibabel.arrayproxy import ArrayProxy

        unpacked = (stored.shape, stored.dtype, stored.offset, stored.slope, stored.inter)
        return np.asarray(ArrayProxy(BytesIO(content), unpacked), dtype=np.float32)


def _check_compressed(path: Path, image: Any) -> None:
    """Raise an error if the checksum of a compressed file does not fit its content."""
    file = _file_of_values(path, image)
    if _is_compressed(file):
        with reading(path), gzip.open(file) as stream:
            _read_to_end(path, stream, 0, file.stat().st_size)


def _read_to_end(path: Path, stream: Any, n_read: int, size: int) -> None:
    """Read the remaining content of a compressed file, at whose end Python compares the checksum."""
    for piece in iter(lambda: stream.read(PIECE), b""):
        n_read += len(piece)
        check_claim(path, n_read, size, "an image")


def _is_compressed(file: Path) -> bool:
    return file.suffix.lower() in COMPRESSED


def _file_of_values(path: Path, image: Any) -> Path:
    """Return the file that holds the values; it is another file than the header's where an image has two files."""
    return Path(image.file_map["image"].filename or path)


def _source_of(image: Any) -> Any:
    """Return the path of an image that is on disk, the image itself if it is in memory, or None."""
    if is_missing(image):
        return None
    if isinstance(image, (str, Path)):
        return Path(str(image).strip())
    is_on_disk = hasattr(image.dataobj, "offset") and image.get_filename() is not None
    return Path(image.get_filename()) if is_on_disk else image


def _opened(source: Any) -> Any:
    return opened(source) if isinstance(source, Path) else source


def _name(source: Any, row: int) -> str:
    return str(source) if isinstance(source, Path) else f"image {row}"


def _shown(entry: Any) -> Any:
    return entry[:80] if isinstance(entry, str) else entry if np.isscalar(entry) else type(entry)


def _may_hold_paths(dtype: Any) -> bool:
    return str(dtype).lower().split("[")[0] in ("object", "str", "string", "category")


def image_shape(image: Any) -> tuple[int, ...]:
    """Return the shape without the axes of length 1 at the end that some programs add."""
    return without_empty_axes(tuple(int(length) for length in image.shape))


def without_empty_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without axes of length 1 after the third, and as one axis for FreeSurfer's maps on a surface."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape[:1] if len(shape) == 3 and shape[1:] == (1, 1) else shape


def _check_same_grid(name: str, image: Any, first_name: str, first: Any) -> None:
    """Raise an error if shape or affine of an image differ from the shape or affine of the first image."""
    shape, expected_shape = image_shape(image), image_shape(first)
    for what, given, expected, is_same in (
        ("the shape", shape, expected_shape, shape == expected_shape),
        ("the affine", image.affine, first.affine, np.allclose(image.affine, first.affine, 0, AFFINE_TOLERANCE)),
    ):
        if not is_same:
            given, expected = (np.round(value, 3).tolist() for value in (given, expected))
            raise UnreadableError(
                DIFFERENT_GRID.format(image=name, what=what, given=given, first=first_name, expected=expected)
            )
