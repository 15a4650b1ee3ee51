"""Protocols: lists of named steps that make files from files and are repeated only if something they need has changed.

The key of a step is a digest of its name, its parameters and the key of the step before it. The key of the first step
depends on the scans and on the versions of the programs. A step is done if its folder holds a record with its key and
all its files.
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
from deepjive.progress import Progress, silent

Files = Mapping[str, Path]
Facts = dict[str, Any]
Action = Callable[[Files, Path, Mapping[str, Any]], "tuple[dict[str, Path], Facts]"]
RECORD = "step.json"

FAILED = "step {name!r} failed: {reason}"
NO_FILES = "step {name!r} should have written {missing}, but did not"


class PreprocessingError(ValueError):
    """A subject cannot be preprocessed; the message names the step and the reason."""


@dataclass(frozen=True)
class Step:
    """One step of a protocol.

    Attributes
    ----------
    name : str
        Name of the step, a phrase such as "correct bias of the head".
    action : callable
        ``action(files, folder, parameters)`` returns the new files by name, and the measured facts. `files` are the
        files of the steps before, and new files are written to `folder`.
    parameters : mapping
        Parameters of the step; JSON types only.
    """

    name: str
    action: Action
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Done(NamedTuple):
    """Result of a protocol.

    Attributes
    ----------
    files : dict of str to Path
        All files by name.
    facts : dict
        All facts that the steps measured.
    steps : list of dict
        For each step its name, parameters, wall time and CPU time in seconds, and whether it was done before.
    """

    files: dict[str, Path]
    facts: Facts
    steps: list[dict[str, Any]]


def run_protocol(steps: Sequence[Step], files: Files, folder: Path, key: str, *, progress: Progress = silent) -> Done:
    """Run the steps that were not done before.

    Parameters
    ----------
    steps : sequence of Step
        The protocol.
    files : mapping of str to Path
        The files that the first step starts from.
    folder : Path
        Folder in which each step has a folder.
    key : str
        Digest of all that the first step depends on.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each step with its name.

    Returns
    -------
    Done

    Raises
    ------
    PreprocessingError
        If a step fails; the results of the steps before it are kept.
    """
    done = Done(dict(files), {}, [])
    for number, step in enumerate(steps):
        progress(number, len(steps), step.name)
        key = digest([key, step.name, dict(step.parameters)])
        step_folder = folder / f"{number + 1:02d}-{'-'.join(step.name.lower().split())}"
        record = _record(step_folder, key)
        before = record is not None
        if record is None:
            record = _run(step, done.files, step_folder, key)
        done.files.update({name: step_folder / file for name, file in record["files"].items()})
        done.facts.update(record["facts"])
        named = {"name": step.name, "parameters": dict(step.parameters)}
        times = {name: record[name] for name in ("seconds", "cpu_seconds")}
        done.steps.append({**named, **times, "before": before})
    return done


def digest(content: Any) -> str:
    """SHA-256 of a value of JSON types."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(folder: Path, key: str) -> dict[str, Any] | None:
    """The record of a step that is done; None if its key or a file is missing."""
    try:
        record = json.loads((folder / RECORD).read_text())
        is_done = record["key"] == key and all((folder / file).is_file() for file in record["files"].values())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if is_done else None


def _run(step: Step, files: Files, folder: Path, key: str) -> dict[str, Any]:
    """Run a step in an empty folder, and write its record."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    try:
        made, facts = step.action(files, folder, step.parameters)
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
        "cpu_seconds": round(_cpu_seconds() - cpu_started, 2),
        "facts": facts,
        "files": {name: os.path.relpath(path, folder) for name, path in made.items()},
    }
    write_atomically(folder / RECORD, json.dumps(record, indent=1).encode())
    return record


def _cpu_seconds() -> float:
    """CPU time of this process and of the programs that it ran."""
    return sum(os.times()[:4])
