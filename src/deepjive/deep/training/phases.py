"""The phases in turn: each goes on from what the last one left, and what is needed to go on later is kept."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from deepjive.deep.runtime.distributed import is_lost
from deepjive.deep.training.checkpoint import Checkpoint
from deepjive.deep.training.objective import Phase
from deepjive.deep.training.settings import Job
from deepjive.deep.training.state import History, PhaseState
from deepjive.deep.training.training import LOST, OnEpoch, TrainingError, train

INTERRUPTED = (
    "Training was interrupted in epoch {epoch} of the {phase} phase. The model has the weights that were best until "
    "then, and phases that had not begun are at their linear start. {advice}"
)
NO_CHECKPOINT = "To be able to go on from where training was cut off, give fit(X, resume=FOLDER)."


def train_in_turn(
    phases: Sequence[Phase],
    job: Job,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None = None,
    begun: Mapping[str, Any] | None = None,
    saved: Mapping[str, Any] | None = None,
) -> tuple[History, bool]:
    """Train all phases.

    Parameters
    ----------
    phases : sequence of Phase
        Of one network.
    job : Job
        Data and settings.
    on_epoch : callable
        Called with the phase's name, the epoch and its terms.
    checkpoint : Checkpoint or None
        Where the state is kept.
    begun : mapping, optional
        What was settled before training, kept with it.
    saved : mapping, optional
        What the checkpoint gave to go on from.

    Returns
    -------
    history : dict of str to list
        One entry an epoch, of all phases.
    interrupted : bool
        Whether a KeyboardInterrupt ended training; the phases after it were only started.
    """
    history: History = {}
    if saved is not None:
        history, last = saved["history"], saved["phase"]
        phases = list(itertools.dropwhile(lambda phase: phase.name != last, phases))
    interrupted, fabric = False, job.fabric
    for phase in phases:
        earlier = history

        def after_epoch(state: PhaseState, name: str = phase.name, earlier: History = earlier) -> None:
            row = {key: column[-1] for key, column in state.history.items() if key not in ("phase", "epoch")}
            on_epoch(name, state.epoch, row)
            step = len(earlier.get("epoch", [])) + state.epoch
            fabric.log_dict({f"{name}/{key}": value for key, value in row.items()}, step=step)
            if checkpoint is not None:
                kept = {"begun": begun, "history": earlier, "phase": name}
                checkpoint.offer(lambda: {**kept, "training": state.as_dict()})

        try:
            state = train(phase, job, after_epoch, None if saved is None else saved["training"])
        except RuntimeError as error:
            if is_lost(error):
                raise TrainingError(LOST.format(reason=str(error).partition(". ")[0])) from error
            raise
        saved, history = None, _joined(history, state.history)
        if state.interrupted:
            interrupted = True
            job = replace(job, settings=replace(job.settings, max_epochs=0))
            advice = NO_CHECKPOINT if checkpoint is None else checkpoint.last()
            message = INTERRUPTED.format(epoch=state.epoch, phase=phase.name, advice=advice)
            warnings.warn(message, ConvergenceWarning, stacklevel=5)
    return history, interrupted


def _joined(history: History, more: History) -> History:
    """Append a phase; terms that a phase does not have are NaN there."""
    length, added = (len(next(iter(h.values()), [])) for h in (history, more))
    return {
        key: history.get(key, [math.nan] * length) + more.get(key, [math.nan] * added)
        for key in [*history, *(key for key in more if key not in history)]
    }
