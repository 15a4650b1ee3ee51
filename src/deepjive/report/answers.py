"""Tables on the meaning of scores and on single samples: labels, samples at both ends, outliers, pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.evaluation.label_association import extreme_samples, score_association
from deepjive.evaluation.sample_quality import OUTLYING
from deepjive.report.effects import signed
from deepjive.report.pieces import Table
from deepjive.report.words import enumeration

if TYPE_CHECKING:
    from deepjive.evaluation.label_association import Association, Kind
    from deepjive.evaluation.sample_quality import PairFit, SampleFit

TOP_SCORES, TOP_SAMPLES, ENDS, MOST_SCORES = 8, 8, 3, 20
LEVEL, SHOWN = 0.05, 0.001
MISLABELLED, TOLD_APART = 0.25, 0.05  # with few joint scores, many other samples fit well by chance

READ_LABELS = (
    "How to read it: the {top} scores of each label with the strongest evidence{adjusted}. A correlation is between "
    "-1 and 1, and the correlation ratio of more than two categories is between 0 and 1; 0 is no association. The "
    "interval covers the true value in 95% of samples. q is the false discovery rate among the scores for this label. "
    "The last column has the categories with the highest and the lowest mean score. "
    "The model was fitted without labels."
)
FIRST_LABEL = "{among} ({measure} {effect}, 95% interval {interval}, q {q})."
NO_LABEL = "Joint score 1 goes with none of the labels {labels} (false discovery rate above 5%)."
FAR = "{count} samples have a residual more than {limit} robust deviations above the median, most of all {worst}."
FAR_ONE = "One sample has a residual more than {limit} robust deviations above the median: {worst}."
NONE_FAR = "No sample has an unusual residual."
MISFIT = (
    "The {name} of sample {sample} fits the other modalities of this sample less than that of {share} of the other "
    "samples does: it may be mislabelled."
)
HAZARD = "hazard ratio"
READ_HAZARD = "A hazard ratio is that of one standard deviation of the score; 1 is no association."
READ_ENDS = "How to read it: the samples with the lowest and the highest values of each score, outermost first."
READ_SAMPLES = (
    "How to read it: the samples with the largest residuals in each modality. The third column counts robust standard "
    "deviations above the median; more than {limit} is unusual. The other columns are the shares of this sample's "
    "deviation from the mean. The last column is the fraction of fitted samples with scores at least as far from the "
    "mean; 0% means that the sample lies outside the fitted samples."
)
READ_PAIRS = (
    "How to read it: these modalities of a sample fit the other modalities of the same sample least, by the joint "
    "scores that each gives. The third column is the fraction of other samples that would fit better; it is near 0 for "
    "most samples. If it is large, the sample may be mislabelled. The last column is the sample that fits best. "
    "{agreement}"
)
AGREEMENT = "The joint scores of {name} and of the other modalities correlate {mean:.2f} on average."


@dataclass(frozen=True)
class LabelAnswers:
    """What labels have to do with scores.

    Attributes
    ----------
    found : dict of str to list of Association
        By label, the associations that could be tested, strongest first.
    untested : list of str
        Why some labels could not be tested.
    adjusted_for : list of str
        Names of the confounds.
    """

    found: dict[str, list[Association]]
    untested: list[str]
    adjusted_for: list[str]


def label_answers(
    decomposition: Decomposition,
    labels: Mapping[str, NDArray],
    adjust: Mapping[str, NDArray] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    survival: Mapping[str, tuple[NDArray, NDArray]] | None = None,
) -> LabelAnswers:
    """Test the association of every label, and of survival, with every score, as `score_association` does."""
    found, untested = {}, []
    has_scores = any(
        scores.shape[1] for name in decomposition.data.names for scores in decomposition.scores_of(name).values()
    )
    asked: dict[str, dict[str, Any]] = {label: {"labels": {label: values}} for label, values in labels.items()}
    for label, kind in (kinds or {}).items():
        asked[label]["kinds"] = {label: kind}
    asked |= {label: {"survival": {label: pair}} for label, pair in (survival or {}).items()}
    for label, question in asked.items() if has_scores else ():
        try:
            associations = score_association(decomposition, **question, adjust=adjust)
        except ValueError as error:  # the label varies within participants; the other labels are still of use
            untested.append(str(error))
            continue
        if tested := [row for row in associations.rows if np.isfinite(row.p_value)]:
            found[label] = tested
    return LabelAnswers(found, untested, list(adjust or ()))


def label_tables(answers: LabelAnswers) -> list[Table]:
    """Return the association of labels with scores as a table; none without labels."""
    rows = [
        (label, f"{row.part} {row.score}", _effect(row), _interval(row), _small(row.q_value), _ends(row))
        for label, tested in answers.found.items()
        for row in tested[:TOP_SCORES]
    ]
    if not rows and not answers.untested:
        return []
    adjusted = f", adjusted for {', '.join(answers.adjusted_for)}" if answers.adjusted_for else ""
    hazards = [READ_HAZARD] if any(row.measure == HAZARD for tested in answers.found.values() for row in tested) else []
    reading = " ".join([READ_LABELS.format(top=TOP_SCORES, adjusted=adjusted), *hazards, *answers.untested])
    header = ("label", "score", "association", "95% interval", "q", "highest, lowest")
    return [Table("Scores associated with labels", header, rows, reading)]


def first_score_label(answers: LabelAnswers) -> str | None:
    """Return a sentence on the label that joint score 1 goes with; None without labels or joint scores."""
    first = [row for rows in answers.found.values() for row in rows if (row.part, row.score) == ("joint", 1)]
    if not first:
        return None
    names = enumeration([row.label for row in first])
    best = min(first, key=lambda row: (row.p_value, -abs(row.effect)))
    if best.q_value > LEVEL:
        return NO_LABEL.format(labels=names)
    effect, _, kind = _effect(best).partition("\N{NO-BREAK SPACE}(")
    measure, interval = kind.removesuffix(")") or "correlation", _interval(best)
    alone = f"The label {best.label} goes with joint score 1"
    among = f"Of the labels {names}, {best.label} goes most with joint score 1" if len(first) > 1 else alone
    sentence = FIRST_LABEL.format(
        among=among, measure=measure, effect=effect, interval=interval, q=_small(best.q_value)
    )
    if best.highest:
        sentence = f"{sentence} The score is highest for {best.highest} and lowest for {best.lowest}."
    return sentence


def odd_samples(fit: SampleFit | None, pairs: Mapping[str, PairFit] | None) -> list[str]:
    """Return sentences on samples with outlying residuals, and on pairs that do not fit together."""
    sentences = []
    if fit is not None:
        far = [
            (float(value), fit.samples[row], name)
            for column, name in enumerate(fit.modalities)
            for row, value in enumerate(fit.outlyingness[:, column])
            if value > OUTLYING
        ]
        farthest = sorted(far, key=lambda one: -one[0])[:ENDS]
        worst = [f"sample {sample} ({name}, {value:.1f})" for value, sample, name in farthest]
        form = FAR if len(far) > 1 else FAR_ONE
        sentences.append(form.format(count=len(far), limit=OUTLYING, worst=enumeration(worst)) if far else NONE_FAR)
    suspects = [
        (float(pair.others_closer[0]), pair.samples[0], name)
        for name, pair in (pairs or {}).items()
        if pair.others_closer[0] > MISLABELLED and np.quantile(pair.others_closer, 0.95) < TOLD_APART
    ]
    if suspects:
        share, sample, name = max(suspects)
        sentences.append(MISFIT.format(sample=sample, name=name, share=f"{share:.0%}"))
    return sentences


def end_tables(decomposition: Decomposition) -> list[Table]:
    """Return the samples at both ends of the first scores of each part as a table; none without scores."""
    frame = extreme_samples(decomposition, ENDS)
    rows = []
    for (part, score), of_score in frame[frame["score"] <= MOST_SCORES].groupby(["part", "score"], sort=False):
        ends = [", ".join(of_score.loc[of_score["end"] == end, "sample"].astype(str)) for end in ("low", "high")]
        rows.append((f"{part} {score}", *ends))
    table = Table("Samples at both ends of the scores", ("score", "lowest", "highest"), rows, READ_ENDS)
    return [table] if rows else []


def sample_tables(fit: SampleFit | None, pairs: Mapping[str, PairFit] | None) -> list[Table]:
    """Return tables of the samples with the largest residuals, and of the pairs that fit together least."""
    tables = []
    if fit is not None:
        columns = ("sample", "modality", "deviations", "joint", "individual", "residual", "farther")
        reading = READ_SAMPLES.format(limit=OUTLYING)
        tables.append(Table("Samples with the largest residuals", columns, _outliers(fit), reading))
    if pairs:
        rows: list[tuple[str, ...]] = []
        for name, pair in pairs.items():
            most = min(TOP_SAMPLES, len(pair.samples))
            rows += [
                (pair.samples[i], name, f"{pair.others_closer[i]:.1%}", pair.closest[i])
                for i in range(most)
                if pair.others_closer[i] > 0.0
            ]
        agreement = " ".join(
            AGREEMENT.format(name=name, mean=float(pair.agreement.mean())) for name, pair in pairs.items()
        )
        header = ("sample", "modality", "others fit better", "fits best")
        tables.append(Table("Pairs that fit together least", header, rows, READ_PAIRS.format(agreement=agreement)))
    return [table for table in tables if table.rows]


def _outliers(fit: SampleFit) -> list[tuple[str, ...]]:
    rows = []
    for column, name in enumerate(fit.modalities):
        values = np.nan_to_num(fit.outlyingness[:, column], nan=-np.inf)
        for i in np.argsort(-values, kind="stable")[:TOP_SAMPLES]:
            if values[i] > OUTLYING / 2.0:
                shares = (fit.joint, fit.individual, fit.residual, fit.farther)
                texts = (f"{share[i, column]:.0%}" if np.isfinite(share[i, column]) else "" for share in shares)
                rows.append((fit.samples[i], name, f"{values[i]:.1f}", *texts))
    return rows


def _small(value: float) -> str:
    return "< 0.001" if value < SHOWN else f"{value:.3f}"


def _effect(row: Association) -> str:
    kind = {"correlation ratio": "ratio", HAZARD: HAZARD}.get(row.measure)
    return signed(row.effect) if kind is None else f"{row.effect:.2f} ({kind})".replace(" ", "\N{NO-BREAK SPACE}")


def _ends(row: Association) -> str:
    return f"{row.highest}, {row.lowest}" if row.highest else ""


def _interval(row: Association) -> str:
    form = "{:.2f} to {:.2f}" if row.measure in ("correlation ratio", HAZARD) else "{:+.2f} to {:+.2f}"
    return form.format(row.lower, row.upper).replace("-", "\N{MINUS SIGN}").replace(" ", "\N{NO-BREAK SPACE}")
