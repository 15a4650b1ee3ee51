"""Several processes: each takes its share of every batch, and the losses are those of the whole batch.

A process computes on its own samples. What a loss needs of the batch as a whole (moments to whiten by, the regression
that measures orthogonality) it computes from the latents of all processes, which are small; gradients flow back to
the process whose samples they belong to. With equal shares the mean of the processes' gradients, which is what
DistributedDataParallel takes, then is the gradient of the whole batch.

Everything here does nothing where there is one process.
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
    """Number of processes that train together."""
    return distributed.get_world_size() if together() else 1


def number() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if together() else 0


def is_first() -> bool:
    """Whether this process is the one that writes and prints, asked also before the processes have met."""
    if together():
        return number() == 0
    return next((os.environ[name] for name in RANK_VARIABLES if name in os.environ), "0") == "0"


def of_all_processes(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Rows of all processes in training; the rows of this one alone where no gradients are wanted.

    Parameters
    ----------
    tensors : sequence of Tensor, each (rows, features)
        As many rows in every process.

    Returns
    -------
    list of Tensor, each (processes * rows, features)
    """
    if processes() == 1 or not torch.is_grad_enabled():
        return list(tensors)
    whole: Tensor = _Gather.apply(torch.cat(list(tensors), dim=1))
    return list(whole.split([tensor.shape[1] for tensor in tensors], dim=1))


def summed(x: Tensor) -> Tensor:
    """The sum of a tensor over the processes, the same in all of them; no gradients flow."""
    if processes() == 1:
        return x
    total = x.detach().clone().to(_place(x.device))
    distributed.all_reduce(total)
    return total.to(x.device)


def as_in_first(module: nn.Module) -> None:
    """Give every process the weights that the first one has."""
    if processes() > 1:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)


def buffers_as_in_first(module: nn.Module) -> None:
    """Give every process the buffers that the first one has, such as running means that each took of its own share."""
    if processes() > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)


def of_first_tensor(x: Tensor) -> Tensor:
    """A tensor of the same shape in all processes, as the first one has it."""
    if processes() > 1:
        distributed.broadcast(x, 0)
    return x


def of_first(make: Callable[[], Any]) -> Any:
    """What `make` returns in the first process, the only one where it is called: anything that JSON can hold."""
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
    """Whether an error says that another process is no longer there."""
    return processes() > 1 and (isinstance(error, distributed.DistError) or "gloo" in str(error))


class _Gather(torch.autograd.Function):
    """Rows (n, p) of all processes, in order; the gradient of each goes back to its process, summed over the losses."""

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
    """Where the processes can exchange what is on a device: NCCL knows no processor memory."""
    return "cuda" if distributed.get_backend() == "nccl" else device


def together() -> bool:
    """Whether this is one of the processes that Fabric made a group of, be it the only one."""
    return distributed.is_available() and distributed.is_initialized()
