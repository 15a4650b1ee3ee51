"""The steps of `evidence`: fit a model and its baselines to some samples, and measure them on other samples."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import TooFewOrdersError
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.evaluation.diagnostics import diagnose
from deepjive.evaluation.modality_agreement import agreement
from deepjive.evaluation.null import JointStructureTest, explained_by, joint_structure_test, refit_test, shuffled
from deepjive.evaluation.probes import Probe, probe, untestable
from deepjive.evaluation.refit import SEPARATE, ajive_of_size, baselines, refitted
from deepjive.evaluation.refit_stability import Stability, stability
from deepjive.evaluation.score_prediction import CrossPrediction, cross_predictions, scores_of
from deepjive.evaluation.subset_null import has_subset_scores, subset_structure_test
from deepjive.progress import Progress, within_step
from deepjive.results import Finding

SHUFFLED, ALL_SCORES = "shuffled", "all scores"
CONFOUNDED = "AJIVE, confounds left in"

MESSAGES = {
    "models": "Fitting the model and its baselines",
    "joint_structure": "Permuting pairs of held-out samples",
    "subset_structure": "Permuting members of subsets of modalities",
    "predicted": "Fitting to shuffled samples",
    "explained": "Measuring variance explained",
    "agreement": "Comparing joint scores of single modalities",
    "cross": "Predicting scores of one part from another part",
    "probes": "Predicting labels from scores",
    "refit_structure": "Fitting again to shuffled samples",
    "stability": "Fitting with other seeds and to other samples",
    "findings": "Looking for known failures",
}


@dataclass(frozen=True)
class EvidenceSettings:
    """Settings of the measurement; see `deepjive.evaluation.evidence`."""

    refit: bool
    n_permutations: int
    n_refits: int
    n_fits: int
    random_state: int | None


@dataclass(frozen=True)
class Methods:
    """A model and its baselines, and their decompositions of the held-out samples.

    Attributes
    ----------
    name : str
        Name of the model's class.
    models : dict of str to estimator
        The fitted model and its baselines, by the names of their classes.
    parts : dict of str to Decomposition
        Decompositions of the held-out samples.
    """

    name: str
    models: dict[str, Any]
    parts: dict[str, Decomposition]

    @property
    def model(self) -> Any:
        """The model itself."""
        return self.models[self.name]

    @property
    def with_joint_part(self) -> dict[str, Any]:
        """The models that have a joint part."""
        return {name: model for name, model in self.models.items() if name != SEPARATE}


class Steps:
    """Progress of the measurement: one step for each field of `Evidence` that is measured.

    Parameters
    ----------
    settings : EvidenceSettings
        They decide which steps there are.
    with_labels : bool
        Whether labels are predicted.
    with_subsets : bool
        Whether subsets of some modalities have scores.
    progress : callable
        ``progress(done, total, message)``.
    """

    def __init__(self, settings: EvidenceSettings, with_labels: bool, with_subsets: bool, progress: Progress) -> None:
        left_out = {
            "subset_structure": not with_subsets,
            "probes": not with_labels,
            "refit_structure": not settings.n_refits,
            "stability": not settings.n_fits,
        }
        self.names = [name for name in MESSAGES if not left_out.get(name, False)]
        self.progress = progress
        self.duration = ""

    def estimate(self, seconds_of_a_fit: float, n_fits: int) -> None:
        """Name the expected duration of all fits in the following reports, if it is more than a minute."""
        minutes = seconds_of_a_fit * n_fits / 60.0
        self.duration = f" ({n_fits} fits take about {math.ceil(minutes)} min)" if minutes > 1.0 else ""

    def begin(self, name: str) -> Progress:
        """Report that a step begins, and return the callback for the progress of this step."""
        done, message = self.names.index(name), MESSAGES[name] + self.duration
        self.progress(done, len(self.names), message)
        return within_step(self.progress, done, len(self.names), message)

    def end(self) -> None:
        """Report that all steps are done."""
        self.progress(len(self.names), len(self.names), "done")


def measure(
    model: Any,
    data: Modalities,
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    labels: Mapping[str, NDArray],
    settings: EvidenceSettings,
    progress: Progress,
) -> dict[str, Any]:
    """Measure the fields of `Evidence` that need a fit or held-out samples.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities
        All samples.
    rows : pair of arrays of int
        The rows of the samples to fit to, and of the held-out samples.
    labels : mapping of str to array, shape (n_samples,)
        Labels by name.
    settings : EvidenceSettings
        Numbers of permutations and fits, and the seed.
    progress : callable
        Called as ``progress(done, total, message)`` before each step, during a step, and at the end.

    Returns
    -------
    dict of str to object
        The fields by their names.
    """
    train, test = (data[part] for part in rows)
    n_permutations, seed = settings.n_permutations, settings.random_state
    seeded: dict[str, Any] = {"random_state": seed}
    with_subsets = has_subset_scores(model) and not model.needs_all_modalities
    steps = Steps(settings, bool(labels), with_subsets, progress)

    steps.begin("models")
    confounded = confounded_baseline(model, train, test, settings) if labels else None
    started = time.perf_counter()
    methods, train, test = fit_methods(model, train, test, settings)
    n_repeats = len(methods.models) if settings.refit else max(len(methods.models) - 1, 1)
    steps.estimate((time.perf_counter() - started) / n_repeats, _fits_to_come(methods.model, train, settings))
    report = steps.begin("joint_structure")
    pairing = joint_structure_test(methods.model, data[rows[1]], n_permutations, progress=report, **seeded)
    fields: dict[str, Any] = {"method": methods.name, "joint_structure": pairing}
    if with_subsets:
        report = steps.begin("subset_structure")
        fields["subset_structure"] = subset_structure_test(
            methods.model, data[rows[1]], n_permutations, progress=report, **seeded
        )
    steps.begin("predicted")
    fields["predicted"] = predicted_fractions(methods, train, test, seed)
    steps.begin("explained")
    fields["explained"] = {name: parts.variance_explained for name, parts in methods.parts.items()}
    steps.begin("agreement")
    fields["agreement"] = {name: agreement(fitted, test) for name, fitted in methods.with_joint_part.items()}
    report = steps.begin("cross")
    fields["cross"] = measured_cross_predictions(methods, n_permutations, seed, report)
    if labels:
        report = steps.begin("probes")
        fields["untested"] = {
            label: reason
            for label, values in labels.items()
            if (reason := untestable(*(values[part] for part in rows)))
        }
        tested = {label: values for label, values in labels.items() if label not in fields["untested"]}
        fields["probes"] = measured_probes(methods, train, test, rows, tested, settings, report, confounded)
    if settings.n_refits:
        report = steps.begin("refit_structure")
        fields["refit_structure"] = refit_test(methods.model, train, test, settings.n_refits, progress=report, **seeded)
    if settings.n_fits:
        report = steps.begin("stability")
        fields["stability"] = measured_stability(methods, train, test, settings, report)
    steps.begin("findings")
    fields["findings"] = findings_of(methods, test, pairing, seed)
    steps.end()
    return fields


def _fits_to_come(model: Any, train: Modalities, settings: EvidenceSettings) -> int:
    """Number of fits of the model after the first: to shuffled samples, with other seeds, and to other samples."""
    n_moves = 1 if len(train.names) == 2 else len(train.names)
    n_refits = 1 + settings.n_refits * n_moves if settings.n_refits else 0
    return 1 + n_refits + settings.n_fits * (2 if model.is_stochastic else 1)


def fit_methods(
    model: Any, train: Modalities, test: Modalities, settings: EvidenceSettings
) -> tuple[Methods, Modalities, Modalities]:
    """Fit the model (if it is to be refitted) and its baselines, and decompose the held-out samples.

    Also returns the samples without the effects of confounds, which the model learned from the fitted samples.
    """
    seed = settings.random_state
    if settings.refit:
        model = refitted(model, train, random_state=seed)
    train, test = model.adjust(train), model.adjust(test)
    name = type(model).__name__
    models = {name: model, **baselines(model, train, seed or 0)}
    return Methods(name, models, {method: fitted.decompose(test) for method, fitted in models.items()}), train, test


def confounded_baseline(
    model: Any, train: Modalities, test: Modalities, settings: EvidenceSettings
) -> dict[str, tuple[Decomposition, Decomposition]]:
    """Return the parts of fitted and held-out samples of AJIVE of the same ranks, from which no confound was taken out.

    It shows what scores say of the confounds, and of other labels, if confounds are not taken out; empty without them.
    """
    if train.confounds is None:
        return {}
    train, test = train.without_confounds(), test.without_confounds()
    ajive = ajive_of_size(model, train, settings.random_state or 0)
    return {CONFOUNDED: (ajive.decompose(train), ajive.decompose(test))}


def predicted_fractions(
    methods: Methods, train: Modalities, test: Modalities, seed: int | None
) -> dict[str, dict[str, float]]:
    """Return the predicted fraction of each modality for every method, and for a fit to shuffled samples."""
    rng = check_random_state(seed)
    null_model = refitted(methods.model, shuffled(train, rng), random_state=seed)
    fractions = {name: explained_by(model, test) for name, model in methods.with_joint_part.items()}
    return fractions | {SHUFFLED: explained_by(null_model, shuffled(test, rng))}


def measured_cross_predictions(
    methods: Methods, n_permutations: int, seed: int | None, progress: Progress
) -> dict[str, list[CrossPrediction]]:
    """Return cross-predictions and tests of independence of the parts' scores for every method."""
    known_parameters: dict[str, Any] = {"n_permutations": n_permutations, "random_state": seed, "progress": progress}
    return {name: cross_predictions(methods.parts[name], **known_parameters) for name in methods.with_joint_part}


def measured_probes(
    methods: Methods,
    train: Modalities,
    test: Modalities,
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    labels: Mapping[str, NDArray],
    settings: EvidenceSettings,
    progress: Progress,
    confounded: Mapping[str, tuple[Decomposition, Decomposition]] | None = None,
) -> dict[str, dict[str, dict[str, Probe]]]:
    """Return probes by label, method and scores, of labels that have at least two values on both sides."""
    train_scores = {name: _probed_scores(name, model.decompose(train)) for name, model in methods.models.items()}
    test_scores = {name: _probed_scores(name, parts) for name, parts in methods.parts.items()}
    for name, (fitted, held_out) in (confounded or {}).items():
        train_scores[name], test_scores[name] = scores_of(fitted), scores_of(held_out)
    used: dict[str, Any] = {
        "n_permutations": settings.n_permutations,
        "groups": test.groups,
        "random_state": settings.random_state,
    }
    results: dict[str, dict[str, dict[str, Probe]]] = {}
    for done, (label, values) in enumerate(labels.items()):
        progress(done, len(labels), label)
        train_labels, test_labels = (values[part] for part in rows)
        results[label] = {
            method: {
                name: probe(x, train_labels, test_scores[method][name], test_labels, **used)
                for name, x in scores.items()
            }
            for method, scores in train_scores.items()
        }
    return results


def measured_stability(
    methods: Methods, train: Modalities, test: Modalities, settings: EvidenceSettings, progress: Progress
) -> dict[str, list[Stability]]:
    """Return the stability of the scores of every method that has a joint part."""
    used: dict[str, Any] = {"random_state": settings.random_state, "progress": progress}
    return {
        name: stability(model, train, test, settings.n_fits, **used) for name, model in methods.with_joint_part.items()
    }


def findings_of(methods: Methods, test: Modalities, pairing: JointStructureTest, seed: int | None) -> list[Finding]:
    """Return the known failures of the model."""
    separate = methods.models.get(SEPARATE)
    try:
        return diagnose(methods.model, test, separate=separate, test=pairing, random_state=seed)
    except TooFewOrdersError:  # samples without missing values have too few participants; keep what was measured before
        return list(methods.model.diagnostics())


def _probed_scores(method: str, parts: Decomposition) -> dict[str, NDArray]:
    scores = scores_of(parts)
    return {ALL_SCORES: np.concatenate(list(scores.values()), axis=1)} if method == SEPARATE else scores
