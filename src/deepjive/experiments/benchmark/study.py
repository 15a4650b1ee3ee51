"""The benchmark with digits over backgrounds: its data, methods, seeds and settings, and the fit of one cell.

Settings of DeepJIVE and of the peers were chosen on validation samples of seed 0 (docs/views-benchmark.md). All
measures are of test samples. All methods have the same training samples, numbers of scores, encoders and decoders.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from deepjive.data.modalities import Modalities
from deepjive.evaluation.null import shuffled
from deepjive.experiments.benchmark.data import digits_over_backgrounds
from deepjive.experiments.benchmark.measures import Classify, Measures, view_measures
from deepjive.experiments.benchmark.methods import OWN, FittedViews, fit_own
from deepjive.experiments.benchmark.peers import PEERS, fit_peer
from deepjive.experiments.cells import Cell
from deepjive.experiments.digits.data.folders import VARIABLE
from deepjive.experiments.digits.data.mnist import load_digit_images
from deepjive.experiments.digits.data.pairs import PairedSplits, Pairs
from deepjive.experiments.digits.networks import digit_classifier
from deepjive.plot.samples import one_of_each

JOINT_RANK = 9  # ten classes span nine dimensions
INDIVIDUAL_RANK = 16
REAL = "real views"  # not a method: how well the classifier of images does on real test views
CLASSIFIER = {"dropout": 0.2, "batch_size": 64, "max_epochs": 4, "learning_rate": 3e-3, "device": "cpu"}
CLASSIFIER_IMAGES = 20_000
SETTINGS: dict[str, Any] = {
    "identity": "explicit",
    "identity_weight": 10.0,
    "individual_decoder": "conditioned",
    "orthogonality_weight": 3.0,
    "dropout": 0.1,
    "batch_size": 64,
    "validation_fraction": 0.05,
}
PEER_SETTINGS: dict[str, Any] = {"batch_size": 128, "learning_rate": 1e-3, "noise": 0.5}
PHASES = 3
NETWORKS = "mixed"  # as `networks` names them
TEST_SAMPLES = 2000
CLASSIFIER_SEED = 1000  # not a seed of the benchmark
LEARN_FROM_INCOMPLETE = ("DeepJIVE", "shuffled", "AJIVE")
MASK_SEED = 2000


@dataclass(frozen=True)
class Budget:
    """How much is computed.

    Attributes
    ----------
    views : tuple of int, default=(3, 5)
        Numbers of views.
    samples : int, default=10_000
        Training samples; there are 2000 test samples, or as many as training samples where these are fewer.
    seeds : int, default=5
        Number of seeds of data and methods, counted from 0.
    max_epochs : int, default=16
        Largest number of epochs of each phase of DeepJIVE; deep peers have three times as many epochs.
    missing : float, default=0.0
        Fraction of the training samples that lack a view, for each view. Methods that cannot learn from such samples
        have the complete samples only.
    """

    views: tuple[int, ...] = (3, 5)
    samples: int = 10_000
    seeds: int = 5
    max_epochs: int = 16
    missing: float = 0.0


QUICK = Budget((3,), 5000, 1)


def cells_of(budget: Budget, methods: Sequence[str] = (*OWN, *PEERS), mnist: Path | None = None) -> list[Cell]:
    """Return all fits, seed by seed; an interruption leaves complete tables of fewer seeds.

    Parameters
    ----------
    budget : Budget
        How much is computed.
    methods : sequence of str, default=all
        The methods.
    mnist : Path, optional
        Folder of MNIST.

    Returns
    -------
    list of Cell
    """
    images = _images(mnist, os.environ.get(VARIABLE)).source
    return [
        Cell(f"{n_views} views", method, seed, data, _settings(method, budget))
        for n_views in budget.views
        for seed in range(budget.seeds)
        for data in [{"views": n_views, "n": budget.samples, "images": images, "missing": budget.missing}]
        for method in (REAL, *methods)
    ]


def run_cell(cell: Cell, mnist: Path | None = None, pictures: Path | None = None) -> Measures:
    """Fit the method of a cell, and measure the fit on test samples.

    Parameters
    ----------
    cell : Cell
        A cell of `cells_of`.
    mnist : Path, optional
        Folder of MNIST.
    pictures : Path, optional
        A folder for what the methods of seed 0 draw, as ``<key of the cell>.npz``.

    Returns
    -------
    dict of str to float
        The measures that the method has.
    """
    place = (mnist, os.environ.get(VARIABLE))
    splits = _samples(cell.data["views"], cell.data["n"], cell.seed, *place)
    classify = _classifier(cell.data["views"], *place)
    if cell.row == REAL:
        views = [np.asarray(view) for view in splits.test.data.values()]
        return {"real views classified": float(np.mean([np.mean(classify(v) == splits.test.digit) for v in views]))}
    started = time.process_time()
    fitted = fit(cell, splits)
    seconds = time.process_time() - started
    if pictures is not None and cell.seed == 0 and (rows := _drawn_rows(fitted, splits.test, cell.seed)):
        pictures.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(pictures / f"{cell.key}.npz", **rows)  # type: ignore[arg-type]
    return {"CPU seconds of the fit": seconds} | view_measures(fitted, splits.train, splits.test, classify, cell.seed)


def fit(cell: Cell, splits: PairedSplits) -> Any:
    """Fit the method of a cell to its training samples.

    Parameters
    ----------
    cell : Cell
        A cell of `cells_of`.
    splits : PairedSplits
        Its samples.

    Returns
    -------
    FittedViews
    """
    from sklearn.exceptions import ConvergenceWarning

    settings = dict(cell.model)
    method, joint_rank, rank = (settings.pop(key) for key in ("method", "joint_rank", "individual_rank"))
    if "networks" in settings:
        settings["networks"] = networks(settings["networks"], settings["dropout"])
    data = splits.train.data
    if method == "shuffled":
        data = shuffled(data, random_state=cell.seed)
    if cell.data["missing"]:
        data = with_missing_views(data, cell.data["missing"], cell.seed)
        if method not in LEARN_FROM_INCOMPLETE:
            data = data[np.flatnonzero(data.present.all(axis=1))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit_one = fit_own if method in OWN else fit_peer
        return fit_one(method, data, joint_rank, rank, cell.seed, settings)


def with_missing_views(data: Modalities, fraction: float, seed: int) -> Modalities:
    """Return samples of which a fraction lacks each view, drawn for each view; every sample keeps at least one view."""
    rng = np.random.default_rng((MASK_SEED, seed))
    present = np.ones(data.shape, dtype=bool)
    for column in present.T:
        column[rng.permutation(len(data))[: round(fraction * len(data))]] = False
    empty = np.flatnonzero(~present.any(axis=1))
    present[empty, rng.integers(data.shape[1], size=len(empty))] = True
    arrays = {name: np.array(view) for name, view in data.items()}
    for view, has in zip(arrays.values(), present.T, strict=True):
        view[~has] = np.nan
    return Modalities(arrays, present=present)


def networks(name: str, dropout: float) -> tuple[Any, Any]:
    """Return factories of encoders and decoders, called with (shape, rank): "conv", "dense", or "mixed".

    "mixed" networks have convolutional encoders and dense decoders, which take less time.
    """
    from deepjive.deep.networks import Decoder, Encoder

    encoder, decoder = {"mixed": ("conv", "dense")}.get(name, (name, name))
    return (
        lambda shape, rank: Encoder(encoder, shape, rank, dropout),  # type: ignore[arg-type]
        lambda shape, rank: Decoder(decoder, shape, rank, dropout),  # type: ignore[arg-type]
    )


def _drawn_rows(fitted: FittedViews, test: Pairs, seed: int) -> dict[str, np.ndarray]:
    """Rows of images: views of ten digits, each drawn from the others, and samples; empty if nothing is drawn."""
    data = test.data[one_of_each(test.digit)]
    rows: dict[str, np.ndarray] = {}
    for name in data.names:
        drawn = fitted.drawn(data.select([other for other in data.names if other != name]), name, seed)
        if drawn is not None:
            rows |= {name: np.asarray(data[name]), f"{name} from others": drawn}
    samples = fitted.sampled(len(data), seed) or {}
    return rows | {f"{name}, sample": view for name, view in samples.items()}


def _settings(method: str, budget: Budget) -> dict[str, Any]:
    settings: dict[str, Any] = {"method": method, "joint_rank": JOINT_RANK, "individual_rank": INDIVIDUAL_RANK}
    if method in ("DeepJIVE", "shuffled", "separate"):
        settings |= SETTINGS | {"networks": NETWORKS, "max_epochs": budget.max_epochs}
    if method == "shuffled":
        settings |= {"individual_rank": 0}  # the joint scores alone show whether joint variation is made up
    if method in ("DGCCA", "VCCA-private"):
        settings |= PEER_SETTINGS | {"networks": NETWORKS, "dropout": SETTINGS["dropout"]}
        settings["epochs"] = PHASES * budget.max_epochs
    return settings


@lru_cache(maxsize=1)
def _images(mnist: Path | None, _: str | None) -> Any:
    return load_digit_images(mnist, fallback=True)


@lru_cache(maxsize=1)
def _samples(n_views: int, n: int, seed: int, mnist: Path | None, place: str | None) -> PairedSplits:
    held_out = min(TEST_SAMPLES, n)
    images = _images(mnist, place)
    return digits_over_backgrounds(images, n_views, (n, held_out, held_out), random_state=seed)


@lru_cache(maxsize=1)
def _classifier(n_views: int, mnist: Path | None, place: str | None) -> Classify:
    """Return a classifier of the images of all views, which is trained once for each number of views."""
    from deepjive.deep.networks import Encoder

    images = _images(mnist, place)
    n = CLASSIFIER_IMAGES // n_views
    samples = digits_over_backgrounds(images, n_views, (n, 1, 1), random_state=CLASSIFIER_SEED).train
    views = np.concatenate([np.asarray(view) for view in samples.data.values()])

    def encoder(shape: tuple[int, ...], outputs: int, dropout: float) -> Any:
        return Encoder("conv", shape, outputs, dropout)

    return digit_classifier(encoder, views, np.tile(samples.digit, n_views), CLASSIFIER_SEED, CLASSIFIER)
