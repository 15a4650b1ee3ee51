"""Parts of pages: tables, pictures, and the rendering of templates."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
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

WIDE = 10.0  # inches of a figure
WHOLE = re.compile(r"(\([-+\d.,%]+\)|[-+\d.]+ ± [\d.]+|[^\s,]+ \d+%)")


class Table(NamedTuple):
    """A table on a page.

    Attributes
    ----------
    caption : str
        Caption of the table.
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence
        The rows.
    sentence : str, default=""
        How to read the table.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    sentence: str = ""


class Picture(NamedTuple):
    """A figure on a page.

    Attributes
    ----------
    heading : str
        Heading of the figure.
    svg : Markup or None
        The figure as SVG.
    reading : str
        How to read the figure.
    is_wide : bool, default=False
        Whether a phone shows a part of the figure at a readable size, which can be scrolled, and not the whole.
    """

    heading: str
    svg: Markup | None
    reading: str
    is_wide: bool = False


class Gallery(NamedTuple):
    """Pictures side by side.

    Attributes
    ----------
    reading : str
        How to read the pictures, if the same sentence holds for all of them; otherwise empty.
    pictures : list of Picture
        The pictures.
    """

    reading: str
    pictures: list[Picture]


def picture(heading: str, figure: Figure, reading: str) -> Picture:
    """Return a figure as SVG for a page."""
    is_wide = figure.get_figwidth() >= WIDE
    return Picture(heading, Markup(to_svg(figure, str(escape(heading or reading)))), reading, is_wide)


def gallery(pictures: list[Picture]) -> Gallery:
    """Return pictures side by side; a sentence that holds for all of them appears once."""
    readings = {picture.reading for picture in pictures}
    if len(readings) != 1:
        return Gallery("", pictures)
    return Gallery(readings.pop(), [picture._replace(reading="") for picture in pictures])


def rendered(
    template: str, *, scripts: Sequence[str] = (), data: Any = None, allowed: Sequence[str] = (), **content: Any
) -> str:
    """Render a template of this folder as a page. All content is escaped unless it is `Markup`.

    Parameters
    ----------
    template : str
        File name of the template.
    scripts : sequence of str, default=()
        Files of this folder that run in the page after `page.js`. The policy of the page allows only scripts whose
        hash it lists.
    data : JSON types, optional
        Data for the scripts.
    allowed : sequence of str, default=()
        Hashes of the scripts in the frames of the page, to which the policy also applies.
    **content
        Variables of the template.

    Returns
    -------
    str
    """
    report_folder = Path(__file__).parent
    script = "\n".join((report_folder / name).read_text(encoding="utf-8") for name in ("page.js", *scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            version=__version__,
            date=date.today().isoformat(),
            light=Markup(css_variables(LIGHT)),
            dark=Markup(css_variables(DARK)),
            script=Markup(script),
            hashes=[f"sha256-{digest}", *dict.fromkeys(allowed)],
            data=None if data is None else Markup(json_text(data)),
            **content,
        )
    )


@functools.cache
def _environment() -> Environment:
    """The environment of all templates, made once because compiling them takes a fifth of a second."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": code, "whole": whole_values}
    return environment


def code(text: str) -> Markup:
    """Return text in which what stands between backticks is code of the page.

    Examples
    --------
    >>> code("The command `deepjive fit` & more")
    Markup('The command <code>deepjive fit</code> &amp; more')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def whole_values(cell: object) -> Markup:
    """Return the text of a cell in which intervals in brackets, deviations and shares are not broken.

    Examples
    --------
    >>> whole_values("0.66 (0.54-0.76)")
    Markup('0.66 <span class="whole">(0.54-0.76)</span>')
    >>> whole_values("0.40 ± 0.59"), whole_values("B 39%, ...")
    (Markup('<span class="whole">0.40 ± 0.59</span>'), Markup('<span class="whole">B 39%</span>, ...'))
    """
    return Markup(WHOLE.sub(r'<span class="whole">\1</span>', str(escape(cell))))


def json_text(data: Any) -> str:
    """Return JSON that is safe inside a page: "<" is escaped, so no text can end the script element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def write_page(path: str | Path, content: str) -> Path:
    """Write a page, and create its folder. The file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode())
    return path
