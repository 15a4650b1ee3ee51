"""Reference regions for uptake ratios, in MNI space.

Spheres at published coordinates, cut with the templates' tissues: the cerebellum is all within 24 mm of five centres of
the automated anatomical labels (Tzourio-Mazoyer et al. 2002, NeuroImage 15:273: crus 1 and lobule 8 of both sides, and
the vermis), below z = -22 mm; the pons a sphere of 10 mm. They stand for the regions of the Centiloid project
(Klunk et al. 2015, Alzheimers Dement 11:1), which cannot be shipped; a mask of one's own can be given instead.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from deepjive.imaging.grid import mni_grid, sphere_distance, template

Reference = Literal["cerebellar-grey", "cerebellum", "pons", "cerebellum-pons"]
REFERENCES: tuple[str, ...] = get_args(Reference)
CEREBELLUM = ((-36, -67, -29), (37, -67, -30), (-26, -55, -48), (25, -56, -49), (0, -60, -30))
CEREBELLAR_RADIUS, CEREBELLAR_TOP = 24.0, -22.0
PONS, PONTINE_RADIUS = (0, -26, -32), 10.0

UNKNOWN_REFERENCE = "reference is {given!r}, but must be one of {known}, or the path of a mask in MNI space."


@lru_cache(maxsize=8)
def cerebellum(voxel: float) -> NDArray[np.bool_]:
    """The cerebellum and what lies close to it: all within 24 mm of five centres."""
    grid = mni_grid(voxel)
    return np.min([sphere_distance(grid, centre) for centre in CEREBELLUM], axis=0) < CEREBELLAR_RADIUS


@lru_cache(maxsize=8)
def reference_region(name: str, voxel: float) -> NDArray[np.bool_]:
    """A reference region on the standard grid.

    Parameters
    ----------
    name : {"cerebellar-grey", "cerebellum", "pons", "cerebellum-pons"}
        Which; "cerebellum" is grey and white matter.
    voxel : float
        Edge of a voxel in mm.

    Raises
    ------
    ValueError
        For an unknown name.
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
    }[name]
