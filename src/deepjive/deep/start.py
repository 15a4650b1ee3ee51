"""Where training starts: at a linear solution, from which the nonlinear corrections go on.

- joint       Each modality is projected on the signal of the others, `P_-k X_k`; the joint scores are the leading left
              singular vectors of these predictions side by side: the linear scores that best predict every modality
              from those that have not seen it (reduced-rank regression).
- individual  the leading singular vectors of what the joint part leaves of a modality.

Encoders are the regression of the scores on a modality's signal, decoders the regression of the modality on the
scores. The signal of a modality is what lies above the optimal hard threshold for singular values.

Sources: Izenman (1975), "Reduced-rank regression for the multivariate linear model"; Gavish and Donoho (2014), "The
optimal hard threshold for singular values is 4/sqrt(3)".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepjive.deep.model import Network
from deepjive.deep.networks import Decoder, Encoder
from deepjive.linear.ranks import optimal_hard_threshold


@dataclass(frozen=True)
class Signal:
    """Centred samples and the signal in them.

    Attributes
    ----------
    x : Tensor, (n, p)
        Centred samples.
    u : Tensor, (n, rank)
        Left singular vectors of the signal, in double precision.
    s : Tensor, (rank,)
        Its singular values, in double precision.
    """

    x: Tensor
    u: Tensor
    s: Tensor

    @classmethod
    def of(cls, x: Tensor, least: int) -> Signal:
        """The signal of samples (n, *shape), of rank `least` or more, from their Gram matrix."""
        x = x.flatten(1)
        x = x - x.mean(0)
        n, p = x.shape
        squares, vectors = torch.linalg.eigh((x @ x.T).double())
        s, u = squares.clamp_min(0).sqrt().flip(0), vectors.flip(1)
        rank = max(least, int((s.cpu().numpy() > optimal_hard_threshold(s.cpu().numpy(), n - 1, p)).sum()))
        rank = max(1, min(rank, int((s > 1e-6 * s[0]).sum())))
        return cls(x, u[:, :rank], s[:rank])

    def regression_of(self, scores: Tensor) -> Tensor:
        """Weights (rank, p) of a linear encoder whose output is the regression of scores (n, rank) on the signal."""
        return ((scores.T @ self.u) / self.s.square() @ self.u.T).to(self.x.dtype) @ self.x


@torch.no_grad()
def start_joint(network: Network, x: Sequence[Tensor]) -> None:
    """Set the linear maps of joint encoders and decoders, and the identity constraint, from some samples.

    Parameters
    ----------
    network : Network
        Changed in place; networks of the user's own are left as they are.
    x : sequence of Tensor, each (n, *shape)
        Scaled training samples.
    """
    encoders = [encoder for encoder in network.joint_encoders if isinstance(encoder, Encoder)]
    decoders = [decoder for decoder in network.joint_decoders if isinstance(decoder, Decoder)]
    if not len(encoders) == len(decoders) == len(x):
        return
    rank = network.joint_rank
    signals = [Signal.of(one, rank + own) for one, own in zip(x, network.individual_ranks, strict=True)]
    scores = _predictable(signals, rank)
    for encoder, signal in zip(encoders, signals, strict=True):
        encoder.linear.weight[: scores.shape[1]] = signal.regression_of(scores)
        encoder.linear.bias.zero_()
    network.identity.start([encoder(one) for encoder, one in zip(encoders, x, strict=True)])
    latents = network.latents(x)
    joint = network.identity.joint(latents)
    for k, (decoder, signal) in enumerate(zip(decoders, signals, strict=True)):
        sources = [*network.identity.without(latents, k), joint]
        _regress(decoder, torch.cat(sources), signal.x.repeat(len(sources), 1))


@torch.no_grad()
def start_individual(network: Network, x: Sequence[Tensor]) -> None:
    """Set the linear maps of individual encoders and decoders; parameters as of `start_joint`."""
    joint = network.joint_scores(x)
    for k, one in enumerate(x):
        encoder, decoder = network.individual_encoders[k], network.individual_decoders[k]
        if not isinstance(encoder, Encoder) or not isinstance(decoder, Decoder):
            continue
        rank = network.individual_ranks[k]
        signal = Signal.of(one, network.joint_rank + rank)
        rest = signal.x - network.joint_part(k, joint).flatten(1)
        _, vectors = torch.linalg.eigh(signal.u.T @ (rest @ rest.T).double() @ signal.u)
        scores = signal.u @ vectors.flip(1)[:, :rank] * len(one) ** 0.5
        encoder.linear.weight[: scores.shape[1]] = signal.regression_of(scores)
        encoder.linear.bias.zero_()
        seen = torch.cat([scores, joint], dim=1) if network.conditioned else scores
        _regress(decoder, seen, rest)


def _predictable(signals: Sequence[Signal], rank: int) -> Tensor:
    """Scores (n, rank), of variance 1, that best predict each modality from the signal of the others."""
    gram: Tensor | float = 0.0
    for k, signal in enumerate(signals):
        q, _ = torch.linalg.qr(torch.cat([other.u for i, other in enumerate(signals) if i != k], dim=1))
        within = (signal.x @ signal.x.T).double() / signal.x.square().mean()
        gram = gram + q @ (q.T @ within @ q) @ q.T
    _, vectors = torch.linalg.eigh(torch.as_tensor(gram))
    return vectors.flip(1)[:, :rank] * len(vectors) ** 0.5


def _regress(decoder: Decoder, scores: Tensor, target: Tensor) -> None:
    """Set a decoder's linear map to the regression of `target` (n, p) on `scores` (n, rank)."""
    scores = scores.double()
    gram = scores.T @ scores
    ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram + ridge, scores.T).to(target.dtype) @ target
    decoder.linear.weight[:, : len(weights)] = weights.T
    decoder.linear.bias.zero_()
