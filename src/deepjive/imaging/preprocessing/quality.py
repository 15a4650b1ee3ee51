"""What tells a subject whose preprocessing failed: figures with limits, and figures unlike those of the others.

    t1_correlation     of the T1 with the template, over the brain's voxels
    grey_overlap       Dice of grey matter (probability over a half) with the template's
    volume_kept        modulated grey matter in MNI space over grey matter in the subject's own
    grey_ml            modulated grey matter within the brain
    pet_offset_mm      how far the PET would have to be shifted to share the most information with the T1
    pet_turn_degrees   by how much it would then have to be turned
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
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from deepjive.imaging.grid import sd_of, template

BINS, REACH = 24, 3
TURNS = (-12.0, -9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0, 12.0)
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
    "pet_turn_degrees": Limit(0.0, 3.0, "PET and T1 are not aligned"),
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
    found = alignment(t1, uptake, voxel)
    return {
        "pet_offset_mm": found.offset_mm,
        "pet_turn_degrees": found.turn_degrees,
        "pet_information": found.information,
        "pet_coverage": float((uptake[mask] > 0.2).mean()),
        "suvr_median": float(np.median(values)),
        "suvr_highest": float(np.percentile(values, 99.0)),
    }


class Alignment(NamedTuple):
    """How a PET lies to its T1.

    Attributes
    ----------
    offset_mm, turn_degrees : float
        How far the PET would have to be shifted, and turned, to share the most information with the T1.
    information : float
        Normalized mutual information as they are, from 1 (none) to 2.
    """

    offset_mm: float
    turn_degrees: float
    information: float


def alignment(t1: NDArray, pet: NDArray, voxel: float) -> Alignment:
    """How far a PET lies from its T1.

    The PET is shifted along one axis after another to where the normalized mutual information is largest, up to about
    9 mm each way, then turned about one axis after another through the middle of the brain, up to 12 degrees. Between
    steps the parabola through the best three values says where it is largest.

    Parameters
    ----------
    t1, pet : array, shape (x, y, z)
        Both on the standard grid; the T1 zero outside of the brain.
    voxel : float
        Edge of a voxel in mm.
    """
    steps = max(1, round(3.0 / voxel))
    near = binary_dilation(template("brain", voxel) > 0, iterations=2 * steps)
    # The T1 at the PET's resolution of about 6 mm, as otherwise its finer detail has no counterpart
    fixed = _bins(gaussian_filter(t1, sd_of(6.0, voxel)), near)[near]
    moving = _bins(pet, near)
    start = _information(fixed, moving[near])
    shift, part = np.zeros(3, int), np.zeros(3)
    for axis in (0, 1, 2, 0, 1, 2):
        tried = {}
        for step in range(-REACH * steps, REACH * steps + 1):
            shift[axis] = step
            tried[float(step)] = _information(fixed, np.roll(moving, shift, (0, 1, 2))[near])
        best = _highest(tried, 1.0)
        shift[axis], part[axis] = round(best), best - round(best)
    there = np.roll(pet, shift, (0, 1, 2))
    turn = _turn(fixed, there, near)
    return Alignment(float(np.linalg.norm((shift + part) * voxel)), turn, start)


def _turn(fixed: NDArray[np.intp], pet: NDArray, near: NDArray[np.bool_]) -> float:
    """By how many degrees a PET must be turned to share the most information."""
    numbers = np.stack(np.nonzero(near)).astype(float)
    middle = numbers.mean(axis=1, keepdims=True)
    angles = np.zeros(3)
    for axis in range(3):
        tried = {}
        for angle in TURNS:
            angles[axis] = angle
            turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ (numbers - middle) + middle
            values = map_coordinates(pet, turned, order=1)
            tried[angle] = _information(fixed, _bins(values, slice(None)))
        angles[axis] = _highest(tried, TURNS[1] - TURNS[0])
    return float(np.degrees(Rotation.from_euler("xyz", angles, degrees=True).magnitude()))


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


def _bins(values: NDArray, where: Any) -> NDArray[np.intp]:
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


def _highest(tried: Mapping[float, float], step: float) -> float:
    """Where the parabola through the largest value and its neighbours is highest."""
    at = max(tried, key=lambda place: tried[place])
    if at - step not in tried or at + step not in tried:
        return at
    bend = tried[at - step] - 2.0 * tried[at] + tried[at + step]
    return at + 0.5 * step * (tried[at - step] - tried[at + step]) / bend if bend < 0 else at
