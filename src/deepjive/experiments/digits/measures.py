"""Measures of a fitted method on test pairs: classification errors, recovered parts, predicted variance, angles.

Each measure is a number with a name, such as ``"digit error, joint"``. Errors and fractions lie between 0 and 1; an R2
is at most 1 and may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.evaluation.recovery import r2
from deepjive.evaluation.score_prediction import cross_prediction
from deepjive.experiments.digits.classes import LINEAR_SAMPLES, cluster_error, linear_svm_accuracy, svm_error
from deepjive.experiments.digits.data.mnist import LabelledImages
from deepjive.experiments.digits.data.pairs import PairedSplits, Pairs
from deepjive.experiments.digits.methods import Fitted, PairScores
from deepjive.experiments.digits.rotation_angle import (
    scores_by_angle,
    variance_explained_by_angle,
    variance_explained_in_windows,
)

CLASSIFIER_IMAGES = 10_000
ANGLE_IMAGES = 5000  # as many images as the notebook of SPLICE (arXiv 2408.12091) measures angles of

Measures = dict[str, float]
ImageClassifier = Callable[[NDArray], NDArray]


def digit_measures(fitted: Fitted, pairs: PairedSplits) -> Measures:
    """Digit errors from each set of scores, and explained and predicted variance where the method decomposes.

    Parameters
    ----------
    fitted : Fitted
        A fitted method.
    pairs : PairedSplits
        The pairs; classifiers learn from training pairs, and all measures are of test pairs.

    Returns
    -------
    dict of str to float
    """
    measures = classification_errors(fitted, pairs, {"digit": _digits(pairs)})
    return measures | (variance_measures(fitted, pairs.test.data) if fitted.model is not None else {})


def overlay_measures(fitted: Fitted, pairs: PairedSplits) -> Measures:
    """R2 of the joint and individual parts of the test pairs against the true parts.

    Parameters
    ----------
    fitted : Fitted
        A fitted method that decomposes.
    pairs : PairedSplits
        Overlaid digits, whose test pairs have true parts.

    Returns
    -------
    dict of str to float
    """
    test, parts = pairs.test, fitted.model.decompose(pairs.test.data)
    measures = {}
    for name in test.data.names:
        measures[f"R2 joint, {name}"] = r2((test.joint or {})[name], parts.joint[name])
        measures[f"R2 individual, {name}"] = r2((test.individual or {})[name], parts.individual[name])
    return measures


def sound_measures(fitted: Fitted, pairs: PairedSplits, classifier: Callable[[], ImageClassifier]) -> Measures:
    """Digit and speaker errors from scores, and how often an image predicted from a sound shows the spoken digit.

    Parameters
    ----------
    fitted : Fitted
        A fitted method.
    pairs : PairedSplits
        Pairs of an image and a sound, with the factor "speaker".
    classifier : callable
        Returns an `image_classifier`; called only where images are predicted.

    Returns
    -------
    dict of str to float
    """
    speakers = [split.factors["speaker"] for split in _splits(pairs)]
    measures = classification_errors(fitted, pairs, {"digit": _digits(pairs), "speaker": speakers})
    if test_scores := fitted.scores(pairs.test.data).alone:
        train_scores = fitted.scores(pairs.train.data[:LINEAR_SAMPLES]).alone["sound"]
        accuracy = linear_svm_accuracy((train_scores, speakers[0]), (test_scores["sound"], speakers[2]))
        measures["speaker error, joint of sound, linear classifier"] = 1.0 - accuracy
    if fitted.model is not None:
        measures |= variance_measures(fitted, pairs.test.data)
        if "predicted variance, image" in measures:
            measures |= _predicted_digit_accuracy(fitted.model, pairs.test, classifier())
    return measures


def rotation_measures(fitted: Fitted, pairs: PairedSplits) -> Measures:
    """Digit and angle of rotation predicted from the individual scores of rotated images.

    Parameters
    ----------
    fitted : Fitted
        A fitted method that decomposes.
    pairs : PairedSplits
        Pairs of an image and the rotated image, with the factors "sine" and "cosine".

    Returns
    -------
    dict of str to float
    """

    def individual_scores(data: Modalities) -> NDArray:
        return fitted.model.decompose(data).individual_scores["turned"]

    train, _, test = _splits(pairs)
    measures = classification_errors(fitted, pairs, {"digit": _digits(pairs)})
    test_scores = individual_scores(test.data)
    train_scores = individual_scores(train.data[:LINEAR_SAMPLES])
    measures["digit accuracy, linear classifier, individual of turned"] = linear_svm_accuracy(
        (train_scores, train.digit), (test_scores, test.digit)
    )
    angle = np.column_stack([test.factors["sine"], test.factors["cosine"]])
    measures["individual variance explained by the angle"] = cross_prediction(angle, test_scores)
    measures["angle explained by individual scores"] = cross_prediction(test_scores, angle)
    measures |= _offset_angle_measures(fitted.model, individual_scores, test, test_scores)
    return measures | variance_measures(fitted, test.data)


def classification_errors(fitted: Fitted, pairs: PairedSplits, labels: Mapping[str, list[NDArray]]) -> Measures:
    """Classification error of a support vector machine for each label and each set of scores.

    Parameters
    ----------
    fitted : Fitted
        A fitted method.
    pairs : PairedSplits
        The machine learns from training pairs, its C is chosen on validation pairs, and test pairs are classified.
    labels : mapping of str to list of array
        For each label its values in the training, validation and test pairs.

    Returns
    -------
    dict of str to float
        Also the error of clusters of the joint scores, against the digits.
    """
    split_scores = [_score_sets(fitted.scores(split.data)) for split in _splits(pairs)]
    measures = {}
    for label, split_labels in labels.items():
        for name in split_scores[0]:
            samples = [(scores[name], values) for scores, values in zip(split_scores, split_labels, strict=True)]
            measures[f"{label} error, {name}"] = svm_error(*samples)
    if "joint" in split_scores[2]:
        measures["digit cluster error, joint"] = cluster_error(split_scores[2]["joint"], pairs.test.digit)
    return measures


def variance_measures(fitted: Fitted, data: Modalities) -> Measures:
    """Variance that each part explains, and variance of each modality that is predicted from the other one.

    Parameters
    ----------
    fitted : Fitted
        A fitted method that decomposes.
    data : Modalities
        Test pairs.

    Returns
    -------
    dict of str to float
    """
    measures = {
        f"variance {part}, {name}": fraction
        for name, parts in fitted.model.decompose(data).variance_explained.items()
        for part, fraction in parts.items()
    }
    if fitted.scores(data[:2]).alone:
        measures |= {f"predicted variance, {name}": r2(data[name], fitted.model.impute(data, name)) for name in data}
    return measures


def image_classifier(train: LabelledImages) -> ImageClassifier:
    """A function from images (n, height, width) to digits (n,), learned from real training images.

    Parameters
    ----------
    train : LabelledImages
        Training images, of which the first 10,000 are used.

    Returns
    -------
    callable
    """
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    flat = train.images[:CLASSIFIER_IMAGES].reshape(min(len(train), CLASSIFIER_IMAGES), -1)
    pipeline = make_pipeline(PCA(50, random_state=0), SVC(C=10.0)).fit(flat, train.digits[:CLASSIFIER_IMAGES])
    return lambda images: pipeline.predict(images.reshape(len(images), -1))


def _predicted_digit_accuracy(model: Any, test: Pairs, classify: ImageClassifier) -> Measures:
    """How often an image predicted from a sound is classified as the spoken digit.

    The image is made with average individual scores, and from the joint part alone.
    """
    joint_scores = model.transform(test.data.select(["sound"]))
    average = {"image": np.zeros((len(joint_scores), model.individual_ranks_["image"]))}
    ways = {
        "predicted image, digit accuracy": average,
        "predicted image from the joint part alone, digit accuracy": None,
    }
    return {
        name: float(np.mean(classify(model.inverse_transform(joint_scores, individual_scores)["image"]) == test.digit))
        for name, individual_scores in ways.items()
    }


def _offset_angle_measures(
    model: Any, individual_scores: Callable[[Modalities], NDArray], test: Pairs, test_scores: NDArray
) -> Measures:
    """Variance of individual scores explained by the angle, with a separate angle offset for each image."""
    images = np.asarray(test.data["original"])[:ANGLE_IMAGES]
    sine, cosine = (test.factors[name][:ANGLE_IMAGES] for name in ("sine", "cosine"))
    degrees = np.rad2deg(np.arctan2(sine, cosine)) % 360
    scores = test_scores[:ANGLE_IMAGES]
    curves = scores_by_angle(
        lambda turned: individual_scores(Modalities({"original": images, "turned": turned})), images
    )
    measures = {
        "individual variance explained by the angle, offset per image": variance_explained_by_angle(
            scores, degrees, curves
        )
    }
    if hasattr(model, "standardizers_"):
        scores, curves = (_latents(model, array) for array in (scores, curves))
        measures["the same, latents"] = variance_explained_by_angle(scores, degrees, curves)
        measures["the same, latents, as in SPLICE"] = variance_explained_in_windows(scores, degrees, curves)
    return measures


def _latents(model: Any, scores: NDArray) -> NDArray:
    """The latents (..., rank) whose standardized form is the individual scores of the rotated image."""
    import torch

    standardizer = model.standardizers_[1 + list(model.individual_ranks_).index("turned")]
    return standardizer.inverse(torch.as_tensor(scores)).numpy()


def _score_sets(scores: PairScores) -> dict[str, NDArray]:
    """Each set of scores by its name in the tables."""
    sets = {} if scores.joint is None else {"joint": scores.joint}
    sets |= {f"joint of {name}": array for name, array in scores.alone.items()}
    sets |= {f"individual of {name}": array for name, array in scores.individual.items()}
    return sets | ({"all": scores.everything()} if scores.individual else {})


def _digits(pairs: PairedSplits) -> list[NDArray]:
    return [split.digit for split in _splits(pairs)]


def _splits(pairs: PairedSplits) -> tuple[Pairs, Pairs, Pairs]:
    return pairs.train, pairs.validation, pairs.test
