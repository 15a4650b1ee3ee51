"""Evidence and known failures on the command line: measured with a progress bar, printed as tables and lines."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.cli import show
from deepjive.progress import progress_bar

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from deepjive.data.modalities import Modalities
    from deepjive.decomposition import Decomposition
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.results import Finding


def measure(model: Any, data: Modalities, labels: Mapping[str, NDArray]) -> Evidence:
    """Measure the evidence for a run's model: refits with its settings and ranks, tested on held-out samples.

    Parameters
    ----------
    model : estimator
        The run's model.
    data : Modalities
        The samples that the model was fitted to.
    labels : mapping of str to array, shape (n_samples,)
        Labels of the samples.

    Returns
    -------
    Evidence
    """
    from deepjive.adjust.adjustment import adjusted
    from deepjive.evaluation.evidence_study import evidence
    from deepjive.evaluation.ridge import RIDGE, held_out_rows, ridge_r2

    held_out = held_out_rows(data)
    fitted = np.setdiff1d(np.flatnonzero(data.present.all(axis=1)), held_out)
    with progress_bar() as progress:
        measured = evidence(model, data, labels, held_out=held_out, progress=progress)
        progress(0, None, "Ridge regression")
        units = {"transformation": model.transformation, "scale": model.scale}
        ridge = {RIDGE: ridge_r2(*adjusted(data[fitted], data[held_out], **units))}
    return replace(measured, predicted=measured.predicted | ridge)


def recognised(model: Any, data: Modalities, parts: Decomposition, *, visible: bool = True) -> list[Finding]:
    """Known failures of a model that its training and these samples show.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities
        The samples. With too few participants to permute them, only the training is examined.
    parts : Decomposition
        The decomposition of `data` by `model`.
    visible : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    list of Finding
    """
    from deepjive.data.groups import TooFewOrdersError
    from deepjive.evaluation.diagnostics import diagnose

    with progress_bar(visible) as progress:
        try:
            return diagnose(model, data, parts=parts, progress=progress)
        except TooFewOrdersError as error:
            reason = str(error)
    show.note(f"Only failures of training were looked for, not failures that samples show. {reason}")
    return list(model.diagnostics())


def print_failures(failures: Sequence[Finding], run: Path) -> None:
    """Print known failures of a run and the command that mends them, or that there are none."""
    from deepjive.report.words import NOTHING_WRONG, SOMETHING_WRONG, TO_REFIT, refit_command

    show.line(SOMETHING_WRONG if failures else NOTHING_WRONG)
    for failure in failures:
        show.line(f"- {failure.name}: {failure.seen} {failure.change}")
    if command := refit_command(failures, shlex.quote(str(run))):
        show.line(f"{TO_REFIT}\n{command}")


def print_evidence(evidence: Evidence, run: Path) -> None:
    """Print the tables of the evidence of a run, each with a sentence on how to read it."""
    from deepjive.report.evidence import tables_of

    for caption, header, rows, sentence in tables_of(evidence):
        show.table(caption, header, rows)
        show.line(sentence + "\n")
    print_failures(evidence.findings, run)
