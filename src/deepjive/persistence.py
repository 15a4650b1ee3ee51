"""Saved models: a folder with `config.json` and `model.safetensors`, without pickle.

The config holds the class, its parameters and the learned state. Arrays of the learned state are tensors of the
weights file, and the config holds their names. The config is written last. It holds digests of the weights and of
itself, so that `load` detects a changed file, and two files that do not belong together.

An estimator that can be saved is listed in `CLASSES` and has two methods. `_learned()` returns its learned state:
numbers, text, arrays, and dicts and lists of these, with at least ``shapes_``, ``mean_``, ``joint_rank_`` and
``individual_ranks_``, which `load` compares with the weights. `_restore(learned)` sets this state.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from deepjive.packing import is_custom, pack, packed_parameter, unpack

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
CLASSES = {
    "AJIVE": "deepjive.linear.ajive",
    "JIVE": "deepjive.linear.jive",
    "HeteroJIVE": "deepjive.linear.heterojive",
    "DeepJIVE": "deepjive.deep.estimator",
    "SeparateAutoencoders": "deepjive.deep.baseline",
}
KEYS = {"class", "deepjive", "learned", "parameters", "weights_sha256"}
STAGED = re.compile(r"model-[0-9a-f]{16}\.safetensors")
LEFT_OVER = re.compile(rf"{STAGED.pattern}|\.(config\.json|{STAGED.pattern})\.\w+")
LEARNED = re.compile(r"[a-z][a-zA-Z0-9_]*_")
LARGEST_CONFIG, LARGEST_HEADER = 2**26, 2**24
DTYPES = {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}

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
UNKNOWN_CUSTOM = "{name!r} is no parameter of {kind}, which was saved in {path}; its parameters are {known}."
NEEDS_CUSTOM = (
    "The model in {path} was fitted with {name} of your own, which are code and are not saved. "
    "Pass the same again: load({path!r}, {name}=...)."
)
LINK = (
    "{path} is a link, which is not followed: a model's folder must hold its files. "
    "Copy it with the files the links point to (cp -rL)."
)
NOT_FITTING = (
    "The model in {path} could not be made with the {names} that was passed: {reason}. Pass what it was fitted with."
)


class ModelFolderError(ValueError):
    """Error: a model folder is missing, damaged, or of another version."""


def save(model: Any, path: str | Path, run: Mapping[str, Any] | None = None) -> None:
    """Write a fitted estimator to a folder, which at any moment holds one complete model: the old one or the new one.

    The new weights are first written to a separate file. Then the config is replaced in one step; its digest selects
    the new weights. Last, the new weights replace the old file.

    Parameters
    ----------
    model : estimator
        A fitted estimator of this library.
    path : path
        The folder.
    run : mapping, default=None
        Description of the run that is stored in the config: text, numbers, and dicts and lists of these.
    """
    from deepjive._version import __version__

    kind = type(model)
    if CLASSES.get(kind.__name__) != kind.__module__:
        raise TypeError(UNSAVABLE.format(kind=f"{kind.__module__}.{kind.__name__}", classes=", ".join(CLASSES)))
    arrays: dict[str, np.ndarray] = {}
    parameters = {
        key: packed_parameter(value, f"parameters/{key}", arrays) for key, value in model.get_params(deep=False).items()
    }
    learned = pack(model._learned(), "", arrays)
    weights = save_tensors(arrays)
    config = {
        "format": FORMAT,
        "deepjive": __version__,
        "class": kind.__name__,
        "parameters": parameters,
        "learned": learned,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    if run is not None:
        config["run"] = dict(run)
    config["config_sha256"] = _digest(config)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / _staged_name(config)
    write_atomically(staged, weights)
    write_atomically(folder / CONFIG, json.dumps(config, indent=1, allow_nan=False).encode())
    os.replace(staged, folder / WEIGHTS)
    for left in folder.iterdir():
        if LEFT_OVER.fullmatch(left.name):  # by a save that was interrupted
            left.unlink(missing_ok=True)


def load(path: str | Path, **custom: Any) -> Any:
    """Read a fitted estimator from the folder that `save` wrote.

    Parameters
    ----------
    path : path
        The folder.
    **custom
        Parameters that are code and were not saved, such as ``networks`` of the user's own. Other parameters replace
        those saved, such as ``device``.

    Returns
    -------
    estimator
        The fitted estimator. Its `transform` gives the same scores as before saving, bit for bit.

    Raises
    ------
    ModelFolderError
        If there is no model, the model is damaged, or this version does not know its format.
    TypeError
        If `custom` has a name that is not a parameter of the estimator.
    """
    folder = Path(path)
    config = read_config(folder)
    arrays = _read_weights(folder, config)
    try:
        parameters = unpack(config["parameters"], arrays)
        learned = unpack(config["learned"], arrays)
        if not (isinstance(parameters, dict) and isinstance(learned, dict)):
            raise TypeError("an array in the place of all parameters, or of all that was learned")
    except Exception as error:  # a config that was tampered with can be wrong in any way
        raise ModelFolderError(DAMAGED.format(path=folder, reason=f"{CONFIG} and {WEIGHTS} disagree")) from error
    for key in custom:
        if key not in parameters:
            kind, known = config["class"], list(parameters)
            raise TypeError(UNKNOWN_CUSTOM.format(name=key, kind=kind, path=folder, known=known))
    for key, value in parameters.items():
        if is_custom(value) and key not in custom:
            raise ModelFolderError(NEEDS_CUSTOM.format(path=str(folder), name=key))
    cls = getattr(importlib.import_module(CLASSES[config["class"]]), config["class"])
    try:
        check_learned(cls, learned, None if custom else sum(array.size for array in arrays.values()))
        model = cls(**{**parameters, **custom})
        model._restore(learned)
    except Exception as error:
        if custom:
            message = NOT_FITTING.format(path=folder, names=" and ".join(custom), reason=_first_line(error))
            raise ModelFolderError(message) from error
        raise ModelFolderError(DAMAGED.format(path=folder, reason=_first_line(error))) from error
    return model


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays of a safetensors file, and the text in its header.

    Raises
    ------
    ValueError, OSError
        If the file is a link, or its header is not that of arrays.
    """
    with open(path, "rb", opener=_open_no_link) as file:
        content = file.read()
    metadata = _check_header(content)
    return load_tensors(content), metadata


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that at any moment has its complete old or new content; the umask determines who may read it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    file = temporary.open("xb")
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check the config of a model folder.

    Parameters
    ----------
    folder : Path
        The folder that `save` wrote.

    Returns
    -------
    dict
        With "class", "parameters" and "learned" in packed form, and "run" if `save` was given a run.

    Raises
    ------
    ModelFolderError
        As `load`.
    """

    def refuse(reason: str) -> ModelFolderError:
        return ModelFolderError(NOT_A_MODEL.format(path=folder, reason=reason, config=CONFIG, weights=WEIGHTS))

    content = _read_file(folder, CONFIG, LARGEST_CONFIG)
    try:
        config = json.loads(content)
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


def _read_file(folder: Path, name: str, largest: int | None = None) -> bytes:
    """Read a file of a model folder; raise ModelFolderError for a link, and for a file larger than `largest` bytes."""

    def refuse(reason: str) -> ModelFolderError:
        return ModelFolderError(NOT_A_MODEL.format(path=folder, reason=reason, config=CONFIG, weights=WEIGHTS))

    if not folder.is_dir():
        raise refuse("there is no such folder")
    if (folder / name).is_symlink():
        raise ModelFolderError(LINK.format(path=folder / name))
    if not (folder / name).is_file():
        raise refuse(f"it has no {name}")
    with open(folder / name, "rb", opener=_open_no_link) as file:
        size = os.fstat(file.fileno()).st_size
        if largest is not None and size > largest:
            raise ModelFolderError(
                DAMAGED.format(path=folder, reason=f"{name} has {size} bytes, more than any model's")
            )
        return file.read()


def _open_no_link(path: str, flags: int) -> int:
    """Open a file, but fail if it was replaced by a link since it was checked."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def _digest(config: dict[str, Any]) -> str:
    """Return the digest of a config without its own digest; indentation does not matter."""
    content = {key: value for key, value in config.items() if key != "config_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _staged_name(config: Mapping[str, Any]) -> str:
    """Return the name of the separate weights file; the digest may come from a file that was tampered with."""
    return f"model-{str(config['weights_sha256'])[:16]}.safetensors"


def _read_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    staged = _staged_name(config)
    name = staged if STAGED.fullmatch(staged) and (folder / staged).exists() else WEIGHTS
    content = _read_file(folder, name)
    if hashlib.sha256(content).hexdigest() != config["weights_sha256"]:
        reason = f"{WEIGHTS} is not the file {CONFIG} was written for"
        raise ModelFolderError(DAMAGED.format(path=folder, reason=reason))
    try:
        _check_header(content)
        return load_tensors(content)
    except Exception as error:  # of the parser, or of NumPy for what the header claims
        raise ModelFolderError(DAMAGED.format(path=folder, reason=f"{WEIGHTS}: {_first_line(error)}")) from error


def _check_header(content: bytes) -> dict[str, str]:
    """Raise ValueError if the header of a safetensors file is too large, or has a data type that NumPy lacks."""
    length = int.from_bytes(content[:8], "little")
    if length > min(LARGEST_HEADER, len(content) - 8):
        raise ValueError(f"its header claims {length} bytes")
    header = json.loads(content[8 : 8 + length])
    wrong = {str(tensor["dtype"]) for name, tensor in header.items() if name != "__metadata__"} - DTYPES
    if wrong:
        raise ValueError(f"it holds tensors of type {sorted(wrong)}, but a model's are of {sorted(DTYPES)}")
    return dict(header.get("__metadata__", {}))


def check_learned(cls: type, learned: Mapping[str, Any], numbers: int | None) -> None:
    """Raise ValueError if the learned state has wrong names, or sizes that need more memory than the weights.

    Parameters
    ----------
    cls : type
        The estimator.
    learned : mapping
        State as returned by `_learned`.
    numbers : int or None
        Number of values in the weights; every score has a weight for each feature. None for networks of the user's own.
    """
    for key in learned:
        if not LEARNED.fullmatch(key) or hasattr(cls, key):
            raise ValueError(f"{key!r} is nothing that an estimator learns")
    shapes, mean, ranks = (learned[key] for key in ("shapes_", "mean_", "individual_ranks_"))
    for name in {**shapes, **mean, **ranks}:
        if not all(type(number) is int for number in (*shapes[name], ranks[name], learned["joint_rank_"])):
            raise ValueError(f"shape or ranks of {name!r} are not whole numbers")
        size, rank = math.prod(shapes[name]), max(learned["joint_rank_"], ranks[name])
        if np.shape(mean[name]) != tuple(shapes[name]):
            raise ValueError(f"the mean of {name!r} does not have the shape {tuple(shapes[name])}")
        features = learned.get("features_", {}).get(name)
        if features is not None and not (
            isinstance(features, list) and len(features) == size and all(type(word) is str for word in features)
        ):
            raise ValueError(f"the features of {name!r} are not {size} names")
        if min(learned["joint_rank_"], ranks[name]) < 0 or (numbers is not None and rank * size > numbers):
            raise ValueError(f"{rank} scores of {name!r} do not fit the weights")


def count_numbers(learned: Any) -> int:
    """Return the number of values of all arrays in a learned state."""
    if isinstance(learned, Mapping):
        return sum(count_numbers(value) for value in learned.values())
    return learned.size if isinstance(learned, np.ndarray) else 0


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
