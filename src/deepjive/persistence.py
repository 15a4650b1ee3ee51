"""Models on disk: a folder of `config.json` and `model.safetensors`, without pickle.

The config holds the class, its parameters and everything learned that is not an array; in the place of each array it
names a tensor of the weights file. It is written last and holds the digest of the weights and of itself, so that a
changed file, and a folder whose two files do not belong together, are recognised.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
CLASSES = {
    "AJIVE": "deepjive.linear.ajive",
    "JIVE": "deepjive.linear.jive",
    "HeteroJIVE": "deepjive.linear.heterojive",
    "DeepJIVE": "deepjive.deep.estimator",
}
KEYS = {"class", "deepjive", "learned", "parameters", "weights_sha256"}
ARRAY, TUPLE, CUSTOM = "$array", "$tuple", "$custom"

NOT_A_MODEL = "{path} is not a saved model: {reason}. A model folder holds {config} and {weights}, written by save()."
NEWER_FORMAT = (
    "{path} was saved by deepjive {version} in format {format}, but this version reads format {known}. "
    "Install deepjive {version} to read it."
)
DAMAGED = (
    "{path} is damaged: {reason}. Its files were changed or only partly written; save the model again or restore "
    "the folder from a copy."
)
UNSAVABLE = "{kind} cannot be saved, because load() knows only {classes}. Fit one of these to save it."
UNSAVABLE_VALUE = "{key} holds {value}, which cannot be saved; numbers, text, arrays, and dicts and lists of these can."
UNKNOWN_CUSTOM = "{name!r} is no parameter of {kind}, which was saved in {path}; its parameters are {known}."
NEEDS_CUSTOM = (
    "The model in {path} was fitted with {name} of your own, which are code and are not saved. "
    "Pass the same again: load({path!r}, {name}=...)."
)


class ModelFolderError(ValueError):
    """A model folder that is missing, damaged, or of another version."""


def save(model: Any, path: str | Path) -> None:
    """Write a fitted estimator to a folder; each file is replaced in one step.

    Parameters
    ----------
    model : estimator
        A fitted estimator of this library.
    path : path
        The folder.
    """
    from deepjive import __version__

    kind = type(model)
    if CLASSES.get(kind.__name__) != kind.__module__:
        raise TypeError(UNSAVABLE.format(kind=f"{kind.__module__}.{kind.__name__}", classes=", ".join(CLASSES)))
    arrays: dict[str, np.ndarray] = {}
    parameters = {
        key: _packed_parameter(value, f"parameters/{key}", arrays)
        for key, value in model.get_params(deep=False).items()
    }
    learned = _pack(model._learned(), "", arrays)
    weights = save_tensors(arrays)
    config = {
        "format": FORMAT,
        "deepjive": __version__,
        "class": kind.__name__,
        "parameters": parameters,
        "learned": learned,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    config["config_sha256"] = _digest(config)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / CONFIG, json.dumps(config, indent=1).encode())


def load(path: str | Path, **custom: Any) -> Any:
    """Read a fitted estimator from the folder that `save` wrote.

    Parameters
    ----------
    path : path
        The folder.
    **custom
        Parameters that are code, such as ``networks``, where the model was fitted with the user's own; also others
        that are to differ from those saved, such as ``accelerator``.

    Returns
    -------
    estimator
        Its `transform` gives the same as before, bit by bit.

    Raises
    ------
    ModelFolderError
        If there is no model, it is damaged, or it was written in a format this version does not know.
    TypeError
        If `custom` names what is no parameter of the estimator.
    """
    folder = Path(path)
    config = _read_config(folder)
    arrays = _read_weights(folder, config["weights_sha256"])
    try:
        parameters = _unpack(config["parameters"], arrays)
        learned = _unpack(config["learned"], arrays)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFolderError(DAMAGED.format(path=folder, reason=f"{CONFIG} and {WEIGHTS} disagree")) from error
    for key in custom:
        if key not in parameters:
            kind, known = config["class"], list(parameters)
            raise TypeError(UNKNOWN_CUSTOM.format(name=key, kind=kind, path=folder, known=known))
    needed = [key for key, value in parameters.items() if isinstance(value, Mapping) and CUSTOM in value]
    for key in needed:
        if key not in custom:
            raise ModelFolderError(NEEDS_CUSTOM.format(path=str(folder), name=key))
    cls = getattr(importlib.import_module(CLASSES[config["class"]]), config["class"])
    try:
        model = cls(**{**parameters, **custom})
        model._restore(learned)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelFolderError(DAMAGED.format(path=folder, reason=error)) from error
    return model


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it is whole: the old content or the new."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_config(folder: Path) -> dict[str, Any]:
    def refuse(reason: str) -> ModelFolderError:
        return ModelFolderError(NOT_A_MODEL.format(path=folder, reason=reason, config=CONFIG, weights=WEIGHTS))

    if not folder.is_dir():
        raise refuse("there is no such folder")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise refuse(f"it has no {name}")
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        digest = _digest(config) if isinstance(config, dict) else ""
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(DAMAGED.format(path=folder, reason=f"{CONFIG} is not JSON ({error})")) from error
    if not isinstance(config, dict) or "format" not in config:
        raise refuse(f"{CONFIG} names no format")
    if config["format"] != FORMAT:
        version = config.get("deepjive", "of another version")
        raise ModelFolderError(NEWER_FORMAT.format(path=folder, version=version, format=config["format"], known=FORMAT))
    if config.get("config_sha256") != digest:
        raise ModelFolderError(DAMAGED.format(path=folder, reason=f"{CONFIG} was changed after it was written"))
    if not set(config) >= KEYS or not isinstance(config["parameters"], dict) or not isinstance(config["learned"], dict):
        raise refuse(f"{CONFIG} does not hold {sorted(KEYS)}")
    if not isinstance(config["class"], str) or config["class"] not in CLASSES:
        raise refuse(f"its class {config['class']!r} is none of {list(CLASSES)}")
    return config


def _digest(config: dict[str, Any]) -> str:
    """Digest of all of a config but the digest itself, however it is indented."""
    content = {key: value for key, value in config.items() if key != "config_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_weights(folder: Path, digest: Any) -> dict[str, np.ndarray]:
    content = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        reason = f"{WEIGHTS} is not the file {CONFIG} was written for"
        raise ModelFolderError(DAMAGED.format(path=folder, reason=reason))
    try:
        return load_tensors(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelFolderError(DAMAGED.format(path=folder, reason=f"{WEIGHTS}: {error}")) from error


def _packed_parameter(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    if callable(value) or isinstance(value, (np.random.RandomState, np.random.Generator)):
        return {CUSTOM: repr(value)} if callable(value) else None
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return _pack(value, key, arrays)
    if isinstance(value, Mapping):
        packed = {str(name): _packed_parameter(item, f"{key}/{name}", arrays) for name, item in value.items()}
        return {CUSTOM: repr(value)} if any(_is_custom(item) for item in packed.values()) else packed
    if isinstance(value, (list, tuple)):
        items = [_packed_parameter(item, f"{key}/{i}", arrays) for i, item in enumerate(value)]
        if any(_is_custom(item) for item in items):
            return {CUSTOM: repr(value)}
        return {TUPLE: items} if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else {CUSTOM: repr(value)}


def _is_custom(value: Any) -> bool:
    return isinstance(value, dict) and CUSTOM in value


def _pack(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    """Replace each array by the name of a tensor, which goes to `arrays`; an array of text becomes a list."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        arrays[key] = np.asarray(value, order="C")
        return {ARRAY: key}
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(name): _pack(item, f"{key}/{name}", arrays) for name, item in value.items()}
    if isinstance(value, tuple):
        return {TUPLE: [_pack(item, f"{key}/{i}", arrays) for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [_pack(item, f"{key}/{i}", arrays) for i, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    what = f"an array of dtype {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise TypeError(UNSAVABLE_VALUE.format(key=key.lstrip("/"), value=what))


def _unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    return _walk(value, lambda key: arrays[key])


def _walk(value: Any, array: Callable[[str], np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return array(value[ARRAY])
        if set(value) == {TUPLE}:
            return tuple(_walk(item, array) for item in value[TUPLE])
        return {name: _walk(item, array) for name, item in value.items()}
    return [_walk(item, array) for item in value] if isinstance(value, list) else value
