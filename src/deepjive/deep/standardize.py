"""Standard form of the scores: mean 0, variance 1, uncorrelated, the most important score first.

The latents of a network are determined only up to an invertible map. After training they get the same standard form
as the common scores of AJIVE: they are whitened over the training samples, and rotated so that each score in turn
explains as much variance of its part as possible, to first order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepjive.deep.constraints.presence import Presence, rows_of
from deepjive.deep.model import Network
from deepjive.deep.runtime.distributed import number, processes, summed
from deepjive.deep.training.batches import Batch, Batches

BATCHES_DECODED = 4


class Standardizer(nn.Module):
    """Affine map from latents to standard scores, and back.

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
        """Compute the map from the latents of the training samples.

        Parameters
        ----------
        latents : Tensor, (n, rank)
            Latents of the training samples.
        parts : list of Tensor, each (m, ...)
            Decoded parts of the first m of these samples.
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
        The trained network.
    standardizers : nn.ModuleList of Standardizer
        Standardizer of the joint scores, then of the individual scores of each modality; fitted in place.
    batches : Batches
        The data.
    rows : Tensor of int
        Numbers of the training samples.
    batch_size : int
        Number of samples to compute with at once.

    Returns
    -------
    list of Tensor, each of the shape of one sample
        Mean of each individual part, which is moved to the joint part; zero if the joint rank is 0.
    """
    network.eval()
    ranks = network.joint_rank, *network.individual_ranks
    latents = [torch.zeros(len(rows), rank, device=batches.device) for rank in ranks]
    shapes = batches.data.shapes.values()
    sums = [torch.zeros(shape, dtype=torch.float64, device=batches.device) for shape in shapes]
    for start, (x, present) in _shared_batches(batches, rows, batch_size):
        presence = Presence.of(present)
        joint = network.joint_scores(x, presence)
        individual = [z for z in network.individual_scores(x, joint) if z is not None]
        for whole, z in zip(latents, (joint, *individual), strict=True):
            whole[start:][: len(z)] = z
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


@dataclass(frozen=True)
class SampleScores:
    """Standard scores of samples, and the variance that the parts explain.

    Attributes
    ----------
    joint : array, shape (n_samples, joint_rank)
        Joint scores.
    individual : list of array, each of shape (n_samples, individual_rank)
        Individual scores of each modality; NaN where a sample lacks the modality.
    variance_explained : list of dict of str to float
        Fractions "joint", "individual" and "residual" of each modality, as of `Decomposition.variance_explained`.
    residual_std : list of array, each of the shape of one sample
        Root mean square of each feature's residual, in units of the scaled data.
    """

    joint: NDArray
    individual: list[NDArray]
    variance_explained: list[dict[str, float]]
    residual_std: list[NDArray]


@torch.no_grad()
def score_samples(
    network: Network, standardizers: nn.ModuleList, offsets: list[Tensor], batches: Batches, batch_size: int
) -> SampleScores:
    """Score all samples in one pass over the data; several processes share the batches.

    The parts of a batch are decoded, measured and dropped, so that memory holds the parts of one batch only.

    Parameters
    ----------
    network : Network
        The trained network.
    standardizers : nn.ModuleList of Standardizer
        Fitted standardizers of the joint scores, then of the individual scores of each modality.
    offsets : list of Tensor, each of the shape of one sample
        Means of the individual parts, which belong to the joint parts.
    batches : Batches
        The data.
    batch_size : int
        Number of samples to compute with at once.

    Returns
    -------
    SampleScores
    """
    n = len(batches.data)
    ranks = network.joint_rank, *network.individual_ranks
    scores = [torch.zeros(n, rank, dtype=torch.float64, device=batches.device) for rank in ranks]
    squares = torch.zeros(len(offsets), 2, dtype=torch.float64, device=batches.device)
    residuals = [torch.zeros_like(offset, dtype=torch.float64) for offset in offsets]
    for start, (x, present) in _shared_batches(batches, torch.arange(n), batch_size):
        presence = Presence.of(present)
        joint = network.joint_scores(x, presence)
        individual = [cast(Tensor, z) for z in network.individual_scores(x, joint)]
        for whole, z, standardizer in zip(scores, (joint, *individual), standardizers, strict=True):
            whole[start:][: len(z)] = standardizer(z.double())
        for k, z in enumerate(individual):
            here = rows_of(presence, k)
            without_joint = x[k][here] - network.joint_part(k, joint[here]) - offsets[k]
            residual = without_joint - (network.individual_part(k, z[here], joint[here]) - offsets[k])
            for column, values in enumerate((x[k][here], without_joint)):
                squares[k, column] += values.double().square().sum()
            residuals[k] += residual.double().square().sum(0)
    joint_scores, *individual_scores = [summed(z).cpu().numpy() for z in scores]
    for k, of_modality in enumerate(individual_scores):
        of_modality[~batches.data.present[:, k]] = np.nan
    totals, counts = summed(squares).tolist(), batches.data.present.sum(axis=0)
    by_feature = [summed(residual).cpu().numpy() for residual in residuals]
    fractions = [_fractions(a, b, float(residual.sum())) for (a, b), residual in zip(totals, by_feature, strict=True)]
    residual_std = [np.sqrt(residual / max(n, 1)) for residual, n in zip(by_feature, counts, strict=True)]
    return SampleScores(joint_scores, individual_scores, fractions, residual_std)


def _shared_batches(batches: Batches, rows: Tensor, batch_size: int) -> Iterator[tuple[int, Batch]]:
    """The batches that this process computes, each with the position of its first row in `rows`."""
    pieces = rows.split(batch_size)
    shared = range(number(), len(pieces), processes())
    own_rows = torch.cat([rows[:0], *(pieces[i] for i in shared)])
    for i, batch in zip(shared, batches(own_rows, batch_size), strict=True):
        yield i * batch_size, batch


def _fractions(total: float, without_joint: float, residual: float) -> dict[str, float]:
    """Fractions of variance from sums of squares of the data, without the joint part, and without both parts."""
    if total == 0.0:
        return {"joint": np.nan, "individual": np.nan, "residual": np.nan}
    without_joint, residual = without_joint / total, residual / total
    return {"joint": 1.0 - without_joint, "individual": without_joint - residual, "residual": residual}


def _importance_rotation(white: Tensor, parts: list[Tensor]) -> Tensor:
    """Principal axes, largest first, of the linear effect of white scores on the parts, with a fixed sign."""
    effect = torch.zeros(white.shape[1], white.shape[1], dtype=torch.float64, device=white.device)
    for part in parts:
        slopes = white.T @ part.flatten(1).double() / len(white)
        effect += slopes @ slopes.T
    rotation = torch.linalg.eigh(effect)[1].flip(1)
    largest = rotation.abs().argmax(0)
    return rotation * rotation[largest, torch.arange(len(largest), device=white.device)].sign()
