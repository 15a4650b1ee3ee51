"""Do these rows belong together? Prediction between modalities as paired, and with rows matched in other orders.

Rows that were paired wrongly have nothing in common, which looks like data without joint variation. If the modalities
predict each other once the rows of one are taken in another order that files often have, the pairing is probably wrong.
The orders are the reversed one, and those in which names or numbers are sorted as text instead of as numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from deepjive.data.modalities import Modalities
from deepjive.deep.geometry.joint_ridge import cross_validate
from deepjive.results import Finding

WRONG_ROWS = "rows that do not belong together"
SEEN = (
    "The modalities predict {paired:.1%} of each other's held-out variance with rows as they are {how}, but "
    "{other:.1%} with the rows of {name!r} {order}."
)
CHANGE = (
    "Check that each row of all modalities is the same sample. Name the rows (an id column, an index, samples=, "
    "--samples FILE), so that they are paired by name."
)
MIN_SAMPLES, MAX_SAMPLES, MAX_VALUES = 20, 300, 20_000_000
MAX_RANK = 3
NIL, CLEAR = 0.02, 0.05
RANDOM_ORDERS = 3


def wrongly_paired(data: Modalities, random_state: int | None = 0) -> Finding | None:
    """Look for another order of the rows of a modality in which the modalities predict each other.

    Parameters
    ----------
    data : Modalities
        Samples with all modalities. At most 300 of them are used.
    random_state : int or None, default=0
        Draws the samples, the folds, and random orders for comparison.

    Returns
    -------
    Finding or None
        None if held-out prediction is not nil as paired, if no other order makes it clearly better than random orders
        do, or if fewer than 20 samples have all modalities.
    """
    n, rng = len(data), check_random_state(random_state)
    widest = max(int(np.prod(shape)) for shape in data.shapes.values())
    count = min(n, MAX_SAMPLES, max(MIN_SAMPLES, MAX_VALUES // max(widest, 1)))
    if n < MIN_SAMPLES or len(data.names) < 2 or not data.present.all():
        return None
    rows, seed = np.sort(rng.permutation(n)[:count]), int(rng.randint(2**31 - 1))
    arrays = [_values(data, name, rows) for name in data.names]
    paired = _predicted(arrays, seed)
    if paired >= CLEAR:
        return None
    draws = [[arrays[0], *(x[rng.permutation(count)] for x in arrays[1:])] for _ in range(RANDOM_ORDERS)]
    chance = max(0.0, *(_predicted(drawn, seed) for drawn in draws))
    if paired >= chance + NIL:
        return None
    best, words = 0.0, {}
    for k in range(1 if len(arrays) == 2 else 0, len(arrays)):
        for order, places in _orders(n, data.samples).items():
            moved = [_values(data, data.names[k], places[rows]) if k == j else x for j, x in enumerate(arrays)]
            predicted = _predicted(moved, seed)
            if predicted > best:
                best, words = predicted, {"name": data.names[k], "order": order}
    if best < max(CLEAR, chance + 2 * NIL, 3 * paired):
        return None
    seen = SEEN.format(paired=max(paired, 0.0), other=best, how=f"paired by {data.pairing.by}", **words)
    return Finding(WRONG_ROWS, seen, CHANGE)


def _values(data: Modalities, name: str, rows: NDArray[np.intp]) -> NDArray:
    """Values of some samples, shape (n_rows, n_features), with gaps at the mean of their feature."""
    values = data.rows(name, rows).reshape(len(rows), -1).astype(np.float64)
    missing = ~np.isfinite(values)
    if missing.any():
        values[missing] = np.nan
        known = np.maximum((~missing).sum(axis=0), 1)
        values = np.where(missing, np.nansum(values, axis=0) / known, values)
    return values


def _predicted(arrays: list[NDArray], seed: int) -> float:
    """Fraction of held-out variance that the modalities predict of each other, at the best rank and penalty."""
    held_out = cross_validate(arrays, MAX_RANK, seed)
    return 1.0 - float(held_out.mean_errors.min())


def _orders(n: int, samples: NDArray[np.str_] | None) -> dict[str, NDArray[np.intp]]:
    """Orders of rows that files often have, by their description."""
    numbers = np.argsort(np.arange(1, n + 1).astype(str), kind="stable")
    orders = {
        "in reversed order": np.arange(n)[::-1],
        "in the order of their numbers sorted as text (1, 10, 2, ...)": numbers,
        "put back from the order of their numbers sorted as text (1, 10, 2, ...)": np.argsort(numbers),
    }
    if samples is not None:
        by_name = np.argsort(samples, kind="stable")
        orders["in the order of the sorted sample names"] = by_name
        orders["put back from the order of the sorted sample names"] = np.argsort(by_name)
    same = np.arange(n)
    return {words: order for words, order in orders.items() if not np.array_equal(order, same)}
