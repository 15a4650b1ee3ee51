"""Partial volume: the fraction of each tissue in each voxel.

The probabilities of a segmentation are not these fractions. A voxel is modelled as `M` parts, each of one tissue
(Van Leemput et al. 2003). The numbers `c` of parts of fluid, grey and white matter have a multinomial distribution,
whose probabilities `q` are the smoothed probabilities of the segmentation around the voxel. The intensity `x` of the
voxel is the mean over its parts:

    p(c | voxel) = M! / (c_1! c_2! c_3!) q_1^c_1 q_2^c_2 q_3^c_3
    p(x | c)     = N(x; sum_t f_t m_t, sum_t f_t s_t^2),            f = c / M
    fractions    = sum_c f p(c | x),                                p(c | x) ~ p(x | c) p(c | voxel)

The means `m` and standard deviations `s` of the pure tissues are robust estimates (median and median absolute
deviation) from voxels with a high probability of one tissue, away from the border of the tissue. Tohka et al. (2004)
also take robust estimates from eroded tissues, but assign at most two tissues to a voxel, and choose one mixture; here
three tissues are possible, and the result is the expected fraction. Unlike in Van Leemput et al., the estimates are
not iterated, because iterations shrank grey matter.

References
----------
Van Leemput, Maes, Vandermeulen and Suetens 2003, A unifying framework for partial volume segmentation of brain MR
images, IEEE TMI 22:105.
Tohka, Zijdenbos and Evans 2004, NeuroImage 23:84.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.special import gammaln

from deepjive.imaging.grid import sd_of
from deepjive.imaging.preprocessing.protocol import Facts, Files, PreprocessingError, Step
from deepjive.imaging.preprocessing.scans import load_scan, save_scan

TISSUES = ("fluid", "grey", "white")
DEEPEST = (2, 1, 2)
FEWEST, BATCH = 200, 50_000
RAREST = 0.002
ROBUST_SD = 1.4826  # standard deviation of a normal distribution, relative to its median absolute deviation


def partial_volume() -> Step:
    """Return the step that computes the fraction of grey matter in each voxel from the segmentation."""
    return Step("estimate partial volume", _partial_volume, {"parts": 5, "around_mm": 4.0, "sure": 0.9})


def pure_tissues(
    intensity: NDArray, probabilities: NDArray, mask: NDArray[np.bool_], sure: float = 0.9
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate the intensities of the pure tissues.

    Parameters
    ----------
    intensity : array, shape (x, y, z)
        The bias-corrected T1.
    probabilities : array, shape (t, x, y, z)
        Probability of each tissue: fluid, grey, white.
    mask : array of bool, shape (x, y, z)
        The brain mask.
    sure : float, default=0.9
        Lowest probability of the voxels that are used. Of these voxels, only those inside the eroded tissue are used
        (two voxels from its border, or one for grey matter, which is thin). The tissue is eroded less if fewer than
        200 voxels would remain.

    Returns
    -------
    means, deviations : array, shape (t,)
        Mean and standard deviation of the intensity of each pure tissue.

    Raises
    ------
    PreprocessingError
        If a tissue has no voxel.
    """
    estimates = [
        _pure(intensity, mask & (probabilities.argmax(axis=0) == tissue), probabilities[tissue] > sure, tissue)
        for tissue in range(len(probabilities))
    ]
    means, deviations = np.array(estimates, dtype=float).T
    return means, np.maximum(deviations, max(1e-3 * float(np.ptp(means)), 1e-6))


def proportions_around(probabilities: NDArray, mask: NDArray[np.bool_], sd: Sequence[float]) -> NDArray[np.float32]:
    """Compute the proportion of each tissue in the brain around each voxel.

    Parameters
    ----------
    probabilities : array, shape (t, x, y, z)
        Probability of each tissue.
    mask : array of bool, shape (x, y, z)
        The brain mask.
    sd : sequence of float
        Standard deviation of the smoothing, in voxels along each axis.

    Returns
    -------
    array, shape (t, n)
        Proportions at the `n` voxels of the mask. At each voxel they add up to 1.
    """
    smooth = [gaussian_filter(np.where(mask, values, 0.0).astype(np.float32), sd)[mask] for values in probabilities]
    positive = np.maximum(np.stack(smooth), 0.0) + RAREST
    proportions: NDArray[np.float32] = positive / positive.sum(axis=0)
    return proportions


def expected_fractions(
    intensity: ArrayLike, proportions: ArrayLike, means: ArrayLike, deviations: ArrayLike, parts: int = 5
) -> NDArray[np.float32]:
    """Compute the expected fraction of each tissue in each voxel, given the intensity of the voxel.

    Parameters
    ----------
    intensity : array, shape (n,)
        Intensities of the voxels.
    proportions : array, shape (t, n)
        Proportions of the tissues around each voxel, all above 0.
    means, deviations : array, shape (t,)
        Mean and standard deviation of the intensity of each pure tissue.
    parts : int, default=5
        Number of parts of a voxel. With more parts, `proportions` have a larger influence relative to the intensity.

    Returns
    -------
    array, shape (t, n), single precision
        Fractions between 0 and 1. In each voxel they add up to 1.
    """
    means, deviations = np.asarray(means, dtype=float), np.asarray(deviations, dtype=float)
    # Without the limits, all likelihoods of a voxel of extreme intensity would be zero
    clipped = np.clip(intensity, (means - 2 * deviations).min(), (means + 2 * deviations).max())
    proportions = np.asarray(proportions)
    fractions = np.empty(proportions.shape, dtype=np.float32)
    for start in range(0, clipped.size, BATCH):
        batch = slice(start, start + BATCH)
        fractions[:, batch] = _expected(clipped[batch], proportions[:, batch], means, deviations, parts)
    return fractions


def _expected(
    intensity: NDArray, proportions: NDArray, means: NDArray, deviations: NDArray, parts: int
) -> NDArray[np.float64]:
    """Compute the expected fractions by a sum over all numbers of parts `c` (see the module's formulas)."""
    counts = np.array([count for count in np.ndindex(*[parts + 1] * len(means)) if sum(count) == parts])  # (c, t)
    fractions = counts / parts
    variance = (fractions @ np.square(deviations))[:, None]
    prior = (gammaln(parts + 1) - gammaln(counts + 1).sum(axis=1))[:, None] + counts @ np.log(proportions)
    likelihood = -np.square(intensity - (fractions @ means)[:, None]) / (2 * variance) - np.log(variance) / 2
    posterior = np.exp(prior + likelihood - (prior + likelihood).max(axis=0))  # (c, n), up to a factor
    expected: NDArray[np.float64] = fractions.T @ (posterior / posterior.sum(axis=0))
    return expected


def _pure(
    intensity: NDArray, tissue_mask: NDArray[np.bool_], sure: NDArray[np.bool_], tissue: int
) -> tuple[float, float]:
    """Return robust estimates of the mean and standard deviation of a tissue's intensity."""
    if not tissue_mask.any():
        raise PreprocessingError(f"no voxel of the brain is {TISSUES[tissue]}, so the intensity of it is not known")
    for depth in range(DEEPEST[tissue], -1, -1):
        pure_mask = sure & (binary_erosion(tissue_mask, iterations=depth) if depth else tissue_mask)
        if pure_mask.sum() >= FEWEST:
            break
    values = intensity[pure_mask if pure_mask.any() else tissue_mask]
    median = float(np.median(values))
    return median, ROBUST_SD * float(np.median(np.abs(values - median)))


def _partial_volume(files: Files, folder: Path, parameters: Mapping[str, Any]) -> tuple[dict[str, Path], Facts]:
    intensity, affine = load_scan(files["t1_brain"])
    mask = load_scan(files["brain"])[0] > 0.5
    probabilities = np.stack([load_scan(files[f"{name}_probability"])[0] for name in TISSUES])
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    means, deviations = pure_tissues(intensity, probabilities, mask, parameters["sure"])
    around = proportions_around(probabilities, mask, [sd_of(parameters["around_mm"], edge) for edge in edges])
    fractions = expected_fractions(intensity[mask], around, means, deviations, parameters["parts"])
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    facts: Facts = {
        f"{name}_native_ml": round(float(fractions[row].sum()) * voxel_ml, 2) for row, name in enumerate(TISSUES)
    }
    facts |= {
        "tissue_means": [float(f"{mean:.5g}") for mean in means],
        "tissue_deviations": [float(f"{sd:.5g}") for sd in deviations],
    }
    grey = np.zeros(mask.shape, dtype=np.float32)
    grey[mask] = fractions[TISSUES.index("grey")]
    return {"grey": save_scan(folder / "grey.nii", grey, affine)}, facts
