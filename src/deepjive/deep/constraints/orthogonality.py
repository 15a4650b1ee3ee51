"""Orthogonality: individual latents carry nothing that can be predicted from the joint scores.

- closed form (ours)    penalty = mean_k  fraction of what z_S,k shows that a ridge regression explains, on random
                        Fourier features of what it must not depend on, solved exactly on every batch. It shows its
                        scores, as far as they are usual, and cosines of them;
- regression (paper)    a network R_k is trained, by its own optimizer, to predict z_S,k from z_J; the residual
                        z_S,k - R_k(z_J) is the individual latent, and what R_k explains is penalized;
- adversary             a network A_k is trained, by its own optimizer, to predict z_J from z_S,k with noise added; the
                        variance of its predictions is penalized. The decoder sees z_S,k with noise, too.

A fraction of the scores' own variance could be lowered by making a few samples' scores huge: these are then most of the
variance, and the dependence of all the others counts for nothing. So scores are measured in median absolute deviations
and bounded. Cosines see what means do not, such as a spread that depends on the joint scores.

A batch holds too few samples to show all that ten individual scores together say of thirty joint ones; a network that
learns from all batches finds it. What an adversary cannot see it cannot forbid, so that an encoder would keep it in
variations as small as it takes: noise covers these, for the decoder as for the adversary.

All are zero for independent latents. The closed form and the adversary also take the other modalities' individual
latents, JIVE's second condition: individual parts share nothing.

Sources: DeepJIVE (arXiv 2507.19682), section 2.3.3, as summarised publicly; random Fourier features: Rahimi and Recht
(2007), "Random features for large-scale kernel machines"; an adversary that predicts the other modality, and the
variance of its predictions: Koukuntla et al. (2024, SPLICE, arXiv 2408.12091). Joint scores in the place of the other
modality, and noise, are ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from deepjive.deep.choices import OrthogonalityName
from deepjive.deep.constraints.algebra import cholesky
from deepjive.deep.constraints.fourier import FourierFeatures
from deepjive.deep.networks import NoScores

LEAST_ROWS = 4
USUAL = 1.5  # median absolute deviations, scaled to be standard deviations of normal scores; beyond, scores are bounded

NOISE = 0.3  # standard deviations of a score, that an adversary's scores are covered by


class Orthogonality(nn.Module, ABC):
    """What keeps individual latents from saying anything of the joint scores."""

    def decoded(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """What is decoded of modality k's individual latent (batch, individual_rank)."""
        return z

    @abstractmethod
    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """How much individual latents and joint scores have in common, from 0 to about 1; a scalar.

        Parameters
        ----------
        individual : sequence of Tensor, each (batch, individual_rank)
            Individual latents of each modality.
        joint : Tensor, (batch, joint_rank)
            Joint scores; no gradient flows into them.
        present : Tensor of bool, (batch, n_modalities), or None
            Which sample has which modality.
        """


class Learned(Orthogonality):
    """Orthogonality by networks that have an optimizer of their own.

    Attributes
    ----------
    name : str
        Name of the term that its networks are trained on.
    networks : nn.ModuleList
        One for each modality.
    """

    name: str
    networks: nn.ModuleList

    @abstractmethod
    def fit_term(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """What the networks are trained on; latents and scores, as of `penalty`, are left alone."""

    def _frozen(self, k: int, x: Tensor) -> Tensor:
        """What a network says, without a gradient for the network."""
        network = self.networks[k]
        weights = {name: weight.detach() for name, weight in network.named_parameters()}
        return functional_call(network, weights, (x,))


class ClosedForm(Orthogonality):
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

        Of each modality the samples that have it count, with the mean where another's latent is not there; fewer than
        `LEAST_ROWS` a regressor tell nothing.
        """
        fractions = []
        for z, regressors in _beside_others(individual, joint, present):
            enough = present is None or len(z) >= LEAST_ROWS * regressors.shape[1]
            if z.shape[1] and regressors.shape[1] and enough:
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


class Regression(Learned):
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

    name = "regression"

    def __init__(self, joint_rank: int, individual_ranks: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            _perceptron(joint_rank, width, rank) if rank else NoScores() for rank in individual_ranks
        )

    def decoded(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """The orthogonalized individual latent z_S,k - R_k(z_J); no gradient reaches R_k or z_J."""
        return z - self._frozen(k, joint.detach())

    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Mean over modalities of the fraction of z_S,k's variance that R_k explains; R_k itself is left alone."""
        fractions = []
        for k, (z, scores) in enumerate(_measured(individual, joint, present)):
            if z.shape[1] and (present is None or len(z) > 1):
                rest = self.decoded(k, z, scores)
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


class Adversary(Learned):
    """A network for each modality that predicts the joint scores, and the others' individual ones, from its own.

    Parameters
    ----------
    joint_rank : int
        Number of joint scores.
    individual_ranks : sequence of int
        Number of individual scores of each modality.
    width : int
        Hidden units in each of the two layers.
    noise : float
        Standard deviation of the noise added to individual scores while training, in those of the scores.
    """

    name = "adversary"

    def __init__(self, joint_rank: int, individual_ranks: Sequence[int], width: int = 64, noise: float = NOISE) -> None:
        super().__init__()
        self.noise, every = noise, joint_rank + sum(individual_ranks)
        self.networks = nn.ModuleList(
            _perceptron(rank, width, every - rank) if 0 < rank < every else NoScores() for rank in individual_ranks
        )

    def decoded(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """The individual latent, with noise while training."""
        if not self.training or isinstance(self.networks[k], NoScores):
            return z
        return z + self.noise * _deviation(z) * torch.randn_like(z)

    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Mean over modalities, and all that A_k predicts, of the variance of its predictions; A_k is left alone."""
        found = [
            self._frozen(k, self._shown(z)).float().var(0, unbiased=False).mean()
            for k, (z, _) in enumerate(_beside_others(individual, joint, present))
            if self._has_a_say(k, z)
        ]
        return torch.stack(found).mean() if found else joint.new_zeros(())

    def fit_term(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """What A_k is trained on: the unexplained fraction of all that it predicts."""
        errors = [
            (self.networks[k](self._shown(z.detach())) - _standardized(others)).square().mean()
            for k, (z, others) in enumerate(_beside_others(individual, joint, present))
            if self._has_a_say(k, z)
        ]
        return torch.stack(errors).mean() if errors else joint.new_zeros(())

    def _shown(self, z: Tensor) -> Tensor:
        shown = _centred(z.float()) / _deviation(z.float())
        return shown + self.noise * torch.randn_like(shown) if self.training else shown

    def _has_a_say(self, k: int, z: Tensor) -> bool:
        return not isinstance(self.networks[k], NoScores) and len(z) > 1


def make_orthogonality(
    name: OrthogonalityName | None, joint_rank: int, individual_ranks: Sequence[int]
) -> Orthogonality | None:
    """The orthogonality of a name; none without joint scores for a regression network to predict from."""
    if name == "closed_form":
        return ClosedForm()
    if name == "adversary":
        return Adversary(joint_rank, individual_ranks)
    return Regression(joint_rank, individual_ranks) if name == "regression" and joint_rank else None


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, outputs)
    )


def _measured(individual: Sequence[Tensor], joint: Tensor, present: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """For each modality the individual latents and joint scores of the samples that have it."""
    if present is None:
        return [(z, joint) for z in individual]
    return [(z[here], joint[here]) for z, here in zip(individual, present.T, strict=True)]


def _beside_others(individual: Sequence[Tensor], joint: Tensor, present: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """For each modality the individual latents, and the joint scores and others' latents side by side, detached.

    They are of the samples that have the modality, with the mean where another's latent is not there.
    """
    if present is not None:
        individual = [_mean_where_absent(z, here) for z, here in zip(individual, present.T, strict=True)]
    pairs = []
    for k, z in enumerate(individual):
        others = torch.cat([joint, *(other for i, other in enumerate(individual) if i != k)], dim=1).detach()
        pairs.append((z, others) if present is None else (z[present[:, k]], others[present[:, k]]))
    return pairs


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


def _deviation(z: Tensor) -> Tensor:
    """Each score's standard deviation over the batch; its gradient is finite where that is 0."""
    return (z.var(0, unbiased=False) + 1e-12).sqrt()


def _standardized(x: Tensor) -> Tensor:
    x = _centred(x)
    return x / (x.std(0, unbiased=False) + 1e-6)
