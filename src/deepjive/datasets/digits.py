"""Paired handwritten digits: two modalities that have the digit in common and nothing else.

Each pair shows one digit twice, in two different handwritings: as it was written but turned by a random angle
("turned"), and by another hand, as a negative with noise ("negative"). So the digit is what varies together; angle and
handwriting vary in the first modality alone, noise and another handwriting in the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rotate
from sklearn.utils import check_random_state

from deepjive.data.modalities import Modalities

LARGEST_INK = 16.0


@dataclass(frozen=True)
class PairedDigits:
    """Pairs of images of the same digit.

    Attributes
    ----------
    data : Modalities
        "turned" and "negative", each (n, 8, 8), ink from 0 to 1.
    digit : array of int, shape (n,)
        The digit of each pair.
    angle : array, shape (n,)
        By how many degrees the first image was turned.
    """

    data: Modalities
    digit: NDArray[np.int_]
    angle: NDArray


def load_paired_digits(
    n_train: int = 5000,
    n_test: int = 1000,
    *,
    max_angle: float = 30.0,
    noise: float = 0.2,
    test_fraction: float = 0.3,
    random_state: int | np.random.RandomState | None = 0,
) -> tuple[PairedDigits, PairedDigits]:
    """Pair the 1797 digits that scikit-learn ships; no image is in both training and test pairs.

    Parameters
    ----------
    n_train, n_test : int
        Numbers of pairs. An image may be in several.
    max_angle : float
        Largest turn of the first modality, in degrees.
    noise : float
        Standard deviation of the noise in the second modality, where ink is from 0 to 1.
    test_fraction : float
        Fraction of the images set aside for test pairs.
    random_state : int, RandomState or None
        Seed.

    Returns
    -------
    train, test : PairedDigits
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    rng = check_random_state(random_state)
    images, digits = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) / LARGEST_INK
    train, test = train_test_split(
        np.arange(len(digits)), test_size=test_fraction, stratify=digits, random_state=rng.randint(2**31 - 1)
    )
    train_pairs = _paired(images[train], digits[train], n_train, max_angle, noise, rng)
    return train_pairs, _paired(images[test], digits[test], n_test, max_angle, noise, rng)


def _paired(
    images: NDArray, digits: NDArray, n: int, max_angle: float, noise: float, rng: np.random.RandomState
) -> PairedDigits:
    first = rng.randint(len(images), size=n)
    second = _same_digit(digits, first, rng)
    angle = rng.uniform(-max_angle, max_angle, size=n)
    turned = np.stack([rotate(image, a, reshape=False, order=1) for image, a in zip(images[first], angle, strict=True)])
    negative = 1.0 - images[second] + noise * rng.normal(size=(n, 8, 8))
    data = Modalities({"turned": turned.astype(np.float32), "negative": negative.astype(np.float32)})
    return PairedDigits(data, digits[first], angle)


def _same_digit(digits: NDArray, first: NDArray, rng: np.random.RandomState) -> NDArray[np.intp]:
    """For each image another one of the same digit."""
    second = np.empty_like(first)
    for digit in np.unique(digits):
        members = np.flatnonzero(digits == digit)
        wanted = np.flatnonzero(digits[first] == digit)
        shift = rng.randint(1, len(members), size=len(wanted))
        second[wanted] = members[(np.searchsorted(members, first[wanted]) + shift) % len(members)]
    return second
