"""Conversion of values to JSON: plain values stay as they are, and arrays are replaced by names of tensors.

JSON has neither tuples nor NaN and infinity: `{"$tuple": [...]}` and `{"$float": "nan"}` stand for them.
A dict with tuples as keys becomes `{"$items": [[key, value], ...]}`.
A settings object, such as `deepjive.Runtime`, becomes `{"$settings": {"class": "Runtime", "values": {...}}}`.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

ARRAY, TUPLE, CUSTOM, FLOAT, SETTINGS = "$array", "$tuple", "$custom", "$float", "$settings"
ITEMS = "$items"
SETTINGS_CLASSES = {"Runtime": "deepjive.deep.runtime.settings"}

UNSAVABLE_VALUE = "{key} holds {value}, but numbers, text, arrays, or dicts and lists of these are expected."


def packed_parameter(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    """Convert a parameter of an estimator to JSON; code is not saved and becomes ``{"$custom": its repr}``."""
    if callable(value) or isinstance(value, (np.random.RandomState, np.random.Generator)):
        return {CUSTOM: repr(value)} if callable(value) else None
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return pack(value, key, arrays)
    if SETTINGS_CLASSES.get(type(value).__name__) == type(value).__module__:
        values = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {SETTINGS: {"class": type(value).__name__, "values": packed_parameter(values, key, arrays)}}
    if _has_tuples(value):
        return {ITEMS: packed_parameter([[*item] for item in value.items()], key, arrays)}
    if isinstance(value, Mapping):
        packed = {str(name): packed_parameter(item, f"{key}/{name}", arrays) for name, item in value.items()}
        return {CUSTOM: repr(value)} if any(is_custom(item) for item in packed.values()) else packed
    if isinstance(value, (list, tuple)):
        items = [packed_parameter(item, f"{key}/{i}", arrays) for i, item in enumerate(value)]
        if any(is_custom(item) for item in items):
            return {CUSTOM: repr(value)}
        return {TUPLE: items} if isinstance(value, tuple) else items
    return _plain(value, {CUSTOM: repr(value)})


def is_custom(value: Any) -> bool:
    """Whether a packed parameter stands for code."""
    return isinstance(value, dict) and CUSTOM in value


def pack(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    """Convert a value to JSON; arrays go to `arrays` and are replaced by their names, arrays of text become lists."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        arrays[key] = np.asarray(value, order="C")
        return {ARRAY: key}
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return value.tolist()
    if _has_tuples(value):
        return {ITEMS: pack([[*item] for item in value.items()], key, arrays)}
    if isinstance(value, Mapping):
        return {str(name): pack(item, f"{key}/{name}", arrays) for name, item in value.items()}
    if isinstance(value, tuple):
        return {TUPLE: [pack(item, f"{key}/{i}", arrays) for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [pack(item, f"{key}/{i}", arrays) for i, item in enumerate(value)]
    plain = _plain(value, None)
    if plain is not None or value is None:
        return plain
    what = f"an array of dtype {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise TypeError(UNSAVABLE_VALUE.format(key=key.lstrip("/"), value=what))


def unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Restore the value that `pack` converted."""
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return arrays[value[ARRAY]]
        if set(value) == {TUPLE}:
            return tuple(unpack(item, arrays) for item in value[TUPLE])
        if set(value) == {ITEMS}:
            return {tuple(key): item for key, item in unpack(value[ITEMS], arrays)}
        if set(value) == {FLOAT}:
            return float(value[FLOAT])
        if set(value) == {SETTINGS}:
            name = value[SETTINGS]["class"]
            cls = getattr(importlib.import_module(SETTINGS_CLASSES[name]), name)
            return cls(**unpack(value[SETTINGS]["values"], arrays))
        return {name: unpack(item, arrays) for name, item in value.items()}
    return [unpack(item, arrays) for item in value] if isinstance(value, list) else value


def _has_tuples(value: Any) -> bool:
    """Whether a dict has tuples as keys, which JSON lacks."""
    return isinstance(value, Mapping) and any(isinstance(key, tuple) for key in value)


def _plain(value: Any, otherwise: Any) -> Any:
    """Return a value that JSON can hold, or `otherwise`."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: repr(value)}
    return value if value is None or isinstance(value, (bool, int, float, str)) else otherwise
