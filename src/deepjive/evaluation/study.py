"""The steps of a study: a model and its baselines, fitted to some samples and measured on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import TooFewOrdersError
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.evaluation.agreement import Agreement, agreement
from deepjive.evaluation.cross_prediction import CrossPrediction, cross_predictions, scores_of
from deepjive.evaluation.diagnostics import Finding, diagnose
from deepjive.evaluation.null import JointStructureTest, explained_by, joint_structure_test, refit_test, shuffled
from deepjive.evaluation.probes import Probe, known, probe
from deepjive.evaluation.refit import baselines, refitted
from deepjive.evaluation.stability import Stability, stability

SHUFFLED, ALL_SCORES, SEPARATE = "shuffled", "all scores", "SeparateAutoencoders"

Step = tuple[str, Callable[[], Any]]


@dataclass(frozen=True)
class EvidenceSettings:
    """How a study is made; see `deepjive.evaluation.evidence.evidence`."""

    refit: bool
    n_permutations: int
    n_refits: int
    n_fits: int
    random_state: int | None


class Study:
    """What is measured of a model, step by step.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities
        All samples.
    rows : pair of arrays of int
        The samples to fit to, and those held out.
    labels : mapping of str to array, shape (n_samples,)
        Labels by name.
    settings : EvidenceSettings
        How.
    """

    def __init__(
        self,
        model: Any,
        data: Modalities,
        rows: tuple[NDArray[np.intp], NDArray[np.intp]],
        labels: Mapping[str, NDArray],
        settings: EvidenceSettings,
    ) -> None:
        self.model, self.labels, self.rows, self.settings = model, labels, rows, settings
        self.train, self.test = (data[some] for some in rows)
        self.seed = settings.random_state
        self.models: dict[str, Any] = {}
        self.parts: dict[str, Decomposition] = {}
        self.tell: Callable[[int], None] = lambda fits: None

    def steps(self) -> dict[str, Step]:
        """By the field of `Evidence` that it gives, what each step does in words, and the function that does it."""
        steps: dict[str, Step] = {
            "models": ("Fitting the model and its baselines to the samples not held out", self.fit),
            "joint_structure": ("Permuting pairs of held-out samples", self.joint_structure),
            "predicted": ("Fitting to shuffled samples", self.predicted),
            "explained": ("Measuring variance explained", self.explained),
            "agreement": ("Comparing the modalities' joint scores", self.agreement),
            "cross": ("Predicting one part's scores from another's", self.cross),
        }
        if self.labels:
            steps["probes"] = ("Predicting labels from scores", self.probes)
        if self.settings.n_refits:
            steps["refit_structure"] = ("Fitting to shuffled samples, again and again", self.refit_structure)
        if self.settings.n_fits:
            steps["stability"] = ("Fitting with other seeds and to other samples", self.stability)
        steps["findings"] = ("Looking for known failures", self.findings)
        return steps

    def fit(self) -> str:
        """Fit everything; gives the name of the model's method."""
        if self.settings.refit:
            self.model = refitted(self.model, self.train, random_state=self.seed)
        method = type(self.model).__name__
        self.models = {method: self.model, **baselines(self.model, self.train, self.seed or 0)}
        self.parts = {name: model.decompose(self.test) for name, model in self.models.items()}
        return method

    def joint_structure(self) -> JointStructureTest:
        """The test that permutes pairs."""
        self.test_of_pairs = joint_structure_test(
            self.model, self.test, self.settings.n_permutations, random_state=self.seed
        )
        return self.test_of_pairs

    def predicted(self) -> dict[str, dict[str, float]]:
        """What is predicted of each modality, also by a fit to shuffled samples."""
        rng = check_random_state(self.seed)
        null = refitted(self.model, shuffled(self.train, rng), random_state=self.seed)
        found = {name: explained_by(model, self.test) for name, model in self._splits().items()}
        return found | {SHUFFLED: explained_by(null, shuffled(self.test, rng))}

    def explained(self) -> dict[str, dict[str, dict[str, float]]]:
        """Variance explained by each part."""
        return {name: parts.variance_explained for name, parts in self.parts.items()}

    def agreement(self) -> dict[str, list[Agreement]]:
        """Correlations between the joint scores of single modalities."""
        return {name: agreement(model, self.test) for name, model in self._splits().items()}

    def cross(self) -> dict[str, list[CrossPrediction]]:
        """Cross-prediction and dependence of the parts' scores."""
        return {name: cross_predictions(self.parts[name], random_state=self.seed) for name in self._splits()}

    def probes(self) -> dict[str, dict[str, dict[str, Probe]]]:
        """Labels told from the scores of each method; labels that do not vary enough are left out."""
        fitted = {name: _probed_scores(name, model.decompose(self.train)) for name, model in self.models.items()}
        held_out = {name: _probed_scores(name, parts) for name, parts in self.parts.items()}
        found: dict[str, dict[str, dict[str, Probe]]] = {}
        for label, values in self.labels.items():
            train, test = (values[some] for some in self.rows)
            if not varies(train) or not varies(test):
                continue
            found[label] = {
                method: {name: self._probe(x, train, held_out[method][name], test) for name, x in scores.items()}
                for method, scores in fitted.items()
            }
        return found

    def refit_structure(self) -> JointStructureTest:
        """The test by fits to shuffled samples."""
        known: dict[str, Any] = {"random_state": self.seed, "on_refit": self.tell}
        return refit_test(self.model, self.train, self.test, self.settings.n_refits, **known)

    def stability(self) -> dict[str, list[Stability]]:
        """What comes back in other fits."""
        known: dict[str, Any] = {"random_state": self.seed, "on_fit": self.tell}
        return {
            name: stability(model, self.train, self.test, self.settings.n_fits, **known)
            for name, model in self._splits().items()
        }

    def findings(self) -> list[Finding]:
        """Known failures."""
        known: dict[str, Any] = {"separate": self.models.get(SEPARATE), "test": self.test_of_pairs}
        try:
            return diagnose(self.model, self.test, **known, random_state=self.seed)
        except TooFewOrdersError:  # of the samples without gaps; all that was measured before is not lost for it
            return self.model.diagnostics()

    def _splits(self) -> dict[str, Any]:
        """The methods that have a joint part."""
        return {name: model for name, model in self.models.items() if name != SEPARATE}

    def _probe(self, train_scores: NDArray, train: NDArray, test_scores: NDArray, test: NDArray) -> Probe:
        known: dict[str, Any] = {"n_permutations": self.settings.n_permutations, "groups": self.test.groups}
        return probe(train_scores, train, test_scores, test, **known, random_state=self.seed)


def _probed_scores(method: str, parts: Decomposition) -> dict[str, NDArray]:
    scores = scores_of(parts)
    return {ALL_SCORES: np.concatenate(list(scores.values()), axis=1)} if method == SEPARATE else scores


def varies(labels: NDArray) -> bool:
    """Whether labels have two values or more."""
    return len(np.unique(labels[known(labels)])) > 1
