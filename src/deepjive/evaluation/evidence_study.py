"""Evidence: everything that says how far a decomposition can be believed, in one object.

Some samples are held out, the model and its baselines are fitted to the others with the same ranks, and everything is
measured on the samples held out: what is joint (predicted from the other modalities, with a permutation test and beside
a fit to shuffled samples), what the parts explain, whether the modalities agree, what the individual scores still say
of the joint ones, what labels can be told, what comes back in other fits, and which known failure it looks like.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import check_apart, exchangeable, in_random_order, rows_of
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.evaluation.diagnostics import Finding
from deepjive.evaluation.evidence_steps import EvidenceSettings, Study, varies
from deepjive.evaluation.modality_agreement import Agreement
from deepjive.evaluation.null import JointStructureTest
from deepjive.evaluation.probes import Probe, known
from deepjive.evaluation.refit import with_groups
from deepjive.evaluation.refit_stability import Stability
from deepjive.evaluation.score_prediction import CrossPrediction
from deepjive.validation import named_labels

OnStep = Callable[[int, int, str], None]

FEWEST = 40

TOO_FEW = (
    "Evidence needs at least {needed} samples that have every modality, to fit to some and to measure on others, but "
    "there are {given}."
)
AMONG = "Among the samples {some}: {reason}"
FITTED, HELD_OUT, LABELLED = "that are fitted", "held out", "held out that have a label {label!r}"
NOT_EVIDENCE = "{path} does not hold evidence that this version can read ({reason}). Measure it again."


@dataclass(frozen=True)
class Evidence:
    """What was measured; all on samples held out. Fractions are of variance; methods are named as their classes.

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
    refit_structure : JointStructureTest or None
        The test by refits, if it was asked for.
    predicted : dict of str to dict of str to float
        By method, and for the fit to shuffled samples, the fraction of each modality predicted from the others.
    explained : dict of str to dict of str to dict of str to float
        By method the fractions "joint", "individual" and "residual" of each modality.
    agreement : dict of str to list of Agreement
        By method; empty where joint scores need all modalities.
    cross : dict of str to list of CrossPrediction
        By method.
    probes : dict of str to dict of str to dict of str to Probe
        By label, method and scores ("joint", "individual" and the modality, or "all scores").
    stability : dict of str to list of Stability
        By method.
    findings : list of Finding
        What was recognised as a failure.
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
    stability: dict[str, list[Stability]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def save(self, path: str | Path) -> None:
        """Write as JSON; what is not a number is null."""
        from deepjive.persistence import write_atomically

        content = json.dumps(_without_nan(asdict(self)), indent=1, allow_nan=False)
        write_atomically(Path(path), content.encode())

    @classmethod
    def load(cls, path: str | Path) -> Evidence:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If the file holds something else.
        """
        try:
            found = json.loads(Path(path).read_bytes(), object_hook=_with_nan)
            return cls(**{**found, **_typed(found)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(NOT_EVIDENCE.format(path=path, reason=error)) from error


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
    on_step: OnStep = lambda done, total, words: None,
) -> Evidence:
    """Measure how far a decomposition can be believed.

    Parameters
    ----------
    model : estimator
        A fitted model; its settings and its ranks are used. Ranks that were chosen from all of these samples are
        taken as given.
    data : Modalities, mapping or sequence
        Samples. Those that lack a modality are left out.
    labels : array, shape (n_samples,), or mapping of str to array, optional
        Labels or covariates that no model is shown, to be predicted from the scores.
    held_out : float, or array of int or bool
        Fraction of the samples that are held out, drawn at random, with `groups` of the participants; or which.
    refit : bool
        Whether a copy of the model is fitted to the samples not held out. False if `model` was fitted to just these.
    n_permutations : int
        Permutations of held-out pairs and of labels.
    n_refits : int
        Refits to shuffled samples for the second test of joint structure, for each modality if there are more than two;
        0 leaves it out.
    n_fits : int
        Fits with other seeds, and as many to other samples, for stability; 0 leaves it out.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: whole participants are then held out, drawn, and
        permuted, among those with equally many samples. P-values are exact if participants are exchangeable, however
        alike the samples of one are. Without it, if samples are. By default those of the data.
    random_state : int or None
        Seed of everything drawn here.
    on_step : callable
        Told before each step, and within it after each fit, how many steps are done, how many there are, and what is
        being done.

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        For fewer than 40 complete samples, or labels or groups of another length; for participants with samples on
        both sides, or that can change places in fewer than 120 orders on one side, before anything is fitted.
    """
    data = with_groups(as_modalities(data), groups)
    rows, labelled = _split(data, held_out, random_state), named_labels(labels, len(data))
    if data.groups is not None:
        _check_groups(data.groups, rows, labelled)
    settings = EvidenceSettings(refit, n_permutations, n_refits, n_fits, random_state)
    study = Study(model, data, rows, labelled, settings)
    steps = study.steps()
    found: dict[str, Any] = {}
    for done, (name, (words, measure)) in enumerate(steps.items()):
        study.tell = functools.partial(_tell, on_step, done, len(steps), words)
        on_step(done, len(steps), words)
        found[name] = measure()
    on_step(len(steps), len(steps), "done")
    ranks = {name: int(rank) for name, rank in model.individual_ranks_.items()}
    method, (fitted, held) = found.pop("models"), rows
    return Evidence(method, len(fitted), len(held), int(model.joint_rank_), ranks, **found)


def _tell(on_step: OnStep, done: int, total: int, words: str, fits: int) -> None:
    on_step(done, total, f"{words}: {fits}")


def _split(
    data: Modalities, held_out: float | ArrayLike, random_state: int | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to fit to, and rows held out; only complete samples."""
    whole = data.present.all(axis=1)
    if whole.sum() < FEWEST:
        raise ValueError(TOO_FEW.format(needed=FEWEST, given=int(whole.sum())))
    chosen = np.zeros(len(data), dtype=bool)
    if np.ndim(held_out) == 0:
        who, rng = None if data.groups is None else data.groups[whole], check_random_state(random_state)
        members = in_random_order(int(whole.sum()), who, rng)
        drawn = members[: round(float(held_out) * len(members))]  # type: ignore[arg-type]
        chosen[np.flatnonzero(whole)[rows_of(drawn)]] = True
    else:
        chosen[np.asarray(held_out)] = True
    return np.flatnonzero(whole & ~chosen), np.flatnonzero(whole & chosen)


def _check_groups(
    groups: NDArray, rows: tuple[NDArray[np.intp], NDArray[np.intp]], labels: Mapping[str, NDArray]
) -> None:
    """Tell before hours of fitting, not after, that participants cannot be permuted."""
    fitted, held_out = rows
    check_apart(groups[fitted], groups[held_out])
    permuted = {FITTED: fitted, HELD_OUT: held_out}
    for label, values in labels.items():
        if varies(values[fitted]) and varies(values[held_out]):
            permuted[LABELLED.format(label=label)] = held_out[known(values[held_out])]
    for some, those in permuted.items():
        try:
            exchangeable(len(those), groups[those])
        except ValueError as error:
            raise ValueError(AMONG.format(some=some, reason=error)) from error


def _typed(found: dict[str, Any]) -> dict[str, Any]:
    """The fields of evidence that are objects of their own."""
    refits = found["refit_structure"]
    return {
        "joint_structure": JointStructureTest(**found["joint_structure"]),
        "refit_structure": JointStructureTest(**refits) if isinstance(refits, dict) else None,
        "agreement": _rows(Agreement, found["agreement"]),
        "cross": _rows(CrossPrediction, found["cross"]),
        "probes": {
            label: {method: {name: Probe(**one) for name, one in by.items()} for method, by in methods.items()}
            for label, methods in found["probes"].items()
        },
        "stability": _rows(Stability, found["stability"]),
        "findings": [Finding(**one) for one in found["findings"]],
    }


def _rows(kind: Any, methods: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    return {method: [kind(**row) for row in rows] for method, rows in methods.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: dict[str, Any]) -> dict[str, Any]:
    return {key: math.nan if item is None else item for key, item in value.items()}
