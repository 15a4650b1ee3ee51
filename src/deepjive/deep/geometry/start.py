"""Where training starts: at a linear solution, or along the sheet on which curved data lie.

- joint       Each modality is projected on the signal of the others, `P_-k X_k`; the joint scores are the leading left
              singular vectors of these predictions side by side: the linear scores that best predict every modality
              from those that have not seen it (reduced-rank regression).
- individual  the leading singular vectors of what the joint part leaves of a modality.

Encoders are the regression of the scores on a modality's signal, decoders the regression of the modality on the
scores. The signal of a modality is what lies above the optimal hard threshold for singular values.

A score too many finds relations that are chance; training would undo them, and bring noise into the others. So decoders
start without joint scores that do not clearly predict held-out samples; nothing keeps them from learning to use them.

Where AJIVE finds more joint dimensions than scores are asked for, the samples' places in these dimensions are unrolled
(`deepjive.deep.geometry.unrolling`), and likewise the dimensions of what the joint part leaves. If the unrolled
coordinates tell clearly more than straight ones, they are the scores, and encoders and decoders then learn them: one coordinate along a
curve that bends through many dimensions is what gradient descent from a straight line seldom finds.

Of samples that lack modalities those that lack least are taken, and made whole (`deepjive.deep.geometry.filling`) to find
the scores; encoders and decoders are then regressions over what was measured.

Sources: Izenman (1975), "Reduced-rank regression for the multivariate linear model"; Gavish and Donoho (2014), "The
optimal hard threshold for singular values is 4/sqrt(3)".
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from deepjive.data.modalities import Modalities
from deepjive.deep.constraints.presence import Presence, rows_of
from deepjive.deep.geometry.filling import filled
from deepjive.deep.geometry.rank_selection import linear_fit, places, signal_of
from deepjive.deep.geometry.unrolling import unrolled_scores
from deepjive.deep.model import Network
from deepjive.deep.networks import Decoder, Encoder
from deepjive.linear.signal_ranks import optimal_hard_threshold

STEPS, BATCH, LEARNING_RATE = 600, 128, 3e-3
CHECK_EVERY, PATIENCE = 25, 3
FEWEST_HELD_OUT, CLEARLY = 20, 3.0  # samples; standard errors
DRAWS = 100  # of AJIVE's bounds; with the usual 1000, images of wide signal took half a minute and 2.4 GB

Task = tuple[nn.Module, Tensor, Tensor]


@dataclass(frozen=True)
class ScaledSignal:
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
    def of(cls, x: Tensor, least: int, most: int | None = None, varying: int | None = None) -> ScaledSignal:
        """The signal of samples (n, *shape), of rank `least` to `most`, from their Gram matrix.

        `varying` is the number of features that vary, where samples are given in coordinates.
        """
        x = x.flatten(1)
        n, varying = len(x), int((x != x[:1]).any(0).sum()) if varying is None else varying
        x = x - x.mean(0)
        squares, vectors = torch.linalg.eigh((x @ x.T).double())
        s, u = squares.clamp_min(0).sqrt().flip(0), vectors.flip(1)
        rank = max(least, int((s.cpu().numpy() > optimal_hard_threshold(s.cpu().numpy(), n - 1, varying)).sum()))
        rank = max(1, min(rank, most or rank, int((s > 1e-6 * s[0]).sum())))
        return cls(x, u[:, :rank], s[:rank])

    @property
    def directions(self) -> Tensor:
        """Right singular vectors of the signal (p, rank)."""
        return self.x.T @ (self.u / self.s).to(self.x.dtype)

    def regression_of(self, scores: Tensor) -> Tensor:
        """Weights (rank, p) of a linear encoder whose output is the regression of scores (n, rank) on the signal."""
        return ((scores.T @ self.u) / self.s.square() @ self.u.T).to(self.x.dtype) @ self.x


@torch.no_grad()
def start_joint(
    network: Network,
    x: Sequence[Tensor],
    presence: Presence | None = None,
    held_out: tuple[Sequence[Tensor], Presence | None] | None = None,
) -> None:
    """Set joint encoders and decoders, and the identity constraint, from some samples.

    Parameters
    ----------
    network : Network
        Changed in place; networks of the user's own are left as they are.
    x : sequence of Tensor, each (n, *shape)
        Scaled training samples.
    presence : Presence or None
        Which sample has which modality.
    held_out : (x, presence), optional
        Other samples, by which to leave joint scores that predict nothing out of linear decoders.
    """
    encoders = [encoder for encoder in network.joint_encoders if isinstance(encoder, Encoder)]
    decoders = [decoder for decoder in network.joint_decoders if isinstance(decoder, Decoder)]
    if not len(encoders) == len(decoders) == len(x):
        return
    rank, rows = network.joint_rank, [rows_of(presence, k) for k in range(len(x))]
    measured = [one[here] for one, here in zip(x, rows, strict=True)]
    signals = [
        ScaledSignal.of(one, rank + own, varying=_varying(network, k))
        for k, (one, own) in enumerate(zip(measured, network.individual_ranks, strict=True))
    ]
    whole = list(x) if presence is None else _whole(signals, presence)
    ranks = None if presence is None else [len(signal.s) for signal in signals]
    unrolled = _unrolled_joint(network, whole, ranks) if _curves([*encoders, *decoders]) else None
    if unrolled is None:
        among = signals if ranks is None else [ScaledSignal.of(one, r, r) for one, r in zip(whole, ranks, strict=True)]
        scores = _predictable(among, rank)
    else:
        scores = unrolled
    for encoder, signal, here in zip(encoders, signals, rows, strict=True):
        encoder.linear.weight[: scores.shape[1]] = signal.regression_of(scores[here])
        encoder.linear.bias.zero_()
    if unrolled is not None:
        target = unrolled.to(x[0].dtype)
        _learn([(encoder, one, target[here]) for encoder, one, here in zip(encoders, measured, rows, strict=True)])
    network.identity.start([encoder(one) for encoder, one in zip(encoders, measured, strict=True)])
    latents = network.latents(x, presence)
    joint = network.identity.joint(latents, presence)
    for k, (decoder, signal, here) in enumerate(zip(decoders, signals, rows, strict=True)):
        sources = [*network.identity.without(latents, k, presence), joint]
        seen = _seen(network, presence, k, len(sources))
        inputs = torch.cat([source[here][told] for source, told in zip(sources, seen, strict=True)])
        target = torch.cat([signal.x[told] for told in seen])
        checked_on = _unseen(network, k, *held_out) if held_out is not None and unrolled is None else None
        _regress(decoder, inputs, target, checked_on)
    if unrolled is not None:
        _learn([(decoder, joint[here], one) for decoder, one, here in zip(decoders, measured, rows, strict=True)])


@torch.no_grad()
def start_individual(network: Network, x: Sequence[Tensor], presence: Presence | None = None) -> None:
    """Set individual encoders and decoders; parameters as of `start_joint`."""
    all_joint = network.joint_scores(x, presence)
    encoding: list[Task] = []
    decoding: list[tuple[Encoder, Decoder, Tensor, Tensor, Tensor]] = []
    for k, one in enumerate(x):
        encoder, decoder = network.individual_encoders[k], network.individual_decoders[k]
        if not isinstance(encoder, Encoder) or not isinstance(decoder, Decoder):
            continue
        rank, here = network.individual_ranks[k], rows_of(presence, k)
        one, joint = one[here], all_joint[here]
        signal = ScaledSignal.of(one, network.joint_rank + rank, varying=_varying(network, k))
        rest = signal.x - network.joint_part(k, joint).flatten(1)
        squares, vectors = torch.linalg.eigh(signal.u.T @ (rest @ rest.T).double() @ signal.u)
        points = signal.u @ (vectors * squares.clamp_min(0).sqrt()).flip(1)
        unrolled = _unrolled(points, rank) if _curves([encoder, decoder]) else None
        scores = signal.u @ vectors.flip(1)[:, :rank] * len(one) ** 0.5 if unrolled is None else unrolled
        encoder.linear.weight[: scores.shape[1]] = signal.regression_of(scores)
        encoder.linear.bias.zero_()
        _regress(decoder, torch.cat([scores, joint], dim=1) if network.conditioned else scores, rest)
        if unrolled is not None:
            encoding.append((encoder, one, unrolled.to(one.dtype)))
            decoding.append((encoder, decoder, one, joint, rest.reshape(one.shape)))
    _learn(encoding)
    seen = [
        torch.cat([encoder(one), joint], dim=1) if network.conditioned else encoder(one)
        for encoder, _, one, joint, _ in decoding
    ]
    _learn([(decoder, scores, rest) for (_, decoder, _, _, rest), scores in zip(decoding, seen, strict=True)])


def _whole(signals: Sequence[ScaledSignal], presence: Presence) -> list[Tensor]:
    """All samples (n, p) of each modality, with the signal that is expected where it was not measured."""
    present = presence.own > 0
    expected = filled([signal.u * signal.s for signal in signals], present)
    whole = []
    for k, (signal, c) in enumerate(zip(signals, expected, strict=True)):
        one = c.to(signal.x.dtype) @ signal.directions.T
        one[present[:, k]] = signal.x
        whole.append(one)
    return whole


def _seen(network: Network, presence: Presence | None, k: int, n_sources: int) -> list[Tensor | slice]:
    """Of the samples that have modality `k`, those that have what it takes to make each source; the last all have."""
    if presence is None:
        return [slice(None)] * n_sources
    seen = network.identity.available(presence, k)[:, rows_of(presence, k)] > 0
    return [*seen, slice(None)]


def _varying(network: Network, k: int) -> int | None:
    """Number of features that vary, of a modality in coordinates."""
    return network.coordinates[k].varying if k in network.coordinates else None


def _features(network: Network, k: int, x: Tensor) -> Tensor:
    """Samples (n, *shape) of a modality, in features also where they come in coordinates."""
    return network.coordinates[k].back(x) if k in network.coordinates else x


def _curves(modules: Sequence[Encoder | Decoder]) -> bool:
    return all(module.correction is not None for module in modules)


def _unrolled_joint(network: Network, x: Sequence[Tensor], ranks: Sequence[int] | None) -> Tensor | None:
    """Unrolled joint scores (n, rank), if they tell more of the modalities than straight ones.

    `ranks` are those of the signals; None to find them, which samples that were made whole do not allow.
    """
    rank, features = network.joint_rank, [_features(network, k, one) for k, one in enumerate(x)]
    arrays = Modalities({str(k): one.flatten(1).double().cpu().numpy() for k, one in enumerate(features)})
    known = None if ranks is None else dict(zip(arrays.names, ranks, strict=True))
    linear = linear_fit(arrays, seed=0, draws=DRAWS, signal_ranks=known)
    if linear.joint_rank_ <= rank:
        return None
    signals = [signal_of(linear, arrays, name)[0] for name in arrays.names]
    targets = [signal / np.linalg.norm(signal) for signal in signals]
    found = unrolled_scores(places(linear, arrays), targets, rank)
    return None if found is None else torch.as_tensor(found, device=x[0].device)


def _unrolled(points: Tensor, rank: int) -> Tensor | None:
    found = unrolled_scores(points.cpu().numpy(), [points.cpu().numpy()], rank)
    return None if found is None else torch.as_tensor(found, device=points.device)


def _learn(tasks: Sequence[Task]) -> None:
    """Train modules to turn inputs into targets; of their outputs the first columns, as many as the target has.

    A fifth of the samples is held out, and the weights that are best there are kept.
    """
    if len({len(given) for _, given, _ in tasks}) != 1:  # samples that have one modality are not those of another
        for task in tasks:
            _learn([task])
        return
    modules = nn.ModuleList([module for module, _, _ in tasks])
    optimizer = torch.optim.Adam(modules.parameters(), lr=LEARNING_RATE)
    n = len(tasks[0][1])
    order = torch.randperm(n).to(tasks[0][1].device)
    held_out, rows = order[: max(1, n // 5)], order[max(1, n // 5) :]

    def error(chosen: Tensor) -> Tensor:
        found = [(module(given[chosen]), target[chosen]) for module, given, target in tasks]
        return torch.stack([mse_loss(made[:, : one.shape[1]], one) for made, one in found]).sum()

    best, best_error, best_step = copy.deepcopy(modules.state_dict()), float(error(held_out)), 0
    with torch.enable_grad():
        for step in range(1, STEPS + 1):
            optimizer.zero_grad()
            error(rows[torch.randint(len(rows), (BATCH,), device=rows.device)]).backward()
            optimizer.step()
            if step % CHECK_EVERY:
                continue
            if (reached := float(error(held_out).detach())) < best_error:
                best, best_error, best_step = copy.deepcopy(modules.state_dict()), reached, step
            elif step - best_step >= PATIENCE * CHECK_EVERY:
                break
    modules.load_state_dict(best)
    optimizer.zero_grad()


def _predictable(signals: Sequence[ScaledSignal], rank: int) -> Tensor:
    """Scores (n, rank), of variance 1, that best predict each modality from the signal of the others."""
    gram: Tensor | float = 0.0
    for k, signal in enumerate(signals):
        q, _ = torch.linalg.qr(torch.cat([other.u for i, other in enumerate(signals) if i != k], dim=1))
        within = (signal.x @ signal.x.T).double() / signal.x.square().mean()
        gram = gram + q @ (q.T @ within @ q) @ q.T
    _, vectors = torch.linalg.eigh(torch.as_tensor(gram))
    return vectors.flip(1)[:, :rank] * len(vectors) ** 0.5


def _unseen(network: Network, k: int, x: Sequence[Tensor], presence: Presence | None) -> tuple[Tensor, Tensor] | None:
    """Of samples that have modality `k` and another: scores (n, rank) made without it, and it (n, p); None if few."""
    rows = slice(None) if presence is None else presence.with_another(k) > 0
    scores = network.identity.mean_without(network.latents(x, presence), k, presence)[rows]
    return (scores, x[k][rows].flatten(1)) if len(scores) >= FEWEST_HELD_OUT else None


def _regress(decoder: Decoder, scores: Tensor, target: Tensor, held_out: tuple[Tensor, Tensor] | None = None) -> None:
    """Set a decoder's linear map to the regression of `target` (n, p) on `scores` (n, rank).

    One score after another, from the last, is left out unless what it adds clearly predicts what the others leave of
    held-out samples (scores, target).
    """
    scores = scores.double()
    gram, products = scores.T @ scores, scores.to(target.dtype).T @ target
    gram = gram + 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)

    def weights(kept: list[int]) -> Tensor:
        return torch.linalg.solve(gram[kept][:, kept], products[kept].double()).to(target.dtype)

    kept = list(range(len(gram)))
    if held_out is not None:
        held_scores, held_target = (one - one.mean(0) for one in held_out)
        told = held_scores @ weights(kept)
        for score in reversed(range(len(gram))):
            fewer = [other for other in kept if other != score]
            without = held_scores[:, fewer] @ weights(fewer)
            if not _clear(told - without, held_target - without):
                kept, told = fewer, without
    decoder.linear.weight[:, : len(gram)] = 0.0
    decoder.linear.weight[:, kept] = weights(kept).T
    decoder.linear.bias.zero_()


def _clear(told: Tensor, truth: Tensor) -> bool:
    """Whether the regression of `truth` on `told`, both (n, p), has a slope three standard errors above 0."""
    products, squares = (told * truth).sum(1), told.square().sum(1)
    slope = products.sum() / squares.sum().clamp_min(1e-12)
    uncertain = (products - slope * squares).std() * len(told) ** 0.5 / squares.sum().clamp_min(1e-12)
    return bool(slope > CLEARLY * uncertain)
