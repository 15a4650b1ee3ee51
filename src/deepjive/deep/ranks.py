"""How many joint and individual scores there are: as many as help to predict what was not seen.

- joint rank    joint scores made of the other modalities predict a modality on held-out samples; one score after
                another is allowed as long as the prediction gets better.
- signal rank   the same, between two random halves of one modality's features: what the halves have in common is the
                modality's signal, and noise of single features is not.
- individual    signal rank less joint rank.

A score is worth having if the held-out error falls by two standard errors (over samples, paired) and by a twentieth of
what is then predicted. Networks follow curved relations that linear angles between scores miss, and count a curve as
the one dimension it is.

Sources: bi-cross-validation of ranks, Owen and Perry (2009), "Bi-cross-validation of the SVD and the nonnegative matrix
factorization"; ranks by difference as in DeepJIVE (arXiv 2507.19682), section 2.3.5, as summarised publicly.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold

from deepjive.modalities import Modalities

STANDARD_ERRORS = 2.0
LEAST_SHARE = 0.05
FOLDS = 4
ENOUGH_HELD_OUT = 250
WIDEST_HALF = 20_000

Make = Callable[[int, Any], Any]
OnStep = Callable[[str, int, float], None]

REASON = "{name}: {rank}, since {steps}."
STEP = "{rank} predicts {r2:.1%} of held-out variance"


@dataclass(frozen=True)
class Ladder:
    """Prediction by 0, 1, 2, ... scores.

    Attributes
    ----------
    rank : int
        The chosen number.
    r2 : list of float
        Held-out variance predicted by 0, 1, ... scores, as a fraction.
    standard_error : list of float
        Standard error of each step's gain, in the same units.
    """

    rank: int
    r2: list[float]
    standard_error: list[float]

    def reason(self, name: str) -> str:
        """The choice in words."""
        steps = ", ".join(STEP.format(rank=rank, r2=r2) for rank, r2 in enumerate(self.r2))
        return REASON.format(name=name, rank=self.rank, steps=steps)


@dataclass(frozen=True)
class RankSelection:
    """Ranks and what they were chosen by.

    Attributes
    ----------
    joint_rank : int
        Number of joint scores.
    individual_ranks : dict of str to int
        Number of individual scores of each modality.
    ladders : dict of str to Ladder
        "joint", and each modality's signal.
    """

    joint_rank: int
    individual_ranks: dict[str, int]
    ladders: dict[str, Ladder]

    def table(self) -> dict[str, list[Any]]:
        """One row a candidate: ladder, rank, R2, standard error of the gain, whether it was chosen."""
        rows: dict[str, list[Any]] = {key: [] for key in ("ladder", "rank", "r2", "standard_error", "chosen")}
        for name, ladder in self.ladders.items():
            for rank, (r2, error) in enumerate(zip(ladder.r2, ladder.standard_error, strict=True)):
                for key, value in zip(rows, (name, rank, r2, error, rank == ladder.rank), strict=True):
                    rows[key].append(value)
        return rows

    def reason(self) -> str:
        """The choice in words, one line a ladder."""
        return "\n".join(
            ladder.reason("joint rank" if name == "joint" else f"signal rank of {name}")
            for name, ladder in self.ladders.items()
        )


def select_ranks(
    data: Modalities,
    make: Make,
    *,
    joint_rank: int | None = None,
    individual_ranks: Mapping[str, int] | None = None,
    largest: int = 10,
    seed: int = 0,
    on_step: OnStep = lambda name, rank, r2: None,
) -> RankSelection:
    """Choose the ranks that are not given.

    Parameters
    ----------
    data : Modalities
        The data.
    make : callable
        From a joint rank and ``networks`` (None for the model's own) to an unfitted model without individual scores,
        which can `impute` a modality from the others.
    joint_rank : int or None
        None to choose it.
    individual_ranks : mapping of str to int, or None
        None to choose them.
    largest : int
        Most scores tried on each ladder.
    seed : int
        Draws folds and halves.
    on_step : callable
        Called with the ladder's name, the rank and its R2 after every step.

    Returns
    -------
    RankSelection
    """
    ladders = {}
    if joint_rank is None:
        ladders["joint"] = climb("joint", data, make, None, largest, seed, on_step)
        joint_rank = ladders["joint"].rank
    if individual_ranks is None:
        for name in data.names:
            halves = halved(data, name, seed)
            if halves is not None:
                networks = "dense" if halves.shapes["first"][0] <= WIDEST_HALF else "linear"
                ladders[name] = climb(name, halves, make, networks, largest, seed, on_step)
        signal = {name: ladders[name].rank if name in ladders else 1 for name in data.names}
        individual_ranks = {name: max(0, rank - joint_rank) for name, rank in signal.items()}
    return RankSelection(joint_rank, dict(individual_ranks), ladders)


def climb(name: str, data: Modalities, make: Make, networks: Any, largest: int, seed: int, on_step: OnStep) -> Ladder:
    """Allow one score after another until one is not worth having."""
    largest = min(largest, *(int(np.prod(shape)) for shape in data.shapes.values()))
    folds = _folds(len(data), seed)
    errors = [_errors(data, None, folds)]
    r2, standard_errors, rank = [0.0], [0.0], 0
    for candidate in range(1, largest + 1):
        errors.append(_errors(data, make(candidate, networks), folds))
        gain = errors[-2] - errors[-1]
        r2.append(float(1 - errors[-1].mean() / errors[0].mean()))
        standard_errors.append(float(gain.std(ddof=1) / np.sqrt(len(gain)) / errors[0].mean()))
        on_step(name, candidate, r2[-1])
        if r2[-1] - r2[-2] <= max(STANDARD_ERRORS * standard_errors[-1], LEAST_SHARE * r2[-1]):
            break
        rank = candidate
    return Ladder(rank, r2, standard_errors)


def halved(data: Modalities, name: str, seed: int) -> Modalities | None:
    """Two random halves of a modality's features as modalities of their own; None if there is one feature only."""
    x = np.asarray(data[name]).reshape(len(data), -1)
    if x.shape[1] < 2:
        return None
    order = np.random.default_rng(seed).permutation(x.shape[1])
    half = len(order) // 2
    return Modalities({"first": x[:, np.sort(order[:half])], "second": x[:, np.sort(order[half:])]})


def _folds(n: int, seed: int) -> list[tuple[NDArray, NDArray]]:
    """Folds until enough samples were held out."""
    folds = list(KFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(n)))
    held_out = np.cumsum([len(test) for _, test in folds])
    return folds[: 1 + int(np.searchsorted(held_out, min(ENOUGH_HELD_OUT, n)))]


def _errors(data: Modalities, model: Any, folds: list[tuple[NDArray, NDArray]]) -> NDArray:
    """Squared error of each held-out sample, averaged over modalities; without a model, of the mean."""
    collected = []
    for train, test in folds:
        fitted = None if model is None else _fitted(model, data[train])
        relative = []
        for name in data.names:
            seen, unseen = (np.asarray(data.rows(name, rows), dtype=np.float64) for rows in (train, test))
            mean = seen.mean(axis=0)
            predicted = mean if fitted is None else fitted.impute(data[test], name)
            error = np.square(unseen - predicted).reshape(len(test), -1).sum(axis=1)
            relative.append(error * len(train) / np.square(seen - mean).sum())
        collected.append(np.mean(relative, axis=0))
    return np.concatenate(collected)


def _fitted(model: Any, data: Modalities) -> Any:
    """A fitted clone. One whose budget ended first still says, by its prediction, what its scores are worth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clone(model).fit(data)
