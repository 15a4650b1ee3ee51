"""The loss of a training step, and the phases in which losses are minimized.

Errors are mean squares of scaled data, so that predicting the mean has the error 1. Below, `|.|^2` is such a mean, and
`sg` stops the gradient. Where samples lack modalities, each mean runs over the samples that have what it needs: see
`deepjive.deep.constraints.presence`.

For modality k, x_k is the data, DJ_k and DS_k are the joint and the individual decoder, z_J and z_S,k the joint and the
individual scores, and J_k and S_k the joint and the individual part. The scores z_-k are joint scores made without
modality k.

Joint first (ours, the default)
    joint phase        |x_k - DJ_k(z_-k)|^2                  prediction from joint scores made without modality k
                     + |x_k - DJ_k(sg z_J)|^2                decoding of the joint scores of all modalities
                     + |DJ_k(z_J) - sg DJ_k(z_-k)|^2         agreement of these two reconstructions
                     + identity_weight * identity.term
    individual phase   |x_k - J_k - DS_k(z_S,k)|^2           reconstruction, with the joint part held fixed
                     + orthogonality_weight * penalty
    refinement phase   The sum of both losses. In the joint loss, x_k - sg (S_k - E[S_k | z_-k]) replaces x_k. Each part
                       is so fitted to what the other part leaves, as in JIVE (Lock, Hoadley, Marron and Nobel, 2013).
                       The expectation of S_k given z_-k belongs to the joint part, and is given back to it.

    A joint score lowers the prediction error only if it predicts a modality that it was not made from. So joint scores
    do not take up variation of a single modality, and are found even where they explain little variance.

Published (DeepJIVE, arXiv 2507.19682, section 2.3, as summarised publicly)
    one phase          |x_k - DJ_k(z_J) - DS_k(z_S,k)|^2     exchange: averaged over the latents of all modalities
                     + identity_weight * identity.term       explicit only
                     + orthogonality_weight * penalty

A learned orthogonality constraint adds the loss of its own networks to the sum. No gradient flows from that loss into
the autoencoders, and the networks have an optimizer of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepjive.deep.choices import ObjectiveName
from deepjive.deep.constraints.expectation import Expectation, expected_of
from deepjive.deep.constraints.identity import Latents
from deepjive.deep.constraints.presence import Presence, mean_square, squared_error
from deepjive.deep.geometry.start import Start, start_individual, start_joint
from deepjive.deep.model import Network
from deepjive.deep.runtime.distributed import of_all_processes
from deepjive.deep.training.batches import Batch, Batches

Terms = dict[str, Tensor]


class Phase(nn.Module, ABC):
    """One minimization: a module from a batch to named loss terms. The term "total" is minimized.

    Parameters
    ----------
    network : Network
        The network, of which the phase trains a part.

    Attributes
    ----------
    name : str
        Name of the phase, for the history.
    monitored : tuple of str
        The terms whose sum on validation data decides when training stops.
    has_orthogonality : bool
        Whether the loss has the orthogonality penalty.
    starts_orthogonality : bool
        Whether this is the first phase with the penalty, so that a learned constraint begins untrained.
    patience : float
        Factor of the training's patience; below 1 where a later phase continues to train the same weights.
    tolerance : float
        Fraction by which a new best error must be lower than the last. It is smaller for the joint parts, since what
        modalities share may explain little of their variance.
    margin : float
        Fraction by which training must lower the monitored error of the start. A phase that starts from a linear
        solution has a larger margin: a gain below half a percent is noise.
    renewed_every : int or None
        Number of steps after which `renew` is called again within an epoch; None if it need not be called.
    orthogonality_weight : float
        Weight of the penalty at the end of its rise.
    refines : bool
        Whether the phase only continues what earlier phases trained, and has nothing to do where none was trained.
    progress : Tensor, scalar
        Fraction of the epochs that are over, as a tensor that captured steps can read.
    """

    name: str
    monitored: tuple[str, ...]
    has_orthogonality: bool
    starts_orthogonality: bool
    progress: Tensor
    patience = 1.0
    tolerance = 5e-4
    margin = 1e-4
    renewed_every: int | None = None
    orthogonality_weight = 0.0
    refines = False

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("progress", torch.zeros(()), persistent=False)
        self._ddp_params_and_buffers_to_ignore = ["progress"]  # every process has the same

    @abstractmethod
    def trained(self) -> list[nn.Module]:
        """The modules that this phase trains."""

    @abstractmethod
    def start(self, sample: Batch, groups: NDArray | None = None) -> Start:
        """Set the trained modules to a solution that is computed directly, and say whether training can pay.

        Parameters
        ----------
        sample : Batch
            Training samples.
        groups : array, shape (n,), optional
            The participant of each sample.
        """

    def prepared(self, batches: Batches) -> Batches:
        """Batches that `forward` takes; a phase may add what it would compute anew in every epoch."""
        return batches

    @abstractmethod
    def renew(self, sample: Sequence[Batch], held_out: Sequence[Batch]) -> None:
        """Estimate anew those quantities in the loss that are not trained by gradients.

        Parameters
        ----------
        sample : sequence of Batch
            Training samples.
        held_out : sequence of Batch
            Validation samples.
        """

    @abstractmethod
    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        """Loss terms of a batch.

        Parameters
        ----------
        x : sequence of Tensor, each (batch, *shape)
            Scaled samples, one tensor for each modality.
        present : Tensor of bool, (batch, n_modalities), or None, default=None
            Which sample has which modality; None where no sample lacks any.
        """

    def auxiliary(self) -> list[nn.Module]:
        """The modules with an optimizer of their own: the networks of a learned orthogonality constraint."""
        constraint = self.network.orthogonality
        if not self.has_orthogonality or constraint is None or not constraint.is_learned:
            return []
        return [constraint]

    def error(self, terms: Mapping[str, float]) -> float:
        """The error that decides when training stops: the monitored terms, and the penalty where it is monitored."""
        error = sum(terms[name] for name in self.monitored)
        if self._penalty_is_monitored and "orthogonality" in terms:
            error += self.orthogonality_weight * terms["orthogonality"]
        return error

    @property
    def judges_the_start(self) -> bool:
        """Whether the weights before training compete with later weights.

        They do not where the penalty is monitored and its constraint is still untrained: the penalty is then too small.
        """
        return not (self._penalty_is_monitored and self.starts_orthogonality)

    @property
    def _penalty_is_monitored(self) -> bool:
        constraint = self.network.orthogonality
        return constraint is not None and constraint.penalty_is_monitored

    def penalty_weight(self) -> Tensor | float:
        """The weight of the penalty in this epoch; a learned penalty rises over the first half, as published."""
        constraint = self.network.orthogonality
        if constraint is None or not constraint.is_learned:
            return self.orthogonality_weight
        if not (self.starts_orthogonality or constraint.ramps_each_phase):
            return self.orthogonality_weight
        return self.orthogonality_weight * (2.0 * self.progress).clamp(max=1.0)

    def _with_orthogonality(
        self, terms: Terms, total: Tensor, raw: Sequence[Tensor], joint: Tensor, presence: Presence | None
    ) -> Terms:
        """The terms, with the orthogonality constraint's terms and the total.

        Parameters
        ----------
        terms : dict of str to Tensor
            The other terms.
        total : Tensor, scalar
            Their weighted sum.
        raw : sequence of Tensor, each (batch, individual_rank)
            Individual latents as encoded.
        joint : Tensor, (batch, joint_rank)
            Joint scores.
        presence : Presence or None
            Which sample has which modality.
        """
        constraint = self.network.orthogonality
        if constraint is not None:  # measured over the whole batch, of all processes together
            present = None if presence is None else presence.whole > 0
            *raw, joint = of_all_processes([*raw, joint])
            terms["orthogonality"] = constraint.penalty(raw, joint, present)
            total = total + self.penalty_weight() * terms["orthogonality"]
            for name, term in constraint.learned_terms(raw, joint, present).items():
                terms[name] = term
                total = total + term
        return terms | {"total": total}


class JointPhase(Phase):
    """The joint parts, trained by prediction of each modality from the others.

    Parameters
    ----------
    network : Network
        The network.
    identity_weight : float
        Weight of the identity term.
    """

    name, monitored, patience, tolerance, margin = "joint", ("prediction",), 0.85, 1e-4, 5e-3
    has_orthogonality, starts_orthogonality = False, False

    def __init__(self, network: Network, identity_weight: float) -> None:
        super().__init__(network)
        self.identity_weight = identity_weight

    def trained(self) -> list[nn.Module]:
        return self.network.joint_modules

    def start(self, sample: Batch, groups: NDArray | None = None) -> Start:
        x, present = sample
        return start_joint(self.network, x, Presence.of(present), groups)

    def renew(self, sample: Sequence[Batch], held_out: Sequence[Batch]) -> None:
        """Do nothing: the loss has no such quantities."""

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        presence = Presence.of(present)
        identity, latents = self.network.identity, self.network.latents(x, presence)
        joint = identity.joint(latents, presence)
        terms, _ = joint_terms(self.network, latents, joint, x, presence)
        total = terms["prediction"] + terms["decoding"] + terms["agreement"]
        if identity.has_term:
            terms["identity"] = identity.term(latents, presence)
            total = total + self.identity_weight * terms["identity"]
        return terms | {"total": total}


class IndividualPhase(Phase):
    """The individual parts, trained on what the joint part leaves.

    Parameters
    ----------
    network : Network
        The network.
    orthogonality_weight : float
        Weight of the orthogonality penalty at the end of its rise.
    """

    name, monitored, patience, margin = "individual", ("reconstruction",), 0.5, 5e-3
    has_orthogonality, starts_orthogonality = True, True

    def __init__(self, network: Network, orthogonality_weight: float) -> None:
        super().__init__(network)
        self.orthogonality_weight = orthogonality_weight

    def trained(self) -> list[nn.Module]:
        return self.network.individual_modules

    def start(self, sample: Batch, groups: NDArray | None = None) -> Start:
        x, present = sample
        start = start_individual(self.network, x, Presence.of(present), groups)
        constraint = self.network.orthogonality
        is_learned = constraint is not None and constraint.is_learned  # its networks have learned nothing yet
        return Start() if is_learned else start

    def renew(self, sample: Sequence[Batch], held_out: Sequence[Batch]) -> None:
        """Do nothing: the loss has no such quantities."""

    def prepared(self, batches: Batches) -> Batches:
        return batches.with_more(self._targets_and_joint_scores)

    @torch.no_grad()
    def _targets_and_joint_scores(self, x: Sequence[Tensor], present: Tensor | None) -> list[Tensor]:
        """What the joint part leaves of each modality, and the joint scores: none of them changes in this phase."""
        joint = self.network.joint_scores(x, Presence.of(present))
        return [*(x_k - self.network.joint_part(k, joint) for k, x_k in enumerate(x)), joint]

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        network, presence, count = self.network, Presence.of(present), len(self.network.individual_ranks)
        x, known = x[:count], x[count:]
        *targets, joint = known or self._targets_and_joint_scores(x, present)
        parts, raw = network.individual_parts(x, joint)
        terms = {"reconstruction": reconstruction_error(parts, targets, presence)}
        return self._with_orthogonality(terms, terms["reconstruction"], raw, joint, presence)


class BothParts(Phase):
    """Base of the phases that train joint and individual parts together.

    Parameters
    ----------
    network : Network
        The network.
    identity_weight : float
        Weight of the identity term.
    orthogonality_weight : float
        Weight of the orthogonality penalty at the end of its rise.
    """

    has_orthogonality = True

    def __init__(self, network: Network, identity_weight: float, orthogonality_weight: float) -> None:
        super().__init__(network)
        self.identity_weight, self.orthogonality_weight = identity_weight, orthogonality_weight

    def trained(self) -> list[nn.Module]:
        return [*self.network.joint_modules, *self.network.individual_modules]

    def start(self, sample: Batch, groups: NDArray | None = None) -> Start:
        """Change nothing: the phase starts from the weights as they are."""
        return Start()

    def _with_constraints(
        self,
        terms: Terms,
        total: Tensor,
        latents: Latents,
        raw: Sequence[Tensor],
        joint: Tensor,
        presence: Presence | None,
    ) -> Terms:
        """The terms, with those of both constraints and the total; `latents` are the joint latents."""
        if self.network.identity.has_term:
            terms["identity"] = self.network.identity.term(latents, presence)
            total = total + self.identity_weight * terms["identity"]
        return self._with_orthogonality(terms, total, raw, joint, presence)


class RefinementPhase(BothParts):
    """Both parts, each trained on what the other part leaves; parameters as of `BothParts`.

    An individual part is made from the same modality as its joint part, so that it takes up some of the variation that
    joint scores predict. If the joint part were fitted to what this leaves, it would shrink with every step, most of
    all where it explains little variance. So the expectation of the individual part, given joint scores made without
    the modality, is given back to the joint part.
    """

    name, monitored, renewed_every = "refinement", ("prediction", "reconstruction"), 50
    starts_orthogonality, refines = False, True

    def __init__(self, network: Network, identity_weight: float, orthogonality_weight: float) -> None:
        super().__init__(network, identity_weight, orthogonality_weight)
        self.expectations: list[Expectation] = []

    @torch.no_grad()
    def renew(self, sample: Sequence[Batch], held_out: Sequence[Batch]) -> None:
        """Estimate the expectation of each individual part given joint scores made without the modality."""
        pairs = list(zip(self._scores_and_parts(sample), self._scores_and_parts(held_out), strict=True))
        self.expectations = self.expectations or [Expectation() for _ in pairs]
        for expectation, (training_pair, held_out_pair) in zip(self.expectations, pairs, strict=True):
            expectation.learn(*training_pair, *held_out_pair)

    def _scores_and_parts(self, batches: Sequence[Batch]) -> list[tuple[Tensor, Tensor]]:
        """For each modality, the joint scores made without it and its individual parts, of samples that have both."""
        network, identity = self.network, self.network.identity
        pairs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in network.individual_ranks]
        for x, present in batches:
            presence = Presence.of(present)
            latents = network.latents(x, presence)
            parts, _ = network.individual_parts(x, identity.joint(latents, presence))
            for k, part in enumerate(parts):
                rows = slice(None) if presence is None else presence.with_another(k) > 0
                pairs[k].append((identity.mean_without(latents, k, presence)[rows].float(), part[rows].float()))
        return [(torch.cat([z for z, _ in of_k]), torch.cat([part for _, part in of_k])) for of_k in pairs]

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        network, identity, presence = self.network, self.network.identity, Presence.of(present)
        latents = network.latents(x, presence)
        joint = identity.joint(latents, presence)
        parts, raw = network.individual_parts(x, joint)
        scores = [identity.mean_without(latents, k, presence) for k in range(len(x))]
        have_scores = [None if presence is None else presence.with_another(k) > 0 for k in range(len(x))]
        expected = expected_of(self.expectations, scores, parts, have_scores)
        joint_targets = [x_k - part.detach() + back for x_k, part, back in zip(x, parts, expected, strict=True)]
        terms, joint_parts = joint_terms(network, latents, joint, joint_targets, presence)
        individual_targets = [x_k - part.detach() for x_k, part in zip(x, joint_parts, strict=True)]
        terms["reconstruction"] = reconstruction_error(parts, individual_targets, presence)
        total = terms["prediction"] + terms["decoding"] + terms["agreement"] + terms["reconstruction"]
        return self._with_constraints(terms, total, latents, raw, joint.detach(), presence)


class PublishedPhase(BothParts):
    """Joint and individual autoencoders trained together from the start; parameters as of `BothParts`."""

    name, monitored = "published", ("reconstruction",)
    starts_orthogonality = True

    def renew(self, sample: Sequence[Batch], held_out: Sequence[Batch]) -> None:
        """Do nothing: the loss has no such quantities."""

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        network, identity, presence = self.network, self.network.identity, Presence.of(present)
        latents = network.latents(x, presence)
        joint = identity.joint(latents, presence)
        individual_parts, raw = network.individual_parts(x, joint)
        sources: list[Tensor] = [joint]
        shares: Tensor | float = 1.0
        if identity.decodes_each_latent:
            sources = [z for z in latents if z is not None]
            shares = 1.0 if presence is None else presence.own.T / presence.own.sum(1)
        errors = []
        for k, (x_k, individual_part) in enumerate(zip(x, individual_parts, strict=True)):
            target = x_k - individual_part
            joint_parts = torch.stack(network.joint_part(k, torch.cat(sources)).chunk(len(sources)))
            weights = None if presence is None else presence.measured(k)[None] * shares
            errors.append(mean_square(joint_parts - target, weights))
        terms = {"reconstruction": _mean(errors)}
        return self._with_constraints(terms, terms["reconstruction"], latents, raw, joint, presence)


def phases_of(
    objective: ObjectiveName, network: Network, identity_weight: float, orthogonality_weight: float
) -> list[Phase]:
    """The phases of an objective, in order; phases with nothing to train are left out.

    Parameters
    ----------
    objective : {"joint_first", "published"}
        Name of the objective.
    network : Network
        The network.
    identity_weight : float
        Weight of the identity term.
    orthogonality_weight : float
        Weight of the orthogonality penalty.
    """
    if objective == "published":
        return [PublishedPhase(network, identity_weight, orthogonality_weight)]
    phases: list[Phase] = [JointPhase(network, identity_weight)] if network.joint_rank else []
    if any(network.individual_ranks):
        phases.append(IndividualPhase(network, orthogonality_weight))
    if len(phases) == 2:
        phases.append(RefinementPhase(network, identity_weight, orthogonality_weight))
    phases[-1].patience = 1.0
    return phases


def joint_terms(
    network: Network, latents: Latents, joint: Tensor, targets: Sequence[Tensor], presence: Presence | None = None
) -> tuple[Terms, list[Tensor]]:
    """The loss terms of the joint parts: prediction, decoding and agreement.

    Parameters
    ----------
    network : Network
        The network.
    latents : sequence of Tensor
        Each modality's joint latent.
    joint : Tensor, (batch, joint_rank)
        Joint scores of all modalities.
    targets : sequence of Tensor, each (batch, *shape)
        What the joint parts are fitted to.
    presence : Presence or None, default=None
        Which sample has which modality.

    Returns
    -------
    terms : dict of str to Tensor
        "prediction" of each target from joint scores made without it, "decoding" of the joint scores, and "agreement"
        of these two.
    parts : list of Tensor, each (batch, *shape)
        The joint part of each modality.
    """
    prediction, decoding, agreement, joint_parts = [], [], [], []
    for k, target in enumerate(targets):
        without_k = network.identity.without(latents, k, presence)
        sources = torch.cat([*without_k, joint.detach(), joint])
        *predictions, decoded, joint_part = network.joint_part(k, sources).chunk(len(without_k) + 2)
        predicted = torch.stack(predictions)
        if presence is None:
            mean_predicted, prediction_weights, paired, measured = predicted.mean(0), None, None, None
        else:
            shares = network.identity.shares(presence, k)
            mean_predicted = (shares.view(*shares.shape, *[1] * (target.dim() - 1)) * predicted).sum(0)
            paired, measured = presence.with_another(k), presence.measured(k)
            prediction_weights = paired * shares
        prediction.append(mean_square(predicted - target, prediction_weights))
        decoding.append(squared_error(decoded, target, measured))
        agreement.append(squared_error(joint_part, mean_predicted.detach(), paired))
        joint_parts.append(joint_part)
    terms = {"prediction": _mean(prediction), "decoding": _mean(decoding), "agreement": _mean(agreement)}
    return terms, joint_parts


def reconstruction_error(parts: Sequence[Tensor], targets: Sequence[Tensor], presence: Presence | None) -> Tensor:
    """Mean square difference of parts and targets, over the modalities and the samples that have them; a scalar."""
    errors = []
    for k, (part, target) in enumerate(zip(parts, targets, strict=True)):
        errors.append(squared_error(part, target, None if presence is None else presence.measured(k)))
    return _mean(errors)


def _mean(terms: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
