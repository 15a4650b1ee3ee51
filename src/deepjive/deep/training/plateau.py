"""When the learning rate is halved, and when training stops."""

from __future__ import annotations

import math
from typing import Literal


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
    """

    def __init__(self, patience: int, tolerance: float = 1e-4, margin: float = 1e-4) -> None:
        self.patience, self.tolerance, self.margin = patience, tolerance, margin
        self.best, self.best_epoch, self.halved_epoch = math.inf, 0, 0

    def verdict(self, epoch: int, value: float) -> Literal["best", "wait", "halve", "stop"]:
        """What to do after an epoch: keep the weights, wait, halve the learning rate, or stop.

        Parameters
        ----------
        epoch : int
            Number of the epoch; 0 stands for the weights before training.
        value : float
            The monitored error at the end of the epoch.
        """
        needed = self.tolerance if self.best_epoch else self.margin
        if value < self.best * (1 - needed):
            self.best, self.best_epoch = value, epoch
            return "best"
        if epoch - max(self.best_epoch, self.halved_epoch) < self.patience:
            return "wait"
        if self.halved_epoch > self.best_epoch:
            return "stop"
        self.halved_epoch = epoch
        return "halve"

    def improving(self, epoch: int) -> bool:
        """Whether there was a new best error within the last `patience` epochs."""
        return epoch - self.best_epoch < self.patience
