"""A protocol is a list of named steps; each makes files from files, and is not repeated if nothing it needs changed.

A step's key is a digest of its name, its parameters and the key of the step before it, the first one's of the scans
and the versions of what works on them. A step whose folder holds a record of that key and all its files is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from deepjive.persistence import write_atomically

Files = Mapping[str, Path]
Facts = dict[str, Any]
Action = Callable[[Files, Path, Mapping[str, Any]], "tuple[dict[str, Path], Facts]"]
RECORD = "step.json"

FAILED = "step {name!r} failed: {reason}"
NO_FILES = "step {name!r} should have written {missing}, but did not"


class PreprocessingError(ValueError):
    """A subject that cannot be preprocessed; the message says at which step, and why."""


@dataclass(frozen=True)
class Step:
    """One step of a protocol.

    Attributes
    ----------
    name : str
        What it does, in words.
    action : callable
        From the files so far (by name), a folder to write to, and `parameters`, to new files and to what was measured.
    parameters : mapping
        Its settings; numbers and text only.
    """

    name: str
    action: Action
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Done(NamedTuple):
    """What a protocol did.

    Attributes
    ----------
    files : dict of str to Path
        All files, by name.
    facts : dict
        All that the steps measured.
    steps : list of dict
        For each step its name, parameters, seconds of wall and of processor time, and whether it was done before.
    """

    files: dict[str, Path]
    facts: Facts
    steps: list[dict[str, Any]]


def run_protocol(
    steps: Sequence[Step], files: Files, folder: Path, key: str, on_step: Callable[[int, str], None] | None = None
) -> Done:
    """Run the steps that were not done before.

    Parameters
    ----------
    steps : sequence of Step
        The protocol.
    files : mapping of str to Path
        What there is.
    folder : Path
        Each step gets a folder in it.
    key : str
        Digest of what the first step depends on.
    on_step : callable, optional
        Called before each step with its number, from 0, and its name.

    Returns
    -------
    Done

    Raises
    ------
    PreprocessingError
        If a step fails; those before it are kept.
    """
    done = Done(dict(files), {}, [])
    for number, step in enumerate(steps):
        if on_step is not None:
            on_step(number, step.name)
        key = digest([key, step.name, dict(step.parameters)])
        here = folder / f"{number + 1:02d}-{'-'.join(step.name.lower().split())}"
        record = _record(here, key)
        before = record is not None
        if record is None:
            record = _run(step, done.files, here, key)
        done.files.update({name: here / file for name, file in record["files"].items()})
        done.facts.update(record["facts"])
        named = {"name": step.name, "parameters": dict(step.parameters)}
        times = {name: record[name] for name in ("seconds", "cpu_seconds")}
        done.steps.append({**named, **times, "before": before})
    return done


def digest(content: Any) -> str:
    """A digest of JSON's types."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(here: Path, key: str) -> dict[str, Any] | None:
    try:
        record = json.loads((here / RECORD).read_text())
        whole = record["key"] == key and all((here / file).is_file() for file in record["files"].values())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None


def _run(step: Step, files: Files, here: Path, key: str) -> dict[str, Any]:
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    started, busy = time.perf_counter(), _processor_time()
    try:
        made, facts = step.action(files, here, step.parameters)
    except (PreprocessingError, ImportError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PreprocessingError(FAILED.format(name=step.name, reason=reason)) from error
    missing = [path.name for path in made.values() if not path.is_file()]
    if missing:
        raise PreprocessingError(NO_FILES.format(name=step.name, missing=missing))
    record = {
        "key": key,
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(_processor_time() - busy, 2),
        "facts": facts,
        "files": {name: os.path.relpath(path, here) for name, path in made.items()},
    }
    write_atomically(here / RECORD, json.dumps(record, indent=1).encode())
    return record


def _processor_time() -> float:
    """Of this process and of the programs that it ran."""
    return sum(os.times()[:4])
