"""Evidence and known failures on the command line: measured under a progress bar, printed in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepjive.cli import show

TRAINING_ALONE = "Failures that samples would show were not looked for. {reason}"

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepjive.data.modalities import Modalities
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.results import Finding


def measure(model: Any, data: Modalities, labels: Mapping[str, NDArray]) -> Evidence:
    """Measure the evidence for a run's model: its settings and ranks, on samples held out at random.

    Parameters
    ----------
    model : estimator
        The run's model.
    data : Modalities
        The samples it was fitted to.
    labels : mapping of str to array
        Labels of the samples.

    Returns
    -------
    Evidence
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from deepjive.evaluation.evidence_study import evidence

    words = TextColumn("{task.description}")
    columns = (words, BarColumn(bar_width=16), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("Evidence")
        return evidence(
            model,
            data,
            labels,
            progress=lambda done, total, step: bars.update(task, completed=done, total=total, description=step),
        )


def recognised(model: Any, data: Modalities) -> list[Finding]:
    """Known failures of a model, on the samples given; of training alone where their participants are too few."""
    from rich.console import Console

    from deepjive.data.groups import TooFewOrdersError
    from deepjive.evaluation.diagnostics import diagnose

    console = Console(stderr=True)
    with console.status("Looking for known failures"):
        try:
            return diagnose(model, data)
        except TooFewOrdersError as error:
            console.print(TRAINING_ALONE.format(reason=error), markup=False, highlight=False)
            return list(model.diagnostics())


def print_failures(failures: Sequence[Finding]) -> None:
    """Print known failures, or that there are none."""
    from deepjive.report.words import NOTHING_WRONG, SOMETHING_WRONG

    show.line(SOMETHING_WRONG if failures else NOTHING_WRONG)
    for failure in failures:
        show.line(f"- {failure.name}: {failure.seen} {failure.change}")


def print_evidence(evidence: Evidence) -> None:
    """Print the tables of the evidence with how to read them."""
    from deepjive.report.evidence import tables_of

    for caption, header, rows, sentence in tables_of(evidence):
        show.table(caption, header, rows)
        show.line(sentence + "\n")
    print_failures(evidence.findings)
