"""Variance of scores of rotated images that the angle of rotation explains, where each image has its own angle offset.

Pairs of an image and the rotated image do not say which orientation of an image is upright. Scores that depend on the
angle plus an offset of each image, ``s(angle + offset_i)``, are as good as scores without offsets, and as independent
of the image's content. Therefore the offset of each image is estimated from *other* rotations of that image, and the
common curve ``s`` from *other* images. The explained variance is that of rotations which neither of the two used.

Koukuntla et al. (2024, SPLICE, arXiv 2408.12091) shift the angles of each image too; their paper does not say how the
shifts were estimated. Their notebook then takes the variance of each score within half a degree, relative to its whole
variance. That measure is implemented here for comparison. It is biased: with 5000 images it is 0.17 for scores that
are independent of the angle, because half a degree contains few images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.experiments.digits.data.rotation import turned

STEP = 10  # degrees between the rotations from which offsets are estimated
STARTS, ROUNDS = 5, 20
WINDOW = 0.5  # degrees


def scores_by_angle(encode: Callable[[NDArray], NDArray], images: NDArray) -> NDArray:
    """Scores of images rotated by 0, 10, ... 350 degrees.

    Parameters
    ----------
    encode : callable
        Returns scores (n, rank) of images (n, height, width), in the order of the images.
    images : array, shape (n, height, width)
        Images that are not rotated.

    Returns
    -------
    array, shape (n, 36, rank)
    """
    return np.stack([encode(turned(images, np.full(len(images), angle))) for angle in range(0, 360, STEP)], axis=1)


def variance_explained_by_angle(
    scores: NDArray, degrees: ArrayLike, curves: NDArray, *, random_state: int = 0
) -> float:
    """Fraction of the variance of scores that the angle explains, with an angle offset for each image.

    Parameters
    ----------
    scores : array, shape (n, rank)
        Scores of images rotated by `degrees`. The common curve is estimated from the first half of the images, and
        the variance of the second half is explained.
    degrees : array, shape (n,)
        The rotation of each image in degrees.
    curves : array, shape (n, n_angles, rank)
        `scores_by_angle` of the same images.
    random_state : int, default=0
        Seed of the images whose curves are starting values; the best common curve is used.

    Returns
    -------
    float
        Mean over scores that were scaled to variance 1. It is 1 where scores are a function of the angle, and 0 or
        less where scores do not depend on the angle.

    Examples
    --------
    >>> images = np.zeros((40, 9, 9)); images[:, 4, 6] = 1  # dots right of the centre: their place is the angle
    >>> angles = np.random.default_rng(0).uniform(0, 360, 40)
    >>> places = lambda x: np.column_stack([x.sum(1) @ np.arange(9), x.sum(2) @ np.arange(9)])
    >>> variance_explained_by_angle(places(turned(images, angles)), angles, scores_by_angle(places, images)) > 0.95
    True
    """
    scores, curves = _standardized(scores, curves)
    half = len(scores) // 2
    common = _common_curve(curves[:half], random_state)
    held_out = scores[half:]
    place = (np.asarray(degrees)[half:] / STEP - _offsets(curves[half:], common)) % len(common)
    before, fraction = np.floor(place).astype(int) % len(common), (place % 1)[:, None]
    predicted = common[before] * (1 - fraction) + common[(before + 1) % len(common)] * fraction
    return float(np.mean(1 - np.square(held_out - predicted).mean(0) / held_out.var(0)))


def variance_explained_in_windows(
    scores: NDArray, degrees: ArrayLike, curves: NDArray, *, random_state: int = 0
) -> float:
    """The measure of SPLICE's notebook: 1 minus the variance of scores within half a degree, relative to the whole.

    Parameters and scaling are as in `variance_explained_by_angle`. The measure is larger. With m images in half a
    degree it is a little more than 1 / m for scores that are independent of the angle.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(5000, 1))
    >>> degrees = np.random.default_rng(1).uniform(0, 360, 5000)
    >>> round(variance_explained_in_windows(noise, degrees, np.repeat(noise[:, None], 36, axis=1)), 1)
    0.2
    """
    scores, curves = _standardized(scores, curves)
    common = _common_curve(curves[: len(curves) // 2], random_state)
    windows = ((np.asarray(degrees) - STEP * _offsets(curves, common)) % 360 // WINDOW).astype(int)
    variances = [scores[windows == window].var(0).mean() for window in np.unique(windows)]
    return float(1 - np.mean(variances))


def _standardized(scores: NDArray, curves: NDArray) -> tuple[NDArray, NDArray]:
    mean, scale = scores.mean(0), scores.std(0) + 1e-12
    return (scores - mean) / scale, (curves - mean) / scale


def _common_curve(curves: NDArray, random_state: int) -> NDArray:
    """The curve (n_angles, rank) nearest to all curves (n, n_angles, rank), each shifted by its offset."""
    rng = np.random.default_rng(random_state)
    candidates = []
    for common in (curves.mean(0), *curves[rng.integers(len(curves), size=STARTS - 1)]):
        for _ in range(ROUNDS):
            aligned = _shifted(curves, _offsets(curves, common))
            common = aligned.mean(0)
        candidates.append((float(np.square(aligned - common).sum()), common))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _offsets(curves: NDArray, common: NDArray) -> NDArray:
    """For each curve (n, n_angles, rank) the number of steps by which it is ahead of the common curve."""
    spectrum = np.fft.rfft(curves, axis=1) * np.conj(np.fft.rfft(common, axis=0))
    return np.fft.irfft(spectrum, curves.shape[1], axis=1).sum(2).argmax(1)


def _shifted(curves: NDArray, offsets: NDArray) -> NDArray:
    n_angles = curves.shape[1]
    rows = (np.arange(n_angles) + offsets[:, None]) % n_angles
    return np.take_along_axis(curves, rows[:, :, None], axis=1)
