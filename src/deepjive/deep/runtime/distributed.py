"""Training in several processes: each process takes an equal share of every batch.

Losses are computed over the whole batch. Some terms need the whole batch: the moments for whitening, and the regression
that measures orthogonality. These terms are computed from the latents of all processes, which are small, and gradients
flow back to the process that holds the samples. Because the shares are equal, the mean of the gradients of all
processes, which DistributedDataParallel takes, is the gradient of the whole batch.

With one process, all functions of this module return their input.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


def processes() -> int:
    """Return the number of processes that train together."""
    return distributed.get_world_size() if together() else 1


def number() -> int:
    """Return the number of this process, starting from 0."""
    return distributed.get_rank() if together() else 0


def is_first() -> bool:
    """Return whether this process writes and prints; works before the process group exists as well."""
    if together():
        return number() == 0
    return next((os.environ[name] for name in RANK_VARIABLES if name in os.environ), "0") == "0"


def of_all_processes(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the rows of all processes in training, or the rows of this process if gradients are disabled.

    Parameters
    ----------
    tensors : sequence of Tensor, each (rows, features)
        The rows of this process; every process has the same number.

    Returns
    -------
    list of Tensor, each (processes * rows, features)
    """
    if processes() == 1 or not torch.is_grad_enabled():
        return list(tensors)
    whole: Tensor = _Gather.apply(torch.cat(list(tensors), dim=1))
    return list(whole.split([tensor.shape[1] for tensor in tensors], dim=1))


def summed(x: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes, without gradients."""
    if processes() == 1:
        return x
    total = x.detach().clone().to(_place(x.device))
    distributed.all_reduce(total)
    return total.to(x.device)


def as_in_first(module: nn.Module) -> None:
    """Copy the weights of the first process to all processes."""
    if processes() > 1:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)


def buffers_as_in_first(module: nn.Module) -> None:
    """Copy the buffers of the first process to all processes, such as running means of its share of the samples."""
    if processes() > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)


def of_first_tensor(x: Tensor) -> Tensor:
    """Return the tensor of the first process; it must have the same shape in all processes."""
    if processes() > 1:
        distributed.broadcast(x, 0)
    return x


def of_first(make: Callable[[], Any]) -> Any:
    """Call `make` in the first process only, and return its result, which JSON can hold, in all processes."""
    if processes() == 1:
        return make()
    content = json.dumps(make()).encode() if is_first() else b""
    length = torch.tensor(len(content), device=_place())
    distributed.broadcast(length, 0)
    letters = torch.zeros(int(length), dtype=torch.uint8, device=_place())
    if is_first():
        letters.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    distributed.broadcast(letters, 0)
    return json.loads(bytes(letters.cpu().numpy()))


def is_lost(error: BaseException) -> bool:
    """Return whether an error means that another process has ended."""
    return processes() > 1 and (isinstance(error, distributed.DistError) or "gloo" in str(error))


class _Gather(torch.autograd.Function):
    """Rows (n, p) of all processes, in order; gradients, summed over the losses, go back to the process of each row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        pieces = [torch.empty_like(x) for _ in range(processes())]
        distributed.all_gather(pieces, x.contiguous())
        return torch.cat(pieces)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        first = number() * ctx.rows
        return gradient[first : first + ctx.rows]


def _place(device: torch.device | str = "cpu") -> torch.device | str:
    """The device through which processes exchange tensors: NCCL cannot send CPU memory."""
    return "cuda" if distributed.get_backend() == "nccl" else device


def together() -> bool:
    """Return whether Fabric has made a group of processes, possibly of a single process."""
    return distributed.is_available() and distributed.is_initialized()
