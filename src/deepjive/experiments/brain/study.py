"""The experiment with MRI and PET: one fit of each method, everything measured on participants it has not seen.

Two thirds of the participants are for fitting, the rest for all figures. Diagnoses are told from held-out scores in
nested cross-validation by participant. Where the truth is known (the phantom), recovery is measured as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepjive.data.groups import exchangeable
from deepjive.data.modalities import Modalities
from deepjive.datasets.phantom import FACTORS, Phantom, amyloid_curve
from deepjive.evaluation.bootstrap_maps import BootstrapMaps, bootstrap_maps
from deepjive.evaluation.covariation import Covariation, covariation, dice_of_strongest
from deepjive.evaluation.null import joint_structure_test, shuffled
from deepjive.evaluation.recovery import r2
from deepjive.evaluation.refit import with_groups
from deepjive.experiments.brain.diagnosis import (
    Figure,
    accuracy_of_few,
    classification_of_shuffled,
    nested_classification,
)
from deepjive.experiments.brain.regions import Interval, region_intervals, region_table
from deepjive.imaging.cohort import Cohort
from deepjive.imaging.grid import mni_grid, template

POSITIVE, NEGATIVE = "AD", "CN"
FEW = "accuracy, 20 labelled"
BASELINES = ("separate autoencoders", "separate autoencoders of joint rank", "PCA", "PCA of joint rank")
FACTOR_COLUMNS = ("stage", "asymmetry", "visible asymmetry", "age", "size", "white", "scale", "resolution")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Budget:
    """Sizes of the experiment.

    Attributes
    ----------
    joint_rank, individual_rank : int
        Numbers of scores.
    max_epochs, batch_size, learning_rate, dropout
        Of the networks; chosen on the validation participants of a phantom that stands in no table.
    n_permutations : int
        Of the tests.
    """

    joint_rank: int = 2
    individual_rank: int = 4
    max_epochs: int = 15
    batch_size: int = 16
    learning_rate: float = 1e-3
    dropout: float = 0.2
    n_permutations: int = 2000


QUICK = Budget(max_epochs=4, n_permutations=1000)


@dataclass
class BrainStudy:
    """What was found.

    Attributes
    ----------
    classification : list of (scores, size, figures)
        CN against AD from held-out scores; of a phantom also from the true stage.
    shuffled_labels : dict of str to Figure
        The same from the joint scores, with labels dealt at random ten times.
    recovery : list of (method, modality, joint R2, individual R2, variance explained joint, individual)
        Against the truth; R2 is NaN where it is not known.
    probes : list of (scores, R2 of each factor)
        Linear probes of held-out scores for the phantom's factors.
    pairing : JointStructureTest
        Are the modalities of held-out participants paired better than by chance? Participants are permuted.
    unpaired : JointStructureTest
        The same for a model of shuffled modalities, and shuffled held-out samples: whole participants, here too.
    maps : dict of str to Covariation
        Of the joint score that differs most between the diagnoses.
    component : int
        Which score that is, from 0.
    dice : dict of str to float
        Overlap of the maps' strongest fifth with that of the truth.
    regions : list of (region, side, figures by modality)
        The maps in regions.
    bootstrap : BootstrapMaps or None
        The same maps over refits to draws of the participants fitted.
    intervals : list of (region, side, (mean effect, lower and upper limit) by modality)
        These maps in regions.
    seconds : dict of str to float
        Wall time of each fit.
    """

    classification: list[tuple[str, int, dict[str, Figure]]] = field(default_factory=list)
    shuffled_labels: dict[str, Figure] = field(default_factory=dict)
    recovery: list[tuple[str, str, float, float, float, float]] = field(default_factory=list)
    probes: list[tuple[str, dict[str, float]]] = field(default_factory=list)
    pairing: Any = None
    unpaired: Any = None
    maps: dict[str, Covariation] = field(default_factory=dict)
    component: int = 0
    dice: dict[str, float] = field(default_factory=dict)
    regions: list[tuple[str, str, dict[str, tuple[float, float]]]] = field(default_factory=list)
    bootstrap: BootstrapMaps | None = None
    intervals: list[tuple[str, str, dict[str, Interval]]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def brain_study(
    cohort: Cohort,
    data: Modalities,
    voxel: float,
    *,
    phantom: Phantom | None = None,
    budget: Budget = QUICK,
    identity: str = "exchange",
    seed: int = 0,
    n_draws: int = 0,
    draw_epochs: int | None = None,
    folder: Path | None = None,
    say: Say = lambda _: None,
    **settings: Any,
) -> tuple[BrainStudy, Any]:
    """Run the experiment; returns what was found, and the fitted model.

    Parameters
    ----------
    cohort : Cohort
        Samples with both modalities and a diagnosis, CN or AD.
    data : Modalities
        Their volumes, on the standard grid.
    voxel : float
        Edge of its voxels in mm.
    phantom : Phantom, optional
        The truth, of the same subjects in the same order.
    budget : Budget
        Sizes.
    identity : {"exchange", "explicit"}
        The identity constraint.
    seed : int
        Of split and networks.
    n_draws : int
        Refits of DeepJIVE to draws of the participants fitted; 0 for none.
    draw_epochs : int, optional
        Their most epochs a phase; by default as many as of the first fit.
    folder : Path, optional
        Where draws are kept.
    say : callable
        Told what is being done.
    **settings
        Of `DeepJIVE`, such as ``device``.

    Raises
    ------
    ValueError
        If the participants fitted or held out can change places in fewer than 120 orders, before anything is fitted.
    """
    train, test = next(iter(cohort.folds(3, random_state=seed)))
    data = with_groups(data, cohort.groups)
    labels, groups = cohort.table["diagnosis"].to_numpy(dtype=str)[test], cohort.groups[test]
    for rows in (train, test):
        exchangeable(len(rows), cohort.groups[rows])  # too few of them are told before hours of fitting, not after
    study = BrainStudy()
    models = _fitted(data[train], budget, identity, seed, study.seconds, say, settings)
    truth = {} if phantom is None else _truths(phantom, test)
    factors = None if phantom is None else _factors(phantom)
    scored = {}
    for method in ("DeepJIVE", "AJIVE"):
        fitted, parts = models[method].decompose(data[train]), models[method].decompose(data[test])
        scored[f"{method}, joint"] = (fitted.joint_scores, parts.joint_scores)
        for name in data.names:
            scored[f"{method}, individual {name}"] = (fitted.individual_scores[name], parts.individual_scores[name])
            explained = parts.variance_explained[name]
            recovered = [
                r2(truth[part, name], getattr(parts, part)[name]) if truth else np.nan
                for part in ("joint", "individual")
            ]
            study.recovery.append((method, name, *recovered, explained["joint"], explained["individual"]))
        pieces = [scored[f"{method}, {which}"] for which in ("joint", *(f"individual {name}" for name in data.names))]
        scored[f"{method}, both"] = (np.hstack([a for a, _ in pieces]), np.hstack([b for _, b in pieces]))
    for method in BASELINES:
        scored[method] = (models[method](data[train]), models[method](data[test]))
    say("Telling diagnoses from held-out scores")
    told = {name: held_out for name, (_, held_out) in scored.items()}
    if factors is not None:
        told["true stage"] = factors[["stage"]].to_numpy()[test]
    for name, scores in told.items():
        figures = nested_classification(scores, labels, groups, POSITIVE)
        figures[FEW] = accuracy_of_few(scores, labels, groups, POSITIVE)
        study.classification.append((name, scores.shape[1], figures))
    study.shuffled_labels = classification_of_shuffled(
        scored["DeepJIVE, joint"][1], labels, groups, POSITIVE, random_state=seed
    )
    if factors is not None:
        study.probes = [
            (name, _probe(a, factors.iloc[train], b, factors.iloc[test])) for name, (a, b) in scored.items()
        ]
    say("Testing the joint structure, and the same model of shuffled modalities")
    study.pairing = joint_structure_test(models["DeepJIVE"], data[test], 199, random_state=seed)
    apart = shuffled(data[test], np.random.RandomState(seed))
    study.unpaired = joint_structure_test(models["shuffled"], apart, 199, random_state=seed)
    say("Drawing the covariation maps")
    joint = scored["DeepJIVE, joint"][1]
    contrast = [abs(float(np.corrcoef(column, labels == POSITIVE)[0, 1])) for column in joint.T]
    study.component = int(np.argmax(contrast))
    permuted: dict[str, Any] = {"n_permutations": budget.n_permutations, "random_state": seed}
    study.maps = covariation(models["DeepJIVE"], data[test], study.component, **permuted)
    turned = joint[labels == POSITIVE, study.component].mean() < joint[labels != POSITIVE, study.component].mean()
    if turned:
        study.maps = {name: found.turned() for name, found in study.maps.items()}
    mask = template("brain", voxel) > 0
    if factors is not None:
        stage = factors["stage"].to_numpy()[test]
        for name, found in study.maps.items():
            slope = np.tensordot(stage - stage.mean(), truth["joint", name], axes=1)
            study.dice[name] = dice_of_strongest(found.effect, slope, mask)
    study.regions = region_table(study.maps, mni_grid(voxel), mask)
    if n_draws:
        kept: dict[str, Any] = {"random_state": seed, "folder": folder}
        kept |= {} if draw_epochs is None else {"max_epochs": draw_epochs}
        telling = _telling(say, n_draws, study.seconds["DeepJIVE"])
        drawn = bootstrap_maps(models["DeepJIVE"], data[train], study.component, n_draws, on_draw=telling, **kept)
        study.bootstrap = drawn.turned() if turned else drawn
        study.intervals = region_intervals(study.bootstrap, mni_grid(voxel), mask)
    return study, models["DeepJIVE"]


def _fitted(
    data: Modalities,
    budget: Budget,
    identity: str,
    seed: int,
    seconds: dict[str, float],
    say: Say,
    settings: Any,
) -> dict[str, Any]:
    """All methods at the same sizes; of baselines also with no more scores than are joint."""
    from deepjive.deep.baseline import SeparateAutoencoders
    from deepjive.deep.estimator import DeepJIVE
    from deepjive.linear.ajive import AJIVE

    joint, own = budget.joint_rank, budget.individual_rank
    both = joint + own
    deep: dict[str, Any] = {
        "max_epochs": budget.max_epochs,
        "batch_size": min(budget.batch_size, max(2, len(data) // 4)),
        "learning_rate": budget.learning_rate,
        "dropout": budget.dropout,
        "random_state": seed,
        **settings,
    }
    makers: dict[str, Callable[[], Any]] = {
        "DeepJIVE": lambda: DeepJIVE(joint_rank=joint, individual_ranks=own, identity=identity, **deep).fit(data),  # type: ignore[arg-type]
        "AJIVE": lambda: AJIVE(signal_ranks=both, joint_rank=joint, individual_ranks=own, random_state=seed).fit(data),
        BASELINES[0]: lambda: SeparateAutoencoders(ranks=both, **deep).fit(data).transform,
        BASELINES[1]: lambda: SeparateAutoencoders(ranks=joint, **deep).fit(data).transform,
        BASELINES[2]: lambda: _principal(data, joint + own * len(data.names), seed),
        BASELINES[3]: lambda: _principal(data, joint, seed),
        "shuffled": lambda: DeepJIVE(joint_rank=joint, individual_ranks=0, identity=identity, **deep).fit(  # type: ignore[arg-type]
            shuffled(data, np.random.RandomState(seed))
        ),
    }
    models = {}
    for name, make in makers.items():
        say(f"Fitting {name} to {len(data)} participants")
        start = time.perf_counter()
        models[name] = make()
        seconds[name] = time.perf_counter() - start
    return models


def _principal(data: Modalities, rank: int, seed: int) -> Callable[[Modalities], NDArray]:
    """Principal components of the modalities side by side, each of variance 1 in all."""
    from sklearn.decomposition import PCA

    scale = {name: float(np.std(data.rows(name, slice(None)), dtype=np.float64)) for name in data.names}

    def flat(some: Modalities) -> NDArray:
        return np.hstack([some.rows(name, slice(None)).reshape(len(some), -1) / scale[name] for name in some.names])

    fitted = PCA(rank, random_state=seed).fit(flat(data))
    return lambda some: fitted.transform(flat(some))


def _truths(phantom: Phantom, rows: NDArray[np.intp]) -> dict[tuple[str, str], NDArray]:
    return {
        (part, name): phantom.truth(part, name, rows) for part in ("joint", "individual") for name in phantom.data.names
    }


def _factors(phantom: Phantom) -> pd.DataFrame:
    """The factors that are numbers; asymmetry is also given as far as the disease makes it visible."""
    known = [factor for group in FACTORS.values() for factor in group if factor in phantom.subjects]
    factors = phantom.subjects[known].copy()
    factors["visible asymmetry"] = factors["asymmetry"] * amyloid_curve(factors["stage"])
    return factors[list(FACTOR_COLUMNS)]


def _probe(fitted: NDArray, learned: pd.DataFrame, held_out: NDArray, tested: pd.DataFrame) -> dict[str, float]:
    """R2 of a linear regression of every factor on the scores, on held-out samples."""
    from sklearn.linear_model import LinearRegression

    predicted = LinearRegression().fit(fitted, learned.to_numpy()).predict(held_out)
    truth = tested.to_numpy()
    errors = np.square(truth - predicted).sum(axis=0) / np.square(truth - truth.mean(axis=0)).sum(axis=0)
    return {str(name): float(1.0 - error) for name, error in zip(tested, errors, strict=True)}


def _telling(say: Say, n_draws: int, seconds: float) -> Callable[[int, float], None]:
    """Tell the cost of refits before the first (of whole ones), and what is left of it after each."""
    say(f"Fitting to {n_draws} draws of participants, about {seconds:.0f} s each: {seconds * n_draws / 60:.0f} minutes")
    return lambda done, last: say(
        f"Draw {done} of {n_draws}: {last:.0f} s; about {last * (n_draws - done) / 60:.0f} minutes left"
    )
