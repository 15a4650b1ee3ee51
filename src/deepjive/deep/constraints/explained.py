"""The fraction of individual scores that a ridge regression explains, with its gradient.

Operations on small batches take longer to start than to compute, and derivatives of a regression by automatic
differentiation are many operations. The gradient is therefore written out here, and computed together with the value.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepjive.deep.constraints.algebra import FourierFeatures, cholesky

BOUND = 1.5  # scaled median absolute deviations, which are standard deviations of normal scores; tanh bounds beyond it


def explained_fraction(z: Tensor, phi: Tensor, ridge: float, n_cosines: int) -> Tensor:
    """Fraction of the variance of bounded scores, and of cosines of scores, that a ridge regression explains: a scalar.

    Parameters
    ----------
    z : Tensor, (batch, rank)
        Individual scores. A gradient flows into them alone.
    phi : Tensor, (batch, m)
        Centred regressors.
    ridge : float
        Number added to the diagonal of their Gram matrix.
    n_cosines : int
        Number of random cosines. The mean over them counts as much as the mean over bounded scores.
    """
    fourier = FourierFeatures(z.shape[1], n_cosines, z.device)
    fraction: Tensor = _Explained.apply(z, phi, ridge, fourier)
    return fraction


class _Explained(torch.autograd.Function):
    """`explained_fraction`, with fixed random cosines.

    With centred targets T, products P = phi' T and G = phi' phi + ridge, the squared error of target t falls by
    p' V p, where V = G^-1 + ridge G^-2. The explained fraction is f = p' V p / t't, with the gradient
    2 (phi V p - f t) / t't.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, phi: Tensor, ridge: float, fourier: FourierFeatures) -> Tensor:
        rank, n_cosines = z.shape[1], fourier.phases.numel()
        centre, deviation = _centre_and_deviation(z)
        z = (z - centre) / deviation
        bounded, angles = torch.tanh(z / BOUND), fourier.angles(z)
        targets = _centred(torch.cat([bounded, torch.cos(angles) * math.sqrt(2.0)], dim=1))
        gram, products = phi.T @ phi, phi.T @ targets
        gram.diagonal().add_(ridge)
        inverse = torch.cholesky_inverse(cholesky(gram))
        weights = inverse @ products
        weights = torch.addmm(weights, inverse, weights, alpha=ridge)
        squares = targets.square().sum(0) + 1e-8
        fractions = (products * weights).sum(0) / squares
        halves = [part for part in (rank, n_cosines) if part]
        means = torch.cat([z.new_full((part,), 1 / part / len(halves)) for part in halves])
        if ctx.needs_input_grad[0]:
            slopes = 2 * means / squares
            of_targets = phi @ (weights * slopes) - targets * (fractions * slopes)
            of_z = of_targets[:, :rank] * (1 - bounded.square()) / BOUND
            of_angles = of_targets[:, rank:] * torch.sin(angles) * math.sqrt(2.0)
            ctx.save_for_backward((of_z - of_angles @ fourier.directions.T) / deviation)
        return fractions @ means

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (of_z,) = ctx.saved_tensors
        return gradient * of_z, None, None, None


def _centre_and_deviation(z: Tensor) -> tuple[Tensor, Tensor]:
    """Median and scaled median absolute deviation of each score, which outliers hardly change."""
    centre = _median(z)
    return centre, _median((z - centre).abs()) * 1.4826 + 1e-6  # a normal score's standard deviation


def _median(x: Tensor) -> Tensor:
    """The upper median of each column, by sorting: torch's own median is not deterministic on GPUs."""
    return x.sort(dim=0).values[len(x) // 2]


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(0)
