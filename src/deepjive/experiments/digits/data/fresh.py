"""Training pairs whose images are drawn anew whenever they are read: the augmentation of noisy MNIST.

The pairs of `deepjive.experiments.digits.data.pairs.same_class` are one draw of angles, noise and partners. A training
that reads its pairs from `fresh_pairs` has another draw in every epoch:

- draws     The angle of the first image and the noise of the second image are drawn anew, as the protocol draws them.
- moves     Both images are also shifted and scaled a little, and the second image is rotated a little, each by itself.
- partners  The second image is also another training image of the digit in every epoch. Training then has more pairs
            than images. Partners are drawn with the digit labels, as the protocol draws them.

Each level includes the levels before it. Validation and test pairs are never drawn anew.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.data.readers.lazy import RowReader
from deepjive.experiments.digits.data.mnist import LabelledImages
from deepjive.experiments.digits.data.pairs import MAX_ANGLE, same_digit, with_noise
from deepjive.experiments.digits.data.rotation import turned

Level = Literal["draws", "moves", "partners"]
LEVELS: tuple[Level, ...] = ("draws", "moves", "partners")
SHIFT, ZOOM, TURN = 1.0, 0.1, 10.0  # largest shift in pixels, change of size, and angle of the second image in degrees


def fresh_pairs(
    images: LabelledImages, rows: dict[str, NDArray[np.intp]], level: Level, random_state: int = 0
) -> Modalities:
    """Pairs like those of `same_class`, with images that are drawn anew whenever they are read.

    Parameters
    ----------
    images : LabelledImages
        Training images.
    rows : dict of str to array of int, shape (n,)
        The images of "turned" and "noisy": `Pairs.rows`.
    level : {"draws", "moves", "partners"}
        What is drawn anew.
    random_state : int, default=0
        Seed. Pairs that are read in the same order are the same.

    Returns
    -------
    Modalities
        "turned" and "noisy". DeepJIVE keeps the first draw of data that fit into memory. With
        ``runtime=Runtime(memory_limit=0)`` it reads each batch when it is needed.
    """
    seeds = np.random.SeedSequence(random_state).spawn(2)
    first, second = (np.random.default_rng(seed) for seed in seeds)
    partner_of = rows["turned"] if level == "partners" else rows["noisy"]
    return Modalities(
        {"turned": _Turned(images, rows["turned"], level, first), "noisy": _Noisy(images, partner_of, level, second)}
    )


class _Fresh(RowReader):
    """Images that are drawn anew whenever they are read.

    Parameters
    ----------
    images : LabelledImages
        The images.
    chosen : array of int, shape (n,)
        The image of each pair; with new partners, the image that the second image of each pair is a partner of.
    level : {"draws", "moves", "partners"}
        What is drawn anew.
    rng : Generator
        Source of the draws.
    """

    def __init__(
        self, images: LabelledImages, chosen: NDArray[np.intp], level: Level, rng: np.random.Generator
    ) -> None:
        super().__init__((len(chosen), *images.images.shape[1:]), np.float32)
        self.images, self.chosen, self.level, self.rng = images, chosen, level, rng

    def _moved(self, images: NDArray, max_angle: float) -> NDArray[np.float32]:
        """Images (n, height, width) at random angles; unless only the protocol's draws are made, also moved."""
        n = len(images)
        shift, zoom = (0.0, 0.0) if self.level == "draws" else (SHIFT, ZOOM)
        angles = self.rng.uniform(-max_angle, max_angle, n)
        return turned(
            images, angles, self.rng.uniform(-shift, shift, (n, 2)), self.rng.uniform(1.0 - zoom, 1.0 + zoom, n)
        )


class _Turned(_Fresh):
    """The first image of each pair, rotated by an angle of its own."""

    def _read(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return self._moved(self.images.images[self.chosen[rows]], MAX_ANGLE)


class _Noisy(_Fresh):
    """The second image of each pair, with noise."""

    def _read(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        chosen = self.chosen[rows]
        if self.level == "partners":
            chosen = same_digit(self.images.digits, chosen, self.rng)
        second = self.images.images[chosen]
        return with_noise(second if self.level == "draws" else self._moved(second, TURN), self.rng)
