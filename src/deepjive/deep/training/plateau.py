"""When to halve the learning rate, and when to stop."""

from __future__ import annotations

import math
from typing import Literal


class Plateau:
    """Watches an error that training should lower.

    Parameters
    ----------
    patience : int
        Epochs without a new best value before the rate is halved, and again before training stops.
    tolerance : float
        A new best value must be lower by this fraction.
    margin : float
        The first value, before training, must be undercut by this fraction.
    """

    def __init__(self, patience: int, tolerance: float = 1e-4, margin: float = 1e-4) -> None:
        self.patience, self.tolerance, self.margin = patience, tolerance, margin
        self.best, self.best_epoch, self.halved_epoch = math.inf, 0, 0

    def verdict(self, epoch: int, value: float) -> Literal["best", "wait", "halve", "stop"]:
        """What to do after an epoch that ended with the monitored `value`."""
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
        """Whether there was a new best value within the last epochs."""
        return epoch - self.best_epoch < self.patience
