"""Identity: the modalities' joint scores are the same. Three ways to make them so.

Each modality's joint encoder gives a latent `z_k`. A constraint turns latents into joint scores `z_J`, says from which
scores a modality may be predicted without having been looked at (`without`), and adds a loss term:

- explicit    z_J = mean_k w(z_k)        term  2 mean_k |w(z_k) - z_J|^2,   w whitens over the batch
- exchange    z_J = mean_k z_k           no latent term; decoders are exchanged between the modalities' latents
- merged      z_J = h(z_1, ..., z_K)     one network over all modalities; needs all of them

The term is (K - 1) / K of the mean over pairs of |w(z_k) - w(z_l)|^2: half of it for two modalities. Means are over the
modalities that a sample has, K of them; `Presence` says which.

Source: DeepJIVE (arXiv 2507.19682), section 2.3.2, as summarised publicly. Whitening in *explicit* is ours: a plain
squared distance is smallest where the latents vanish, and whitened latents cannot vanish; AJIVE's common scores are
orthonormal too (Feng, Jiang, Hannig and Marron, 2018).
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
    "Give every modality, or fit with identity='explicit' or 'exchange', which can do without."
)

NEEDS_ALL_TO_FIT = (
    "identity='merged' computes joint scores by one network over all modalities at once, which has no answer for a "
    "sample that lacks one, and {count} of {n} samples do. Fit with identity='explicit' or 'exchange', which take "
    "them, or to the complete samples: data[data.present.all(axis=1)]."
)

Latents = Sequence[Tensor | None]


class Identity(nn.Module, ABC):
    """Base of the three constraints.

    Parameters
    ----------
    n_modalities : int
        Number of modalities K.
    rank : int
        The joint rank.
    """

    merges = False
    latent_term = False

    def __init__(self, n_modalities: int, rank: int) -> None:
        super().__init__()
        self.n_modalities, self.rank = n_modalities, rank

    @abstractmethod
    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        """Latents made comparable, each (batch, rank); done once a batch, before the other methods."""

    @abstractmethod
    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        """Joint scores (batch, rank) from prepared latents; None stands for a modality that no sample has."""

    @abstractmethod
    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        """Joint scores (batch, rank), one or several, from which modality `k` can be predicted unseen."""

    def mean_without(self, latents: Latents, k: int, presence: Presence | None = None) -> Tensor:
        """The mean (batch, rank) of the scores of `without`, over those that a sample has what it takes for."""
        unseen = torch.stack(self.without(latents, k, presence))
        return unseen.mean(0) if presence is None else (self.shares(presence, k)[:, :, None] * unseen).sum(0)

    def shares(self, presence: Presence, k: int) -> Tensor:
        """Weights (n_scores, batch) of a sample's scores of `without` in their mean; they add up to 1, or all are 0."""
        seen = self.seen(presence, k)
        return seen / seen.sum(0).clamp_min(1.0)

    def seen(self, presence: Presence, k: int) -> Tensor:
        """1 where a sample has what it takes to make the scores of `without`, shape (n_scores, batch)."""
        raise NotImplementedError(NEEDS_ALL.format(missing="one of them"))

    def start(self, latents: Sequence[Tensor]) -> None:
        """Begin with the mean of these latents, one (n, features) a modality, whose first `rank` are joint scores."""

    def term(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        """Twice the mean squared distance of the modalities' prepared latents from their mean, per score."""
        z = _given(latents)
        if presence is not None:
            centre, shares = presence.mean(z), presence.own / presence.own.sum(1, keepdim=True)
            several = presence.several()
            apart = [mean_square(one - centre, several * shares[:, k]) for k, one in enumerate(z)]
            return torch.stack(apart).sum() * 2.0
        centre = torch.stack(z).mean(0)
        return torch.stack([(one - centre).square().mean() for one in z]).mean() * 2.0


class Explicit(Identity):
    """z_J is the mean of the latents; their mean squared distance from it is penalized.

    Parameters
    ----------
    n_modalities, rank : int
        Numbers of modalities and of joint scores.
    whiten : bool
        Whether the distance is measured between whitened latents.
    """

    latent_term = True

    def __init__(self, n_modalities: int, rank: int, whiten: bool = True) -> None:
        super().__init__(n_modalities, rank)
        self.whitening = nn.ModuleList([Whitening(rank) for _ in range(n_modalities)]) if whiten else None

    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        if self.whitening is None:
            return list(latents)
        whole: list[Tensor | None] = [None] * len(latents) if presence is None else list(presence.whole.unbind(1))
        return [None if z is None else w(z, p) for z, w, p in zip(latents, self.whitening, whole, strict=True)]

    def start(self, latents: Sequence[Tensor]) -> None:
        for z, whitening in zip(latents, self.whitening or [], strict=True):
            cast(Whitening, whitening).remember(*_moments(z), momentum=1.0)

    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        return _mean(latents, presence)

    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        return [_mean(latents, presence, k)]

    def seen(self, presence: Presence, k: int) -> Tensor:
        return (presence.own.sum(1, keepdim=True).T - presence.own[:, k] > 0).float()


class Exchange(Identity):
    """Modality `k` is predicted from every other modality's latent in turn."""

    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        return list(latents)

    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        return _mean(latents, presence)

    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        return _given(latents, k)

    def seen(self, presence: Presence, k: int) -> Tensor:
        return torch.stack([here for other, here in enumerate(presence.own.unbind(1)) if other != k])


class Merged(Identity):
    """One network over the features of all modalities.

    A modality left out is replaced by zeros and a flag, and the others are scaled up to make good for it.
    """

    merges = True
    width = 32

    def __init__(self, n_modalities: int, rank: int) -> None:
        super().__init__(n_modalities, rank)
        inputs = n_modalities * (self.features + 1)
        self.linear = nn.Linear(inputs, rank)
        self.correction = nn.Sequential(nn.Linear(inputs, 64), nn.GELU(), zeroed(nn.Linear(64, rank)))

    @property
    def features(self) -> int:
        """Number of features that each modality's joint encoder gives."""
        return max(self.width, 2 * self.rank)

    def prepared(self, latents: Latents, presence: Presence | None = None) -> list[Tensor | None]:
        return list(latents)

    def start(self, latents: Sequence[Tensor]) -> None:
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        for k in range(self.n_modalities):
            first = k * (self.features + 1)
            self.linear.weight[:, first : first + self.rank].fill_diagonal_(1 / self.n_modalities)

    def joint(self, latents: Latents, presence: Presence | None = None) -> Tensor:
        return self._merge(latents, left_out=None)

    def without(self, latents: Latents, k: int, presence: Presence | None = None) -> list[Tensor]:
        return [self._merge(latents, left_out=k)]

    def _merge(self, latents: Latents, left_out: int | None) -> Tensor:
        pieces = []
        scale = 1.0 if left_out is None else self.n_modalities / (self.n_modalities - 1)
        for k, z in enumerate(_given(latents)):
            flag = z.new_full((len(z), 1), float(k == left_out))
            pieces.append(torch.cat([torch.zeros_like(z) if k == left_out else scale * z, flag], dim=1))
        x = torch.cat(pieces, dim=1)
        return self.linear(x) + self.correction(x)


class Whitening(nn.Module):
    """Make scores uncorrelated with variance 1: over the batch in training, by running moments afterwards.

    The batch is that of all processes together.

    Parameters
    ----------
    rank : int
        Number of scores.
    momentum : float
        Weight of a batch in the running moments.
    ridge : float
        Added to the covariance, relative to its mean diagonal.
    """

    mean: Tensor
    covariance: Tensor

    def __init__(self, rank: int, momentum: float = 0.02, ridge: float = 1e-3) -> None:
        super().__init__()
        self.rank, self.momentum, self.ridge = rank, momentum, ridge
        self.register_buffer("mean", torch.zeros(rank))
        self.register_buffer("covariance", torch.eye(rank))

    def forward(self, z: Tensor, present: Tensor | None = None) -> Tensor:
        """(batch, rank) to (batch, rank), by the samples of all processes for which `present` is 1."""
        if self.rank == 0:
            return z
        with torch.autocast(z.device.type, enabled=False):  # what is left of a covariance in half precision has no root
            return self._white(z.float(), present)

    def _white(self, z: Tensor, present: Tensor | None) -> Tensor:
        mean, covariance = self.mean, self.covariance
        enough = len(z) if present is None else int(present.sum())
        if self.training and enough > (1 if present is None else self.rank):
            (whole,) = of_all_processes([z])
            mean, covariance = _moments(whole if present is None else whole[present > 0])
            self.remember(mean.detach(), covariance.detach(), self.momentum)
        diagonal = covariance.diagonal().mean() * self.ridge + 1e-12
        factor = cholesky(covariance + diagonal * torch.eye(self.rank, device=z.device))
        return torch.linalg.solve_triangular(factor, (z - mean).T, upper=False).T

    def remember(self, mean: Tensor, covariance: Tensor, momentum: float) -> None:
        """Take moments into the running ones, with weight `momentum`."""
        self.mean.lerp_(mean, momentum)
        self.covariance.lerp_(covariance, momentum)


def make_identity(name: IdentityName, n_modalities: int, rank: int, whiten: bool = True) -> Identity:
    """The constraint called `name`; all are the same where there are no joint scores to constrain."""
    if rank == 0:
        return Exchange(n_modalities, rank)
    if name == "explicit":
        return Explicit(n_modalities, rank, whiten)
    return Exchange(n_modalities, rank) if name == "exchange" else Merged(n_modalities, rank)


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of scores (n, rank)."""
    mean = z.mean(0)
    return mean, (z - mean).T @ (z - mean) / (len(z) - 1)


def _mean(latents: Latents, presence: Presence | None, left_out: int | None = None) -> Tensor:
    """Mean of the latents that a sample has, but for one."""
    if presence is None:
        return torch.stack(_given(latents, left_out)).mean(0)
    return presence.mean(_given(latents), left_out)


def _given(latents: Latents, left_out: int | None = None) -> list[Tensor]:
    """The latents that are there, but for one."""
    return [z for k, z in enumerate(latents) if z is not None and k != left_out]
