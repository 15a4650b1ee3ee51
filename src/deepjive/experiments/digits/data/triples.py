"""Triples of digit images in which each pair shares something else: the digit, the colour, or the angle.

| modality | digit              | colour             | angle              |
|----------|--------------------|--------------------|--------------------|
| one      | shared with two    | its own            | shared with three  |
| two      | shared with one    | shared with three  | its own            |
| three    | its own            | shared with two    | shared with one    |

The three images of a triple are different images, so that handwriting is individual, and nothing is shared by all. An
image is rotated, made smaller by averaging blocks of pixels, and coloured: its three channels are the image times
``(1 + cos(h - 2 pi c / 3)) / 2`` for the hue ``h`` and the channels c = 0, 1, 2. Normal noise is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.experiments.digits.data.mnist import LabelledImages
from deepjive.experiments.digits.data.pairs import same_digit
from deepjive.experiments.digits.data.rotation import turned

SHARED = {"digit": ("one", "two"), "colour": ("two", "three"), "angle": ("one", "three")}
CHANNELS = 3


@dataclass(frozen=True)
class Triples:
    """Triples with what their pairs share.

    Attributes
    ----------
    data : Modalities
        "one", "two" and "three", each of shape (n, 3, height, width).
    factors : dict of str to array
        "digit", shape (n,), of one and two; "colour", the cosine and sine of the hue, shape (n, 2), of two and three;
        "angle" in degrees, shape (n, 1), of one and three.
    """

    data: Modalities
    factors: dict[str, NDArray]


def triples(
    images: LabelledImages,
    n: int,
    *,
    block: int = 4,
    max_angle: float = 60.0,
    noise: float = 0.05,
    random_state: int = 0,
) -> Triples:
    """Draw triples of images.

    Parameters
    ----------
    images : LabelledImages
        At least ``2 n`` images.
    n : int
        Number of triples.
    block : int, default=4
        Blocks of so many by so many pixels are averaged; it divides height and width.
    max_angle : float, default=60.0
        Largest rotation in degrees.
    noise : float, default=0.05
        Standard deviation of the noise of each pixel; ink is 1.
    random_state : int, default=0
        Seed.

    Returns
    -------
    Triples
    """
    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(images))
    first, third = order[:n], order[n : 2 * n]
    rows = {"one": first, "two": same_digit(images.digits, first, rng), "three": third}
    angle, hue = (dict(zip(rows, rng.uniform(*ends, (3, n)), strict=True)) for ends in _ends(max_angle))
    angle["three"], hue["three"] = angle["one"], hue["two"]
    arrays = {
        name: _coloured(_small(turned(images.images[chosen], angle[name]), block), hue[name], noise, rng)
        for name, chosen in rows.items()
    }
    factors = {
        "digit": images.digits[first],
        "colour": np.stack([np.cos(hue["two"]), np.sin(hue["two"])], axis=1),
        "angle": angle["one"][:, None],
    }
    return Triples(Modalities(arrays), factors)


def _ends(max_angle: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Smallest and largest angle in degrees, and hue in radians."""
    return (-max_angle, max_angle), (0.0, 2.0 * np.pi)


def _small(images: NDArray, block: int) -> NDArray:
    n, height, width = images.shape
    return np.asarray(images.reshape(n, height // block, block, width // block, block).mean(axis=(2, 4)))


def _coloured(images: NDArray, hue: NDArray, noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Images (n, height, width) in colour, with noise, shape (n, 3, height, width)."""
    channels = (1.0 + np.cos(hue[:, None] - 2.0 * np.pi * np.arange(CHANNELS) / CHANNELS)) / 2.0
    coloured = images[:, None] * channels[:, :, None, None]
    return (coloured + noise * rng.normal(size=coloured.shape)).astype(np.float32)
