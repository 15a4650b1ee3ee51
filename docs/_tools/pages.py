"""Runs the Python code and the `deepjive` commands of a page, from top to bottom, as a reader would.

A page is Markdown that reads well in a repository browser. Its ```python blocks and the commands in its ```sh blocks
share one namespace and one empty folder. HTML comments, which readers do not see, are instructions:

    <!-- run            code that is run and not shown
    ... -->
    <!-- run with: voxel=3 -> voxel=12; ... -->     the next block is run with these changes, and shown without them
    <!-- not run: reason -->                        the next block is shown and not run
    <!-- attach: FILE: words -->                    on the site, a link to a file that the page has made

The site (`executed.py`) shows the printed text and the figures. The tests run the same pages without the site.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PIECE = re.compile(
    r"^<!-- run\n(?P<hidden>.*?)-->"
    r"|^<!-- run with: (?P<changes>[^\n]+?) -->$"
    r"|^<!-- not run: (?P<reason>[^\n]+?) -->$"
    r"|^<!-- attach: (?P<file>\S+): (?P<words>[^\n]+?) -->$"
    r"|^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
RUN = ("python", "sh")
WIDTH = "88"

NOT_DEEPJIVE = "{where}: {line!r} is not a deepjive command. Put <!-- not run: reason --> before a block that cannot run."
NO_BLOCK = "The comment {comment!r} is not followed by a block that can be run."
NOT_THERE = "The comment 'run with' changes {old!r}, which is not in the next block."
FAILED = "{where}: {line!r} ended with exit code {code}: {printed}"


@dataclass(frozen=True)
class Piece:
    """A part of a page that is run or left out.

    Attributes
    ----------
    kind : {"python", "sh", "hidden", "attach", "left out"}
        Kind of the piece.
    code : str
        Python, commands, or the file to attach.
    line : int
        Line of the page before the first of the code.
    start, end : int
        Positions in the text of the page, of the first character of the piece and after its last one.
    words : str
        Title of an attached file, the reason why a block is left out, or the changes of a block.
    """

    kind: str
    code: str
    line: int
    start: int
    end: int
    words: str = ""


@dataclass
class Output:
    """Output of a piece: printed text, figures as (title, PNG), and files."""

    text: str = ""
    figures: list[tuple[str, bytes]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a page in order, without blocks of other languages."""
    page_pieces: list[Piece] = []
    reason = changes = None
    for match in PIECE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        start, end = match.span()
        if match["reason"] or match["changes"]:
            reason, changes = match["reason"], match["changes"]
        elif match["hidden"] is not None:
            page_pieces.append(Piece("hidden", match["hidden"], line, start, end))
        elif match["file"]:
            page_pieces.append(
                Piece("attach", match["file"], line, start, end, match["words"])
            )
        elif match["language"] in RUN:
            kind = match["language"] if reason is None else "left out"
            code, words = _changed(match["code"], changes), reason or changes or ""
            page_pieces.append(Piece(kind, code, line, start, end, words))
            reason = changes = None
    if reason or changes:
        raise ValueError(NO_BLOCK.format(comment=reason or changes))
    return page_pieces


def _changed(code: str, changes: str | None) -> str:
    for change in changes.split("; ") if changes else ():
        old, _, new = change.partition(" -> ")
        if old not in code:
            raise ValueError(NOT_THERE.format(old=old))
        code = code.replace(old, new)
    return code


def run(
    page: Path, text: str, folder: Path, namespace: dict[str, Any] | None = None
) -> list[tuple[Piece, Output]]:
    """Run a page in a folder and return its pieces with their outputs.

    Parameters
    ----------
    page : Path
        The page, for error messages.
    text : str
        Its content.
    folder : Path
        An empty folder, the working directory of the page.
    namespace : dict, optional
        Names that the page may use.
    """
    names: dict[str, Any] = {"__name__": "__main__", **(namespace or {})}
    with contextlib.chdir(folder), warnings.catch_warnings():
        return [(piece, _output(page, piece, names)) for piece in pieces(text)]


def _output(page: Path, piece: Piece, names: dict[str, Any]) -> Output:
    if piece.kind in ("python", "hidden"):
        return _python(page, piece, names)
    if piece.kind == "sh":
        return Output(
            "".join(_command(page, piece, line) for line in commands(piece.code))
        )
    if piece.kind == "attach":
        return Output(files={piece.code: Path(piece.code).read_bytes()})
    return Output()


def commands(code: str) -> list[str]:
    """Return the commands of a shell block, with continued lines joined and without comments."""
    lines = re.sub(r"\\\n\s*", "", code).splitlines()
    bare = [shlex.join(shlex.split(line, comments=True)) for line in lines]
    return [line for line in bare if line]


def _python(page: Path, piece: Piece, names: dict[str, Any]) -> Output:
    printed = io.StringIO()
    code = compile("\n" * piece.line + piece.code, str(page), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return Output(printed.getvalue(), _figures())


def _figures() -> list[tuple[str, bytes]]:
    """Return the open figures of pyplot, and close them."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    from matplotlib import pyplot

    drawn = []
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
        png = io.BytesIO()
        figure.savefig(
            png, format="png", dpi=144, bbox_inches="tight", facecolor="white"
        )
        drawn.append(
            (next((title for title in titles if title), "Figure"), png.getvalue())
        )
        pyplot.close(figure)
    return drawn


def _command(page: Path, piece: Piece, line: str) -> str:
    from typer.testing import CliRunner

    from deepjive.cli.main import app

    where = f"{page.name}, line {piece.line}"
    program, *words = shlex.split(line)
    if program != "deepjive":
        raise ValueError(NOT_DEEPJIVE.format(where=where, line=line))
    width = {"COLUMNS": WIDTH, "TERM": "dumb", "NO_COLOR": "1"}
    result = CliRunner().invoke(
        app, words, prog_name="deepjive", env=width, catch_exceptions=False
    )
    if result.exit_code:
        raise RuntimeError(
            FAILED.format(
                where=where, line=line, code=result.exit_code, printed=result.stderr
            )
        )
    return result.stdout


os.environ.setdefault("MPLBACKEND", "agg")
