"""Steps of training: gradients of a batch, then an update of the weights. On a GPU they are recorded and replayed.

A step is hundreds of operations of microseconds each, and starting them one by one takes a GPU's driver longer than
the GPU takes to do them. So after a few steps all of them are recorded (as CUDA graphs), and started at once from then
on. What is recorded computes on the same memory every time: batches are copied there, and what changes while training
goes on changes in place. Learning rates alone are numbers that the recording holds; when they are halved, it is made
anew.

Recorded is what always does the same: batches without gaps, in one process, through layers of torch and deepjive. A
class of the user's own, or a hook, may look at numbers, or draw some, where a recording would not see it, and takes
steps one by one; so does float16, whose scale is found by looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepjive.deep.runtime.distributed import together
from deepjive.deep.training.objective import Phase, Terms
from deepjive.deep.training.settings import TrainingSettings

FIRST = 5  # steps one by one, in which libraries and optimizers set up what they keep
KNOWN = ("torch.nn.", "deepjive.")


class Steps:
    """Steps one by one.

    Parameters
    ----------
    module : nn.Module
        A phase, as Fabric wraps it.
    optimizers : sequence
        As Fabric wraps them.
    fabric : lightning_fabric.Fabric
        Takes gradients in its precision.
    max_norm : float
        Gradients are scaled down to this norm.
    """

    def __init__(self, module: Any, optimizers: Sequence[Any], fabric: Any, max_norm: float) -> None:
        self.module, self.optimizers, self.fabric, self.max_norm = module, optimizers, fabric, max_norm

    def gradients(self, x: Sequence[Tensor], present: Tensor | None) -> Terms:
        """Loss terms of a batch, without what they were made of; gradients of their total are left with the weights.

        The terms are good until the next step.
        """
        terms: Terms = self.module(x, present)
        self.fabric.backward(terms["total"])
        return {name: value.detach() for name, value in terms.items()}

    def update(self) -> None:
        """Change the weights by their gradients, and forget these."""
        for optimizer in self.optimizers:
            self._change(optimizer)
            optimizer.zero_grad()

    def _change(self, optimizer: Any) -> None:
        self.fabric.clip_gradients(self.module, optimizer, max_norm=self.max_norm, error_if_nonfinite=False)
        optimizer.step()

    def end(self) -> None:
        """Leave no gradients behind."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()


class RecordedSteps(Steps):
    """Steps replayed from a recording, on an NVIDIA device; parameters as of `Steps`."""

    def __init__(self, module: Any, optimizers: Sequence[Any], fabric: Any, max_norm: float) -> None:
        super().__init__(module, optimizers, fabric, max_norm)
        self.taken, self.stream = 0, torch.cuda.Stream(fabric.device)
        self.rates: list[float] = []
        self.batch: list[Tensor] = []
        self.terms: Terms = {}
        self.recordings: list[torch.cuda.CUDAGraph] = []

    def gradients(self, x: Sequence[Tensor], present: Tensor | None) -> Terms:
        self.taken += 1
        if self.taken <= FIRST:
            return super().gradients(x, present)
        rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        if rates != self.rates:
            self._record(x)
            self.rates = rates
        torch._foreach_copy_(self.batch, list(x))
        self.recordings[0].replay()
        return self.terms

    def update(self) -> None:
        if self.taken <= FIRST:
            super().update()
        else:
            self.recordings[1].replay()

    def _record(self, x: Sequence[Tensor]) -> None:
        """Record gradients and update; nothing is computed in the meantime."""
        self.batch = [one.clone() for one in x]
        self.terms, self.recordings = {}, []  # their memory is free before more is taken
        for optimizer in self.optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["capturable"] = True
        gradients, update = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(gradients, stream=self.stream):
            self.terms = super().gradients(self.batch, None)
        with torch.cuda.graph(update, pool=gradients.pool(), stream=self.stream):
            for optimizer in self.optimizers:
                self._change(optimizer)
        self.recordings = [gradients, update]


def make_steps(
    phase: Phase, module: Any, optimizers: Sequence[Any], fabric: Any, settings: TrainingSettings, whole: bool
) -> Steps:
    """Recorded steps where they can be, and steps one by one elsewhere.

    Parameters
    ----------
    phase : Phase
        What is minimized.
    module, optimizers, fabric
        As of `Steps`.
    settings : deepjive.deep.training.settings.TrainingSettings
        Has the norm that gradients are scaled down to, and says whether the loss is scaled.
    whole : bool
        Whether no sample lacks a modality.
    """
    same = whole and not together() and not settings.half_precision and all(_is_known(one) for one in phase.modules())
    kind = RecordedSteps if same and fabric.device.type == "cuda" else Steps
    return kind(module, optimizers, fabric, settings.max_norm)


def _is_known(module: nn.Module) -> bool:
    """Whether a module does the same in every step; normalization over all batches looks at their number."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module).__module__.startswith(KNOWN) and not hooks and getattr(module, "momentum", 0.0) is not None
