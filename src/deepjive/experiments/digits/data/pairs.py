"""Pairs of digit images, of which it is known what varies together.

- same_class  two images of one digit, the first turned by up to 45 degrees, the second with uniform noise: the "noisy
              MNIST" of Wang, Arora, Livescu and Bilmes (2015, On deep multi-view representation learning, ICML)
- rotated     one image twice, the second turned by any angle (Koukuntla et al. 2024, arXiv 2408.12091)
- overlay     one shared image with another image over it in each modality: the true parts are known pixel by pixel
              (`deepjive.experiments.digits.data.overlay`)
- image_sound an image and a recording of one digit (`deepjive.experiments.digits.data.spoken`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.experiments.digits.data.mnist import DigitImages, LabelledImages
from deepjive.experiments.digits.data.rotation import turned

SPLITS = ("train", "validation", "test")
Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class Pairs:
    """Pairs, and what is known of them.

    Attributes
    ----------
    data : Modalities
        Two modalities.
    digit : array of int, shape (n,)
        The digit that a pair has in common.
    factors : dict of str to array, shape (n,)
        What else is known of each pair, such as the angle of its second image.
    joint, individual : dict of str to array
        The true parts, where they are known; the joint part carries the mean.
    """

    data: Modalities
    digit: NDArray[np.int_]
    factors: dict[str, NDArray] = field(default_factory=dict)
    joint: dict[str, NDArray] | None = None
    individual: dict[str, NDArray] | None = None

    def __len__(self) -> int:
        return len(self.digit)


@dataclass(frozen=True)
class PairedSplits:
    """Pairs to learn from, to choose settings by, and to test on; no image is in two of them."""

    train: Pairs
    validation: Pairs
    test: Pairs


def same_class(
    images: DigitImages, sizes: Sizes | None = None, *, max_angle: float = 45.0, random_state: int = 0
) -> PairedSplits:
    """Pair images of one digit: "turned" by a random angle, and "noisy", another image of the digit.

    Uniform noise from 0 to 1 is added to the second, and what exceeds 1 is cut off.

    Parameters
    ----------
    images : DigitImages
        From `load_digit_images`.
    sizes : (train, validation, test), optional
        Numbers of pairs; by default one for each image. If there are fewer images, they are taken repeatedly.
    max_angle : float
        Largest turn of the first image, in degrees.
    random_state : int
        Seed.

    Returns
    -------
    PairedSplits
        With the factor "angle".
    """

    def paired(split: LabelledImages, rows: NDArray[np.intp], rng: np.random.Generator) -> Pairs:
        angle = rng.uniform(-max_angle, max_angle, len(rows)).astype(np.float32)
        second = split.images[same_digit(split.digits, rows, rng)]
        noisy = np.minimum(second + rng.random(second.shape, dtype=np.float32), 1)
        data = Modalities({"turned": turned(split.images[rows], angle), "noisy": noisy})
        return Pairs(data, split.digits[rows], {"angle": angle})

    return in_splits(images, sizes, paired, random_state)


def rotated(images: DigitImages, sizes: Sizes | None = None, *, random_state: int = 0) -> PairedSplits:
    """Pair each image with itself, turned by any angle: "original" has nothing of its own, "turned" has the angle.

    Parameters
    ----------
    images, sizes, random_state
        As of `same_class`.

    Returns
    -------
    PairedSplits
        With the factors "sine" and "cosine" of the angle, as an angle has no beginning.
    """

    def paired(split: LabelledImages, rows: NDArray[np.intp], rng: np.random.Generator) -> Pairs:
        angle = rng.uniform(0, 360, len(rows)).astype(np.float32)
        data = Modalities({"original": split.images[rows], "turned": turned(split.images[rows], angle)})
        return Pairs(data, split.digits[rows], {"sine": np.sin(np.deg2rad(angle)), "cosine": np.cos(np.deg2rad(angle))})

    return in_splits(images, sizes, paired, random_state)


def shuffled_pairs(splits: PairedSplits, random_state: int = 0) -> PairedSplits:
    """The same with the second modality in another order, so that nothing is joint; for what a method finds by chance.

    The digit is that of the first modality.
    """
    rng = np.random.default_rng(random_state)

    def shuffled(pairs: Pairs) -> Pairs:
        first, second = pairs.data.names
        order = rng.permutation(len(pairs))
        arrays: Mapping[str, NDArray] = {first: pairs.data[first], second: np.asarray(pairs.data[second])[order]}
        return replace(pairs, data=Modalities(dict(arrays)), joint=None, individual=None)

    return PairedSplits(*(shuffled(getattr(splits, split)) for split in SPLITS))


def in_splits(
    images: DigitImages,
    sizes: Sizes | None,
    paired: Callable[[LabelledImages, NDArray[np.intp], np.random.Generator], Pairs],
    random_state: int,
) -> PairedSplits:
    """Pairs of each split; `paired` is given the images, the rows to begin with, and a generator of its own."""
    seeds = np.random.SeedSequence(random_state).spawn(len(SPLITS))
    made = []
    for number, (split, seed) in enumerate(zip(SPLITS, seeds, strict=True)):
        labelled, rng = getattr(images, split), np.random.default_rng(seed)
        n = len(labelled) if sizes is None else sizes[number]
        rows = np.concatenate([rng.permutation(len(labelled)) for _ in range(-(-n // len(labelled)))])[:n]
        made.append(paired(labelled, rows, rng))
    return PairedSplits(*made)


def same_digit(digits: NDArray, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """For each row another one of the same digit, drawn at random."""
    others = np.empty_like(rows)
    for digit in np.unique(digits[rows]):
        members, wanted = np.flatnonzero(digits == digit), np.flatnonzero(digits[rows] == digit)
        shift = rng.integers(1, max(len(members), 2), size=len(wanted))
        others[wanted] = members[(np.searchsorted(members, rows[wanted]) + shift) % len(members)]
    return others
