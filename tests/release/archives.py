"""What a wheel and a source archive of this project may contain."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

LARGEST = 2_000_000
CODE = {".py", ".typed", ".html", ".js", ".css"}
AT_THE_TOP = {
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "PKG-INFO",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
    ".gitignore",  # hatchling adds it to every source archive
}


def wheel_problems(wheel: Path) -> list[str]:
    """Return what is wrong with the contents of a wheel: files that do not belong there, or needed ones that lack."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    metadata = {name for name in names if ".dist-info/" in name}
    problems = _strangers(set(names) - metadata, "deepjive")
    needed = ("deepjive/py.typed", "deepjive/report/report.html", "deepjive/cli/main.py")
    problems += [f"{name} is missing" for name in needed if name not in names]
    if not any(name.endswith("licenses/LICENSE") for name in metadata):
        problems.append("the licence is missing")
    return [*problems, *_size(wheel)]


def source_problems(source: Path) -> list[str]:
    """Return what is wrong with the contents of a source archive."""
    with tarfile.open(source) as archive:
        members = [PurePosixPath(member.name) for member in archive.getmembers() if member.isfile()]
    names = {PurePosixPath(*name.parts[1:]).as_posix() for name in members}
    inside = {name for name in names if name.startswith("src/")}
    problems = _strangers({name.removeprefix("src/") for name in inside}, "deepjive")
    problems += [f"{name} does not belong into the archive" for name in sorted(names - inside - AT_THE_TOP)]
    problems += [f"{name} is missing" for name in sorted(AT_THE_TOP - {".gitignore"} - names)]
    return [*problems, *_size(source)]


def _strangers(names: Iterable[str], package: str) -> list[str]:
    """Return a problem for every file that is not code of the package, and for tests in it."""
    paths = [PurePosixPath(name) for name in sorted(names)]
    wrong = [path for path in paths if path.parts[0] != package or path.suffix not in CODE or "tests" in path.parts]
    return [f"{path} does not belong into the archive" for path in wrong]


def _size(archive: Path) -> list[str]:
    size = archive.stat().st_size
    return [f"{archive.name} has {size} bytes, more than {LARGEST}"] if size > LARGEST else []
