"""Groups of samples: all samples of one participant are drawn, held out and permuted together.

Samples of one participant resemble each other in every modality, even if the modalities have nothing in common. A
permutation of single samples destroys this resemblance, so that the null distribution is too narrow. Whole participants
are therefore permuted, within the participants that have the same number of samples. A participant with a number of
samples that no other participant has keeps its place. The permutation tests are exact if the participants are
exchangeable; the samples within a participant need not be (whole-block exchangeability).

Winkler, Webster, Vidaurre, Nichols, Smith 2015, Multi-level block permutation, NeuroImage 123.
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
    "participant of every sample, or leave these samples out."
)
BOTH_SIDES = (
    "Participants {names} have samples both among those fitted and among those held out ({count} in all). Hold out "
    "whole participants: all samples of a participant must be either fitted or held out."
)
TOO_FEW_FOR_FOLDS = (
    "Cross-validation in {n_folds} folds by participant needs at least {n_folds} participants, but there are {given}. "
    "Take more participants."
)
SEVERAL_EACH = (
    "{purpose} treats all samples as independent, but the {n} samples belong to {participants} participants. Fit to "
    "one sample of each participant, or use `deepjive.evaluation`, which draws and permutes whole participants."
)
TOO_FEW_ORDERS = (
    "Participants are permuted only with others that have the same number of samples. Of {participants} participants, "
    "{count} can be permuted, in {orders} orders, but at least {needed} orders are needed, as of 5 participants with "
    "one sample each. Use more participants, or the same number of samples of each."
)


class TooFewOrdersError(ValueError):
    """Error: the participants can be permuted in too few orders for a permutation test."""


def members_of(n: int, groups: ArrayLike | None) -> list[NDArray[np.intp]]:
    """Return the rows of each participant."""
    if groups is None:
        return [np.array([row]) for row in range(n)]
    named = named_groups(n, groups)
    return [np.flatnonzero(named == participant) for participant in np.unique(named)]


def named_groups(n: int, groups: ArrayLike) -> NDArray:
    """Return the participant of each of `n` samples.

    Raises
    ------
    ValueError
        If `groups` has another length, or a sample has no participant (empty text or NaN).
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
    """Raise ValueError if a participant has several samples; for methods that treat samples as independent."""
    if participants < n:
        raise ValueError(SEVERAL_EACH.format(purpose=purpose, n=n, participants=participants))


def check_apart(groups: NDArray | None, held_out_groups: NDArray | None) -> None:
    """Raise ValueError if a participant has fitted as well as held-out samples."""
    if groups is None or held_out_groups is None:
        return
    both = np.intersect1d(groups, held_out_groups)
    if len(both):
        raise ValueError(BOTH_SIDES.format(names=[str(participant) for participant in both[:3]], count=len(both)))


def in_random_order(n: int, groups: ArrayLike | None, rng: np.random.RandomState) -> list[NDArray[np.intp]]:
    """Return the rows of each participant, with the participants in random order."""
    members = members_of(n, groups)
    return [members[participant] for participant in rng.permutation(len(members))]


def rows_of(members: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """Return the rows of some participants, participant by participant."""
    return np.concatenate(members) if members else np.zeros(0, dtype=np.intp)


def rows_of_at_most(most: int, members: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """Return the rows of the first participants, at most `most` rows.

    If all samples together are more than `most`, only the first samples of participants with many samples are used, so
    that at least 20 participants are drawn from.
    """
    if sum(map(len, members)) > most:
        members = [rows[: max(1, most // FEWEST_DRAWN)] for rows in members]
    return rows_of(members[: int(np.searchsorted(np.cumsum([len(rows) for rows in members]), most, side="right"))])


def folds_of(
    n: int, groups: ArrayLike | None, n_folds: int, random_state: int | None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the training rows and the test rows of each fold; all rows of a participant are on the same side.

    Raises
    ------
    ValueError
        As `named_groups`, and if there are fewer participants than folds.
    """
    from sklearn.model_selection import KFold

    members = members_of(n, groups)
    if groups is not None and len(members) < n_folds:
        raise ValueError(TOO_FEW_FOR_FOLDS.format(n_folds=n_folds, given=len(members)))
    folds = KFold(n_folds, shuffle=True, random_state=random_state).split(members)
    return [(rows_of([members[i] for i in train]), rows_of([members[i] for i in test])) for train, test in folds]


def orders_of(n: int, groups: ArrayLike | None, rng: np.random.RandomState) -> Callable[[], NDArray[np.intp]]:
    """Return a function that draws a random order of the samples in which participants are permuted.

    Parameters
    ----------
    n : int
        Number of samples.
    groups : array, shape (n,), or None
        The participant of each sample; None if each participant has one sample.
    rng : RandomState
        The random numbers. If each participant has one sample, the orders are the same as without groups.

    Returns
    -------
    callable
        A function without arguments that returns an array of int, shape (n,). The samples of a participant keep their
        order.

    Raises
    ------
    ValueError
        If `groups` has another length, or fewer than 120 orders are possible.

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
    """Return the participants that can be permuted with each other, as one array of rows for each number of samples.

    Each array has shape (n_participants, n_samples_of_each).

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
