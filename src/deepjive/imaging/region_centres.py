"""Centres of the regions of FreeSurfer's Desikan-Killiany atlas, and the regions that names of features mean.

The centres are centroids in MNI space, in mm and rounded, of the atlas of Desikan et al. 2006 in an average brain.
Names are understood as FreeSurfer, Clinica and CAT12 write them: ``lh_superiorfrontal_thickness``,
``Left-Hippocampus``, ``Hippocampus_L``, ``Right Amygdala``.

References
----------
Desikan et al. 2006, NeuroImage 31:968.
"""

from __future__ import annotations

import re

CENTRES = {
    "bankssts": ((-53, -44, 8), (53, -39, 8)),
    "caudalanteriorcingulate": ((-6, 17, 28), (6, 21, 26)),
    "caudalmiddlefrontal": ((-36, 12, 48), (38, 11, 49)),
    "cuneus": ((-5, -83, 17), (7, -80, 18)),
    "entorhinal": ((-23, -5, -34), (23, -4, -34)),
    "fusiform": ((-35, -42, -22), (36, -38, -24)),
    "inferiorparietal": ((-41, -69, 35), (47, -61, 34)),
    "inferiortemporal": ((-51, -35, -22), (51, -29, -25)),
    "isthmuscingulate": ((-7, -46, 18), (9, -45, 16)),
    "lateraloccipital": ((-31, -88, 0), (35, -84, 2)),
    "lateralorbitofrontal": ((-24, 31, -18), (23, 32, -18)),
    "lingual": ((-11, -71, -5), (14, -68, -5)),
    "medialorbitofrontal": ((-7, 33, -16), (6, 38, -17)),
    "middletemporal": ((-59, -24, -13), (59, -23, -13)),
    "parahippocampal": ((-23, -33, -15), (23, -30, -17)),
    "paracentral": ((-6, -28, 58), (7, -24, 56)),
    "parsopercularis": ((-48, 18, 14), (49, 16, 11)),
    "parsorbitalis": ((-42, 38, -14), (44, 40, -12)),
    "parstriangularis": ((-46, 35, 2), (49, 34, 6)),
    "pericalcarine": ((-10, -81, 5), (12, -79, 6)),
    "postcentral": ((-44, -24, 47), (47, -19, 42)),
    "posteriorcingulate": ((-6, -19, 36), (7, -19, 38)),
    "precentral": ((-40, -7, 43), (40, -6, 45)),
    "precuneus": ((-8, -59, 37), (10, -57, 38)),
    "rostralanteriorcingulate": ((-6, 36, 2), (7, 37, 6)),
    "rostralmiddlefrontal": ((-31, 48, 18), (34, 47, 18)),
    "superiorfrontal": ((-10, 27, 44), (12, 31, 44)),
    "superiorparietal": ((-21, -67, 49), (24, -62, 53)),
    "superiortemporal": ((-53, -10, -4), (55, -7, -5)),
    "supramarginal": ((-54, -36, 32), (57, -28, 32)),
    "frontalpole": ((-7, 66, -8), (8, 65, -11)),
    "temporalpole": ((-29, 12, -38), (30, 16, -36)),
    "transversetemporal": ((-43, -23, 8), (45, -19, 8)),
    "insula": ((-35, 0, -1), (37, 2, -2)),
    "thalamus": ((-11, -19, 6), (12, -18, 7)),
    "caudate": ((-13, 7, 11), (14, 9, 10)),
    "putamen": ((-26, 0, 0), (26, 2, -1)),
    "pallidum": ((-20, -5, -1), (21, -4, -1)),
    "hippocampus": ((-25, -23, -14), (27, -21, -14)),
    "amygdala": ((-23, -5, -20), (24, -4, -20)),
    "accumbensarea": ((-9, 12, -7), (9, 12, -7)),
    "cerebellumcortex": ((-23, -62, -37), (24, -61, -37)),
}
SIDES = ("left", "right")
SIDE = {"lh": 0, "left": 0, "l": 0, "rh": 1, "right": 1, "r": 1}
OTHER_NAMES = {"thalamusproper": "thalamus", "accumbens": "accumbensarea", "cerebellum": "cerebellumcortex"}
MEASURES = ("thickness", "area", "volume", "meancurv", "thickavg", "grayvol")


def centre_of(name: str) -> tuple[int, int, int] | None:
    """Return the centre of the region that the name of a feature means; None if it is not known.

    Examples
    --------
    >>> centre_of("lh_entorhinal_thickness"), centre_of("Right-Hippocampus"), centre_of("Hippocampus_R")
    ((-23, -5, -34), (27, -21, -14), (27, -21, -14))
    >>> centre_of("gene 1") is None
    True
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word not in ("", "ctx", *MEASURES)]
    sides = {SIDE[word] for word in words if word in SIDE}
    region = "".join(word for word in words if word not in SIDE)
    region = OTHER_NAMES.get(region, region)
    if len(sides) != 1 or region not in CENTRES:
        return None
    return CENTRES[region][sides.pop()]
