"""Quality measures of preprocessed maps, with limits and a test for outliers.

    t1_correlation     correlation of the T1 with the template, over the voxels of the brain
    grey_overlap       Dice coefficient of grey matter (probability over one half) and the template's grey matter
    volume_kept        modulated grey matter in MNI space, relative to grey matter in native space
    grey_ml            modulated grey matter within the brain, in ml
    pet_offset_mm      shift of the PET that maximizes its mutual information with the T1, in mm
    pet_turn_degrees   rotation of the shifted PET that maximizes the mutual information, in degrees
    pet_information    normalized mutual information of PET and T1 (Studholme et al. 1999)
    pet_coverage       fraction of the brain with more than a fifth of the uptake of the reference region
    pet_t1_apart_mm    distance of the heads of PET and T1 by the headers of their files, in mm
    suvr_median        median SUVR of grey matter
    suvr_highest       99th percentile of the SUVR of grey matter

The limits are wide defaults of this library. A value is an outlier if it differs from the median by more than 3.5
robust standard deviations (Iglewicz and Hoaglin 1993).

References
----------
Studholme et al. 1999, Pattern Recognit 32:71.
Iglewicz and Hoaglin 1993, How to detect and handle outliers.
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
    """The range of a quality measure.

    Attributes
    ----------
    lowest, highest : float
        The range.
    meaning : str
        The likely fault if the measure is outside the range.
    """

    lowest: float
    highest: float
    meaning: str


LIMITS = {
    "t1_correlation": Limit(0.6, 1.0, "the T1 does not lie on the template"),
    "grey_overlap": Limit(0.6, 1.0, "grey matter does not lie on the template's grey matter"),
    "volume_kept": Limit(0.95, 1.05, "the warp changed the volume of grey matter"),
    "grey_ml": Limit(300.0, 1100.0, "the volume of grey matter is not that of an adult"),
    "pet_offset_mm": Limit(0.0, 4.0, "PET and T1 are not aligned"),
    "pet_turn_degrees": Limit(0.0, 3.0, "PET and T1 are not aligned"),
    "pet_information": Limit(1.03, 2.0, "PET and T1 share little information"),
    "pet_coverage": Limit(0.9, 1.0, "the PET does not cover the brain"),
    "pet_t1_apart_mm": Limit(0.0, 100.0, "PET and T1 were far apart by their headers, and one or both were shifted"),
    "suvr_median": Limit(0.5, 3.0, "the ratios are outside the range of any tracer"),
    "suvr_highest": Limit(0.7, 6.0, "the ratios are outside the range of any tracer"),
}


def t1_quality(t1: NDArray, unmodulated: NDArray, voxel: float, facts: Mapping[str, Any]) -> dict[str, float]:
    """Compute the quality measures of the T1's maps.

    Parameters
    ----------
    t1, unmodulated : array, shape (x, y, z)
        The T1 and the probability of grey matter on the standard grid.
    voxel : float
        Edge of a voxel in mm.
    facts : mapping
        Facts that the steps measured.

    Returns
    -------
    dict of str to float
    """
    mask = template("brain", voxel) > 0
    template_grey = template("grey", voxel)[mask] > 0.5
    grey = unmodulated[mask] > 0.5
    total = float(template_grey.sum() + grey.sum())
    return {
        "t1_correlation": _correlation(t1[mask], template("t1", voxel)[mask]),
        "grey_overlap": 2.0 * float((template_grey & grey).sum()) / total,
        "volume_kept": facts["modulated_ml"] / max(facts["grey_native_ml"], 1e-9),
        "grey_ml": facts["modulated_brain_ml"],
    }


def pet_quality(t1: NDArray, uptake: NDArray, unmodulated: NDArray, voxel: float) -> dict[str, float]:
    """Compute the quality measures of the PET.

    Parameters
    ----------
    t1, uptake, unmodulated : array, shape (x, y, z)
        The T1, the uptake ratio (also outside the brain) and the probability of grey matter on the standard grid.
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    dict of str to float
    """
    mask = template("brain", voxel) > 0
    grey = mask & (unmodulated > 0.5)
    ratios = uptake[grey] if grey.any() else uptake[mask]
    pet_alignment = alignment(t1, uptake, voxel)
    return {
        "pet_offset_mm": pet_alignment.offset_mm,
        "pet_turn_degrees": pet_alignment.turn_degrees,
        "pet_information": pet_alignment.information,
        "pet_coverage": float((uptake[mask] > 0.2).mean()),
        "suvr_median": float(np.median(ratios)),
        "suvr_highest": float(np.percentile(ratios, 99.0)),
    }


class Alignment(NamedTuple):
    """Alignment of a PET with its T1.

    Attributes
    ----------
    offset_mm, turn_degrees : float
        Shift and rotation of the PET that maximize its mutual information with the T1.
    information : float
        Normalized mutual information before shift and rotation, from 1 (none) to 2.
    """

    offset_mm: float
    turn_degrees: float
    information: float


def alignment(t1: NDArray, pet: NDArray, voxel: float) -> Alignment:
    """Measure how far a PET is shifted and rotated from its T1.

    First the PET is shifted along one axis after another, by up to about 9 mm in each direction. Then it is rotated
    about one axis after another through the centre of the brain, by up to 12 degrees. Each time the position with the
    largest normalized mutual information is taken. Between the tested positions, the maximum is that of a parabola
    through the best three values.

    Parameters
    ----------
    t1, pet : array, shape (x, y, z)
        T1 (zero outside the brain) and PET on the standard grid.
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    Alignment
    """
    steps = max(1, round(3.0 / voxel))
    region = binary_dilation(template("brain", voxel) > 0, iterations=2 * steps)
    # Smooth the T1 to the PET's resolution of about 6 mm, because the PET has no finer detail
    t1_bins = _bins(gaussian_filter(t1, sd_of(6.0, voxel)), region)[region]
    pet_bins = _bins(pet, region)
    shift, fraction = _best_shift(t1_bins, pet_bins, region, REACH * steps)
    turn = _best_turn(t1_bins, np.roll(pet, shift, (0, 1, 2)), region)
    offset = float(np.linalg.norm((shift + fraction) * voxel))
    return Alignment(offset, turn, _information(t1_bins, pet_bins[region]))


def _best_shift(
    t1_bins: NDArray[np.intp], pet_bins: NDArray[np.intp], region: NDArray[np.bool_], reach: int
) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Return the shift of the PET with the most information, as whole voxels and fractions of a voxel."""
    shift, fraction = np.zeros(3, int), np.zeros(3)
    for axis in (0, 1, 2, 0, 1, 2):
        information = {}
        for step in range(-reach, reach + 1):
            shift[axis] = step
            information[float(step)] = _information(t1_bins, np.roll(pet_bins, shift, (0, 1, 2))[region])
        best = _argmax_of_parabola(information, 1.0)
        shift[axis], fraction[axis] = round(best), best - round(best)
    return shift, fraction


def _best_turn(t1_bins: NDArray[np.intp], pet: NDArray, region: NDArray[np.bool_]) -> float:
    """Return the rotation of the PET with the most information, in degrees."""
    indices = np.stack(np.nonzero(region)).astype(float)
    centre = indices.mean(axis=1, keepdims=True)
    angles = np.zeros(3)
    for axis in range(3):
        information = {}
        for angle in TURNS:
            angles[axis] = angle
            rotated = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ (indices - centre) + centre
            values = map_coordinates(pet, rotated, order=1)
            information[angle] = _information(t1_bins, _bins(values, slice(None)))
        angles[axis] = _argmax_of_parabola(information, TURNS[1] - TURNS[0])
    return float(np.degrees(Rotation.from_euler("xyz", angles, degrees=True).magnitude()))


def flags_of(figures: Mapping[str, float]) -> list[str]:
    """Return a message for each quality measure outside its limits."""
    messages = []
    for name, limit in LIMITS.items():
        value = figures.get(name)
        if value is not None and not limit.lowest <= value <= limit.highest:
            messages.append(f"{name} {value:.3g}: {limit.meaning}")
    return messages


def outliers(cohort: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """Return messages for the outliers of each participant.

    Parameters
    ----------
    cohort : sequence of mapping of str to float
        Quality measures of each participant.

    Returns
    -------
    list of list of str
        For each participant a message for each outlier. A measure has no outliers if fewer than eight participants
        have it.
    """
    messages: list[list[str]] = [[] for _ in cohort]
    for name, (values, median, spread) in _spreads(cohort).items():
        for row in np.flatnonzero(np.abs(values - median) > MOST_DEVIATIONS * spread):
            messages[row].append(f"{name} {values[row]:.3g} is an outlier (median of the participants {median:.3g})")
    return messages


def largest_deviations(cohort: Sequence[Mapping[str, float]]) -> list[tuple[float, str]]:
    """Return the quality measure of each participant that is furthest from the median of the participants.

    Parameters
    ----------
    cohort : sequence of mapping of str to float
        Quality measures of each participant.

    Returns
    -------
    list of (float, str)
        The distance from the median in robust standard deviations, and the name of the measure; 0 and "" for a
        participant without measures, or if fewer than eight participants have any.
    """
    largest = [(0.0, "") for _ in cohort]
    for name, (values, median, spread) in _spreads(cohort).items():
        for row, deviation in enumerate(np.abs(values - median) / spread):
            if deviation > largest[row][0]:
                largest[row] = (float(deviation), name)
    return largest


def _spreads(cohort: Sequence[Mapping[str, float]]) -> dict[str, tuple[NDArray, float, float]]:
    """Return the values, the median and the robust standard deviation of each measure that enough participants have."""
    spreads = {}
    for name in LIMITS:
        values = np.array([figures.get(name, np.nan) for figures in cohort], dtype=float)
        finite = values[np.isfinite(values)]
        if len(finite) >= FEWEST_FOR_OUTLIERS:
            median = float(np.median(finite))
            spread = max(ROBUST_SD * float(np.median(np.abs(finite - median))), 1e-3 * abs(median), 1e-9)
            spreads[name] = (values, median, spread)
    return spreads


def _correlation(first: NDArray, second: NDArray) -> float:
    """Return the correlation of two arrays; 0 if one of them is constant."""
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _bins(values: NDArray, region: Any) -> NDArray[np.intp]:
    """Return the histogram bin of each value, with bins between the 1st and 99th percentile in a region."""
    low, high = np.percentile(values[region], (1.0, 99.0))
    scaled = (values - low) / max(float(high - low), 1e-9) * BINS
    return np.clip(scaled, 0, BINS - 1).astype(np.intp)


def _information(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    """Return the normalized mutual information ``(H(a) + H(b)) / H(a, b)`` of two arrays of bins."""
    joint = np.bincount(a * BINS + b, minlength=BINS * BINS).reshape(BINS, BINS) / a.size
    joint_entropy = _entropy(joint.ravel())
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / joint_entropy if joint_entropy > 0 else 1.0


def _entropy(probabilities: NDArray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def _argmax_of_parabola(values: Mapping[float, float], step: float) -> float:
    """Return the position of the maximum of the parabola through the largest value and its neighbours."""
    best = max(values, key=lambda position: values[position])
    if best - step not in values or best + step not in values:
        return best
    curvature = values[best - step] - 2.0 * values[best] + values[best + step]
    return best + 0.5 * step * (values[best - step] - values[best + step]) / curvature if curvature < 0 else best
