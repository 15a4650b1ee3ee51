"""Grids on which volumes are sampled, and the MNI152 templates on these grids.

All standard grids cover the same box around the MNI152 brain (ICBM 152 2009a symmetric, in nilearn's version), so maps
of different resolution show the same anatomy.

References
----------
Fonov et al. 2011, NeuroImage 54:313.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from deepjive.data.readers.guard import optional

BOX = ((-75.0, 75.0), (-111.0, 81.0), (-72.0, 84.0))
FWHM_PER_SD = 2.354820045

TemplateName = Literal["t1", "grey", "white", "brain"]


@dataclass(frozen=True)
class Grid:
    """A regular grid in space.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along x (left to right), y (back to front) and z (bottom to top).
    affine : array, shape (4, 4)
        Affine from voxel indices to mm.
    """

    shape: tuple[int, int, int]
    affine: NDArray

    @property
    def voxel(self) -> float:
        """Edge of a voxel in mm; the geometric mean if the edges differ."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) ** (1 / 3))

    def points(self) -> NDArray[np.float32]:
        """Coordinates of the voxel centres in mm, shape ``(3, *shape)``."""
        indices = np.indices(self.shape, dtype=np.float32).reshape(3, -1)
        coordinates = self.affine[:3, :3] @ indices + self.affine[:3, 3:]
        return coordinates.reshape(3, *self.shape).astype(np.float32)


def mni_grid(voxel: float = 3.0) -> Grid:
    """Return the standard grid of cubic voxels around the MNI152 brain.

    Parameters
    ----------
    voxel : float, default=3.0
        Edge of a voxel in mm, between 1 and 12.

    Returns
    -------
    Grid

    Raises
    ------
    ValueError
        If `voxel` is outside 1 to 12 mm.

    Examples
    --------
    >>> mni_grid(3).shape, mni_grid(6).shape
    ((51, 65, 53), (26, 33, 27))
    """
    if not 1.0 <= voxel <= 12.0:
        raise ValueError(f"voxel is {voxel}, but must be the edge of a voxel in mm, between 1 and 12.")
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = [low for low, _ in BOX]
    shape = [int((high - low) / voxel + 1e-6) + 1 for low, high in BOX]
    return Grid((shape[0], shape[1], shape[2]), affine)


def resampled(volume: ArrayLike, affine: ArrayLike, grid: Grid, order: int = 1, outside: float = 0.0) -> NDArray:
    """Sample a volume at the voxels of a grid.

    A volume that is finer than the grid is smoothed to the grid's resolution first.

    Parameters
    ----------
    volume : array, shape (x, y, z)
        The values.
    affine : array, shape (4, 4)
        Affine from voxel indices of the volume to mm.
    grid : Grid
        The grid.
    order : {0, 1, 3}, default=1
        Interpolation: nearest neighbour (for labels; without smoothing), linear, or cubic spline.
    outside : float, default=0.0
        Value at grid voxels outside the volume.

    Returns
    -------
    array, shape ``grid.shape``, single precision
    """
    volume = np.asarray(volume, dtype=np.float32)
    to_voxels = np.linalg.inv(np.asarray(affine, dtype=float)) @ grid.affine
    if order and not np.allclose(to_voxels, np.eye(4), atol=1e-4):
        step = np.linalg.norm(to_voxels[:3, :3], axis=1)
        sd = np.sqrt(np.maximum(step**2 - 1.0, 0.0)) / FWHM_PER_SD
        volume = gaussian_filter(volume, sd) if sd.max() > 0.1 else volume
    grid_indices = np.indices(grid.shape, dtype=np.float32).reshape(3, -1)
    volume_indices = (to_voxels[:3, :3] @ grid_indices + to_voxels[:3, 3:]).reshape(3, *grid.shape)
    return map_coordinates(volume, volume_indices, order=order, cval=outside, output=np.float32)


@lru_cache(maxsize=16)
def template(name: TemplateName, voxel: float = 3.0) -> NDArray[np.float32]:
    """Return an MNI152 template on the standard grid, with values from 0 to 1.

    Parameters
    ----------
    name : {"t1", "grey", "white", "brain"}
        Skull-stripped T1, probability of grey matter, probability of white matter, or brain mask (0 or 1).
    voxel : float, default=3.0
        Edge of a voxel in mm.

    Returns
    -------
    array, shape ``mni_grid(voxel).shape``, single precision
        The array is read-only, as later calls return the same array.

    Raises
    ------
    deepjive.data.readers.guard.MissingExtraError
        Without nilearn (extra ``imaging``).
    """
    datasets = optional("nilearn.datasets", "The MNI152 template")
    loaders = {
        "t1": datasets.load_mni152_template,
        "grey": datasets.load_mni152_gm_template,
        "white": datasets.load_mni152_wm_template,
        "brain": datasets.load_mni152_brain_mask,
    }
    image: Any = loaders[name](resolution=1)
    values = resampled(np.asarray(image.dataobj), image.affine, mni_grid(voxel), order=1)
    scaled: NDArray[np.float32] = np.asarray(values > 0.5 if name == "brain" else values / values.max(), np.float32)
    scaled.setflags(write=False)
    return scaled


def sd_of(fwhm: float, voxel: float) -> float:
    """Return the standard deviation, in voxels, of a Gaussian whose full width at half maximum is `fwhm` mm."""
    return fwhm / FWHM_PER_SD / voxel


def sphere_distance(grid: Grid, centre: ArrayLike) -> NDArray[np.float32]:
    """Return the distance of every voxel from a point, in mm, shape ``grid.shape``."""
    offsets = grid.points() - np.asarray(centre, dtype=np.float32).reshape(3, 1, 1, 1)
    distance: NDArray[np.float32] = np.sqrt(np.square(offsets).sum(axis=0))
    return distance


def millilitres(probability: ArrayLike, voxel: float) -> float:
    """Return the volume of a tissue in millilitres from its fraction in each voxel."""
    return float(np.sum(probability)) * math.pow(voxel, 3) / 1000.0
