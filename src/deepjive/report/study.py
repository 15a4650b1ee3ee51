"""A page for an experiment: tables and figures, each with a sentence on how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from deepjive.report.pieces import Table, gallery, picture, rendered, write_page
from deepjive.report.viewer import Viewer, script_hashes


class Section(NamedTuple):
    """One part of an experiment.

    Attributes
    ----------
    heading, words : str
        Heading of the part, and a description of its method.
    tables : sequence of Table
        Tables of results.
    figures : sequence of (heading, Figure, sentence on how to read it)
        Figures, each with a heading and a text.
    scatter : str
        How to read the scores of the page's data, drawn by axes that the reader chooses; empty for none.
    viewers : sequence of Viewer
        Brain maps to look through.
    """

    heading: str
    words: str
    tables: Sequence[Table] = ()
    figures: Sequence[tuple[str, Figure, str]] = ()
    scatter: str = ""
    viewers: Sequence[Viewer] = ()


def write_study(
    path: str | Path, *, title: str, lead: str, sections: Sequence[Section], command: str, data: Any = None
) -> Path:
    """Write an experiment as one self-contained HTML file.

    Parameters
    ----------
    path : path
        The file.
    title, lead : str
        The heading, and the experiment in a sentence or two.
    sections : sequence of Section
        Its parts.
    command : str
        The command that runs it again.
    data : JSON's types, optional
        Samples, their scores and labels, for a section that has a `scatter`.
    """
    shown = [
        {
            "heading": section.heading,
            "words": section.words,
            "tables": section.tables,
            "scatter": section.scatter,
            "viewers": section.viewers,
            "gallery": gallery([picture(*figure) for figure in section.figures]),
        }
        for section in sections
    ]
    scripts = () if data is None else ("scores.js",)
    allowed = [digest for section in sections for shown in section.viewers for digest in script_hashes(shown.content)]
    content = {"title": title, "lead": lead, "sections": shown, "command": command}
    return write_page(path, rendered("study.html", scripts=scripts, data=data, allowed=allowed, **content))
