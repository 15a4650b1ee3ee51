"""How much of each tissue a voxel holds, as a segmentation's probabilities do not say.

A voxel is `M` parts, each of one tissue (Van Leemput, Maes, Vandermeulen and Suetens 2003, A unifying framework for
partial volume segmentation of brain MR images, IEEE TMI 22:105). `c` of them are of fluid, grey and white matter with
the multinomial probability of tissues that are as frequent as around it, and its intensity `x` is theirs on average:

    p(c | place) = M! / (c_1! c_2! c_3!) q_1^c_1 q_2^c_2 q_3^c_3,   q = segmentation's probabilities, smoothed there
    p(x | c)     = N(x; sum_t f_t m_t, sum_t f_t s_t^2),            f = c / M
    fractions    = sum_c f p(c | x),                                p(c | x) ~ p(x | c) p(c | place)

Means `m` and deviations `s` of the pure tissues are the median and the median absolute deviation of the voxels that
surely are one tissue, away from its border (Tohka, Zijdenbos and Evans 2004, NeuroImage 23:84, who take robust
estimates of eroded tissues too). Unlike there, voxels of three tissues are allowed, and the answer is an expectation
and no choice; unlike in Van Leemput et al., nothing is iterated, as that made grey matter shrink.
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
FEWEST, AT_ONCE = 200, 50_000
RAREST = 0.002

NO_TISSUE = "no voxel of the brain was found to be {name}, so that its intensity is not known"


def partial_volume() -> Step:
    """The step from the segmentation's probabilities to the fraction of grey matter in each voxel."""
    return Step("estimate partial volume", _partial_volume, {"parts": 5, "around_mm": 4.0, "sure": 0.9})


def pure_tissues(
    intensity: NDArray, probabilities: NDArray, mask: NDArray[np.bool_], sure: float = 0.9
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intensities of the tissues where they are unmixed.

    Parameters
    ----------
    intensity : array, shape (x, y, z)
        The T1 without bias.
    probabilities : array, shape (t, x, y, z)
        Of each tissue: fluid, grey, white.
    mask : array of bool, shape (x, y, z)
        The brain.
    sure : float
        Least probability of a voxel that is taken. Of these those two voxels (grey matter, which is thin: one) from
        the border of their tissue are taken, or nearer ones where they would be fewer than 200.

    Returns
    -------
    means, deviations : array, shape (t,)

    Raises
    ------
    PreprocessingError
        If there is no voxel of a tissue.
    """
    found = [
        _pure(intensity, mask & (probabilities.argmax(axis=0) == tissue), probabilities[tissue] > sure, tissue)
        for tissue in range(len(probabilities))
    ]
    means, deviations = np.array(found, dtype=float).T
    return means, np.maximum(deviations, max(1e-3 * float(np.ptp(means)), 1e-6))


def proportions_around(probabilities: NDArray, mask: NDArray[np.bool_], sd: Sequence[float]) -> NDArray[np.float32]:
    """How frequent each tissue is in the brain around each voxel.

    Parameters
    ----------
    probabilities : array, shape (t, x, y, z)
        Of each tissue.
    mask : array of bool, shape (x, y, z)
        The brain.
    sd : sequence of float
        Standard deviation of the smoothing, in voxels along each axis.

    Returns
    -------
    array, shape (t, n)
        For the `n` voxels of the mask; their sum is 1 for each.
    """
    smooth = [gaussian_filter(np.where(mask, values, 0.0).astype(np.float32), sd)[mask] for values in probabilities]
    kept = np.maximum(np.stack(smooth), 0.0) + RAREST
    proportions: NDArray[np.float32] = kept / kept.sum(axis=0)
    return proportions


def expected_fractions(
    intensity: ArrayLike, proportions: ArrayLike, means: ArrayLike, deviations: ArrayLike, parts: int = 5
) -> NDArray[np.float32]:
    """The fraction of a voxel that each tissue is expected to have, by its intensity.

    Parameters
    ----------
    intensity : array, shape (n,)
        Of the voxels.
    proportions : array, shape (t, n)
        How frequent the tissues are around each voxel, all above 0.
    means, deviations : array, shape (t,)
        Intensities of the pure tissues.
    parts : int
        Of how many parts a voxel is made; the more, the more `proportions` count beside the intensity.

    Returns
    -------
    array, shape (t, n)
        From 0 to 1; their sum is 1 for each voxel.
    """
    means, deviations = np.asarray(means, dtype=float), np.asarray(deviations, dtype=float)
    # Beyond the purest tissues nothing is purer: without this all likelihoods of an extreme voxel would be zero
    reach = np.clip(intensity, (means - 2 * deviations).min(), (means + 2 * deviations).max())
    proportions = np.asarray(proportions)
    found = np.empty(proportions.shape, dtype=np.float32)
    for start in range(0, reach.size, AT_ONCE):
        some = slice(start, start + AT_ONCE)
        found[:, some] = _expected(reach[some], proportions[:, some], means, deviations, parts)
    return found


def _expected(
    intensity: NDArray, proportions: NDArray, means: NDArray, deviations: NDArray, parts: int
) -> NDArray[np.float64]:
    counts = np.array([count for count in np.ndindex(*[parts + 1] * len(means)) if sum(count) == parts])  # (c, t)
    fractions = counts / parts
    variance = (fractions @ np.square(deviations))[:, None]
    prior = (gammaln(parts + 1) - gammaln(counts + 1).sum(axis=1))[:, None] + counts @ np.log(proportions)
    fit = -np.square(intensity - (fractions @ means)[:, None]) / (2 * variance) - np.log(variance) / 2
    likely = np.exp(prior + fit - (prior + fit).max(axis=0))  # (c, n)
    expected: NDArray[np.float64] = fractions.T @ (likely / likely.sum(axis=0))
    return expected


def _pure(intensity: NDArray, own: NDArray[np.bool_], sure: NDArray[np.bool_], tissue: int) -> tuple[float, float]:
    if not own.any():
        raise PreprocessingError(NO_TISSUE.format(name=TISSUES[tissue]))
    for depth in range(DEEPEST[tissue], -1, -1):
        taken = sure & (binary_erosion(own, iterations=depth) if depth else own)
        if taken.sum() >= FEWEST:
            break
    values = intensity[taken if taken.any() else own]
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))  # of a normal distribution: its deviation


def _partial_volume(files: Files, folder: Path, parameters: Mapping[str, Any]) -> tuple[dict[str, Path], Facts]:
    intensity, affine = load_scan(files["t1_brain"])
    mask = load_scan(files["brain"])[0] > 0.5
    probabilities = np.stack([load_scan(files[f"{name}_probability"])[0] for name in TISSUES])
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    means, deviations = pure_tissues(intensity, probabilities, mask, parameters["sure"])
    around = proportions_around(probabilities, mask, [sd_of(parameters["around_mm"], edge) for edge in edges])
    found = expected_fractions(intensity[mask], around, means, deviations, parameters["parts"])
    millilitres = abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    facts: Facts = {
        f"{name}_native_ml": round(float(found[row].sum()) * millilitres, 2) for row, name in enumerate(TISSUES)
    }
    facts |= {
        "tissue_means": [float(f"{mean:.5g}") for mean in means],
        "tissue_deviations": [float(f"{sd:.5g}") for sd in deviations],
    }
    grey = np.zeros(mask.shape, dtype=np.float32)
    grey[mask] = found[TISSUES.index("grey")]
    return {"grey": save_scan(folder / "grey.nii", grey, affine)}, facts
