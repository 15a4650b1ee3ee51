"""The demonstration: paired handwritten digits, taken apart, beside the baselines.

The digit is all that the two images of a pair have in common (`deepjive.datasets.digits`), so it should be told from
the joint scores and not from the individual ones. All figures are for pairs of images that were never seen in fitting.
"""

from __future__ import annotations

from collections.abc import Callable
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

JOINT_RANK, INDIVIDUAL_RANK = 9, 8
CHANCE = 0.1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration found.

    Attributes
    ----------
    model : DeepJIVE
        Fitted to the training pairs.
    parts : Decomposition
        Of the held-out pairs.
    digit : array of int, shape (n_test,)
        The digit of each held-out pair.
    accuracies : list of (scores, size, accuracy)
        How often a support vector machine tells the digit of held-out pairs.
    predicted_variance : list of (modality, paired, shuffled)
        Fraction of a modality's held-out variance that is predicted from the other one alone, for true pairs and for
        a model of shuffled ones.
    """

    model: JointIndividualModel
    parts: Decomposition
    digit: NDArray
    accuracies: list[tuple[str, int, float]]
    predicted_variance: list[tuple[str, float, float]]


def demonstrate(
    n_train: int = 2000, n_test: int = 1000, *, seed: int = 0, say: Say = lambda _: None, **settings: Any
) -> Demonstration:
    """Fit DeepJIVE and the baselines to paired digits.

    Parameters
    ----------
    n_train, n_test : int
        Numbers of pairs.
    seed : int
        Of pairs, networks and baselines.
    say : callable
        Told what is being done.
    **settings
        Of `DeepJIVE`, beside ranks, identity and seed.

    Returns
    -------
    Demonstration
    """
    from deepjive.deep.estimator import DeepJIVE

    train, test = load_paired_digits(n_train, n_test, random_state=seed)
    say(f"Fitting DeepJIVE to {n_train} pairs of images of the same digit")
    settings = {"dropout": 0.2, **settings}
    model = DeepJIVE(
        joint_rank=JOINT_RANK, individual_ranks=INDIVIDUAL_RANK, identity="explicit", random_state=seed, **settings
    ).fit(train.data)
    fitted, parts = model.decompose(train.data), model.decompose(test.data)
    scores = {"DeepJIVE, joint scores": (fitted.joint_scores, parts.joint_scores)}
    for name in train.data:
        scores[f"DeepJIVE, individual scores of {name!r}"] = (
            fitted.individual_scores[name],
            parts.individual_scores[name],
        )
    say("Fitting the baselines: AJIVE, principal components, separate autoencoders")
    scores |= _baselines(train, test, seed, settings)
    say("Fitting DeepJIVE to shuffled pairs, where nothing is joint")
    return Demonstration(
        model,
        parts,
        test.digit,
        [(name, a.shape[1], held_out_accuracy(a, train.digit, b, test.digit)) for name, (a, b) in scores.items()],
        _predicted_variance(model, train.data, test.data, seed, settings),
    )


def _baselines(
    train: PairedDigits, test: PairedDigits, seed: int, settings: dict[str, Any]
) -> dict[str, tuple[NDArray, NDArray]]:
    """Scores of training and held-out pairs by methods of the same sizes."""
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
    from deepjive.deep.estimator import DeepJIVE

    unpaired_train, unpaired_test = (shuffled(data, np.random.RandomState(seed)) for data in (train, test))
    unpaired = DeepJIVE(
        joint_rank=JOINT_RANK, individual_ranks=0, identity="explicit", random_state=seed, **settings
    ).fit(unpaired_train)
    return [
        (name, r2(test[name], model.impute(test, name)), r2(unpaired_test[name], unpaired.impute(unpaired_test, name)))
        for name in test.names
    ]
