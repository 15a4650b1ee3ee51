"""Training: one loop for every phase, on Lightning Fabric's devices, precisions and strategies.

Adam on shuffled batches; the learning rate is halved when the monitored validation error has not fallen for a while,
and training stops when that did not help either; the best weights are restored. A regression network has its own Adam
with its own learning rate.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from deepjive.deep.batches import Batches
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
        Decoupled weight decay.
    patience_steps : int
        Steps without improvement after which the learning rate is halved; twice as many stop training.
    max_norm : float
        Gradients are scaled down to this norm.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-4
    regression_rate: float = 5.0
    patience_steps: int = 200
    max_norm: float = 1.0


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
    trained, auxiliary = _modules(phase)
    module, optimizers = _set_up(phase, trained, auxiliary, fabric, settings)
    steps = max(1, len(train_rows) // (settings.batch_size * fabric.world_size))
    patience = max(3, math.ceil(phase.patience * settings.patience_steps / steps))
    history: History = {}
    best, best_epoch, reduced_at, weights = math.inf, 0, 0, _snapshot(trained, auxiliary)
    for epoch in range(1, settings.max_epochs + 1):
        started = time.perf_counter()
        phase.progress = (epoch - 1) / settings.max_epochs
        order = train_rows[torch.randperm(len(train_rows), generator=generator)]
        mine = order[fabric.global_rank :: fabric.world_size]
        _set_training(trained, auxiliary, True)
        train_terms = _Average()
        for x in batches(mine, settings.batch_size, drop_last=True):
            terms = module(x)
            if not torch.isfinite(terms["total"]):
                raise TrainingError(_diagnosis(phase, x, names, epoch, settings))
            _step(module, optimizers, terms["total"], fabric, settings)
            train_terms.add(terms)
        _set_training(trained, auxiliary, False)
        validation_terms = evaluate(phase, batches, validation_rows, settings.batch_size)
        rate = optimizers[0].param_groups[0]["lr"]
        row = {f"train_{key}": value for key, value in train_terms.means().items()}
        row |= {f"validation_{key}": value for key, value in validation_terms.items()}
        row |= {"learning_rate": rate, "seconds": time.perf_counter() - started}
        _record(history, {"phase": phase.name, "epoch": epoch} | row)
        on_epoch(phase.name, epoch, row)
        monitored = sum(validation_terms[name] for name in phase.monitored)
        if monitored < best * (1 - 1e-4):
            best, best_epoch, weights = monitored, epoch, _snapshot(trained, auxiliary)
        elif epoch - best_epoch >= 2 * patience and epoch - reduced_at >= patience:
            break
        elif epoch - max(best_epoch, reduced_at) >= patience:
            reduced_at = epoch
            _halve_rates(optimizers)
    else:
        if epoch - best_epoch < patience:
            warnings.warn(
                NOT_CONVERGED.format(phase=phase.name, max_epochs=settings.max_epochs), ConvergenceWarning, stacklevel=2
            )
    _restore(trained, auxiliary, weights)
    return history


@torch.no_grad()
def evaluate(phase: Phase, batches: Batches, rows: Tensor, batch_size: int) -> dict[str, float]:
    """Mean loss terms over rows, in equal batches so that none is too small to measure orthogonality on."""
    count = max(1, round(len(rows) / max(batch_size, 1)))
    average = _Average()
    for x in batches(rows, math.ceil(len(rows) / count)):
        average.add(phase(x), weight=len(x[0]))
    return average.means()


class _Average:
    """Weighted means of named terms, kept on the device until they are asked for."""

    def __init__(self) -> None:
        self.sums: Terms = {}
        self.weight = 0.0

    def add(self, terms: Terms, weight: float = 1.0) -> None:
        for key, value in terms.items():
            self.sums[key] = self.sums.get(key, 0.0) + value.detach() * weight
        self.weight += weight

    def means(self) -> dict[str, float]:
        return {key: float(value) / self.weight for key, value in self.sums.items()}


def _modules(phase: Phase) -> tuple[nn.ModuleList, nn.ModuleList]:
    return nn.ModuleList(phase.trained()), nn.ModuleList(phase.auxiliary())


def _set_up(
    phase: Phase, trained: nn.Module, auxiliary: nn.Module, fabric: Any, settings: Settings
) -> tuple[Any, list[Any]]:
    """Hand the phase and its optimizers to Fabric; what the phase does not train is frozen and in evaluation mode."""
    phase.eval()
    phase.requires_grad_(False)
    rates = [(trained, settings.learning_rate), (auxiliary, settings.learning_rate * settings.regression_rate)]
    optimizers = []
    for modules, rate in rates:
        parameters = list(modules.requires_grad_(True).parameters())
        if parameters:
            fused = not str(fabric._precision.precision).startswith("16")
            optimizers.append(torch.optim.AdamW(parameters, rate, weight_decay=settings.weight_decay, fused=fused))
    module, *wrapped = fabric.setup(phase, *optimizers)
    return module, wrapped


def _step(module: Any, optimizers: Sequence[Any], loss: Tensor, fabric: Any, settings: Settings) -> None:
    fabric.backward(loss)
    for optimizer in optimizers:
        fabric.clip_gradients(module, optimizer, max_norm=settings.max_norm, error_if_nonfinite=False)
        optimizer.step()
        optimizer.zero_grad()


def _set_training(trained: nn.Module, auxiliary: nn.Module, mode: bool) -> None:
    trained.train(mode)
    auxiliary.train(mode)


def _halve_rates(optimizers: Sequence[Any]) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] /= 2


def _snapshot(*modules: nn.Module) -> list[dict[str, Tensor]]:
    return [copy.deepcopy(module.state_dict()) for module in modules]


def _restore(trained: nn.Module, auxiliary: nn.Module, weights: list[dict[str, Tensor]]) -> None:
    for module, state in zip((trained, auxiliary), weights, strict=True):
        module.load_state_dict(state)


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
