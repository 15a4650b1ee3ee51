"""The explained fraction and its gradient, beside automatic differentiation of the same formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from deepjive.deep.constraints.algebra import FourierFeatures
from deepjive.deep.constraints.explained import BOUND, _Explained


def straightforward(z: Tensor, phi: Tensor, ridge: float, fourier: FourierFeatures) -> Tensor:
    with torch.no_grad():
        centre = z.sort(dim=0).values[len(z) // 2]
        deviation = (z - centre).abs().sort(dim=0).values[len(z) // 2] * 1.4826 + 1e-6
    z = (z - centre) / deviation
    cosines = math.sqrt(2) * torch.cos(z @ fourier.directions + fourier.phases)
    fractions = []
    for targets in (torch.tanh(z / BOUND), cosines):
        if targets.shape[1]:
            t = targets - targets.mean(0)
            weights = torch.linalg.solve(phi.T @ phi + ridge * torch.eye(phi.shape[1], dtype=z.dtype), phi.T @ t)
            left = (t - phi @ weights).square().sum(0)
            squares = t.square().sum(0)
            fractions.append(((squares - left) / (squares + 1e-8)).mean())
    return torch.stack(fractions).mean()


@pytest.mark.parametrize(("rank", "n_cosines"), [(1, 0), (2, 5), (3, 64)])
def test_value_and_gradient_are_those_of_automatic_differentiation(rank: int, n_cosines: int) -> None:
    generator = torch.Generator().manual_seed(rank)
    joint, noise = (torch.randn(40, size, dtype=torch.float64, generator=generator) for size in (4, rank))
    phi = joint - joint.mean(0)
    z = (joint[:, :rank] + noise).requires_grad_()
    fourier = FourierFeatures(rank, n_cosines, z.device, generator)
    fourier.directions, fourier.phases = fourier.directions.double(), fourier.phases.double()
    found, expected = _Explained.apply(z, phi, 0.4, fourier), straightforward(z, phi, 0.4, fourier)
    torch.testing.assert_close(found, expected)
    assert found > 0.05
    gradients = [torch.autograd.grad(3.0 * one, z)[0] for one in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_a_gradient_is_computed_only_where_it_is_needed() -> None:
    phi, z = torch.randn(40, 4), torch.randn(40, 2)
    fourier = FourierFeatures(2, 8, z.device)
    assert not _Explained.apply(z, phi, 0.4, fourier).requires_grad
    with torch.no_grad():
        assert not _Explained.apply(z.requires_grad_(), phi, 0.4, fourier).requires_grad
