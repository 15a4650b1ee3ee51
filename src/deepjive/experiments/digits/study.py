"""The experiment with paired digits: its studies, data sets, methods and seeds, and the fit of one cell.

noisy     Do the joint scores contain the digit, which is all that two images share? (noisy MNIST, Wang et al. 2015)
leakage   What does it cost to keep the digit out of the individual scores?
overlay   Are joint and individual parts recovered in every pixel, where the parts add up and where they do not?
sound     The study "noisy" for image and sound: digits from joint scores, speakers from individual scores.
rotated   Do individual scores stay individual when there are more of them than needed? (Koukuntla et al. 2024)
tried     Which settings lower the errors of joint scores of one image alone? (measured on validation pairs)

All measures but those of "tried" are of test pairs. Settings were chosen on validation pairs; so is C of the support
vector machines.
"""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from deepjive.experiments.cells import Cell
from deepjive.experiments.digits.data.folders import VARIABLE
from deepjive.experiments.digits.data.fresh import fresh_pairs
from deepjive.experiments.digits.data.mnist import DigitImages, load_digit_images
from deepjive.experiments.digits.data.overlay import overlay
from deepjive.experiments.digits.data.pairs import (
    PairedSplits,
    measured_on_validation,
    rotated,
    same_class,
    shuffled_pairs,
)
from deepjive.experiments.digits.data.spoken import image_sound
from deepjive.experiments.digits.measures import (
    ImageClassifier,
    Measures,
    digit_measures,
    image_classifier,
    overlay_measures,
    rotation_measures,
    sound_measures,
)
from deepjive.experiments.digits.methods import IDENTITIES, METHODS, Fitted, fit_method

STUDIES = ("noisy", "leakage", "overlay", "sound", "rotated")
TRIED = "tried"  # a study that is only run where it is asked for
OVERLAYS = ("sum", "maximum", "inverted")
LEAKAGE_WEIGHTS = (0.0, 0.1, 1.0, 3.0)
INDIVIDUAL_SIZES = (2, 3, 5, 7, 10)
SHUFFLED, VALIDATION = " shuffled", " validation"
LABELS = "labels"  # not a method of pairs: an encoder trained on the digits
AUGMENTED, NEW_PARTNERS = "augmented", "new-partners"  # the explicit identity, fitted to pairs that are drawn anew
ALL_METHODS = (*METHODS, LABELS, AUGMENTED, NEW_PARTNERS)
JOINT_RANK = 9  # ten classes span nine dimensions; a tenth joint score would hold variation of one modality alone
INDIVIDUAL_RANK = 10
LINEAR = ("AJIVE", "CCA", "PCA")
ENCODERS = {  # by the name of the networks; the decoders of "normalized" are linear, and all others dense
    "deeper": "DeeperEncoder",
    "normalized": "NormalizedEncoder",
    "normalized, dense decoders": "NormalizedEncoder",
}
SOUNDS = 2400
FRESH = {AUGMENTED: "augmented pairs", NEW_PARTNERS: "augmented pairs with new partners"}
CHOSEN: dict[str, Any] = {
    "individual_ranks": 0,
    "networks": "normalized",
    "dropout": 0.0,
    "batch_size": 128,
    "learning_rate": 5e-3,
    "identity_weight": 3.0,
}
CHANGES: dict[str, dict[str, Any]] = {
    "batches of 64, learning rate 0.003": {"batch_size": 64, "learning_rate": 3e-3},
    "batches of 256, learning rate 0.007": {"batch_size": 256, "learning_rate": 7e-3},
    "identity weight 1": {"identity_weight": 1.0},
    "16 joint scores": {"joint_rank": 16},
    "dropout 0.1": {"dropout": 0.1},
    "dense decoders": {"networks": "normalized, dense decoders"},
}
ADVERSARY: dict[str, Any] = {"orthogonality": "adversary", "orthogonality_weight": 5.0}

Rows = list[tuple[str, str, dict[str, Any]]]


@dataclass(frozen=True)
class Budget:
    """Numbers of pairs, epochs and seeds.

    Attributes
    ----------
    pairs : int, default=50_000
        Training pairs. There are a fifth as many validation pairs and test pairs. Overlays and rotated digits have
        half as many pairs of each kind.
    seeds : int, default=5
        Number of seeds of data, methods and networks; seeds are counted from 0.
    max_epochs, sound_epochs : int, default=8 and 2
        Largest number of epochs of each phase, for pairs of images and for pairs of image and sound.
    images_each : int, default=10
        Number of images that each of the 2400 recordings is paired with.
    weights : tuple of float
        Orthogonality weights of the study "leakage".
    sizes : tuple of int
        Individual ranks of the study "rotated".
    """

    pairs: int = 50_000
    seeds: int = 5
    max_epochs: int = 8
    sound_epochs: int = 2
    images_each: int = 10
    weights: tuple[float, ...] = LEAKAGE_WEIGHTS
    sizes: tuple[int, ...] = INDIVIDUAL_SIZES


QUICK = Budget(3000, 1, 2, 4, 1, (0.1, 1.0), (2, 10))


@dataclass(frozen=True)
class Sources:
    """Folders of the images and sounds, None for the folders that `DEEPJIVE_DATA` names, and the networks' device."""

    mnist: Path | None = None
    fsdd: Path | None = None
    accelerator: str = "cpu"


def images_of(sources: Sources) -> str:
    """Name of the data set of digit images: "MNIST", or "scikit-learn" where MNIST is absent."""
    return _images(sources.mnist).source


def cells_of(
    budget: Budget, sources: Sources, studies: tuple[str, ...] = STUDIES, methods: tuple[str, ...] = ALL_METHODS
) -> list[Cell]:
    """All fits of some studies by some methods, seed by seed; an interruption leaves complete tables of fewer seeds.

    Parameters
    ----------
    budget : Budget
        Numbers of pairs, epochs and seeds.
    sources : Sources
        Where the data are.
    studies : tuple of str, default=STUDIES
        The studies.
    methods : tuple of str, default=ALL_METHODS
        The methods.

    Returns
    -------
    list of Cell
    """
    images = images_of(sources)
    rows = {"noisy": _noisy, "leakage": _leakage, "overlay": _overlay, "sound": _sound, "rotated": _rotated}
    rows[TRIED] = _tried
    return [
        Cell(study, row, seed, {"pairs": pairs, "n": model.pop("n"), "images": images}, _placed(model, sources))
        for study in studies
        for seed in range(budget.seeds)
        for row, pairs, model in rows[study](budget)
        if model["method"] in methods
    ]


def run_cell(cell: Cell, sources: Sources, models: Path | None = None) -> Measures:
    """Fit the method of a cell to its pairs, and measure the fit on test pairs.

    Parameters
    ----------
    cell : Cell
        A cell of `cells_of`.
    sources : Sources
        Where the data are.
    models : Path, optional
        A folder where the models of seed 0 are saved; the page draws its pictures from them.

    Returns
    -------
    dict of str to float
        Each measure by its name; NaN where nothing can be measured.
    """
    pairs = pairs_of(cell, sources)
    if cell.model["method"] == LABELS:
        return _supervised_errors(cell, pairs)
    started = time.process_time()
    fitted = _fitted(cell, pairs, sources)
    seconds = time.process_time() - started
    if models is not None and cell.seed == 0 and cell.part != TRIED and hasattr(fitted.model, "save"):
        fitted.model.save(models / cell.key)
    return {"CPU seconds of the fit": seconds} | _measures(cell, fitted, pairs, sources)


def pairs_of(cell: Cell, sources: Sources) -> PairedSplits:
    """The pairs of a cell."""
    data = cell.data
    return _pairs(data["pairs"], data["n"], cell.seed, data["images"], sources, os.environ.get(VARIABLE))


def deep_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of DeepJIVE in which the name of the networks is replaced by the networks.

    The networks "mixed" have convolutional encoders and dense decoders. The encoders of "deeper" and "normalized" are
    those of `deepjive.experiments.digits.networks`. Dense decoders suffice for images that show one thing in one
    place, and decoders take most of the time. With joint scores alone, linear decoders suffice: the mean images of ten
    digits are a linear function of nine scores.
    """
    if settings.get("networks") not in ("mixed", *ENCODERS):
        return dict(settings)
    from deepjive.deep.networks import Decoder, Encoder
    from deepjive.experiments.digits import networks

    dropout, kind = settings.get("dropout", 0.0), settings["networks"]

    def encoder(shape: tuple[int, ...], rank: int) -> Any:
        if kind == "mixed":
            return Encoder("conv", shape, rank, dropout)
        return getattr(networks, ENCODERS[kind])(shape, rank, dropout)

    decoders: Literal["linear", "dense"] = "linear" if kind == "normalized" else "dense"
    return settings | {"networks": (encoder, lambda shape, rank: Decoder(decoders, shape, rank, dropout))}


def _fitted(cell: Cell, pairs: PairedSplits, sources: Sources) -> Fitted:
    from sklearn.exceptions import ConvergenceWarning

    settings, data = deep_settings(cell.model), pairs.train.data
    method, *ranks = (settings.pop(key) for key in ("method", "joint_rank", "individual_ranks"))
    if "fresh" in settings:
        from deepjive.deep.runtime.settings import Runtime

        method, settings["runtime"] = "explicit", Runtime(memory_limit=0.0)
        data = fresh_pairs(_images(sources.mnist).train, pairs.train.rows or {}, settings.pop("fresh"), cell.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_method(method, data, *ranks, seed=cell.seed, settings=settings)


def _measures(cell: Cell, fitted: Fitted, pairs: PairedSplits, sources: Sources) -> Measures:
    if cell.part == "overlay":
        return overlay_measures(fitted, pairs)
    if cell.part == "sound":
        return sound_measures(fitted, pairs, lambda: _classifier(sources.mnist))
    if cell.part == "rotated":
        return rotation_measures(fitted, pairs)
    return digit_measures(fitted, pairs)


def _supervised_errors(cell: Cell, pairs: PairedSplits) -> Measures:
    """Errors of the same encoders trained on the digits: the least error that they can be expected to reach."""
    from deepjive.experiments.digits.networks import labelled_error

    train, test = pairs.train, pairs.test
    return {
        f"digit error, {name} image, by an encoder trained on digits": labelled_error(
            (train.data[name], train.digit), (test.data[name], test.digit), cell.seed, cell.model
        )
        for name in train.data.names
    }


def _noisy(budget: Budget) -> Rows:
    """For each fit of the study its row, its pairs and its model; the other studies return the same."""
    rows = [(method, "noisy", _deep(budget, method)) for method in IDENTITIES]
    rows += [(method, "noisy", _plain(budget.pairs, method)) for method in LINEAR]
    rows.append(("separate", "noisy", _deep(budget, "separate")))
    joint_alone = _deep(budget, "explicit") | {"individual_ranks": 0}
    deeper = joint_alone | {"networks": "deeper"}
    rows.append(("explicit, deeper encoders, joint alone", "noisy", deeper))
    rows.append(("deeper encoders trained on the digits", "noisy", deeper | {"method": LABELS}))
    rows += [
        (f"explicit, {words}, joint alone", "noisy", _augmented(budget, method)) for method, words in FRESH.items()
    ]
    return [*rows, ("explicit, shuffled pairs", "noisy" + SHUFFLED, joint_alone)]


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
    settings = {"n": n, "joint_rank": 5, "individual_ranks": 5, "networks": "dense", "dropout": 0.0}
    rows = [(f"{kind}, {method}", kind, _deep(budget, method) | settings) for kind in OVERLAYS for method in IDENTITIES]
    return rows + [(f"{kind}, AJIVE", kind, _plain(n, "AJIVE", 5, 5)) for kind in OVERLAYS]


def _sound(budget: Budget) -> Rows:
    n = SOUNDS * budget.images_each
    settings = {"n": n, "max_epochs": budget.sound_epochs, "dropout": 0.3}
    rows = [(method, "sound", _deep(budget, method) | settings) for method in (*IDENTITIES, "separate")]
    rows += [(method, "sound", _plain(n, method)) for method in LINEAR]
    null = _deep(budget, "explicit") | settings | {"individual_ranks": 0}
    return [*rows, ("explicit, shuffled pairs", "sound" + SHUFFLED, null)]


def _rotated(budget: Budget) -> Rows:
    n = max(500, budget.pairs // 2)
    settings: dict[str, Any] = {
        "n": n,
        "joint_rank": 30,
        "individual_decoder": "conditioned",
        "orthogonality_weight": 0.3,
    }
    # In a batch of 64, thirty joint scores and their cosines explain individual scores by chance.
    settings |= {"networks": "dense", "dropout": 0.0, "batch_size": max(64, min(512, n // 8))}
    deep = _deep(budget, "explicit") | settings
    rows: Rows = []
    for size in budget.sizes:
        ranks = {"original": 0, "turned": size}
        dense = deep | {"individual_ranks": ranks}
        rows.append((f"{size} individual scores", "rotated", dense))
        rows.append((f"{size} individual scores, adversary", "rotated", dense | ADVERSARY))
        rows.append((f"{size} individual scores, convolutional encoders", "rotated", dense | {"networks": "mixed"}))
        rows.append((f"{size}, AJIVE", "rotated", _plain(n, "AJIVE", 30, ranks)))
    return rows


def _tried(budget: Budget) -> Rows:
    """One change after another, from the deeper encoders to the augmented pairs, and changes of these."""
    augmented, new_partners = (_augmented(budget, method) for method in FRESH)
    deeper = _deep(budget, "explicit") | {"individual_ranks": 0, "networks": "deeper"}
    as_given = {name: value for name, value in augmented.items() if name != "fresh"} | {"method": "explicit"}
    models: dict[str, dict[str, Any]] = {
        "deeper encoders": deeper,
        "deeper encoders, angles and noise drawn anew": deeper | {"method": AUGMENTED, "fresh": "draws"},
        "normalized encoders": as_given,
        "angles and noise drawn anew": augmented | {"fresh": "draws"},
        "images moved too": augmented,
        "partners drawn anew too": new_partners,
    }
    models |= {name: new_partners | change for name, change in CHANGES.items()}
    return [(row, "noisy" + VALIDATION, model) for row, model in models.items()]


def _augmented(budget: Budget, method: str) -> dict[str, Any]:
    """Settings of the explicit identity for pairs that are drawn anew in every epoch, joint scores alone."""
    return _deep(budget, method) | CHOSEN | {"fresh": "moves" if method == AUGMENTED else "partners"}


def _plain(n: int, method: str, joint: int = JOINT_RANK, individual: Any = INDIVIDUAL_RANK) -> dict[str, Any]:
    """Settings of a method without networks."""
    return {"n": n, "method": method, "joint_rank": joint, "individual_ranks": individual}


def _deep(budget: Budget, method: str) -> dict[str, Any]:
    """Settings of a method with networks, chosen on validation pairs (docs/mnist.md)."""
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
    """The settings of a model; for a model with networks they include the device."""
    return model | {"device": sources.accelerator} if "networks" in model else model


def _images(folder: Path | None) -> DigitImages:
    return _loaded(folder, os.environ.get(VARIABLE))


@lru_cache(maxsize=1)
def _loaded(folder: Path | None, _: str | None) -> DigitImages:
    return load_digit_images(folder, fallback=True)


@lru_cache(maxsize=1)
def _classifier(folder: Path | None) -> ImageClassifier:
    return image_classifier(_images(folder).train)


@lru_cache(maxsize=1)
def _pairs(name: str, n: int, seed: int, source: str, sources: Sources, place: str | None) -> PairedSplits:
    """The pairs of a name; the last pairs are cached, and `source` and `place` are part of the cache's key."""
    if name.endswith(VALIDATION):
        splits = _pairs.__wrapped__(name.removesuffix(VALIDATION), n, seed, source, sources, place)
        return measured_on_validation(splits)
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
