"""The state of a phase's training. Saved, it lets training continue to the same weights as without a break."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepjive.deep.geometry.start import Start
from deepjive.deep.training.averaging import MovingAverage
from deepjive.deep.training.one_piece import OnePiece, apart, joined
from deepjive.deep.training.plateau import Plateau

History = dict[str, list[Any]]


class PhaseState:
    """All that changes while a phase is trained.

    Parameters
    ----------
    network : nn.Module
        The network.
    modules : nn.Module
        The part of the network that the phase trains.
    optimizers : sequence of OnePiece
        Adam for the trained modules, and for a learned constraint where there is one, with their weights.
    average : MovingAverage
        Moving average of the weights of `modules`.
    plateau : Plateau
        Record of the validation error.
    generator : torch.Generator
        Source of the order of the samples.
    precision : lightning_fabric precision
        Precision of the computation, which may scale the loss.
    device : torch.device
        Device of the computation.

    Attributes
    ----------
    epoch : int
        Number of epochs that have begun.
    error : float
        Validation error of the last epoch; NaN before the first.
    ended : bool
        Whether the plateau has stopped training.
    interrupted : bool
        Whether a KeyboardInterrupt ended training.
    start : Start
        Whether training can pay, and why.
    history : dict of str to list
        One entry for each epoch.
    best : dict of str to Tensor
        The weights of `modules` that were best on validation data.
    """

    def __init__(
        self,
        network: nn.Module,
        modules: nn.Module,
        optimizers: Sequence[OnePiece],
        average: MovingAverage,
        plateau: Plateau,
        generator: torch.Generator,
        precision: Any,
        device: torch.device,
    ) -> None:
        self.network, self.modules, self.optimizers = network, modules, optimizers
        self.average, self.plateau, self.generator = average, plateau, generator
        self.precision, self.device = precision, device
        self.epoch, self.error, self.ended, self.interrupted = 0, math.nan, False, False
        self.start = Start()
        self.history: History = {}
        self.best: dict[str, Tensor] = {}

    def keep_best(self) -> None:
        """Store the present weights as the best."""
        state = self.modules.state_dict()
        self.best = {
            name: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value) for name, value in state.items()
        }

    def halve_rates(self) -> None:
        """Halve all learning rates."""
        for piece in self.optimizers:
            for group in piece.optimizer.param_groups:
                group["lr"] /= 2

    def record(self, row: Mapping[str, Any]) -> None:
        """Add an epoch to the history in one assignment, so that an interruption leaves complete rows."""
        self.history = {key: [*self.history.get(key, []), value] for key, value in row.items()}

    def as_dict(self) -> dict[str, Any]:
        """The state as numbers, strings and arrays."""
        return {
            "epoch": self.epoch,
            "ended": self.ended,
            "history": self.history,
            "plateau": vars(self.plateau),
            "network": _arrays(self.network.state_dict()),
            "best": _arrays(self.best),
            "average": joined(self.average.average).cpu().numpy(),
            "averaged_steps": self.average.steps,
            "optimizers": [_with(_arrays, piece.state()) for piece in self.optimizers],
            "precision": self.precision.state_dict(),
            "random": self._random(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore a state that `as_dict` returned."""
        self.epoch, self.ended, self.history = saved["epoch"], saved["ended"], saved["history"]
        vars(self.plateau).update(saved["plateau"])
        self.network.load_state_dict(_tensors(saved["network"]))
        self.best = {name: tensor.to(self.device) for name, tensor in _tensors(saved["best"]).items()}
        averages = self.average.average
        for weight, values in zip(averages, apart(torch.from_numpy(saved["average"]), averages), strict=True):
            weight.copy_(values)
        self.average.steps = saved["averaged_steps"]
        for piece, state in zip(self.optimizers, saved["optimizers"], strict=True):
            piece.restore(_with(_tensors, state))
        self.precision.load_state_dict(saved["precision"])
        self._restore_random(saved["random"])

    def _random(self) -> dict[str, np.ndarray]:
        states = {"order": self.generator.get_state(), "cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return {name: state.numpy() for name, state in states.items()}

    def _restore_random(self, states: Mapping[str, np.ndarray]) -> None:
        self.generator.set_state(torch.from_numpy(states["order"]))
        torch.set_rng_state(torch.from_numpy(states["cpu"]))
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(torch.from_numpy(states["cuda"]), self.device)


def _with(convert: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of an optimizer with its moments converted."""
    return {"rates": state["rates"], "moments": [convert(moments) for moments in state["moments"]]}


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
