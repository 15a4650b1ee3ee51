"""Tables of results in notebooks. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def html_table(caption: str, header: Sequence[Any], rows: Iterable[Sequence[Any]], note: str = "") -> str:
    """Return a table as HTML for a notebook.

    Parameters
    ----------
    caption : str
        Text above the table.
    header : sequence
        Names of the columns.
    rows : iterable of sequence
        The rows.
    note : str, default=""
        Text below the table.

    Returns
    -------
    str

    Examples
    --------
    >>> html_table("a < b", ["x"], [[1]])
    '<div><p>a &lt; b</p><table><thead><tr><th>x</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table></div>'
    """
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    below = f"<p>{escape(note)}</p>" if note else ""
    return (
        f"<div><p>{escape(caption)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"
    )
