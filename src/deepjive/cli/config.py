"""`--config`: the options of `deepjive fit` from a TOML file, or from the `config.json` of an earlier run.

A TOML file has the options by name; options of the form NAME=VALUE are tables. The table ``[parameters]`` holds the
parameters that ``--set`` sets on the command line:

    method = "deepjive"
    out = "runs/first"
    joint-rank = 3

    [modality]
    mri = "mri.npy"
    pet = "pet.npy"

    [parameters]
    dropout = 0.1

The command line overrides the file. In ``[parameters]``, `random_state` is the option `seed`, and `verbose = 0` is
`quiet = true`. Relative paths start at the working directory, as on the command line.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepjive.cli.runs import CHECKPOINT, OPTIONS

PARAMETERS = "deepjive.parameters"
TABLES = ("modality", "individual_rank", "signal_rank", "transformation", "scale")
LISTS = (*TABLES, "labels", "features_in_rows", "confounds")
FROM_RUN = (
    *("modality", "labels", "samples", "groups", "title", "unmatched"),
    *("features_in_rows", "sep", "decimal", "one_hot", "confounds", "site", "level"),
)
NOT_IN_FILES = ("config", "settings")
METHODS = {"DeepJIVE": "deepjive", "AJIVE": "ajive", "JIVE": "jive", "HeteroJIVE": "heterojive"}

LARGEST_TOML = 2**20
TOO_LARGE = (
    "{path} has {size:,} bytes, but a configuration file has at most {limit:,}. --config takes options in TOML, or the "
    "config.json of a run; name a data file with --modality."
)
WRONG_VALUE = "{path}: {option!r} is {given!r}, but {expected} is expected."
TWO_VALUES = (
    "{path} has both {option} = {given} and {parameter} = {value} in [parameters], but these are the same option. Keep "
    "only one of them."
)
NOT_IN_JSON = (
    "The parameters {names} of the run {path} are arrays or code, which its config does not hold. Fit the model from "
    "Python, where these parameters can be given."
)


def use_config(context: Any, path: Path | None) -> Path | None:
    """Take the options of a file as defaults of the command line."""
    if path is None:
        return None
    if path.is_dir() or path.name == "config.json":
        options, parameters = _of_run(path if path.is_dir() else path.parent)
    else:
        known = [parameter.name for parameter in context.command.params if parameter.name not in NOT_IN_FILES]
        options, parameters = _of_toml(path, known)
    context.default_map = {**(context.default_map or {}), **options}
    context.meta[PARAMETERS] = parameters
    return path


def use_unfinished(context: Any, folder: Path | None) -> Path | None:
    """Take the options of an interrupted run as defaults of the command line."""
    if folder is None:
        return None
    path = folder / CHECKPOINT / OPTIONS
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no interrupted run. To fit a finished run again, use --config {folder} with another --out."
        )
    try:
        options, parameters = _as_run(folder, json.loads(path.read_bytes()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"{path} is damaged ({reason}). Fit again with --overwrite.") from error
    context.default_map = {**(context.default_map or {}), **options, "out": str(folder)}
    context.meta[PARAMETERS] = parameters
    return folder


def _of_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from deepjive.persistence import read_config

    return _as_run(folder, read_config(folder))


def _as_run(folder: Path, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    from deepjive.packing import ARRAY, CUSTOM, unpack

    packed = config["parameters"]
    left_out = [name for name, value in packed.items() if _holds(value, (ARRAY, CUSTOM))]
    if left_out:
        raise ValueError(NOT_IN_JSON.format(path=folder, names=left_out))
    parameters = {name: unpack(value, {}) for name, value in packed.items() if name not in ("random_state", "verbose")}
    run = {name: value for name, value in config.get("run", {}).items() if name in FROM_RUN}
    options = {"method": METHODS[config["class"]], **_as_options(folder, run)}
    seed = packed.get("random_state")
    return options if seed is None else {**options, "seed": str(seed)}, parameters


def _of_toml(path: Path, known: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.stat().st_size > LARGEST_TOML:
        raise ValueError(TOO_LARGE.format(path=path, size=path.stat().st_size, limit=LARGEST_TOML))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a TOML file: {str(error).rstrip('.')}. Correct the file.") from error
    parameters = content.pop("parameters", {})
    if not isinstance(parameters, dict):
        raise ValueError(WRONG_VALUE.format(path=path, option="parameters", given=parameters, expected="a table"))
    options = {name.replace("-", "_"): value for name, value in content.items()}
    for name in options:
        if name not in known:
            shown = [option.replace("_", "-") for option in known]
            raise ValueError(
                f"{path} has {name.replace('_', '-')!r}, which is no option of `deepjive fit`. The options are {shown}."
            )
    if "random_state" in parameters:
        state = parameters.pop("random_state")
        if options.setdefault("seed", state) != state:
            both = {"option": "seed", "given": options["seed"], "parameter": "random_state", "value": state}
            raise ValueError(TWO_VALUES.format(path=path, **both))
    if options.get("quiet") and parameters.get("verbose"):
        both = {"option": "quiet", "given": "true", "parameter": "verbose", "value": parameters["verbose"]}
        raise ValueError(TWO_VALUES.format(path=path, **both))
    return _as_options(path, options), parameters


def _as_options(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the words that the command line would hold."""
    return {name: _words(path, name, value) for name, value in values.items()}


def _words(path: Path, name: str, value: Any) -> Any:
    if name in TABLES and isinstance(value, Mapping):
        return [f"{key}={_word(path, name, item)}" for key, item in value.items()]
    if name in LISTS:
        return [_word(path, name, item) for item in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, bool) else _word(path, name, value)


def _word(path: Path, name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(WRONG_VALUE.format(path=path, option=name, given=value, expected="text or a number"))
    return str(value)


def _holds(value: Any, marks: tuple[str, ...]) -> bool:
    """Whether a packed value contains one of the marks at any depth."""
    if isinstance(value, Mapping):
        return any(mark in value for mark in marks) or any(_holds(item, marks) for item in value.values())
    return isinstance(value, list) and any(_holds(item, marks) for item in value)
