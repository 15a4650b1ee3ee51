"""Where training starts: at a linear solution, or along the manifold on which curved data lie.

- joint       The joint ridge regression of `deepjive.deep.geometry.joint_ridge`: linear scores that best predict every
              modality from the others, with a penalty that cross-validation chooses.
- individual  The leading singular vectors of what the joint part leaves of a modality, among the directions that are
              uncorrelated with the joint scores.

Joint scores beyond the number that predicts held-out samples best reflect chance. Decoders start without these scores;
training may use them nevertheless.

Where AJIVE finds more joint dimensions than scores are asked for, the samples are unrolled
(`deepjive.deep.geometry.unrolling`), and likewise what the joint part leaves. If the unrolled coordinates predict
clearly more than as many linear scores, they are the scores, and encoders and decoders learn them. Gradient descent
from a straight line seldom finds one coordinate along a curve that bends through many dimensions.

A kernel regression says whether training can pay at all (`deepjive.deep.geometry.nonlinearity`).

Of samples that lack modalities those that lack fewest are used. Their missing modalities are filled in
(`deepjive.deep.geometry.filling`) to find the scores.

References
----------
Izenman (1975), Reduced-rank regression for the multivariate linear model, Journal of Multivariate Analysis 5.
Gavish and Donoho (2014), The optimal hard threshold for singular values is 4/sqrt(3), IEEE Transactions on
Information Theory 60.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from deepjive.data.modalities import Modalities
from deepjive.deep.constraints.presence import Presence, rows_of
from deepjive.deep.geometry.filling import filled
from deepjive.deep.geometry.joint_ridge import JointRidge, fit_joint_ridge
from deepjive.deep.geometry.manifold_prediction import linear_fit, places, signal_of
from deepjive.deep.geometry.nonlinearity import NonlinearGain, nonlinear_gain
from deepjive.deep.geometry.unrolling import MOST_DIMENSIONS, is_clustered, unrolled_scores
from deepjive.deep.model import Network
from deepjive.deep.networks import Decoder, Encoder
from deepjive.linear.signal_ranks import optimal_hard_threshold

STEPS, BATCH, LEARNING_RATE = 600, 128, 3e-3
CHECK_EVERY, PATIENCE = 25, 3
FEW_SAMPLES = 150  # of which nonlinear networks learn nothing that is not chance
PIECE = 4096  # features
LARGEST_SCALE = 3.0  # of complete samples' joint scores
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
    def of(cls, x: Tensor, least: int, varying: int | None = None) -> ScaledSignal:
        """The signal of samples (n, *shape), of rank `least` or more, from the smaller of their two Gram matrices.

        `varying` is the number of features that vary, where samples are given in coordinates.
        """
        x = x.flatten(1)
        n, varying = len(x), int((x != x[:1]).any(0).sum()) if varying is None else varying
        x = x - x.mean(0)
        if x.shape[1] < n:
            squares, right = torch.linalg.eigh(x.T.double() @ x.double())
            s = squares.clamp_min(0).sqrt().flip(0)
            u = x.double() @ (right.flip(1) / s.clamp_min(1e-300))
            s = torch.cat([s, s.new_zeros(n - len(s))])
        else:
            squares, vectors = torch.linalg.eigh((x @ x.T).double())
            s, u = squares.clamp_min(0).sqrt().flip(0), vectors.flip(1)
        rank = max(least, int((s.cpu().numpy() > optimal_hard_threshold(s.cpu().numpy(), n - 1, varying)).sum()))
        rank = max(1, min(rank, int((s > 1e-6 * s[0]).sum())))
        return cls(x, u[:, :rank], s[:rank])

    @property
    def directions(self) -> Tensor:
        """Right singular vectors of the signal (p, rank)."""
        return self.x.T @ (self.u / self.s).to(self.x.dtype)

    def regression_of(self, scores: Tensor) -> Tensor:
        """Weights (rank, p) of a linear encoder whose output is the regression of scores (n, rank) on the signal."""
        return ((scores.T @ self.u) / self.s.square() @ self.u.T).to(self.x.dtype) @ self.x


@dataclass(frozen=True)
class Start:
    """What is known of a phase before it is trained.

    Attributes
    ----------
    pays : bool
        Whether training nonlinear networks can be worth its time.
    gain : NonlinearGain or None
        Held-out variance that kernel regression adds to linear scores; None where it was not estimated.
    is_fallback : bool
        Whether the linear start is the model if training does not clearly improve on it.
    """

    pays: bool = True
    gain: NonlinearGain | None = None
    is_fallback: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The start as plain values, for checkpoints."""
        return {"pays": self.pays, "is_fallback": self.is_fallback, "gain": asdict(self.gain) if self.gain else {}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Start:
        """The start that `as_dict` gave."""
        gain = NonlinearGain(**values["gain"]) if values["gain"] else None
        return cls(bool(values["pays"]), gain, bool(values["is_fallback"]))


class _Slope:
    """Slopes (rank,) of the regression of target scores (n, rank) on scores of the same order, one by one."""

    def __init__(self, targets: NDArray) -> None:
        self.targets, self.products, self.squares = targets, np.zeros(targets.shape[1]), np.zeros(targets.shape[1])

    def add(self, scores: NDArray) -> None:
        """Take scores (n, rank) in."""
        self.products += (scores * self.targets).sum(axis=0)
        self.squares += np.square(scores).sum(axis=0)

    @property
    def value(self) -> NDArray:
        return self.products / np.maximum(self.squares, 1e-300)


@torch.no_grad()
def start_joint(
    network: Network,
    x: Sequence[Tensor],
    presence: Presence | None = None,
    groups: NDArray | None = None,
    seed: int = 0,
) -> Start:
    """Set joint encoders and decoders, and the identity constraint, from some samples.

    Parameters
    ----------
    network : Network
        Changed in place; networks of the user's own are left as they are.
    x : sequence of Tensor, each (n, *shape)
        Scaled training samples.
    presence : Presence or None, default=None
        Which sample has which modality.
    groups : array, shape (n,), optional
        The participant of each sample; participants are held out as a whole.
    seed : int, default=0
        Draws the folds of the cross-validation.

    Returns
    -------
    Start
        Whether training can pay.
    """
    encoders, decoders = _joint_modules(network)
    if not len(encoders) == len(decoders) == len(x):
        return Start()
    rank, rows = network.joint_rank, [rows_of(presence, k) for k in range(len(x))]
    measured = [samples[here] for samples, here in zip(x, rows, strict=True)]
    if presence is None:
        whole, signal_ranks = list(x), None
    else:
        signals = _signals(network, measured)
        whole, signal_ranks = _whole(signals, presence), [len(signal.s) for signal in signals]
    nonlinear = _curves([*encoders, *decoders]) and not network.stays_linear
    unrolled = _unrolled_joint(network, whole, signal_ranks) if nonlinear else None
    if unrolled is not None:
        _start_unrolled(network, x, measured, unrolled, presence)
        return Start()
    centred = [samples.flatten(1) - samples.flatten(1).mean(0) for samples in whole]
    coordinates = [coordinates_within(samples) for samples in centred]
    _start_linear(network, fit_joint_ridge(coordinates, rank, seed, groups), centred, x, presence)
    return _worth(network, [*encoders, *decoders], coordinates, rank, seed, groups)


def _joint_modules(network: Network) -> tuple[list[Encoder], list[Decoder]]:
    """The joint encoders and decoders that are not the user's own."""
    encoders = [encoder for encoder in network.joint_encoders if isinstance(encoder, Encoder)]
    return encoders, [decoder for decoder in network.joint_decoders if isinstance(decoder, Decoder)]


def _start_linear(
    network: Network, ridge: JointRidge, centred: Sequence[Tensor], x: Sequence[Tensor], presence: Presence | None
) -> None:
    """Set linear encoders and decoders to a joint ridge regression of centred samples, each (n, p)."""
    like = centred[0]
    encoders, decoders = _joint_modules(network)
    for encoder, weights, samples in zip(encoders, ridge.encoders, centred, strict=True):
        width = weights.shape[1]
        encoder.linear.weight[:width] = torch.from_numpy(weights.T).to(like) @ samples
        encoder.linear.bias.zero_()
    measured = [samples[rows_of(presence, k)] for k, samples in enumerate(x)]
    network.identity.start([encoder(samples) for encoder, samples in zip(encoders, measured, strict=True)])
    latents = network.latents(x, presence)
    joint = network.identity.joint(latents, presence).double().cpu().numpy()
    complete = slice(None) if presence is None else presence.own.all(1).cpu().numpy()
    total = np.sum(ridge.latents, axis=0)
    of_all, of_others = _Slope(ridge.targets[complete]), _Slope(ridge.targets[complete])
    for k, (decoder, weights, samples) in enumerate(zip(decoders, ridge.decoders, centred, strict=True)):
        expected = (total - ridge.latents[k]) / (len(centred) - 1)
        prepared = network.identity.mean_without(latents, k, presence).double().cpu().numpy()
        rows = slice(None) if presence is None else (presence.with_another(k) > 0).cpu().numpy()
        turned = np.linalg.lstsq(prepared[rows], expected[rows], rcond=1e-9)[0]  # the unit matrix but for whitening
        of_all.add(joint[complete] @ turned)
        of_others.add(expected[complete])
        kept = weights * (np.arange(weights.shape[1]) < ridge.predicted)
        decoder.linear.weight.zero_()
        predicted = ridge.predicted  # later columns are 0 also after whitening, which is triangular
        decoder.linear.weight[:, :predicted] = (torch.from_numpy(turned @ kept.T)[:predicted].to(like) @ samples).T
        decoder.linear.bias.zero_()
    scale = np.clip(of_all.value / np.maximum(of_others.value, 1e-300), 1.0, LARGEST_SCALE)  # decoders have the gains
    scale = np.where(np.isfinite(scale), scale, 1.0)
    found = len(scale)  # fewer than the joint rank if the modalities without their confounds have fewer dimensions
    network.identity.complete_scale[:found].copy_(torch.from_numpy(scale))


def _start_unrolled(
    network: Network, x: Sequence[Tensor], measured: Sequence[Tensor], unrolled: Tensor, presence: Presence | None
) -> None:
    """Let encoders learn unrolled scores (n, rank), and decoders the modalities from them."""
    rows = [rows_of(presence, k) for k in range(len(x))]
    signals = _signals(network, measured)
    encoders, decoders = _joint_modules(network)
    for encoder, signal, here in zip(encoders, signals, rows, strict=True):
        encoder.linear.weight[: unrolled.shape[1]] = signal.regression_of(unrolled[here])
        encoder.linear.bias.zero_()
    target = unrolled.to(x[0].dtype)
    _learn([(encoder, samples, target[here]) for encoder, samples, here in zip(encoders, measured, rows, strict=True)])
    network.identity.start([encoder(samples) for encoder, samples in zip(encoders, measured, strict=True)])
    latents = network.latents(x, presence)
    joint = network.identity.joint(latents, presence)
    for k, (decoder, signal, here) in enumerate(zip(decoders, signals, rows, strict=True)):
        sources = [*network.identity.without(latents, k, presence), joint]
        having = _having(network, presence, k, len(sources))
        inputs = torch.cat([source[here][those] for source, those in zip(sources, having, strict=True)])
        _regress(decoder, inputs, torch.cat([signal.x[those] for those in having]))
    _learn([(decoder, joint[here], samples) for decoder, samples, here in zip(decoders, measured, rows, strict=True)])


def _signals(network: Network, measured: Sequence[Tensor]) -> list[ScaledSignal]:
    ranks = network.individual_ranks
    return [
        ScaledSignal.of(samples, network.joint_rank + rank, varying=_varying(network, k))
        for k, (samples, rank) in enumerate(zip(measured, ranks, strict=True))
    ]


def coordinates_within(x: Tensor) -> NDArray:
    """Centred samples (n, p) as at most n coordinates with the same inner products, in double precision."""
    n, p = x.shape
    if p <= n:
        return x.double().cpu().numpy()
    pieces = (piece.double() for piece in x.split(PIECE, dim=1))
    gram = sum((piece @ piece.T for piece in pieces), torch.zeros(n, n, dtype=torch.float64, device=x.device))
    squares, vectors = torch.linalg.eigh(gram)
    return (vectors * squares.clamp_min(0).sqrt()).cpu().numpy()


@torch.no_grad()
def start_individual(
    network: Network,
    x: Sequence[Tensor],
    presence: Presence | None = None,
    groups: NDArray | None = None,
    seed: int = 0,
) -> Start:
    """Set individual encoders and decoders; parameters and result as of `start_joint`."""
    all_joint = network.joint_scores(x, presence)
    encoding: list[Task] = []
    decoding: list[tuple[Encoder, Decoder, Tensor, Tensor, Tensor]] = []
    starts: list[Start] = []
    for k, all_samples in enumerate(x):
        encoder, decoder = network.individual_encoders[k], network.individual_decoders[k]
        rank, here = network.individual_ranks[k], rows_of(presence, k)
        if not rank:
            continue
        if not isinstance(encoder, Encoder) or not isinstance(decoder, Decoder):
            starts.append(Start())
            continue
        samples, joint = all_samples[here], all_joint[here]
        signal = ScaledSignal.of(samples, network.joint_rank + rank, varying=_varying(network, k))
        remainder = signal.x - network.joint_part(k, joint).flatten(1)
        free = _uncorrelated(signal.u, joint[:, _used(network.joint_decoders[k], joint)], rank)
        along = (free.T.to(remainder.dtype) @ remainder).double()
        squares, vectors = torch.linalg.eigh(along @ along.T)
        points = free @ (vectors * squares.clamp_min(0).sqrt()).flip(1)
        own_groups = None if groups is None else groups[_as_index(here)]
        nonlinear = _curves([encoder, decoder]) and not network.stays_linear
        unrolled = _unrolled(points, rank) if nonlinear else None
        scores = free @ vectors.flip(1)[:, :rank] * len(samples) ** 0.5 if unrolled is None else unrolled
        encoder.linear.weight[: scores.shape[1]] = signal.regression_of(scores)
        encoder.linear.bias.zero_()
        _regress(decoder, torch.cat([scores, joint], dim=1) if network.conditioned else scores, remainder)
        if unrolled is None:
            starts.append(_worth(network, [encoder, decoder], _halves(remainder, seed), rank, seed, own_groups))
        else:
            encoding.append((encoder, samples, unrolled.to(samples.dtype)))
            decoding.append((encoder, decoder, samples, joint, remainder.reshape(samples.shape)))
            starts.append(Start())
    _learn(encoding)
    inputs = [
        torch.cat([encoder(samples), joint], dim=1) if network.conditioned else encoder(samples)
        for encoder, _, samples, joint, _ in decoding
    ]
    _learn([(decoder, z, remainder) for (_, decoder, _, _, remainder), z in zip(decoding, inputs, strict=True)])
    paying = [start for start in starts if start.pays]
    return paying[0] if paying else Start(pays=False, gain=starts[0].gain if starts else None)


def _worth(
    network: Network,
    modules: Sequence[Encoder | Decoder],
    coordinates: Sequence[NDArray],
    rank: int,
    seed: int,
    groups: NDArray | None,
) -> Start:
    """Whether training can pay after a linear start."""
    if network.stays_linear:
        return Start(pays=False)
    if not network.may_stay_linear:
        return Start()
    if any(not module.sample_layers for module in modules):  # convolutions see what kernels do not
        return Start()
    if len(coordinates) < 2 or len(coordinates[0]) < FEW_SAMPLES:
        return Start(pays=False)
    gain = nonlinear_gain(coordinates, rank, seed, groups)
    return Start(gain.pays, gain, is_fallback=gain.pays)


def _as_index(rows: Tensor | slice) -> Any:
    """Rows as an index of an array."""
    return rows if isinstance(rows, slice) else rows.cpu().numpy()


def _halves(x: Tensor, seed: int) -> list[NDArray]:
    """Two random halves of the features of samples (n, p) as coordinates; none where there is one feature."""
    if x.shape[1] < 2:
        return []
    order = torch.from_numpy(np.random.default_rng(seed).permutation(x.shape[1])).to(x.device)
    return [coordinates_within(x[:, half]) for half in order.tensor_split(2)]


def _used(decoder: nn.Module, joint: Tensor) -> Tensor:
    """Which joint scores (n, joint_rank) a decoder uses: a linear one may ignore those that predict nothing."""
    everything = torch.ones(joint.shape[1], dtype=torch.bool, device=joint.device)
    if not isinstance(decoder, Decoder):
        return everything
    corrects = decoder.correction is not None and bool(decoder.correction(joint[:2]).any())
    return everything if corrects else (decoder.linear.weight[:, : joint.shape[1]] != 0).any(0)


def _uncorrelated(u: Tensor, joint: Tensor, rank: int) -> Tensor:
    """Orthonormal directions (n, m) in the span of `u` that are orthogonal to joint scores (n, joint_rank).

    Where fewer than `rank` directions are left, all of `u` is returned.
    """
    if not joint.shape[1]:
        return u
    joint = joint.double()
    left, values, _ = torch.linalg.svd(u.T @ (joint - joint.mean(0)), full_matrices=True)
    taken = int((values > 1e-8 * values.max().clamp_min(1e-300)).sum())
    return u @ left[:, taken:] if left.shape[1] - taken >= rank else u


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


def _having(network: Network, presence: Presence | None, k: int, n_sources: int) -> list[Tensor | slice]:
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
    rank = network.joint_rank
    if rank > MOST_DIMENSIONS:
        return None
    features = [_features(network, k, one) for k, one in enumerate(x)]
    arrays = Modalities({str(k): one.flatten(1).double().cpu().numpy() for k, one in enumerate(features)})
    arrays = arrays.adjusted_to({})
    known = None if ranks is None else dict(zip(arrays.names, ranks, strict=True))
    linear = linear_fit(arrays, seed=0, draws=DRAWS, signal_ranks=known)
    if linear.joint_rank_ <= rank or is_clustered(places(linear, arrays)):
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
    optimizer = torch.optim.Adam(modules.parameters(), lr=LEARNING_RATE, fused=True)
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


def _regress(decoder: Decoder, scores: Tensor, target: Tensor) -> None:
    """Set a decoder's linear map to the regression of `target` (n, p) on `scores` (n, rank)."""
    scores = scores.double()
    gram, products = scores.T @ scores, scores.to(target.dtype).T @ target
    gram = gram + 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    decoder.linear.weight[:, : len(gram)] = torch.linalg.solve(gram, products.double()).to(target.dtype).T
    decoder.linear.bias.zero_()
