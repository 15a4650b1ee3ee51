"""Scores in a standard form: mean 0, variance 1, uncorrelated, the most important first.

A network's latents are determined only up to an invertible map, so after training they are given a form of their own,
as AJIVE's common scores have: whitened over the training samples and rotated so that each score in turn explains as
much as possible of the variance of its part, to first order.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from deepjive.deep.constraints.presence import Presence, rows_of
from deepjive.deep.model import Network
from deepjive.deep.runtime.distributed import number, processes, summed
from deepjive.deep.training.batches import Batches

BATCHES_DECODED = 4


class Standardizer(nn.Module):
    """An affine map from latents to standard scores, and back.

    Parameters
    ----------
    rank : int
        Number of scores.
    """

    mean: Tensor
    forward_map: Tensor
    backward_map: Tensor

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(rank))
        self.register_buffer("forward_map", torch.eye(rank))
        self.register_buffer("backward_map", torch.eye(rank))

    @torch.no_grad()
    def fit(self, latents: Tensor, parts: list[Tensor]) -> None:
        """Find the map.

        Parameters
        ----------
        latents : Tensor, (n, rank)
            Latents of the training samples.
        parts : list of Tensor, each (n, ...)
            What they are decoded to, for a sample of the training samples or all of them.
        """
        if latents.shape[1] == 0:
            return
        z = latents.double()
        self.mean.copy_(z.mean(0))
        covariance = (z - self.mean).T @ (z - self.mean) / len(z)
        values, vectors = torch.linalg.eigh(covariance)
        spread = values.clamp_min(values[-1] * 1e-12).clamp_min(1e-24).sqrt()
        white = ((z - self.mean) @ vectors) / spread
        rotation = _importance_rotation(white[: len(parts[0])], parts)
        self.forward_map.copy_((vectors / spread) @ rotation)
        self.backward_map.copy_(rotation.T @ (spread[:, None] * vectors.T))

    def forward(self, latents: Tensor) -> Tensor:
        """Latents to standard scores, both (n, rank)."""
        return (latents - self.mean) @ self.forward_map

    def inverse(self, scores: Tensor) -> Tensor:
        """Standard scores to latents, both (n, rank)."""
        return scores @ self.backward_map + self.mean


@torch.no_grad()
def standardize(
    network: Network, standardizers: nn.ModuleList, batches: Batches, rows: Tensor, batch_size: int
) -> list[Tensor]:
    """Fit the standardizers of a trained network; several processes share the batches.

    Parameters
    ----------
    network : Network
        Trained.
    standardizers : nn.ModuleList of Standardizer
        Of the joint scores, then of each modality's individual scores; fitted in place.
    batches : Batches
        The data.
    rows : Tensor of int
        The training samples.
    batch_size : int
        Samples to compute with at once.

    Returns
    -------
    list of Tensor, each of a sample's shape
        Mean of each individual part, which belongs to the joint part; zero where there is no joint part.
    """
    network.eval()
    pieces = rows.split(batch_size)
    own = range(number(), len(pieces), processes())
    ranks = network.joint_rank, *network.individual_ranks
    latents = [torch.zeros(len(rows), rank, device=batches.device) for rank in ranks]
    shapes = batches.data.shapes.values()
    sums = [torch.zeros(shape, dtype=torch.float64, device=batches.device) for shape in shapes]
    for i, (x, present) in zip(own, batches(torch.cat([rows[:0], *(pieces[i] for i in own)]), batch_size), strict=True):
        presence = Presence.of(present)
        joint = network.joint_scores(x, presence)
        individual = [z for z in network.individual_scores(x, joint) if z is not None]
        for whole, z in zip(latents, (joint, *individual), strict=True):
            whole[i * batch_size :][: len(z)] = z
        for k, z in enumerate(individual):
            here = rows_of(presence, k)
            sums[k] += network.individual_part(k, z[here], joint[here]).double().sum(0)
    joint, *individual = [summed(z) for z in latents]
    some = slice(0, BATCHES_DECODED * batch_size)
    standardizers.to(batches.device)
    first, *others = (cast(Standardizer, standardizer) for standardizer in standardizers)
    first.fit(joint, [network.joint_part(k, joint[some]) for k in range(len(individual))])
    means = []
    for k, (z, standardizer) in enumerate(zip(individual, others, strict=True)):
        here = batches.having(k, rows)
        standardizer.fit(z[here], [network.individual_part(k, z[here][some], joint[here][some])])
        means.append(summed(sums[k]) / len(z[here]))
    return [mean.float() if network.joint_rank else torch.zeros_like(mean).float() for mean in means]


def _importance_rotation(white: Tensor, parts: list[Tensor]) -> Tensor:
    """Principal axes, largest first, of the linear effect of white scores on the parts; signs made definite."""
    effect = torch.zeros(white.shape[1], white.shape[1], dtype=torch.float64, device=white.device)
    for part in parts:
        slopes = white.T @ part.flatten(1).double() / len(white)
        effect += slopes @ slopes.T
    rotation = torch.linalg.eigh(effect)[1].flip(1)
    largest = rotation.abs().argmax(0)
    return rotation * rotation[largest, torch.arange(len(largest), device=white.device)].sign()
