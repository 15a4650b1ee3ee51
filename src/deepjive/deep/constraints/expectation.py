"""What joint scores say of an individual part: its expectation given them.

Ridge regression on random Fourier features, learned from some training samples. Joint scores that were fitted to these
samples may seem to say of them what they do not say of others; so the ridge is the one that explains most of held-out
samples, and the expectation is taken at the size that suits those, shrunk by how uncertain that is, down to nothing.

Source of the shrinkage: James and Stein (1961), "Estimation with quadratic loss"; its positive part.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepjive.deep.constraints.fourier import FourierFeatures
from deepjive.deep.runtime.distributed import summed

COSINES = 64  # at most, and with the scores no more than a quarter of the samples
RIDGES = 0.01, 0.1, 1.0, 10.0  # relative to the number of samples
LEAST_ROWS = 20


class Expectation:
    """The expectation of a modality's individual part given joint scores, as a function of them.

    Attributes
    ----------
    explained : float
        Fraction of the held-out parts' variance that is expected.
    share : Tensor, scalar
        Multiple, from 0 to 1, of what the training samples say that suits the held-out ones best, and how certain that
        is: times 0 where it explains no more of them than its standard error.
    """

    def __init__(self) -> None:
        self.explained, self.share, self.nothing = 0.0, torch.zeros(()), True
        self.fourier: FourierFeatures | None = None

    def learn(self, scores: Tensor, part: Tensor, held_out_scores: Tensor, held_out_part: Tensor) -> None:
        """Learn anew, where the last expectation was kept: recorded steps of training look there.

        Parameters
        ----------
        scores : Tensor, (n, r)
            Joint scores of the samples to learn from.
        part : Tensor, (n, *shape)
            Their individual parts.
        held_out_scores, held_out_part : Tensor, (m, r), (m, *shape)
            Of samples that scores and parts were not fitted to. Where n or m is below `LEAST_ROWS`, nothing is
            learned.
        """
        n, r = scores.shape
        if min(n, len(held_out_scores)) < LEAST_ROWS:
            return
        if self.fourier is None:
            generator = torch.Generator().manual_seed(0)  # the same features until training ends
            self.fourier = FourierFeatures(r, max(0, min(COSINES, n // 4 - r)), scores.device, generator)
            places = scores.new_zeros(r), scores.new_zeros(r), part.new_zeros(part.shape[1:])
            self.scores_mean, self.scores_scale, self.mean = places
            self.centre = scores.new_zeros(r + self.fourier.phases.numel())
            self.weights, self.share = scores.new_zeros(len(self.centre), self.mean.numel()), scores.new_zeros(())
        self.scores_mean.copy_(scores.mean(0))
        self.scores_scale.copy_(scores.std(0) + 1e-6)
        self.mean.copy_(part.mean(0))
        self.centre.zero_()
        self.centre.copy_(self._features(scores).mean(0))
        phi, held_out = self._features(scores), self._features(held_out_scores)
        gram, products = (phi.T @ phi).double(), phi.T @ (part - self.mean).flatten(1)
        self.explained, share = 0.0, 0.0
        truth = (held_out_part - held_out_part.mean(0)).flatten(1)
        for ridge in RIDGES:
            penalty = ridge * n * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            weights = torch.linalg.solve_ex(gram + penalty, products.double())[0].to(products.dtype)
            expected = held_out @ weights
            expected = expected - expected.mean(0)
            multiple, explained = _share_of(expected, truth)
            if explained > self.explained:
                self.explained = explained
                self.weights.copy_(weights)
                share = multiple * _certainty(multiple * expected, truth)
        self.nothing = not share
        self.share.fill_(share)

    def of(self, scores: Tensor, like: Tensor) -> Tensor:
        """What the training samples say of scores (batch, r), before `share`, shaped as `like` (batch, *shape)."""
        if self.fourier is None or (self.nothing and not _recording(scores)):
            return torch.zeros_like(like)
        return (self._features(scores) @ self.weights).view_as(like)

    def moments(self, part: Tensor, expected: Tensor) -> Tensor:
        """Products of parts, and of what is expected, with what is expected."""
        if self.fourier is None or (self.nothing and not _recording(part)):
            return part.new_zeros(2)
        return torch.stack([((part - self.mean) * expected).sum(), expected.square().sum()])

    def _features(self, scores: Tensor) -> Tensor:
        assert self.fourier is not None
        return self.fourier((scores - self.scores_mean) / self.scores_scale) - self.centre


def expected_of(
    expectations: Sequence[Expectation],
    scores: Sequence[Tensor],
    parts: Sequence[Tensor],
    here: Sequence[Tensor | None],
) -> list[Tensor]:
    """The expectation of each modality's parts in a batch, as far as they still have it.

    Parts change with every step of training, and an expectation from before would be given back again and again; how
    much of it they still have is one number a modality, which a batch tells well.

    Parameters
    ----------
    expectations : sequence of Expectation
        One a modality.
    scores : sequence of Tensor, each (batch, r)
        The scores that each was learned from, of the batch.
    parts : sequence of Tensor, each (batch, *shape)
        Individual parts of the batch.
    here : sequence of Tensor of bool, each (batch,), or None
        Which samples have what it takes, None where all have; of the others nothing is expected.

    Returns
    -------
    list of Tensor, each (batch, *shape)
    """
    if not expectations:
        return [torch.zeros_like(part) for part in parts]
    with torch.autocast(parts[0].device.type, enabled=False):
        parts = [part.detach().float() for part in parts]
        expected = [
            _where(rows, one.of(z.detach().float(), part))
            for one, z, part, rows in zip(expectations, scores, parts, here, strict=True)
        ]
        pairs = zip(expectations, parts, expected, strict=True)
        moments = torch.stack([one.moments(part, about) for one, part, about in pairs])
        if torch.is_grad_enabled():  # in training every process has a batch
            moments = summed(moments)
        shares = (moments[:, 0] / moments[:, 1].clamp_min(1e-12)).clamp(0.0, 1.0)
        triples = zip(expectations, shares, expected, strict=True)
        return [one.share * still * about for one, still, about in triples]


def _recording(x: Tensor) -> bool:
    """Whether steps of training are being recorded, which must hold also when there is something to expect."""
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


def _where(rows: Tensor | None, x: Tensor) -> Tensor:
    """Some rows of `x`, zeros in the others."""
    return x if rows is None else x * rows.view(-1, *[1] * (x.dim() - 1))


def _share_of(expected: Tensor, truth: Tensor) -> tuple[float, float]:
    """The multiple of `expected`, from 0 to 1, nearest to `truth`, and the variance it explains; both centred."""
    product, square = float((expected * truth).sum()), float(expected.square().sum())
    share = min(1.0, max(0.0, product / max(square, 1e-12)))
    return share, (2 * share * product - share**2 * square) / max(float(truth.square().sum()), 1e-12)


def _certainty(expected: Tensor, truth: Tensor) -> float:
    """1 - 1/t^2, or 0 if that is larger, for an explained variance of t standard errors over the samples."""
    gains = (truth.square() - (truth - expected).square()).sum(1)
    uncertain = float(gains.var()) / len(gains) / max(float(gains.mean()) ** 2, 1e-24)
    return max(0.0, 1.0 - uncertain)
