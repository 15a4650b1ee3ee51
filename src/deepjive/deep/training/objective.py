"""What is minimized, and in which phases.

Errors are mean squares of scaled data, so that 1 is the error of predicting the mean. `|.|^2` is that mean, and `sg`
stops the gradient. Of samples that lack modalities each mean takes those that have what it needs: see
`deepjive.deep.constraints.presence`.

Joint first (ours, the default)
    joint phase        |x_k - DJ_k(z_-k)|^2                  prediction: z_-k, joint scores made without modality k
                     + |x_k - DJ_k(sg z_J)|^2                decoding:   of the joint scores that will be used
                     + |DJ_k(z_J) - sg DJ_k(z_-k)|^2         agreement:  they say what the other modalities say
                     + identity_weight * identity.term
    individual phase   |x_k - J_k - DS_k(z_S,k)|^2           reconstruction, with the joint part held fixed
                     + orthogonality_weight * penalty
    refinement phase   both sums, with x_k - sg (S_k - E[S_k | z_-k]) in the place of x_k in the first: each part is
                       fitted to what the other leaves, as JIVE alternates (Lock, Hoadley, Marron and Nobel, 2013). What
                       joint scores made without modality k say of S_k belongs to the joint part, and is given back

    A joint score earns its place only by predicting a modality that it has not seen, so that it can neither take up
    what varies in one modality alone nor be left out because it explains little variance.

Published (DeepJIVE, arXiv 2507.19682, section 2.3, as summarised publicly)
    one phase          |x_k - DJ_k(z_J) - DS_k(z_S,k)|^2     exchange: averaged over every modality's z_J,l
                     + identity_weight * identity.term       explicit only
                     + orthogonality_weight * penalty
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from deepjive.deep.constraints.expectation import Expectation, expected_of
from deepjive.deep.constraints.identity import Exchange, Latents
from deepjive.deep.constraints.orthogonality import Adversary, Learned
from deepjive.deep.constraints.presence import Presence, mean_square, squared_error
from deepjive.deep.geometry.start import start_individual, start_joint
from deepjive.deep.model import Network
from deepjive.deep.runtime.distributed import of_all_processes
from deepjive.deep.training.batches import Batch

ObjectiveName = Literal["joint_first", "published"]
Terms = dict[str, Tensor]


class Phase(nn.Module, ABC):
    """One minimization: a module from a batch to named loss terms, "total" among them.

    Attributes
    ----------
    name : str
        Name of the phase, for the history.
    monitored : tuple of str
        The terms whose sum on validation data decides when to stop.
    patience : float
        Patience relative to the training's; less where a later phase goes on from here.
    renewed_every : int or None
        Steps after which to call `renew` again within an epoch; None if it need not be called.
    orthogonality_weight : float
        Of the penalty, in the end.
    teaches : bool
        Whether networks of a learned orthogonality have learned nothing before this phase.
    margin : float
        Fraction by which training must lower the monitored error for its weights to be taken. Where a phase starts
        from a linear solution, what is learnt for less than half a percent is noise.
    progress : Tensor, scalar
        Share of the epochs that are over; where recorded steps look for it.
    """

    name: str
    monitored: tuple[str, ...]
    progress: Tensor
    patience = 1.0
    margin = 1e-4
    renewed_every: int | None = None
    orthogonality_weight = 0.0
    teaches = False

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("progress", torch.zeros(()), persistent=False)
        self._ddp_params_and_buffers_to_ignore = ["progress"]  # every process has the same

    @abstractmethod
    def trained(self) -> list[nn.Module]:
        """The modules that this phase trains."""

    @abstractmethod
    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        """Loss terms of a batch.

        Parameters
        ----------
        x : sequence of Tensor, each (batch, *shape)
            One a modality.
        present : Tensor of bool, (batch, n_modalities), or None
            Which sample has which; None where all have all.
        """

    def auxiliary(self) -> list[nn.Module]:
        """Modules with an optimizer of their own: those of a learned orthogonality."""
        return []

    def start(self, sample: Batch, held_out: Batch) -> None:
        """Set what this phase trains to a solution that some samples give at once, checked on held-out ones, if any."""

    def renew(self, sample: Sequence[Batch], held_out: Sequence[Batch]) -> None:
        """Learn anew what the loss takes from the model as it is, from training samples and from held-out ones."""

    def error(self, terms: Mapping[str, float]) -> float:
        """What decides when to stop: the sum of the monitored terms, and the penalty of an adversary.

        An adversary that has learned little forbids little, so that errors without its penalty are lowest at first.
        """
        error = sum(terms[name] for name in self.monitored)
        if isinstance(self.network.orthogonality, Adversary) and "orthogonality" in terms:
            error += self.orthogonality_weight * terms["orthogonality"]
        return error

    @property
    def judges_the_start(self) -> bool:
        """Whether the weights before training may be the best; not where an adversary is still to learn."""
        return not (isinstance(self.network.orthogonality, Adversary) and self.teaches)

    def weight_now(self) -> Tensor | float:
        """The weight of the penalty: a learned one's is raised over the first half of training, as in the paper.

        An adversary's is not raised again in refinement.
        """
        kind = self.network.orthogonality
        rises = isinstance(kind, Learned) and (self.teaches or not isinstance(kind, Adversary))
        return self.orthogonality_weight * (2.0 * self.progress).clamp(max=1.0) if rises else self.orthogonality_weight


class JointPhase(Phase):
    """Joint scores from prediction of the modality that was left out."""

    name, monitored, patience, margin = "joint", ("prediction",), 0.5, 5e-3

    def __init__(self, network: Network, identity_weight: float) -> None:
        super().__init__(network)
        self.identity_weight = identity_weight

    def trained(self) -> list[nn.Module]:
        return self.network.joint_modules

    def start(self, sample: Batch, held_out: Batch) -> None:
        x, present = sample
        start_joint(self.network, x, Presence.of(present))

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        presence = Presence.of(present)
        identity, latents = self.network.identity, self.network.latents(x, presence)
        joint = identity.joint(latents, presence)
        terms, _ = joint_terms(self.network, latents, joint, x, presence)
        total = terms["prediction"] + terms["decoding"] + terms["agreement"]
        if identity.latent_term:
            terms["identity"] = identity.term(latents, presence)
            total = total + self.identity_weight * terms["identity"]
        return terms | {"total": total}


class IndividualPhase(Phase):
    """Individual scores from what the joint part leaves."""

    name, monitored, patience, margin = "individual", ("reconstruction",), 0.5, 5e-3
    teaches = True

    def __init__(self, network: Network, orthogonality_weight: float) -> None:
        super().__init__(network)
        self.orthogonality_weight = orthogonality_weight

    def trained(self) -> list[nn.Module]:
        return self.network.individual_modules

    def auxiliary(self) -> list[nn.Module]:
        return _learned(self.network)

    def start(self, sample: Batch, held_out: Batch) -> None:
        x, present = sample
        start_individual(self.network, x, Presence.of(present))

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        network, presence = self.network, Presence.of(present)
        with torch.no_grad():
            joint = network.joint_scores(x, presence)
            rest = [target - network.joint_part(k, joint) for k, target in enumerate(x)]
        parts, raw = network.individual_parts(x, joint)
        terms = {"reconstruction": _mean_of_measured(parts, rest, presence)}
        weight = self.weight_now()
        return _with_orthogonality(terms, terms["reconstruction"], network, raw, joint, weight, presence)


class BothParts(Phase):
    """A phase in which joint and individual parts are trained together.

    Parameters
    ----------
    network : Network
        The network.
    identity_weight, orthogonality_weight : float
        Of the identity term, and of the orthogonality penalty at the end of its rise.
    """

    def __init__(self, network: Network, identity_weight: float, orthogonality_weight: float) -> None:
        super().__init__(network)
        self.identity_weight, self.orthogonality_weight = identity_weight, orthogonality_weight

    def trained(self) -> list[nn.Module]:
        return [*self.network.joint_modules, *self.network.individual_modules]

    def auxiliary(self) -> list[nn.Module]:
        return _learned(self.network)

    def _penalized(
        self,
        terms: Terms,
        total: Tensor,
        latents: Latents,
        raw: Sequence[Tensor],
        joint: Tensor,
        presence: Presence | None,
    ) -> Terms:
        """The terms with identity, orthogonality and their weighted total."""
        if self.network.identity.latent_term:
            terms["identity"] = self.network.identity.term(latents, presence)
            total = total + self.identity_weight * terms["identity"]
        return _with_orthogonality(terms, total, self.network, raw, joint, self.weight_now(), presence)


class RefinementPhase(BothParts):
    """Both parts, each from what the other leaves.

    An individual part, made from the same modality, takes up some of what joint scores say of it. Fitted to what that
    leaves, the joint part would lose more with every step, the more the less variance it explains. So what joint scores
    made without the modality are found to say of its individual part is given back to the joint part.
    """

    name, monitored, renewed_every = "refinement", ("prediction", "reconstruction"), 50

    def __init__(self, network: Network, identity_weight: float, orthogonality_weight: float) -> None:
        super().__init__(network, identity_weight, orthogonality_weight)
        self.expectations: list[Expectation] = []

    @torch.no_grad()
    def renew(self, sample: Sequence[Batch], held_out: Sequence[Batch]) -> None:
        pairs = list(zip(self._scores_and_parts(sample), self._scores_and_parts(held_out), strict=True))
        self.expectations = self.expectations or [Expectation() for _ in pairs]
        for expectation, (learned, checked) in zip(self.expectations, pairs, strict=True):
            expectation.learn(*learned, *checked)

    def _scores_and_parts(self, pieces: Sequence[Batch]) -> list[tuple[Tensor, Tensor]]:
        """For each modality joint scores made without it and its individual parts, of the samples that have both."""
        network, identity = self.network, self.network.identity
        found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in network.individual_ranks]
        for x, present in pieces:
            presence = Presence.of(present)
            latents = network.latents(x, presence)
            parts, _ = network.individual_parts(x, identity.joint(latents, presence))
            for k, part in enumerate(parts):
                rows = slice(None) if presence is None else presence.with_another(k) > 0
                found[k].append((identity.mean_without(latents, k, presence)[rows].float(), part[rows].float()))
        return [(torch.cat([z for z, _ in one]), torch.cat([part for _, part in one])) for one in found]

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        network, identity, presence = self.network, self.network.identity, Presence.of(present)
        latents = network.latents(x, presence)
        joint = identity.joint(latents, presence)
        parts, raw = network.individual_parts(x, joint)
        scores = [identity.mean_without(latents, k, presence) for k in range(len(x))]
        here = [None if presence is None else presence.with_another(k) > 0 for k in range(len(x))]
        given_back = expected_of(self.expectations, scores, parts, here)
        left = [whole - part.detach() + back for whole, part, back in zip(x, parts, given_back, strict=True)]
        terms, joint_parts = joint_terms(network, latents, joint, left, presence)
        rest = [whole - part.detach() for whole, part in zip(x, joint_parts, strict=True)]
        terms["reconstruction"] = _mean_of_measured(parts, rest, presence)
        total = terms["prediction"] + terms["decoding"] + terms["agreement"] + terms["reconstruction"]
        return self._penalized(terms, total, latents, raw, joint.detach(), presence)


class PublishedPhase(BothParts):
    """Joint and individual autoencoders trained together."""

    name, monitored = "published", ("reconstruction",)
    teaches = True

    def forward(self, x: Sequence[Tensor], present: Tensor | None = None) -> Terms:
        network, identity, presence = self.network, self.network.identity, Presence.of(present)
        latents = network.latents(x, presence)
        joint = identity.joint(latents, presence)
        individual_parts, raw = network.individual_parts(x, joint)
        exchanged = isinstance(identity, Exchange)
        sources = [z for z in latents if z is not None] if exchanged else [joint]
        shares = presence.own.T / presence.own.sum(1) if exchanged and presence is not None else 1.0
        reconstruction = []
        for k, (target, part) in enumerate(zip(x, individual_parts, strict=True)):
            rest = target - part
            parts = torch.stack(network.joint_part(k, torch.cat(sources)).chunk(len(sources)))
            weights = None if presence is None else presence.measured(k)[None] * shares
            reconstruction.append(mean_square(parts - rest, weights))
        terms = {"reconstruction": _mean(reconstruction)}
        return self._penalized(terms, terms["reconstruction"], latents, raw, joint, presence)


def phases_of(
    objective: ObjectiveName, network: Network, identity_weight: float, orthogonality_weight: float
) -> list[Phase]:
    """The phases of an objective, in order; those with nothing to train are left out."""
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
    """Prediction of each target by joint scores that have not seen it, decoding of z_J, and agreement of the two.

    Parameters
    ----------
    network : Network
        The network.
    latents : sequence of Tensor
        Each modality's joint latent.
    joint : Tensor, (batch, joint_rank)
        Joint scores of all modalities.
    targets : sequence of Tensor, each (batch, *shape)
        What the joint parts are to explain.
    presence : Presence or None
        Which sample has which modality.

    Returns
    -------
    terms : dict
        "prediction", "decoding" and "agreement".
    parts : list of Tensor
        The joint part of each modality.
    """
    prediction, decoding, agreement, joint_parts = [], [], [], []
    for k, target in enumerate(targets):
        unseen = network.identity.without(latents, k, presence)
        sources = torch.cat([*unseen, joint.detach(), joint])
        *parts, decoded, joint_part = network.joint_part(k, sources).chunk(len(unseen) + 2)
        predicted = torch.stack(parts)
        if presence is None:
            expected, each, paired, measured = predicted.mean(0), None, None, None
        else:
            shares = network.identity.shares(presence, k)
            expected = (shares.view(*shares.shape, *[1] * (target.dim() - 1)) * predicted).sum(0)
            paired, measured = presence.with_another(k), presence.measured(k)
            each = paired * shares
        prediction.append(mean_square(predicted - target, each))
        decoding.append(squared_error(decoded, target, measured))
        agreement.append(squared_error(joint_part, expected.detach(), paired))
        joint_parts.append(joint_part)
    terms = {"prediction": _mean(prediction), "decoding": _mean(decoding), "agreement": _mean(agreement)}
    return terms, joint_parts


def _with_orthogonality(
    terms: Terms,
    total: Tensor,
    network: Network,
    raw: Sequence[Tensor],
    joint: Tensor,
    weight: Tensor | float,
    presence: Presence | None,
) -> Terms:
    orthogonality = network.orthogonality
    present = None if presence is None else presence.whole > 0
    if orthogonality is not None:  # measured over the whole batch, of all processes together
        *raw, joint = of_all_processes([*raw, joint])
        terms["orthogonality"] = orthogonality.penalty(raw, joint, present)
        total = total + weight * terms["orthogonality"]
    if isinstance(orthogonality, Learned):
        terms[orthogonality.name] = orthogonality.fit_term(raw, joint, present)
        total = total + terms[orthogonality.name]
    return terms | {"total": total}


def _mean_of_measured(parts: Sequence[Tensor], targets: Sequence[Tensor], presence: Presence | None) -> Tensor:
    """Mean square error of parts, over the modalities and the samples that have them."""
    errors = []
    for k, (part, target) in enumerate(zip(parts, targets, strict=True)):
        errors.append(squared_error(part, target, None if presence is None else presence.measured(k)))
    return _mean(errors)


def _learned(network: Network) -> list[nn.Module]:
    return [network.orthogonality] if isinstance(network.orthogonality, Learned) else []


def _mean(terms: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
