"""The phases in turn: each phase continues from the weights that the last phase left, and checkpoints are written."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from deepjive.deep.geometry.start import Start
from deepjive.deep.runtime.distributed import is_lost
from deepjive.deep.training.checkpoint import Checkpoint
from deepjive.deep.training.objective import Phase
from deepjive.deep.training.settings import Job
from deepjive.deep.training.state import History, PhaseState
from deepjive.deep.training.training import TrainingError, train
from deepjive.progress import Progress, silent

INTERRUPTED = (
    "Training was interrupted in epoch {epoch} of the {phase} phase. The model has the weights that were best until "
    "then, and phases that had not begun are at their linear start. {advice}"
)
NO_CHECKPOINT = "To be able to continue interrupted training, call fit(X, resume=FOLDER)."
LOST = (
    "Another process of this training has ended, so that this process cannot continue ({reason}). The last output of "
    "that process says why; a process that was killed had often used up the memory. Start training again."
)


def train_in_turn(
    phases: Sequence[Phase],
    job: Job,
    checkpoint: Checkpoint | None = None,
    begun: Mapping[str, Any] | None = None,
    saved: Mapping[str, Any] | None = None,
    *,
    progress: Progress = silent,
) -> tuple[History, bool, dict[str, Start]]:
    """Train all phases that can pay, and return their history.

    Parameters
    ----------
    phases : sequence of Phase
        The phases of one network.
    job : Job
        Data and settings.
    checkpoint : Checkpoint or None, default=None
        Where the state is saved after epochs.
    begun : mapping or None, default=None
        What was decided before training, saved with the state.
    saved : mapping or None, default=None
        The content of a checkpoint from which training continues.
    progress : callable, default=silent
        ``progress(done, total, message)``, called after every epoch: the epoch, the largest number of epochs of the
        phase, and a message with the validation error.

    Returns
    -------
    history : dict of str to list
        One entry for each epoch of all phases.
    interrupted : bool
        Whether a KeyboardInterrupt ended training. The later phases were then only started.
    starts : dict of str to Start
        What was known of each phase before it was trained.

    Raises
    ------
    TrainingError
        If the loss is no longer finite, or if another process has ended.
    """
    history: History = {}
    if saved is not None:
        history, last = saved["history"], saved["phase"]
        phases = list(itertools.dropwhile(lambda phase: phase.name != last, phases))
    interrupted, starts = False, {}
    if saved is not None:
        starts = {name: Start.from_dict(values) for name, values in saved["starts"].items()}
    for phase in phases:
        if phase.refines and not any(history.get("epoch", [])):
            break  # nothing was trained that could be refined
        report = _reporter(phase, job, history, starts, checkpoint, begun, progress)
        state = _train_or_explain(phase, job, report, None if saved is None else saved["training"])
        history = _joined(history, state.history)
        if saved is None:
            starts[phase.name] = state.start
        saved = None
        if state.interrupted:
            interrupted = True
            job = replace(job, settings=replace(job.settings, max_epochs=0))
            advice = NO_CHECKPOINT if checkpoint is None else checkpoint.last()
            message = INTERRUPTED.format(epoch=state.epoch, phase=phase.name, advice=advice)
            warnings.warn(message, ConvergenceWarning, stacklevel=5)
    return history, interrupted, starts


def _reporter(
    phase: Phase,
    job: Job,
    earlier: History,
    starts: Mapping[str, Start],
    checkpoint: Checkpoint | None,
    begun: Mapping[str, Any] | None,
    progress: Progress,
) -> Callable[[PhaseState], None]:
    """A function to call after every epoch: it shows progress, writes the log, and offers the state to the checkpoint.

    Parameters
    ----------
    phase : Phase
        The phase.
    job : Job
        Data and settings; the Fabric writes the log.
    earlier : dict of str to list
        History of the phases before.
    starts : dict of str to Start
        What was known of these phases before they were trained.
    checkpoint, begun, progress
        As of `train_in_turn`.
    """
    epochs_before = len(earlier.get("epoch", []))

    def report(state: PhaseState) -> None:
        message = f"{phase.name} phase, epoch {state.epoch}, validation error {state.error:.3f}"
        progress(state.epoch, job.settings.max_epochs, message)
        row = {name: column[-1] for name, column in state.history.items() if name not in ("phase", "epoch")}
        terms = {f"{phase.name}/{name}": value for name, value in row.items()}
        job.fabric.log_dict(terms, step=epochs_before + state.epoch)
        if checkpoint is not None:
            known = starts if phase.name in starts else {**starts, phase.name: state.start}
            as_values = {name: start.as_dict() for name, start in known.items()}
            content = {"begun": begun, "history": earlier, "phase": phase.name, "starts": as_values}
            checkpoint.offer(lambda: {**content, "training": state.as_dict()})

    return report


def _train_or_explain(
    phase: Phase, job: Job, report: Callable[[PhaseState], None], saved: Mapping[str, Any] | None
) -> PhaseState:
    """`train`; an error of the communication between processes says that another process has ended."""
    try:
        return train(phase, job, report, saved)
    except RuntimeError as error:
        if is_lost(error):
            raise TrainingError(LOST.format(reason=str(error).partition(". ")[0])) from error
        raise


def _joined(history: History, more: History) -> History:
    """Append the history of a phase; terms that a phase does not have are NaN there."""
    length, added = (len(next(iter(h.values()), [])) for h in (history, more))
    return {
        key: history.get(key, [math.nan] * length) + more.get(key, [math.nan] * added)
        for key in [*history, *(key for key in more if key not in history)]
    }
