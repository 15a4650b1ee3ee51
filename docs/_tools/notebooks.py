"""Makes a notebook of a page and runs it in a Jupyter kernel, so that readers get it with its output.

Python blocks become cells, commands become cells of the shell, and the text between them becomes Markdown. Blocks that the
page does not run stay text. Links to other pages become plain words, because a notebook is read away from the site.

    python docs/_tools/notebooks.py docs/tutorial.md tutorial.ipynb
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pages
from nbclient import NotebookClient

TUTORIALS = ("tutorial", "omics", "neuroimaging", "networks")
COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")
SHELL = "%%sh -e"  # `!` would show the progress bars of a terminal
ONLY_PRINTED = "--InteractiveShell.ast_node_interactivity=none"  # as on the page
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ORIGIN = "This notebook is a page of deepjive's documentation. `deepjive` must be installed where its kernel runs."


def notebook(text: str) -> nbformat.NotebookNode:
    """Return the notebook of a page that begins with its title, without output."""
    heading, _, body = text.partition("\n")
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    _add_words(made, f"{heading}\n\n{ORIGIN}")
    done = len(text) - len(body)
    for piece in pages.pieces(text):
        _add_words(made, text[done : piece.start])
        done = piece.end
        if piece.kind in ("python", "hidden"):
            _add_code(made, piece.code.strip(), hidden=piece.kind == "hidden")
        elif piece.kind == "sh":
            _add_code(made, f"{SHELL}\n{piece.code.strip()}")
        elif piece.kind == "attach":
            _add_words(made, f"`{piece.code}`: {piece.words.lower()}.")
        else:
            _add_words(
                made,
                f"```sh\n{piece.code}```\n\nThis block was not run: {piece.words}.",
            )
    _add_words(made, text[done:])
    return made


def executed(made: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook in a folder and return it with its output; an error in a cell is raised.

    Parameters
    ----------
    made : NotebookNode
        The notebook, which is changed.
    folder : Path
        An empty folder, the working directory of the kernel.
    """
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    plain = {"PATH": programs, "COLUMNS": pages.WIDTH, "TERM": "dumb", "NO_COLOR": "1"}
    environment = {**os.environ, **plain}
    environment.pop("MPLBACKEND", None)  # the kernel shows figures in the notebook
    client = NotebookClient(
        made,
        timeout=None,
        record_timing=False,
        extra_arguments=["--log-level=ERROR", ONLY_PRINTED],
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)
    made.metadata = {"kernelspec": KERNEL}  # without the version of this Python
    nbformat.validate(made)
    return made


def write(text: str, file: Path) -> None:
    """Write the executed notebook of a page."""
    with tempfile.TemporaryDirectory() as folder:
        made = executed(notebook(text), Path(folder))
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, file)


def _add_words(made: nbformat.NotebookNode, text: str) -> None:
    words = LINK.sub(r"\1", COMMENT.sub("", text)).strip()
    if words:
        made.cells.append(
            nbformat.v4.new_markdown_cell(words, id=f"cell-{len(made.cells)}")
        )


def _add_code(made: nbformat.NotebookNode, code: str, hidden: bool = False) -> None:
    metadata = {"jupyter": {"source_hidden": True}} if hidden else {}
    made.cells.append(
        nbformat.v4.new_code_cell(code, id=f"cell-{len(made.cells)}", metadata=metadata)
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2]))
