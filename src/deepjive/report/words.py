"""Sentences of the report, from the numbers of a decomposition."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.plot.palette import groups_of, percent
from deepjive.plot.samples import MAX_FEATURES, is_colour, kind_of, line
from deepjive.report.figures import PAGE_POINTS
from deepjive.subsets import word_of

if TYPE_CHECKING:
    from deepjive.results import Finding

CONFOUNDS = (
    "Confounds were taken out of every modality before the model saw it: {confounds}. All pictures, scores and "
    "fractions are of the data without them."
)
UNITS = "Units of this page and of the model: {units}."
READ_VARIANCE = (
    "How to read it: each bar is the total variance of one modality. The joint part can be predicted from the scores "
    "that all modalities share. The individual part belongs to this modality alone. The residual is not explained by "
    "the model; usually it is noise."
)
READ_SUBSETS = (
    "How to read it: each row is a part of the variation. The connected dots are the modalities that share it. Each "
    "bar beside them is the share of one modality's variance, in the order of the columns."
)
READ_SCORES = (
    "How to read it: each dot is a sample, placed by its first two {word} scores. Dots close to each other are similar "
    "in what {meaning}."
)
READ_SCATTER = (
    "How to read it: each dot is a sample, and dots close to each other are similar in these two scores. Move the "
    "mouse over a dot to see the name of the sample. Click on it to start the explorer above from this sample. If "
    "colours separate along joint scores, all modalities carry the label, although the model was fitted without labels."
)
READ_STRIP = "How to read it: there is one {word} score. Samples further right have more of what {meaning}."
READ_ROWS = " Each label has a row, with a bar at its median."
READ_HEIGHTS = " The height is the label. If the dots follow a slope, the score is associated with the label."
READ_BINS = " The height is the number of samples."
MEANING = {"joint": "all modalities have in common", "individual": "varies in this modality alone"}
COLORS_ABOVE = " Colours are the same as for the joint scores."
READ_LABELS = " If the colours separate, these scores carry the label, although the model was fitted without labels."
NO_JOINT = "The joint rank is 0: the modalities have no joint variation, so there are no joint scores to show."
NO_INDIVIDUAL = "The individual rank of {name} is 0, so there are no individual scores to show."
READ_IMAGES = (
    "How to read it: each row is one sample. The picture on the left is the sum of the pictures to its right. "
    "To the right of the joint part white means zero, red means positive and blue means negative differences."
)
READ_COLOURS = (
    "How to read it: each row is one sample; the three channels are drawn as red, green and blue. The picture on the "
    "left is the sum of the pictures to its right. To the right of the joint part grey means zero."
)
READ_VOLUMES = (
    " Each volume is shown by its three middle slices: from the side, from behind and from above. This assumes axes "
    "that run from left to right, from back to front and from bottom to top."
)
READ_LINES = (
    "How to read it: each row is one sample. The line on the left is the sum of the lines to its right. Lines "
    "show the difference from the average sample for each feature, all on one scale.{some}"
)
READ_ORDER = " Rows run from the lowest to the highest first joint score."
SOME_FEATURES = f" Only the {MAX_FEATURES} features with the largest variance are drawn."
READ_CURVES = (
    "How to read it: each curve is one term of the training loss. A flat curve has converged. If the validation curve "
    "rises while the training curve falls, the model is overfitting."
)
PHASES = " Dashed lines separate the phases of training: {phases}."
READ_DIAGNOSTIC = (
    "How to read it: each dot is a candidate for a joint direction; the modalities agree more in dots further right. "
    "Dots in the shaded area exceed both bounds. The grey bound is the agreement of random directions; the blue bound "
    "is the agreement of a joint direction perturbed by noise. Orange dots are the joint components. A ring is a "
    "component that is too weak in one modality to count."
)
GIVEN = "The {which} set by the user, not chosen from the data. Other ranks would give other parts."
CHOSEN = (
    "The {which} chosen from the data: the smallest number of scores that predicts held-out samples about as well as "
    "the best number."
)
BY_DIRECTIONS = (
    "The ranks of the joint part and of subsets are those of AJIVE with subsets, which counts directions of samples "
    "that modalities have in common: what they share is linear."
)
JOINT_BY_DIRECTIONS = (
    "The joint rank is that of AJIVE with these subsets, which counts directions of samples that modalities have in "
    "common: what they share is linear. The ranks of subsets were set by the user."
)
BOUNDED = "The {which} chosen from the data: components are joint if the modalities agree more than by chance."
BY_RULE = "The {which} chosen from the data, by the rule in the settings below."
READ_EVIDENCE = "Each number has a baseline beside it. A result that is no better than its baseline is not evidence."
EVIDENCE = (
    "The model and its baselines were fitted again, with the same ranks, to {fitted:,} of the samples. All results "
    "here are of the other {held_out:,} samples."
)
NOTHING_WRONG = "No known failure of such models was found."
SOMETHING_WRONG = "Signs of known failures of such models were found:"
NO_EVIDENCE = (
    "This report contains no test against chance. A model finds some joint variation even if there is none. Before you "
    "rely on this result, fit the model again with the samples of one modality shuffled, which should leave no joint "
    "part, and examine held-out samples. The command `deepjive report {run} --evidence` does both."
)
TO_REFIT = "To fit again with these ranks, run:"
NEGATIVE = (
    "In {name} the {part} part explains less than nothing ({value}): on these samples the prediction is worse with "
    "this part than without it. Do not interpret this part."
)


def enumeration(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    Examples
    --------
    >>> enumeration(["mri"]), enumeration(["mri", "pet"]), enumeration(["mri", "pet", "csf"])
    ('mri', 'mri and pet', 'mri, pet and csf')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def lead(decomposition: Decomposition) -> str:
    """Two sentences on the data and on the decomposition."""
    names = decomposition.data.names
    samples = f"{len(decomposition.data):,} samples were measured in {len(names)} modalities: {enumeration(names)}."
    number, some = ("four", "variation of some modalities, ") if decomposition.subset_scores else ("three", "")
    return (
        f"{samples} This page splits the variation of each modality into {number} parts: joint variation of all "
        f"modalities, {some}individual variation of this modality alone, and a residual."
    )


def refit_command(findings: Sequence[Finding] | None, run: str | None) -> str | None:
    """The command of the fit that findings recommend; None if they recommend no other ranks, or without a run.

    Parameters
    ----------
    findings : sequence of Finding or None
        The findings.
    run : str or None
        Folder of the run as a word of a command line.

    Examples
    --------
    >>> from deepjive.results import Finding
    >>> found = Finding("dead component", "", "", {"joint_rank": 2, "individual_ranks": {"rna": 1}})
    >>> refit_command([found], "runs/a")
    'deepjive fit --config runs/a --joint-rank 2 --individual-rank rna=1 --out runs/a-2'
    """
    settings = next((finding.settings for finding in findings or () if finding.settings), None)
    if settings is None or run is None:
        return None
    options = [f"--joint-rank {settings['joint_rank']}"] if "joint_rank" in settings else []
    ranks = settings.get("individual_ranks", {})
    pairs = [f"{name}={rank}" for name, rank in ranks.items()] if isinstance(ranks, Mapping) else [str(ranks)]
    options += [f"--individual-rank {shlex.quote(pair)}" for pair in pairs]
    return f"deepjive fit --config {run} {' '.join(options)} --out {run}-2"


def subset_sentences(subset_scores: Mapping[Sequence[str], NDArray]) -> list[str]:
    """A sentence for each subset of modalities that has scores."""
    return [
        f"{enumeration(list(subset))} share {scores.shape[1]} {'score' if scores.shape[1] == 1 else 'scores'} that no "
        "other modality has."
        for subset, scores in subset_scores.items()
    ]


def adjustments(decomposition: Decomposition) -> list[str]:
    """Sentences on the units of the page, and on confounds that were taken out."""
    sentences = []
    if decomposition.units:
        sentences.append(UNITS.format(units="; ".join(f"{name} {text}" for name, text in decomposition.units.items())))
    if decomposition.data.confounds is not None:
        sentences.append(CONFOUNDS.format(confounds=decomposition.data.confounds))
    return sentences


def findings(decomposition: Decomposition) -> list[str]:
    """A sentence for each modality, and a warning for each part with negative variance explained."""
    sentences = []
    for name, parts in decomposition.variance_explained.items():
        if not np.isfinite(parts["joint"]):
            sentences.append(f"{name} does not vary among these samples.")
            continue
        subsets = "".join(
            f"{percent(value)} is shared with {enumeration([other for other in subset if other != name])} alone, "
            for subset in decomposition.subset_scores
            if (value := parts.get(word_of(subset))) is not None
        )
        sentences.append(
            f"Of the variation in {name}, {percent(parts['joint'])} is joint, {subsets}"
            f"{percent(parts['individual'])} is individual, and {percent(parts['residual'])} is residual."
        )
        for part in ("joint", "individual"):
            if parts[part] < -0.005:
                sentences.append(NEGATIVE.format(name=name, part=part, value=percent(parts[part])))
    return sentences


def ranks(
    decomposition: Decomposition,
    settings: Mapping[str, object],
    rank_table: Mapping[str, Sequence[object]] | None,
    bounds: bool,
) -> list[str]:
    """The numbers of scores, and how they were chosen."""
    individual = decomposition.individual_scores
    parts = {"joint": decomposition.joint_scores}
    parts |= {word_of(subset): scores for subset, scores in decomposition.subset_scores.items()}
    counts = [f"{_count(scores.shape[1], part)}" for part, scores in parts.items()]
    counts += [f"{_count(scores.shape[1], 'individual')} in {name}" for name, scores in individual.items()]
    numbers = f"The model has {enumeration(counts)}."
    keys = [key for key in ("joint_rank", "individual_ranks") if key in settings]
    if not keys:
        return [numbers]
    by_prediction = bool((rank_table or {}).get("part"))
    chosen = [key for key in keys if settings[key] in ("auto", None)]
    set_by_user = [key for key in keys if key not in chosen]
    sentences = [numbers]
    has_subsets = rank_table is not None and bool(decomposition.subset_scores)
    if has_subsets and "joint_rank" in chosen and not _is_shared_curve(rank_table or {}):
        are_given = isinstance(settings.get("subsets"), Mapping)
        sentences.append(JOINT_BY_DIRECTIONS if are_given else BY_DIRECTIONS)
        chosen.remove("joint_rank")
    if set_by_user:
        sentences.append(GIVEN.format(which=_which(set_by_user)))
    if chosen:
        reason = CHOSEN if by_prediction else BOUNDED if bounds and chosen == ["joint_rank"] else BY_RULE
        sentences.append(reason.format(which=_which(chosen)))
    return sentences


def _is_shared_curve(rank_table: Mapping[str, Sequence[object]]) -> bool:
    """Whether the joint rank, or that of a subset, was chosen by prediction."""
    return any(part == "joint" or str(part).startswith("common to ") for part in rank_table.get("part", ()))


def _count(number: int, part: str) -> str:
    return f"{number} {part} score{'' if number == 1 else 's'}"


def _which(keys: Sequence[str]) -> str:
    names = {"joint_rank": "joint rank", "individual_ranks": "individual ranks"}
    single = list(keys) == ["joint_rank"]
    return f"{enumeration([names[key] for key in keys])} {'was' if single else 'were'}"


def read_scores(word: str, rank: int, labels: NDArray | None, n: int) -> str:
    """How to read a figure of `rank` scores of `n` samples."""
    text = (READ_STRIP if rank == 1 else READ_SCORES).format(word=word, meaning=MEANING[word])
    if rank == 1:
        grouped = labels is not None and groups_of(labels) is not None
        text += READ_BINS if labels is None else READ_ROWS if grouped else READ_HEIGHTS
    elif labels is not None:
        text += READ_LABELS if word == "joint" else COLORS_ABOVE
    more = " The CSV files hold the other scores." if rank > 2 else ""
    fewer = f" A random choice of {PAGE_POINTS:,} of the {n:,} samples is drawn." if n > PAGE_POINTS else ""
    return text + more + fewer


def read_examples(shape: tuple[int, ...], joint_rank: int) -> str:
    """How to read the examples of a modality with samples of this shape, which are ordered by a joint score if any."""
    order = READ_ORDER if joint_rank else ""
    kind = kind_of(shape)
    if kind == "line":
        return READ_LINES.format(some=SOME_FEATURES if line(np.zeros(shape)).size > MAX_FEATURES else "") + order
    if is_colour(shape):
        return READ_COLOURS + order
    return READ_IMAGES + (READ_VOLUMES if kind == "volume" else "") + order


def read_curves(history: Mapping[str, Sequence[object]]) -> str:
    """How to read the training curves."""
    phases = list(dict.fromkeys(str(phase).replace("_", " ") for phase in history.get("phase", [])))
    return READ_CURVES + (PHASES.format(phases=", then ".join(phases)) if len(phases) > 1 else "")
