"""The study of paired digits: questions, data sets, methods and seeds, and what is measured of each fit.

noisy     does the class, all that two images share, sit in the joint scores? ("noisy MNIST", Wang et al. 2015)
leakage   what does it cost to keep the class out of the individual scores?
overlay   are joint and individual parts recovered pixel by pixel, where they add up and where they do not?
sound     the same as noisy for image and sound: digits from joint scores, speakers from individual ones
rotated   do individual scores stay individual when there are more of them than needed? (Koukuntla et al. 2024)

Every figure is of test pairs. Settings were chosen on validation pairs; C of the support vector machines is.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.evaluation.cross_prediction import cross_prediction
from deepjive.evaluation.recovery import r2
from deepjive.experiments.cells import Cell
from deepjive.experiments.digits.classes import LINEAR_SAMPLES, cluster_error, linear_svm_accuracy, svm_error
from deepjive.experiments.digits.data.folders import VARIABLE
from deepjive.experiments.digits.data.mnist import DigitImages, load_digit_images
from deepjive.experiments.digits.data.overlay import overlay
from deepjive.experiments.digits.data.pairs import PairedSplits, rotated, same_class, shuffled_pairs
from deepjive.experiments.digits.data.spoken import image_sound
from deepjive.experiments.digits.methods import IDENTITIES, METHODS, Fitted, PairScores, fit_method
from deepjive.experiments.digits.rotation_angle import explained_by_turning, explained_in_windows, scores_over_turns

STUDIES = ("noisy", "leakage", "overlay", "sound", "rotated")
OVERLAYS = ("sum", "maximum", "inverted")
LEAKAGE_WEIGHTS = (0.0, 0.1, 1.0, 3.0)
PRIVATE_SIZES = (2, 3, 5, 7, 10)
CLASSIFIER_IMAGES = 10_000
SHUFFLED = " shuffled"
LABELS = "labels"  # no method of pairs: an encoder that is told the digits
JOINT, OWN = 9, 10  # ten classes span nine dimensions; a tenth joint score would hold what one modality has alone
LINEAR = ("AJIVE", "CCA", "PCA")
SOUNDS = 2400
ADVERSARY: dict[str, Any] = {"orthogonality": "adversary", "orthogonality_weight": 5.0}
TURNED = 5000  # most images whose angles are looked at: as many as SPLICE's notebook

Figures = dict[str, float]


@dataclass(frozen=True)
class Budget:
    """How much is computed.

    Attributes
    ----------
    pairs : int
        Training pairs; a fifth as many for validation and for test, and of overlays and rotated digits half of each.
    seeds : int
        Seeds of everything, from 0.
    max_epochs, sound_epochs : int
        Most passes over the data in each phase, and over the pairs of image and sound.
    images_each : int
        Images that each of the 2400 recordings is paired with.
    weights : tuple of float
        Orthogonality weights of the leakage curve.
    sizes : tuple of int
        Individual ranks of the rotated digits.
    """

    pairs: int = 50_000
    seeds: int = 5
    max_epochs: int = 8
    sound_epochs: int = 2
    images_each: int = 10
    weights: tuple[float, ...] = LEAKAGE_WEIGHTS
    sizes: tuple[int, ...] = PRIVATE_SIZES


QUICK = Budget(3000, 1, 2, 4, 1, (0.1, 1.0), (2, 10))


@dataclass(frozen=True)
class Sources:
    """Where the images and sounds are, None for the folders that `DEEPJIVE_DATA` names, and what networks run on."""

    mnist: Path | None = None
    fsdd: Path | None = None
    accelerator: str = "cpu"


def images_of(sources: Sources) -> str:
    """Where the images of digits are from: "MNIST", or "scikit-learn" where it is absent."""
    return _images(sources.mnist).source


def cells_of(
    budget: Budget, sources: Sources, studies: tuple[str, ...] = STUDIES, methods: tuple[str, ...] = (*METHODS, LABELS)
) -> list[Cell]:
    """All fits of the studies by some methods, seed by seed: an early end leaves whole tables of fewer seeds."""
    images = images_of(sources)
    rows = {"noisy": _noisy, "leakage": _leakage, "overlay": _overlay, "sound": _sound, "rotated": _rotated}
    return [
        Cell(study, row, seed, {"pairs": pairs, "n": model.pop("n"), "images": images}, _placed(model, sources))
        for study in studies
        for seed in range(budget.seeds)
        for row, pairs, model in rows[study](budget)
        if model["method"] in methods
    ]


def run_cell(cell: Cell, sources: Sources, models: Path | None = None) -> Figures:
    """Fit what a cell says and measure it.

    Parameters
    ----------
    cell : Cell
        From `cells_of`.
    sources : Sources
        Where the data are.
    models : Path, optional
        A folder; there the models of seed 0 are kept for pictures.

    Returns
    -------
    dict of str to float
        Not a number where there was nothing to measure.
    """
    from sklearn.exceptions import ConvergenceWarning

    pairs = pairs_of(cell, sources)
    if cell.model["method"] == LABELS:
        return _labelled(cell, pairs)
    settings = deep_settings(cell.model)
    method, *ranks = (settings.pop(key) for key in ("method", "joint_rank", "individual_ranks"))
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = fit_method(method, pairs.train.data, *ranks, seed=cell.seed, settings=settings)
    seconds = time.process_time() - started
    if models is not None and cell.seed == 0 and hasattr(fitted.model, "save"):
        fitted.model.save(models / cell.key)
    measure = {"overlay": _recovered, "sound": _heard, "rotated": _turned}.get(cell.part, _told)
    return {"CPU seconds of the fit": seconds} | measure(fitted, pairs, sources)


def pairs_of(cell: Cell, sources: Sources) -> PairedSplits:
    """The pairs that a cell is about."""
    data = cell.data
    return _pairs(data["pairs"], data["n"], cell.seed, data["images"], sources, os.environ.get(VARIABLE))


def deep_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with networks in the place of their name: "mixed" has convolutional encoders and dense decoders.

    "deeper" has encoders of twice as many convolutions. Images that show one thing in one place need no convolutions to
    be drawn, and decoders take most of the time.
    """
    if settings.get("networks") not in ("mixed", "deeper"):
        return dict(settings)
    from deepjive.deep.networks import Decoder, Encoder
    from deepjive.experiments.digits.networks import DeeperEncoder

    dropout, deeper = settings.get("dropout", 0.0), settings["networks"] == "deeper"

    def encoder(shape: tuple[int, ...], rank: int) -> Any:
        return DeeperEncoder(shape, rank, dropout) if deeper else Encoder("conv", shape, rank, dropout)

    return settings | {"networks": (encoder, lambda shape, rank: Decoder("dense", shape, rank, dropout))}


Rows = list[tuple[str, str, dict[str, Any]]]


def _noisy(budget: Budget) -> Rows:
    """(row, pairs, model) of each fit; so are the others."""
    rows = [(method, "noisy", _deep(budget, method)) for method in IDENTITIES]
    rows += [(method, "noisy", _plain(budget.pairs, method)) for method in LINEAR]
    rows.append(("separate", "noisy", _deep(budget, "separate")))
    alone = _deep(budget, "explicit") | {"individual_ranks": 0}
    rows.append(("explicit, deeper encoders, joint alone", "noisy", alone | {"networks": "deeper"}))
    rows.append(("deeper encoders trained on the digits", "noisy", alone | {"method": LABELS, "networks": "deeper"}))
    return [*rows, ("explicit, shuffled pairs", "noisy" + SHUFFLED, alone)]


def _leakage(budget: Budget) -> Rows:
    separate: Rows = [("separate", "noisy", _deep(budget, "separate"))]
    return separate + [
        (
            f"{decoder}, weight {weight:g}",
            "noisy",
            _deep(budget, "explicit") | {"orthogonality_weight": weight, "individual_decoder": decoder},
        )
        for decoder in ("additive", "conditioned")
        for weight in budget.weights
    ]


def _overlay(budget: Budget) -> Rows:
    n = max(500, budget.pairs // 2)
    changed = {"n": n, "joint_rank": 5, "individual_ranks": 5, "networks": "dense", "dropout": 0.0}
    rows = [(f"{kind}, {method}", kind, _deep(budget, method) | changed) for kind in OVERLAYS for method in IDENTITIES]
    return rows + [(f"{kind}, AJIVE", kind, _plain(n, "AJIVE", 5, 5)) for kind in OVERLAYS]


def _sound(budget: Budget) -> Rows:
    n = SOUNDS * budget.images_each
    changed = {"n": n, "max_epochs": budget.sound_epochs, "dropout": 0.3}
    rows = [(method, "sound", _deep(budget, method) | changed) for method in (*IDENTITIES, "separate")]
    rows += [(method, "sound", _plain(n, method)) for method in LINEAR]
    null = _deep(budget, "explicit") | changed | {"individual_ranks": 0}
    return [*rows, ("explicit, shuffled pairs", "sound" + SHUFFLED, null)]


def _rotated(budget: Budget) -> Rows:
    n = max(500, budget.pairs // 2)
    changed: dict[str, Any] = {
        "n": n,
        "joint_rank": 30,
        "individual_decoder": "conditioned",
        "orthogonality_weight": 0.3,
    }
    # Thirty joint scores and their cosines cannot be told from chance in a batch of 64.
    changed |= {"networks": "dense", "dropout": 0.0, "batch_size": max(64, min(512, n // 8))}
    deep = _deep(budget, "explicit") | changed
    rows: Rows = []
    for size in budget.sizes:
        ranks = {"original": 0, "turned": size}
        own = deep | {"individual_ranks": ranks}
        rows.append((f"{size} individual scores", "rotated", own))
        rows.append((f"{size} individual scores, adversary", "rotated", own | ADVERSARY))
        rows.append((f"{size} individual scores, convolutional encoders", "rotated", own | {"networks": "mixed"}))
        rows.append((f"{size}, AJIVE", "rotated", _plain(n, "AJIVE", 30, ranks)))
    return rows


def _plain(n: int, method: str, joint: int = JOINT, own: Any = OWN) -> dict[str, Any]:
    return {"n": n, "method": method, "joint_rank": joint, "individual_ranks": own}


def _deep(budget: Budget, method: str) -> dict[str, Any]:
    """What was chosen on validation pairs; see docs/mnist.md."""
    return _plain(budget.pairs, method) | {
        "networks": "mixed",
        "dropout": 0.1,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "max_epochs": budget.max_epochs,
        "individual_decoder": "additive",
        "orthogonality_weight": 0.1,
        "validation_fraction": 0.05,
    }


def _placed(model: dict[str, Any], sources: Sources) -> dict[str, Any]:
    """A model whose networks, if it has any, run on the accelerator that is asked for."""
    return model | {"accelerator": sources.accelerator} if "networks" in model else model


def _images(folder: Path | None) -> DigitImages:
    return _loaded(folder, os.environ.get(VARIABLE))


@lru_cache(maxsize=1)
def _loaded(folder: Path | None, _: str | None) -> DigitImages:
    return load_digit_images(folder, fallback=True)


@lru_cache(maxsize=1)
def _pairs(name: str, n: int, seed: int, source: str, sources: Sources, place: str | None) -> PairedSplits:
    """Pairs, the last ones kept; `source` and `place` keep those of other images apart."""
    if name.endswith(SHUFFLED):
        return shuffled_pairs(_pairs.__wrapped__(name.removesuffix(SHUFFLED), n, seed, source, sources, place), seed)
    if name == "sound":
        return image_sound(sources.mnist, sources.fsdd, n // SOUNDS, random_state=seed)
    sizes = (n, max(500, n // 5), max(500, n // 5))
    images = _images(sources.mnist)
    if name == "noisy":
        return same_class(images, sizes, random_state=seed)
    if name == "rotated":
        return rotated(images, sizes, random_state=seed)
    return overlay(images, sizes, kind=name, random_state=seed)  # type: ignore[arg-type]


def _told(fitted: Fitted, pairs: PairedSplits, _: Sources) -> Figures:
    """Errors of telling the digit from each set of scores, and what is explained and predicted."""
    figures = _errors(fitted, pairs, {"digit": [split.digit for split in _splits(pairs)]})
    if fitted.model is not None:
        figures |= _explained(fitted, pairs)
    return figures


def _labelled(cell: Cell, pairs: PairedSplits) -> Figures:
    """Errors of encoders that were told the digits: what can be hoped for from the same ones without."""
    from deepjive.experiments.digits.networks import labelled_error

    (train, _, test), named = _splits(pairs), "digit error, {} image, by an encoder trained on digits"
    return {
        named.format(name): labelled_error(
            (train.data[name], train.digit), (test.data[name], test.digit), cell.seed, cell.model
        )
        for name in train.data.names
    }


def _errors(fitted: Fitted, pairs: PairedSplits, labels: dict[str, list[NDArray]]) -> Figures:
    sets = [_named(fitted.scores(split.data)) for split in _splits(pairs)]
    figures = {
        f"{label} error, {name}": svm_error(*((scores[name], y) for scores, y in zip(sets, values, strict=True)))
        for label, values in labels.items()
        for name in sets[0]
    }
    if "joint" in sets[2]:
        figures["digit cluster error, joint"] = cluster_error(sets[2]["joint"], pairs.test.digit)
    return figures


def _named(scores: PairScores) -> dict[str, NDArray]:
    named = {} if scores.joint is None else {"joint": scores.joint}
    named |= {f"joint of {name}": array for name, array in scores.alone.items()}
    named |= {f"individual of {name}": array for name, array in scores.individual.items()}
    return named | ({"all": scores.everything()} if scores.individual else {})


def _explained(fitted: Fitted, pairs: PairedSplits) -> Figures:
    data = pairs.test.data
    figures = {
        f"variance {part}, {name}": fraction
        for name, parts in fitted.model.decompose(data).variance_explained.items()
        for part, fraction in parts.items()
    }
    if fitted.scores(data[:2]).alone:
        figures |= {f"predicted variance, {name}": r2(data[name], fitted.model.impute(data, name)) for name in data}
    return figures


def _recovered(fitted: Fitted, pairs: PairedSplits, _: Sources) -> Figures:
    """R2 of the parts against the truth."""
    test, parts = pairs.test, fitted.model.decompose(pairs.test.data)
    figures = {}
    for name in test.data.names:
        figures[f"R2 joint, {name}"] = r2((test.joint or {})[name], parts.joint[name])
        figures[f"R2 individual, {name}"] = r2((test.individual or {})[name], parts.individual[name])
    return figures


def _heard(fitted: Fitted, pairs: PairedSplits, sources: Sources) -> Figures:
    """Digits and speakers told from scores, and whether an image drawn from a sound shows its digit."""
    splits = _splits(pairs)
    labels = {
        "digit": [split.digit for split in splits],
        "speaker": [split.factors["speaker"] for split in splits],
    }
    figures = _errors(fitted, pairs, labels)
    if alone := fitted.scores(pairs.test.data).alone:
        train = fitted.scores(pairs.train.data[:LINEAR_SAMPLES]).alone["sound"]
        right = linear_svm_accuracy((train, labels["speaker"][0]), (alone["sound"], labels["speaker"][2]))
        figures["speaker error, joint of sound, linear classifier"] = 1.0 - right
    if fitted.model is not None:
        figures |= _explained(fitted, pairs)
        if "predicted variance, image" in figures:
            heard = fitted.model.transform(pairs.test.data.select(["sound"]))
            average = {"image": np.zeros((len(heard), fitted.model.individual_ranks_["image"]))}
            for key, own in (("drawn digit is right", average), ("drawn digit is right, joint part alone", None)):
                drawn = fitted.model.inverse_transform(heard, own)["image"]
                figures[key] = float(np.mean(_classifier(sources.mnist)(drawn) == pairs.test.digit))
    return figures


def _turned(fitted: Fitted, pairs: PairedSplits, _: Sources) -> Figures:
    """What individual scores say of the digit and of the angle."""
    train, _, test = _splits(pairs)
    figures = _errors(fitted, pairs, {"digit": [split.digit for split in _splits(pairs)]})

    def own(data: Modalities) -> NDArray:
        return fitted.model.decompose(data).individual_scores["turned"]

    told = linear_svm_accuracy((own(train.data[:LINEAR_SAMPLES]), train.digit), (own(test.data), test.digit))
    angle = np.column_stack([test.factors["sine"], test.factors["cosine"]])
    images, degrees = np.asarray(test.data["original"])[:TURNED], np.rad2deg(np.arctan2(*angle[:TURNED].T)) % 360
    figures["digit right, linear classifier, individual of turned"] = told
    figures["individual variance explained by the angle"] = cross_prediction(angle, own(test.data))
    figures["angle explained by individual scores"] = cross_prediction(own(test.data), angle)
    scores = own(test.data)[:TURNED]
    curves = scores_over_turns(lambda turned: own(Modalities({"original": images, "turned": turned})), images)
    figures["individual variance by the angle from each image's own beginning"] = explained_by_turning(
        scores, degrees, curves
    )
    if hasattr(fitted.model, "standardizers_"):
        scores, curves = (_latents(fitted.model, array) for array in (scores, curves))
        figures["the same, latents"] = explained_by_turning(scores, degrees, curves)
        figures["the same, latents, as SPLICE has it"] = explained_in_windows(scores, degrees, curves)
    return figures | _explained(fitted, pairs)


def _latents(model: Any, scores: NDArray) -> NDArray:
    """The latents that the turned image's individual scores (..., rank) are a standard form of."""
    import torch

    back = model.standardizers_[1 + list(model.individual_ranks_).index("turned")]
    return back.inverse(torch.as_tensor(scores)).numpy()


@lru_cache(maxsize=1)
def _classifier(folder: Path | None) -> Callable[[NDArray], NDArray]:
    """Tells digits; learned from real images, none of them a test image."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    train = _images(folder).train
    flat = train.images[:CLASSIFIER_IMAGES].reshape(min(len(train), CLASSIFIER_IMAGES), -1)
    fitted = make_pipeline(PCA(50, random_state=0), SVC(C=10.0)).fit(flat, train.digits[:CLASSIFIER_IMAGES])
    return lambda images: fitted.predict(images.reshape(len(images), -1))


def _splits(pairs: PairedSplits) -> tuple[Any, Any, Any]:
    return pairs.train, pairs.validation, pairs.test
