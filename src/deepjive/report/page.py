"""The report page: one self-contained HTML file that needs no network; without scripts only interaction is lost."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive._version import __version__
from deepjive.decomposition import Decomposition
from deepjive.plot.samples import choose, kind_of
from deepjive.report import words
from deepjive.report.answers import (
    end_tables,
    first_score_label,
    label_answers,
    label_tables,
    odd_samples,
    sample_tables,
)
from deepjive.report.effects import effect_frames, effect_pictures, effect_tables, first_score, set_tables
from deepjive.report.evidence import tables_of
from deepjive.report.explorer import honesty, page_data
from deepjive.report.figures import (
    ajive_diagnostic,
    examples,
    scores_scatter,
    subset_variance,
    training_curves,
    variance_explained,
)
from deepjive.report.intervals import interval_table
from deepjive.report.pieces import Picture, Table, gallery, picture, rendered, write_page
from deepjive.report.places import place_pictures
from deepjive.report.rank_curves import rank_pictures, rank_rows
from deepjive.report.summary import Answer, summary
from deepjive.validation import named_labels

if TYPE_CHECKING:
    import pandas as pd

    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.evaluation.label_association import Kind
    from deepjive.evaluation.sample_quality import PairFit, SampleFit
    from deepjive.results import Finding

EXAMPLES, VOLUMES = 6, 3


def write_report(
    path: str | Path,
    decomposition: Decomposition,
    *,
    title: str,
    settings: Mapping[str, Any],
    history: Mapping[str, Sequence[Any]] | None = None,
    training: Sequence[str] = (),
    labels: ArrayLike | Mapping[str, ArrayLike] | None = None,
    evidence: Evidence | Sequence[Table | Sequence[Any]] | None = None,
    failures: Sequence[Finding] | None = None,
    features: Mapping[str, pd.DataFrame] | None = None,
    sets: Mapping[str, pd.DataFrame] | None = None,
    adjust: Mapping[str, ArrayLike] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    survival: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    sample_fit: SampleFit | None = None,
    pairs: Mapping[str, PairFit] | None = None,
    diagnostics: Mapping[str, Any] | None = None,
    rank_table: Mapping[str, Sequence[Any]] | None = None,
    networks: str | None = None,
    command: str | None = None,
    note: str | None = None,
    opening: Picture | None = None,
    run: str | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> Path:
    """Write a report on a decomposition: one self-contained HTML file.

    Parameters
    ----------
    path : path
        The file; its folder is made if it does not exist.
    decomposition : Decomposition
        The decomposition to show.
    title : str
        Heading of the page.
    settings : mapping of str to value
        Settings of the model.
    history : mapping of str to list, optional
        `history_` of a deep model.
    training : sequence of str, optional
        Sentences on the training of a deep model.
    labels : array, shape (n_samples,), or mapping of str to array, optional
        Labels that colour the scores; a mapping names them.
    evidence : Evidence or sequence of Table, optional
        Results on held-out samples with their baselines.
    failures : sequence of Finding, optional
        Known failures that were found. If `evidence` is an `Evidence`, its failures are shown instead.
    features : mapping of str to DataFrame, optional
        Feature effects by modality, as ``FeatureEffects.to_frame`` gives them. Without them effects are shown without
        p-values.
    sets : mapping of str to DataFrame, optional
        Enrichment of sets of features by modality, as ``SetEnrichment.to_frame`` gives it.
    adjust : mapping of str to array, shape (n_samples,), optional
        Confounds for which the associations of scores and labels are adjusted.
    kinds : mapping of str to {"number", "ordinal", "categories"}, optional
        Kind of some labels; see ``deepjive.evaluation.score_association``.
    survival : mapping of str to (time, event), optional
        Times, and whether the event happened at the time. Needs lifelines.
    sample_fit : SampleFit, optional
        How well the model describes each sample.
    pairs : mapping of str to PairFit, optional
        By modality, how well the modality of each sample fits the others.
    diagnostics : mapping, optional
        How AJIVE chose the joint rank: the arrays "squared_singular_values", "wedin_samples" and "random_samples",
        and "rejected" components if there are any.
    rank_table : mapping of str to list, optional
        `rank_table_` of a DeepJIVE that chose its ranks.
    networks : str, optional
        Description of a deep model's networks.
    command : str, optional
        The command that fitted the model.
    note : str, optional
        A sentence below the results, e.g. on which samples they are.
    opening : Picture, optional
        A picture of the user's own, above the results.
    run : str, optional
        Folder of the run, for the commands that the page recommends.
    calibration : mapping, optional
        `calibration_` of a calibrated model, for the widths of its prediction intervals.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If there is not one label for each sample.
    """
    by_name = named_labels(labels, len(decomposition.data), decomposition.data.samples)
    tables, failures, lead = _evidence(evidence, failures)
    source = decomposition.data
    note = " ".join([*words.adjustments(decomposition), *([note] if note else [])])
    decomposition = decomposition.adjusted
    data = page_data(decomposition, by_name)
    frames = effect_frames(decomposition, features)
    confounds = named_labels(adjust, len(decomposition.data), decomposition.data.samples)
    times = {name: (np.asarray(time), np.asarray(event)) for name, (time, event) in (survival or {}).items()}
    answers = label_answers(decomposition, by_name, confounds, kinds, times)
    further = [
        ("Features", first_score(frames)),
        ("Labels", first_score_label(answers)),
        ("Samples", " ".join(odd_samples(sample_fit, pairs))),
    ]
    refit = words.refit_command(failures, run)
    content = rendered(
        "report.html",
        scripts=("scores.js", "explorer.js"),
        data=data,
        honesty=honesty(data),
        effect_pictures=gallery(effect_pictures(decomposition)),
        place_pictures=gallery(place_pictures(decomposition, source)),
        effect_tables=[*effect_tables(frames, run), *set_tables(sets or {})],
        label_tables=label_tables(answers),
        end_tables=end_tables(decomposition),
        sample_tables=sample_tables(sample_fit, pairs),
        versions=_versions(),
        samples=any(part["rank"] for part in data["parts"]),
        title=title,
        lead=words.lead(decomposition),
        summary=_summary(decomposition, evidence, features, run, refit, further),
        refit=refit,
        findings=words.findings(decomposition),
        facts=_facts(decomposition),
        variance=picture("", variance_explained(decomposition), words.READ_VARIANCE),
        subsets=_subsets(decomposition),
        subset_scores=decomposition.subset_scores,
        examples=gallery(_examples(decomposition)),
        joint_scores=_joint_scores(decomposition, by_name),
        individual_scores=gallery(_individual_scores(decomposition, by_name)),
        evidence=tables,
        evidence_lead=lead,
        intervals=interval_table(decomposition, calibration),
        failures=failures,
        ranks=words.ranks(decomposition, settings, rank_table, diagnostics is not None),
        rank_curves=gallery(rank_pictures(rank_table or {})),
        rank_table=rank_rows(rank_table) if rank_table and rank_table.get("part") else None,
        diagnostic=_diagnostic(decomposition, diagnostics),
        curves=gallery(_curves(history)),
        training=list(training),
        settings={str(key): _shown(value) for key, value in settings.items()},
        networks=networks,
        command=command,
        note=note,
        opening=opening,
        no_evidence=words.NO_EVIDENCE.format(run=run or "RUN"),
        words=words,
    )
    return write_page(path, content)


def _subsets(decomposition: Decomposition) -> Picture | None:
    """What subsets of modalities share; none without such subsets."""
    if not decomposition.subset_scores:
        return None
    return picture("", subset_variance(decomposition), words.READ_SUBSETS)


def _summary(
    decomposition: Decomposition,
    evidence: Evidence | Sequence[Any] | None,
    features: Mapping[str, pd.DataFrame] | None,
    run: str | None,
    refit: str | None,
    further: Sequence[tuple[str, str | None]],
) -> Answer | None:
    """The answer in words; none if the evidence is of another kind, with sentences of its own."""
    from deepjive.evaluation.evidence_study import Evidence

    if evidence is not None and not isinstance(evidence, Evidence):
        return None
    said = [(heading, sentence) for heading, sentence in further if sentence]
    return summary(decomposition, evidence, features, run, refit, said)


def _facts(decomposition: Decomposition) -> list[tuple[str, str, str]]:
    """A number, its meaning, and the part to which it belongs."""
    data, ranks = decomposition.data, decomposition.individual_scores
    facts = [(f"{len(data):,}", "samples", ""), (str(decomposition.joint_scores.shape[1]), "joint components", "joint")]
    return facts + [(str(ranks[name].shape[1]), f"individual in {name}", "individual") for name in data.names]


def _evidence(
    evidence: Evidence | Sequence[Any] | None, failures: Sequence[Finding] | None
) -> tuple[list[Table], Sequence[Finding] | None, str]:
    """Tables, failures, and the sentence above the tables."""
    from deepjive.evaluation.evidence_study import Evidence

    if not isinstance(evidence, Evidence):
        return [Table(*table) for table in evidence or []], failures, words.READ_EVIDENCE
    lead = words.EVIDENCE.format(fitted=evidence.n_fitted, held_out=evidence.n_held_out)
    return [Table(*table) for table in tables_of(evidence)], evidence.findings, f"{lead} {words.READ_EVIDENCE}"


def _examples(decomposition: Decomposition) -> list[Picture]:
    pictures = []
    for name, shape in decomposition.data.shapes.items():
        samples = choose(decomposition, VOLUMES if kind_of(shape) == "volume" else EXAMPLES)
        if len(samples):
            reading = words.read_examples(shape, decomposition.joint_scores.shape[1])
            pictures.append(picture(name, examples(decomposition, name, samples), reading))
    return pictures


def _joint_scores(decomposition: Decomposition, labels: dict[str, NDArray]) -> list[Picture]:
    scores = decomposition.joint_scores
    if scores.shape[1] == 0:
        return [Picture("Joint scores", None, words.NO_JOINT)]
    return [_scores(f"Joint scores{_by(name)}", scores, values, "joint") for name, values in _colourings(labels)]


def _individual_scores(decomposition: Decomposition, labels: dict[str, NDArray]) -> list[Picture]:
    _, values = _colourings(labels)[0]
    pictures = []
    for name, scores in decomposition.individual_scores.items():
        if scores.shape[1] == 0:
            pictures.append(Picture(name, None, words.NO_INDIVIDUAL.format(name=name)))
        else:
            has_legend = decomposition.joint_scores.shape[1] == 0  # otherwise that of the joint scores
            pictures.append(_scores(name, scores, values, "individual", has_legend))
    return pictures


def _scores(heading: str, scores: NDArray, labels: NDArray | None, word: str, legend: bool = True) -> Picture:
    reading = words.read_scores(word, scores.shape[1], labels, len(scores))
    figure = scores_scatter(scores, labels, word, small=word == "individual", legend=legend)
    return picture(heading, figure, reading)


def _colourings(labels: dict[str, NDArray]) -> list[tuple[str, NDArray | None]]:
    return list(labels.items()) or [("", None)]


def _by(label: str) -> str:
    return f", coloured by {label}" if label else ""


def _diagnostic(decomposition: Decomposition, diagnostics: Mapping[str, Any] | None) -> Picture | None:
    if diagnostics is None:
        return None
    figure = ajive_diagnostic(joint_rank=decomposition.joint_scores.shape[1], **diagnostics)
    return picture("The joint rank and its bounds", figure, words.READ_DIAGNOSTIC)


def _curves(history: Mapping[str, Sequence[Any]] | None) -> list[Picture]:
    figures = training_curves(history) if history else {}
    reading = words.read_curves(history) if history else ""
    return [picture(term.replace("_", " "), figure, reading) for term, figure in figures.items()]


def _versions() -> str:
    """Settings and versions with which the page was made."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "torch"))
    return f"deepjive {__version__}, Python {platform.python_version()}, {libraries}"


def _shown(value: Any) -> str:
    """A setting as text: as JSON, or as Python's `repr` if JSON has no such type."""
    return value if isinstance(value, str) else json.dumps(value, default=repr, ensure_ascii=False)
