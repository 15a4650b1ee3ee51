"""Sphinx extension: runs each Markdown page when it is read, and puts the output of each block below the block."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any

import notebooks
import pages

RESULTS = "_results"


def run_page(app: Any, docname: str, source: list[str]) -> None:
    """Run a page and insert its output into its text."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md" or not app.config.run_pages:
        return
    text, done, shown = source[0], 0, []
    if docname in notebooks.TUTORIALS:
        file = f"{RESULTS}/{docname}.ipynb"
        notebooks.write(text, Path(app.outdir) / file)
        done = text.index("\n")
        shown += [
            text[:done],
            "",
            _link(file, "Download this page as an executed notebook"),
        ]
    with tempfile.TemporaryDirectory() as folder:
        for number, (piece, output) in enumerate(pages.run(page, text, Path(folder))):
            shown += [
                text[done : piece.end],
                *_shown(Path(app.outdir), docname, number, piece, output),
            ]
            done = piece.end
    source[0] = "\n".join([*shown, text[done:]])


def _shown(
    site: Path, docname: str, number: int, piece: pages.Piece, output: pages.Output
) -> list[str]:
    up = "../" * docname.count("/")
    lines = []
    if note := _note(piece):
        lines += ["", f'<p class="note">{html.escape(note)}</p>', ""]
    if output.text.strip() and piece.kind != "hidden":
        lines += [
            "",
            "````{code-block} text",
            ":class: output",
            "",
            output.text.rstrip(),
            "````",
            "",
        ]
    for index, (title, png) in enumerate(output.figures):
        name = f"{RESULTS}/{docname}_{number}_{index}.png"
        _write(site / name, png)
        lines += [
            "",
            f'<p class="figure"><img src="{up}{name}" alt="{html.escape(title)}"></p>',
            "",
        ]
    for file, content in output.files.items():
        name = f"{RESULTS}/{docname}/{file}"
        _write(site / name, content)
        lines += ["", _link(f"{up}{name}", piece.words), ""]
    return lines


def _link(file: str, words: str) -> str:
    return f'<p class="attached"><a href="{file}">{html.escape(words)}</a></p>'


def _note(piece: pages.Piece) -> str:
    """Return a note on how a block was run, for the reader."""
    if piece.kind == "left out":
        return f"This block was not run: {piece.words}."
    if piece.kind in ("python", "sh") and piece.words:
        changes = piece.words.replace(" -> ", " replaced by ").replace("; ", ", ")
        return f"This block was run with {changes}."
    return ""


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx; with `-D run_pages=0` the pages are not run."""
    app.add_config_value("run_pages", True, "env", [bool])
    app.connect("source-read", run_page)
    return {"parallel_read_safe": False}
