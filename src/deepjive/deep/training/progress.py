"""Progress of training: one bar a phase, with the loss terms beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deepjive.deep.geometry.rank_selection import OnStep
from deepjive.deep.training.training import OnEpoch


@contextmanager
def progress_of(verbose: int, phases: Sequence[str], max_epochs: int) -> Iterator[OnEpoch]:
    """A function to call after every epoch, which moves a progress bar, or does nothing.

    Parameters
    ----------
    verbose : int
        0 for silence.
    phases : sequence of str
        Names of the phases.
    max_epochs : int
        Most epochs in a phase; a phase may end earlier.
    """
    if not verbose:
        yield lambda phase, epoch, row: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=16),
        TextColumn("epoch {task.completed:.0f}"),
        TextColumn("{task.fields[terms]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {phase: bars.add_task(phase, total=max_epochs, terms="", start=False) for phase in phases}

        def on_epoch(phase: str, epoch: int, row: dict[str, float]) -> None:
            bars.start_task(tasks[phase])
            bars.update(tasks[phase], completed=epoch, terms=_in_words(row))

        yield on_epoch


@contextmanager
def steps_of(verbose: int) -> Iterator[OnStep]:
    """A function to call after every number of scores that was tried, which shows a line, or does nothing."""
    if not verbose:
        yield lambda name, rank, r2: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("choosing ranks"):
        yield lambda name, rank, r2: console.print(f"{name}: {rank} predicts {r2:.1%} of held-out variance")


def _in_words(row: dict[str, float]) -> str:
    prefix = "validation_"
    terms = {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)}
    return "  ".join(f"{name} {value:.3f}" for name, value in list(terms.items())[:2] if name != "total")
