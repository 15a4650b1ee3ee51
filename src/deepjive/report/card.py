"""The model card of a run: what was fitted, on which data, the evidence, and the limits of the model.

References
----------
Mitchell et al. 2019, Model cards for model reporting, FAT* 2019.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from deepjive._version import __version__
from deepjive.decomposition import Decomposition
from deepjive.plot.palette import percent
from deepjive.report import words
from deepjive.report.summary import summary

if TYPE_CHECKING:
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.results import Finding

FITTED = "The model was fitted to {summary}."
SIZES = "{name}: {size} features, individual rank {rank}, {joint} joint, {individual} individual, {residual} residual"
USE = (
    "The model describes variation that is joint to the modalities, or individual to one of them, in samples like "
    "those it was fitted to. It computes scores of new samples from the same features in the same units, and predicts "
    "a modality that was not measured from the others."
)
LIMITS = (
    "Scores of samples from other populations, laboratories, scanners or platforms are extrapolations.",
    "A joint part is an association. It is not a cause, and a confound that affects all modalities is joint variation.",
    "Shares of variance are those of the fitted samples; shares of new samples are usually smaller.",
    "The model was not validated for decisions about single persons.",
)
NEEDS_ALL = "Joint scores need all modalities of a sample."
NO_CONFOUNDS = "No confounds were taken out."
NO_FAILURES = "No known failure of such models was found."
UNTESTED = "Known failures were not looked for."
MARKDOWN = re.compile(r"([\\`*\[\]<>#|])")


def model_card(
    model: Any,
    parts: Decomposition,
    *,
    title: str,
    sources: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    evidence: Evidence | None = None,
    failures: Sequence[Finding] | None = None,
    command: str | None = None,
    run: str | None = None,
) -> str:
    """Return the card of a model as Markdown. Text of the user is escaped.

    Parameters
    ----------
    model : estimator
        The fitted model.
    parts : Decomposition
        The decomposition of the fitted samples.
    title : str
        Title of the run.
    sources : mapping of str to str, default=None
        Files of the modalities.
    labels : sequence of str, default=()
        Names of labels that were compared with the scores. The model did not see them.
    evidence : Evidence or None, default=None
        Evidence on held-out samples.
    failures : sequence of Finding or None, default=None
        Known failures that were found; None if they were not looked for. Those of the evidence come first.
    command : str or None, default=None
        The command that fitted the model.
    run : str or None, default=None
        Folder of the run as a word of a command line.

    Returns
    -------
    str
    """
    data = parts.data
    found = evidence.findings if evidence is not None else failures
    confounds = NO_CONFOUNDS if data.confounds is None else words.CONFOUNDS.format(confounds=data.confounds)
    explained = parts.variance_explained
    modalities = [
        SIZES.format(
            name=name,
            size=" x ".join(map(str, shape)),
            rank=parts.individual_scores[name].shape[1],
            **{part: percent(fraction) for part, fraction in explained[name].items()},
        )
        for name, shape in data.shapes.items()
    ]
    answer = summary(parts, evidence, None, run, words.refit_command(found, run))
    limits = [*LIMITS, *([NEEDS_ALL] if getattr(model, "needs_all_modalities", False) else [])]
    settings = [f"{name}: {json.dumps(value, default=repr)}" for name, value in model.get_params(deep=False).items()]
    sections = [
        f"# {_plain(title)}",
        f"{type(model).__name__} of deepjive {__version__}, card written on {date.today().isoformat()}.",
        "## Data",
        _plain(FITTED.format(summary=data.summary())),
        _plain(confounds),
        _listed([f"{name}: {path}" for name, path in (sources or {}).items()]),
        "## Result",
        f"Joint rank {parts.joint_scores.shape[1]}. Shares of the variance of the fitted samples:",
        _listed(modalities),
        f"Labels compared with the scores, which the model did not see: {_plain(', '.join(labels))}." if labels else "",
        "## Evidence",
        _plain(answer.text),
        "".join(f"    {line}\n" for line in answer.commands).rstrip("\n"),
        "## Known failures",
        _listed([f"{one.name}: {one.seen} {one.change}" for one in found]) if found else "",
        "" if found else UNTESTED if found is None else NO_FAILURES,
        "## Intended use",
        USE,
        "## Limits",
        _listed(limits),
        "## Settings",
        _listed(settings),
        f"    {' '.join(command.split())}" if command else "",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _plain(text: str) -> str:
    """Return text in one line that Markdown shows as it is."""
    return MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)
