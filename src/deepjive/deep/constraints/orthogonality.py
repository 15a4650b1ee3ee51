"""Orthogonality constraints: individual latents carry no information about the joint scores.

Write z_S,k for the individual latent of modality k and z_J for the joint scores. There are three constraints:

- closed form (ours)    The penalty is the fraction of z_S,k that a ridge regression explains, averaged over modalities.
                        The regressors are random Fourier features of z_J and of the other individual latents. The
                        regression is solved exactly on every batch. Its targets are the bounded scores and cosines of
                        the scores.
- regression (paper)    A network R_k predicts z_S,k from z_J and is trained by its own optimizer. The residual
                        z_S,k - R_k(z_J) is what the decoder receives. The variance that R_k explains is penalized.
- adversary             A network A_k predicts z_J and the other individual latents from z_S,k with added noise, and is
                        trained by its own optimizer. The variance of its predictions is penalized. The decoder also
                        receives z_S,k with noise.

The closed form measures scores in median absolute deviations, and bounds them. Otherwise the encoder could lower the
penalty by making the scores of a few samples huge: these samples would hold most of the variance, and the dependence of
the other samples would hardly count. Cosines detect dependence that means do not show, such as a spread that changes
with the joint scores.

A batch has too few samples to show what ten individual scores together say about thirty joint scores. The adversary
finds such dependence, since it learns from all batches. An encoder could hide information from the adversary in very
small variations of the scores. The noise masks such variations, for the adversary and for the decoder alike.

All penalties are zero for independent latents. The closed form and the adversary also include the other modalities'
individual latents, which is JIVE's second condition: individual parts share nothing.

References
----------
DeepJIVE (arXiv 2507.19682), section 2.3.3, as summarised publicly: the regression network.
Rahimi and Recht (2007), "Random features for large-scale kernel machines".
Koukuntla et al. (2024, SPLICE, arXiv 2408.12091): an adversary that predicts the other modality, penalized by the
variance of its predictions. The adversary here predicts joint scores instead, and sees noise; both changes are ours.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from deepjive.deep.choices import OrthogonalityName
from deepjive.deep.constraints.algebra import FourierFeatures
from deepjive.deep.constraints.explained import explained_fraction
from deepjive.deep.networks import NoScores

ROWS_PER_REGRESSOR = 4  # fewest samples for each regressor of the closed form; more regressors explain much by chance
NOISE = 0.3  # standard deviations of a score: the noise that an adversary's input gets


class Orthogonality(nn.Module, ABC):
    """Base of the three orthogonality constraints.

    Attributes
    ----------
    is_learned : bool
        Whether the constraint has networks, which are trained by a separate optimizer.
    penalty_is_monitored : bool
        Whether the penalty counts in the validation error that decides when training stops. It must where the penalty
        is small before the constraint has learned: the reconstruction error alone is lowest then.
    ramps_each_phase : bool
        Whether the weight of a learned penalty rises from 0 in every phase, or only in the first phase that has the
        penalty.
    """

    is_learned: bool
    penalty_is_monitored: bool
    ramps_each_phase: bool

    @abstractmethod
    def decoded(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """Input of the individual decoder of modality k, shape (batch, individual_rank).

        Parameters
        ----------
        k : int
            Index of the modality.
        z : Tensor, (batch, individual_rank)
            Individual latent of the modality.
        joint : Tensor, (batch, joint_rank)
            Joint scores.
        """

    @abstractmethod
    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """How much individual latents and joint scores have in common: a scalar from 0 to about 1.

        Parameters
        ----------
        individual : sequence of Tensor, each (batch, individual_rank)
            Individual latents of each modality.
        joint : Tensor, (batch, joint_rank)
            Joint scores; no gradient flows into them.
        present : Tensor of bool, (batch, n_modalities), or None, default=None
            Which sample has which modality; None where no sample lacks any.
        """

    @abstractmethod
    def learned_terms(
        self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Loss terms by name that train the constraint's own networks; parameters as of `penalty`.

        No gradient flows into latents and scores. The result is empty for a constraint without networks.
        """


class Learned(Orthogonality):
    """Orthogonality by networks with a separate optimizer.

    Attributes
    ----------
    name : str
        Name of the loss term that trains the networks.
    networks : nn.ModuleList
        One network for each modality.
    """

    is_learned = True
    name: str
    networks: nn.ModuleList

    @abstractmethod
    def fit_term(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """The loss that trains the networks, a scalar; parameters as of `penalty`.

        No gradient flows into latents and scores.
        """

    def learned_terms(
        self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`fit_term` under its name."""
        return {self.name: self.fit_term(individual, joint, present)}

    def _frozen(self, k: int, x: Tensor) -> Tensor:
        """Output of the network of modality k for inputs `x`; no gradient flows into the network's weights."""
        network = self.networks[k]
        weights = {name: weight.detach() for name, weight in network.named_parameters()}
        return functional_call(network, weights, (x,))


class ClosedForm(Orthogonality):
    """Fraction of the individual latents that a ridge regression on random Fourier features explains.

    Parameters
    ----------
    features : int, default=64
        Largest number of random features. A batch of `b` samples gets at most `b / 4`, so that chance explains little.
    ridge : float, default=0.01
        Weight of the ridge, relative to the number of samples.
    cosines : int, default=64
        Number of random cosines of the individual latents among the regression's targets.
    """

    is_learned, penalty_is_monitored, ramps_each_phase = False, False, False

    def __init__(self, features: int = 64, ridge: float = 1e-2, cosines: int = 64) -> None:
        super().__init__()
        self.features, self.ridge, self.cosines = features, ridge, cosines

    def decoded(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """The individual latent, unchanged."""
        return z

    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Explained fraction, averaged over modalities.

        Each modality counts the samples that have it. Where a sample lacks another modality, the mean stands in for
        that modality's latent. A modality with fewer than `ROWS_PER_REGRESSOR` samples for each joint score is left
        out where samples lack modalities.
        """
        fractions = []
        for z, regressors in _beside_others(individual, joint, present):
            enough = present is None or len(z) >= ROWS_PER_REGRESSOR * max(1, joint.shape[1])
            if z.shape[1] and regressors.shape[1] and enough:
                fractions.append(self.explained(z, regressors, joint.shape[1]))
        return torch.stack(fractions).mean() if fractions else joint.new_zeros(())

    def learned_terms(
        self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None
    ) -> dict[str, Tensor]:
        """No terms, since the closed form has no networks."""
        return {}

    def explained(self, z: Tensor, regressors: Tensor, n_joint: int = 0) -> Tensor:
        """Fraction of the targets' variance that regressors explain within the batch, a scalar.

        Parameters
        ----------
        z : Tensor, (batch, individual_rank)
            Individual latent. Its bounded scores are one half of the targets, and cosines of the scores the other half.
        regressors : Tensor, (batch, n_regressors)
            Joint scores and other individual latents.
        n_joint : int, default=0
            Number of joint scores, which are the first regressors.
        """
        with torch.autocast(z.device.type, enabled=False):
            phi = self._fourier(_few(_standardized(regressors.float()), n_joint))
            return explained_fraction(z.float(), phi, self.ridge * len(z), self.cosines)

    def _fourier(self, x: Tensor) -> Tensor:
        """The regressors and random cosines of them, centred: (batch, regressors + features)."""
        count = min(self.features, max(0, len(x) // ROWS_PER_REGRESSOR - x.shape[1]))
        return _centred(FourierFeatures(x.shape[1], count, x.device)(x))


def _few(regressors: Tensor, n_joint: int) -> Tensor:
    """At most a quarter as many standardized regressors as samples: joint scores, and random mixtures of the others.

    Half of what joint scores leave of that number is for the mixtures, the rest for cosines. Where there are too many
    joint scores, all regressors are mixed. Mixtures are drawn anew in every batch.
    """
    most = max(1, len(regressors) // ROWS_PER_REGRESSOR)
    if regressors.shape[1] <= most:
        return regressors
    n_kept = n_joint if n_joint < most else 0
    kept, others = regressors[:, :n_kept], regressors[:, n_kept:]
    count = min(others.shape[1], max(1, (most - n_kept) // 2) if n_kept else most)
    directions = torch.randn(others.shape[1], count, device=others.device) / math.sqrt(others.shape[1])
    return torch.cat([kept, others @ directions], dim=1)


class Regression(Learned):
    """The paper's regression networks R_k: z_J -> z_S,k, one for each modality.

    Parameters
    ----------
    joint_rank : int
        Number of joint scores.
    individual_ranks : sequence of int
        Number of individual scores of each modality.
    width : int, default=64
        Number of hidden units in each of the two layers.
    """

    name = "regression"
    penalty_is_monitored, ramps_each_phase = False, True

    def __init__(self, joint_rank: int, individual_ranks: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            _perceptron(joint_rank, width, rank) if rank else NoScores() for rank in individual_ranks
        )

    def decoded(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """The orthogonalized individual latent z_S,k - R_k(z_J); no gradient flows into R_k or z_J."""
        return z - self._frozen(k, joint.detach())

    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Fraction of z_S,k's variance that R_k explains, averaged over modalities; no gradient flows into R_k."""
        fractions = []
        for k, (z, scores) in enumerate(_measured(individual, joint, present)):
            if z.shape[1] and (present is None or len(z) > 1):
                residual = self.decoded(k, z, scores)
                fractions.append(1 - _centred(residual).square().sum() / (_centred(z).square().sum() + 1e-8))
        return torch.stack(fractions).mean().clamp_min(0.0) if fractions else joint.new_zeros(())

    def fit_term(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Fraction of z_S,k's variance that R_k leaves unexplained, averaged over modalities."""
        terms = [
            (z.detach() - network(scores.detach())).square().sum() / (_centred(z.detach()).square().sum() + 1e-8)
            for network, (z, scores) in zip(self.networks, _measured(individual, joint, present), strict=True)
            if z.shape[1]
        ]
        return torch.stack(terms).mean() if terms else joint.new_zeros(())


class Adversary(Learned):
    """Networks A_k that predict the joint scores and the other individual latents from z_S,k.

    Parameters
    ----------
    joint_rank : int
        Number of joint scores.
    individual_ranks : sequence of int
        Number of individual scores of each modality.
    width : int, default=64
        Number of hidden units in each of the two layers.
    noise : float, default=0.3
        Standard deviation of the noise added to individual scores in training, in standard deviations of each score.
    """

    name = "adversary"
    penalty_is_monitored, ramps_each_phase = True, False

    def __init__(self, joint_rank: int, individual_ranks: Sequence[int], width: int = 64, noise: float = NOISE) -> None:
        super().__init__()
        self.noise, n_scores = noise, joint_rank + sum(individual_ranks)
        self.networks = nn.ModuleList(
            _perceptron(rank, width, n_scores - rank) if 0 < rank < n_scores else NoScores()
            for rank in individual_ranks
        )

    def decoded(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """The individual latent, with noise in training."""
        if not self.training or isinstance(self.networks[k], NoScores):
            return z
        return z + self.noise * _deviation(z) * torch.randn_like(z)

    def penalty(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Variance of A_k's predictions, averaged over outputs and modalities; no gradient flows into A_k."""
        variances = [
            self._frozen(k, self._noisy(z)).float().var(0, unbiased=False).mean()
            for k, (z, _) in enumerate(_beside_others(individual, joint, present))
            if self._predicts(k, z)
        ]
        return torch.stack(variances).mean() if variances else joint.new_zeros(())

    def fit_term(self, individual: Sequence[Tensor], joint: Tensor, present: Tensor | None = None) -> Tensor:
        """Fraction of the predicted scores' variance that A_k leaves unexplained, averaged over modalities."""
        errors = [
            (self.networks[k](self._noisy(z.detach())) - _standardized(others)).square().mean()
            for k, (z, others) in enumerate(_beside_others(individual, joint, present))
            if self._predicts(k, z)
        ]
        return torch.stack(errors).mean() if errors else joint.new_zeros(())

    def _noisy(self, z: Tensor) -> Tensor:
        """Standardized scores, with noise in training: the input of A_k."""
        standardized = _centred(z.float()) / _deviation(z.float())
        return standardized + self.noise * torch.randn_like(standardized) if self.training else standardized

    def _predicts(self, k: int, z: Tensor) -> bool:
        """Whether modality k has scores to predict from, scores to predict, and at least two samples."""
        return not isinstance(self.networks[k], NoScores) and len(z) > 1


def make_orthogonality(
    name: OrthogonalityName | None, joint_rank: int, individual_ranks: Sequence[int]
) -> Orthogonality | None:
    """The constraint called `name`; None without one, or for a regression network without joint scores as input."""
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
    """For each modality, the individual latents and the joint scores of the samples that have the modality."""
    if present is None:
        return [(z, joint) for z in individual]
    return [(z[here], joint[here]) for z, here in zip(individual, present.T, strict=True)]


def _beside_others(individual: Sequence[Tensor], joint: Tensor, present: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """For each modality, its individual latents, and the joint scores beside the other individual latents, detached.

    The rows are the samples that have the modality. Where a sample lacks another modality, the mean stands in for that
    modality's latent.
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


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(0)


def _deviation(z: Tensor) -> Tensor:
    """Standard deviation of each score over the batch; its gradient is finite where the deviation is 0."""
    return (z.var(0, unbiased=False) + 1e-12).sqrt()


def _standardized(x: Tensor) -> Tensor:
    x = _centred(x)
    return x / (x.square().mean(0).sqrt() + 1e-6)
