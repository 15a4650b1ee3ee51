"""Evidence as tables: what was measured, beside its baselines, each with a sentence that says how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.report.words import enumeration

if TYPE_CHECKING:
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.evaluation.null import JointStructureTest

READ_STRUCTURE = (
    "How to read it: the first number is how much of a modality's variation in {n} held-out samples {measure}. In "
    "{count} {draws}, where nothing can be joint, it stays below the second number in 95 of 100 cases. p is how often "
    "they reach the first number; below 0.05, chance is not a good explanation.{all}"
)
MEASURES = {
    "prediction from the other modalities": "can be told from the other modalities alone",
    "joint part": "the joint part explains",
}
ALL_OF_THEM = " What is joint is in every modality, so the largest p counts."
READ_PREDICTED = (
    "How to read it: the same for each method with the same ranks, and for {method} fitted to samples that were "
    "shuffled against each other, where it should be zero or less. A method is better where its number is larger."
)
READ_EXPLAINED = (
    "How to read it: fractions of the variation in held-out samples. Separate autoencoders have no joint part and need "
    "not share anything, so that their residual is about the least that can be reached with as many scores."
)
READ_AGREEMENT = (
    "How to read it: each joint score is computed twice, from one modality alone and from another, and the two are "
    "correlated. 1 means that both say the same of every sample; 0 that the score is not joint."
)
READ_CROSS = (
    "How to read it: a fresh nonlinear regression tries to tell one part's scores from another's; the number is the "
    "fraction of variance it predicts, and zero or less means nothing. Individual scores should say nothing of the "
    "joint ones, nor of another modality's. p belongs to {method}: how often independent scores look as dependent."
)
READ_PROBES = (
    "How to read it: {label} was told from the scores by a linear rule and by a small network, {measure}. Chance is "
    "{chance}. p is how often shuffled labels are told as well."
)
PROBE_MEASURES = {
    "classification": ("as the fraction of samples told right, averaged over the classes", "what shuffled labels give"),
    "regression": ("as the fraction of its variance that is predicted", "0, or less"),
}
READ_STABILITY = (
    "How to read it: the model was fitted again with other seeds, or to other samples, and its scores of the held-out "
    "samples compared. The first number is the mean correlation of scores with their partners, the second that of the "
    "spaces they span, which does not mind if scores are mixed with each other. Near 1, others would find the same."
)


def tables_of(evidence: Evidence) -> list[tuple[str, Sequence[str], list[Sequence[Any]], str]]:
    """Evidence as tables for `write_report`.

    Parameters
    ----------
    evidence : Evidence
        What was measured.

    Returns
    -------
    list of (caption, header, rows, sentence)
        Without tables that would be empty.
    """
    tables = [_structure("Is anything joint?", evidence.joint_structure)]
    if evidence.refit_structure is not None:
        tables.append(_structure("Is anything joint? Fitted again each time", evidence.refit_structure))
    tables += [_predicted(evidence), _explained(evidence), _agreement(evidence), _cross(evidence)]
    tables += [*_probes(evidence), _stability(evidence)]
    return [table for table in tables if table[2]]


def _structure(caption: str, test: JointStructureTest) -> Any:
    draws = "fits to shuffled samples" if test.refits else "random pairings of these samples"
    rows = [
        (name, percent(value), percent(test.chance[name]), p(test.p_values[name]))
        for name, value in test.explained.items()
    ]
    rows.append(("all together", "", "", p(test.p_value)))
    sentence = READ_STRUCTURE.format(
        n=test.n_samples,
        measure=MEASURES[test.measure],
        count=test.n_permutations,
        draws=draws,
        all=ALL_OF_THEM if len(test.explained) > 2 else "",
    )
    return caption, ("modality", "explained", "95% of chance", "p"), rows, sentence


def _predicted(evidence: Evidence) -> Any:
    methods = list(evidence.predicted)
    rows = [(name, *(percent(evidence.predicted[one][name]) for one in methods)) for name in evidence.individual_ranks]
    header = ("modality", *methods)
    return "Explained, beside its baselines", header, rows, READ_PREDICTED.format(method=evidence.method)


def _explained(evidence: Evidence) -> Any:
    parts = ("joint", "individual", "residual")
    rows = [
        (f"{name}, {method}", *(percent(found[name][part]) for part in parts))
        for name in evidence.individual_ranks
        for method, found in evidence.explained.items()
    ]
    return "Variance explained in held-out samples", ("modality, method", *parts), rows, READ_EXPLAINED


def _agreement(evidence: Evidence) -> Any:
    methods = [method for method, rows in evidence.agreement.items() if rows]
    found = {method: {_pair(row): row.correlation for row in evidence.agreement[method]} for method in methods}
    pairs = list(dict.fromkeys(pair for method in methods for pair in found[method]))
    rows = [(pair, *(decimal(found[method].get(pair)) for method in methods)) for pair in pairs]
    return "Do the modalities agree?", ("joint score", *methods), rows, READ_AGREEMENT


def _pair(row: Any) -> str:
    return f"{row.component}, {enumeration([row.first, row.second])}"


def _cross(evidence: Evidence) -> Any:
    methods = list(evidence.cross)
    found = {method: {(row.source, row.target): row for row in evidence.cross[method]} for method in methods}
    own = found[evidence.method]
    rows = [
        (
            f"{source} → {target}",
            *(
                percent(found[method][key].r2) if (key := (source, target)) in found[method] else ""
                for method in methods
            ),
            p(row.p_value),
        )
        for (source, target), row in own.items()
    ]
    sentence = READ_CROSS.format(method=evidence.method)
    return "Do the parts know of each other?", ("from → to", *methods, "p"), rows, sentence


def _probes(evidence: Evidence) -> Iterator[Any]:
    header = ("scores", "linear", "network", "chance", "p linear", "p network")
    for label, methods in evidence.probes.items():
        rows, task = [], "classification"
        for method, found in methods.items():
            for name, one in found.items():
                task = one.task
                figures = (percent(one.linear), percent(one.network), percent(one.chance))
                rows.append((f"{method}, {name}", *figures, p(one.p_linear), p(one.p_network)))
        measure, chance = PROBE_MEASURES[task]
        sentence = READ_PROBES.format(label=label, measure=measure, chance=chance)
        yield f"{label}, told from scores", header, rows, sentence


def _stability(evidence: Evidence) -> Any:
    rows = [
        (f"{row.part}, {method}, other {row.varied}", decimal(_mean(row.matched)), decimal(_mean(row.canonical)))
        for method, found in evidence.stability.items()
        for row in found
    ]
    return "Would others find the same?", ("scores", "matched", "spaces"), rows, READ_STABILITY


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def percent(value: float) -> str:
    """A fraction in percent, with one decimal."""
    return f"{100 * value:.1f}%" if np.isfinite(value) else ""


def decimal(value: float | None) -> str:
    """A correlation."""
    return "" if value is None or not np.isfinite(value) else f"{value:.2f}"


def p(value: float) -> str:
    """A p-value."""
    return f"{value:.3f}"
