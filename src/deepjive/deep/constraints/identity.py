"""Identity constraints: the modalities' joint scores are the same.

The joint encoder of each modality gives a latent z_k. A constraint combines the K latents into the joint scores z_J. It
also gives the scores that predict a modality without having seen it (`Identity.without`), and it may add a term to the
loss:

- explicit    z_J = mean_k w(z_k)        The term is 2 mean_k |w(z_k) - z_J|^2, where w whitens over the batch.
- exchange    z_J = mean_k z_k           There is no term. Each decoder is applied to every other modality's latent.
- merged      z_J = h(z_1, ..., z_K)     One network h combines all modalities. Every sample needs all modalities.

The explicit term is (K - 1) / K times the mean of |w(z_k) - w(z_l)|^2 over pairs, which is half of that mean for two
modalities. Means run over the modalities that a sample has (`deepjive.deep.constraints.presence`).

Whitening in *explicit* is ours. A plain squared distance is smallest where the latents vanish, and whitened latents
cannot vanish. The common scores of AJIVE are orthonormal too. The ridge of the whitening has to be tiny: latents can
vanish in every direction whose variance is below the ridge, and training then lowers the distance by letting one
direction dominate the latents instead of letting the modalities agree.

References
----------
DeepJIVE (arXiv 2507.19682), section 2.3.2, as summarised publicly.
Feng, Jiang, Hannig and Marron (2018), "Angle-based joint and individual variation explained".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from deepjive.deep.choices import IdentityName
from deepjive.deep.constraints.algebra import cholesky
from deepjive.deep.constraints.presence import Presence, mean_square
from deepjive.deep.networks import zeroed
from deepjive.deep.runtime.distributed import of_all_processes

NEEDS_ALL = (
    "identity='merged' computes joint scores from all modalities at once, but {missing} was not given. "
    "Give every modality, or fit with identity='explicit' or 'exchange', which accept samples that lack modalities."
)

NEEDS_ALL_TO_FIT = (
    "identity='merged' computes joint scores by one network over all modalities, so that every sample needs all, "
    "and {count} of {n} samples do not. Fit with identity='explicit' or 'exchange', which accept such samples, "
    "or fit to the complete samples: data[data.present.all(axis=1)]."
)

Latents = Sequence[Tensor | None]


class Identity(nn.Module, ABC):
    """Base of the three identity constraints.

    Parameters
    ----------
    n_modalities : int
        Number of modalities K.
    rank : int
        The joint rank.

    Attributes
    ----------
    needs_all_modalities : bool
        Whether joint scores exist only for samples that have all modalities.
    has_term : bool
        Whether the constraint adds a term to the loss.
    decodes_each_latent : bool
        Whether the published objective reconstructs a modality from every modality's latent in turn, instead of from
        the joint scores.
    """

    needs_all_modalities: bool
    has_term: bool
    decodes_each_latent: bool

    complete_scale: Tensor

    def __init__(self, n_modalities: int, rank: int) -> None:
        super().__init__()
        self.n_modalities, self.rank = n_modalities, rank
        self.register_buffer("complete_scale", torch.ones(rank))

    def scaled(self, z: Tensor, latents: Latents, presence: Presence | None = None) -> Tensor:
        """Joint scores (batch, rank), with those of samples that have every modality multiplied by `complete_scale`.

        Latents are regressions of the joint scores on one modality, which shrink them. The mean of all latents is more
        certain than each of them, and must be shrunk less.
        """
        if any(latent is None for latent in latents):
            return z
        if presence is None:
            return z * self.complete_scale
        complete = presence.own.all(1, keepdim=True).to(z.dtype)
        return z * (1.0 + complete * (self.complete_scale - 1.0))

    @property
    @abstractmethod
    def latent_width(self) -> int:
        """Number of outputs of each modality's joint encoder."""

    @abstractmethod
    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        """Latents made comparable, each (batch, rank).

        The method is called once a batch, and the other methods take its result.
        """

    @abstractmethod
    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        """Joint scores (batch, rank) from prepared latents; None stands for a modality that no sample has."""

    @abstractmethod
    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        """Joint scores made without modality `k`, to predict it: one tensor or several, each (batch, rank)."""

    @abstractmethod
    def available(self, presence: Presence, k: int) -> Tensor:
        """1 where a sample has the modalities that each of the scores of `without` needs, shape (n_scores, batch)."""

    @abstractmethod
    def start(self, latents: Sequence[Tensor]) -> None:
        """Set the weights so that joint scores are the mean of these latents.

        Parameters
        ----------
        latents : sequence of Tensor, each (n, latent_width)
            One for each modality; the first `rank` columns are joint scores.
        """

    def mean_without(self, latents: Latents, k: int, presence: Presence | None = None) -> Tensor:
        """Mean (batch, rank) of the scores of `without`, over the scores that are available for a sample."""
        scores = torch.stack(self.without(latents, k, presence))
        return scores.mean(0) if presence is None else (self.shares(presence, k)[:, :, None] * scores).sum(0)

    def shares(self, presence: Presence, k: int) -> Tensor:
        """Weights (n_scores, batch) of the scores of `without` in their mean; their sum for a sample is 1, or 0."""
        available = self.available(presence, k)
        return available / available.sum(0).clamp_min(1.0)

    def term(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        """Twice the mean squared distance of the prepared latents from their mean, a scalar."""
        z = _not_none(latents)
        if presence is not None:
            centre, shares = presence.mean(z), presence.own / presence.own.sum(1, keepdim=True)
            several = presence.several()
            distances = [mean_square(z_k - centre, several * shares[:, k]) for k, z_k in enumerate(z)]
            return torch.stack(distances).sum() * 2.0
        centre = torch.stack(z).mean(0)
        return torch.stack([(z_k - centre).square().mean() for z_k in z]).mean() * 2.0


class Explicit(Identity):
    """Joint scores are the mean of the whitened latents, and the distance of the latents from it is penalized.

    Parameters
    ----------
    n_modalities : int
        Number of modalities K.
    rank : int
        The joint rank.
    whiten : bool, default=True
        Whether latents are whitened. The published objective does not whiten.
    """

    needs_all_modalities, has_term, decodes_each_latent = False, True, False

    def __init__(self, n_modalities: int, rank: int, whiten: bool = True) -> None:
        super().__init__(n_modalities, rank)
        self.whitening = nn.ModuleList([Whitening(rank) for _ in range(n_modalities)]) if whiten else None

    @property
    def latent_width(self) -> int:
        return self.rank

    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        if self.whitening is None:
            return list(latents)
        present: list[Tensor | None] = [None] * len(latents) if presence is None else list(presence.whole.unbind(1))
        return [None if z is None else w(z, p) for z, w, p in zip(latents, self.whitening, present, strict=True)]

    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        return self.scaled(_mean(latents, presence), latents, presence)

    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        return [_mean(latents, presence, k)]

    def available(self, presence: Presence, k: int) -> Tensor:
        return (presence.own.sum(1, keepdim=True).T - presence.own[:, k] > 0).float()

    def start(self, latents: Sequence[Tensor]) -> None:
        for z, whitening in zip(latents, self.whitening or [], strict=True):
            cast(Whitening, whitening).remember(*_moments(z), momentum=1.0)


class Exchange(Identity):
    """Modality `k` is predicted from every other modality's latent in turn."""

    needs_all_modalities, has_term, decodes_each_latent = False, False, True

    @property
    def latent_width(self) -> int:
        return self.rank

    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        return list(latents)

    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        return self.scaled(_mean(latents, presence), latents, presence)

    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        return _not_none(latents, k)

    def available(self, presence: Presence, k: int) -> Tensor:
        return torch.stack([present for other, present in enumerate(presence.own.unbind(1)) if other != k])

    def start(self, latents: Sequence[Tensor]) -> None:
        """Do nothing: the constraint has no weights."""


class Merged(Identity):
    """One network combines the latents of all modalities into joint scores.

    Where a modality is left out, zeros and a flag replace its latent, and the other latents are scaled up.
    """

    needs_all_modalities, has_term, decodes_each_latent = True, False, False
    smallest_width = 32

    def __init__(self, n_modalities: int, rank: int) -> None:
        super().__init__(n_modalities, rank)
        inputs = n_modalities * (self.latent_width + 1)
        self.linear = nn.Linear(inputs, rank)
        self.correction = nn.Sequential(nn.Linear(inputs, 64), nn.GELU(), zeroed(nn.Linear(64, rank)))

    @property
    def latent_width(self) -> int:
        return max(self.smallest_width, 2 * self.rank)

    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        return list(latents)

    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        return self.scaled(self._merge(latents, left_out=None), latents, presence)

    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        return [self._merge(latents, left_out=k)]

    def available(self, presence: Presence, k: int) -> Tensor:
        """Raise an error: no scores exist for samples that lack modalities."""
        raise NotImplementedError(NEEDS_ALL.format(missing="one of them"))

    def start(self, latents: Sequence[Tensor]) -> None:
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        for k in range(self.n_modalities):
            first = k * (self.latent_width + 1)
            self.linear.weight[:, first : first + self.rank].fill_diagonal_(1 / self.n_modalities)

    def _merge(self, latents: Latents, left_out: int | None) -> Tensor:
        inputs = []
        scale = 1.0 if left_out is None else self.n_modalities / (self.n_modalities - 1)
        for k, z in enumerate(_not_none(latents)):
            flag = z.new_full((len(z), 1), float(k == left_out))
            inputs.append(torch.cat([torch.zeros_like(z) if k == left_out else scale * z, flag], dim=1))
        x = torch.cat(inputs, dim=1)
        return self.linear(x) + self.correction(x)


class Whitening(nn.Module):
    """Make scores uncorrelated with variance 1.

    In training the moments are computed from the batch of all processes. Afterwards running moments are used. All is
    computed in double precision, in which a covariance with a tiny ridge has a Cholesky factor in spite of rounding.
    The ridge is larger than the rounding of running moments, which are stored in single precision.

    Parameters
    ----------
    rank : int
        Number of scores.
    momentum : float, default=0.02
        Weight of a batch in the running moments.
    ridge : float, default=1e-5
        Number added to the diagonal of the covariance, relative to its mean diagonal. Directions whose variance is not
        much larger than the ridge have a variance below 1 after whitening.
    """

    mean: Tensor
    covariance: Tensor

    def __init__(self, rank: int, momentum: float = 0.02, ridge: float = 1e-5) -> None:
        super().__init__()
        self.rank, self.momentum, self.ridge = rank, momentum, ridge
        self.register_buffer("mean", torch.zeros(rank))
        self.register_buffer("covariance", torch.eye(rank))

    def forward(self, z: Tensor, present: Tensor | None = None) -> Tensor:
        """Whitened scores (batch, rank).

        Parameters
        ----------
        z : Tensor, (batch, rank)
            Scores.
        present : Tensor, (processes * batch,), or None, default=None
            1 for the samples that the moments are computed from; None for all.
        """
        if self.rank == 0:
            return z
        if not torch.is_autocast_enabled(z.device.type):  # before torch 2.5, a program with autocast is not exported
            return self._whitened(z.double(), present).float()
        with torch.autocast(z.device.type, enabled=False):
            return self._whitened(z.double(), present).float()

    def _whitened(self, z: Tensor, present: Tensor | None) -> Tensor:
        mean, covariance = self.mean.double(), self.covariance.double()
        n = len(z) if present is None else int(present.sum())
        if self.training and n > (1 if present is None else self.rank):
            (of_all,) = of_all_processes([z])
            mean, covariance = _moments(of_all if present is None else of_all[present > 0])
            self.remember(mean.detach().float(), covariance.detach().float(), self.momentum)
        diagonal = covariance.diagonal().mean() * self.ridge + 1e-12
        factor = cholesky(covariance + diagonal * torch.eye(self.rank, dtype=z.dtype, device=z.device))
        return torch.linalg.solve_triangular(factor, (z - mean).T, upper=False).T

    def remember(self, mean: Tensor, covariance: Tensor, momentum: float) -> None:
        """Update the running moments by new moments, which get the weight `momentum`."""
        self.mean.lerp_(mean, momentum)
        self.covariance.lerp_(covariance, momentum)


IDENTITIES: dict[IdentityName, type[Identity]] = {"explicit": Explicit, "exchange": Exchange, "merged": Merged}


def make_identity(name: IdentityName, n_modalities: int, rank: int, whiten: bool = True) -> Identity:
    """The constraint called `name`; *exchange*, which has no weights, if the joint rank is 0.

    Parameters
    ----------
    name : {"explicit", "exchange", "merged"}
        Name of the constraint.
    n_modalities : int
        Number of modalities.
    rank : int
        The joint rank.
    whiten : bool, default=True
        Whether *explicit* whitens latents.
    """
    if rank == 0:
        return Exchange(n_modalities, rank)
    return Explicit(n_modalities, rank, whiten) if name == "explicit" else IDENTITIES[name](n_modalities, rank)


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of scores (n, rank)."""
    mean = z.mean(0)
    return mean, (z - mean).T @ (z - mean) / (len(z) - 1)


def _mean(latents: Latents, presence: Presence | None, left_out: int | None = None) -> Tensor:
    """Mean of the latents that a sample has, without the modality `left_out`."""
    if presence is None:
        return torch.stack(_not_none(latents, left_out)).mean(0)
    return presence.mean(_not_none(latents), left_out)


def _not_none(latents: Latents, left_out: int | None = None) -> list[Tensor]:
    """The latents of the modalities that were given, without the modality `left_out`."""
    return [z for k, z in enumerate(latents) if z is not None and k != left_out]
