"""What the report says in words, from the numbers of a decomposition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.report.figures import MAX_POINTS, groups_of, percent
from deepjive.report.samples import MAX_FEATURES, kind_of, line

READ_VARIANCE = (
    "How to read it: each bar is all the variation of one modality. The joint piece can be told from what all "
    "modalities have in common, the individual piece belongs to this modality alone, and the residual is what the "
    "model leaves unexplained, usually noise."
)
READ_SCORES = (
    "How to read it: each dot is a sample, placed by its first two {word} scores; dots close to each other are alike "
    "in what {meaning}."
)
READ_SCATTER = (
    "How to read it: each dot is a sample, and dots close to each other are alike in these two scores. Point at a dot "
    "for its name; choose it, and the explorer above starts from it. If colours separate along joint scores, the label "
    "is something that all modalities tell; the model was never shown it."
)
READ_STRIP = "How to read it: there is one {word} score, and samples further right have more of what {meaning}."
READ_ROWS = " Each label has a row, with a bar at its median."
READ_HEIGHTS = " The label is the height: where dots follow a slope, the score carries the label."
READ_BINS = " The height is the number of samples."
MEANING = {"joint": "all modalities have in common", "individual": "varies in this modality alone"}
COLORS_ABOVE = " Colours are those of the joint scores."
READ_LABELS = " If the colours separate, these scores carry the label; the model was never shown it."
NO_JOINT = "The joint rank is 0: nothing varies together here, so there are no joint scores to show."
NO_INDIVIDUAL = "The individual rank of {name} is 0: nothing varies in it alone, so there are no scores to show."
READ_IMAGES = (
    "How to read it: each row is one sample, and the picture on the left is the sum of the three to its right. In the "
    "two columns on the right white means zero, red more than the columns before it say and blue less."
)
READ_VOLUMES = (
    " Each volume is shown by its three middle slices: seen from the side, from behind and from above (if its axes "
    "run left to right, back to front and bottom to top)."
)
READ_LINES = (
    "How to read it: each row is one sample, and the line on the left is the sum of the three to its right. Lines show "
    "the difference from the average sample, feature by feature, all on one scale.{some}"
)
READ_ORDER = " Rows run from the lowest to the highest first joint score."
SOME_FEATURES = f" Only the {MAX_FEATURES} features that vary most are drawn."
READ_CURVES = (
    "How to read it: each curve is one term of what training makes small. A curve that has become flat has finished; "
    "a validation curve that rises while the training curve falls means that the model has begun to memorise."
)
PHASES = " Dashed lines divide the phases of training: {phases}."
READ_DIAGNOSTIC = (
    "How to read it: each dot is a direction in which the modalities may agree, further right meaning that they agree "
    "more. Dots in the shaded area agree more than chance (grey) and as much as a truly joint direction would after "
    "noise (blue). The orange dots are the components kept as joint; a ring is one too weak in a modality to count."
)
GIVEN = "The {which} given, not found in the data: with other numbers, other parts would be found."
CHOSEN = (
    "The {which} chosen by the data: a further score was allowed as long as it helped to predict samples that were not "
    "seen."
)
BOUNDED = "The {which} chosen by the data: components count as joint where the modalities agree more than chance."
BY_RULE = "The {which} chosen by the data, by the rule that the settings below name."
READ_EVIDENCE = "Each number stands beside its baseline; a result that does not beat its baseline means nothing."
EVIDENCE = (
    "The model and its baselines were fitted again, with the same ranks, to {fitted:,} of the samples, and everything "
    "here was measured on {held_out:,} others."
)
NOTHING_WRONG = "None of the failures that are known of such models was recognised."
SOMETHING_WRONG = "This looks like failures that are known of such models:"
NO_EVIDENCE = (
    "This report holds no test against chance. Any model finds some joint variation in any data, and so before you "
    "build on this result, fit once more with the samples of one modality shuffled, where no joint part should be "
    "left, and look at samples that were not used for fitting; `deepjive report RUN --evidence` does both."
)
NEGATIVE = (
    "In {name} the {part} part explains less than nothing ({value}): on these samples it predicts worse than "
    "leaving it out. Do not interpret it."
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
    """What the page is about, in two sentences."""
    names = decomposition.data.names
    samples = f"{len(decomposition.data):,} samples were measured in {len(names)} modalities: {enumeration(names)}."
    return (
        f"{samples} This page splits each modality into what varies together in all of them (joint), "
        "what varies in that one alone (individual), and what is left over (residual)."
    )


def findings(decomposition: Decomposition) -> list[str]:
    """A sentence for each modality, and a warning for each part that makes things worse."""
    sentences = []
    for name, parts in decomposition.variance_explained.items():
        if not np.isfinite(parts["joint"]):
            sentences.append(f"{name} does not vary among these samples.")
            continue
        sentences.append(
            f"Of the variation in {name}, {percent(parts['joint'])} is joint, "
            f"{percent(parts['individual'])} is its own, and {percent(parts['residual'])} is left over."
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
    """How many scores there are, and why."""
    own = decomposition.individual_scores
    counts = enumeration([f"{scores.shape[1]} in {name} alone" for name, scores in own.items()])
    joint = f"There are {decomposition.joint_scores.shape[1]} joint scores, and {counts}."
    keys = [key for key in ("joint_rank", "individual_ranks") if key in settings]
    if not keys:
        return [joint]
    ladder = set((rank_table or {}).get("ladder", []))
    found = [key for key in keys if settings[key] in ("auto", None)]
    given = [key for key in keys if key not in found]
    sentences = [joint]
    if given:
        sentences.append(GIVEN.format(which=_which(given)))
    if found:
        reason = CHOSEN if ladder else BOUNDED if bounds and found == ["joint_rank"] else BY_RULE
        sentences.append(reason.format(which=_which(found)))
    return sentences


def _which(keys: Sequence[str]) -> str:
    names = {"joint_rank": "joint rank", "individual_ranks": "individual ranks"}
    single = list(keys) == ["joint_rank"]
    return f"{enumeration([names[key] for key in keys])} {'was' if single else 'were'}"


def read_scores(word: str, rank: int, labels: NDArray | None, n: int) -> str:
    """How to read a figure of scores of this rank and of n samples."""
    text = (READ_STRIP if rank == 1 else READ_SCORES).format(word=word, meaning=MEANING[word])
    if rank == 1:
        grouped = labels is not None and groups_of(labels) is not None
        text += READ_BINS if labels is None else READ_ROWS if grouped else READ_HEIGHTS
    elif labels is not None:
        text += READ_LABELS if word == "joint" else COLORS_ABOVE
    more = " Further scores are in the CSV files." if rank > 2 else ""
    fewer = f" {MAX_POINTS:,} of {n:,} samples are drawn, chosen at random." if n > MAX_POINTS else ""
    return text + more + fewer


def read_examples(shape: tuple[int, ...], joint_rank: int) -> str:
    """How to read the examples of a modality whose samples have this shape, in the order of this many joint scores."""
    order = READ_ORDER if joint_rank else ""
    kind = kind_of(shape)
    if kind == "line":
        return READ_LINES.format(some=SOME_FEATURES if line(np.zeros(shape)).size > MAX_FEATURES else "") + order
    return READ_IMAGES + (READ_VOLUMES if kind == "volume" else "") + order


def read_curves(history: Mapping[str, Sequence[object]]) -> str:
    """How to read the training curves."""
    phases = list(dict.fromkeys(str(phase).replace("_", " ") for phase in history.get("phase", [])))
    return READ_CURVES + (PHASES.format(phases=", then ".join(phases)) if len(phases) > 1 else "")
