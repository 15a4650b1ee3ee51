"""Samples that lack modalities: the terms of the loss to which a sample contributes.

A batch has one row for every sample in every modality, and the row is zero where the sample lacks the modality. Each
mean in the loss is a mean over the samples that have what the term needs, in the batches of all processes together:

    measured      samples with the modality:                            decoding, reconstruction, orthogonality
    with another  samples with the modality and at least one other:     prediction, agreement
    several       samples with at least two modalities:                 the identity term

Where no sample lacks a modality there is no `Presence`, and the means are plain means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from deepjive.deep.runtime.distributed import of_all_processes


class Presence:
    """The modalities that each sample of a batch has.

    Parameters
    ----------
    present : Tensor of bool, (batch, n_modalities)
        The samples of this process. Every sample has at least one modality.

    Attributes
    ----------
    own : Tensor, (batch, n_modalities)
        1 where a sample of this process has the modality, else 0.
    whole : Tensor, (processes * batch, n_modalities)
        The same for the samples of all processes.
    """

    def __init__(self, present: Tensor) -> None:
        self.own = present.float()
        (self.whole,) = of_all_processes([self.own])

    @classmethod
    def of(cls, present: Tensor | None) -> Presence | None:
        """The presence of a batch; None where no sample lacks a modality."""
        return None if present is None else cls(present)

    def measured(self, k: int) -> Tensor:
        """Weights (batch,) of the samples that have modality `k`.

        Over all processes the weights add up to the number of processes, since losses are averaged.
        """
        return self._weights(lambda present: present[:, k])

    def with_another(self, k: int) -> Tensor:
        """Weights (batch,) of the samples that have modality `k` and at least one other."""
        return self._weights(lambda present: present[:, k] * (present.sum(1) > 1))

    def several(self) -> Tensor:
        """Weights (batch,) of the samples that have at least two modalities."""
        return self._weights(lambda present: (present.sum(1) > 1).float())

    def mean(self, latents: Sequence[Tensor], left_out: int | None = None) -> Tensor:
        """Mean (batch, rank) of each sample's latents over the modalities; 0 for a sample that has none of them.

        Parameters
        ----------
        latents : sequence of Tensor, each (batch, rank)
            One for each modality.
        left_out : int or None, default=None
            A modality that the mean leaves out.
        """
        here = self.own.clone()
        if left_out is not None:
            here[:, left_out] = 0.0
        total = sum(here[:, [k]] * z for k, z in enumerate(latents))
        return torch.as_tensor(total) / here.sum(1, keepdim=True).clamp_min(1.0)

    def _weights(self, needed: Callable[[Tensor], Tensor]) -> Tensor:
        processes = len(self.whole) / len(self.own)
        return needed(self.own) * processes / needed(self.whole).sum().clamp_min(1.0)


def rows_of(presence: Presence | None, k: int) -> Tensor | slice:
    """Selection of the samples that have modality `k`."""
    return slice(None) if presence is None else presence.own[:, k] > 0


def mean_square(difference: Tensor, weights: Tensor | None) -> Tensor:
    """Weighted mean square, a scalar.

    Parameters
    ----------
    difference : Tensor, (*weights.shape, *shape of a sample)
        Differences of samples and their reconstructions.
    weights : Tensor or None
        Weights that add up to 1; None gives all samples the same weight.
    """
    if weights is None:
        return difference.square().mean()
    return (weights * difference.square().flatten(weights.dim()).mean(-1)).sum()


def squared_error(part: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """`mean_square` of the difference of `part` and `target`."""
    return mse_loss(part, target) if weights is None else mean_square(part - target, weights)
