"""Training steps: the gradients of a batch, then an update of the weights. On a GPU, steps are captured and replayed.

A step is hundreds of operations that take microseconds each. Starting them one by one takes the GPU's driver longer
than the GPU takes to compute them. So after a few steps, all operations of a step are captured as CUDA graphs, and from
then on they are started at once.

A captured step computes on the same memory every time. Batches are copied into that memory, and whatever changes in
training changes in place. Only the learning rates are constants of the graphs. When they are halved, the step is
captured again.

A step is captured only where every step does the same: in one process, with no sample that lacks a modality, and with
layers of torch and deepjive alone. A class of the user's own, or a hook, may read or draw numbers in Python, which a
graph would not repeat. Training in float16 is not captured either, since its loss scale depends on numbers that Python
reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepjive.deep.runtime.distributed import together
from deepjive.deep.training.objective import Phase, Terms
from deepjive.deep.training.one_piece import OnePiece
from deepjive.deep.training.settings import TrainingSettings

EAGER_STEPS = 5  # before the capture: in these, libraries and optimizers allocate what they keep
CAPTURED_MODULES = ("torch.nn.", "deepjive.")


class Steps(ABC):
    """Base of the two ways to take training steps.

    Attributes
    ----------
    pieces : list of OnePiece
        The optimizers with the weights that they change.
    """

    pieces: list[OnePiece]

    @abstractmethod
    def gradients(self, x: Sequence[Tensor], present: Tensor | None) -> Terms:
        """Compute the gradients of the loss, and return the loss terms.

        The terms are detached, and valid until the next call.

        Parameters
        ----------
        x : sequence of Tensor, each (batch, *shape)
            Scaled samples, one tensor for each modality.
        present : Tensor of bool, (batch, n_modalities), or None
            Which sample has which modality; None where no sample lacks any.
        """

    @abstractmethod
    def update(self) -> None:
        """Change the weights by their gradients, and clear the gradients."""

    @abstractmethod
    def end(self) -> None:
        """Clear the gradients after the last step."""


class EagerSteps(Steps):
    """Steps whose operations are started one by one.

    Parameters
    ----------
    module : nn.Module
        A phase, wrapped by Fabric.
    optimizers : sequence
        Optimizers, wrapped by Fabric.
    fabric : lightning_fabric.Fabric
        Computes gradients in its precision.
    max_norm : float
        Largest norm of the gradients; larger gradients are scaled down to it.
    """

    def __init__(self, module: Any, optimizers: Sequence[Any], fabric: Any, max_norm: float) -> None:
        self.module, self.optimizers, self.fabric, self.max_norm = module, optimizers, fabric, max_norm
        self.pieces = [OnePiece(wrapped.optimizer) for wrapped in optimizers]

    def gradients(self, x: Sequence[Tensor], present: Tensor | None) -> Terms:
        terms: Terms = self.module(x, present)
        self.fabric.backward(terms["total"])
        return {name: value.detach() for name, value in terms.items()}

    def update(self) -> None:
        for optimizer, piece in zip(self.optimizers, self.pieces, strict=True):
            self.apply(optimizer)
            piece.clear()

    def end(self) -> None:
        for piece in self.pieces:
            piece.release()

    def apply(self, optimizer: Any) -> None:
        """Change the weights of one optimizer by their gradients."""
        self.fabric.clip_gradients(self.module, optimizer, max_norm=self.max_norm, error_if_nonfinite=False)
        optimizer.step()


class CapturedSteps(Steps):
    """Steps replayed from CUDA graphs.

    Parameters
    ----------
    eager : EagerSteps
        The steps to capture; they are on a CUDA device.
    """

    def __init__(self, eager: EagerSteps) -> None:
        self.eager, self.pieces = eager, eager.pieces
        self.count, self.stream = 0, torch.cuda.Stream(eager.fabric.device)
        self.rates: list[float] = []
        self.batch: list[Tensor] = []
        self.terms: Terms = {}
        self.graphs: list[torch.cuda.CUDAGraph] = []

    def gradients(self, x: Sequence[Tensor], present: Tensor | None) -> Terms:
        self.count += 1
        if self.count <= EAGER_STEPS:
            return self.eager.gradients(x, present)
        rates = [group["lr"] for optimizer in self.eager.optimizers for group in optimizer.param_groups]
        if rates != self.rates:
            self._capture(x)
            self.rates = rates
        torch._foreach_copy_(self.batch, list(x))
        self.graphs[0].replay()
        return self.terms

    def update(self) -> None:
        if self.count <= EAGER_STEPS:
            self.eager.update()
        else:
            self.graphs[1].replay()

    def end(self) -> None:
        self.eager.end()

    def _capture(self, x: Sequence[Tensor]) -> None:
        """Capture gradients and update; no values are computed meanwhile."""
        self.batch = [x_k.clone() for x_k in x]
        self.terms, self.graphs = {}, []  # frees the memory of the last graphs before new memory is taken
        for optimizer in self.eager.optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["capturable"] = True
        gradients, update = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(gradients, stream=self.stream):
            self.terms = self.eager.gradients(self.batch, None)
        with torch.cuda.graph(update, pool=gradients.pool(), stream=self.stream):
            for optimizer in self.eager.optimizers:
                self.eager.apply(optimizer)
        self.graphs = [gradients, update]


def make_steps(
    phase: Phase, module: Any, optimizers: Sequence[Any], fabric: Any, settings: TrainingSettings, complete: bool
) -> Steps:
    """Captured steps where `can_be_captured` says so, else eager steps.

    Parameters
    ----------
    phase : Phase
        What is minimized.
    module : nn.Module
        The phase, wrapped by Fabric.
    optimizers : sequence
        Optimizers, wrapped by Fabric.
    fabric : lightning_fabric.Fabric
        Computes gradients in its precision.
    settings : TrainingSettings
        Training settings.
    complete : bool
        Whether no sample lacks a modality.
    """
    eager = EagerSteps(module, optimizers, fabric, settings.max_norm)
    return CapturedSteps(eager) if can_be_captured(phase, fabric, settings, complete) else eager


def can_be_captured(phase: Phase, fabric: Any, settings: TrainingSettings, complete: bool) -> bool:
    """Whether the steps of a phase can be captured; parameters as of `make_steps`."""
    if fabric.device.type != "cuda" or not complete or together() or settings.half_precision:
        return False
    return all(_does_the_same(module) for module in phase.modules())


def _does_the_same(module: nn.Module) -> bool:
    """Whether a module is known to do the same in every step.

    Normalization whose running moments are means over all batches (momentum None) counts the batches in Python.
    """
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    is_known = type(module).__module__.startswith(CAPTURED_MODULES)
    return is_known and not hooks and getattr(module, "momentum", 0.0) is not None
