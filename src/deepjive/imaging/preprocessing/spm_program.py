"""Start SPM12 through nipype, in MATLAB, as the standalone program or in Octave, and read its errors."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from deepjive.data.readers.guard import optional
from deepjive.imaging.preprocessing.protocol import PreprocessingError

SHIM = """#!/bin/sh
# Run a MATLAB command line in Octave; options before -r are for MATLAB only
while [ "$1" != "-r" ]; do shift; done
exec {octave} --eval "$2"
"""
THREW = "MATLAB code threw an exception:"

NO_SPM = (
    "SPM12 was not found: there is no MATLAB or Octave on the PATH. Give its command with --spm, e.g. --spm "
    "'/opt/spm12/run_spm12.sh /opt/mcr/v97 script' for the standalone program, or use the engine 'ants'."
)
NO_ANSWER = (
    "SPM12 did not answer to the command {command!r}. Check that the command runs, and give the folder of SPM12 with "
    "--spm-path if it is not on the path of MATLAB or Octave."
)


class Program(NamedTuple):
    """The program that runs SPM.

    Attributes
    ----------
    command : str
        Command line.
    standalone : bool
        Whether the program is the standalone version of SPM.
    folder : str or None
        Folder of SPM, for MATLAB and Octave.
    """

    command: str
    standalone: bool
    folder: str | None


def program_of(command: str | None, spm_folder: str | None, folder: Path | None = None) -> Program:
    """Return the program that runs SPM.

    Parameters
    ----------
    command : str or None
        Command line; `usual_command` by default.
    spm_folder : str or None
        Folder of SPM.
    folder : Path, default=None
        Folder for the script that starts Octave. By default it is a new temporary folder.

    Returns
    -------
    Program

    Raises
    ------
    PreprocessingError
        If the program does not exist.
    """
    command = command or usual_command()
    words = shlex.split(command)
    program = shutil.which(words[0]) if words else None
    if program is None:
        missing = words[0] if words else ""
        raise PreprocessingError(f"--spm names the program {missing!r}, which does not exist. Give its path.")
    name = Path(program).name
    if name.startswith("octave"):
        shim = Path(folder or tempfile.mkdtemp()) / "octave-for-matlab.sh"
        shim.write_text(SHIM.format(octave=shlex.join([program, *(words[1:] or ["--no-gui", "--quiet"])])))
        shim.chmod(0o755)
        return Program(str(shim), False, spm_folder)
    return Program(command, name.startswith("run_spm") or words[-1] == "script", spm_folder)


def usual_command() -> str:
    """Return the command of nipype's environment variables, or else the first program on the ``PATH``."""
    standalone = os.environ.get("SPMMCRCMD") if "FORCE_SPMMCR" in os.environ else None
    from_environment = standalone or os.environ.get("MATLABCMD")
    if from_environment:
        return from_environment
    if shutil.which("matlab"):
        return "matlab -nodesktop -nosplash"
    if shutil.which("octave"):
        return "octave --no-gui --quiet"
    raise PreprocessingError(NO_SPM)


def spm_interfaces() -> Any:
    """Return nipype's interfaces to SPM, without log output and without nipype's check for a new version."""
    os.environ.setdefault("NIPYPE_NO_ET", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nipype = optional("nipype", "The engine 'spm'")
        nipype.logging.getLogger("nipype.interface").setLevel("CRITICAL")
        return optional("nipype.interfaces.spm", "The engine 'spm'")


def answer(program: Program) -> dict[str, str]:
    """Ask SPM for its folder, name and release; nipype remembers the answer within a process.

    Raises
    ------
    PreprocessingError
        If SPM does not answer, or is not SPM12.
    """
    spm = spm_interfaces()
    from nipype.interfaces.spm.base import Info

    paths = (program.command, program.folder, program.standalone)
    try:
        # nipype writes a script to the current folder
        with _quiet(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            spm.SPMCommand.set_mlab_paths(*paths)
            spm_info = Info.getinfo(*paths)
    except Exception:
        spm_info = None
    if not spm_info or not spm_info.get("path"):
        raise PreprocessingError(NO_ANSWER.format(command=program.command))
    if "12" not in spm_info["name"]:
        raise PreprocessingError(f"{program.command!r} runs {spm_info['name']}, but SPM12 is needed.")
    return {key: str(value).strip() for key, value in spm_info.items()}


def inputs(program: Program) -> dict[str, Any]:
    """Return the inputs of a nipype job that say how SPM is started."""
    spm_inputs: dict[str, Any] = {"matlab_cmd": program.command, "mfile": True}
    if program.standalone:
        spm_inputs["use_mcr"] = True
    if program.folder:
        spm_inputs["paths"] = program.folder
    return spm_inputs


def run_job(job: Callable[[], Any], folder: Path) -> None:
    """Run a job in a folder.

    Parameters
    ----------
    job : callable
        Returns a nipype interface.
    folder : Path
        Folder to which nipype writes the batch.

    Raises
    ------
    PreprocessingError
        If the job fails. The message has SPM's error; the whole output is in ``error.log`` in the folder.
    """
    if "'" in str(folder):  # it would end a string of MATLAB
        raise PreprocessingError(f"SPM cannot work in {folder}, whose name has an apostrophe; choose another folder.")
    try:
        with _quiet(), contextlib.chdir(folder):
            job().run()
    except Exception as error:
        log = folder / "error.log"
        log.write_text(str(error))
        if isinstance(error, FileNotFoundError):
            text = f"SPM ended without an error, but did not write its results ({' '.join(str(error).split())})"
            raise PreprocessingError(f"{text}; run its command alone to see its output.") from error
        raise PreprocessingError(f"SPM failed: {_error_of_spm(str(error))} (see the whole output: {log})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress stderr. After every job nipype resets the terminal, which is an error message if there is none."""
    sys.stderr.flush()
    stderr_copy, null_device = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(stderr_copy, 2)
        os.close(stderr_copy)
        os.close(null_device)


def _error_of_spm(output: str) -> str:
    """Return the line after nipype's mark of an exception in MATLAB, or the last line of the output."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [following for line, following in pairwise(lines) if THREW in line]
    return errors[-1] if errors else (lines[-1] if lines else "no output")
