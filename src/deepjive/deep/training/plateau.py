"""When the learning rate is halved, and when training stops."""

from __future__ import annotations

import math
from typing import Literal

LEAST_SHARE = 0.05


class Plateau:
    """Watch a validation error that training should lower.

    Parameters
    ----------
    patience : int
        Number of epochs without a new best error after which the learning rate is halved, and after as many more of
        which training stops.
    tolerance : float, default=1e-4
        Fraction by which a new best error must be lower than the last best error.
    margin : float, default=1e-4
        Fraction by which the first new best error must be lower than the error before training.
    is_provisional : bool, default=False
        Whether a later phase trains the same weights further. The learning rate is then not halved, and `gains_little`
        says when to stop.
    """

    def __init__(
        self, patience: int, tolerance: float = 1e-4, margin: float = 1e-4, is_provisional: bool = False
    ) -> None:
        self.patience, self.tolerance, self.margin = patience, tolerance, margin
        self.is_provisional = is_provisional
        self.best, self.best_epoch, self.halved_epoch = math.inf, 0, 0
        self.first, self.clear, self.clear_epoch = math.inf, math.inf, 0

    def verdict(self, epoch: int, value: float) -> Literal["best", "wait", "halve", "stop"]:
        """What to do after an epoch: keep the weights, wait, halve the learning rate, or stop.

        Parameters
        ----------
        epoch : int
            Number of the epoch; 0 stands for the weights before training.
        value : float
            The monitored error at the end of the epoch.
        """
        if math.isinf(self.first):
            self.first = self.clear = value
        elif self.clear - value > LEAST_SHARE * (self.first - value):
            self.clear, self.clear_epoch = value, epoch
        needed = self.tolerance if self.best_epoch else self.margin
        if value < self.best * (1 - needed):
            self.best, self.best_epoch = value, epoch
            return "best"
        if self.is_provisional or epoch - max(self.best_epoch, self.halved_epoch) < self.patience:
            return "wait"
        if self.halved_epoch > self.best_epoch:
            return "stop"
        self.halved_epoch = epoch
        return "halve"

    def gains_little(self, epoch: int) -> bool:
        """Whether a provisional phase can stop: the last `patience` epochs gave little of what all epochs gave.

        The error has then not fallen by `LEAST_SHARE` of its fall since the first verdict.
        """
        return self.is_provisional and epoch - self.clear_epoch >= self.patience

    def improving(self, epoch: int) -> bool:
        """Whether there was a new best error within the last `patience` epochs."""
        return epoch - self.best_epoch < self.patience
