"""Evidence: all measurements that say how far a decomposition can be believed, in one object.

Some samples are held out. The model and its baselines are fitted to the other samples with the same ranks. Everything
is measured on the held-out samples: joint structure (prediction from the other modalities, with a permutation test, and
beside a fit to shuffled samples), variance explained, agreement of the modalities, cross-prediction between parts,
prediction of labels, stability over fits, and known failures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import check_apart, exchangeable, in_random_order, rows_of
from deepjive.data.modalities import Modalities
from deepjive.evaluation.evidence_steps import EvidenceSettings, measure
from deepjive.evaluation.modality_agreement import Agreement
from deepjive.evaluation.null import JointStructureTest
from deepjive.evaluation.probes import Probe, known, untestable
from deepjive.evaluation.refit import with_groups
from deepjive.evaluation.refit_stability import Stability
from deepjive.evaluation.score_prediction import CrossPrediction
from deepjive.evaluation.subset_null import SubsetStructureTest
from deepjive.progress import Progress, silent
from deepjive.results import Finding, Result
from deepjive.validation import named_labels

MIN_SAMPLES = 40

TOO_FEW = (
    "Evidence needs at least {needed} samples that have every modality, to fit to some and to measure on others, but "
    "there are {given}."
)
FITTED, HELD_OUT, LABELLED = "that are fitted", "held out", "held out that have a label {label!r}"


@dataclass(frozen=True, repr=False)
class Evidence(Result):
    """Measurements of a decomposition, all on held-out samples; fractions are fractions of variance.

    Methods are named after their classes.

    Attributes
    ----------
    method : str
        Class of the model.
    n_fitted, n_held_out : int
        Numbers of samples.
    joint_rank, individual_ranks : int, dict of str to int
        Ranks of the model and of its baselines.
    joint_structure : JointStructureTest
        The permutation test of held-out pairs.
    predicted : dict of str to dict of str to float
        By method, and for the fit to shuffled samples, the fraction of each modality that is predicted from the others.
    explained : dict of str to dict of str to dict of str to float
        By method and modality the fractions "joint", "individual" and "residual".
    agreement : dict of str to list of Agreement
        By method; empty if joint scores need all modalities.
    cross : dict of str to list of CrossPrediction
        By method.
    refit_structure : JointStructureTest or None
        The test by refits, if `n_refits` is not 0.
    probes : dict of str to dict of str to dict of str to Probe
        By label, method and scores ("joint", "individual" and the modality, or "all scores").
    untested : dict of str to str
        Labels that could not be predicted, and why, such as a label of which all held-out samples have the same value.
    stability : dict of str to list of Stability
        By method.
    findings : list of Finding
        Known failures of the model.
    subset_structure : SubsetStructureTest or None
        The permutation test of each subset of some modalities, if such subsets have scores.
    """

    method: str
    n_fitted: int
    n_held_out: int
    joint_rank: int
    individual_ranks: dict[str, int]
    joint_structure: JointStructureTest
    predicted: dict[str, dict[str, float]]
    explained: dict[str, dict[str, dict[str, float]]]
    agreement: dict[str, list[Agreement]]
    cross: dict[str, list[CrossPrediction]]
    refit_structure: JointStructureTest | None = None
    probes: dict[str, dict[str, dict[str, Probe]]] = field(default_factory=dict)
    untested: dict[str, str] = field(default_factory=dict)
    stability: dict[str, list[Stability]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    subset_structure: SubsetStructureTest | None = None

    def _summary(self) -> str:
        names = ", ".join(finding.name for finding in self.findings) or "none"
        return (
            f"{self.method}, joint rank {self.joint_rank}: p={self.joint_structure.p_value:.3g} for joint structure, "
            f"{self.n_held_out} of {self.n_fitted + self.n_held_out} samples held out; known failures: {names}"
            + "".join(
                f"; label {label!r} was not tested: {reason.rstrip('.')}" for label, reason in self.untested.items()
            )
        )

    def _table(self) -> Any:
        return [
            dict(zip(("measure", "method", "target", "value", "p_value"), row, strict=True)) for row in self._figures()
        ]

    def _figures(self) -> Iterator[tuple[str, str, str, float, float]]:
        """Return all figures as rows of measure, method, target, value and p-value."""
        for name, value in self.joint_structure.explained.items():
            yield "joint structure", self.method, name, value, self.joint_structure.p_values[name]
        if self.subset_structure is not None:
            for row in self.subset_structure._table():
                target = f"{row['modality']} in {row['subset']}"
                yield "structure of a subset", self.method, target, row["explained"], row["p_value"]
        if self.refit_structure is not None:
            for name, value in self.refit_structure.explained.items():
                yield "joint structure, refits", self.method, name, value, self.refit_structure.p_values[name]
        for method, fractions in self.predicted.items():
            for name, value in fractions.items():
                yield "predicted", method, name, value, math.nan
        for method, modalities in self.explained.items():
            for name, parts in modalities.items():
                for part, value in parts.items():
                    yield f"explained, {part}", method, name, value, math.nan
        for method, pairs in self.agreement.items():
            for pair in pairs:
                target = f"joint score {pair.component}, {pair.first} and {pair.second}"
                yield "agreement", method, target, pair.correlation, math.nan
        for method, predictions in self.cross.items():
            for row in predictions:
                yield "cross-prediction", method, f"{row.source} -> {row.target}", row.r2, row.p_value
        for label, methods in self.probes.items():
            for method, probes in methods.items():
                for scores, result in probes.items():
                    yield f"linear probe of {label}", method, scores, result.linear, result.p_linear
                    yield f"network probe of {label}", method, scores, result.network, result.p_network
        for method, stabilities in self.stability.items():
            for item in stabilities:
                measure_name = f"stability over {item.varied}"
                yield f"{measure_name}, matched", method, item.part, float(np.mean(item.matched)), math.nan
                yield f"{measure_name}, canonical", method, item.part, float(np.mean(item.canonical)), math.nan

    def save(self, path: str | Path) -> None:
        """Write the evidence as JSON; NaN is written as null.

        Parameters
        ----------
        path : path
            The file.
        """
        from deepjive.persistence import write_atomically

        content = json.dumps(_without_nan(asdict(self)), indent=1, allow_nan=False)
        write_atomically(Path(path), content.encode())

    @classmethod
    def load(cls, path: str | Path) -> Evidence:
        """Read evidence that `save` wrote.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Evidence

        Raises
        ------
        ValueError
            If the file does not hold evidence.
        """
        try:
            content = json.loads(Path(path).read_bytes(), object_hook=_with_nan)
            return cls(**{**content, **_typed(content)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path} does not hold evidence that this version can read ({error}). Measure the evidence again."
            ) from error


def evidence(
    model: Any,
    data: Any,
    labels: Mapping[str, ArrayLike] | ArrayLike | None = None,
    *,
    held_out: float | ArrayLike = 0.3,
    refit: bool = True,
    n_permutations: int = 999,
    n_refits: int = 0,
    n_fits: int = 3,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
    progress: Progress = silent,
) -> Evidence:
    """Measure the evidence for a decomposition on held-out samples.

    Parameters
    ----------
    model : estimator
        A fitted model. Its settings and its ranks are used. Ranks that were chosen from all samples are not chosen
        again.
    data : Modalities, mapping or sequence
        Samples. Samples that lack a modality are left out.
    labels : array, shape (n_samples,), or mapping of str to array, default=None
        Labels or covariates, which no model is fitted to, to be predicted from the scores. Confounds of the data are
        predicted too, beside their prediction from scores of AJIVE from which they were not taken out.
    held_out : float, or array of int or bool, default=0.3
        Fraction of the samples that is held out (with `groups`, of the participants), drawn at random; or the rows of
        the held-out samples.
    refit : bool, default=True
        Whether a copy of the model is fitted to the samples that are not held out. False if `model` was fitted to
        exactly these samples.
    n_permutations : int, default=999
        Number of permutations of held-out pairs, of labels, and of scores.
    n_refits : int, default=0
        Number of refits to shuffled samples for the second test of joint structure, for each modality if there are more
        than two; 0 omits this test.
    n_fits : int, default=3
        Number of fits with other seeds, and of fits to other samples, for stability; 0 omits stability.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Whole participants are then held out,
        drawn, and permuted (among participants with equally many samples). P-values are then exact if participants are
        exchangeable; without `groups` they are exact if samples are exchangeable. By default the groups of `data`.
    random_state : int or None, default=0
        Seed of all random draws.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` before each step, after each fit within a step, and at the end.

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        Before anything is fitted: if there are fewer than 40 complete samples, if labels or groups have another length,
        if a participant has samples on both sides, or if fewer than 120 orders of participants can be permuted on one
        side.

    See Also
    --------
    joint_structure_test, subset_structure_test, probe, cross_predictions, stability, diagnose : Single measurements.
    """
    data = with_groups(data, groups)
    rows, labels_by_name = _split(data, held_out, random_state), named_labels(labels, len(data), data.samples)
    if data.confounds is not None:
        labels_by_name |= {f"confound {name}": values for name, values in data.confounds.columns.items()}
    if data.groups is not None:
        _check_groups(data.groups, rows, labels_by_name)
    settings = EvidenceSettings(refit, n_permutations, n_refits, n_fits, random_state)
    fields = measure(model, data, rows, labels_by_name, settings, progress)
    ranks = {name: int(rank) for name, rank in model.individual_ranks_.items()}
    fitted_rows, held_out_rows = rows
    return Evidence(
        n_fitted=len(fitted_rows),
        n_held_out=len(held_out_rows),
        joint_rank=int(model.joint_rank_),
        individual_ranks=ranks,
        **fields,
    )


def _split(
    data: Modalities, held_out: float | ArrayLike, random_state: int | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to fit to and the held-out rows, of complete samples only."""
    is_complete = data.present.all(axis=1)
    if is_complete.sum() < MIN_SAMPLES:
        raise ValueError(TOO_FEW.format(needed=MIN_SAMPLES, given=int(is_complete.sum())))
    is_held_out = np.zeros(len(data), dtype=bool)
    if np.ndim(held_out) == 0:
        participants, rng = None if data.groups is None else data.groups[is_complete], check_random_state(random_state)
        members = in_random_order(int(is_complete.sum()), participants, rng)
        drawn = members[: round(float(held_out) * len(members))]  # type: ignore[arg-type]
        is_held_out[np.flatnonzero(is_complete)[rows_of(drawn)]] = True
    else:
        is_held_out[np.asarray(held_out)] = True
    return np.flatnonzero(is_complete & ~is_held_out), np.flatnonzero(is_complete & is_held_out)


def _check_groups(
    groups: NDArray, rows: tuple[NDArray[np.intp], NDArray[np.intp]], labels: Mapping[str, NDArray]
) -> None:
    """Refuse participants that cannot be permuted, before hours of fitting."""
    fitted, held_out = rows
    check_apart(groups[fitted], groups[held_out])
    permuted = {FITTED: fitted, HELD_OUT: held_out}
    for label, values in labels.items():
        if not untestable(values[fitted], values[held_out]):
            permuted[LABELLED.format(label=label)] = held_out[known(values[held_out])]
    for description, permuted_rows in permuted.items():
        try:
            exchangeable(len(permuted_rows), groups[permuted_rows])
        except ValueError as error:
            raise ValueError(f"Among the samples {description}: {error}") from error


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of evidence that are objects, from their dictionaries."""
    refits, of_subsets = content["refit_structure"], content.get("subset_structure")
    return {
        "joint_structure": JointStructureTest(**content["joint_structure"]),
        "refit_structure": JointStructureTest(**refits) if isinstance(refits, dict) else None,
        "subset_structure": SubsetStructureTest(**of_subsets) if isinstance(of_subsets, dict) else None,
        "agreement": _typed_lists(Agreement, content["agreement"]),
        "cross": _typed_lists(CrossPrediction, content["cross"]),
        "probes": {
            label: {
                method: {scores: Probe(**fields) for scores, fields in probes.items()}
                for method, probes in methods.items()
            }
            for label, methods in content["probes"].items()
        },
        "stability": _typed_lists(Stability, content["stability"]),
        "findings": [Finding(**fields) for fields in content["findings"]],
    }


def _typed_lists(kind: Any, methods: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    return {method: [kind(**fields) for fields in results] for method, results in methods.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: dict[str, Any]) -> dict[str, Any]:
    return {key: math.nan if item is None else item for key, item in value.items()}
