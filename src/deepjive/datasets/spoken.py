"""Images and sounds of digits: MNIST beside the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0).

Sounds are log-mel spectrograms of 32 bands in 32 frames, in decibels over ten. The recordings numbered 0 to 4 of each
speaker and digit are the data set's official test recordings; numbers 5 to 9 are held out for validation here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepjive.datasets.folders import data_folder
from deepjive.datasets.idx import read_idx
from deepjive.datasets.mnist import FILES, HOW
from deepjive.datasets.pairs import PairedSplits, Pairs
from deepjive.modalities import Modalities
from deepjive.readers.arrays import read_npz

SOUNDS, PAIRING = "fsdd_logmel32.npz", "mnist_fsdd_pairs.npz"
VALIDATION = 10
HOW_SOUNDS = (
    "fsdd_logmel32.npz holds logmel (n, 32, 32), label, speaker, index and is_test of each recording of the Free "
    "Spoken Digit Dataset (github.com/Jakobovski/free-spoken-digit-dataset), mnist_fsdd_pairs.npz the MNIST image "
    "of each: fsdd_index, mnist_split and mnist_index."
)


def image_sound(mnist: str | Path | None = None, fsdd: str | Path | None = None) -> PairedSplits:
    """Pair recordings of spoken digits with images of the digit: modalities "image" and "sound".

    Parameters
    ----------
    mnist, fsdd : path, optional
        Folders of the two data sets; by default ``mnist`` and ``fsdd`` in the folder that ``DEEPJIVE_DATA`` names.

    Returns
    -------
    PairedSplits
        2400 training, 300 validation and the 300 official test recordings; factor "speaker". Test recordings have test
        images.

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
    images = _images(data_folder("mnist", mnist, FILES["train"][0], HOW), pairing)
    sound = sounds["logmel"][order].astype(np.float32)
    test, index = sounds["is_test"][order].astype(bool), sounds["index"][order]
    validation = ~test & (index < VALIDATION)

    def pairs(rows: NDArray[np.bool_]) -> Pairs:
        return Pairs(
            Modalities({"image": images[rows], "sound": sound[rows]}),
            sounds["label"][order][rows].astype(np.int_),
            {"speaker": sounds["speaker"][order][rows]},
        )

    return PairedSplits(pairs(~test & ~validation), pairs(validation), pairs(test))


def _images(folder: Path, pairing: dict[str, NDArray]) -> NDArray[np.float32]:
    """The MNIST image of each pair."""
    images = np.empty((len(pairing["mnist_index"]), 28, 28), dtype=np.float32)
    for split, (name, _) in FILES.items():
        rows = pairing["mnist_split"] == split
        file = next(path for path in (folder / name, folder / f"{name}.gz") if path.is_file())
        images[rows] = read_idx(file)[pairing["mnist_index"][rows]] / np.float32(255)
    return images
