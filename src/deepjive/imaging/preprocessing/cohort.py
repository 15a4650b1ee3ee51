"""Many subjects, each in a process of its own, so that one that fails, or crashes its library, stops no other."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from deepjive.imaging.bids import Problem
from deepjive.imaging.preprocessing.engines import Engine
from deepjive.imaging.preprocessing.subject import Outcome, PreprocessingSettings, Subject, preprocess_subject

OnProgress = Callable[["Progress"], None]
PRELOADED = ["nilearn.datasets", "scipy.ndimage", "deepjive.imaging.preprocessing.subject"]
BAD_JOBS = "jobs is {given}, but must be at least 1."
TWICE = "it is given more than once; the first is used"
CRASHED = "its process ended with {how}, without a word; it may be that memory was not enough"


class Progress(NamedTuple):
    """What has just happened to a subject.

    Attributes
    ----------
    subject : Subject
        Which.
    step, steps : int
        Steps done, and the number of all.
    words : str
        Name of the step that begins.
    outcome : Outcome or None
        What became of the subject, when it is done.
    """

    subject: Subject
    step: int
    steps: int
    words: str
    outcome: Outcome | None = None


def preprocess_cohort(
    subjects: Sequence[Subject],
    engine: Engine,
    settings: PreprocessingSettings,
    out: str | Path,
    *,
    jobs: int = 1,
    on_progress: OnProgress | None = None,
) -> list[Outcome]:
    """Preprocess subjects side by side.

    Parameters
    ----------
    subjects : sequence of Subject
        Whose scans; of those that are given twice the first is used.
    engine : Engine
        What registers and segments; must be installed.
    settings : PreprocessingSettings
        What else the maps depend on.
    out : path
        The derivative.
    jobs : int
        Processes at a time.
    on_progress : callable, optional
        Called with a `Progress` before each step and after each subject.

    Returns
    -------
    list of Outcome
        In the order of the subjects.

    Raises
    ------
    ValueError, ImportError
        Where nothing can run: no process, or an engine that is not there.
    """
    if jobs < 1:
        raise ValueError(BAD_JOBS.format(given=jobs))
    versions = dict(engine.versions())
    first, twice = _each_once(subjects)
    context = _context()
    waiting = list(reversed(first))
    running: dict[Any, tuple[Subject, Any]] = {}
    outcomes: dict[str, Outcome] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                subject = waiting.pop()
                mine, theirs = context.Pipe(duplex=False)
                arguments = (theirs, subject, engine, settings, str(out), versions)
                process = context.Process(target=_work, args=arguments, daemon=True)
                process.start()
                theirs.close()
                running[mine] = (subject, process)
            for connection in wait(list(running)):
                _listen(connection, running, outcomes, on_progress)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()
    for subject in twice:
        outcomes[subject.name].problems.append(Problem(subject.name, str(subject.t1), TWICE))
    return [outcomes[subject.name] for subject in first]


def _each_once(subjects: Sequence[Subject]) -> tuple[list[Subject], list[Subject]]:
    first: dict[str, Subject] = {}
    twice = []
    for subject in subjects:
        if subject.name in first:
            twice.append(subject)
        first.setdefault(subject.name, subject)
    return list(first.values()), twice


def _context() -> Any:
    """Processes that begin with the libraries imported, where the system has such."""
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        return context
    return multiprocessing.get_context("spawn")


def _listen(
    connection: Any, running: dict[Any, Any], outcomes: dict[str, Outcome], on_progress: OnProgress | None
) -> None:
    """Take what a process has to say; when it says nothing more, it has ended."""
    subject, process = running[connection]
    try:
        said = connection.recv()
    except EOFError:
        process.join()
        crash = Problem(subject.name, str(subject.t1 or subject.pet or ""), CRASHED.format(how=_how(process.exitcode)))
        said = Progress(subject, 0, 0, "", Outcome(subject, problems=[crash]))
    if said.outcome is not None:
        del running[connection]
        connection.close()
        process.join()
        outcomes[subject.name] = said.outcome
    if on_progress is not None:
        on_progress(said)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _work(
    connection: Connection,
    subject: Subject,
    engine: Engine,
    settings: PreprocessingSettings,
    out: str,
    versions: Mapping[str, str],
) -> None:
    """What a process does; an interrupt is left to the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def report(step: int, steps: int, words: str) -> None:
        connection.send(Progress(subject, step, steps, words))

    try:
        outcome = preprocess_subject(subject, engine, settings, out, versions, report)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        outcome = Outcome(subject, problems=[Problem(subject.name, str(subject.t1 or subject.pet or ""), reason)])
    connection.send(Progress(subject, 0, 0, "", outcome))
    connection.close()
