"""Tables as people have them: troubles of their content, and forms of their files.

A trouble changes the cells of a table; a form writes them to a file. Each says what reading must give: the clean
numbers, or an error that contains a text.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Table:
    """Cells of a table as text; the first column holds the names of the samples."""

    names: list[str]
    features: list[str]
    cells: list[list[str]]
    first: str = "id"
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> list[list[str]]:
        head = [[self.first, *self.features]]
        return head + [[name, *row] for name, row in zip(self.names, self.cells, strict=True)]

    @property
    def turned(self) -> list[list[str]]:
        return [list(column) for column in zip(*self.rows, strict=True)]


def table_of(names: list[str], features: list[str], values: np.ndarray) -> Table:
    return Table(list(names), list(features), [[repr(float(x)) for x in row] for row in values])


def reordered(table: Table, order: Any) -> Table:
    return replace(table, names=[table.names[i] for i in order], cells=[table.cells[i] for i in order])


def renamed(table: Table, change: Callable[[str], str]) -> Table:
    return replace(table, names=[change(name) for name in table.names])


def as_float(name: str) -> str:
    return name if not name or name.strip().endswith(".0") else f"{name.strip()}.0"


def with_cell(table: Table, row: int, column: int, text: str) -> Table:
    cells = [list(line) for line in table.cells]
    cells[row][column] = text
    return replace(table, cells=cells)


def with_column(table: Table, name: str, cells: list[str]) -> Table:
    lines = [[cell, *line] for cell, line in zip(cells, table.cells, strict=True)]
    return replace(table, features=[name, *table.features], cells=lines)


def without_names(table: Table) -> Table:
    """The first feature in the place of the names."""
    return replace(
        table,
        first=table.features[0],
        names=[line[0] for line in table.cells],
        features=table.features[1:],
        cells=[line[1:] for line in table.cells],
    )


# Names of samples are whole numbers such as "12", so that every trouble of names can be made.
TROUBLES: dict[str, tuple[Callable[[Table], Table], str]] = {
    "clean": (lambda t: t, ""),
    "rows shuffled": (lambda t: reordered(t, np.random.default_rng(0).permutation(len(t.names))), ""),
    "rows reversed": (lambda t: reordered(t, range(len(t.names))[::-1]), ""),
    "names as floats": (lambda t: renamed(t, as_float), ""),
    "leading zeros": (lambda t: renamed(t, lambda name: name and f"00{name.strip()}"), ""),
    "spaces around names": (lambda t: renamed(t, lambda name: name and f"  {name} "), ""),
    "blank header of names": (lambda t: replace(t, first=""), ""),
    "another word for names": (lambda t: replace(t, first="Patient ID"), ""),
    "feature names with accents": (lambda t: replace(t, features=[name and f"é {name}" for name in t.features]), ""),
    "feature names with commas": (lambda t: replace(t, features=[name and f"{name}, log" for name in t.features]), ""),
    "feature names that repeat": (
        lambda t: replace(
            t, features=[name and (t.features[i - 1] if i == 2 else name) for i, name in enumerate(t.features)]
        ),
        "",
    ),
    "an empty row at the end": (
        lambda t: replace(t, names=[*t.names, ""], cells=[*t.cells, [""] * len(t.features)]),
        "",
    ),
    "an unnamed column at the end": (
        lambda t: replace(t, features=[*t.features, ""], cells=[[*line, ""] for line in t.cells]),
        "",
    ),
    "one sample more": (
        lambda t: replace(t, names=[*t.names, "9999"], cells=[*t.cells, t.cells[0]]),
        "do not hold the same samples",
    ),
    "one sample less": (lambda t: reordered(t, range(1, len(t.names))), "do not hold the same samples"),
    "other samples": (lambda t: renamed(t, lambda name: f"x{name}"), "No sample is in both"),
    "names as floats and one sample less": (
        lambda t: renamed(reordered(t, range(1, len(t.names))), as_float),
        "are equal except for",
    ),
    "a sample twice": (
        lambda t: replace(t, names=[*t.names, t.names[1]], cells=[*t.cells, t.cells[0]]),
        "names a sample more than once",
    ),
    "a name is empty": (lambda t: renamed(t, lambda name: "" if name == t.names[2] else name), "has no name"),
    "names without a header that says so": (lambda t: replace(t, first="code"), "may name the samples or be a feature"),
    "no names": (without_names, "by name or by position, never by a mixture"),
    "a text column": (
        lambda t: with_column(t, "sex", ["f", "m"] * (len(t.names) // 2) + ["f"] * (len(t.names) % 2)),
        "'sex' holds text",
    ),
    "a mark for missing values": (lambda t: with_cell(t, 1, 1, "?"), "holds text or dates, such as '?'"),
    "ids of visits among the features": (
        lambda t: with_column(t, "visit_id", [str(1000 + i) for i in range(len(t.names))]),
        "'visit_id' seems to name samples",
    ),
    "a row of totals": (
        lambda t: replace(t, names=[*t.names, "Total"], cells=[*t.cells, t.cells[0]]),
        "seems to be a summary",
    ),
    "a row of units": (
        lambda t: replace(t, names=["units", *t.names], cells=[["ng/ml"] * len(t.features), *t.cells]),
        "holds text in all",
    ),
    "invisible characters in names": (lambda t: renamed(t, lambda name: name and f"\u200b{name}"), ""),
    "rows are features": (
        lambda t: Table(t.features, t.names, [list(column) for column in zip(*t.cells, strict=True)], "", t.options),
        "--features-in-rows",
    ),
    "rows are genes": (
        lambda t: Table(
            t.features, t.names, [list(column) for column in zip(*t.cells, strict=True)], "gene", t.options
        ),
        "rows seem to be features",
    ),
    "no rows": (lambda t: replace(t, names=[], cells=[]), "no rows"),
}


def text_of(rows: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(rows)
    return text.getvalue()


def comma(rows: list[list[str]]) -> list[list[str]]:
    return [rows[0], *([row[0], *(cell.replace(".", ",") for cell in row[1:])] for row in rows[1:])]


def _write(name: str, encode: Callable[[Table], bytes], **options: Any) -> Callable[[Table, Path], tuple[Path, dict]]:
    def write(table: Table, folder: Path) -> tuple[Path, dict]:
        (folder / name).write_bytes(encode(table))
        return folder / name, {**table.options, **options}

    return write


def _in_excel(table: Table, folder: Path) -> tuple[Path, dict]:
    import openpyxl

    book = openpyxl.Workbook()
    for row in table.rows:
        book.active.append([_number(cell) for cell in row])
    book.save(folder / "in.xlsx")
    return folder / "in.xlsx", table.options


def _number(cell: str) -> Any:
    try:
        return float(cell) if cell.strip() == cell and not cell.startswith("0") else cell or None
    except ValueError:
        return cell or None


def _cut(table: Table) -> bytes:
    return text_of(table.rows).encode()[: -len(table.cells[-1][-1]) - 2] if table.cells else b""


def _broken_gzip(table: Table) -> bytes:
    content = bytearray(gzip.compress(text_of(table.rows).encode()))
    content[-6] ^= 1  # the checksum
    return bytes(content)


FORMS: dict[str, tuple[Callable[[Table, Path], tuple[Path, dict]], str]] = {
    "csv": (_write("in.csv", lambda t: text_of(t.rows).encode()), ""),
    "tsv": (_write("in.tsv", lambda t: text_of(t.rows, "\t").encode()), ""),
    "csv with semicolons": (_write("in.csv", lambda t: text_of(t.rows, ";").encode()), ""),
    "csv with tabs": (_write("in.csv", lambda t: text_of(t.rows, "\t").encode()), ""),
    "csv with vertical bars": (_write("in.csv", lambda t: text_of(t.rows, "|").encode()), ""),
    "semicolons and decimal commas": (_write("in.csv", lambda t: text_of(comma(t.rows), ";").encode()), ""),
    "commas and quoted decimal commas": (_write("in.csv", lambda t: text_of(comma(t.rows)).encode()), ""),
    "decimal commas by option": (
        _write("in.csv", lambda t: text_of(comma(t.rows), ";").encode(), separator=";", decimal=","),
        "",
    ),
    "csv.gz": (_write("in.csv.gz", lambda t: gzip.compress(text_of(t.rows).encode())), ""),
    "tsv.gz": (_write("in.tsv.gz", lambda t: gzip.compress(text_of(t.rows, "\t").encode())), ""),
    "xlsx": (_in_excel, ""),
    "lines of Windows": (_write("in.csv", lambda t: text_of(t.rows, end="\r\n").encode()), ""),
    "byte order mark": (_write("in.csv", lambda t: text_of(t.rows).encode("utf-8-sig")), ""),
    "UTF-16": (_write("in.csv", lambda t: text_of(t.rows).encode("utf-16")), ""),
    "UTF-32": (_write("in.csv", lambda t: text_of(t.rows).encode("utf-32")), ""),
    "UTF-16 without its mark": (_write("in.csv", lambda t: text_of(t.rows).encode("utf-16-le")), "bytes of 0"),
    "Windows-1252": (_write("in.csv", lambda t: text_of(t.rows).encode("cp1252", "ignore")), ""),
    "blank lines": (_write("in.csv", lambda t: ("\n" + text_of(t.rows, end="\n\n")).encode()), ""),
    "a separator at the end of each line": (
        _write("in.csv", lambda t: text_of([[*row, ""] for row in t.rows]).encode()),
        "",
    ),
    "header without the names' column": (
        _write("in.csv", lambda t: text_of([t.rows[0][1:], *t.rows[1:]]).encode()),
        "",
    ),
    "samples in columns": (_write("in.csv", lambda t: text_of(t.turned).encode(), features_in_rows=True), ""),
    "no header": (_write("in.csv", lambda t: text_of(t.rows[1:]).encode()), "no header row"),
    "last line cut off": (_write("in.csv", _cut), "cut off"),
    "damaged gzip": (_write("in.csv.gz", _broken_gzip), "could not be read"),
    "empty file": (_write("in.csv", lambda t: b""), "is empty"),
}
