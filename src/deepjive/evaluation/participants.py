"""Samples that belong together: sessions of one participant are drawn and permuted as one.

Sessions of a participant are alike in every modality, whether or not the modalities have anything in common. Permuting
single sessions takes them apart, so that chance looks smaller than it is; so whole participants change places, those
with equally many samples among each other. If participants are exchangeable, which asks nothing of the sessions within
one, permutation tests are exact for these orders as well (Winkler, Webster, Vidaurre, Nichols, Smith 2015, Multi-level
block permutation, NeuroImage 123: whole-block exchangeability). Who shares its number of samples with nobody stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_ORDERS = 120

GROUPS = "groups has {given} entries, but there are {n} samples; give the participant of every sample."
TOO_FEW_ORDERS = (
    "Participants change places with those that have equally many samples. Of {participants} participants, {count} "
    "can, in {orders} orders, but at least {needed} are needed, which 5 participants with one sample each have. Take "
    "more participants, or the same number of samples of each."
)


def members_of(n: int, groups: ArrayLike | None) -> list[NDArray[np.intp]]:
    """The rows of each participant."""
    if groups is None:
        return [np.array([row]) for row in range(n)]
    named = np.asarray(groups)
    if len(named) != n:
        raise ValueError(GROUPS.format(given=len(named), n=n))
    return [np.flatnonzero(named == one) for one in np.unique(named)]


def orders_of(n: int, groups: ArrayLike | None, rng: np.random.RandomState) -> Callable[[], NDArray[np.intp]]:
    """A function that draws an order of the samples in which participants have changed places.

    Parameters
    ----------
    n : int
        Number of samples.
    groups : array, shape (n,), or None
        The participant of each sample; None where each sample is a participant of its own.
    rng : RandomState
        What orders are drawn from. For one sample each they are those without groups.

    Returns
    -------
    callable
        Of no arguments; gives an array of int, shape (n,). The order of a participant's samples is kept.

    Raises
    ------
    ValueError
        For groups of another length, or if fewer than 120 orders are possible.

    Examples
    --------
    >>> draw = orders_of(12, list("aabbccddeeff"), np.random.RandomState(0))
    >>> draw().tolist()
    [10, 11, 4, 5, 2, 3, 6, 7, 0, 1, 8, 9]
    """
    if groups is None:
        return lambda: rng.permutation(n)
    blocks = exchangeable(n, groups)

    def draw() -> NDArray[np.intp]:
        order = np.arange(n)
        for block in blocks:
            order[block] = block[rng.permutation(len(block))]
        return order

    return draw


def exchangeable(n: int, groups: ArrayLike) -> list[NDArray[np.intp]]:
    """For each number of samples the rows of the participants that have it, shape (participants, samples).

    Raises
    ------
    ValueError
        As `orders_of`.
    """
    members = sorted(members_of(n, groups), key=lambda rows: int(rows[0]))
    sizes = {len(rows) for rows in members}
    blocks = [np.array([rows for rows in members if len(rows) == size]) for size in sorted(sizes)]
    orders = math.prod(math.factorial(len(block)) for block in blocks)
    if orders < FEWEST_ORDERS:
        count = sum(len(block) for block in blocks if len(block) > 1)
        raise ValueError(
            TOO_FEW_ORDERS.format(participants=len(members), count=count, orders=orders, needed=FEWEST_ORDERS)
        )
    return blocks
