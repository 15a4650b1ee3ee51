"""Training: one loop for every phase, on Lightning Fabric's devices, precisions and strategies.

A phase starts from a linear solution (`deepjive.deep.geometry.start`). Adam on shuffled batches; a moving average of the
weights is what is validated; the learning rate is halved when the monitored validation error has not fallen for a while, and
training stops when that did not help either; the best average is kept. A regression network has its own Adam with its
own learning rate.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from deepjive.deep.constraints.identity import Merged
from deepjive.deep.networks import Decoder, Encoder
from deepjive.deep.runtime.distributed import as_in_first, buffers_as_in_first, is_first, number, processes, summed
from deepjive.deep.runtime.randomness import own_random_numbers
from deepjive.deep.training.averaging import MovingAverage
from deepjive.deep.training.batches import Batches
from deepjive.deep.training.objective import Phase, Terms
from deepjive.deep.training.plateau import Plateau
from deepjive.deep.training.settings import Job, TrainingSettings
from deepjive.deep.training.state import PhaseState
from deepjive.deep.training.steps import make_steps

NOT_FINITE = (
    "The loss became NaN or infinite in epoch {epoch} of the {phase} phase; modality {culprit} was the first to be so. "
    "Lower learning_rate (now {learning_rate:g}) or orthogonality_weight, and look for extreme values in that modality."
)
LOST = (
    "Another process of this training has ended, so that this one cannot go on ({reason}). What that process printed "
    "last says why; a process that was killed often had used up the memory."
)
NOT_CONVERGED = (
    "The {phase} phase was still improving when max_epochs={max_epochs} ended it. "
    "Raise max_epochs, or accept the model as it is."
)

MANY_INPUTS = 1000
RENEWED_FROM = 512  # samples

OnEpoch = Callable[[str, int, dict[str, float]], None]
AfterEpoch = Callable[[PhaseState], None]


class TrainingError(RuntimeError):
    """Training went wrong in a way that leaves no usable model."""


def train(
    phase: Phase,
    job: Job,
    after_epoch: AfterEpoch = lambda state: None,
    saved: Mapping[str, Any] | None = None,
) -> PhaseState:
    """Minimize a phase's loss; its network ends with the weights that were best on the validation rows.

    Parameters
    ----------
    phase : Phase
        What is minimized; its network is changed in place.
    job : Job
        Data and settings.
    after_epoch : callable
        Called with the state after every epoch.
    saved : mapping, optional
        A state to go on from, as given by `PhaseState.as_dict`.

    Returns
    -------
    PhaseState
        As it ended; its history has one list entry an epoch: phase, epoch, the terms of training and validation data,
        learning rate, seconds.

    Raises
    ------
    TrainingError
        If the loss is no longer finite.
    """
    batches, settings, train_rows = job.batches, job.settings, job.train_rows
    modules = nn.ModuleList([nn.ModuleList(phase.trained()), nn.ModuleList(phase.auxiliary())])
    module, optimizers = _set_up(phase, modules, job.fabric, settings)
    if saved is None:
        phase.start(batches.sample(train_rows), batches.sample(job.validation_rows))
        as_in_first(phase.network)
    average = MovingAverage(modules, settings.averaging)
    plateau = Plateau(_patience(phase, len(train_rows), settings), margin=phase.margin)
    precision, inner = job.fabric.strategy.precision, [optimizer.optimizer for optimizer in optimizers]
    state = PhaseState(phase.network, modules, inner, average, plateau, job.generator, precision, batches.device)
    renew = _renewal(phase, job)
    steps = make_steps(phase, module, optimizers, job.fabric, settings, batches.whole)
    if saved is None:
        renew()
        if phase.judges_the_start:
            plateau.verdict(0, phase.error(evaluate(phase, batches, job.validation_rows, settings.batch_size)))
        state.keep_best()
    else:
        state.restore(saved)
    try:
        while state.epoch < settings.max_epochs and not state.ended:
            state.epoch += 1
            started, rate = time.perf_counter(), inner[0].param_groups[0]["lr"]
            phase.progress.fill_((state.epoch - 1) / settings.max_epochs)
            order = train_rows[torch.randperm(len(train_rows), generator=job.generator)]
            means = _Means()
            share = settings.batch_size // processes()
            modules.train()
            for step, (x, present) in enumerate(batches(_own_rows(order, settings.batch_size), share, drop_last=True)):
                if phase.renewed_every and step % phase.renewed_every == 0:
                    modules.eval()
                    renew()
                    modules.train()
                terms = steps.gradients(x, present)
                if not torch.isfinite(terms["total"]):
                    raise TrainingError(_diagnosis(phase, x, job.names, state.epoch, settings))
                steps.update()
                average.update()
                means.add(terms)
            modules.eval()
            with average.applied():
                validation = evaluate(phase, batches, job.validation_rows, settings.batch_size)
                verdict = plateau.verdict(state.epoch, phase.error(validation))
                if verdict == "best":
                    state.keep_best()
            if verdict == "halve":
                state.halve_rates()
            state.ended = verdict == "stop"
            row = {f"train_{key}": value for key, value in means.of_terms().items()}
            row |= {f"validation_{key}": value for key, value in validation.items()}
            row |= {"learning_rate": rate, "seconds": time.perf_counter() - started}
            state.record({"phase": phase.name, "epoch": state.epoch} | row)
            after_epoch(state)
    except KeyboardInterrupt:
        if processes() > 1:  # the others may be anywhere, and wait for this one
            raise
        modules.eval()
        state.interrupted = True
    steps.end()
    if not state.interrupted and plateau.improving(settings.max_epochs) and settings.max_epochs and is_first():
        message = NOT_CONVERGED.format(phase=phase.name, max_epochs=settings.max_epochs)
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    modules.load_state_dict(state.best)
    return state


@torch.no_grad()
def evaluate(phase: Phase, batches: Batches, rows: Tensor, batch_size: int) -> dict[str, float]:
    """Mean loss terms over rows, in equal batches so that none is too small to measure orthogonality on.

    Several processes share the batches; all get the same means.
    """
    count = max(1, round(len(rows) / max(batch_size, 1)))
    pieces = rows.split(math.ceil(len(rows) / count))
    own = pieces[number() :: processes()]
    means = _Means()
    for i, (x, present) in enumerate(batches(torch.cat(own or pieces[:1]), len(pieces[0]))):
        with own_random_numbers(number() + i * processes(), batches.device):
            means.add(phase(x, present), weight=len(x[0]) if own else 0.0)
    return means.of_terms()


def _renewal(phase: Phase, job: Job) -> Callable[[], None]:
    """What renews a phase, from the same samples every time."""
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


class _Means:
    """Weighted means of named terms, kept on the device until they are asked for."""

    def __init__(self) -> None:
        self.sums: Terms = {}
        self.weight = 0.0

    def add(self, terms: Terms, weight: float = 1.0) -> None:
        for key, value in terms.items():
            self.sums[key] = self.sums.get(key, 0.0) + value.detach() * weight
        self.weight += weight

    def of_terms(self) -> dict[str, float]:
        """The means over all processes."""
        sums = torch.stack(list(self.sums.values()))
        *totals, weight = summed(torch.cat([sums, sums.new_tensor([self.weight])])).tolist()
        return {key: value / weight for key, value in zip(self.sums, totals, strict=True)}


def _own_rows(order: Tensor, batch_size: int) -> Tensor:
    """The share that one process, the one that asks, has of every whole batch."""
    if processes() == 1:
        return order
    whole = order[: len(order) - len(order) % batch_size].view(-1, processes(), batch_size // processes())
    return whole[:, number()].flatten()


def _patience(phase: Phase, n: int, settings: TrainingSettings) -> int:
    """Patience in epochs."""
    steps = max(1, n // settings.batch_size)
    return max(3, math.ceil(phase.patience * settings.patience_steps / steps))


def _set_up(phase: Phase, modules: nn.ModuleList, fabric: Any, settings: TrainingSettings) -> tuple[Any, list[Any]]:
    """Hand the phase and its optimizers to Fabric; what the phase does not train is frozen and in evaluation mode."""
    phase.eval()
    phase.requires_grad_(False)
    optimizers = []
    fused = not settings.half_precision
    frozen = {id(weight) for name, weight in phase.network.named_parameters() if name in phase.network.frozen}
    for group, rate in zip(modules, (1.0, settings.regression_rate), strict=True):
        parameters = [weight.requires_grad_(True) for weight in group.parameters() if id(weight) not in frozen]
        if parameters:
            rate *= settings.learning_rate
            optimizers.append(torch.optim.AdamW(_groups(group, settings.weight_decay, rate), rate, fused=fused))
    module, *wrapped = fabric.setup(phase, *optimizers)
    return module, wrapped


def _groups(modules: nn.Module, weight_decay: float, rate: float) -> list[dict[str, Any]]:
    """Parameter groups: only nonlinear corrections decay, and linear maps of very many inputs take smaller steps.

    Decay then pulls a network to its linear part. Adam moves every weight by about its rate, whatever the gradient, so
    that an output of n inputs moves in proportion to n: at a rate that suits a table, a linear map of a volume's voxels
    would jump past everything it could learn.
    """
    corrected = [module for module in modules.modules() if isinstance(module, (Encoder, Decoder, Merged))]
    linear = {id(weight) for module in corrected for weight in module.linear.parameters()}
    maps = [module for module in modules.modules() if isinstance(module, nn.Linear)]
    steps = {id(one.weight): min(1.0, MANY_INPUTS / max(1, one.in_features)) for one in maps}
    groups: dict[tuple[bool, float], list[Tensor]] = {}
    for weight in (weight for weight in modules.parameters() if weight.requires_grad):
        groups.setdefault((id(weight) in linear, steps.get(id(weight), 1.0)), []).append(weight)
    return [
        {"params": groups[key], "weight_decay": 0.0 if key[0] else weight_decay, "lr": rate * key[1]}
        for key in sorted(groups, key=lambda key: (key[0], -key[1]))
    ]


@torch.no_grad()
def _diagnosis(phase: Phase, x: Sequence[Tensor], names: Sequence[str], epoch: int, settings: TrainingSettings) -> str:
    """Find the modality whose own encoders no longer give finite scores, or whose data are the most extreme."""
    network = phase.network
    culprit = names[max(range(len(x)), key=lambda k: float(x[k].abs().max()))]
    for k, name in enumerate(names):
        outputs = [network.joint_encoders[k](x[k]), network.individual_encoders[k](x[k])]
        if not all(bool(torch.isfinite(output).all()) for output in outputs):
            culprit = name
            break
    return NOT_FINITE.format(epoch=epoch, phase=phase.name, culprit=repr(culprit), learning_rate=settings.learning_rate)
