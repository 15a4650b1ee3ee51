"""Sphinx extension: converts the docstrings of this package to the text that Sphinx reads.

Formulas in modules' docstrings are indented blocks without `::`, bars stand for lengths, and sections such as
References are underlined. Single backticks name parameters as well as public names. Public names become links, and a
name of this package that is documented nowhere is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes

MARKER = re.compile(r"\s*(?:[-*]|\d+\.)\s+")
UNDERLINE = re.compile(r"(-{3,}|={3,})\s*")


def of_module(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Make indented blocks literal, underlined titles rubrics, and bars and underscores text."""
    if what != "module":
        return
    made: list[str] = []
    text, literal = 0, None
    for line in _titles_as_rubrics(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent < literal:
            literal = None
        if literal is None and line.strip():
            if indent >= text + 4 and made:
                made += ["", " " * text + "::", ""]
                literal = indent
            else:
                marker = MARKER.match(line)
                text = marker.end() if marker else indent
        made.append(line if literal is not None else _escaped(line))
    lines[:] = made


def _titles_as_rubrics(lines: list[str]) -> Iterator[str]:
    """Replace underlined titles: a page with several modules would have several sections of one name."""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.strip() and UNDERLINE.fullmatch(following):
            yield from (f".. rubric:: {line.strip()}", "")
        elif not UNDERLINE.fullmatch(line):
            yield line


def _escaped(line: str) -> str:
    """Escape bars, and underscores that would make a reference of `z_` in `z_-k`."""
    parts = re.split(r"(``.+?``|`[^`]*`)", line)
    return "".join(
        part
        if part.startswith("`")
        else re.sub(r"(?<=\w)_(?!\w)", r"\_", part.replace("|", r"\|"))
        for part in parts
    )


def foreign(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out methods inherited from other packages, whose docstrings speak of their own documentation."""
    module = getattr(obj, "__module__", None) or "deepjive"
    return None if module.startswith("deepjive") else True


def unresolved(
    app: Any, env: Any, node: Any, contnode: nodes.Element
) -> nodes.Element | None:
    """A name in single backticks that is no object is code; names of this package must be documented ones."""
    if node.get("reftype") == "obj" and not node["reftarget"].startswith("deepjive."):
        return nodes.literal("", contnode.astext(), classes=["parameter"])
    return None


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", of_module, priority=100)  # before numpydoc
    app.connect("autodoc-skip-member", foreign)
    app.connect("missing-reference", unresolved)
    return {"parallel_read_safe": True}
