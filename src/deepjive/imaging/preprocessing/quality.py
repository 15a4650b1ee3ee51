"""What tells a subject whose preprocessing failed: figures with limits, and figures unlike those of the others.

    t1_correlation     of the T1 with the template, over the brain's voxels
    grey_overlap       Dice of grey matter (probability over a half) with the template's
    volume_kept        modulated grey matter in MNI space over grey matter in the subject's own
    grey_ml            modulated grey matter within the brain
    pet_offset_mm      how far the PET would have to be shifted to share the most information with the T1
    pet_information    what they share: normalized mutual information (Studholme et al. 1999, Pattern Recognit 32:71)
    pet_coverage       share of the brain with more than a fifth of the reference region's uptake
    pet_t1_apart_mm    how far the heads were apart by their files' headers
    suvr_median        of grey matter; suvr_highest: its 99th percentile

Limits are ours; the outlier rule is that of Iglewicz and Hoaglin (1993): over 3.5 robust standard deviations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from deepjive.imaging.grid import template

BINS, REACH = 24, 3
MOST_DEVIATIONS, FEWEST_FOR_OUTLIERS = 3.5, 8
ROBUST_SD = 1.4826


class Limit(NamedTuple):
    """Between which values a figure is unsuspicious, and what it means if it is not."""

    lowest: float
    highest: float
    meaning: str


LIMITS = {
    "t1_correlation": Limit(0.6, 1.0, "the T1 does not lie on the template"),
    "grey_overlap": Limit(0.6, 1.0, "grey matter does not lie on the template's"),
    "volume_kept": Limit(0.95, 1.05, "the warp lost or made grey matter"),
    "grey_ml": Limit(300.0, 1100.0, "no adult has so much or so little grey matter"),
    "pet_offset_mm": Limit(0.0, 4.0, "PET and T1 are not aligned"),
    "pet_information": Limit(1.03, 2.0, "PET and T1 hardly resemble each other"),
    "pet_coverage": Limit(0.9, 1.0, "the PET does not cover the brain"),
    "pet_t1_apart_mm": Limit(0.0, 100.0, "PET and T1 were far apart by their headers, and were brought together"),
    "suvr_median": Limit(0.5, 3.0, "ratios are out of any tracer's range"),
    "suvr_highest": Limit(0.7, 6.0, "ratios are out of any tracer's range"),
}


def t1_quality(t1: NDArray, unmodulated: NDArray, voxel: float, facts: Mapping[str, Any]) -> dict[str, float]:
    """Figures of a T1.

    Parameters
    ----------
    t1, unmodulated : array, shape (x, y, z)
        The T1 and the probability of grey matter on the standard grid.
    voxel : float
        Its voxels' edge in mm.
    facts : mapping
        What the steps measured.
    """
    mask = template("brain", voxel) > 0
    grey = template("grey", voxel)[mask] > 0.5
    mine = unmodulated[mask] > 0.5
    both = float(grey.sum() + mine.sum())
    return {
        "t1_correlation": _correlation(t1[mask], template("t1", voxel)[mask]),
        "grey_overlap": 2.0 * float((grey & mine).sum()) / both,
        "volume_kept": facts["modulated_ml"] / max(facts["grey_native_ml"], 1e-9),
        "grey_ml": facts["modulated_brain_ml"],
    }


def pet_quality(t1: NDArray, uptake: NDArray, unmodulated: NDArray, voxel: float) -> dict[str, float]:
    """Figures of a PET.

    Parameters
    ----------
    t1, uptake, unmodulated : array, shape (x, y, z)
        T1, uptake ratio (also outside of the brain) and grey matter on the standard grid.
    voxel : float
        Its voxels' edge in mm.
    """
    mask = template("brain", voxel) > 0
    grey = mask & (unmodulated > 0.5)
    values = uptake[grey] if grey.any() else uptake[mask]
    offset, information = offset_of(t1, uptake, voxel)
    return {
        "pet_offset_mm": offset,
        "pet_information": information,
        "pet_coverage": float((uptake[mask] > 0.2).mean()),
        "suvr_median": float(np.median(values)),
        "suvr_highest": float(np.percentile(values, 99.0)),
    }


def offset_of(t1: NDArray, pet: NDArray, voxel: float) -> tuple[float, float]:
    """How far a PET lies from its T1.

    The PET is shifted along one axis after another to where the normalized mutual information is largest, up to three
    voxels each way, and between voxels by the parabola through the best three.

    Parameters
    ----------
    t1, pet : array, shape (x, y, z)
        Both on one grid; the T1 zero outside of the brain.
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    offset : float
        Length of the shift in mm.
    information : float
        Normalized mutual information as they are, from 1 (none) to 2.
    """
    steps = max(1, round(3.0 / voxel))
    near = binary_dilation(template("brain", voxel) > 0, iterations=2 * steps)
    # The T1 at the PET's resolution of about 6 mm, as otherwise its finer detail has no counterpart
    blurred = gaussian_filter(t1, 6.0 / 2.355 / voxel)
    fixed = _bins(blurred, near)
    moving = _bins(pet, near)

    def shared(shift: NDArray) -> float:
        return _information(fixed[near], np.roll(moving, shift, (0, 1, 2))[near])

    start = shared(np.zeros(3, int))
    best, part = np.zeros(3, int), np.zeros(3)
    for axis in (0, 1, 2, 0, 1, 2):
        tried = {}
        for step in range(-REACH * steps, REACH * steps + 1):
            shift = best.copy()
            shift[axis] = step
            tried[step] = shared(shift)
        best[axis] = max(tried, key=lambda step: tried[step])
        part[axis] = _peak(tried, int(best[axis]))
    return float(np.linalg.norm((best + part) * voxel)), start


def flags_of(figures: Mapping[str, float]) -> list[str]:
    """What is beyond its limit, in words."""
    found = []
    for name, limit in LIMITS.items():
        value = figures.get(name)
        if value is not None and not limit.lowest <= value <= limit.highest:
            found.append(f"{name} {value:.3g}: {limit.meaning}")
    return found


def outliers(cohort: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """For each subject which figures are unlike those of the others; none in fewer than eight subjects."""
    found: list[list[str]] = [[] for _ in cohort]
    for name in LIMITS:
        values = np.array([figures.get(name, np.nan) for figures in cohort], dtype=float)
        known = values[np.isfinite(values)]
        if len(known) < FEWEST_FOR_OUTLIERS:
            continue
        middle = np.median(known)
        spread = max(ROBUST_SD * float(np.median(np.abs(known - middle))), 1e-3 * abs(float(middle)), 1e-9)
        for row in np.flatnonzero(np.abs(values - middle) > MOST_DEVIATIONS * spread):
            found[row].append(f"{name} {values[row]:.3g} is unlike the others' (median {middle:.3g})")
    return found


def _correlation(one: NDArray, other: NDArray) -> float:
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _bins(values: NDArray, where: NDArray[np.bool_]) -> NDArray[np.intp]:
    low, high = np.percentile(values[where], (1.0, 99.0))
    scaled = (values - low) / max(float(high - low), 1e-9) * BINS
    return np.clip(scaled, 0, BINS - 1).astype(np.intp)


def _information(one: NDArray[np.intp], other: NDArray[np.intp]) -> float:
    """``(H(a) + H(b)) / H(a, b)``."""
    joint = np.bincount(one * BINS + other, minlength=BINS * BINS).reshape(BINS, BINS) / one.size
    both = _entropy(joint.ravel())
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / both if both > 0 else 1.0


def _entropy(shares: NDArray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def _peak(tried: Mapping[int, float], at: int) -> float:
    """Where between voxels the parabola through three values is highest."""
    if at - 1 not in tried or at + 1 not in tried:
        return 0.0
    bend = tried[at - 1] - 2.0 * tried[at] + tried[at + 1]
    return 0.5 * (tried[at - 1] - tried[at + 1]) / bend if bend < 0 else 0.0
