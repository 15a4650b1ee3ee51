"""Preprocessing of many participants, each in its own process, so that a failure or crash affects one of them only."""

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

PRELOADED = ["nilearn.datasets", "scipy.ndimage", "deepjive.imaging.preprocessing.subject"]
TWICE = "it is given more than once; the first is used"
CRASHED = "its process ended with {how} and without an error message; the machine may not have enough memory"


class SubjectProgress(NamedTuple):
    """Progress of one subject: the step that begins, or the outcome.

    Several subjects are processed at the same time, so that a count of all steps alone would not say which subject is
    at which step.

    Attributes
    ----------
    subject : Subject
        The subject.
    done, total : int
        Number of the subject's steps that are done, and of all its steps.
    message : str
        Name of the step that begins.
    outcome : Outcome or None
        The outcome, once the subject is finished.
    """

    subject: Subject
    done: int
    total: int
    message: str
    outcome: Outcome | None = None


OnSubject = Callable[[SubjectProgress], None]


def preprocess_cohort(
    subjects: Sequence[Subject],
    engine: Engine,
    settings: PreprocessingSettings,
    out: str | Path,
    *,
    jobs: int = 1,
    on_subject: OnSubject | None = None,
) -> list[Outcome]:
    """Preprocess several subjects at the same time.

    Parameters
    ----------
    subjects : sequence of Subject
        The subjects; of a subject that is given twice, the first is used.
    engine : Engine
        The engine that registers and segments; it must be installed.
    settings : PreprocessingSettings
        Other settings of the maps.
    out : path
        Folder of the BIDS derivative.
    jobs : int, default=1
        Number of subjects that are processed at the same time.
    on_subject : callable, optional
        Called with a `SubjectProgress` before each step and after each subject.

    Returns
    -------
    list of Outcome
        The outcomes, in the order of the subjects.

    Raises
    ------
    ValueError, ImportError
        If `jobs` is less than 1, or if the engine is not installed.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}, but must be at least 1.")
    versions = dict(engine.versions())
    unique, repeated = _unique(subjects)
    context = _context()
    waiting = list(reversed(unique))
    running: dict[Any, tuple[Subject, Any]] = {}
    outcomes: dict[str, Outcome] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                subject = waiting.pop()
                receiver, process = _started(context, subject, engine, settings, str(out), versions)
                running[receiver] = (subject, process)
            for connection in wait(list(running)):
                _receive(connection, running, outcomes, on_subject)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()
    for subject in repeated:
        outcomes[subject.name].problems.append(Problem(subject.name, str(subject.t1), TWICE))
    return [outcomes[subject.name] for subject in unique]


def _started(context: Any, subject: Subject, *settings: Any) -> tuple[Any, Any]:
    """Start the process of a subject; returns the connection on which it reports, and the process."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, subject, *settings), daemon=True)
    process.start()
    sender.close()
    return receiver, process


def _unique(subjects: Sequence[Subject]) -> tuple[list[Subject], list[Subject]]:
    """The first subject of each name, and the others."""
    unique: dict[str, Subject] = {}
    repeated = []
    for subject in subjects:
        if subject.name in unique:
            repeated.append(subject)
        unique.setdefault(subject.name, subject)
    return list(unique.values()), repeated


def _context() -> Any:
    """Context of processes that start with the libraries imported, where the system has a fork server."""
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        return context
    return multiprocessing.get_context("spawn")


def _receive(
    connection: Any, running: dict[Any, Any], outcomes: dict[str, Outcome], on_subject: OnSubject | None
) -> None:
    """Receive the progress of a process; a process that closed the connection without an outcome has crashed."""
    subject, process = running[connection]
    try:
        progress = connection.recv()
    except EOFError:
        process.join()
        reason = CRASHED.format(how=_exit_words(process.exitcode))
        crash = Problem(subject.name, str(subject.t1 or subject.pet or ""), reason)
        progress = SubjectProgress(subject, 0, 0, "", Outcome(subject, problems=[crash]))
    if progress.outcome is not None:
        del running[connection]
        connection.close()
        process.join()
        outcomes[subject.name] = progress.outcome
    if on_subject is not None:
        on_subject(progress)


def _exit_words(code: int | None) -> str:
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
    """Preprocess a subject in this process and report to the parent, which alone handles an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def progress(done: int, total: int | None, message: str) -> None:
        connection.send(SubjectProgress(subject, done, total or 0, message))

    try:
        outcome = preprocess_subject(subject, engine, settings, out, versions, progress=progress)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        outcome = Outcome(subject, problems=[Problem(subject.name, str(subject.t1 or subject.pet or ""), reason)])
    connection.send(SubjectProgress(subject, 0, 0, "", outcome))
    connection.close()
