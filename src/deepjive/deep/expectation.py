"""What joint scores say of an individual part: its expectation given them.

Ridge regression on random Fourier features, learned from some training samples. Joint scores that were fitted to these
samples may seem to say of them what they do not say of others; so the ridge is the one that explains most of held-out
samples, and the expectation is taken at the size that suits those, down to nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepjive.deep.distributed import summed
from deepjive.deep.fourier import FourierFeatures

COSINES = 64  # at most, and with the scores no more than a quarter of the samples
RIDGES = 0.01, 0.1, 1.0, 10.0  # relative to the number of samples
LEAST_ROWS = 20


class Expectation:
    """The expectation of a modality's individual part given joint scores, as a function of them.

    Parameters
    ----------
    scores : Tensor, (n, r)
        Joint scores of the samples to learn from.
    part : Tensor, (n, *shape)
        Their individual parts.
    held_out_scores, held_out_part : Tensor, (m, r), (m, *shape)
        Of samples that scores and parts were not fitted to; of fewer than `LEAST_ROWS` nothing is expected.

    Attributes
    ----------
    explained : float
        Fraction of the held-out parts' variance that is expected.
    """

    def __init__(self, scores: Tensor, part: Tensor, held_out_scores: Tensor, held_out_part: Tensor) -> None:
        (n, r), features = scores.shape, part.flatten(1)
        generator = torch.Generator(scores.device).manual_seed(0)  # the same features until training ends
        self.fourier = FourierFeatures(r, max(0, min(COSINES, n // 4 - r)), scores.device, generator)
        self.scores_mean, self.scores_scale = scores.mean(0), scores.std(0) + 1e-6
        self.centre, self.mean = scores.new_zeros(()), part.mean(0)
        phi = self._features(scores)
        self.centre = phi.mean(0)
        self.explained, self.share = 0.0, 0.0
        self.weights = features.new_zeros(phi.shape[1], features.shape[1])
        if min(n, len(held_out_scores)) < LEAST_ROWS:
            return
        phi, held_out = phi - self.centre, self._features(held_out_scores)
        gram, products = (phi.T @ phi).double(), phi.T @ (features - features.mean(0))
        truth = held_out_part.flatten(1)
        truth = truth - truth.mean(0)
        for ridge in RIDGES:
            penalty = ridge * n * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            weights = torch.linalg.solve_ex(gram + penalty, products.double())[0].to(products.dtype)
            share, explained = _share_of(held_out @ weights, truth)
            if explained > self.explained:
                self.explained, self.share, self.weights = explained, share, weights

    def within(self, scores: Tensor, part: Tensor) -> Tensor:
        """The expectation (batch, *shape) for scores (batch, r), as far as the parts (batch, *shape) still have it.

        Parts change with every step of training, and an expectation from before would be given back again and again;
        how much of it they still have is one number, which a batch tells well.
        """
        if not self.share:
            return torch.zeros_like(part)
        expected = (self._features(scores) @ self.weights).view_as(part)
        moments = torch.stack([((part - self.mean) * expected).sum(), expected.square().sum()])
        if torch.is_grad_enabled():  # in training every process has a batch
            moments = summed(moments)
        return self.share * (moments[0] / moments[1].clamp_min(1e-12)).clamp(0.0, 1.0) * expected

    def _features(self, scores: Tensor) -> Tensor:
        return self.fourier((scores - self.scores_mean) / self.scores_scale) - self.centre


def _share_of(expected: Tensor, truth: Tensor) -> tuple[float, float]:
    """The multiple of `expected`, from 0 to 1, that is nearest to the centred `truth`, and the variance it explains."""
    expected = expected - expected.mean(0)
    product, square = float((expected * truth).sum()), float(expected.square().sum())
    share = min(1.0, max(0.0, product / max(square, 1e-12)))
    return share, (2 * share * product - share**2 * square) / max(float(truth.square().sum()), 1e-12)
