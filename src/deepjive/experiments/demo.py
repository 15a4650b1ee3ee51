"""The demonstration: DeepJIVE and baselines on pairs of handwritten digits.

The digit is all that the two images of a pair have in common (`deepjive.datasets.digits`). A classifier should
therefore predict the digit from the joint scores and not from the individual scores. All accuracies and fractions are
of held-out pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

JOINT_RANK, INDIVIDUAL_RANK = 9, 8
CHANCE = 0.1
STEPS = 3

ScorePairs = dict[str, tuple[NDArray, NDArray]]


@dataclass(frozen=True)
class Demonstration:
    """Results of the demonstration.

    Attributes
    ----------
    model : DeepJIVE
        The model fitted to the training pairs.
    parts : Decomposition
        The decomposition of the held-out pairs.
    digit : array of int, shape (n_test,)
        The digit of each held-out pair.
    accuracies : list of (scores, size, accuracy)
        Accuracy with which a support vector machine predicts the digit of held-out pairs from each set of scores.
    predicted_variance : list of (modality, paired, shuffled)
        Fraction of the held-out variance of each modality that is predicted from the other modality: by the model of
        true pairs, and by a model of shuffled pairs.
    """

    model: JointIndividualModel
    parts: Decomposition
    digit: NDArray
    accuracies: list[tuple[str, int, float]]
    predicted_variance: list[tuple[str, float, float]]


def demonstrate(
    n_train: int = 2000, n_test: int = 1000, *, seed: int = 0, progress: Progress = silent, **settings: Any
) -> Demonstration:
    """Fit DeepJIVE and the baselines to paired digits.

    Parameters
    ----------
    n_train, n_test : int, default=2000 and 1000
        Numbers of training and held-out pairs.
    seed : int, default=0
        Seed of pairs, networks and baselines.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each of three groups of fits.
    **settings
        Parameters of `DeepJIVE` other than ranks, identity and seed.

    Returns
    -------
    Demonstration
    """
    from deepjive.deep.estimator import DeepJIVE

    train, test = load_paired_digits(n_train, n_test, random_state=seed)
    progress(0, STEPS, f"Fitting DeepJIVE to {n_train} pairs of images of the same digit")
    settings = {"dropout": 0.2, **settings}
    model = DeepJIVE(
        joint_rank=JOINT_RANK, individual_ranks=INDIVIDUAL_RANK, identity="explicit", random_state=seed, **settings
    ).fit(train.data)
    train_parts, parts = model.decompose(train.data), model.decompose(test.data)
    scores = {"DeepJIVE, joint scores": (train_parts.joint_scores, parts.joint_scores)}
    for name in train.data:
        individual = train_parts.individual_scores[name], parts.individual_scores[name]
        scores[f"DeepJIVE, individual scores of {name!r}"] = individual
    progress(1, STEPS, "Fitting the baselines: AJIVE, principal components, separate autoencoders")
    scores |= _baseline_scores(train, test, seed, settings)
    accuracies = [
        (name, train_scores.shape[1], held_out_accuracy(train_scores, train.digit, test_scores, test.digit))
        for name, (train_scores, test_scores) in scores.items()
    ]
    progress(2, STEPS, "Fitting DeepJIVE to shuffled pairs, which have no joint variation")
    predicted_variance = _predicted_variance(model, train.data, test.data, seed, settings)
    return Demonstration(model, parts, test.digit, accuracies, predicted_variance)


def _baseline_scores(train: PairedDigits, test: PairedDigits, seed: int, settings: dict[str, Any]) -> ScorePairs:
    """Scores of training and held-out pairs by methods with the same numbers of scores."""
    from sklearn.decomposition import PCA

    from deepjive.deep.baseline import SeparateAutoencoders
    from deepjive.linear.ajive import AJIVE

    both = JOINT_RANK + INDIVIDUAL_RANK
    ajive = AJIVE(signal_ranks=both, joint_rank=JOINT_RANK, random_state=seed).fit(train.data)
    pca = PCA(JOINT_RANK, random_state=seed).fit(_side_by_side(train.data))
    separate = SeparateAutoencoders(ranks=both, random_state=seed, **settings).fit(train.data)
    return {
        "AJIVE, joint scores": (ajive.transform(train.data), ajive.transform(test.data)),
        "PCA of both images": (pca.transform(_side_by_side(train.data)), pca.transform(_side_by_side(test.data))),
        "Separate autoencoders, both": (separate.transform(train.data), separate.transform(test.data)),
    }


def _side_by_side(data: Modalities) -> NDArray:
    return np.concatenate([np.asarray(array).reshape(len(data), -1) for array in data.values()], axis=1)


def _predicted_variance(
    model: JointIndividualModel, train: Modalities, test: Modalities, seed: int, settings: dict[str, Any]
) -> list[tuple[str, float, float]]:
    """Predicted variance of each held-out modality, for true pairs and for a model of shuffled pairs."""
    from deepjive.deep.estimator import DeepJIVE

    unpaired_train, unpaired_test = (shuffled(data, np.random.RandomState(seed)) for data in (train, test))
    unpaired = DeepJIVE(
        joint_rank=JOINT_RANK, individual_ranks=0, identity="explicit", random_state=seed, **settings
    ).fit(unpaired_train)
    return [
        (name, r2(test[name], model.impute(test, name)), r2(unpaired_test[name], unpaired.impute(unpaired_test, name)))
        for name in test.names
    ]
