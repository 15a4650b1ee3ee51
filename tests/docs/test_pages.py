"""Every page of the documentation runs without Sphinx, and what it names exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pages
import pytest
import typer

import deepjive
from deepjive.cli.main import app
from tests.release.licences import requirements

from .conftest import PAGES, ROOT

NEEDS = {"mudata": "mudata", "nilearn": "deepjive.datasets.phantom"}
FENCE = re.compile(r"^(```+)([^\n`]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT / "docs").as_posix()


@pytest.mark.filterwarnings("ignore:The .* phase was still improving")
@pytest.mark.parametrize("page", [page for page in PAGES if pages.pieces(page.read_text())], ids=name_of)
def test_a_page_runs_without_a_warning(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are trained for two epochs of each phase; `make docs` trains them to the end."""
    for estimator in (deepjive.DeepJIVE, deepjive.SeparateAutoencoders):
        monkeypatch.setitem(estimator.__init__.__kwdefaults__, "max_epochs", 2)
    text = page.read_text()
    for module, sign in NEEDS.items():
        if sign in text:
            pytest.importorskip(module)
    for piece, output in pages.run(page, text, tmp_path):
        prints = piece.kind == "python" and re.search(r"^print\(", piece.code, re.MULTILINE)
        assert output.text or not prints, piece.code


def test_what_is_shown_without_being_run_is_commands() -> None:
    left_out = [piece for page in PAGES for piece in pages.pieces(page.read_text()) if piece.kind == "left out"]
    assert left_out
    for piece in left_out:
        assert piece.code.startswith("deepjive "), piece.code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_python_is_hidden_from_the_runner(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"^[ >]+```|^~~~|^>>> ", text, re.MULTILINE)
    languages = {language for _, language, _ in FENCE.findall(text)}
    assert languages <= {
        "",
        "python",
        "sh",
        "bash",
        "r",
        "toml",
        "{toctree}",
        "{eval-rst}",
        "{include} ../CHANGELOG.md",
    }
    for _, language, code in FENCE.findall(text):
        assert language or not re.search(r"^(import|from|print\()", code, re.MULTILINE), code


def test_blocks_can_be_read_without_scrolling() -> None:
    for page in PAGES:
        for _, language, code in FENCE.findall(page.read_text()):
            if language in ("", "python", "sh"):
                assert not [line for line in code.splitlines() if len(line) > 88], page


def shown_commands() -> list[str]:
    texts = [page.read_text() for page in (*PAGES, ROOT / "README.md")]
    blocks = [code for text in texts for _, language, code in FENCE.findall(text) if language in ("", "sh")]
    return [line for code in blocks for line in pages.commands(code) if line.startswith("deepjive ")]


@pytest.fixture(scope="module")
def program() -> Any:
    """All commands, which take a tenth of a second to build."""
    return typer.main.get_command(app)


@pytest.mark.parametrize("line", shown_commands())
def test_commands_and_options_that_are_shown_exist(program: Any, line: str) -> None:
    command = program
    words = line.split()[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "..."}
    given = [word for word in words if word.startswith("-") and not word.lstrip("-").isdigit()]
    assert not [word for word in given if word not in known]
    assert not (getattr(command, "commands", {}) and words) or words[0].startswith("-"), "no such command"


def test_links_lead_to_files_and_headings() -> None:
    sources = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
    wrong = []
    for source in sources:
        text = FENCE.sub("", source.read_text())
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            path, _, anchor = link.partition("#")
            target = source.parent / path if path else source
            if not target.exists() or (anchor and anchor not in headings(target)):
                wrong.append(f"{source.name}: {link}")
    assert not wrong


def headings(page: Path) -> set[str]:
    """Anchors as repository browsers and MyST make them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in titles}


def test_every_page_is_in_the_contents() -> None:
    listed = set()
    for page in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / entry).relative_to(ROOT / "docs").as_posix() for entry in entries}
    assert listed | {"index"} == {name_of(page).removesuffix(".md") for page in PAGES}


@pytest.mark.parametrize("name", [name for name in deepjive.__all__ if name not in ("__version__", "plot")])
def test_every_public_name_is_in_the_reference(name: str) -> None:
    reference = "".join(page.read_text() for page in PAGES if page.parent.name == "api")
    assert re.search(rf"^\.\. auto(class|function):: deepjive\.{name}$", reference, re.MULTILINE)


def test_installation_names_the_extras_and_versions_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(project["optional-dependencies"])
    assert project["requires-python"] == ">=3.11,<3.15"
    assert text.split("## ")[0].startswith("# Installation\n\nPython 3.11, 3.12, 3.13 or 3.14.")


def test_everything_that_is_installed_for_tests_and_site_is_pinned() -> None:
    """Also what the dependencies need, except for what a CUDA build of torch brings along."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normalized(line.split("==")[0]) for line in lines}
    names = {normalized(found.metadata["Name"]) for found in requirements(["deepjive"])} - {"deepjive"}
    assert len(names) > 100
    assert names - pinned <= {"triton"}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
