"""The gain of trained networks over linear joint scores, on the validation samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepjive.deep.geometry.joint_ridge import fit_joint_ridge
from deepjive.deep.geometry.nonlinearity import NonlinearGain
from deepjive.deep.geometry.start import coordinates_within
from deepjive.deep.model import Network
from deepjive.deep.training.batches import Batch, Batches

FEWEST = 5  # validation samples


@torch.no_grad()
def gain_of_network(
    network: Network, batches: Batches, train_rows: Tensor, validation_rows: Tensor
) -> NonlinearGain | None:
    """Compare held-out predictions of every modality from the others: by the network, and by linear joint scores.

    Parameters
    ----------
    network : Network
        The trained network.
    batches : Batches
        The data that the network was trained on.
    train_rows, validation_rows : Tensor of int
        The rows that were trained on, to which the linear scores are fitted, and the held-out rows.

    Returns
    -------
    NonlinearGain or None
        None where fewer than 5 validation samples have every modality.
    """
    x, held_out = _complete(batches.sample(train_rows)), _complete(batches.sample(validation_rows))
    if len(held_out[0]) < FEWEST or len(x[0]) < 2 * FEWEST:
        return None
    latents = network.latents(held_out)
    parts = [network.joint_part(k, network.identity.mean_without(latents, k)) for k in range(len(held_out))]
    nonlinear = np.stack([_lengths(samples - part) for samples, part in zip(held_out, parts, strict=True)])
    means = [samples.flatten(1).mean(0) for samples in x]
    centred = [samples.flatten(1) - mean for samples, mean in zip(x, means, strict=True)]
    new = [samples.flatten(1) - mean for samples, mean in zip(held_out, means, strict=True)]
    groups = batches.groups(train_rows)
    if groups is not None and len(groups) != len(x[0]):  # samples without a modality are left out
        groups = None
    linear = _linear_errors(centred, new, network.joint_rank, groups)
    variance = np.stack([_lengths(samples) for samples in new]).mean(axis=1, keepdims=True)
    gains = ((linear - nonlinear) / variance).mean(axis=0)
    uncertain = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return NonlinearGain(float(gains.mean()), uncertain, float(1 - (linear / variance).mean()), trained=True)


def _linear_errors(x: Sequence[Tensor], new: Sequence[Tensor], rank: int, groups: NDArray | None) -> NDArray:
    """Squared errors (n_modalities, n_new) of a joint ridge regression on centred samples (n, p)."""
    ridge = fit_joint_ridge([coordinates_within(samples) for samples in x], rank, 0, groups)
    crossed = [(others @ samples.T).double().cpu().numpy() for samples, others in zip(x, new, strict=True)]
    latents = [cross @ weights for cross, weights in zip(crossed, ridge.encoders, strict=True)]
    total, errors = np.sum(latents, axis=0), []
    for k, weights in enumerate(ridge.decoders):
        scores = (total - latents[k]) / (len(x) - 1) * (np.arange(weights.shape[1]) < ridge.predicted)
        errors.append(_lengths(new[k] - torch.from_numpy(scores @ weights.T).to(x[k]) @ x[k]))
    return np.stack(errors)


def _complete(batch: Batch) -> list[Tensor]:
    """The samples that have every modality."""
    x, present = batch
    return list(x) if present is None else [samples[present.all(1)] for samples in x]


def _lengths(x: Tensor) -> NDArray:
    """Squared length of each sample."""
    return x.flatten(1).double().square().sum(1).cpu().numpy()
