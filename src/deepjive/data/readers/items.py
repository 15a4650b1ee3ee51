"""Modalities from a map-style torch `Dataset`, whose items are dicts or tuples of modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.arrays import tensor_values
from deepjive.data.readers.lazy import RowReader

NOT_MAP_STYLE = (
    "A map-style dataset is expected, with len(dataset) and dataset[i], but a {kind} was given. Samples are read in "
    "any order and more than once, which an iterable dataset cannot do."
)
NOT_A_COLLECTION = (
    "dataset[0] is a {kind}, but a dict of names to arrays or a tuple with one array for each modality is expected."
)
ONE_NUMBER = (
    "Entry {key!r} of dataset[0] is a single number, as a label is, but a modality is an array of features. Leave it "
    "out: Modalities.from_dataset(dataset, names=[...]), with the modalities of a dict, or None in the place of a "
    "tuple's entry."
)
NOT_AN_ENTRY = (
    "Entry {key!r} of dataset[0] is a {kind}, but an array or a tensor is expected. Give a dataset whose items hold "
    "the modalities themselves: a flat dict or tuple."
)
LOADER = " Give the dataset that it loads from: Modalities.from_dataset(loader.dataset)."
WRONG_NAMES = (
    "names={names} does not fit an item with {keys}. For a dict, name the modalities to read. For a tuple, name every "
    "entry, with None for entries that are no modality, such as a label."
)
CHANGED_SHAPE = "Sample {row} of modality {key!r} has shape {given}, but sample 0 has {expected}."


class Items:
    """Items of a dataset; the last rows are kept, so that all modalities of a batch read each item once.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        A map-style dataset.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._last: dict[int, Any] = {}

    def __call__(self, rows: NDArray[np.intp]) -> list[Any]:
        """Items of some rows."""
        self._last = {int(row): self._last.get(int(row), None) for row in rows}
        for row, item in self._last.items():
            if item is None:
                self._last[row] = self.dataset[row]
        return list(self._last.values())

    def __getstate__(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "_last": {}}


class ItemRows(RowReader):
    """One entry of every item as an array.

    Parameters
    ----------
    items : Items
        Items of the dataset, shared by all modalities.
    key : str or int
        Key or position of the entry.

    Raises
    ------
    TypeError
        If the entry of the first item is a collection.
    ValueError
        If the entry of the first item is a single number.
    """

    def __init__(self, items: Items, key: Any) -> None:
        self._items, self._key = items, key
        entry = items(np.array([0]))[0][key]
        if isinstance(entry, (tuple, Mapping)):
            raise TypeError(NOT_AN_ENTRY.format(key=key, kind=type(entry).__name__))
        first = _array(entry)
        if first.ndim == 0 and first.dtype.kind in "fiub":
            raise ValueError(ONE_NUMBER.format(key=key))
        super().__init__((len(items.dataset), *first.shape), first.dtype)

    def _read(self, rows: NDArray[np.intp]) -> NDArray:
        values = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for place, (row, item) in enumerate(zip(rows, self._items(rows), strict=True)):
            array = _array(item[self._key])
            if array.shape != self.shape[1:]:
                message = CHANGED_SHAPE.format(row=row, key=self._key, given=array.shape, expected=self.shape[1:])
                raise ValueError(message)
            values[place] = array
        return values


def rows_of_dataset(dataset: Any, names: Sequence[str | None] | None) -> dict[str, ItemRows]:
    """Return one array for each modality of a map-style dataset; items are read when rows are requested.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        A dataset whose items are dicts or tuples.
    names : sequence of str, or None
        For items that are dicts, the modalities to read. For tuples, a name for each entry, and None for an entry that
        is left out. None reads all entries.

    Returns
    -------
    dict of str to ItemRows

    Raises
    ------
    TypeError
        If the dataset is not map-style, or if its items are neither dicts nor tuples.
    ValueError
        If the dataset is empty, or if the names do not fit its items.
    """
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        advice = LOADER if hasattr(dataset, "dataset") else ""
        raise TypeError(NOT_MAP_STYLE.format(kind=type(dataset).__name__) + advice)
    if len(dataset) == 0:
        raise ValueError("The dataset has no samples: len(dataset) is 0. Check how it was made.")
    items = Items(dataset)
    return {name: ItemRows(items, key) for name, key in _keys(items(np.array([0]))[0], names).items()}


def _keys(item: Any, names: Sequence[str | None] | None) -> dict[str, Any]:
    """Key or position in an item for each modality."""
    if isinstance(item, Mapping):
        keys = {str(key): key for key in item}
        modalities = list(keys) if names is None else list(names)
        if any(name not in keys for name in modalities):
            raise ValueError(WRONG_NAMES.format(names=modalities, keys=f"the keys {list(keys)}"))
        return {str(name): keys[str(name)] for name in modalities}
    if not isinstance(item, (tuple, list)):
        raise TypeError(NOT_A_COLLECTION.format(kind=type(item).__name__))
    if names is not None and len(names) != len(item):
        raise ValueError(WRONG_NAMES.format(names=list(names), keys=f"{len(item)} entries"))
    names = [f"modality_{i}" for i in range(1, len(item) + 1)] if names is None else names
    return {str(name): position for position, name in enumerate(names) if name is not None}


def _array(value: Any) -> NDArray:
    return tensor_values(value) if hasattr(value, "detach") else np.asarray(value)
