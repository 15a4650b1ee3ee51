"""Samples that lack modalities: which terms of the loss a sample takes part in.

A batch has a row for every sample in every modality, zeros where it was not measured. Each mean of the loss is then
one over the samples that have what it needs, in the batches of all processes together:

    measured      the modality:                              decoding, reconstruction, orthogonality
    with another  the modality and at least one other:       prediction, agreement
    several       at least two modalities:                   the identity term

Where nothing is missing there is no Presence, and means are plain ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from deepjive.deep.runtime.distributed import of_all_processes


class Presence:
    """Which samples of a batch have which modality.

    Parameters
    ----------
    present : Tensor of bool, (batch, n_modalities)
        Of this process; every sample has at least one.

    Attributes
    ----------
    own, whole : Tensor, (batch, n_modalities), (processes * batch, n_modalities)
        1 where a sample has the modality, in the batch of this process and in those of all.
    """

    def __init__(self, present: Tensor) -> None:
        self.own = present.float()
        (self.whole,) = of_all_processes([self.own])

    @classmethod
    def of(cls, present: Tensor | None) -> Presence | None:
        """None where nothing is missing."""
        return None if present is None else cls(present)

    def measured(self, k: int) -> Tensor:
        """Weights (batch,) of the samples that have modality `k`, whose sum over all processes is their number."""
        return self._weights(lambda present: present[:, k])

    def with_another(self, k: int) -> Tensor:
        """Weights (batch,) of the samples that have modality `k` and another."""
        return self._weights(lambda present: present[:, k] * (present.sum(1) > 1))

    def several(self) -> Tensor:
        """Weights (batch,) of the samples that have at least two modalities."""
        return self._weights(lambda present: (present.sum(1) > 1).float())

    def mean(self, latents: Sequence[Tensor], left_out: int | None = None) -> Tensor:
        """Mean (batch, rank) of each sample's latents, one a modality; 0 where a sample has none of them."""
        here = self.own.clone()
        if left_out is not None:
            here[:, left_out] = 0.0
        total = sum(here[:, [k]] * z for k, z in enumerate(latents))
        return torch.as_tensor(total) / here.sum(1, keepdim=True).clamp_min(1.0)

    def _weights(self, needed: Callable[[Tensor], Tensor]) -> Tensor:
        processes = len(self.whole) / len(self.own)  # whose losses are averaged
        return needed(self.own) * processes / needed(self.whole).sum().clamp_min(1.0)


def rows_of(presence: Presence | None, k: int) -> Tensor | slice:
    """The samples that have modality `k`."""
    return slice(None) if presence is None else presence.own[:, k] > 0


def mean_square(difference: Tensor, weights: Tensor | None) -> Tensor:
    """Mean square of differences (*weights.shape, *shape of a sample); `weights` add up to 1, None weighs all alike."""
    if weights is None:
        return difference.square().mean()
    return (weights * difference.square().flatten(weights.dim()).mean(-1)).sum()


def squared_error(part: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """`mean_square` of their difference."""
    return mse_loss(part, target) if weights is None else mean_square(part - target, weights)
