"""Virtual environments in which an installed wheel is tried."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

OF_THE_CALLER = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class Environment:
    """A virtual environment.

    Parameters
    ----------
    folder : Path
        Where it is made.
    above : Environment, default=None
        Another environment, whose packages are also seen.
    """

    def __init__(self, folder: Path, above: Environment | None = None) -> None:
        self.folder = folder
        venv.create(folder, with_pip=True, clear=True)
        self.programs = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.programs / ("python.exe" if os.name == "nt" else "python")
        if above is not None:
            (self.packages / "above.pth").write_text(f"{above.packages}\n")

    @property
    def packages(self) -> Path:
        """Folder of the installed packages."""
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        return Path(self.run("-c", code).strip())

    def install(self, *requirements: str, constraints: Path | None = None) -> None:
        """Install packages."""
        pinned = ["--constraint", str(constraints)] if constraints else []
        self.run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned, *requirements)

    def install_torch(self, constraints: Path) -> None:
        """Install torch from the index TORCH_INDEX, as the Makefile does; without it, pip's default build."""
        (pinned,) = re.findall(r"^torch==.*", constraints.read_text(), re.MULTILINE)
        index = os.environ.get("TORCH_INDEX")
        if index:
            pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
            words = (*pip, "--retries", "0", "--timeout", "30", "--index-url", index, pinned)
            done = _run([str(self.python), *words], self.folder, None)
            if done.returncode:
                print(f"torch was not installed from {index}, so that pip takes its default build.", flush=True)
        self.install(pinned, constraints=constraints)

    def run(self, *words: str, folder: Path | None = None, extra: Mapping[str, str] | None = None) -> str:
        """Run its Python and return what is printed; the program ends if this fails."""
        return succeed([str(self.python), *words], folder or self.folder, extra)

    def fails(self, *words: str, folder: Path) -> str:
        """Run its Python, which must fail, and return the error."""
        done = _run([str(self.python), *words], folder, None)
        if done.returncode == 0:
            sys.exit(f"did not fail: {' '.join(words)}")
        return done.stderr


def succeed(command: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it prints; this program ends if it fails."""
    done = _run(command, folder, extra)
    if done.returncode:
        sys.exit(f"failed with {done.returncode}: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _run(command: Sequence[str], folder: Path, extra: Mapping[str, str] | None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in OF_THE_CALLER}
    environment = {**kept, "NO_COLOR": "1", "COLUMNS": "200", **(extra or {})}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
