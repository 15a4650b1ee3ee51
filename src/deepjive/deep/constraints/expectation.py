"""The expectation of an individual part given the joint scores, estimated from samples.

The estimate is a ridge regression on random Fourier features, fitted to some training samples. Joint scores that were
fitted to the same samples may seem to predict more of them than of new samples. Held-out samples therefore choose the
ridge and the size of the expectation. The expectation is also shrunk by its uncertainty, down to nothing.

References
----------
James and Stein (1961), "Estimation with quadratic loss": shrinkage by its positive part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from deepjive.deep.constraints.algebra import FourierFeatures
from deepjive.deep.runtime.distributed import summed

COSINES = 64  # largest number; cosines and scores together are at most a quarter of the samples
RIDGES = 0.01, 0.1, 1.0, 10.0  # relative to the number of samples
FEWEST_SAMPLES = 20


class Expectation:
    """The expectation of a modality's individual part, as a function of joint scores.

    Attributes
    ----------
    explained : float
        Fraction of the held-out parts' variance that the expectation explains.
    share : Tensor, scalar
        Factor from 0 to 1 for the regression's prediction: the factor that suits the held-out samples best, times a
        factor for certainty. It is 0 where the explained variance is no larger than its standard error.
    """

    def __init__(self) -> None:
        self.explained, self.share, self.is_zero = 0.0, torch.zeros(()), True
        self.fourier: FourierFeatures | None = None

    def learn(self, scores: Tensor, part: Tensor, held_out_scores: Tensor, held_out_part: Tensor) -> None:
        """Estimate the expectation anew, in the same memory as before, which captured training steps read.

        Nothing is estimated from fewer than `FEWEST_SAMPLES` samples or held-out samples.

        Parameters
        ----------
        scores : Tensor, (n, r)
            Joint scores of the training samples.
        part : Tensor, (n, *shape)
            Individual parts of the training samples.
        held_out_scores : Tensor, (m, r)
            Joint scores of samples that scores and parts were not fitted to.
        held_out_part : Tensor, (m, *shape)
            Individual parts of these samples.
        """
        n = len(scores)
        if min(n, len(held_out_scores)) < FEWEST_SAMPLES:
            return
        if self.fourier is None:
            self._allocate(scores, part)
        self.scores_mean.copy_(scores.mean(0))
        self.scores_scale.copy_(scores.std(0) + 1e-6)
        self.mean.copy_(part.mean(0))
        self.centre.zero_()
        self.centre.copy_(self._features(scores).mean(0))
        phi, held_out_phi = self._features(scores), self._features(held_out_scores)
        gram, products = (phi.T @ phi).double(), phi.T @ (part - self.mean).flatten(1)
        self.explained, share = 0.0, 0.0
        truth = (held_out_part - held_out_part.mean(0)).flatten(1)
        for ridge in RIDGES:
            penalty = ridge * n * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            weights = torch.linalg.solve_ex(gram + penalty, products.double())[0].to(products.dtype)
            expected = held_out_phi @ weights
            expected = expected - expected.mean(0)
            factor, explained = _best_factor(expected, truth)
            if explained > self.explained:
                self.explained = explained
                self.weights.copy_(weights)
                share = factor * _certainty(factor * expected, truth)
        self.is_zero = not share
        self.share.fill_(share)

    def of(self, scores: Tensor, like: Tensor) -> Tensor:
        """The regression's prediction for scores, before the factor `share`.

        Parameters
        ----------
        scores : Tensor, (batch, r)
            Joint scores.
        like : Tensor, (batch, *shape)
            A tensor of the shape that the result has.
        """
        if self.fourier is None or (self.is_zero and not _is_capturing(scores)):
            return torch.zeros_like(like)
        return (self._features(scores) @ self.weights).view_as(like)

    def moments(self, part: Tensor, expected: Tensor) -> Tensor:
        """Sums over a batch of part times expected part, and of expected part squared, shape (2,)."""
        if self.fourier is None or (self.is_zero and not _is_capturing(part)):
            return part.new_zeros(2)
        return torch.stack([((part - self.mean) * expected).sum(), expected.square().sum()])

    def _allocate(self, scores: Tensor, part: Tensor) -> None:
        """Draw the Fourier features, which stay the same until training ends, and make the memory for estimates."""
        n, r = scores.shape
        generator = torch.Generator().manual_seed(0)
        self.fourier = FourierFeatures(r, max(0, min(COSINES, n // 4 - r)), scores.device, generator)
        self.scores_mean, self.scores_scale = scores.new_zeros(r), scores.new_zeros(r)
        self.mean = part.new_zeros(part.shape[1:])
        self.centre = scores.new_zeros(r + self.fourier.phases.numel())
        self.weights, self.share = scores.new_zeros(len(self.centre), self.mean.numel()), scores.new_zeros(())

    def _features(self, scores: Tensor) -> Tensor:
        return cast(FourierFeatures, self.fourier)((scores - self.scores_mean) / self.scores_scale) - self.centre


def expected_of(
    expectations: Sequence[Expectation],
    scores: Sequence[Tensor],
    parts: Sequence[Tensor],
    present: Sequence[Tensor | None],
) -> list[Tensor]:
    """The expectation of each modality's individual part in a batch.

    Parts change with every training step, while the expectation was estimated some steps ago. An outdated expectation
    would be given back again and again. Each modality's expectation is therefore multiplied by the fraction of the
    expectation, from 0 to 1, that the parts of this batch still contain. A batch is large enough to estimate this one
    number.

    Parameters
    ----------
    expectations : sequence of Expectation
        One for each modality; empty for an expectation of zero.
    scores : sequence of Tensor, each (batch, r)
        The joint scores that each expectation is a function of.
    parts : sequence of Tensor, each (batch, *shape)
        Individual parts.
    present : sequence of Tensor of bool, each (batch,), or None
        Which samples have the modalities that scores and part need, None where all samples have them. The expectation
        is zero for the other samples.

    Returns
    -------
    list of Tensor, each (batch, *shape)
        One for each modality, detached.
    """
    if not expectations:
        return [torch.zeros_like(part) for part in parts]
    with torch.autocast(parts[0].device.type, enabled=False):
        parts = [part.detach().float() for part in parts]
        expected = [
            _zero_elsewhere(expectation.of(z.detach().float(), part), rows)
            for expectation, z, part, rows in zip(expectations, scores, parts, present, strict=True)
        ]
        triples = zip(expectations, parts, expected, strict=True)
        moments = torch.stack([expectation.moments(part, about) for expectation, part, about in triples])
        if torch.is_grad_enabled():  # in training every process has a batch
            moments = summed(moments)
        still_contained = (moments[:, 0] / moments[:, 1].clamp_min(1e-12)).clamp(0.0, 1.0)
        factors = zip(expectations, still_contained, expected, strict=True)
        return [expectation.share * still * about for expectation, still, about in factors]


def _is_capturing(x: Tensor) -> bool:
    """Whether training steps are being captured as CUDA graphs; the graph must also serve a later share above 0."""
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


def _zero_elsewhere(x: Tensor, rows: Tensor | None) -> Tensor:
    """`x` with zeros in the rows that are not selected; None selects all."""
    return x if rows is None else x * rows.view(-1, *[1] * (x.dim() - 1))


def _best_factor(expected: Tensor, truth: Tensor) -> tuple[float, float]:
    """The factor from 0 to 1 that brings `expected` nearest to `truth`, and the variance explained; both centred."""
    product, square = float((expected * truth).sum()), float(expected.square().sum())
    factor = min(1.0, max(0.0, product / max(square, 1e-12)))
    return factor, (2 * factor * product - factor**2 * square) / max(float(truth.square().sum()), 1e-12)


def _certainty(expected: Tensor, truth: Tensor) -> float:
    """max(0, 1 - 1/t^2), where t is the explained variance in standard errors over the samples."""
    gains = (truth.square() - (truth - expected).square()).sum(1)
    inverse_t_square = float(gains.var()) / len(gains) / max(float(gains.mean()) ** 2, 1e-24)
    return max(0.0, 1.0 - inverse_t_square)
