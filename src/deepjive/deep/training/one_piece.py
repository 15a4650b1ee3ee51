"""Weights in one piece of memory, so that one operation updates all weights of a parameter group.

Networks for tables have dozens of weights of a few thousand numbers each. An optimizer that goes through them one by
one takes longer to start its operations than to compute them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepjive.deep.runtime.distributed import together

Moments = Mapping[str, Tensor]

MOST_NUMBERS = 2**20  # of all weights; larger networks compute longer than operations take to start


class OnePiece:
    """The weights of an optimizer, each parameter group in one piece of memory where that pays.

    The weights become views of the pieces, and their gradients views of the gradients of the pieces. The optimizer
    then has a piece for a parameter. `release` gives each weight memory of its own again.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        An optimizer that has taken no step; changed in place.
    """

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.views: list[nn.Parameter] = []
        groups = optimizer.param_groups
        self.is_whole = _pays([weight for group in groups for weight in group["params"]])
        if self.is_whole:
            for group in groups:
                group["params"] = [self._whole(group["params"])]

    @property
    def weights(self) -> list[Tensor]:
        """What the optimizer updates: the pieces, or the weights themselves."""
        return [weight.detach() for group in self.optimizer.param_groups for weight in group["params"]]

    def clear(self) -> None:
        """Clear the gradients."""
        self.optimizer.zero_grad(set_to_none=not self.is_whole)

    def state(self) -> dict[str, Any]:
        """Learning rates and moments by group, the moments of a group's weights joined."""
        moments = [
            _joined([self.optimizer.state.get(weight, {}) for weight in group["params"]], group["params"])
            for group in self.optimizer.param_groups
        ]
        return {"rates": [group["lr"] for group in self.optimizer.param_groups], "moments": moments}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state` returned, also from weights of other memory."""
        groups = self.optimizer.state_dict()["param_groups"]
        state: dict[int, Moments] = {}
        for group, weights, rate, moments in zip(
            groups, self.optimizer.param_groups, saved["rates"], saved["moments"], strict=True
        ):
            group["lr"] = rate
            if moments:
                state |= zip(group["params"], _apart(moments, weights["params"]), strict=True)
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def release(self) -> None:
        """Give each weight memory of its own, and clear the gradients."""
        for weight in self.views:
            weight.data, weight.grad = weight.detach().clone(), None
        self.optimizer.zero_grad()

    def _whole(self, weights: list[nn.Parameter]) -> nn.Parameter:
        whole = nn.Parameter(joined(weights))
        whole.grad = torch.zeros_like(whole)
        pieces = zip(weights, apart(whole.detach(), weights), apart(whole.grad, weights), strict=True)
        for weight, values, gradient in pieces:
            weight.data, weight.grad = values, gradient
        self.views += weights
        return whole


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of tensors in one row."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def apart(row: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """What `joined` made of tensors of these shapes."""
    pieces = row.split([tensor.numel() for tensor in like])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, like, strict=True)]


def _joined(states: Sequence[Moments], weights: Sequence[Tensor]) -> Moments:
    """The moments of all weights of a group, 0 for weights that no gradient has reached."""
    first = next(filter(None, states), {})
    return {
        name: joined([state.get(name, torch.zeros_like(weight)) for state, weight in zip(states, weights, strict=True)])
        if value.dim()
        else value
        for name, value in first.items()
    }


def _apart(moments: Moments, weights: Sequence[Tensor]) -> list[Moments]:
    """The moments of each weight of a group."""
    rows = {name: apart(value, weights) for name, value in moments.items() if value.dim()}
    return [
        {name: rows[name][i] if name in rows else value.clone() for name, value in moments.items()}
        for i in range(len(weights))
    ]


def _pays(weights: list[Tensor]) -> bool:
    """Whether there are many small weights in a processor's memory, which one process trains."""
    return (
        not together()
        and sum(weight.numel() for weight in weights) <= MOST_NUMBERS
        and len({weight.dtype for weight in weights}) == 1
        and all(weight.device.type == "cpu" and weight.is_contiguous() for weight in weights)
    )
