"""The experiment with MRI and PET: one fit of each method, and all measures on held-out participants.

Two thirds of the participants are fitted; all measures are of the other third. Diagnoses are classified from held-out
scores in nested cross-validation by participant. Where the truth is known (the phantom), the recovery of the true parts
is measured as well.

Confounds are learned from the fitted participants, and taken out of the volumes of all participants. Classification and
maps are shown with and without this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepjive.adjust.adjustment import adjusted
from deepjive.data.groups import exchangeable
from deepjive.data.modalities import Modalities
from deepjive.datasets.difficulties import true_factors
from deepjive.datasets.phantom import FACTORS, SHARED, Phantom, amyloid_curve, tau_curve
from deepjive.evaluation.covariation_maps import Covariation, covariation, dice_of_strongest
from deepjive.evaluation.map_bootstrap import BootstrapMaps, bootstrap_maps
from deepjive.evaluation.null import joint_structure_test, shuffled
from deepjive.evaluation.recovery import r2
from deepjive.evaluation.refit import with_groups
from deepjive.experiments.brain.balance import Balance, balance
from deepjive.experiments.brain.diagnosis import (
    Estimate,
    accuracy_of_few,
    classification_of_shuffled,
    nested_classification,
)
from deepjive.experiments.brain.regions import Interval, region_intervals, region_table
from deepjive.imaging.cohort import Cohort
from deepjive.imaging.grid import mni_grid, template
from deepjive.progress import Progress, silent
from deepjive.subsets import word_of

POSITIVE, NEGATIVE = "AD", "CN"
FEW = "accuracy, 20 labelled"
LEFT_IN = "joint, confounds not taken out"
BASELINES = ("separate autoencoders", "separate autoencoders of joint rank", "PCA", "PCA of joint rank")
FACTOR_COLUMNS = ("stage", "asymmetry", "visible asymmetry", "age", "size", "white", "scale", "resolution")
TAU_COLUMNS = ("visible spread", "off_target", "tau_scale", "tau_resolution")
N_FITS, N_STEPS = 7, 10
N_TEST_PERMUTATIONS = 199

NO_COLUMN = (
    "The table of the cohort has no column {name!r} for confounds; its columns are {columns}. Columns come from the "
    "table of paths, or from participants.tsv and sessions.tsv of the BIDS folder (--bids)."
)

Scores = dict[str, tuple[NDArray, NDArray]]


@dataclass(frozen=True)
class Budget:
    """Sizes of the experiment.

    Attributes
    ----------
    joint_rank, individual_rank : int, default=2 and 4
        Numbers of joint scores, and of individual scores of each modality.
    max_epochs, batch_size, learning_rate, dropout
        Parameters of the networks. They were chosen on validation participants of a phantom that is in no table.
    n_permutations : int, default=2000
        Number of permutations for the covariation maps.
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
    """Results of the experiment.

    Attributes
    ----------
    classification : list of (scores, size, measures)
        Classification of CN and AD from held-out scores; for a phantom also from the true stage.
    shuffled_labels : dict of str to Estimate
        Classification from the joint scores with permuted labels, ten times.
    recovery : list of (method, modality, joint R2, individual R2, variance explained joint, individual)
        Recovery of the true parts; R2 is NaN where the truth is not known.
    shared : list of (method, subset, modality, R2, variance explained)
        Parts of subsets of modalities, of models with subsets; R2 is NaN where the true part is not known.
    probes : list of (scores, R2 of each factor)
        Linear probes of held-out scores for the factors of the phantom.
    pairing : JointStructureTest
        Test whether the modalities of held-out participants are paired better than by chance. Participants are
        permuted.
    unpaired : JointStructureTest
        The same test for a model of shuffled modalities, on shuffled held-out participants.
    maps : dict of str to Covariation
        Maps of the joint score that differs most between the diagnoses, by modality.
    component : int
        Index of that joint score, from 0.
    dice : dict of str to float
        Dice overlap of the strongest fifth of each map with that of the true map.
    confounded_maps, confounded_component, confounded_dice
        The same of a model of volumes from which the confounds were not taken out; empty without confounds.
    regions : list of (region, side, measures by modality)
        The maps in regions.
    bootstrap : BootstrapMaps or None
        The maps over refits to bootstrap draws of the fitted participants.
    intervals : list of (region, side, (mean effect, lower and upper limit) by modality)
        The bootstrap maps in regions.
    seconds : dict of str to float
        Wall time of each fit in seconds.
    balance : list of Balance
        How well each confound alone classifies the diagnosis; empty without confounds.
    """

    classification: list[tuple[str, int, dict[str, Estimate]]] = field(default_factory=list)
    shuffled_labels: dict[str, Estimate] = field(default_factory=dict)
    recovery: list[tuple[str, str, float, float, float, float]] = field(default_factory=list)
    shared: list[tuple[str, str, str, float, float]] = field(default_factory=list)
    probes: list[tuple[str, dict[str, float]]] = field(default_factory=list)
    pairing: Any = None
    unpaired: Any = None
    maps: dict[str, Covariation] = field(default_factory=dict)
    component: int = 0
    dice: dict[str, float] = field(default_factory=dict)
    confounded_maps: dict[str, Covariation] = field(default_factory=dict)
    confounded_component: int = 0
    confounded_dice: dict[str, float] = field(default_factory=dict)
    regions: list[tuple[str, str, dict[str, tuple[float, float]]]] = field(default_factory=list)
    bootstrap: BootstrapMaps | None = None
    intervals: list[tuple[str, str, dict[str, Interval]]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    balance: list[Balance] = field(default_factory=list)


@dataclass(frozen=True)
class Samples:
    """The samples of the experiment, split by participant into fitted and held-out samples.

    Attributes
    ----------
    train, test : Modalities
        Volumes of the fitted and of the held-out samples. Those of the held-out samples are without confounds.
    confounded : Modalities or None
        The held-out samples with the effects of the confounds; None without confounds.
    ceiling : array, shape (n_test, n_factors), or None
        True factors that bear on the diagnosis, of a phantom with difficulties.
    labels, groups : array of str, shape (n_test,)
        Diagnosis and participant of each held-out sample.
    train_factors, test_factors : DataFrame or None
        Factors of a phantom.
    truth : dict of (part, modality) to array
        True parts of the held-out samples; empty where they are not known.
    """

    train: Modalities
    test: Modalities
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    train_factors: pd.DataFrame | None = None
    test_factors: pd.DataFrame | None = None
    truth: dict[tuple[str, str], NDArray] = field(default_factory=dict)
    confounded: Modalities | None = None
    ceiling: NDArray | None = None


def brain_study(
    cohort: Cohort,
    data: Modalities,
    voxel: float,
    *,
    phantom: Phantom | None = None,
    budget: Budget = QUICK,
    identity: str = "exchange",
    seed: int = 0,
    confounds: Sequence[str] = (),
    site: str | None = "auto",
    subsets: Any = None,
    n_draws: int = 0,
    draw_epochs: int | None = None,
    folder: Path | None = None,
    progress: Progress = silent,
    **settings: Any,
) -> tuple[BrainStudy, Any]:
    """Run the experiment; returns its results and the fitted DeepJIVE model.

    Parameters
    ----------
    cohort : Cohort
        Samples with both modalities and a diagnosis, CN or AD.
    data : Modalities
        Volumes of the samples on the standard grid.
    voxel : float
        Edge of a voxel in mm.
    phantom : Phantom, optional
        The truth of the same samples in the same order.
    budget : Budget, default=QUICK
        Sizes of the experiment.
    identity : {"exchange", "explicit"}, default="exchange"
        The identity constraint.
    seed : int, default=0
        Seed of split, networks and permutations.
    confounds : sequence of str, default=()
        Columns of the cohort's table that are taken out of the volumes, such as ``("age", "sex", "site")``. Their
        effects are learned from the fitted participants.
    site : str or None, default="auto"
        The confound that is the site; see `Modalities`.
    subsets : None, "auto", list or dict, default=None
        Subsets of three or more modalities with parts of their own, of DeepJIVE and AJIVE; see `DeepJIVE`.
    n_draws : int, default=0
        Number of refits of DeepJIVE to bootstrap draws of the fitted participants.
    draw_epochs : int, optional
        Largest number of epochs of each phase of a refit; by default as many as of the first fit.
    folder : Path, optional
        Folder in which finished refits are kept.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each step and after each refit.
    **settings
        Parameters of `DeepJIVE`, such as ``device``.

    Returns
    -------
    study : BrainStudy
    model : DeepJIVE

    Raises
    ------
    ValueError
        If there are fewer than 120 permutations of the fitted or of the held-out participants. The error is raised
        before anything is fitted.
    """
    n_steps = N_STEPS + n_draws
    if confounds:
        data = Modalities(data, confounds=_confounds(cohort, confounds), site=site)
    samples = _split(cohort, data, phantom, seed)
    study = BrainStudy()
    if data.confounds is not None:
        table = cohort.table.assign(**data.confounds.columns)  # a site of numbers has categories here
        study.balance = balance(table, confounds, POSITIVE, random_state=seed)
    models = fit_models(
        samples.train,
        budget,
        identity,
        seed,
        study.seconds,
        settings,
        subsets=subsets,
        progress=lambda done, _, message: progress(done, n_steps, message),
    )
    scores = _scores_and_recovery(models, samples, study)
    progress(N_FITS, n_steps, "Classifying diagnoses from held-out scores")
    if samples.confounded is not None:
        train, test = samples.train.without_confounds(), samples.confounded.without_confounds()
        names = ("DeepJIVE", "AJIVE")
        confounded = fit_models(train, budget, identity, seed, {}, settings, subsets=subsets, only=names)
        scores |= {
            f"{name}, {LEFT_IN}": (confounded[name].transform(train), confounded[name].transform(test))
            for name in names
        }
    _classify(scores, samples, study, seed)
    progress(N_FITS + 1, n_steps, "Testing the joint structure of pairs, and of shuffled modalities")
    _test_pairing(models, samples, study, seed)
    progress(N_FITS + 2, n_steps, "Computing the covariation maps")
    mapped = _map_covariation(models["DeepJIVE"], samples.test, scores["DeepJIVE, joint"][1], samples, budget, seed)
    study.maps, study.component, is_flipped = mapped
    study.dice = _dice(study.maps, samples, voxel)
    study.regions = region_table(study.maps, mni_grid(voxel), _brain_mask(voxel))
    if samples.confounded is not None:
        joint_scores = scores[f"DeepJIVE, {LEFT_IN}"][1]
        mapped = _map_covariation(confounded["DeepJIVE"], test, joint_scores, samples, budget, seed)
        study.confounded_maps, study.confounded_component, _ = mapped
        study.confounded_dice = _dice(study.confounded_maps, samples, voxel)
    if n_draws:
        refits: dict[str, Any] = {"random_state": seed, "folder": folder}
        refits |= {} if draw_epochs is None else {"max_epochs": draw_epochs}
        refits["progress"] = _draw_progress(progress, n_draws, study.seconds["DeepJIVE"])
        bootstrap = bootstrap_maps(models["DeepJIVE"], samples.train, study.component, n_draws, **refits)
        study.bootstrap = bootstrap.turned() if is_flipped else bootstrap
        study.intervals = region_intervals(study.bootstrap, mni_grid(voxel), _brain_mask(voxel))
    return study, models["DeepJIVE"]


def _split(cohort: Cohort, data: Modalities, phantom: Phantom | None, seed: int) -> Samples:
    """Split the samples by participant; fails where a part has too few participants for permutation tests."""
    train, test = next(iter(cohort.folds(3, random_state=seed)))
    data = with_groups(data, cohort.groups)
    for rows in (train, test):
        exchangeable(len(rows), cohort.groups[rows])  # fails here rather than after hours of fitting
    labels, groups = cohort.table["diagnosis"].to_numpy(dtype=str)[test], cohort.groups[test]
    fitted, held_out = data[train], data[test]
    confounded = None if data.confounds is None else held_out
    held_out = adjusted(fitted, held_out)[1]
    if phantom is None:
        return Samples(fitted, held_out, labels, groups, confounded=confounded)
    factors = _factors(phantom)
    truth = _true_parts(phantom, test)
    ceiling = true_factors(phantom.subjects).to_numpy()[test] if phantom.difficulties.names else None
    return Samples(
        fitted, held_out, labels, groups, factors.iloc[train], factors.iloc[test], truth, confounded, ceiling
    )


def _confounds(cohort: Cohort, names: Sequence[str]) -> dict[str, NDArray]:
    """Columns of the cohort's table, in the order of the samples; a frame's first column of text would name them."""
    missing = [name for name in names if name not in cohort.table]
    if missing:
        raise ValueError(NO_COLUMN.format(name=missing[0], columns=list(cohort.table)))
    return {name: cohort.table[name].to_numpy() for name in names}


def _scores_and_recovery(models: dict[str, Any], samples: Samples, study: BrainStudy) -> Scores:
    """Scores of fitted and held-out samples by all methods; the recovery of the true parts goes to the study."""
    scores: Scores = {}
    for method in ("DeepJIVE", "AJIVE"):
        train_parts, parts = models[method].decompose(samples.train), models[method].decompose(samples.test)
        sets = {"joint": (train_parts.joint_scores, parts.joint_scores)}
        for name in samples.test.names:
            sets[f"individual {name}"] = (train_parts.individual_scores[name], parts.individual_scores[name])
            study.recovery.append((method, name, *_recovery(parts, name, samples.truth)))
        for subset, subset_scores in parts.subset_scores.items():
            sets[word_of(subset)] = (train_parts.subset_scores[subset], subset_scores)
            study.shared += [(method, *row) for row in _shared(parts, subset, samples.truth)]
        sets["both"] = tuple(np.hstack(arrays) for arrays in zip(*sets.values(), strict=True))  # type: ignore[assignment]
        scores |= {f"{method}, {name}": pair for name, pair in sets.items()}
    train = adjusted(samples.train)[0]
    for method in BASELINES:
        scores[method] = (models[method](train), models[method](samples.test))
    return scores


def _recovery(parts: Any, name: str, truth: dict[tuple[str, str], NDArray]) -> tuple[float, float, float, float]:
    """Joint and individual R2 of a modality against the truth, and its joint and individual variance explained."""
    joint, individual = (
        r2(truth[part, name], getattr(parts, part)[name]) if truth else np.nan for part in ("joint", "individual")
    )
    explained = parts.variance_explained[name]
    return joint, individual, explained["joint"], explained["individual"]


def _shared(
    parts: Any, subset: tuple[str, ...], truth: dict[tuple[str, str], NDArray]
) -> list[tuple[str, str, float, float]]:
    """R2 of the part of a subset in each of its modalities against the truth, and its variance explained."""
    word, rows = word_of(subset), []
    for name in subset:
        true_part = truth.get((word, name))
        recovered = np.nan if true_part is None else r2(true_part, parts.subset[subset][name])
        rows.append((word, name, recovered, parts.variance_explained[name].get(word, np.nan)))
    return rows


def _classify(scores: Scores, samples: Samples, study: BrainStudy, seed: int) -> None:
    """Classify the diagnoses from held-out scores, also with permuted labels, and probe the factors of a phantom."""
    held_out = {name: test_scores for name, (_, test_scores) in scores.items()}
    if samples.test_factors is not None:
        held_out["true stage"] = samples.test_factors[["stage"]].to_numpy()
    if samples.ceiling is not None:
        held_out["true factors"] = samples.ceiling
    for name, test_scores in held_out.items():
        measures = nested_classification(test_scores, samples.labels, samples.groups, POSITIVE)
        measures[FEW] = accuracy_of_few(test_scores, samples.labels, samples.groups, POSITIVE)
        study.classification.append((name, test_scores.shape[1], measures))
    study.shuffled_labels = classification_of_shuffled(
        scores["DeepJIVE, joint"][1], samples.labels, samples.groups, POSITIVE, random_state=seed
    )
    if samples.train_factors is not None and samples.test_factors is not None:
        study.probes = [
            (name, _probe(train_scores, samples.train_factors, test_scores, samples.test_factors))
            for name, (train_scores, test_scores) in scores.items()
        ]


def _test_pairing(models: dict[str, Any], samples: Samples, study: BrainStudy, seed: int) -> None:
    """Test the joint structure of held-out samples; also with shuffled modalities, as a control."""
    tests: dict[str, Any] = {"random_state": seed}
    study.pairing = joint_structure_test(models["DeepJIVE"], samples.test, N_TEST_PERMUTATIONS, **tests)
    shuffled_test = shuffled(samples.test, np.random.RandomState(seed))
    study.unpaired = joint_structure_test(models["shuffled"], shuffled_test, N_TEST_PERMUTATIONS, **tests)


def _map_covariation(
    model: Any, test: Modalities, joint_scores: NDArray, samples: Samples, budget: Budget, seed: int
) -> tuple[dict[str, Covariation], int, bool]:
    """Map the joint score that differs most between the diagnoses; its number, and whether its sign was flipped.

    The sign is such that the score is larger with the positive diagnosis.
    """
    positive = samples.labels == POSITIVE
    contrast = [abs(float(np.corrcoef(column, positive)[0, 1])) for column in joint_scores.T]
    component = int(np.argmax(contrast))
    permutations: dict[str, Any] = {"n_permutations": budget.n_permutations, "clusters": True, "random_state": seed}
    maps = covariation(model, test, component, **permutations)
    score = joint_scores[:, component]
    is_flipped = bool(score[positive].mean() < score[~positive].mean())
    if is_flipped:
        maps = {name: covariation_map.turned() for name, covariation_map in maps.items()}
    return maps, component, is_flipped


def _dice(maps: dict[str, Covariation], samples: Samples, voxel: float) -> dict[str, float]:
    """Overlap of the strongest fifth of each map with that of the true map; empty where the truth is not known."""
    if samples.test_factors is None:
        return {}
    stage, mask = samples.test_factors["stage"].to_numpy(), _brain_mask(voxel)
    true_effects = {name: np.tensordot(stage - stage.mean(), samples.truth["joint", name], axes=1) for name in maps}
    return {name: dice_of_strongest(maps[name].effect, true_effects[name], mask) for name in maps}


def _brain_mask(voxel: float) -> NDArray[np.bool_]:
    return template("brain", voxel) > 0


def fit_models(
    data: Modalities,
    budget: Budget,
    identity: str,
    seed: int,
    seconds: dict[str, float],
    settings: Any,
    *,
    subsets: Any = None,
    only: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Fit all methods with the same numbers of scores, and the baselines also with the joint rank alone.

    Parameters
    ----------
    data : Modalities
        The samples to fit.
    budget, identity, seed, settings
        See `brain_study`.
    seconds : dict of str to float
        The wall time of each fit is added to it.
    subsets : None, "auto", list or dict, default=None
        See `brain_study`.
    only : sequence of str, optional
        Names of the methods to fit; all by default.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each fit.

    Returns
    -------
    dict of str to object
        Estimators, and for the baselines functions from Modalities to scores.
    """
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
    ranks: dict[str, Any] = {"joint_rank": joint, "individual_ranks": own, "subsets": subsets}
    plain = adjusted(data)[0]
    makers: dict[str, Callable[[], Any]] = {
        "DeepJIVE": lambda: DeepJIVE(**ranks, identity=identity, **deep).fit(data),  # type: ignore[arg-type]
        "AJIVE": lambda: AJIVE(signal_ranks=both, **ranks, random_state=seed).fit(data),
        BASELINES[0]: lambda: SeparateAutoencoders(ranks=both, **deep).fit(plain).transform,
        BASELINES[1]: lambda: SeparateAutoencoders(ranks=joint, **deep).fit(plain).transform,
        BASELINES[2]: lambda: _principal(plain, joint + own * len(data.names), seed),
        BASELINES[3]: lambda: _principal(plain, joint, seed),
        "shuffled": lambda: DeepJIVE(joint_rank=joint, individual_ranks=0, identity=identity, **deep).fit(  # type: ignore[arg-type]
            shuffled(plain, np.random.RandomState(seed))
        ),
    }
    models = {}
    for done, (name, make) in enumerate(makers.items()):
        if only is not None and name not in only:
            continue
        progress(done, len(makers), f"Fitting {name} to {len(data)} participants")
        start = time.perf_counter()
        models[name] = make()
        seconds[name] = time.perf_counter() - start
    return models


def _principal(data: Modalities, rank: int, seed: int) -> Callable[[Modalities], NDArray]:
    """Principal components of the modalities side by side, where each modality is divided by its standard deviation."""
    from sklearn.decomposition import PCA

    scale = {name: float(np.std(data.rows(name, slice(None)), dtype=np.float64)) for name in data.names}

    def flat(some: Modalities) -> NDArray:
        return np.hstack([some.rows(name, slice(None)).reshape(len(some), -1) / scale[name] for name in some.names])

    pca = PCA(rank, random_state=seed).fit(flat(data))
    return lambda some: pca.transform(flat(some))


def _true_parts(phantom: Phantom, rows: NDArray[np.intp]) -> dict[tuple[str, str], NDArray]:
    names = phantom.data.names
    truth = {(part, name): phantom.truth(part, name, rows) for part in ("joint", "individual") for name in names}
    shared = SHARED.split("+") if "tau" in names else []
    return truth | {(SHARED, name): phantom.truth(SHARED, name, rows) for name in shared}


def _factors(phantom: Phantom) -> pd.DataFrame:
    """The numeric factors, and the asymmetry as far as the disease makes it visible."""
    names = [factor for group in FACTORS.values() for factor in group if factor in phantom.subjects]
    factors = phantom.subjects[names].copy()
    factors["visible asymmetry"] = factors["asymmetry"] * amyloid_curve(factors["stage"])
    if "spread" not in factors:
        return factors[list(FACTOR_COLUMNS)]
    factors["visible spread"] = factors["spread"] * tau_curve(factors["stage"])
    return factors[[*FACTOR_COLUMNS, *TAU_COLUMNS]]


def _probe(
    train_scores: NDArray, train_factors: pd.DataFrame, test_scores: NDArray, test_factors: pd.DataFrame
) -> dict[str, float]:
    """R2 of a linear regression of each factor on the scores, on held-out samples."""
    from sklearn.linear_model import LinearRegression

    predicted = LinearRegression().fit(train_scores, train_factors.to_numpy()).predict(test_scores)
    truth = test_factors.to_numpy()
    errors = np.square(truth - predicted).sum(axis=0) / np.square(truth - truth.mean(axis=0)).sum(axis=0)
    return {str(name): float(1.0 - error) for name, error in zip(test_factors, errors, strict=True)}


def _draw_progress(progress: Progress, n_draws: int, seconds: float) -> Progress:
    """Report the expected time of the refits, and return a callback that reports each refit as a step of the study."""
    n_steps = N_STEPS + n_draws
    minutes = seconds * n_draws / 60
    progress(N_STEPS, n_steps, f"Refitting to {n_draws} bootstrap draws, about {minutes:.0f} minutes")
    return lambda done, total, message: progress(N_STEPS + done, n_steps, f"Draw {done} of {n_draws}: {message}")
