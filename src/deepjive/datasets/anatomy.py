"""Brain regions by published MNI coordinates, and the patterns of Alzheimer's disease.

Centres are the centroids of the automated anatomical labels (Tzourio-Mazoyer et al. 2002, NeuroImage 15:273), rounded
to a millimetre. The weights of the regions were chosen for this phantom, following

- amyloid: Buckner et al. 2005, J Neurosci 25:7709 (posterior cingulate and precuneus, medial prefrontal, lateral
  parietal and temporal cortex first; medial temporal lobe, sensorimotor and visual cortex little);
- atrophy: Frisoni et al. 2010, Nat Rev Neurol 6:67 (hippocampus, entorhinal cortex, amygdala; then lateral temporal
  and parietal cortex);
- tau: Schöll et al. 2016, Neuron 89:971; Ossenkoppele et al. 2016, Brain 139:1551 (entorhinal and inferior temporal
  cortex, amygdala; then lateral temporal and parietal cortex; frontal cortex little).

`tests/datasets/test_anatomy.py` compares the centres with the Desikan-Killiany labels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepjive.imaging.grid import mni_grid, sphere_distance, template
from deepjive.imaging.regions import cerebellum

DIFFUSE_AMYLOID = 0.35


class Region(NamedTuple):
    """A brain region, with the same weights on both sides.

    Attributes
    ----------
    left, right : tuple of float
        Centres in mm.
    radius : float
        Standard deviation of the region's Gaussian profile, in mm.
    amyloid, atrophy : float
        Weight of the region in the pattern of amyloid and of atrophy, between 0 and 1.
    composite : bool
        Whether the composite standardized uptake value ratio includes the region (frontal, cingulate and precuneus,
        lateral parietal, lateral temporal: Klunk et al. 2015, Alzheimers Dement 11:1).
    labels : tuple of str
        Names of the region in the Desikan-Killiany atlas, without the side.
    """

    left: tuple[float, float, float]
    right: tuple[float, float, float]
    radius: float
    amyloid: float
    atrophy: float
    composite: bool
    labels: tuple[str, ...]


REGIONS = {
    "hippocampus": Region((-25, -21, -10), (29, -20, -10), 9, 0.1, 1.0, False, ("Hippocampus",)),
    "amygdala": Region((-23, -1, -17), (27, 1, -18), 8, 0.1, 0.9, False, ("Amygdala",)),
    "parahippocampal": Region((-21, -16, -21), (25, -15, -20), 9, 0.1, 0.9, False, ("parahippocampal", "Hippocampus")),
    "fusiform": Region((-31, -40, -20), (34, -39, -20), 10, 0.3, 0.6, False, ("fusiform",)),
    "inferior temporal": Region((-50, -28, -23), (54, -31, -22), 12, 0.5, 0.7, True, ("inferiortemporal",)),
    "middle temporal": Region((-56, -34, -2), (57, -37, -1), 12, 0.6, 0.6, True, ("middletemporal", "bankssts")),
    "posterior cingulate": Region((-5, -43, 25), (7, -42, 22), 11, 1.0, 0.5, True, ("isthmuscingulate",)),
    "precuneus": Region((-7, -56, 48), (10, -56, 44), 13, 1.0, 0.5, True, ("precuneus",)),
    "angular": Region((-44, -61, 36), (46, -60, 39), 13, 0.8, 0.5, True, ("inferiorparietal",)),
    "inferior parietal": Region(
        (-43, -46, 47), (46, -46, 50), 12, 0.7, 0.4, True, ("supramarginal", "inferiorparietal")
    ),
    "medial frontal": Region((-5, 49, 31), (9, 51, 30), 14, 0.9, 0.2, True, ("superiorfrontal",)),
    "medial orbitofrontal": Region((-5, 54, -7), (8, 52, -7), 13, 0.9, 0.2, True, ("medialorbitofrontal",)),
    "anterior cingulate": Region((-4, 35, 14), (8, 37, 16), 11, 0.8, 0.2, True, ("rostralanteriorcingulate",)),
    "middle frontal": Region((-33, 33, 35), (38, 33, 34), 14, 0.7, 0.2, True, ("rostralmiddlefrontal",)),
}


MEDIAL_TEMPORAL = ("hippocampus", "amygdala", "parahippocampal")
INSIDE_AND_OUTSIDE = {"limbic": (1.0, 0.35), "sparing": (0.3, 1.4)}
COPATHOLOGY = {"hippocampus": 0.9, "amygdala": 0.9, "parahippocampal": 0.6, "fusiform": 0.2}
TAU = {
    "hippocampus": 0.6,
    "amygdala": 0.8,
    "parahippocampal": 0.9,
    "fusiform": 0.9,
    "inferior temporal": 1.0,
    "middle temporal": 0.9,
    "posterior cingulate": 0.6,
    "precuneus": 0.6,
    "angular": 0.7,
    "inferior parietal": 0.6,
    "middle frontal": 0.3,
}
OFF_TARGET = ((-25, 4, 2), (27, 5, 2)), 9.0


def _weight(name: str, kind: str) -> float:
    """Weight of a region in a pattern."""
    subtype, _, plain = kind.rpartition(" ")
    weights = {"copathology": COPATHOLOGY, "tau": TAU}.get(plain)
    weight = float(getattr(REGIONS[name], plain)) if weights is None else weights.get(name, 0.0)
    inside, outside = INSIDE_AND_OUTSIDE.get(subtype, (1.0, 1.0))
    return min(1.0, weight * (inside if name in MEDIAL_TEMPORAL else outside))


@lru_cache(maxsize=16)
def pattern(kind: str, voxel: float) -> NDArray[np.float32]:
    """Return the pattern of amyloid or tau deposition, or of grey-matter loss, on the standard grid.

    The value is ``1 - prod_r (1 - w_r exp(-d_r^2 / 2 radius_r^2))`` over the regions of both sides, and 0 in the
    cerebellum. Amyloid also has a small weight in the whole cerebral cortex.

    Parameters
    ----------
    kind : {"amyloid", "atrophy", "tau", "copathology"}
        The pattern; "atrophy" and "tau" also of a subtype, as "limbic atrophy" and "sparing tau". The
        limbic-predominant subtype has little weight outside the medial temporal lobe, and the hippocampal-sparing one
        little weight inside (Murray et al. 2011, Lancet Neurol 10:785). The second disease has weight inside and little
        in the fusiform gyrus (Nelson et al. 2019, Brain 142:1503).
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    array, shape (x, y, z)
        Values between 0 and 1.
    """
    grid = mni_grid(voxel)
    spared = np.ones(grid.shape, dtype=np.float32)
    for name, region in REGIONS.items():
        for centre in (region.left, region.right):
            bump = np.exp(-0.5 * np.square(sphere_distance(grid, centre) / region.radius))
            spared *= 1.0 - _weight(name, kind) * bump
    if kind == "amyloid":
        spared *= 1.0 - DIFFUSE_AMYLOID
    return np.where(cerebellum(voxel), 0.0, 1.0 - spared).astype(np.float32)


@lru_cache(maxsize=2)
def off_target(voxel: float) -> NDArray[np.float32]:
    """Return where tau tracers bind without tau: the putamen of both sides, with values between 0 and 1."""
    centres, radius = OFF_TARGET
    grid = mni_grid(voxel)
    return np.max([np.exp(-0.5 * np.square(sphere_distance(grid, centre) / radius)) for centre in centres], axis=0)


@lru_cache(maxsize=8)
def composite_region(voxel: float) -> NDArray[np.bool_]:
    """Return the mask of grey matter within 12 mm of the centres of the composite regions."""
    grid = mni_grid(voxel)
    centres = [centre for region in REGIONS.values() if region.composite for centre in (region.left, region.right)]
    near = np.min([sphere_distance(grid, centre) for centre in centres], axis=0) < 12.0
    return near & (template("grey", voxel) > 0.5)
