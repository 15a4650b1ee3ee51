"""Sphinx extension: docstrings as they are written here, made into what Sphinx reads.

Formulas in modules' docstrings are indented blocks without `::`, and bars stand for lengths. Single backticks name
parameters as well as public names: the latter become links, and a name of this package that is nowhere documented is
a warning.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes

MARKER = re.compile(r"\s*(?:[-*]|\d+\.)\s+")


def of_module(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Make indented blocks literal, and bars text."""
    if what != "module":
        return
    made: list[str] = []
    text, literal = 0, None
    for line in lines:
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
        made.append(line if literal is not None else _bars_escaped(line))
    lines[:] = made


def _bars_escaped(line: str) -> str:
    parts = re.split(r"(``.+?``|`[^`]*`)", line)
    return "".join(
        part if part.startswith("`") else part.replace("|", r"\|") for part in parts
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
