"""Elements of pages: tables, figures, and the templates that contain them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from deepjive._version import __version__
from deepjive.persistence import write_atomically
from deepjive.report.style import DARK, LIGHT, css_variables, to_svg


class Table(NamedTuple):
    """A table of evidence: caption, column names, rows, and a sentence on how to read it."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    sentence: str = ""


class Picture(NamedTuple):
    """A figure on the page: its heading, its SVG (or none), and how to read it."""

    heading: str
    svg: Markup | None
    reading: str


class Gallery(NamedTuple):
    """Figures side by side, and how to read them if one text holds for all figures."""

    reading: str
    pictures: list[Picture]


def picture(heading: str, figure: Figure, reading: str) -> Picture:
    """A figure drawn as SVG, for the page."""
    return Picture(heading, Markup(to_svg(figure, str(escape(heading or reading)))), reading)


def gallery(pictures: list[Picture]) -> Gallery:
    """Figures side by side; a text that all figures share is shown once."""
    readings = {picture.reading for picture in pictures}
    if len(readings) != 1:
        return Gallery("", pictures)
    return Gallery(readings.pop(), [picture._replace(reading="") for picture in pictures])


def rendered(
    template: str, *, scripts: Sequence[str] = (), data: Any = None, allowed: Sequence[str] = (), **content: Any
) -> str:
    """A page from a template of this folder and its content; content is escaped unless it is `Markup`.

    Parameters
    ----------
    template : str
        File of the template.
    scripts : sequence of str
        Scripts in this folder that run in the page after `page.js`. The page's security policy allows only scripts with
        known hashes.
    data : JSON's types, optional
        Data that these scripts read.
    allowed : sequence of str
        Hashes of the scripts in the page's frames, to which the page's policy also applies.
    **content
        Values of the variables of the template.
    """
    here = Path(__file__).parent
    script = "\n".join((here / name).read_text(encoding="utf-8") for name in ("page.js", *scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    folder = FileSystemLoader(here)
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(
        version=__version__,
        date=date.today().isoformat(),
        light=Markup(css_variables(LIGHT)),
        dark=Markup(css_variables(DARK)),
        script=Markup(script),
        hashes=[f"sha256-{digest}", *dict.fromkeys(allowed)],
        data=None if data is None else Markup(json_text(data)),
        **content,
    )


def json_text(data: Any) -> str:
    """JSON that can be embedded in a page: it contains no text that would end its HTML element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def write_page(path: str | Path, content: str) -> Path:
    """Write a complete page or none, and make its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode())
    return path
