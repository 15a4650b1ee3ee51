"""Progress of functions that take long: one callback for all of them, and a bar with the time left.

A function that may take more than two seconds has a parameter ``progress``, a callable ``progress(done, total,
message)``. Below the command line nothing prints by itself.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Progress = Callable[[int, int | None, str], None]


def silent(done: int, total: int | None, message: str) -> None:
    """Show nothing: the default of every ``progress`` parameter.

    Parameters
    ----------
    done : int
        Number of steps that are complete.
    total : int or None
        Number of all steps; None where it is not known.
    message : str
        What is being computed, with its latest result.
    """


@contextmanager
def progress_bar(visible: bool = True) -> Iterator[Progress]:
    """A progress bar on stderr, with the time left.

    If stderr is not a terminal, or belongs to a cell of a notebook, only the last report is written, as one line, and
    only if the number of steps is known.

    Parameters
    ----------
    visible : bool, default=True
        False gives a callback that shows nothing.

    Yields
    ------
    callable
        ``progress(done, total, message)``.
    """
    if not visible:
        yield silent
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not _redraws(console):
        last = ""

        def remember(done: int, total: int | None, message: str) -> None:
            nonlocal last
            last = "" if total is None else f"{message}: {done} of {total}"

        yield remember
        if last:
            console.print(last, markup=False)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)

        def progress(done: int, total: int | None, message: str) -> None:
            bars.update(task, completed=done, total=total, description=message)

        yield progress


def _redraws(console: Any) -> bool:
    """Whether a bar can be drawn again in its place; a notebook gives its commands a terminal that cannot do this."""
    return console.is_interactive and console.file.isatty() and "JPY_PARENT_PID" not in os.environ


@dataclass
class Counter:
    """Counts steps and reports each of them.

    Parameters
    ----------
    progress : callable
        The callback.
    done : int
        Number of steps that are complete.
    total : int
        Number of all steps.
    message : str
        What is being computed.
    """

    progress: Progress
    done: int
    total: int
    message: str

    def __call__(self) -> None:
        """Report one more step."""
        self.done += 1
        self.progress(self.done, self.total, self.message)


def within_step(progress: Progress, done: int, total: int | None, message: str) -> Progress:
    """Return a callback that reports a step's own progress as part of the progress of several steps.

    Parameters
    ----------
    progress : callable
        The callback of the whole.
    done : int
        Number of steps that were complete before this step.
    total : int or None
        Number of all steps; None where it is not known.
    message : str
        Name of the step. The step's own message and count follow it.

    Returns
    -------
    callable
        ``progress(done, total, message)`` for the step.

    Examples
    --------
    >>> within_step(lambda *report: print(report), 2, 7, "Fitting again")(3, 5, "other seeds")
    (2, 7, 'Fitting again: other seeds, 3 of 5')
    """

    def step_progress(step_done: int, step_total: int | None, step_message: str) -> None:
        count = f"{step_done}" if step_total is None else f"{step_done} of {step_total}"
        progress(done, total, f"{message}: {step_message}, {count}")

    return step_progress


def expected_total(changes: Sequence[float], goal: float, most: int) -> int:
    """Number of iterations after which a change that falls by a constant factor reaches a goal.

    Parameters
    ----------
    changes : sequence of float
        The changes of all iterations until now.
    goal : float
        The change at which the iterations end.
    most : int
        Largest number of iterations.

    Returns
    -------
    int
        `most` if the change does not fall.

    Examples
    --------
    >>> expected_total([1.0, 0.1], 1e-3, 500)
    4
    """
    done = len(changes)
    if changes[-1] <= goal:
        return done
    before = changes[max(done - 4, 0)]
    steps = done - 1 - max(done - 4, 0)
    if goal <= 0.0 or not steps or changes[-1] >= before:
        return most
    factor = (changes[-1] / before) ** (1.0 / steps)
    return min(done + math.ceil(round(math.log(goal / changes[-1]) / math.log(factor), 6)), most)
