"""Training settings, and what all phases of a training have in common."""

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
        Largest number of epochs of a phase. With 0, a phase is only started.
    batch_size : int
        Number of samples in a step, of all processes together.
    learning_rate : float
        Adam's learning rate at the start. Linear maps of more than 1000 inputs have proportionally smaller rates.
    weight_decay : float
        Decoupled weight decay of the nonlinear corrections.
    regression_rate : float, default=5.0
        Learning rate of a learned orthogonality constraint, as a multiple of `learning_rate`.
    patience_steps : int, default=120
        Number of steps without improvement after which the learning rate is halved; after as many more training stops.
    averaging : float, default=0.98
        Decay of the weights' moving average in a step.
    max_norm : float, default=1.0
        Largest norm of the gradients; larger gradients are scaled down to it.
    half_precision : bool, default=False
        Whether Fabric scales the loss (float16); fused optimizers cannot undo the scaling.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    regression_rate: float = 5.0
    patience_steps: int = 120
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
    train_rows : Tensor of int
        Rows of the training samples.
    validation_rows : Tensor of int
        Rows of the validation samples, which decide when training stops.
    fabric : lightning_fabric.Fabric
        A Fabric that was launched.
    settings : TrainingSettings
        How a phase is trained.
    generator : torch.Generator
        Source of the order of the samples.
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
