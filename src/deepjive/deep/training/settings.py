"""How a network is trained, and what all phases of a training have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepjive.deep.training.batches import Batches


@dataclass(frozen=True)
class TrainingSettings:
    """How a phase is trained.

    Attributes
    ----------
    max_epochs : int
        Most passes over the training data.
    batch_size : int
        Samples a step, of all processes together.
    learning_rate : float
        Adam's step size at the start; smaller, in proportion, for linear maps of more than 1000 inputs.
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


@dataclass(frozen=True)
class Job:
    """What all phases have in common.

    Attributes
    ----------
    batches : Batches
        The data.
    train_rows, validation_rows : Tensor of int
        Rows to learn from, and rows to stop by.
    fabric : lightning_fabric.Fabric
        Launched.
    settings : TrainingSettings
        How to train; with no epochs a phase is only started.
    generator : torch.Generator
        Draws the order of the samples.
    names : sequence of str
        Names of the modalities, for errors.
    """

    batches: Batches
    train_rows: Tensor
    validation_rows: Tensor
    fabric: Any
    settings: TrainingSettings
    generator: torch.Generator
    names: Sequence[str]
