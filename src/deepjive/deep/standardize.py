"""Scores in a standard form: mean 0, variance 1, uncorrelated, the most important first.

A network's latents are determined only up to an invertible map, so after training they are given a form of their own,
as AJIVE's common scores have: whitened over the training samples and rotated so that each score in turn explains as
much as possible of the variance of its part, to first order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from deepjive.deep.model import Network

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
def standardize(network: Network, standardizers: nn.ModuleList, batches: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """Fit the standardizers of a trained network.

    Parameters
    ----------
    network : Network
        Trained.
    standardizers : nn.ModuleList of Standardizer
        Of the joint scores, then of each modality's individual scores; fitted in place.
    batches : iterable of lists of Tensor, each (batch, *shape)
        The training samples.

    Returns
    -------
    list of Tensor, each of a sample's shape
        Mean of each individual part, which belongs to the joint part; zero where there is no joint part.
    """
    network.eval()
    count = len(network.individual_ranks)
    latents: list[list[Tensor]] = [[] for _ in range(1 + count)]
    parts: list[list[list[Tensor]]] = [[[] for _ in range(count)] for _ in range(2)]
    sums: list[Tensor] = []
    for number, x in enumerate(batches):
        joint = network.joint_scores(x)
        individual = [z for z in network.individual_scores(x, joint) if z is not None]
        for collected, z in zip(latents, (joint, *individual), strict=True):
            collected.append(z)
        own = [network.individual_part(k, z, joint) for k, z in enumerate(individual)]
        added = [part.double().sum(0) for part in own]
        sums = [total + more for total, more in zip(sums, added, strict=True)] if sums else added
        if number < BATCHES_DECODED:
            for k, part in enumerate(own):
                parts[0][k].append(network.joint_part(k, joint))
                parts[1][k].append(part)
    joint_parts, individual_parts = ([torch.cat(pieces) for pieces in group] for group in parts)
    standardizers.to(sums[0].device)
    for number, standardizer in enumerate(standardizers):
        decoded = individual_parts[number - 1 : number] if number else joint_parts
        cast(Standardizer, standardizer).fit(torch.cat(latents[number]), decoded)
    n = sum(len(z) for z in latents[0])
    return [(total / n).float() if network.joint_rank else torch.zeros_like(total).float() for total in sums]


def _importance_rotation(white: Tensor, parts: list[Tensor]) -> Tensor:
    """Principal axes, largest first, of the linear effect of white scores on the parts; signs made definite."""
    effect = torch.zeros(white.shape[1], white.shape[1], dtype=torch.float64, device=white.device)
    for part in parts:
        slopes = white.T @ part.flatten(1).double() / len(white)
        effect += slopes @ slopes.T
    rotation = torch.linalg.eigh(effect)[1].flip(1)
    largest = rotation.abs().argmax(0)
    return rotation * rotation[largest, torch.arange(len(largest), device=white.device)].sign()
