"""When the learning rate is halved, and when training stops."""

from __future__ import annotations

import math
from typing import Literal


class Plateau:
    """Watch a validation error that training should lower.

    The first epochs are often worse than the start that training sets out from, which may be the solution of a linear
    model. So the start competes for the best weights, but patience counts from the lowest error of the epochs.

    Parameters
    ----------
    patience : int
        Number of epochs without a new lowest error after which the learning rate is halved, and after as many more of
        which training stops.
    tolerance : float, default=1e-4
        Fraction by which a new best error must be lower than the last best error.
    margin : float, default=1e-4
        Fraction by which the first new best error must be lower than the error before training.
    """

    def __init__(self, patience: int, tolerance: float = 1e-4, margin: float = 1e-4) -> None:
        self.patience, self.tolerance, self.margin = patience, tolerance, margin
        self.best, self.best_epoch, self.halved_epoch = math.inf, 0, 0
        self.lowest, self.lowest_epoch = math.inf, 0  # of the epochs, without the start

    def verdict(self, epoch: int, value: float) -> Literal["best", "wait", "halve", "stop"]:
        """What to do after an epoch: keep the weights, wait, halve the learning rate, or stop.

        Parameters
        ----------
        epoch : int
            Number of the epoch; 0 stands for the weights before training.
        value : float
            The monitored error at the end of the epoch.
        """
        if epoch and value < self.lowest * (1 - self.tolerance):
            self.lowest, self.lowest_epoch = value, epoch
        needed = self.tolerance if self.best_epoch else self.margin
        if value < self.best * (1 - needed):
            self.best, self.best_epoch = value, epoch
            return "best"
        if epoch - max(self._last_gain, self.halved_epoch) < self.patience:
            return "wait"
        if self.halved_epoch > self._last_gain:
            return "stop"
        self.halved_epoch = epoch
        return "halve"

    def improving(self, epoch: int) -> bool:
        """Whether there was a new lowest error within the last `patience` epochs."""
        return epoch - self._last_gain < self.patience

    @property
    def _last_gain(self) -> int:
        return max(self.best_epoch, self.lowest_epoch)
