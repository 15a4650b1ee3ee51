"""Samples that belong together: sessions of one participant are drawn, held out and permuted as one.

Sessions of a participant are alike in every modality, whether or not the modalities have anything in common. Permuting
single sessions takes them apart, so that chance looks smaller than it is; so whole participants change places, those
with equally many samples among each other. If participants are exchangeable, which asks nothing of the sessions within
one, permutation tests are exact for these orders as well (Winkler, Webster, Vidaurre, Nichols, Smith 2015, Multi-level
block permutation, NeuroImage 123: whole-block exchangeability). Who shares its number of samples with nobody stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_ORDERS = 120
FEWEST_DRAWN = 20

GROUPS = "groups has {given} entries, but there are {n} samples; give the participant of every sample."
UNKNOWN = (
    "groups does not say the participant of {count} of {n} samples, the first of which is number {first}; name the "
    "participant of every sample, or leave those samples out."
)
BOTH_SIDES = (
    "Participants {names} have samples both among those fitted and among those held out ({count} in all); all samples "
    "of a participant must be on one side. Hold out whole participants."
)
TOO_FEW_FOR_FOLDS = (
    "Cross-validation in {n_folds} folds by participant needs at least {n_folds} participants, but there are {given}. "
    "Take more participants."
)
SEVERAL_EACH = (
    "{purpose} takes each sample for one of its own, but the {n} samples are of {participants} participants. Fit to "
    "one sample of each, or use `deepjive.evaluation`, which draws and permutes whole participants."
)
TOO_FEW_ORDERS = (
    "Participants change places with those that have equally many samples. Of {participants} participants, {count} "
    "can, in {orders} orders, but at least {needed} are needed, which 5 participants with one sample each have. Take "
    "more participants, or the same number of samples of each."
)


class TooFewOrdersError(ValueError):
    """Participants that can change places in too few orders for a permutation test."""


def members_of(n: int, groups: ArrayLike | None) -> list[NDArray[np.intp]]:
    """The rows of each participant."""
    if groups is None:
        return [np.array([row]) for row in range(n)]
    named = named_groups(n, groups)
    return [np.flatnonzero(named == one) for one in np.unique(named)]


def named_groups(n: int, groups: ArrayLike) -> NDArray:
    """The participant of each of `n` samples.

    Raises
    ------
    ValueError
        For groups of another length, or a sample whose participant is not known: empty text, or not a number.
    """
    import pandas as pd

    named = np.array(groups)
    if named.shape != (n,):
        raise ValueError(GROUPS.format(given=" x ".join(map(str, named.shape)), n=n))
    unknown = np.flatnonzero(pd.isna(named) | (named.astype(str) == ""))
    if len(unknown):
        raise ValueError(UNKNOWN.format(count=len(unknown), n=n, first=unknown[0] + 1))
    return named.astype(str) if named.dtype == object else named  # so that they can be sorted


def check_one_each(n: int, participants: int, purpose: str) -> None:
    """Refuse more samples than participants, for what takes each sample for one of its own."""
    if participants < n:
        raise ValueError(SEVERAL_EACH.format(purpose=purpose, n=n, participants=participants))


def check_apart(groups: NDArray | None, held_out_groups: NDArray | None) -> None:
    """Refuse participants that have samples both among those fitted and among those held out."""
    if groups is None or held_out_groups is None:
        return
    both = np.intersect1d(groups, held_out_groups)
    if len(both):
        raise ValueError(BOTH_SIDES.format(names=[str(one) for one in both[:3]], count=len(both)))


def in_random_order(n: int, groups: ArrayLike | None, rng: np.random.RandomState) -> list[NDArray[np.intp]]:
    """The rows of each participant, participants in random order: the first of them are a draw."""
    members = members_of(n, groups)
    return [members[one] for one in rng.permutation(len(members))]


def rows_of(members: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """The rows of some participants, participant by participant."""
    return np.concatenate(members) if members else np.zeros(0, dtype=np.intp)


def rows_of_at_most(most: int, members: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """The rows of the first participants, no more than so many in all.

    Where that is too few for 20 participants with all their samples, of those with many only the first are taken.
    """
    if sum(map(len, members)) > most:
        members = [rows[: max(1, most // FEWEST_DRAWN)] for rows in members]
    return rows_of(members[: int(np.searchsorted(np.cumsum([len(rows) for rows in members]), most, side="right"))])


def folds_of(
    n: int, groups: ArrayLike | None, n_folds: int, random_state: int | None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to learn from and rows to test on, for each fold; no participant is on both sides.

    Raises
    ------
    ValueError
        As `named_groups`, and for fewer participants than folds.
    """
    from sklearn.model_selection import KFold

    members = members_of(n, groups)
    if groups is not None and len(members) < n_folds:
        raise ValueError(TOO_FEW_FOR_FOLDS.format(n_folds=n_folds, given=len(members)))
    folds = KFold(n_folds, shuffle=True, random_state=random_state).split(members)
    return [(rows_of([members[i] for i in train]), rows_of([members[i] for i in test])) for train, test in folds]


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
        raise TooFewOrdersError(
            TOO_FEW_ORDERS.format(participants=len(members), count=count, orders=orders, needed=FEWEST_ORDERS)
        )
    return blocks
