"""Comparison of runs: settings, variance explained, agreement of joint scores, and evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.evaluation.recovery import pairs_of_scores, principal_angles
from deepjive.plot.palette import thinned
from deepjive.report.evidence import decimal, p, percent
from deepjive.report.explorer import label_data, part_data
from deepjive.report.figures import scores_scatter, variance_explained
from deepjive.report.pieces import Table
from deepjive.report.study import Section, write_study
from deepjive.report.words import READ_VARIANCE, enumeration

if TYPE_CHECKING:
    from deepjive.evaluation.evidence_study import Evidence

TITLE = "Comparison of runs"
OPENING = ("method", "files", "confounds", "site", "groups", "level", "transformation", "scale")
RETURNS, SAME_SHARE, TURNED = 0.7, 0.02, " (turned)"
LEAD = (
    "Each run splits the variation of its modalities into joint variation of all modalities, individual variation of "
    "one modality, and a residual. The runs {runs} are compared on their {n:,} common samples.{other}"
)
OTHER_MODALITIES = " They do not have the same modalities: {listed}."
DIFFERENCES = "What differs"
RANKS_DIFFER = "The joint ranks differ: {ranks}."
RANKS_EQUAL = "All runs have the joint rank {rank}."
MATCHES = "Of the joint scores of {first}, {same} {verb} in {second} with a correlation of {limit} or more{rest}."
ROTATED = ", which may be a rotation of the scores (see the agreement of the runs)"
NO_SCORES = "{run} has no joint scores."
SHARES = (
    "The joint part of {name} differs most: it explains {shares}. These are shares of fitted samples; only held-out "
    "samples show which is better."
)
SHARES_EQUAL = "In every modality the joint parts explain the same share to within {points} percentage points."
SETTINGS_DIFFER = "The settings of the fits differ in {settings} (see below)."
SETTINGS_EQUAL = "The fits have the same settings."
REAL = "A permutation test of held-out samples gives p = {p} for the joint structure of {run}."
READ_MATCHES = (
    "How to read it: each row is a joint score of {first}, with the joint score of the other run that matches it best "
    "one to one, and their correlation. The sign of a score is arbitrary, so the figures below show the scores of the "
    "other runs with the signs that match {first}; a turned score is marked."
)
SETTINGS = "Settings that differ between the runs. An empty cell means that the method has no such setting."
READ_SETTINGS = "How to read it: each row is a setting, and each column is a run."
READ_BARS = READ_VARIANCE + " A larger joint part is not better by itself. It must hold for held-out samples."
AGREEMENT = (
    "The joint scores of two runs may carry the same information and still differ by a rotation. Therefore the spaces "
    "spanned by the joint scores are compared."
)
READ_AGREEMENT = (
    "How to read it: the angles between the spaces of two runs. 0 degrees is a direction in both spaces; 90 degrees is "
    "a direction in only one of them. The correlations are those of the best and the worst matching direction. If "
    "the ranks differ, the directions of the smaller space are counted."
)
SCORES = "Each dot is a sample; it has the same colour in every figure."
READ_SCORES = (
    "How to read it: dots close to each other are similar in what all modalities have in common. Score 1 of one run "
    "need not be score 1 of another run. Compare the groups of samples, not their positions."
)
READ_CHOSEN = (
    "How to read it: choose a score of one run for the horizontal axis and a score of another run for the vertical "
    "axis. If both runs agree, the dots lie along a line. Move the mouse over a dot to see its name."
)
EVIDENCE_HEADING = "Evidence for joint variation"
EVIDENCE = "Results on held-out samples, measured with `deepjive report RUN --evidence`."
NO_EVIDENCE = "No run was tested against chance yet. Use `deepjive report RUN --evidence` for that."
READ_EVIDENCE = (
    "How to read it: the share of a modality's variance that is predicted from the other modalities, in held-out "
    "samples. p is the share of random pairings of the samples that reach this value."
)
READ_PROBES = (
    "How to read it: how well each label is predicted from the joint scores by a linear model and by a small network, "
    "beside chance."
)


@dataclass(frozen=True, eq=False)
class Run:
    """The parts of a run that are compared.

    Attributes
    ----------
    name : str
        Name of the run, different from those of the other runs.
    settings : mapping of str to str
        Settings of the fit, and its ranks.
    samples : array of str, shape (n_samples,)
        Names of the samples.
    joint_scores : array, shape (n_samples, joint_rank)
        Joint scores.
    variance_explained : mapping of str to mapping of str to float, default={}
        For each modality the fractions "joint", "individual" and "residual"; empty if they are unknown.
    evidence : Evidence or None, default=None
        Results on held-out samples.
    """

    name: str
    settings: Mapping[str, str]
    samples: NDArray
    joint_scores: NDArray
    variance_explained: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    evidence: Evidence | None = None


def common_samples(runs: Sequence[Run]) -> NDArray:
    """Return the names of the samples that all runs have, in the order of the first run.

    Raises
    ------
    ValueError
        If the runs have no sample in common.
    """
    common = set.intersection(*(set(run.samples) for run in runs))
    if not common:
        raise ValueError(
            f"{enumeration([run.name for run in runs])} have no sample in common. Compare runs of the same samples."
        )
    return np.array([sample for sample in runs[0].samples if sample in common])


def write_comparison(
    path: str | Path, runs: Sequence[Run], labels: Mapping[str, NDArray] | None = None, command: str = ""
) -> Path:
    """Write a comparison of runs as one self-contained page.

    Parameters
    ----------
    path : path
        The file.
    runs : sequence of Run
        Two or more runs.
    labels : mapping of str to array, each of shape (n_common,), optional
        Labels of the samples of `common_samples`.
    command : str, default=""
        The command that makes the page again.

    Returns
    -------
    Path
        The file.
    """
    labels = dict(labels or {})
    samples = common_samples(runs)
    scores = {run.name: run.joint_scores[_rows(run, samples)] for run in runs}
    names = list(scores)
    scores, turned = _with_signs(scores)
    settings = Table("Settings", ["setting", *names], _settings(runs), READ_SETTINGS)
    sections = [
        Section(DIFFERENCES, " ".join(_differences(runs, scores)), _matches(scores, turned)),
        Section("Different settings", SETTINGS, [settings]),
        Section("Variance explained", READ_BARS, [], list(_bars(runs))),
        Section("Agreement of the runs", AGREEMENT, [_agreement(scores)]),
        Section("Joint scores", f"{SCORES} {READ_SCORES}", [], list(_scatters(scores, labels)), READ_CHOSEN),
        _evidence(runs),
    ]
    lead = LEAD.format(runs=enumeration(names), n=len(samples), other=_other_modalities(runs))
    shown = thinned(len(samples))
    data = {
        "samples": [str(sample) for sample in samples[shown]],
        "parts": [part_data("joint", name, f"{name}, joint score", values[shown]) for name, values in scores.items()],
        "labels": [label_data(name, np.asarray(values)[shown]) for name, values in labels.items()],
    }
    return write_study(path, title=TITLE, lead=lead, sections=sections, command=command, data=data)


def _other_modalities(runs: Sequence[Run]) -> str:
    """A sentence on the modalities of the runs, if they are not the same."""
    known = {run.name: list(run.variance_explained) for run in runs if run.variance_explained}
    if len(set(map(frozenset, known.values()))) < 2:
        return ""
    listed = [f"{run} has {enumeration(names)}" for run, names in known.items()]
    return OTHER_MODALITIES.format(listed="; ".join(listed))


def _rows(run: Run, samples: NDArray) -> list[int]:
    row_of = {sample: row for row, sample in enumerate(run.samples)}
    return [row_of[sample] for sample in samples]


def _with_signs(scores: Mapping[str, NDArray]) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Give the scores of all runs the signs of the matched scores of the first run; return the signs too."""
    first = next(iter(scores.values()))
    signs = {name: np.ones(values.shape[1]) for name, values in scores.items()}
    for name, values in scores.items():
        for _, column, correlation in pairs_of_scores(first, values):
            signs[name][column] = -1.0 if correlation < 0 else 1.0
    return {name: values * signs[name] for name, values in scores.items()}, signs


def _differences(runs: Sequence[Run], scores: Mapping[str, NDArray]) -> Iterator[str]:
    """Sentences on what differs between the runs: settings and results."""
    settings = [row[0] for row in _different_settings(runs)]
    yield SETTINGS_DIFFER.format(settings=enumeration(settings)) if settings else SETTINGS_EQUAL
    ranks = {name: values.shape[1] for name, values in scores.items()}
    if len(set(ranks.values())) == 1:
        yield RANKS_EQUAL.format(rank=next(iter(ranks.values())))
    else:
        yield RANKS_DIFFER.format(ranks=enumeration([f"{rank} in {name}" for name, rank in ranks.items()]))
    (first, a), *others = scores.items()
    for name, b in others:
        if not (a.shape[1] and b.shape[1]):
            yield NO_SCORES.format(run=first if b.shape[1] else name)
            continue
        same = [str(i + 1) for i, _, correlation in pairs_of_scores(a, b) if abs(correlation) >= RETURNS]
        others_of_first = a.shape[1] - len(same)
        rest = f"; the other {'does' if others_of_first == 1 else f'{others_of_first} do'} not{ROTATED}"
        rest = rest if others_of_first else ""
        text = f"{'score' if len(same) == 1 else 'scores'} {enumeration(same)}" if same else "none"
        verb = "returns" if len(same) < 2 else "return"
        yield MATCHES.format(first=first, second=name, same=text, verb=verb, limit=RETURNS, rest=rest if same else "")
    yield from _different_shares(runs)
    for run in runs:
        if run.evidence is not None:
            yield REAL.format(p=p(run.evidence.joint_structure.p_value), run=run.name)


def _different_shares(runs: Sequence[Run]) -> Iterator[str]:
    shares = {
        name: {run.name: run.variance_explained[name]["joint"] for run in runs if name in run.variance_explained}
        for name in dict.fromkeys(name for run in runs for name in run.variance_explained)
    }
    spread = {name: max(of.values()) - min(of.values()) for name, of in shares.items() if len(of) > 1}
    spread = {name: value for name, value in spread.items() if np.isfinite(value)}
    if not spread:
        return
    widest = max(spread, key=lambda name: spread[name])
    if spread[widest] < SAME_SHARE:
        yield SHARES_EQUAL.format(points=round(100 * SAME_SHARE))
        return
    texts = [f"{percent(value)} in {run}" for run, value in shares[widest].items()]
    yield SHARES.format(name=widest, shares=enumeration(texts))


def _matches(scores: Mapping[str, NDArray], turned: Mapping[str, NDArray]) -> list[Table]:
    (first, a), *others = scores.items()
    rows = [
        (str(i + 1), name, f"{j + 1}{TURNED if turned[name][j] < 0 else ''}", decimal(abs(correlation)))
        for name, b in others
        if a.shape[1] and b.shape[1]
        for i, j, correlation in pairs_of_scores(a, b)
    ]
    header = (f"score of {first}", "other run", "score", "correlation")
    return [Table("Matched joint scores", header, rows, READ_MATCHES.format(first=first))] if rows else []


def _settings(runs: Sequence[Run]) -> list[list[str]]:
    return _different_settings(runs) or [["nothing", *("" for _ in runs)]]


def _different_settings(runs: Sequence[Run]) -> list[list[str]]:
    """Rows of the settings that are not the same in all runs; the data and their units come first."""
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    keys.sort(key=lambda key: OPENING.index(key) if key in OPENING else len(OPENING))
    rows = [[key, *(run.settings.get(key, "") for run in runs)] for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def _bars(runs: Sequence[Run]) -> Iterator[tuple[str, Figure, str]]:
    for name in dict.fromkeys(name for run in runs for name in run.variance_explained):
        fractions = {run.name: run.variance_explained[name] for run in runs if name in run.variance_explained}
        yield name, variance_explained(fractions), ""


def _agreement(scores: Mapping[str, NDArray]) -> Table:
    header = ("runs", "joint ranks", "smallest angle", "largest angle", "best correlation", "worst correlation")
    rows = []
    for (first, a), (second, b) in combinations(scores.items(), 2):
        angles = principal_angles(a, b)
        ends = (angles.min(), angles.max()) if len(angles) else (np.nan, np.nan)
        cosines = [decimal(float(np.cos(np.radians(angle)))) for angle in ends]
        degrees = [f"{angle:.1f}°" if np.isfinite(angle) else "" for angle in ends]
        rows.append((f"{first} and {second}", f"{a.shape[1]} and {b.shape[1]}", *degrees, *cosines))
    return Table("Agreement of joint scores", header, rows, READ_AGREEMENT)


def _scatters(scores: Mapping[str, NDArray], labels: Mapping[str, NDArray]) -> Iterator[tuple[str, Figure, str]]:
    for label, values in labels.items() or [("", None)]:
        for name, joint_scores in scores.items():
            if joint_scores.shape[1]:
                yield f"{name}, coloured by {label}" if label else name, scores_scatter(joint_scores, values), ""


def _evidence(runs: Sequence[Run]) -> Section:
    tested = {run.name: run.evidence for run in runs if run.evidence is not None}
    if not tested:
        return Section(EVIDENCE_HEADING, NO_EVIDENCE)
    structure = [
        (
            name,
            modality,
            percent(evidence.predicted[evidence.method][modality]),
            p(evidence.joint_structure.p_values[modality]),
        )
        for name, evidence in tested.items()
        for modality in evidence.individual_ranks
    ]
    probes = [
        (name, label, percent(probe.linear), percent(probe.network), percent(probe.chance))
        for name, evidence in tested.items()
        for label, methods in evidence.probes.items()
        if (probe := methods.get(evidence.method, {}).get("joint")) is not None
    ]
    tables = [Table("Joint structure", ("run", "modality", "predicted", "p"), structure, READ_EVIDENCE)]
    if probes:
        header = ("run", "label", "linear", "network", "chance")
        tables.append(Table("Labels predicted from joint scores", header, probes, READ_PROBES))
    return Section(EVIDENCE_HEADING, EVIDENCE, tables)
