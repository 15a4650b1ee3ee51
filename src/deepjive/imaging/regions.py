"""Reference regions for uptake ratios, in MNI space.

Each region consists of spheres at published coordinates, intersected with the tissues of the templates. The cerebellum
consists of the voxels below z = -22 mm within 24 mm of five centres of the automated anatomical labels (crus 1 and
lobule 8 of both sides, and the vermis). The pons is a sphere with a radius of 10 mm. The regions approximate those of
the Centiloid project, which cannot be distributed with the library. A mask file can be used instead.

Inferior cerebellar grey matter is the part of cerebellar grey matter below z = -38 mm: crus 2 and lobules 7b to 9, but
not lobules 1 to 6, next to which tau tracers bind off target. It approximates the region of Baker et al., which is
drawn from an atlas of the cerebellum.

| reference | usual for |
|---|---|
| ``cerebellum`` | amyloid |
| ``cerebellar-grey`` | amyloid, tau |
| ``inferior-cerebellar-grey`` | tau (flortaucipir, MK-6240) |
| ``pons``, ``cerebellum-pons`` | FDG |

References
----------
Tzourio-Mazoyer et al. 2002, NeuroImage 15:273.
Klunk et al. 2015, Alzheimers Dement 11:1.
Baker et al. 2017, Data Brief 15:648.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from deepjive.imaging.grid import mni_grid, sphere_distance, template

Reference = Literal["cerebellar-grey", "cerebellum", "pons", "cerebellum-pons", "inferior-cerebellar-grey"]
REFERENCES: tuple[str, ...] = get_args(Reference)
CEREBELLUM = ((-36, -67, -29), (37, -67, -30), (-26, -55, -48), (25, -56, -49), (0, -60, -30))
CEREBELLAR_RADIUS, CEREBELLAR_TOP, INFERIOR_TOP = 24.0, -22.0, -38.0
PONS, PONTINE_RADIUS = (0, -26, -32), 10.0

UNKNOWN_REFERENCE = "reference is {given!r}, but must be one of {known}, or the path of a mask in MNI space."


@lru_cache(maxsize=8)
def cerebellum(voxel: float) -> NDArray[np.bool_]:
    """Return the mask of all voxels within 24 mm of the five centres: the cerebellum and its surroundings."""
    grid = mni_grid(voxel)
    return np.min([sphere_distance(grid, centre) for centre in CEREBELLUM], axis=0) < CEREBELLAR_RADIUS


@lru_cache(maxsize=8)
def reference_region(name: str, voxel: float) -> NDArray[np.bool_]:
    """Return the mask of a reference region on the standard grid.

    Parameters
    ----------
    name : {"cerebellar-grey", "cerebellum", "pons", "cerebellum-pons", "inferior-cerebellar-grey"}
        The region; "cerebellum" is grey and white matter.
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    array of bool, shape ``mni_grid(voxel).shape``

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name not in REFERENCES:
        raise ValueError(UNKNOWN_REFERENCE.format(given=name, known=REFERENCES))
    grid = mni_grid(voxel)
    low = cerebellum(voxel) & (grid.points()[2] < CEREBELLAR_TOP)
    grey, white = template("grey", voxel), template("white", voxel)
    whole = low & (grey + white > 0.5)
    pons = (sphere_distance(grid, PONS) < PONTINE_RADIUS) & (grey + white > 0.5)
    return {
        "cerebellar-grey": low & (grey > 0.5),
        "cerebellum": whole,
        "pons": pons,
        "cerebellum-pons": whole | pons,
        "inferior-cerebellar-grey": low & (grey > 0.5) & (grid.points()[2] < INFERIOR_TOP),
    }[name]
