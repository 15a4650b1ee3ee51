"""Checks of archives and licences find what is wrong, and the repository's files agree with each other."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import deepjive
from deepjive.data.readers.guard import EXTRAS as EXTRA_OF
from deepjive.data.readers.guard import PACKAGES

from .archives import AT_THE_TOP, source_problems, wheel_problems
from .licences import is_compatible, licence, requirements
from .wheel import EXTRAS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GOOD = ["deepjive/py.typed", "deepjive/report/report.html", "deepjive/cli/main.py"]
METADATA = ["deepjive-0.1.0.dist-info/METADATA", "deepjive-0.1.0.dist-info/licenses/LICENSE"]


def wheel(folder: Path, *names: str) -> Path:
    with zipfile.ZipFile(folder / "x.whl", "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return folder / "x.whl"


def test_a_wheel_contains_code_and_nothing_else(tmp_path: Path) -> None:
    assert wheel_problems(wheel(tmp_path, *GOOD, *METADATA)) == []
    strangers = ("tests/test_x.py", "deepjive/tests/x.py", "deepjive/data/patients.csv")
    problems = wheel_problems(wheel(tmp_path, *GOOD[1:], METADATA[0], *strangers))
    assert problems == [
        "deepjive/data/patients.csv does not belong into the archive",
        "deepjive/tests/x.py does not belong into the archive",
        "tests/test_x.py does not belong into the archive",
        "deepjive/py.typed is missing",
        "the licence is missing",
    ]


def test_a_source_archive_contains_no_tests_and_no_data(tmp_path: Path) -> None:
    for name in ("src/deepjive/x.py", "src/deepjive/x.npz", "tests/x.py", *(AT_THE_TOP - {"LICENSE"})):
        (tmp_path / "deepjive-0.1.0" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "deepjive-0.1.0" / name).touch()
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "deepjive-0.1.0", "deepjive-0.1.0")
    assert source_problems(tmp_path / "x.tar.gz") == [
        "deepjive/x.npz does not belong into the archive",
        "tests/x.py does not belong into the archive",
        "LICENSE is missing",
    ]


@pytest.mark.parametrize(
    ("words", "compatible"),
    [
        ("BSD-3-Clause AND MIT", True),
        ("Mozilla Public License 2.0 (MPL 2.0)", True),
        ("GNU Lesser General Public License v3 (LGPLv3)", True),
        ("GPL-3.0-only", False),
        ("GNU General Public License v3", False),
        ("GPL-2.0 OR MIT", True),
        ("", False),
    ],
)
def test_licences_that_do_not_fit_are_found(words: str, compatible: bool) -> None:
    assert is_compatible(words) is compatible


def test_the_licences_of_what_every_user_installs_are_compatible() -> None:
    names = [re.split(r"[<>=\[]", one)[0] for one in PROJECT["dependencies"]]
    found = {dist.metadata["Name"]: licence(dist) for dist in requirements(names)}
    assert len(found) > len(names)
    assert not [name for name, words in found.items() if not is_compatible(words)]


def test_the_oldest_versions_are_those_of_the_project() -> None:
    lines = [line for line in (ROOT / "constraints-minimum.txt").read_text().splitlines() if "==" in line]
    oldest = dict(line.split("==") for line in lines)
    extras = [
        one for extra in ("arrays", "imaging", "log", "omics", "survival", "tables", "tune") for one in extra_of(extra)
    ]
    for one in (*PROJECT["dependencies"], *extras):
        name, _, bound = one.partition(">=")
        assert f"{oldest.pop(name)}.".startswith(f"{bound}."), one
    assert not oldest


def extra_of(name: str) -> list[str]:
    return [one for one in PROJECT["optional-dependencies"][name] if not one.startswith("deepjive")]


def test_the_files_with_hashes_are_those_of_the_constraints() -> None:
    text = (ROOT / "requirements-hashed.txt").read_text()
    entries = [entry.replace("\\\n", " ").split() for entry in re.split(r"\n(?=\S)", text.strip())]
    assert all(any(word.startswith("--hash=sha256:") for word in words) for words in entries)
    listed = {comparable(words[0]) for words in entries}
    assert listed <= {comparable(line) for line in (ROOT / "constraints.txt").read_text().splitlines()}, "make hashes"
    wanted = PROJECT["dependencies"] + [
        one for extra in ("arrays", "imaging", "omics", "tables") for one in extra_of(extra)
    ]
    names = {re.split(r"[<>=\[]", one)[0] for one in wanted}
    assert names - {line.split("==")[0] for line in listed} == {"torch"}


def comparable(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def test_every_extra_is_tried_alone() -> None:
    not_tried = {
        "ants",  # allows no current NumPy
        "minimum",  # `make minimum` installs it
        "release",  # `make wheel` installs it
        "test",  # `make test` installs it
    }
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - not_tried


def test_the_pages_install_the_torch_of_the_constraints() -> None:
    """pip would replace another version by its default build, with gigabytes of CUDA."""
    (pinned,) = re.findall(r"^torch==.*", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    for page in ("README.md", "docs/install.md"):
        lines = re.findall(r"pip install (torch\S*) --index-url", (ROOT / page).read_text())
        assert set(lines) == {pinned}, page


def test_the_hooks_before_a_commit_are_the_checks_of_make_lint() -> None:
    commands = re.findall(r"entry: \.venv/bin/(.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert commands == re.findall(r"\$\(BIN\)/(.*)", recipe)


def test_every_job_is_a_make_command_that_there_is() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = workflow.read_text()
        commands = set(re.findall(r"run: make ([\w-]+)", text))
        for words in re.findall(r"command: \[(.*)\]", text):
            commands |= set(words.split(", "))
        assert commands, workflow
        assert commands <= targets, workflow


def test_the_version_is_the_same_everywhere() -> None:
    assert f"version: {deepjive.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    recipe = (ROOT / "packaging" / "conda-forge" / "recipe.yaml").read_text()
    assert f'version: "{deepjive.__version__}"' in recipe
    assert re.search(rf"^## {re.escape(deepjive.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    json.loads((ROOT / ".zenodo.json").read_text())


def test_the_conda_recipe_needs_what_the_project_needs() -> None:
    recipe = (ROOT / "packaging" / "conda-forge" / "recipe.yaml").read_text()
    needed = dict(re.findall(r"^    - ([\w-]+) >=([\d.]+)$", recipe.partition("  run:")[2], re.MULTILINE))
    names = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    for one in PROJECT["dependencies"]:
        name, _, bound = one.partition(">=")
        assert needed[names.get(name, name)] == bound


def test_advice_names_the_package_that_an_extra_installs() -> None:
    for library, extra in EXTRA_OF.items():
        packages = {re.split(r"[<>=\[]", one)[0] for one in PROJECT["optional-dependencies"][extra]}
        assert PACKAGES.get(library, library) in packages, library
