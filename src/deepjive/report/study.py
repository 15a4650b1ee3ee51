"""A page for an experiment: tables and figures, each with a sentence on how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from deepjive.report.pieces import Table, gallery, picture, rendered, write_page


class Section(NamedTuple):
    """One part of an experiment.

    Attributes
    ----------
    heading, words : str
        What it is called, and what was done.
    tables : sequence of Table
        What was measured.
    figures : sequence of (heading, Figure, sentence on how to read it)
        What it looks like.
    """

    heading: str
    words: str
    tables: Sequence[Table] = ()
    figures: Sequence[tuple[str, Figure, str]] = ()


def write_study(path: str | Path, *, title: str, lead: str, sections: Sequence[Section], command: str) -> Path:
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
    """
    shown = [
        {
            "heading": section.heading,
            "words": section.words,
            "tables": section.tables,
            "gallery": gallery([picture(*figure) for figure in section.figures]),
        }
        for section in sections
    ]
    return write_page(path, rendered("study.html", title=title, lead=lead, sections=shown, command=command))
