"""Digits over varying backgrounds: several views of one digit, each over crops of a background of its own.

Each view shows another image of the digit, over a random crop of the view's background. Ink inverts the background:
with ink d and background b, both from 0 to 1, a pixel is ``b + d (1 - 2 b)``. So the digit is all that the views share,
and each view has handwriting and background of its own. This follows PolyMNIST (Sutter, Daunhawer and Vogt 2021,
Generalized multimodal ELBO, ICLR), but figures are not comparable: images are grey, and the backgrounds are parts of
three photographs that scikit-learn and matplotlib ship.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.experiments.digits.data.mnist import DigitImages, LabelledImages
from deepjive.experiments.digits.data.pairs import PairedSplits, Pairs, Sizes, in_splits, same_digit

# The photograph of each view and the part of its width, from 0 to 1.
BACKGROUNDS = {
    "pagoda": ("china.jpg", 0.0, 0.5),
    "flower": ("flower.jpg", 0.0, 0.5),
    "portrait": ("grace_hopper.jpg", 0.0, 1.0),
    "trees": ("china.jpg", 0.5, 1.0),
    "petals": ("flower.jpg", 0.5, 1.0),
}
HALVED = 2  # the photographs are made smaller by this factor, so that a crop shows more than one surface
COARSE = 4
WRONG_NUMBER = "n_views is {given}, but must be from 2 to {most}, since there are {most} backgrounds."


def digits_over_backgrounds(
    images: DigitImages, n_views: int, sizes: Sizes | None = None, *, random_state: int = 0
) -> PairedSplits:
    """Views of digits over backgrounds.

    Parameters
    ----------
    images : DigitImages
        Images from `load_digit_images`.
    n_views : int
        Number of views, from 2 to 5; they are the first backgrounds of `BACKGROUNDS`.
    sizes : (train, validation, test), optional
        Numbers of samples; by default one for each image.
    random_state : int, default=0
        Seed of images and crops.

    Returns
    -------
    PairedSplits
        Samples with one modality for each view. The factor "background of NAME", of shape (n, 16), has the mean grey of
        each cell of a grid of 4 x 4 over the view's background, without the digit.

    Raises
    ------
    ValueError
        If there are not as many backgrounds.
    """
    if not 2 <= n_views <= len(BACKGROUNDS):
        raise ValueError(WRONG_NUMBER.format(given=n_views, most=len(BACKGROUNDS)))
    names = list(BACKGROUNDS)[:n_views]

    def over_backgrounds(split: LabelledImages, rows: NDArray[np.intp], rng: np.random.Generator) -> Pairs:
        views, factors = {}, {}
        for number, name in enumerate(names):
            ink = split.images[rows if number == 0 else same_digit(split.digits, rows, rng)]
            background = crops(background_of(name), ink.shape[1:], len(rows), rng)
            views[name] = background + ink * (1 - 2 * background)
            factors[f"background of {name}"] = coarse(background)
        return Pairs(Modalities(views), split.digits[rows], factors)

    return in_splits(images, sizes, over_backgrounds, random_state)


@cache
def background_of(name: str) -> NDArray[np.float32]:
    """Return the grey background of a view, of shape (height, width), with values from 0 to 1."""
    from PIL import Image

    file, left, right = BACKGROUNDS[name]
    with Image.open(_photograph(file)) as photograph:
        grey = photograph.convert("L")
        grey = grey.crop((int(left * grey.width), 0, int(right * grey.width), grey.height)).reduce(HALVED)
        return np.asarray(grey, dtype=np.float32) / np.float32(255)


def crops(background: NDArray, shape: tuple[int, ...], n: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return random crops of a background, of shape (n, *shape)."""
    windows = np.lib.stride_tricks.sliding_window_view(background, shape)
    return windows[rng.integers(windows.shape[0], size=n), rng.integers(windows.shape[1], size=n)]


def coarse(images: NDArray) -> NDArray[Any]:
    """Return the mean grey of each cell of a grid of 4 x 4, of shape (n, 16)."""
    n, height, width = images.shape
    rows, columns = (np.arange(COARSE) * size // COARSE for size in (height, width))
    sums = np.add.reduceat(np.add.reduceat(images, rows, axis=1), columns, axis=2)
    sizes = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    return (sums / sizes).reshape(n, -1)


def _photograph(file: str) -> Path:
    if file == "grace_hopper.jpg":
        from matplotlib import cbook

        return Path(cbook.get_sample_data(file, asfileobj=False))
    from importlib.resources import files

    return Path(str(files("sklearn.datasets.images") / file))
