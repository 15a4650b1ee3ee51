"""Tables on the meaning of scores and on single samples: labels, samples at both ends, outliers, pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.evaluation.label_association import score_association
from deepjive.evaluation.sample_quality import OUTLYING, sample_names
from deepjive.report.effects import signed
from deepjive.report.pieces import Table

if TYPE_CHECKING:
    from deepjive.evaluation.label_association import Association
    from deepjive.evaluation.sample_quality import PairFit, SampleFit

TOP_SCORES, TOP_SAMPLES, ENDS, MOST_SCORES = 8, 8, 3, 20
SUSPECT = 0.05

READ_LABELS = (
    "How to read it: the {top} scores of each label with the strongest evidence{adjusted}. A correlation is between "
    "-1 and 1, and the correlation ratio of more than two categories is between 0 and 1; 0 is no association. The "
    "interval covers the true value in 95% of samples. q is the false discovery rate among the scores for this label. "
    "The model was fitted without labels."
)
READ_ENDS = "How to read it: the samples with the lowest and the highest values of each joint score, outermost first."
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


def label_tables(
    decomposition: Decomposition, labels: Mapping[str, NDArray], adjust: Mapping[str, NDArray] | None = None
) -> list[Table]:
    """Return the association of labels with scores as a table; none without labels."""
    if not any(scores.shape[1] for scores in _all(decomposition)):
        return []
    rows, untested = [], []
    for label, values in labels.items():
        try:
            associations = score_association(decomposition, {label: values}, adjust=adjust)
        except ValueError as error:  # the label varies within participants; the other labels are still of use
            untested.append(str(error))
            continue
        tested = [row for row in associations.rows if np.isfinite(row.p_value)]
        rows += [
            (label, f"{row.part} {row.score}", _effect(row), _interval(row), _small(row.q_value))
            for row in tested[:TOP_SCORES]
        ]
    if not rows and not untested:
        return []
    adjusted = f", adjusted for {', '.join(adjust)}" if adjust else ""
    reading = " ".join([READ_LABELS.format(top=TOP_SCORES, adjusted=adjusted), *untested])
    header = ("label", "score", "association", "95% interval", "q")
    return [Table("Scores associated with labels", header, rows, reading)]


def end_tables(decomposition: Decomposition) -> list[Table]:
    """Return the samples at both ends of the first joint scores as a table; none without joint scores."""
    scores, names = decomposition.joint_scores[:, :MOST_SCORES], np.array(sample_names(decomposition))
    rows = []
    for k in range(scores.shape[1]):
        order = np.argsort(scores[:, k], kind="stable")
        rows.append((f"joint {k + 1}", ", ".join(names[order[:ENDS]]), ", ".join(names[order[::-1][:ENDS]])))
    table = Table("Samples at both ends of the joint scores", ("score", "lowest", "highest"), rows, READ_ENDS)
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


def _all(decomposition: Decomposition) -> list[NDArray]:
    return [decomposition.joint_scores, *decomposition.individual_scores.values()]


def _small(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _effect(row: Association) -> str:
    return f"{row.effect:.2f}\N{NO-BREAK SPACE}(ratio)" if row.measure == "correlation ratio" else signed(row.effect)


def _interval(row: Association) -> str:
    form = "{:.2f} to {:.2f}" if row.measure == "correlation ratio" else "{:+.2f} to {:+.2f}"
    return form.format(row.lower, row.upper).replace("-", "\N{MINUS SIGN}").replace(" ", "\N{NO-BREAK SPACE}")
