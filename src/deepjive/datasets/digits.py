"""Paired handwritten digits: two modalities that share the digit and nothing else.

Each pair shows one digit in two images by two writers. The first image is rotated by a random angle ("turned"). The
second image is a negative with noise ("negative"). So the joint variation is the digit. The individual variation is
angle and handwriting in the first modality, and noise and handwriting in the second modality.
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
        The digit that each pair shows.
    angle : array, shape (n,)
        Rotation of the first image, in degrees.
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
    """Make pairs of the 1797 digit images in scikit-learn; no image is in both training and test pairs.

    Parameters
    ----------
    n_train : int, default=5000
        Number of training pairs. An image may be in several pairs.
    n_test : int, default=1000
        Number of test pairs.
    max_angle : float, default=30.0
        Largest rotation of the first modality, in degrees.
    noise : float, default=0.2
        Standard deviation of the noise in the second modality, whose ink is between 0 and 1.
    test_fraction : float, default=0.3
        Fraction of the images that is used for test pairs only.
    random_state : int, RandomState or None, default=0
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
    """Return for each image the number of another image of the same digit."""
    second = np.empty_like(first)
    for digit in np.unique(digits):
        members = np.flatnonzero(digits == digit)
        pairs = np.flatnonzero(digits[first] == digit)
        shift = rng.randint(1, len(members), size=len(pairs))
        second[pairs] = members[(np.searchsorted(members, first[pairs]) + shift) % len(members)]
    return second
