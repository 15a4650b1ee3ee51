"""Encoders of digit images with more convolutions than the library's encoders.

Every convolution of the library's encoders halves the image in each direction, which keeps the cost of volumes low.
Digit images are small, so that a halving convolution can follow a convolution that keeps the size.

- deeper      Two convolutions per level. Training takes several times the time, and errors are lower.
- normalized  The first convolution already halves the image, so that five convolutions take about half the time of
              six. Batch normalization (Ioffe and Szegedy 2015, arXiv 1502.03167) lets them learn in fewer epochs.

The deeper encoder trained on the digits themselves gives the error that such an encoder trained on pairs can hope to
reach.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from deepjive.deep.networks import zeroed
from deepjive.deep.runtime.randomness import own_random_numbers, same_every_time

DIGITS = 10

CHANNELS = (1, 16, 32, 64)
NORMALIZED = ((16, 5, 2), (32, 3, 1), (32, 3, 2), (64, 3, 1), (64, 3, 2))  # channels, kernel and stride
HIDDEN = 128


class ImageEncoder(nn.Module):
    """Base of the encoders of this module: a linear map plus a nonlinear correction that is zero at initialization.

    Parameters
    ----------
    shape : (int, int)
        Shape of an image.
    rank : int
        Number of scores.
    dropout : float
        Fraction of hidden units that are dropped in training.
    """

    def __init__(self, shape: tuple[int, ...], rank: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(shape), rank)
        self.correction = self._correction(shape, rank, dropout)

    def _correction(self, shape: tuple[int, ...], rank: int, dropout: float) -> nn.Sequential:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *shape) to (batch, rank)."""
        return self.linear(x.flatten(1)) + self.correction(x)


class DeeperEncoder(ImageEncoder):
    """Two convolutions per level; see the module. Parameters as of `ImageEncoder`."""

    def _correction(self, shape: tuple[int, ...], rank: int, dropout: float) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
        for inputs, outputs in itertools.pairwise(CHANNELS):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GELU()]
            layers += [nn.Conv2d(outputs, outputs, 3, stride=2, padding=1), nn.GELU()]
        coarse = [math.ceil(size / 2 ** (len(CHANNELS) - 1)) for size in shape]
        layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(CHANNELS[-1] * math.prod(coarse), HIDDEN), nn.GELU()]
        return nn.Sequential(*layers, nn.Dropout(dropout), zeroed(nn.Linear(HIDDEN, rank)))


class NormalizedEncoder(ImageEncoder):
    """Five convolutions with batch normalization; see the module. Parameters as of `ImageEncoder`.

    Weights and images of the convolutions are stored with the channels last, in which a processor computes them
    faster.
    """

    def _correction(self, shape: tuple[int, ...], rank: int, dropout: float) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
        inputs, coarse = 1, list(shape)
        for outputs, kernel, stride in NORMALIZED:
            layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs, coarse = outputs, [math.ceil(size / stride) for size in coarse]
        layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(inputs * math.prod(coarse), HIDDEN), nn.ReLU()]
        correction = nn.Sequential(*layers, nn.Dropout(dropout), zeroed(nn.Linear(HIDDEN, rank)))
        return correction.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def labelled_error(
    train: tuple[ArrayLike, NDArray], test: tuple[ArrayLike, NDArray], seed: int, settings: Mapping[str, Any]
) -> float:
    """Classification error, on test images, of a `DeeperEncoder` that was trained on the digits.

    Parameters
    ----------
    train, test : (images, digits)
        Images of shape (n, height, width), and digits of shape (n,).
    seed : int
        Seed of weights, batches and dropout.
    settings : mapping
        As of `digit_classifier`.

    Returns
    -------
    float
        Fraction of test images whose digit is predicted wrong.
    """
    classify = digit_classifier(DeeperEncoder, *train, seed, settings)
    return float(np.mean(classify(np.asarray(test[0])) != test[1]))


def digit_classifier(
    encoder: Callable[[tuple[int, ...], int, float], nn.Module],
    images: ArrayLike,
    digits: NDArray,
    seed: int,
    settings: Mapping[str, Any],
) -> Callable[[NDArray], NDArray]:
    """Train an encoder to predict the digits of images.

    Parameters
    ----------
    encoder : callable
        Returns an encoder for the shape of an image, a number of outputs and a dropout.
    images, digits : array
        Images of shape (n, height, width), and digits of shape (n,).
    seed : int
        Seed of weights, batches and dropout.
    settings : mapping
        "dropout", "batch_size", "max_epochs", "learning_rate" and "device", as of DeepJIVE. All epochs are run.
        The learning rate rises to "learning_rate" and falls again (Smith and Topin 2019, arXiv 1708.07120).

    Returns
    -------
    callable
        Digits, shape (n,), of images.
    """
    device = Fabric(accelerator=settings["device"], devices=1).device

    def tensor(x: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(x), dtype=torch.float32, device=device)

    x, y, batch = tensor(images), torch.as_tensor(digits, device=device), settings["batch_size"]
    mean, scale = x.mean(), x.std()
    with own_random_numbers(seed, device), same_every_time():
        network = encoder(tuple(x.shape[1:]), DIGITS, settings["dropout"]).to(device)
        optimizer = torch.optim.Adam(network.parameters())
        steps = settings["max_epochs"] * math.ceil(len(x) / batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["learning_rate"], total_steps=steps)
        for _ in range(settings["max_epochs"]):
            for rows in torch.randperm(len(x)).split(batch):
                optimizer.zero_grad()
                logits = network((x[rows.to(device)] - mean) / scale)
                nn.functional.cross_entropy(logits, y[rows.to(device)]).backward()
                optimizer.step()
                schedule.step()
    network.eval()

    def classify(asked: NDArray) -> NDArray:
        with torch.no_grad():
            logits = [network((part - mean) / scale) for part in tensor(asked).split(1000)]
        return torch.cat(logits).argmax(1).cpu().numpy()

    return classify
