"""Training of a phase: one loop for all phases, on the devices, precisions and strategies of Lightning Fabric.

A phase starts from a linear solution (`deepjive.deep.geometry.start`). Adam then minimizes its loss on shuffled
batches. After every epoch the moving average of the weights is validated. The learning rate is halved when the
monitored validation error has not fallen for a while, and training stops when halving did not help either. The best
average is kept. A learned orthogonality constraint has its own Adam with its own learning rate.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from deepjive.deep.geometry.start import Start
from deepjive.deep.runtime.distributed import (
    as_in_first,
    buffers_as_in_first,
    is_first,
    number,
    of_first,
    processes,
    summed,
)
from deepjive.deep.runtime.randomness import own_random_numbers
from deepjive.deep.training.averaging import MovingAverage
from deepjive.deep.training.batches import Batch, Batches
from deepjive.deep.training.objective import Phase, Terms
from deepjive.deep.training.optimizers import optimizers_of
from deepjive.deep.training.plateau import Plateau
from deepjive.deep.training.settings import Job, TrainingSettings
from deepjive.deep.training.state import PhaseState
from deepjive.deep.training.steps import make_steps

NOT_FINITE = (
    "The loss became NaN or infinite in epoch {epoch} of the {phase} phase; modality {culprit} was the first to be so. "
    "Lower learning_rate (now {learning_rate:g}) or orthogonality_weight, and look for extreme values in that modality."
)
NOT_CONVERGED = (
    "The {phase} phase was still improving when max_epochs={max_epochs} ended it. "
    "Raise max_epochs, or accept the model as it is."
)

RENEWED_FROM = 512  # samples

AfterEpoch = Callable[[PhaseState], None]


class TrainingError(RuntimeError):
    """Training failed in a way that leaves no usable model."""


def train(
    phase: Phase,
    job: Job,
    after_epoch: AfterEpoch = lambda state: None,
    saved: Mapping[str, Any] | None = None,
) -> PhaseState:
    """Minimize the loss of a phase; its network ends with the weights that were best on the validation samples.

    Parameters
    ----------
    phase : Phase
        The phase; its network is changed in place.
    job : Job
        Data and settings.
    after_epoch : callable, default does nothing
        Called with the state after every epoch.
    saved : mapping or None, default=None
        A state from `PhaseState.as_dict` from which training continues.

    Returns
    -------
    PhaseState
        The state at the end. Its history has one entry for every epoch: phase, epoch, the terms of training and
        validation data, learning rate, seconds.

    Raises
    ------
    TrainingError
        If the loss is no longer finite.
    """
    training = _Training(phase, job, is_new=saved is None)
    if saved is not None:
        training.state.restore(saved)
    training.prepare()
    if saved is None:
        training.judge_the_start()
    try:
        while not training.is_over:
            training.epoch()
            after_epoch(training.state)
    except KeyboardInterrupt:
        if processes() > 1:  # the other processes may be anywhere, and wait for this one
            raise
        training.state.interrupted = True
    return training.end()


class _Training:
    """The training of one phase.

    Parameters
    ----------
    phase : Phase
        The phase.
    job : Job
        Data and settings.
    is_new : bool
        Whether the phase is set to its start; otherwise a saved state is restored next.
    """

    def __init__(self, phase: Phase, job: Job, is_new: bool) -> None:
        self.phase, self.job, settings, fabric = phase, job, job.settings, job.fabric
        self.modules = nn.ModuleList([nn.ModuleList(phase.trained()), nn.ModuleList(phase.auxiliary())])
        self.modules.eval()  # the lists too, whose mode `_switch` asks for
        module, *optimizers = fabric.setup(phase, *optimizers_of(phase, self.modules, settings))
        start = Start()
        if is_new:
            start = phase.start(job.batches.sample(job.train_rows), job.batches.groups(job.train_rows))
            as_in_first(phase.network)
            start = Start.from_dict(of_first(start.as_dict))
        self.steps = make_steps(phase, module, optimizers, fabric, settings, job.batches.whole)
        weights = [weight for piece in self.steps.pieces for weight in piece.weights]
        self.state = PhaseState(
            phase.network,
            self.modules,
            self.steps.pieces,
            MovingAverage(weights, settings.averaging),
            Plateau(_patience(phase, len(job.train_rows), settings), phase.tolerance, phase.margin),
            job.generator,
            fabric.strategy.precision,
            job.batches.device,
        )
        self.state.start = start
        self.renew = _renewal(phase, job)

    @property
    def is_over(self) -> bool:
        """Whether training has ended, by the validation error or by the number of epochs, or cannot pay."""
        return self.state.ended or not self.state.start.pays or self.state.epoch >= self.job.settings.max_epochs

    def prepare(self) -> None:
        """Compute what the phase computes once, from weights that are there by now."""
        self.job = replace(self.job, batches=self.phase.prepared(self.job.batches))

    def judge_the_start(self) -> None:
        """Take the weights before training for the best, and their error where the phase says that it competes."""
        self.renew()
        if self.phase.judges_the_start:
            self.state.plateau.verdict(0, self.phase.error(self._evaluate()))
        self.state.keep_best()
        if not self.state.start.pays and self.job.settings.max_epochs:
            self._record_start()

    def _record_start(self) -> None:
        """Record the errors of a phase that is not trained, as epoch 0."""
        job, size = self.job, self.job.settings.batch_size
        rows = {"train": job.train_rows[: len(job.validation_rows)], "validation": job.validation_rows}
        row: dict[str, Any] = {"phase": self.phase.name, "epoch": 0}
        for name, chosen in rows.items():
            terms = evaluate(self.phase, job.batches, chosen, size)
            row |= {f"{name}_{term}": value for term, value in terms.items()}
        self.state.record(row | {"is_best": True, "learning_rate": 0.0, "seconds": 0.0})

    def epoch(self) -> None:
        """Train on every sample once, validate, and record both."""
        started = time.perf_counter()
        self.state.epoch += 1
        rate = self.state.optimizers[0].optimizer.param_groups[0]["lr"]
        train_terms = self._train()
        validation_terms = self._validate()
        row = {f"train_{name}": value for name, value in train_terms.items()}
        row |= {f"validation_{name}": value for name, value in validation_terms.items()}
        is_best = self.state.plateau.best_epoch == self.state.epoch
        row |= {"is_best": is_best, "learning_rate": rate, "seconds": time.perf_counter() - started}
        self.state.record({"phase": self.phase.name, "epoch": self.state.epoch} | row)

    def end(self) -> PhaseState:
        """Give the network its best weights; warn if training could have gone on."""
        self.modules.eval()
        self.steps.end()
        max_epochs, state = self.job.settings.max_epochs, self.state
        if not state.interrupted and state.epoch and max_epochs and state.plateau.improving(max_epochs) and is_first():
            message = NOT_CONVERGED.format(phase=self.phase.name, max_epochs=max_epochs)
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        self.modules.load_state_dict(state.best)
        return state

    def _train(self) -> dict[str, float]:
        """Take one step on every batch; means of the loss terms."""
        means = _Means()
        self.phase.progress.fill_((self.state.epoch - 1) / self.job.settings.max_epochs)
        for count, (x, present) in enumerate(self._shuffled_batches()):
            if self.phase.renewed_every and count % self.phase.renewed_every == 0:
                self._switch(training=False)
                self.renew()
            self._switch(training=True)
            means.add(self._step(x, present))
        self._switch(training=False)
        return means.of_terms()

    def _switch(self, training: bool) -> None:
        """Put the modules in training or evaluation mode, which takes as long as a step where there are many."""
        if self.modules.training is not training:
            self.modules.train(training)

    def _step(self, x: Sequence[Tensor], present: Tensor | None) -> Terms:
        """One training step: the gradients of the loss, an update of the weights, and of their average."""
        terms = self.steps.gradients(x, present)
        if not torch.isfinite(terms["total"]):
            raise TrainingError(_diagnosis(self.phase, x, self.job.names, self.state.epoch, self.job.settings))
        self.steps.update()
        self.state.average.update()
        return terms

    def _validate(self) -> dict[str, float]:
        """Means of the loss terms for the average weights; then keep them, halve the learning rate, or stop."""
        with self.state.average.applied():
            terms = self._evaluate()
            self.state.error = self.phase.error(terms)
            verdict = self.state.plateau.verdict(self.state.epoch, self.state.error)
            if verdict == "best":
                self.state.keep_best()
        if verdict == "halve":
            self.state.halve_rates()
        self.state.ended = verdict == "stop"
        return terms

    def _shuffled_batches(self) -> Iterator[Batch]:
        rows, batch_size = self.job.train_rows, self.job.settings.batch_size
        order = rows[torch.randperm(len(rows), generator=self.job.generator)]
        return self.job.batches(rows_of_process(order, batch_size), batch_size // processes(), drop_last=True)

    def _evaluate(self) -> dict[str, float]:
        return evaluate(self.phase, self.job.batches, self.job.validation_rows, self.job.settings.batch_size)


@torch.no_grad()
def evaluate(phase: Phase, batches: Batches, rows: Tensor, batch_size: int) -> dict[str, float]:
    """Means of the loss terms over rows, the same in all processes, which share the batches.

    Parameters
    ----------
    phase : Phase
        The phase whose loss is computed.
    batches : Batches
        The data.
    rows : Tensor of int
        Rows to average over.
    batch_size : int
        Approximate number of samples in a batch. Batches are of equal size, so that none is too small to measure
        orthogonality on.
    """
    count = max(1, round(len(rows) / max(batch_size, 1)))
    pieces = rows.split(math.ceil(len(rows) / count))
    own_pieces = pieces[number() :: processes()]
    means = _Means()
    for i, (x, present) in enumerate(batches(torch.cat(own_pieces or pieces[:1]), len(pieces[0]))):
        with own_random_numbers(number() + i * processes(), batches.device):
            means.add(phase(x, present), weight=len(x[0]) if own_pieces else 0.0)
    return means.of_terms()


def rows_of_process(order: Tensor, batch_size: int) -> Tensor:
    """The rows of this process: an equal share of every whole batch.

    Parameters
    ----------
    order : Tensor of int
        Rows of all processes, in the order of the epoch.
    batch_size : int
        Number of samples in a batch of all processes together.
    """
    if processes() == 1:
        return order
    whole = order[: len(order) - len(order) % batch_size].view(-1, processes(), batch_size // processes())
    return whole[:, number()].flatten()


class _Means:
    """Weighted means of named terms, summed on the device, so that training does not wait for their values."""

    def __init__(self) -> None:
        self.sums: Terms = {}
        self.weight = 0.0

    def add(self, terms: Terms, weight: float = 1.0) -> None:
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach() * weight
        self.weight += weight

    def of_terms(self) -> dict[str, float]:
        """The means over all processes."""
        sums = torch.stack(list(self.sums.values()))
        *totals, weight = summed(torch.cat([sums, sums.new_tensor([self.weight])])).tolist()
        return {name: total / weight for name, total in zip(self.sums, totals, strict=True)}


def _renewal(phase: Phase, job: Job) -> Callable[[], None]:
    """A function that renews the phase, from the same samples every time."""
    if not phase.renewed_every:
        return lambda: None
    batches, size = job.batches, job.batches.at_once(RENEWED_FROM)
    sample, held_out = (
        list(batches(batches.first(rows, RENEWED_FROM), size)) for rows in (job.train_rows, job.validation_rows)
    )

    def renew() -> None:
        buffers_as_in_first(phase)
        phase.renew(sample, held_out)

    return renew


def _patience(phase: Phase, n: int, settings: TrainingSettings) -> int:
    """Patience in epochs."""
    steps = max(1, n // settings.batch_size)
    return max(3, math.ceil(phase.patience * settings.patience_steps / steps))


@torch.no_grad()
def _diagnosis(phase: Phase, x: Sequence[Tensor], names: Sequence[str], epoch: int, settings: TrainingSettings) -> str:
    """An error message with the modality whose encoders give no finite scores, or whose data are the most extreme."""
    network = phase.network
    culprit = names[max(range(len(names)), key=lambda k: float(x[k].abs().max()))]
    for k, name in enumerate(names):
        outputs = [network.joint_encoders[k](x[k]), network.individual_encoders[k](x[k])]
        if not all(bool(torch.isfinite(output).all()) for output in outputs):
            culprit = name
            break
    return NOT_FINITE.format(epoch=epoch, phase=phase.name, culprit=repr(culprit), learning_rate=settings.learning_rate)
