"""Images and sounds of digits: MNIST beside the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0).

Sounds are log-mel spectrograms of 32 bands in 32 frames, in decibels over ten. The recordings numbered 0 to 4 of each
speaker and digit are the data set's official test recordings; numbers 5 to 9 are held out for validation here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.data.readers.arrays import read_npz
from deepjive.experiments.digits.data.folders import data_folder
from deepjive.experiments.digits.data.idx import read_idx
from deepjive.experiments.digits.data.mnist import FILES, HOW
from deepjive.experiments.digits.data.pairs import PairedSplits, Pairs

SOUNDS, PAIRING = "fsdd_logmel32.npz", "mnist_fsdd_pairs.npz"
VALIDATION = 10
HOW_SOUNDS = (
    "fsdd_logmel32.npz holds logmel (n, 32, 32), label, speaker, index and is_test of each recording of the Free "
    "Spoken Digit Dataset (github.com/Jakobovski/free-spoken-digit-dataset), mnist_fsdd_pairs.npz the MNIST image "
    "of each: fsdd_index, mnist_split and mnist_index."
)


def image_sound(
    mnist: str | Path | None = None,
    fsdd: str | Path | None = None,
    images_each: int = 1,
    random_state: int | None = 0,
) -> PairedSplits:
    """Pair recordings of spoken digits with images of the digit: modalities "image" and "sound".

    Parameters
    ----------
    mnist, fsdd : path, optional
        Folders of the two data sets; by default ``mnist`` and ``fsdd`` in the folder that ``DEEPJIVE_DATA`` names.
    images_each : int
        Images that each training recording is paired with: the stored one, and others of its digit out of MNIST's
        training images, each used once.
    random_state : int or None
        Seed of what those are.

    Returns
    -------
    PairedSplits
        2400 training recordings in `images_each` pairs each, 300 validation and the 300 official test recordings;
        factor "speaker". Test recordings have test images.

    Raises
    ------
    FileNotFoundError
        If files are not there.
    """
    folder = data_folder("fsdd", fsdd, SOUNDS, HOW_SOUNDS)
    data_folder("fsdd", fsdd, PAIRING, HOW_SOUNDS)
    sounds = {key: read_npz(folder / SOUNDS, key) for key in ("logmel", "label", "speaker", "index", "is_test")}
    pairing = {key: read_npz(folder / PAIRING, key) for key in ("fsdd_index", "mnist_split", "mnist_index")}
    order = pairing["fsdd_index"]
    mnist_folder = data_folder("mnist", mnist, FILES["train"][0], HOW)
    images = _images(mnist_folder, pairing)
    sound = sounds["logmel"][order].astype(np.float32)
    test, index = sounds["is_test"][order].astype(bool), sounds["index"][order]
    validation = ~test & (index < VALIDATION)

    def pairs(rows: NDArray[np.bool_]) -> Pairs:
        return Pairs(
            Modalities({"image": images[rows], "sound": sound[rows]}),
            sounds["label"][order][rows].astype(np.int_),
            {"speaker": sounds["speaker"][order][rows]},
        )

    train = pairs(~test & ~validation)
    used = pairing["mnist_index"][pairing["mnist_split"] == "train"]
    shown = np.concatenate(
        [train.data["image"], *_more_images(mnist_folder, train.digit, used, images_each - 1, random_state)]
    )
    heard = np.concatenate([train.data["sound"]] * images_each)
    digits, speakers = np.tile(train.digit, images_each), np.tile(train.factors["speaker"], images_each)
    train = Pairs(Modalities({"image": shown, "sound": heard}), digits, {"speaker": speakers})
    return PairedSplits(train, pairs(validation), pairs(test))


def _more_images(
    folder: Path, digits: NDArray[np.int_], used: NDArray, times: int, random_state: int | None
) -> list[NDArray[np.float32]]:
    """Further images of these digits, `times` for each, out of MNIST's training images but for those used already."""
    images, labels = (read_idx(_file(folder, name)) for name in FILES["train"])
    free = np.setdiff1d(np.arange(len(images)), used)
    rng = np.random.RandomState(random_state)
    waiting = {digit: list(rng.permutation(free[labels[free] == digit])) for digit in range(10)}
    rows = np.array([[waiting[digit].pop() for digit in digits] for _ in range(times)], dtype=np.intp)
    return [images[block] / np.float32(255) for block in rows]


def _file(folder: Path, name: str) -> Path:
    return next(path for path in (folder / name, folder / f"{name}.gz") if path.is_file())


def _images(folder: Path, pairing: dict[str, NDArray]) -> NDArray[np.float32]:
    """The MNIST image of each pair."""
    images = np.empty((len(pairing["mnist_index"]), 28, 28), dtype=np.float32)
    for split, (name, _) in FILES.items():
        rows = pairing["mnist_split"] == split
        images[rows] = read_idx(_file(folder, name))[pairing["mnist_index"][rows]] / np.float32(255)
    return images
