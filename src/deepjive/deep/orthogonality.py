"""Orthogonality: individual latents carry nothing that can be predicted from the joint scores.

- closed form (ours)    penalty = mean_k  fraction of what z_S,k shows that a ridge regression explains, on random
                        Fourier features of what it must not depend on, solved exactly on every batch. It shows its
                        scores, as far as they are usual, and cosines of them;
- regression (paper)    a network R_k is trained, by its own optimizer, to predict z_S,k from z_J; the residual
                        z_S,k - R_k(z_J) is the individual latent, and what R_k explains is penalized.

A fraction of the scores' own variance could be lowered by making a few samples' scores huge: these are then most of the
variance, and the dependence of all the others counts for nothing. So scores are measured in median absolute deviations
and bounded. Cosines see what means do not, such as a spread that depends on the joint scores.

Both are zero for independent latents. The closed form also takes the other modalities' individual latents, JIVE's
second condition: individual parts share nothing.

Sources: DeepJIVE (arXiv 2507.19682), section 2.3.3, as summarised publicly; random Fourier features: Rahimi and Recht
(2007), "Random features for large-scale kernel machines".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from deepjive.deep.algebra import cholesky
from deepjive.deep.fourier import FourierFeatures
from deepjive.deep.networks import NoScores

LEAST_ROWS = 4
USUAL = 1.5  # median absolute deviations, scaled to be standard deviations of normal scores; beyond, scores are bounded

OrthogonalityName = Literal["closed_form", "regression"]


class ClosedForm(nn.Module):
    """Explained fraction by ridge regression on random Fourier features.

    Parameters
    ----------
    features : int
        Most random features; a batch of `b` samples gets at most `b / 4`, so that chance explains little.
    ridge : float
        Weight of the ridge, relative to the number of samples.
    cosines : int
        Number of random cosines of the individual latents that are looked at.
    """

    def __init__(self, features: int = 64, ridge: float = 1e-2, cosines: int = 64) -> None:
        super().__init__()
        self.features, self.ridge, self.cosines = features, ridge, cosines

    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Mean over modalities of the explained fraction.

        Parameters
        ----------
        individual : sequence of Tensor, each (batch, individual_rank)
            Individual latents of each modality.
        joint : Tensor, (batch, joint_rank)
            Joint scores; no gradient flows into them.
        present : Tensor of bool, (batch, n_modalities), or None
            Which sample has which modality. Of each, the samples that have it count, with the mean where another's
            latent is not there; fewer than `LEAST_ROWS` a regressor tell nothing.

        Returns
        -------
        Tensor, scalar in [0, 1]
        """
        if present is not None:
            individual = [_mean_where_absent(z, here) for z, here in zip(individual, present.T, strict=True)]
        fractions = []
        for k, z in enumerate(individual):
            if z.shape[1] == 0:
                continue
            others = [other for i, other in enumerate(individual) if i != k]
            regressors = torch.cat([joint, *others], dim=1).detach()
            if present is not None:
                z, regressors = z[present[:, k]], regressors[present[:, k]]
            enough = present is None or len(z) >= LEAST_ROWS * regressors.shape[1]
            if regressors.shape[1] and enough:
                fractions.append(self.explained(z, regressors))
        return torch.stack(fractions).mean() if fractions else joint.new_zeros(())

    def explained(self, z: Tensor, regressors: Tensor) -> Tensor:
        """Fraction of what `z` shows that `regressors` explain within the batch: half of it scores, half cosines."""
        with torch.autocast(z.device.type, enabled=False):
            phi = self._fourier(_standardized(regressors.float()))
            gram = phi.T @ phi + self.ridge * len(z) * torch.eye(phi.shape[1], device=z.device)
            z, rank = _in_usual_deviations(z.float()), z.shape[1]
            cosines = FourierFeatures(rank, self.cosines, z.device)(z)[:, rank:]
            shown = _centred(torch.cat([torch.tanh(z / USUAL), cosines], dim=1))
            found = phi @ torch.cholesky_solve(phi.T @ shown, cholesky(gram))
            reduced = 2 * (shown * found).sum(0) - found.square().sum(0)  # the exact reduction of error
            fractions = reduced / (shown.square().sum(0) + 1e-8)
            return torch.stack([half.mean() for half in fractions.split((rank, self.cosines)) if len(half)]).mean()

    def _fourier(self, x: Tensor) -> Tensor:
        """The regressors and random cosines of them, centred: (batch, regressors + features)."""
        count = min(self.features, max(0, len(x) // 4 - x.shape[1]))
        return _centred(FourierFeatures(x.shape[1], count, x.device)(x))


class Regression(nn.Module):
    """The paper's regression network, one for each modality.

    Parameters
    ----------
    joint_rank : int
        Number of joint scores.
    individual_ranks : sequence of int
        Number of individual scores of each modality.
    width : int
        Hidden units in each of the two layers.
    """

    def __init__(self, joint_rank: int, individual_ranks: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            _perceptron(joint_rank, width, rank) if rank else NoScores() for rank in individual_ranks
        )

    def residual(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """The orthogonalized individual latent z_S,k - R_k(z_J); no gradient reaches R_k or z_J."""
        return z - self._frozen(k, joint.detach())

    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Mean over modalities of the fraction of z_S,k's variance that R_k explains; R_k itself is left alone."""
        fractions = []
        for k, (z, scores) in enumerate(_measured(individual, joint, present)):
            if z.shape[1] and (present is None or len(z) > 1):
                rest = self.residual(k, z, scores)
                fractions.append(1 - _centred(rest).square().sum() / (_centred(z).square().sum() + 1e-8))
        return torch.stack(fractions).mean().clamp_min(0.0) if fractions else joint.new_zeros(())

    def fit_term(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """What R_k is trained on: the unexplained fraction of z_S,k, which is left alone."""
        terms = [
            (z.detach() - network(scores.detach())).square().sum() / (_centred(z.detach()).square().sum() + 1e-8)
            for network, (z, scores) in zip(self.networks, _measured(individual, joint, present), strict=True)
            if z.shape[1]
        ]
        return torch.stack(terms).mean() if terms else joint.new_zeros(())

    def _frozen(self, k: int, joint: Tensor) -> Tensor:
        network = self.networks[k]
        weights = {name: weight.detach() for name, weight in network.named_parameters()}
        return functional_call(network, weights, (joint,))


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, outputs)
    )


def _measured(individual: Sequence[Tensor], joint: Tensor, present: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """For each modality the individual latents and joint scores of the samples that have it."""
    if present is None:
        return [(z, joint) for z in individual]
    return [(z[here], joint[here]) for z, here in zip(individual, present.T, strict=True)]


def _mean_where_absent(z: Tensor, here: Tensor) -> Tensor:
    mean = z[here].sum(0) / here.sum().clamp_min(1)
    return torch.where(here[:, None], z, mean)


def _in_usual_deviations(z: Tensor) -> Tensor:
    """Each score less its median, in median absolute deviations, which outliers leave as they are."""
    with torch.no_grad():
        centre = _median(z)
        deviation = _median((z - centre).abs()) * 1.4826
    return (z - centre) / (deviation + 1e-6)


def _median(x: Tensor) -> Tensor:
    """The upper median of each column, by sorting: torch's own is not deterministic on GPUs."""
    return x.sort(dim=0).values[len(x) // 2]


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(0)


def _standardized(x: Tensor) -> Tensor:
    x = _centred(x)
    return x / (x.std(0, unbiased=False) + 1e-6)
