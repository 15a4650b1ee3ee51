"""Evidence as tables of results and baselines, each with sentences on how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.report.words import enumeration

if TYPE_CHECKING:
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.evaluation.null import JointStructureTest
    from deepjive.evaluation.subset_null import SubsetStructureTest

READ_STRUCTURE = (
    "How to read it: the first number is the share of a modality's variance in {n} held-out samples that {measure}. In "
    "{count} {draws}, which have no joint variation, 95% of the values are below the second number. p is the share of "
    "them that reach the first number. Below 0.05, the result is unlikely to be due to chance.{all}"
)
MEASURES = {
    "prediction from the other modalities": "can be predicted from the other modalities",
    "joint part": "the joint part explains",
}
ALL_OF_THEM = " Joint variation must be present in every modality, so the largest p counts."
READ_SUBSETS = (
    "How to read it: the first number is the share of a modality's variance in {n} held-out samples that the subset's "
    "part adds to what the other modalities predict by all other parts. p is the share of {count} permutations of the "
    "modality's samples in which the two fit as well. Every modality of a subset has to hold what it shares, so the "
    "largest p counts."
)
READ_PREDICTED = (
    "How to read it: the same share for each method with the same ranks; larger is better. In the column {shuffled!r} "
    "{method} was fitted to pairs that do not belong together, where the share should be zero or less."
)
READ_EXPLAINED = (
    "How to read it: shares of the variance in held-out samples. Separate autoencoders have no joint part. Their "
    "residual is about the smallest that is possible with as many scores."
)
READ_AGREEMENT = (
    "How to read it: each joint score is computed from one modality alone and from another. The number is the "
    "correlation of the two. 1 means that both give the same scores; 0 means that the score is not joint."
)
READ_CROSS = (
    "How to read it: a new nonlinear regression predicts the scores of one part from those of another. The number is "
    "the share of variance that it predicts; zero or less means no dependence. Individual scores should predict "
    "neither joint scores nor the individual scores of other modalities. p is the p-value of a test of dependence "
    "for {method}. A small p beside a share of zero or less means that the scores depend on each other too weakly for "
    "one to predict the other."
)
READ_UNTESTED = "A label can be predicted only if both the fitted and the held-out samples have at least two values."
READ_PROBES = (
    "How to read it: {label} was predicted from the scores by a linear model and by a small network, {measure}. Chance "
    "is {chance}. p is the share of shuffled labels that are predicted as well."
)
PROBE_MEASURES = {
    "classification": ("measured by the mean accuracy over the classes", "the result for shuffled labels"),
    "regression": ("measured by the share of variance predicted", "0 or less"),
}
READ_STABILITY = (
    "How to read it: the model was fitted again with other seeds or to other samples, and the scores of held-out "
    "samples were compared. The first number is the mean correlation of matched scores. The second is the mean "
    "canonical correlation, which is not affected by rotations of the scores. Values near 1 mean a stable result."
)


def tables_of(evidence: Evidence) -> list[tuple[str, Sequence[str], list[Sequence[Any]], str]]:
    """Return evidence as tables for `write_report`.

    Parameters
    ----------
    evidence : Evidence
        Results on held-out samples.

    Returns
    -------
    list of (caption, header, rows, sentence)
        The tables that have rows.
    """
    tables = [_structure("Test of joint variation", evidence.joint_structure)]
    if evidence.subset_structure is not None:
        tables.append(_subsets(evidence.subset_structure))
    if evidence.refit_structure is not None:
        tables.append(_structure("Test of joint variation with refits", evidence.refit_structure))
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


def _subsets(test: SubsetStructureTest) -> Any:
    rows = []
    for subset, members in test.of_members.items():
        rows += [(subset, name, percent(test.explained[subset][name]), p(value)) for name, value in members.items()]
        rows.append((subset, "all together", "", p(test.p_values[subset])))
    sentence = READ_SUBSETS.format(n=test.n_samples, count=test.n_permutations)
    return "Test of what subsets of modalities share", ("subset", "modality", "explained", "p"), rows, sentence


def _predicted(evidence: Evidence) -> Any:
    from deepjive.evaluation.evidence_steps import SHUFFLED

    methods = list(evidence.predicted)
    rows = [
        (name, *(percent(evidence.predicted[method][name]) for method in methods)) for name in evidence.individual_ranks
    ]
    header = ("modality", *methods)
    return (
        "Predicted variance and baselines",
        header,
        rows,
        READ_PREDICTED.format(method=evidence.method, shuffled=SHUFFLED),
    )


def _explained(evidence: Evidence) -> Any:
    every = {part for methods in evidence.explained.values() for parts in methods.values() for part in parts}
    subsets = sorted(every - {"joint", "individual", "residual"}, key=lambda part: (-part.count("+"), part))
    parts = ("joint", *subsets, "individual", "residual")
    rows = [
        (f"{name}, {method}", *(percent(explained[name][part]) if part in explained[name] else "" for part in parts))
        for name in evidence.individual_ranks
        for method, explained in evidence.explained.items()
    ]
    return "Variance explained in held-out samples", ("modality, method", *parts), rows, READ_EXPLAINED


def _agreement(evidence: Evidence) -> Any:
    methods = [method for method, rows in evidence.agreement.items() if rows]
    correlations = {method: {_pair(row): row.correlation for row in evidence.agreement[method]} for method in methods}
    pairs = list(dict.fromkeys(pair for method in methods for pair in correlations[method]))
    rows = [(pair, *(decimal(correlations[method].get(pair)) for method in methods)) for pair in pairs]
    return "Agreement of the modalities", ("joint score", *methods), rows, READ_AGREEMENT


def _pair(row: Any) -> str:
    return f"{row.component}, {enumeration([row.first, row.second])}"


def _cross(evidence: Evidence) -> Any:
    methods = list(evidence.cross)
    rows_of = {method: {(row.source, row.target): row for row in evidence.cross[method]} for method in methods}
    rows = [
        (
            f"{source} → {target}",
            *(
                percent(rows_of[method][key].r2) if (key := (source, target)) in rows_of[method] else ""
                for method in methods
            ),
            p(row.p_value),
        )
        for (source, target), row in rows_of[evidence.method].items()
    ]
    sentence = READ_CROSS.format(method=evidence.method)
    return "Dependence between the parts", ("from → to", *methods, "p"), rows, sentence


def _probes(evidence: Evidence) -> Iterator[Any]:
    header = ("scores", "linear", "network", "chance", "p linear", "p network")
    for label, methods in evidence.probes.items():
        rows, task = [], "classification"
        for method, probes in methods.items():
            for name, probe in probes.items():
                task = probe.task
                accuracies = (percent(probe.linear), percent(probe.network), percent(probe.chance))
                rows.append((f"{method}, {name}", *accuracies, p(probe.p_linear), p(probe.p_network)))
        measure, chance = PROBE_MEASURES[task]
        sentence = READ_PROBES.format(label=label, measure=measure, chance=chance)
        yield f"{label} predicted from scores", header, rows, sentence
    if evidence.untested:
        yield "Labels that were not tested", ("label", "reason"), list(evidence.untested.items()), READ_UNTESTED


def _stability(evidence: Evidence) -> Any:
    rows = [
        (f"{row.part}, {method}, other {row.varied}", decimal(_mean(row.matched)), decimal(_mean(row.canonical)))
        for method, comparisons in evidence.stability.items()
        for row in comparisons
    ]
    return "Stability of the scores", ("scores", "matched", "spaces"), rows, READ_STABILITY


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def percent(value: float) -> str:
    """Return a fraction in percent with one decimal; empty for NaN."""
    return f"{100 * value:.1f}%" if np.isfinite(value) else ""


def decimal(value: float | None) -> str:
    """Return a correlation with two decimals; empty for None or NaN."""
    return "" if value is None or not np.isfinite(value) else f"{value:.2f}"


def p(value: float) -> str:
    """Return a p-value with three decimals."""
    return f"{value:.3f}"
