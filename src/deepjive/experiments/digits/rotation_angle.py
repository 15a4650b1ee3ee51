"""Whether scores of turned images hold the angle, however each image's angles are counted.

Which way up an image stands is not in pairs of an image and the image turned: scores that tell the angle from a
beginning of each image's own, `s(angle + o_i)`, are as good, and as independent of what the image shows. So the
beginning `o_i` is found for each image from *other* turns of it, and a common curve `s` from *other* images; what these
two say of a turn that neither has seen is the variance that the angle explains.

Koukuntla et al. (2024, SPLICE, arXiv 2408.12091) shift each image's angles too; how their shifts were found is not
said. With these their notebook takes the variance of each score within half a degree, over its variance. It is here as
well, to be compared with: as a window of so few images always has less variance than all of them, it finds .17 for
scores of 5000 images that have nothing to do with the angle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.experiments.digits.data.rotation import turned

STEP = 10  # degrees between the turns that a beginning is found from
STARTS, ROUNDS = 5, 20
WINDOW = 0.5  # degrees


def scores_over_turns(encode: Callable[[NDArray], NDArray], images: NDArray) -> NDArray:
    """Scores (n, turns, rank) of images turned by 0, 10, ... 350 degrees.

    Parameters
    ----------
    encode : callable
        Scores (n, rank) of images (n, height, width), each image in its place.
    images : array, shape (n, height, width)
        Images as they are, not turned.
    """
    return np.stack([encode(turned(images, np.full(len(images), at))) for at in range(0, 360, STEP)], axis=1)


def explained_by_turning(scores: NDArray, degrees: ArrayLike, curves: NDArray, *, random_state: int = 0) -> float:
    """Fraction of the variance of scores that the angle explains, counted from each image's own beginning.

    Parameters
    ----------
    scores : array, shape (n, rank)
        Of images turned by `degrees`. The common curve is learned from the first half, the second is tested.
    degrees : array, shape (n,)
        The turn of each image that is tested.
    curves : array, shape (n, turns, rank)
        From `scores_over_turns`, of the same images.
    random_state : int
        Seed of the images whose curves are tried first; the best common curve is taken.

    Returns
    -------
    float
        Mean over scores that were scaled to variance 1; 1 where scores are a function of the angle, 0 or less where
        they are not.

    Examples
    --------
    >>> images = np.zeros((40, 9, 9)); images[:, 4, 6] = 1  # dots right of the centre: their place is the angle
    >>> turns = np.random.default_rng(0).uniform(0, 360, 40)
    >>> places = lambda x: np.column_stack([x.sum(1) @ np.arange(9), x.sum(2) @ np.arange(9)])
    >>> explained_by_turning(places(turned(images, turns)), turns, scores_over_turns(places, images)) > 0.95
    True
    """
    scaled, curves = _scaled(scores, curves)
    half = len(scaled) // 2
    common = _common_curve(curves[:half], random_state)
    tested = scaled[half:]
    place = (np.asarray(degrees)[half:] / STEP - _beginnings(curves[half:], common)) % len(common)
    before, part = np.floor(place).astype(int) % len(common), (place % 1)[:, None]
    expected = common[before] * (1 - part) + common[(before + 1) % len(common)] * part
    return float(np.mean(1 - np.square(tested - expected).mean(0) / tested.var(0)))


def explained_in_windows(scores: NDArray, degrees: ArrayLike, curves: NDArray, *, random_state: int = 0) -> float:
    """The same as SPLICE's notebook has it: one less the variance of scores within half a degree, over their variance.

    Parameters and scaling are those of `explained_by_turning`. It is larger: a little more than 1 / m for scores
    that have nothing to do with the angle where half a degree has m images.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(5000, 1))
    >>> degrees = np.random.default_rng(1).uniform(0, 360, 5000)
    >>> round(explained_in_windows(noise, degrees, np.repeat(noise[:, None], 36, axis=1)), 1)
    0.2
    """
    scaled, curves = _scaled(scores, curves)
    common = _common_curve(curves[: len(curves) // 2], random_state)
    window = ((np.asarray(degrees) - STEP * _beginnings(curves, common)) % 360 // WINDOW).astype(int)
    within = [scaled[window == one].var(0).mean() for one in np.unique(window)]
    return float(1 - np.mean(within))


def _scaled(scores: NDArray, curves: NDArray) -> tuple[NDArray, NDArray]:
    mean, scale = scores.mean(0), scores.std(0) + 1e-12
    return (scores - mean) / scale, (curves - mean) / scale


def _common_curve(curves: NDArray, random_state: int) -> NDArray:
    """The curve (turns, rank) nearest to all of some (n, turns, rank), each from its own beginning."""
    rng = np.random.default_rng(random_state)
    found = []
    for common in (curves.mean(0), *curves[rng.integers(len(curves), size=STARTS - 1)]):
        for _ in range(ROUNDS):
            moved = _moved(curves, _beginnings(curves, common))
            common = moved.mean(0)
        found.append((float(np.square(moved - common).sum()), common))
    return min(found, key=lambda pair: pair[0])[1]


def _beginnings(curves: NDArray, common: NDArray) -> NDArray:
    """For each curve (n, turns, rank) the turn at which the common curve (turns, rank) begins."""
    spectrum = np.fft.rfft(curves, axis=1) * np.conj(np.fft.rfft(common, axis=0))
    return np.fft.irfft(spectrum, curves.shape[1], axis=1).sum(2).argmax(1)


def _moved(curves: NDArray, beginnings: NDArray) -> NDArray:
    turns = curves.shape[1]
    rows = (np.arange(turns) + beginnings[:, None]) % turns
    return np.take_along_axis(curves, rows[:, :, None], axis=1)
