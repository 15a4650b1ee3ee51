"""An encoder of digit images with two convolutions per level, where the library's encoders have one.

Every convolution of the library's encoders halves the image in each direction, which keeps the cost of volumes low.
Digit images are small, so each halving convolution can follow a convolution that keeps the size. Training then takes
twice the time, and errors are lower.

The same encoder trained on the digits themselves gives the error that an encoder trained on pairs can hope to reach.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
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
HIDDEN = 128


class DeeperEncoder(nn.Module):
    """Encoder from images to scores: a linear map plus a nonlinear correction that is zero at initialization.

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
        layers: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
        for inputs, outputs in itertools.pairwise(CHANNELS):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GELU()]
            layers += [nn.Conv2d(outputs, outputs, 3, stride=2, padding=1), nn.GELU()]
        coarse = [math.ceil(size / 2 ** (len(CHANNELS) - 1)) for size in shape]
        layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(CHANNELS[-1] * math.prod(coarse), HIDDEN), nn.GELU()]
        self.correction = nn.Sequential(*layers, nn.Dropout(dropout), zeroed(nn.Linear(HIDDEN, rank)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *shape) to (batch, rank)."""
        return self.linear(x.flatten(1)) + self.correction(x)


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
        "dropout", "batch_size", "max_epochs", "learning_rate" and "device", as of DeepJIVE. All epochs are run.
        The learning rate rises to "learning_rate" and falls again (Smith and Topin 2019, arXiv 1708.07120).

    Returns
    -------
    float
        Fraction of test images whose digit is predicted wrong.
    """
    device = Fabric(accelerator=settings["device"], devices=1).device
    images, test_images = (
        torch.as_tensor(np.asarray(x), dtype=torch.float32, device=device) for x in (train[0], test[0])
    )
    mean, scale = images.mean(), images.std()
    digits, batch = torch.as_tensor(train[1], device=device), settings["batch_size"]
    with own_random_numbers(seed, device), same_every_time():
        network = DeeperEncoder(tuple(images.shape[1:]), DIGITS, settings["dropout"]).to(device)
        optimizer = torch.optim.Adam(network.parameters())
        steps = settings["max_epochs"] * math.ceil(len(images) / batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["learning_rate"], total_steps=steps)
        for _ in range(settings["max_epochs"]):
            for rows in torch.randperm(len(images)).split(batch):
                optimizer.zero_grad()
                logits = network((images[rows.to(device)] - mean) / scale)
                nn.functional.cross_entropy(logits, digits[rows.to(device)]).backward()
                optimizer.step()
                schedule.step()
    with torch.no_grad():
        predicted = torch.cat([network.eval()((part - mean) / scale).argmax(1) for part in test_images.split(1000)])
    return float(np.mean(predicted.cpu().numpy() != test[1]))
