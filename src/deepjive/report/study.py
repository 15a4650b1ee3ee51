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
        Heading, and description of the section.
    tables : sequence of Table, default=()
        Tables of results.
    figures : sequence of (heading, Figure, sentence on how to read it), default=()
        Figures.
    scatter : str, default=""
        How to read the scatter plot of the scores in the page's data, whose axes the reader chooses. Without a text
        there is no scatter plot.
    viewers : sequence of Viewer, default=()
        Interactive brain maps.
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
        Title of the page, and a summary of one or two sentences.
    sections : sequence of Section
        Sections of the page.
    command : str
        The command that runs the experiment again.
    data : JSON types, optional
        Samples with scores and labels, for a section with a `scatter`.

    Returns
    -------
    Path
        The file.
    """
    contents = [
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
    allowed = [digest for section in sections for viewer in section.viewers for digest in script_hashes(viewer.content)]
    content = {"title": title, "lead": lead, "sections": contents, "command": command}
    return write_page(path, rendered("study.html", scripts=scripts, data=data, allowed=allowed, **content))
