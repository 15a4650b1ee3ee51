"""Training: one loop for every phase, on Lightning Fabric's devices, precisions and strategies.

A phase starts from a linear solution (`deepjive.deep.start`). Adam on shuffled batches; a moving average of the weights
is what is validated; the learning rate is halved when the monitored validation error has not fallen for a while, and
training stops when that did not help either; the best average is kept. A regression network has its own Adam with its
own learning rate.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from deepjive.deep.averaging import MovingAverage
from deepjive.deep.batches import Batches
from deepjive.deep.identity import Merged
from deepjive.deep.networks import Decoder, Encoder
from deepjive.deep.objective import Phase, Terms

NOT_FINITE = (
    "The loss became NaN or infinite in epoch {epoch} of the {phase} phase; modality {culprit} was the first to be so. "
    "Lower learning_rate (now {learning_rate:g}) or orthogonality_weight, and look for extreme values in that modality."
)
NOT_CONVERGED = (
    "The {phase} phase was still improving when max_epochs={max_epochs} ended it. "
    "Raise max_epochs, or accept the model as it is."
)

History = dict[str, list[Any]]
OnEpoch = Callable[[str, int, dict[str, float]], None]


class TrainingError(RuntimeError):
    """Training went wrong in a way that leaves no usable model."""


@dataclass(frozen=True)
class Settings:
    """How a phase is trained.

    Attributes
    ----------
    max_epochs : int
        Most passes over the training data.
    batch_size : int
        Samples a step.
    learning_rate : float
        Adam's step size at the start.
    regression_rate : float
        The regression network's learning rate, as a multiple of `learning_rate`.
    weight_decay : float
        Decoupled weight decay of the nonlinear corrections.
    patience_steps : int
        Steps without improvement after which the learning rate is halved; twice as many stop training.
    averaging : float
        Decay of the weights' moving average, a step.
    max_norm : float
        Gradients are scaled down to this norm.
    half_precision : bool
        Whether Fabric scales the loss (float16), which fused optimizers cannot undo.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    regression_rate: float = 5.0
    patience_steps: int = 200
    averaging: float = 0.98
    max_norm: float = 1.0
    half_precision: bool = False


def train(
    phase: Phase,
    batches: Batches,
    train_rows: Tensor,
    validation_rows: Tensor,
    fabric: Any,
    settings: Settings,
    generator: torch.Generator,
    names: Sequence[str],
    on_epoch: OnEpoch,
) -> History:
    """Minimize a phase's loss; its network ends with the weights that were best on the validation rows.

    Parameters
    ----------
    phase : Phase
        What is minimized; its network is changed in place.
    batches : Batches
        The data.
    train_rows, validation_rows : Tensor of int
        Rows to learn from, and rows to stop by.
    fabric : lightning_fabric.Fabric
        Launched.
    settings : Settings
        How to train.
    generator : torch.Generator
        Draws the order of the samples.
    names : sequence of str
        Names of the modalities, for errors.
    on_epoch : callable
        Called with the phase's name, the epoch and its terms.

    Returns
    -------
    dict of str to list
        One list entry an epoch: phase, epoch, the terms of training and validation data, learning rate, seconds.

    Raises
    ------
    TrainingError
        If the loss is no longer finite.
    """
    modules = nn.ModuleList([nn.ModuleList(phase.trained()), nn.ModuleList(phase.auxiliary())])
    module, optimizers = _set_up(phase, modules, fabric, settings)
    phase.start(batches.sample(train_rows))
    average = MovingAverage(modules, settings.averaging)
    plateau = Plateau(_patience(phase, len(train_rows), fabric.world_size, settings), margin=phase.margin)
    history: History = {}
    validation = evaluate(phase, batches, validation_rows, settings.batch_size)
    plateau.verdict(0, phase.error(validation))
    weights = copy.deepcopy(modules.state_dict())
    for epoch in range(1, settings.max_epochs + 1):
        started = time.perf_counter()
        phase.progress = (epoch - 1) / settings.max_epochs
        order = train_rows[torch.randperm(len(train_rows), generator=generator)]
        means = _Means()
        modules.train()
        for x in batches(order[fabric.global_rank :: fabric.world_size], settings.batch_size, drop_last=True):
            terms = module(x)
            if not torch.isfinite(terms["total"]):
                raise TrainingError(_diagnosis(phase, x, names, epoch, settings))
            _step(module, optimizers, terms["total"], fabric, settings)
            average.update()
            means.add(terms)
        modules.eval()
        with average.applied():
            validation = evaluate(phase, batches, validation_rows, settings.batch_size)
            verdict = plateau.verdict(epoch, phase.error(validation))
            if verdict == "best":
                weights = copy.deepcopy(modules.state_dict())
        row = {f"train_{key}": value for key, value in means.of_terms().items()}
        row |= {f"validation_{key}": value for key, value in validation.items()}
        row |= {"learning_rate": optimizers[0].param_groups[0]["lr"], "seconds": time.perf_counter() - started}
        _record(history, {"phase": phase.name, "epoch": epoch} | row)
        on_epoch(phase.name, epoch, row)
        if verdict == "halve":
            _halve_rates(optimizers)
        elif verdict == "stop":
            break
    if plateau.improving(settings.max_epochs):
        message = NOT_CONVERGED.format(phase=phase.name, max_epochs=settings.max_epochs)
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    modules.load_state_dict(weights)
    return history


class Plateau:
    """When to halve the learning rate, and when to stop.

    Parameters
    ----------
    patience : int
        Epochs without a new best value before the rate is halved, and again before training stops.
    tolerance : float
        A new best value must be lower by this fraction.
    margin : float
        The first value, before training, must be undercut by this fraction.
    """

    def __init__(self, patience: int, tolerance: float = 1e-4, margin: float = 1e-4) -> None:
        self.patience, self.tolerance, self.margin = patience, tolerance, margin
        self.best, self.best_epoch, self.halved_epoch = math.inf, 0, 0

    def verdict(self, epoch: int, value: float) -> Literal["best", "wait", "halve", "stop"]:
        """What to do after an epoch that ended with the monitored `value`."""
        needed = self.tolerance if self.best_epoch else self.margin
        if value < self.best * (1 - needed):
            self.best, self.best_epoch = value, epoch
            return "best"
        if epoch - max(self.best_epoch, self.halved_epoch) < self.patience:
            return "wait"
        if self.halved_epoch > self.best_epoch:
            return "stop"
        self.halved_epoch = epoch
        return "halve"

    def improving(self, epoch: int) -> bool:
        """Whether there was a new best value within the last epochs."""
        return epoch - self.best_epoch < self.patience


@torch.no_grad()
def evaluate(phase: Phase, batches: Batches, rows: Tensor, batch_size: int) -> dict[str, float]:
    """Mean loss terms over rows, in equal batches so that none is too small to measure orthogonality on."""
    count = max(1, round(len(rows) / max(batch_size, 1)))
    means = _Means()
    for x in batches(rows, math.ceil(len(rows) / count)):
        means.add(phase(x), weight=len(x[0]))
    return means.of_terms()


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
        return {key: float(value) / self.weight for key, value in self.sums.items()}


def _patience(phase: Phase, n: int, processes: int, settings: Settings) -> int:
    """Patience in epochs."""
    steps = max(1, n // (settings.batch_size * processes))
    return max(3, math.ceil(phase.patience * settings.patience_steps / steps))


def _set_up(phase: Phase, modules: nn.ModuleList, fabric: Any, settings: Settings) -> tuple[Any, list[Any]]:
    """Hand the phase and its optimizers to Fabric; what the phase does not train is frozen and in evaluation mode."""
    phase.eval()
    phase.requires_grad_(False)
    optimizers = []
    fused = not settings.half_precision
    for group, rate in zip(modules, (1.0, settings.regression_rate), strict=True):
        parameters = list(group.requires_grad_(True).parameters())
        if parameters:
            rate *= settings.learning_rate
            optimizers.append(torch.optim.AdamW(_decayed(group, settings.weight_decay), rate, fused=fused))
    module, *wrapped = fabric.setup(phase, *optimizers)
    return module, wrapped


def _decayed(modules: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: only nonlinear corrections decay, so that decay pulls a network to its linear part."""
    corrected = [module for module in modules.modules() if isinstance(module, (Encoder, Decoder, Merged))]
    linear = [weight for module in corrected for weight in module.linear.parameters()]
    known = {id(weight) for weight in linear}
    rest = [weight for weight in modules.parameters() if id(weight) not in known]
    groups = [{"params": rest, "weight_decay": weight_decay}, {"params": linear, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _step(module: Any, optimizers: Sequence[Any], loss: Tensor, fabric: Any, settings: Settings) -> None:
    fabric.backward(loss)
    for optimizer in optimizers:
        fabric.clip_gradients(module, optimizer, max_norm=settings.max_norm, error_if_nonfinite=False)
        optimizer.step()
        optimizer.zero_grad()


def _halve_rates(optimizers: Sequence[Any]) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] /= 2


def _record(history: History, row: dict[str, Any]) -> None:
    for key, value in row.items():
        history.setdefault(key, []).append(value)


@torch.no_grad()
def _diagnosis(phase: Phase, x: Sequence[Tensor], names: Sequence[str], epoch: int, settings: Settings) -> str:
    """Find the modality whose own encoders no longer give finite scores, or whose data are the most extreme."""
    network = phase.network
    culprit = names[max(range(len(x)), key=lambda k: float(x[k].abs().max()))]
    for k, name in enumerate(names):
        outputs = [network.joint_encoders[k](x[k]), network.individual_encoders[k](x[k])]
        if not all(bool(torch.isfinite(output).all()) for output in outputs):
            culprit = name
            break
    return NOT_FINITE.format(epoch=epoch, phase=phase.name, culprit=repr(culprit), learning_rate=settings.learning_rate)
