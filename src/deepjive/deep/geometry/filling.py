"""Samples that lack modalities, made whole for the start of training.

The signals of all modalities side by side, `c = (c_1, ..., c_K)`, are taken for normal. Their mean and covariance come
from the EM algorithm for samples of which some of the `c_k` are missing (Dempster, Laird and Rubin, 1977, section 4.1):
what is missing is expected from what is there,

    c_m = mean_m + C_mo C_oo^-1 (c_o - mean_o)         o: measured, m: missing

and the moments are those of the samples made whole, with `C_mm - C_mo C_oo^-1 C_om` added where it was expected only.
As many samples as there are coordinates are taken in addition to have uncorrelated signals, so that a covariance is
found from few samples too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDS = 50
ENOUGH = 1e-3
RIDGE = 1e-3


def filled(coordinates: Sequence[Tensor], present: Tensor) -> list[Tensor]:
    """Signals of all samples.

    Parameters
    ----------
    coordinates : sequence of Tensor, each (n_k, rank_k)
        Signal of the samples that have modality `k`, in uncorrelated coordinates.
    present : Tensor of bool, (n, n_modalities)
        Which samples these are; each has at least one modality.

    Returns
    -------
    list of Tensor, each (n, rank_k)
    """
    widths = [c.shape[1] for c in coordinates]
    c = torch.zeros(len(present), sum(widths), dtype=torch.float64, device=present.device)
    sizes = [one.double().square().mean().sqrt().clamp_min(1e-300) for one in coordinates]
    for k, (part, one) in enumerate(zip(c.split(widths, dim=1), coordinates, strict=True)):
        part[present[:, k]] = one.double() / sizes[k]
    there = present.repeat_interleave(torch.tensor(widths, device=present.device), dim=1)
    patterns, owner = there.unique(dim=0, return_inverse=True)
    mean = c.sum(0) / there.sum(0).clamp_min(1)
    covariance = torch.diag(torch.where(there, c - mean, 0.0).square().sum(0) / there.sum(0).clamp_min(1))
    for round_ in range(ROUNDS):
        before, moments = c.clone(), torch.zeros_like(covariance)
        for number, here in enumerate(patterns):
            rows = owner == number
            slopes = _slopes(covariance, here)
            c[rows] = torch.where(here, c[rows], mean + (c[rows] - mean) @ slopes)
            left = covariance - slopes.T @ covariance
            moments += torch.where(here[:, None] | here, 0.0, left) * rows.sum()
        mean = c.mean(0)
        moments += (c - mean).T @ (c - mean)
        n, prior = len(c), c.shape[1]
        covariance = (moments + prior * torch.diag(moments.diagonal() / n)) / (n + prior)
        # in the first round signals are uncorrelated, so that all that is missing is expected to be the mean
        if round_ and float((c - before).norm()) <= ENOUGH * float(c.norm()):
            break
    return [part * size for part, size in zip(c.split(widths, dim=1), sizes, strict=True)]


def _slopes(covariance: Tensor, here: Tensor) -> Tensor:
    """Regression (all, all) of all coordinates on those that are there; rows of the others are zero."""
    known = covariance[here][:, here]
    ridge = RIDGE * known.diagonal().mean() * torch.eye(len(known), dtype=known.dtype, device=known.device)
    slopes = torch.zeros_like(covariance)
    slopes[here] = torch.linalg.solve(known + ridge, covariance[here])
    return slopes
