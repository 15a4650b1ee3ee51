"""Maps on surfaces: one value for each vertex, of GIFTI and CIFTI files.

| file | content |
|---|---|
| ``.gii`` (``.shape.gii``, ``.func.gii``) | one array of values at the vertices of a hemisphere |
| ``.dscalar.nii`` | one map at the grey ordinates of CIFTI: vertices of both hemispheres, and voxels |

FreeSurfer's ``.mgh`` and ``.mgz`` files of a surface are images of shape (n_vertices, 1, 1), which are read as images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UnreadableError, check_piece, optional, reading
from deepjive.data.readers.lazy import RowReader

SURFACES = (".gii", ".dscalar.nii")

NOT_ONE_MAP = "{path} holds {count} maps, but one value for each vertex is expected. Write each map to its own file."
NO_VALUES = (
    "{path} holds a mesh or labels ({intents}), but no map of values. Give a file with one value for each vertex."
)
OTHER_SURFACE = (
    "{path} has {given} vertices{places}, but {first} has {expected}. Bring all maps to one surface first, e.g. "
    "fsaverage or fsLR."
)
NOT_A_FILE = "Maps on surfaces are given as paths, but row {row} is {given}. Save it as .gii or .dscalar.nii."
MESH = ("NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE", "NIFTI_INTENT_LABEL")


class SurfaceRows(RowReader):
    """Maps on one surface as the rows of an array.

    Parameters
    ----------
    paths : sequence of path or None
        A file for each sample. None stands for a sample without a map; its row is 0.

    Attributes
    ----------
    has_image : array of bool, shape (n_samples,)
        Whether the sample has a map.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    UnreadableError
        If a file is damaged, or if two maps have different vertices.
    """

    def __init__(self, paths: Sequence[Any]) -> None:
        self.paths = list(paths)
        self.has_image = np.array([path is not None for path in self.paths], dtype=bool)
        rows = np.flatnonzero(self.has_image)
        for row in rows:
            if not is_surface(self.paths[row]):
                given = self.paths[row] if isinstance(self.paths[row], (str, Path)) else type(self.paths[row])
                raise UnreadableError(NOT_A_FILE.format(row=row, given=given))
        first_path, first = self.paths[rows[0]], read_surface(Path(self.paths[rows[0]]))
        check_piece(first_path, first.values.shape, np.dtype(np.float32), "a map")
        for row in rows[1:]:
            other = read_surface(Path(self.paths[row]))
            if (other.values.shape, other.places) != (first.values.shape, first.places):
                is_same_length = other.values.shape == first.values.shape
                raise UnreadableError(
                    OTHER_SURFACE.format(
                        path=self.paths[row],
                        given=len(other.values),
                        places=" of other structures" if is_same_length else "",
                        first=first_path,
                        expected=len(first.values),
                    )
                )
        super().__init__((len(self.paths), len(first.values)), np.float32)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        paths = [self.paths[row] for row in rows]
        return np.stack(
            [np.zeros(self.shape[1], np.float32) if p is None else read_surface(Path(p)).values for p in paths]
        )


@dataclass(frozen=True)
class SurfaceMap:
    """A map on a surface.

    Attributes
    ----------
    values : array, shape (n_vertices,)
        The values, in single precision.
    places : str
        Where the values are: a digest of the structures of a CIFTI file, empty for GIFTI. Maps of different places
        cannot be compared.
    """

    values: NDArray[np.float32]
    places: str = ""


def is_surface(path: object) -> bool:
    """Return whether a path has the suffix of a map on a surface."""
    return isinstance(path, (str, Path)) and str(path).strip().lower().endswith(SURFACES)


def read_surface(path: Path) -> SurfaceMap:
    """Read a map on a surface.

    Parameters
    ----------
    path : Path
        A ``.gii`` or ``.dscalar.nii`` file.

    Returns
    -------
    SurfaceMap

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    UnreadableError
        If the file is damaged, or does not hold exactly one map.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    nibabel = optional("nibabel", f"Reading {path.name}")
    with reading(path):
        image = nibabel.load(path)
        return _gifti(path, image) if path.name.lower().endswith(".gii") else _cifti(path, image)


def _gifti(path: Path, image: Any) -> SurfaceMap:
    nibabel = optional("nibabel", f"Reading {path.name}")
    intents = [nibabel.nifti1.intent_codes.niistring[array.intent] for array in image.darrays]
    maps = [array.data for array, intent in zip(image.darrays, intents, strict=True) if intent not in MESH]
    if not maps:
        raise UnreadableError(NO_VALUES.format(path=path, intents=", ".join(intents) or "empty"))
    if len(maps) > 1 or np.squeeze(maps[0]).ndim != 1:
        raise UnreadableError(NOT_ONE_MAP.format(path=path, count=max(len(maps), np.squeeze(maps[0]).ndim)))
    return SurfaceMap(np.asarray(maps[0], dtype=np.float32).reshape(-1))


def _cifti(path: Path, image: Any) -> SurfaceMap:
    nibabel = optional("nibabel", f"Reading {path.name}")
    axes = [image.header.get_axis(i) for i in range(len(image.shape))]
    places = [i for i, axis in enumerate(axes) if isinstance(axis, nibabel.cifti2.BrainModelAxis)]
    if len(axes) != 2 or places != [1]:
        raise UnreadableError(
            f"{path} has axes {[type(axis).__name__ for axis in axes]}, but dense scalars are expected."
        )
    if image.shape[0] != 1:
        raise UnreadableError(NOT_ONE_MAP.format(path=path, count=image.shape[0]))
    structures = [f"{name} {part.start}-{part.stop}" for name, part, _ in axes[1].iter_structures()]
    return SurfaceMap(np.asarray(image.dataobj, dtype=np.float32).reshape(-1), "; ".join(structures))
