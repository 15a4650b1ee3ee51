"""The demonstration: DeepJIVE and baselines on pairs of handwritten digits, each image turned by an angle of its own.

The digit is all that the two images of a pair have in common (`deepjive.datasets.digits`), and the angle is the largest
variation that an image has alone. A support vector machine should therefore predict the digit from the joint scores and
the angle from the individual scores, and neither the other way round. All numbers are of held-out pairs.

Nine joint scores suffice for ten digits, and two individual scores for an angle: its cosine and its sine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepjive.base import JointIndividualModel
from deepjive.data.modalities import Modalities
from deepjive.datasets.digits import PairedDigits, load_paired_digits
from deepjive.decomposition import Decomposition
from deepjive.evaluation.null import shuffled
from deepjive.evaluation.recovery import r2
from deepjive.experiments.classification import held_out_accuracy
from deepjive.progress import Progress, silent

JOINT_RANK, INDIVIDUAL_RANK = 9, 2
CHANCE = 0.1
STEPS = 3
PROBED = 2000  # training pairs from which the support vector machines learn
# Dense networks with a large learning rate and few epochs learn these small images in seconds.
TRAINING: dict[str, Any] = {"networks": "dense", "dropout": 0.1, "learning_rate": 0.01}
# The digit explains little variance, which the explicit identity can find; a turned digit depends on digit and angle.
SETTINGS: dict[str, Any] = {"identity": "explicit", "individual_decoder": "conditioned", **TRAINING}


class ScoresOfPairs(NamedTuple):
    """Scores of training and held-out pairs, and the modalities whose angles they are compared with."""

    name: str
    train: NDArray
    test: NDArray
    modalities: tuple[str, ...]


class Reading(NamedTuple):
    """What support vector machines predict from scores of held-out pairs.

    Attributes
    ----------
    scores : str
        The method and the part.
    size : int
        Number of scores.
    digit : float
        Fraction of digits that are classified correctly.
    angle : float
        R2 of the predicted angle; for joint scores the mean over both images.
    """

    scores: str
    size: int
    digit: float
    angle: float


@dataclass(frozen=True)
class Demonstration:
    """Results of the demonstration.

    Attributes
    ----------
    model : DeepJIVE
        The model fitted to the training pairs.
    parts : Decomposition
        The decomposition of the held-out pairs.
    pairs : PairedDigits
        The held-out pairs with their digits and angles.
    readings : list of Reading
        Digit and angle predicted from each set of scores.
    predicted_variance : list of (modality, paired, shuffled)
        Fraction of the held-out variance of each modality that is predicted from the other modality: by the model of
        true pairs, and by a model of shuffled pairs.
    """

    model: JointIndividualModel
    parts: Decomposition
    pairs: PairedDigits
    readings: list[Reading]
    predicted_variance: list[tuple[str, float, float]]


def demonstrate(
    n_train: int = 4000, n_test: int = 1000, *, seed: int = 0, max_epochs: int = 10, progress: Progress = silent
) -> Demonstration:
    """Fit DeepJIVE and the baselines to paired digits.

    Parameters
    ----------
    n_train, n_test : int, default=4000 and 1000
        Numbers of training and held-out pairs.
    seed : int, default=0
        Seed of pairs, networks and baselines.
    max_epochs : int, default=10
        Largest number of epochs of each phase of all networks.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each of three groups of fits.

    Returns
    -------
    Demonstration
    """
    from deepjive.deep.estimator import DeepJIVE

    train, test = load_paired_digits(n_train, n_test, random_state=seed)
    common: dict[str, Any] = {"random_state": seed, "max_epochs": max_epochs}
    progress(0, STEPS, f"Fitting DeepJIVE to {n_train} pairs of images of the same digit")
    model = DeepJIVE(joint_rank=JOINT_RANK, individual_ranks=INDIVIDUAL_RANK, **SETTINGS, **common).fit(train.data)
    parts = model.decompose(test.data)
    scores = _scores_of_parts("DeepJIVE", model.decompose(train.data), parts)
    progress(1, STEPS, "Fitting the baselines: AJIVE and separate autoencoders")
    scores += _baseline_scores(train.data, test.data, common)
    readings = [_reading(one, train, test) for one in scores]
    progress(2, STEPS, "Fitting DeepJIVE to shuffled pairs, which have no joint variation")
    return Demonstration(model, parts, test, readings, _predicted_variance(model, train.data, test.data, common))


def _scores_of_parts(method: str, train: Decomposition, test: Decomposition) -> list[ScoresOfPairs]:
    """Joint scores, and as many individual scores of each modality as DeepJIVE has."""
    names = test.data.names
    found = [ScoresOfPairs(f"{method}, joint", train.joint_scores, test.joint_scores, tuple(names))]
    for name in names:
        near, far = (parts.individual_scores[name][:, :INDIVIDUAL_RANK] for parts in (train, test))
        found.append(ScoresOfPairs(f"{method}, individual of {name!r}", near, far, (name,)))
    return found


def _baseline_scores(train: Modalities, test: Modalities, common: Mapping[str, Any]) -> list[ScoresOfPairs]:
    """Scores of AJIVE with the same ranks, and of separate autoencoders with as many scores in all."""
    from deepjive.deep.baseline import SeparateAutoencoders
    from deepjive.linear.ajive import AJIVE

    both = JOINT_RANK + INDIVIDUAL_RANK
    ajive = AJIVE(signal_ranks=both, joint_rank=JOINT_RANK, random_state=common["random_state"]).fit(train)
    separate = SeparateAutoencoders(ranks=both, **TRAINING, **common).fit(train)
    near, far = separate.decompose(train).individual_scores, separate.decompose(test).individual_scores
    return _scores_of_parts("AJIVE", ajive.decompose(train), ajive.decompose(test)) + [
        ScoresOfPairs(f"Separate autoencoder of {name!r}", near[name], far[name], (name,)) for name in train.names
    ]


def _reading(scores: ScoresOfPairs, train: PairedDigits, test: PairedDigits) -> Reading:
    near = scores.train[:PROBED]
    digit = held_out_accuracy(near, train.digit[:PROBED], scores.test, test.digit)
    angles = [_angle_r2(near, train.angle[name][:PROBED], scores.test, test.angle[name]) for name in scores.modalities]
    return Reading(scores.name, near.shape[1], digit, float(np.mean(angles)))


def _angle_r2(train_scores: NDArray, train_angles: NDArray, test_scores: NDArray, test_angles: NDArray) -> float:
    """R2 of held-out angles, predicted by a support vector machine with a radial kernel."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    machine = make_pipeline(StandardScaler(), SVR())
    regressor = TransformedTargetRegressor(machine, transformer=StandardScaler())
    return float(regressor.fit(train_scores, train_angles).score(test_scores, test_angles))


def _predicted_variance(
    model: JointIndividualModel, train: Modalities, test: Modalities, common: Mapping[str, Any]
) -> list[tuple[str, float, float]]:
    """Predicted variance of each held-out modality, for true pairs and for a model of shuffled pairs."""
    from deepjive.deep.estimator import DeepJIVE

    unpaired_train, unpaired_test = (
        shuffled(data, np.random.RandomState(common["random_state"])) for data in (train, test)
    )
    unpaired = DeepJIVE(joint_rank=JOINT_RANK, individual_ranks=0, **SETTINGS, **common).fit(unpaired_train)
    return [
        (name, r2(test[name], model.impute(test, name)), r2(unpaired_test[name], unpaired.impute(unpaired_test, name)))
        for name in test.names
    ]
