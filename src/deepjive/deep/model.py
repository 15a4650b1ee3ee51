"""The network of DeepJIVE: for each modality a joint and an individual autoencoder, tied by an identity constraint.

    z_k   = EJ_k(x_k)      z_J = identity(z_1, ..., z_K)      J_k = DJ_k(z_J)
    z_S,k = ES_k(x_k)                                         S_k = DS_k(z_S,k)   or, conditioned, DS_k(z_S,k, z_J)

Here x_k is modality k, z_J and z_S,k are the joint and the individual scores, and J_k and S_k are the joint and the
individual part. Data and parts are centred and scaled. Each list of tensors has one entry for every modality.

References
----------
DeepJIVE (arXiv 2507.19682), section 2.3.1, as summarised publicly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepjive.deep.constraints.identity import Identity, Latents
from deepjive.deep.constraints.orthogonality import Orthogonality
from deepjive.deep.constraints.presence import Presence
from deepjive.deep.networks import NetworkBuilder
from deepjive.deep.span import Coordinates


class Network(nn.Module):
    """Joint and individual encoders and decoders of all modalities.

    Parameters
    ----------
    builders : sequence of NetworkBuilder
        One for each modality.
    joint_rank : int
        Number of joint scores.
    individual_ranks : sequence of int
        Number of individual scores of each modality.
    identity : Identity
        Identity constraint, which makes the joint scores from the joint latents.
    orthogonality : Orthogonality or None
        Orthogonality constraint of the individual scores.
    conditioned : bool
        Whether individual decoders also receive the joint scores.

    Attributes
    ----------
    coordinates : dict of int to Coordinates
        Coordinates of the modalities that are in coordinates during training; empty for a fitted network.
    stays_linear : bool
        Whether phases start at linear scores and are not trained.
    may_stay_linear : bool
        Whether all networks were chosen automatically, so that they are trained only where training can pay.
    built : tuple of bool
        Whether the networks of each modality are deepjive's, rather than the user's own.
    frozen : frozenset of str
        Names of the weights that were frozen from the start, as in a pretrained network; they are never trained.
    """

    def __init__(
        self,
        builders: Sequence[NetworkBuilder],
        joint_rank: int,
        individual_ranks: Sequence[int],
        identity: Identity,
        orthogonality: Orthogonality | None,
        conditioned: bool,
    ) -> None:
        super().__init__()
        width = identity.latent_width
        extra = joint_rank if conditioned else 0
        self.joint_encoders = nn.ModuleList(builder.encoder(width) for builder in builders)
        self.joint_decoders = nn.ModuleList(builder.decoder(joint_rank) for builder in builders)
        self.individual_encoders = nn.ModuleList(
            builder.encoder(rank) for builder, rank in zip(builders, individual_ranks, strict=True)
        )
        self.individual_decoders = nn.ModuleList(
            builder.decoder(rank + extra if rank else 0)
            for builder, rank in zip(builders, individual_ranks, strict=True)
        )
        self.identity = identity
        self.orthogonality = orthogonality
        self.joint_rank, self.individual_ranks = joint_rank, tuple(individual_ranks)
        self.conditioned = conditioned
        self.coordinates: dict[int, Coordinates] = {}
        self.stays_linear = False
        self.may_stay_linear = all(builder.is_automatic for builder in builders)
        self.built = tuple(builder.factories is None for builder in builders)
        self.frozen = frozenset(name for name, weight in self.named_parameters() if not weight.requires_grad)

    @property
    def joint_modules(self) -> list[nn.Module]:
        """The modules of the joint parts."""
        return [self.joint_encoders, self.joint_decoders, self.identity]

    @property
    def individual_modules(self) -> list[nn.Module]:
        """The modules of the individual parts."""
        return [self.individual_encoders, self.individual_decoders]

    def latents(self, x: Sequence[Tensor | None], presence: Presence | None = None) -> Latents:
        """Each modality's joint latent, prepared by the identity constraint; None where `x` has no such modality."""
        encoded = [None if x_k is None else encoder(x_k) for encoder, x_k in zip(self.joint_encoders, x, strict=True)]
        return self.identity.prepared(encoded, presence)

    def joint_scores(self, x: Sequence[Tensor | None], presence: Presence | None = None) -> Tensor:
        """Joint scores (batch, joint_rank), from the modalities that each sample has."""
        return self.identity.joint(self.latents(x, presence), presence)

    def individual_scores(self, x: Sequence[Tensor | None], joint: Tensor) -> list[Tensor | None]:
        """Individual scores (batch, individual_rank) of each modality, as the decoders receive them."""
        encoders = zip(self.individual_encoders, x, strict=True)
        raw = [None if x_k is None else encoder(x_k) for encoder, x_k in encoders]
        return [None if z is None else self.orthogonalized(k, z, joint) for k, z in enumerate(raw)]

    def orthogonalized(self, k: int, z: Tensor, joint: Tensor) -> Tensor:
        """Individual scores (batch, individual_rank) of modality k from its individual latent `z`."""
        return z if self.orthogonality is None else self.orthogonality.decoded(k, z, joint)

    def joint_part(self, k: int, joint: Tensor) -> Tensor:
        """The joint part J_k (batch, *shape) for joint scores (batch, joint_rank)."""
        return self.joint_decoders[k](joint)

    def individual_part(self, k: int, individual: Tensor, joint: Tensor) -> Tensor:
        """The individual part S_k (batch, *shape) for individual scores (batch, individual_rank)."""
        if self.conditioned and individual.shape[1]:
            individual = torch.cat([individual, joint.detach()], dim=1)
        return self.individual_decoders[k](individual)

    def individual_parts(self, x: Sequence[Tensor], joint: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The individual part (batch, *shape) and the individual latent (batch, individual_rank) of each modality."""
        raw = [encoder(x_k) for encoder, x_k in zip(self.individual_encoders, x, strict=True)]
        return [self.individual_part(k, self.orthogonalized(k, z, joint), joint) for k, z in enumerate(raw)], raw
