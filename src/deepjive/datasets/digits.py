"""Pairs of handwritten digits: two modalities that share the digit and nothing else.

Each pair shows one digit in two images by two writers. Each image is turned by an angle of its own. So the joint
variation is the digit. The individual variation of each modality is the angle, and the writer's hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from sklearn.utils import check_random_state

from deepjive.data.modalities import Modalities

LARGEST_INK = 16.0
ORIGINAL, SIZE = 8, 12  # pixels along each side of an original image, and of an image of a pair
ENLARGED = 9 / 8  # of the original image, so that corners stay within the frame when the image is turned
NAMES = ("first", "second")


@dataclass(frozen=True)
class PairedDigits:
    """Pairs of images of the same digit.

    Attributes
    ----------
    data : Modalities
        "first" and "second", each (n, 12, 12), ink from 0 to 1.
    digit : array of int, shape (n,)
        The digit that each pair shows.
    angle : dict of str to array, shape (n,)
        Rotation of the images of each modality, in degrees, counter-clockwise.
    """

    data: Modalities
    digit: NDArray[np.int_]
    angle: dict[str, NDArray]


def load_paired_digits(
    n_train: int = 4000,
    n_test: int = 1000,
    *,
    max_angle: float = 60.0,
    test_fraction: float = 0.3,
    random_state: int | np.random.RandomState | None = 0,
) -> tuple[PairedDigits, PairedDigits]:
    """Make pairs of the 1797 digit images in scikit-learn; no image is in both training and test pairs.

    Parameters
    ----------
    n_train : int, default=4000
        Number of training pairs. An image may be in several pairs, each time at another angle.
    n_test : int, default=1000
        Number of test pairs.
    max_angle : float, default=60.0
        Largest rotation in degrees; angles are uniform between its negative and itself. Above about 80 degrees, digits
        such as 0 and 8 look alike at two angles.
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
    images = images.reshape(-1, ORIGINAL, ORIGINAL) / LARGEST_INK
    train, test = train_test_split(
        np.arange(len(digits)), test_size=test_fraction, stratify=digits, random_state=rng.randint(2**31 - 1)
    )
    train_pairs = _paired(images[train], digits[train], n_train, max_angle, rng)
    return train_pairs, _paired(images[test], digits[test], n_test, max_angle, rng)


def _paired(images: NDArray, digits: NDArray, n: int, max_angle: float, rng: np.random.RandomState) -> PairedDigits:
    first = rng.randint(len(images), size=n)
    chosen = dict(zip(NAMES, (first, _same_digit(digits, first, rng)), strict=True))
    angle = {name: rng.uniform(-max_angle, max_angle, size=n) for name in NAMES}
    data = Modalities({name: _turned(images[rows], angle[name]) for name, rows in chosen.items()})
    return PairedDigits(data, digits[first], angle)


def _turned(images: NDArray, degrees: NDArray) -> NDArray[np.float32]:
    """Images (n, 8, 8) enlarged and rotated about their centres, (n, 12, 12), by linear interpolation."""
    along = (np.arange(SIZE) - (SIZE - 1) / 2) / ENLARGED
    row, column = np.meshgrid(along, along, indexing="ij")
    centre, angles = (ORIGINAL - 1) / 2, np.deg2rad(degrees)
    places = (
        (cos * row + sin * column + centre, cos * column - sin * row + centre)
        for cos, sin in zip(np.cos(angles), np.sin(angles), strict=True)
    )
    turned = [map_coordinates(image, place, order=1) for image, place in zip(images, places, strict=True)]
    return np.stack(turned).astype(np.float32)


def _same_digit(digits: NDArray, first: NDArray, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Return for each image the number of another image of the same digit."""
    second = np.empty_like(first)
    for digit in np.unique(digits):
        members = np.flatnonzero(digits == digit)
        pairs = np.flatnonzero(digits[first] == digit)
        shift = rng.randint(1, len(members), size=len(pairs))
        second[pairs] = members[(np.searchsorted(members, first[pairs]) + shift) % len(members)]
    return second
