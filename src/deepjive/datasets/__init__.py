"""Data sets with a known answer: simulations, paired digits, and a cohort of simulated brain images.

>>> from deepjive.datasets import make_synthetic
>>> make_synthetic(50, (8, 6), random_state=0).data.shape
(50, 2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.datasets.anatomy import REGIONS, Region, composite_region, pattern
    from deepjive.datasets.difficulties import HARD, Difficulties, true_factors
    from deepjive.datasets.digits import PairedDigits, load_paired_digits
    from deepjive.datasets.phantom import (
        FACTORS,
        Phantom,
        amyloid_curve,
        atrophy_curve,
        composite_suvr,
        make_phantom,
        tau_curve,
    )
    from deepjive.datasets.phantom_files import write_caps, write_native
    from deepjive.datasets.synthetic import Synthetic, make_synthetic

__all__ = [
    "FACTORS",
    "HARD",
    "REGIONS",
    "Difficulties",
    "PairedDigits",
    "Phantom",
    "Region",
    "Synthetic",
    "amyloid_curve",
    "atrophy_curve",
    "composite_region",
    "composite_suvr",
    "load_paired_digits",
    "make_phantom",
    "make_synthetic",
    "pattern",
    "tau_curve",
    "true_factors",
    "write_caps",
    "write_native",
]

_MODULES = {
    "Difficulties": "deepjive.datasets.difficulties",
    "FACTORS": "deepjive.datasets.phantom",
    "HARD": "deepjive.datasets.difficulties",
    "PairedDigits": "deepjive.datasets.digits",
    "Phantom": "deepjive.datasets.phantom",
    "REGIONS": "deepjive.datasets.anatomy",
    "Region": "deepjive.datasets.anatomy",
    "Synthetic": "deepjive.datasets.synthetic",
    "amyloid_curve": "deepjive.datasets.phantom",
    "atrophy_curve": "deepjive.datasets.phantom",
    "composite_region": "deepjive.datasets.anatomy",
    "composite_suvr": "deepjive.datasets.phantom",
    "load_paired_digits": "deepjive.datasets.digits",
    "make_phantom": "deepjive.datasets.phantom",
    "make_synthetic": "deepjive.datasets.synthetic",
    "pattern": "deepjive.datasets.anatomy",
    "tau_curve": "deepjive.datasets.phantom",
    "true_factors": "deepjive.datasets.difficulties",
    "write_caps": "deepjive.datasets.phantom_files",
    "write_native": "deepjive.datasets.phantom_files",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
