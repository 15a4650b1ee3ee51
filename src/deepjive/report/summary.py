"""The answer in words at the top of the page: is it real, how well is it predicted, does it come back, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepjive.decomposition import Decomposition
from deepjive.evaluation.null import PREDICTION
from deepjive.evaluation.ridge import RIDGE
from deepjive.report.evidence import p, percent
from deepjive.report.words import enumeration

if TYPE_CHECKING:
    import pandas as pd

    from deepjive.evaluation.evidence_study import Evidence

LEVEL, LEAKS, RETURNS, CLEARLY = 0.05, 0.05, 0.7, 0.03

REAL = "There is joint variation: a permutation test of {n} held-out samples gives p = {p}."
NOT_REAL = (
    "A permutation test of {n} held-out samples does not show joint variation (p = {p}). Do not interpret the joint "
    "part."
)
PREDICTED = "From the other modalities the joint part predicts {shares} of the held-out variance{beside}."
EXPLAINED = (
    "In held-out samples the joint part explains {shares}. This model needs all modalities, so none is predicted."
)
BESIDE = "; ridge regression predicts {shares}"
WORSE = "Ridge regression predicts clearly more of {names}: the joint scores miss joint variation there."
STABLE = "All joint scores return in fits to {varied} (mean correlation {value:.2f})."
SOME_RETURN = (
    "In fits to {varied}, joint {scores} {verb} (correlation of {limit} or more). Interpret the other joint scores "
    "only together (canonical correlation {space:.2f})."
)
NONE_RETURNS = (
    "In fits to {varied}, no joint score returns with a correlation of {limit} or more. Interpret the joint scores "
    "only together (canonical correlation {space:.2f})."
)
LEAK = "The {source} scores predict {share} of the variance of the {target} scores, so that they are not independent."
NO_LEAK = "No part predicts 5% or more of the scores of another part."
NO_JOINT = "The joint rank is 0: the model has no joint part."
NOT_TESTED = "Whether the joint variation exceeds chance was not tested on held-out samples."
FEATURES = (
    "In refits, {counts} vary with joint score 1 of samples that the refit did not see (false discovery rate below 5%)."
)
NO_FEATURES = (
    "In refits, no feature of {name} varies with a joint score of samples that the refit did not see (false discovery "
    "rate below 5%)."
)
TO_TEST = "To test it against chance and baselines, run:"
TO_TEST_FEATURES = "To test the features of each score, run:"
TO_LOWER = (
    "With more samples, or with features of other units (--scale, --transformation), joint variation may be found. To "
    "fit the model without a joint part, run:"
)
TO_REFIT = "Some scores or ranks are doubtful (see Reliability below). To fit again with other ranks, run:"
TO_READ = "Next, read the features of the joint scores and their association with labels below."


class Answer(NamedTuple):
    """The answer in words.

    Attributes
    ----------
    sentences : list of str
        What is known of the joint variation.
    further : list of (str, str)
        A heading and sentences each: what features, labels and samples have to do with the scores.
    step : str
        The next step; empty if there is none.
    commands : list of str
        Commands of the next step; empty if it needs none.
    """

    sentences: list[str]
    further: Sequence[tuple[str, str]]
    step: str
    commands: list[str]

    @property
    def text(self) -> str:
        """All sentences in one paragraph."""
        return " ".join([*self.sentences, *(sentence for _, sentence in self.further), self.step]).strip()


def summary(
    decomposition: Decomposition,
    evidence: Evidence | None,
    features: Mapping[str, pd.DataFrame] | None,
    run: str | None,
    refit: str | None = None,
    further: Sequence[tuple[str, str]] = (),
) -> Answer:
    """Return the answer.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    evidence : Evidence or None
        Measurements of held-out samples.
    features : mapping of str to DataFrame or None
        Feature effects by modality.
    run : str or None
        Folder of the run as a word of a command line; None if there is no run.
    refit : str or None, default=None
        The command of the fit that findings recommend.
    further : sequence of (str, str), default=()
        Headings and sentences on features, labels and samples, for joint variation that was not refuted.

    Returns
    -------
    Answer
    """
    tested = {name: frame for name, frame in (features or {}).items() if frame["q_value"].notna().any()}
    folder = run or "RUN"
    if evidence is None and decomposition.joint_scores.shape[1] == 0:
        return Answer([NO_JOINT], further, "", [])
    if evidence is None:
        sentences = [NOT_TESTED, *_of_features(tested)]
        return Answer(sentences, further, TO_TEST, [f"deepjive report {folder} --evidence"])
    sentences = list(_of_evidence(evidence))
    if evidence.joint_rank == 0:
        return Answer(sentences, further, "", [])
    if evidence.joint_structure.p_value > LEVEL:
        to_lower = f"deepjive fit --config {folder} --joint-rank 0 --out {folder}-2"
        return Answer(sentences, [], TO_LOWER, [to_lower])
    if refit is not None:
        return Answer(sentences, further, TO_REFIT, [refit])
    if features and not tested:
        commands = [f"deepjive features {folder}", f"deepjive report {folder}"]
        return Answer(sentences, further, TO_TEST_FEATURES, commands)
    return Answer(sentences, further, TO_READ, [])


def _of_features(tested: Mapping[str, pd.DataFrame]) -> list[str]:
    counts, sentences = [], []
    for name, frame in tested.items():
        joint = frame[frame["part"] == "joint"]
        first = joint.loc[joint["score"] == 1, "q_value"].dropna()
        if len(first) and (joint["q_value"] < LEVEL).any():
            counts.append(f"{int((first < LEVEL).sum())} of {len(first)} features of {name}")
        elif len(first):
            sentences.append(NO_FEATURES.format(name=name))
    return ([FEATURES.format(counts=enumeration(counts))] if counts else []) + sentences


def _of_evidence(evidence: Evidence) -> list[str]:
    test = evidence.joint_structure
    if evidence.joint_rank == 0:
        return [NO_JOINT]
    real = test.p_value <= LEVEL
    sentences = [(REAL if real else NOT_REAL).format(n=test.n_samples, p=p(test.p_value))]
    shares = _shares(test.explained)
    ridge = evidence.predicted.get(RIDGE)
    if test.measure == PREDICTION:
        beside = BESIDE.format(shares=_shares(ridge)) if ridge else ""
        sentences.append(PREDICTED.format(shares=shares, beside=beside))
    else:
        sentences.append(EXPLAINED.format(shares=shares))
    if not real:
        return sentences
    if ridge and test.measure == PREDICTION:
        missed = [name for name, value in ridge.items() if value > test.explained[name] + CLEARLY]
        sentences += [WORSE.format(names=enumeration(missed))] if missed else []
    return sentences + _of_stability(evidence) + _of_leaks(evidence)


def _shares(fractions: Mapping[str, float]) -> str:
    return enumeration([f"{percent(value)} of {name}" for name, value in fractions.items()])


def _of_stability(evidence: Evidence) -> list[str]:
    sentences = []
    for row in evidence.stability.get(evidence.method, []):
        if row.part != "joint" or not len(row.matched):
            continue
        space, varied = float(np.mean(row.canonical)), f"other {row.varied}"
        returning = [str(i) for i, value in enumerate(row.matched, 1) if value >= RETURNS]
        if len(returning) == len(row.matched):
            sentences.append(STABLE.format(varied=varied, value=np.mean(row.matched)))
        elif returning:
            single = len(returning) == 1
            scores = f"score{'' if single else 's'} {enumeration(returning)}"
            verb = "returns" if single else "return"
            sentences.append(SOME_RETURN.format(varied=varied, scores=scores, verb=verb, limit=RETURNS, space=space))
        else:
            sentences.append(NONE_RETURNS.format(varied=varied, limit=RETURNS, space=space))
    return sentences


def _of_leaks(evidence: Evidence) -> list[str]:
    rows = [row for row in evidence.cross.get(evidence.method, []) if np.isfinite(row.r2)]
    if not rows:
        return []
    leaks = sorted((row for row in rows if row.r2 >= LEAKS and row.p_value <= LEVEL), key=lambda row: -row.r2)
    if not leaks:
        return [NO_LEAK]
    return [LEAK.format(source=row.source, share=percent(row.r2), target=row.target) for row in leaks[:1]]
