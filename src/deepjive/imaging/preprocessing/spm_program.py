"""How SPM12 is started, asked and listened to: MATLAB, the standalone program or Octave, through nipype."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from deepjive.data.readers.guard import optional
from deepjive.imaging.preprocessing.protocol import PreprocessingError

SHIM = """#!/bin/sh
# Octave, asked in MATLAB's words: everything up to the script is MATLAB's alone
while [ "$1" != "-r" ]; do shift; done
exec {octave} --eval "$2"
"""
THREW = "MATLAB code threw an exception:"

NO_SPM = (
    "SPM12 was not found: there is no MATLAB or Octave on the PATH. Say how it is started with --spm, e.g. --spm "
    "'/opt/spm12/run_spm12.sh /opt/mcr/v97 script' for the standalone program, or take the engine 'ants'."
)
NO_ANSWER = (
    "SPM12 did not answer to {command!r}; see whether it runs alone, and give its folder with --spm-path where it is "
    "not on the path of MATLAB or Octave."
)
NOT_SPM12 = "{command!r} runs SPM{version}, but SPM12 is needed."
NO_PROGRAM = "--spm names the program {program!r}, which is not there."
APOSTROPHE = "SPM cannot work in {folder}, whose name has an apostrophe; choose another folder to write"
NO_RESULT = "SPM ended without writing what was asked for ({said}); see what it says when it runs alone"
SPM_FAILED = "SPM said: {said} (all of it: {log})"


class Program(NamedTuple):
    """How SPM is started.

    Attributes
    ----------
    command : str
        Its command line.
    standalone : bool
        Whether it is the standalone program.
    folder : str or None
        The folder of SPM, for MATLAB and Octave.
    """

    command: str
    standalone: bool
    folder: str | None


def program_of(command: str | None, spm_folder: str | None, folder: Path | None = None) -> Program:
    """How SPM is started; for Octave through a script in a folder.

    Raises
    ------
    PreprocessingError
        If there is no such program.
    """
    command = command or usual_command()
    words = shlex.split(command)
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise PreprocessingError(NO_PROGRAM.format(program=words[0] if words else ""))
    called = Path(program).name
    if called.startswith("octave"):
        shim = Path(folder or tempfile.mkdtemp()) / "octave-for-matlab.sh"
        shim.write_text(SHIM.format(octave=shlex.join([program, *(words[1:] or ["--no-gui", "--quiet"])])))
        shim.chmod(0o755)
        return Program(str(shim), False, spm_folder)
    return Program(command, called.startswith("run_spm") or words[-1] == "script", spm_folder)


def usual_command() -> str:
    """What nipype's variables say, then what is on the path."""
    standalone = os.environ.get("SPMMCRCMD") if "FORCE_SPMMCR" in os.environ else None
    given = standalone or os.environ.get("MATLABCMD")
    if given:
        return given
    if shutil.which("matlab"):
        return "matlab -nodesktop -nosplash"
    if shutil.which("octave"):
        return "octave --no-gui --quiet"
    raise PreprocessingError(NO_SPM)


def spm_interfaces() -> Any:
    """Interfaces of nipype to SPM, quiet, and without asking its server for news."""
    os.environ.setdefault("NIPYPE_NO_ET", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nipype = optional("nipype", "The engine 'spm'")
        nipype.logging.getLogger("nipype.interface").setLevel("CRITICAL")
        return optional("nipype.interfaces.spm", "The engine 'spm'")


def answer(program: Program) -> dict[str, str]:
    """Where SPM is, and which it is; asked once in a process."""
    spm = spm_interfaces()
    from nipype.interfaces.spm.base import Info

    given = (program.command, program.folder, program.standalone)
    try:
        # nipype writes its question to where it is
        with _quiet(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            spm.SPMCommand.set_mlab_paths(*given)
            found = Info.getinfo(*given)
    except Exception:
        found = None
    if not found or not found.get("path"):
        raise PreprocessingError(NO_ANSWER.format(command=program.command))
    if "12" not in found["name"]:
        raise PreprocessingError(NOT_SPM12.format(command=program.command, version=found["name"].removeprefix("SPM")))
    return {key: str(value).strip() for key, value in found.items()}


def inputs(program: Program) -> dict[str, Any]:
    """What every job of nipype is told of how SPM is started."""
    known: dict[str, Any] = {"matlab_cmd": program.command, "mfile": True}
    if program.standalone:
        known["use_mcr"] = True
    if program.folder:
        known["paths"] = program.folder
    return known


def run_job(job: Callable[[], Any], folder: Path) -> None:
    """Run a job in a folder; what SPM said of a failure is the reason, all else is kept in a file."""
    if "'" in str(folder):
        raise PreprocessingError(APOSTROPHE.format(folder=folder))
    try:
        with _quiet(), contextlib.chdir(folder):  # where nipype writes the batch
            job().run()
    except Exception as error:
        log = folder / "said.log"
        log.write_text(str(error))
        if isinstance(error, FileNotFoundError):
            raise PreprocessingError(NO_RESULT.format(said=" ".join(str(error).split()))) from error
        raise PreprocessingError(SPM_FAILED.format(said=_said(str(error)), log=log)) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stderr: after every job nipype mends a terminal, which complains where there is none."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _said(text: str) -> str:
    """The line after nipype's mark of an exception in MATLAB, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    after = [lines[number + 1] for number, line in enumerate(lines[:-1]) if THREW in line]
    return after[-1] if after else (lines[-1] if lines else "nothing")
