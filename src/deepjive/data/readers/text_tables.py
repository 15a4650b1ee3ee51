"""Tables as text: `.csv` and `.tsv` files, also compressed by gzip, and sheets of `.xlsx` files.

The separator is the one that splits the first lines into equally many cells; the decimal mark is a comma if the numbers
contain commas and no points. What the lines do not decide is an error that names the option that decides it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import warnings
import zipfile
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepjive.data.readers.guard import UnreadableError, check_claim, optional
from deepjive.data.readers.words import is_sample_column, number_of

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
LOOKED_AT = 20
PIECE = 2**20
COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
THOUSANDS_POINT = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")
FEWEST_WITH_POINTS = 3
NAMED_SEPARATOR = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)
LONGEST_NAMING = 20
FORMULA = re.compile(rb"<c\b((?:(?!\bt=\"str\")[^>])*)><f[^>]*?(/>|>[^<]*</f>)(<v\s*/>|<v></v>)?</c>")
UNCLOSED = re.compile(r"EOF inside string starting at row (\d+)")
OPEN_QUOTE = (
    "{path}: a quotation mark in row {row}, below the names of the columns, is not closed. Close or remove it, or "
    "write two of them for one that belongs to a name."
)

RAGGED = (
    "{path}: the first line names {columns} columns, but line {line} holds {cells} cells. Columns were taken to be "
    "separated by {separator}. Delete lines above the names of the columns if there are any, or name the separator "
    "(separator=, --sep)."
)
DOUBTFUL_SEPARATOR = (
    "{path}: columns may be separated by {separators}. Name the separator (separator=, --sep), or write numbers "
    "without commas."
)
SHORT = (
    "{path}: row {row} holds {cells} cells, but {expected} are expected. Perhaps the file was cut off. An unknown "
    "value is an empty cell, with its separator."
)
BOTH_MARKS = (
    "{path}: column {comma!r} holds numbers with commas, such as {example!r}, and column {point!r} holds numbers with "
    "points. Say which one is the decimal mark (decimal=, --decimal), or write all numbers in the same way."
)
THOUSANDS_OR_DECIMALS = (
    "{path}: column {column!r} holds numbers such as {example!r}, whose commas may separate decimals or thousands. For "
    "decimals say so (decimal=',', --decimal ,). For thousands write the numbers without commas."
)
THOUSANDS_WITH_POINTS = (
    "{path}: column {column!r} holds whole numbers such as {whole!r} beside numbers such as {example!r}, whose points "
    "may separate decimals or thousands. For decimals say so (decimal='.', --decimal .). For thousands write the "
    "numbers without points."
)
NOT_A_SEPARATOR = (
    "{path}: the separator {given!r} (separator=, --sep) is not a single character. Give one, such as ',' or ';'."
)
NOT_A_MARK = "{path}: the decimal mark {given!r} (decimal=, --decimal) is neither '.' nor ','. Give one of the two."
NOT_TEXT = (
    "{path} holds bytes of 0, as text in UTF-16 or a damaged file does. Save the file as UTF-8, or copy it once more."
)
NO_VALUES = (
    "{path} holds formulas without their values, as programs write them, so that their cells would be missing. Open "
    "the file in a spreadsheet and save it, or write values instead of formulas."
)
OTHER_ENCODING = (
    "{path} is not written in UTF-8 and was read as Windows-1252. If names with accents look wrong, save the file as "
    "UTF-8."
)
SEVERAL_SHEETS = "{path} has several sheets {sheets}; say which one with '{path}:SHEET'."
NO_SHEET = "{path} has no sheet {sheet!r}; its sheets are {sheets}."


@dataclass(frozen=True)
class TextTable:
    """A table as text that was not parsed yet.

    Attributes
    ----------
    path : Path
        The file, for errors.
    content : Path, bytes or str
        Where the text is.
    encoding : str
        Encoding of the text, unless the content is a str.
    usual : str
        The separator that the file's suffix promises.
    named : str or None, default=None
        The separator that a first line such as ``sep=;``, which spreadsheets write and hide, names. This line is no
        part of the text.
    """

    path: Path
    content: Path | bytes | str
    encoding: str
    usual: str
    named: str | None = None

    def opened(self) -> Any:
        """Open the text."""
        if isinstance(self.content, str):
            return io.StringIO(self.content, newline="")
        raw: Any = self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)
        file = io.TextIOWrapper(raw, encoding=self.encoding, newline="")
        if self.named is not None:
            file.readline()
        return file

    def records(self, separator: str) -> list[list[str]]:
        """Cells of the first lines that are not blank."""
        with self.opened() as file:
            rows = csv.reader(file, delimiter=separator)
            return list(islice((row for row in rows if len(row) > 1 or "".join(row).strip()), LOOKED_AT))


@dataclass(frozen=True)
class Cells:
    """A parsed table.

    Attributes
    ----------
    header : list of str
        Names of the columns, as many as `body` has.
    body : pandas.DataFrame
        The rows. The first column is text without spaces around it; pandas chose the types of the others.
    separator : str
        The separator of the columns.
    """

    header: list[str]
    body: pd.DataFrame
    separator: str


def text_of_file(path: Path) -> TextTable:
    """Find the encoding of a `.csv` or `.tsv` file, which is decompressed first if it ends in `.gz`."""
    is_compressed = path.name.lower().endswith(".gz")
    usual = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
    content: Path | bytes = _decompressed(path) if is_compressed else path
    table = TextTable(path, content, _encoding(path, content), usual)
    with table.opened() as file:
        named = NAMED_SEPARATOR.fullmatch(file.readline(LONGEST_NAMING))
    return replace(table, named=named[1]) if named else table


def text_of_sheet(path: Path, sheet: str | None) -> TextTable:
    """Read a sheet of an `.xlsx` file as text separated by tabs."""
    openpyxl = optional("openpyxl", f"Reading {path.name}")
    with zipfile.ZipFile(path) as archive:
        check_claim(path, sum(info.file_size for info in archive.infolist()), path.stat().st_size, "text")
        sheets = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/")]
    may_lack_values = any(b"<f" in content and FORMULA.search(content) for content in sheets)
    with warnings.catch_warnings(), path.open("rb") as file:  # openpyxl leaves files open that it opens
        warnings.simplefilter("ignore")  # of styles and validations that are not read
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        rows = list(_sheet(path, book, sheet))
        if may_lack_values:
            _check_values(path, openpyxl.load_workbook(file, read_only=True), sheet, rows)
        writer.writerows([_cell_text(cell) for cell in row] for row in rows)
    return TextTable(path, text.getvalue(), "", "\t")


def parse(table: TextTable, separator: str | None, decimal: str | None, *, text: bool = False) -> Cells:
    """Split a table into a header and rows of cells.

    Parameters
    ----------
    table : TextTable
        The table.
    separator, decimal : str or None
        Separator of columns and decimal mark; None finds them from the first lines and from the numbers. If commas are
        both, numbers in quotes may have decimal commas, and the other numbers have points.
    text : bool, default=False
        Whether all cells stay text; empty cells are then empty text.

    Returns
    -------
    Cells

    Raises
    ------
    UnreadableError
        If lines hold different numbers of cells, or if the separator or decimal mark are doubtful.
    """
    separator = _separator(table, separator)
    records = table.records(separator)
    if not records:
        raise UnreadableError(f"{table.path} is empty. A table needs a first line that names its columns.")
    header, rows = [cell.strip() for cell in records[0]], records[1:]
    has_unnamed_first = bool(rows) and all(len(row) == len(header) + 1 for row in rows)
    trailing = has_unnamed_first and bool(header[-1]) and not any(row[-1].strip() for row in rows)
    if has_unnamed_first and not trailing:
        header = ["", *header]
    for line, row in enumerate(rows, start=2):
        if len(row) > len(header) + trailing:
            words = SEPARATORS.get(separator, repr(separator))
            raise UnreadableError(
                RAGGED.format(path=table.path, columns=len(records[0]), line=line, cells=len(row), separator=words)
            )
    is_known = decimal is not None
    decimal = None if decimal == separator else decimal
    body = _body(table, separator, decimal or ".", len(header), trailing, text)
    if not text and decimal is None:
        body = _with_decimal_commas(table, separator, header, body, trailing, is_known)
        _check_thousands(table, separator, header, body, trailing)
    _check_widths(table, separator, body, len(header))
    return _without_empty(Cells(header, body, separator))


def check_marks(path: Path, separator: str | None, decimal: str | None) -> None:
    """Raise an error if a given separator is no single character, or a given decimal mark no point or comma."""
    if separator is not None and len(separator) != 1:
        raise UnreadableError(NOT_A_SEPARATOR.format(path=path, given=separator))
    if decimal not in (None, ".", ","):
        raise UnreadableError(NOT_A_MARK.format(path=path, given=decimal))


def _decompressed(path: Path) -> bytes:
    """Content of a gzip file, whose checksum is compared."""
    pieces, size = [], 0
    with gzip.open(path) as file:
        while piece := file.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            check_claim(path, size, path.stat().st_size, "text")
    return b"".join(pieces)


def _encoding(path: Path, content: Path | bytes) -> str:
    raw: Any = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
    with raw:
        start = raw.read(4)
        if start in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
            return "utf-32"
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        raw.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while piece := raw.read(PIECE):
                if b"\0" in piece:
                    raise UnreadableError(NOT_TEXT.format(path=path))
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            warnings.warn(OTHER_ENCODING.format(path=path), UserWarning, stacklevel=2)
            return "cp1252"
    return "utf-8-sig"


def _sheet(path: Path, book: Any, sheet: str | None) -> Any:
    """Rows of values of a sheet; an only sheet with content need not be named."""
    sheets = {worksheet.title: worksheet for worksheet in book.worksheets}
    if sheet is not None and sheet not in sheets:
        raise UnreadableError(NO_SHEET.format(path=path, sheet=sheet, sheets=list(sheets)))
    if sheet is None:
        filled = [title for title, worksheet in sheets.items() if any(map(_is_filled, worksheet.iter_rows()))]
        if len(filled) > 1:
            raise UnreadableError(SEVERAL_SHEETS.format(path=path, sheets=filled))
        sheet = filled[0] if filled else next(iter(sheets))
    return sheets[sheet].iter_rows(values_only=True)


def _check_values(path: Path, book: Any, sheet: str | None, rows: list[Any]) -> None:
    """Raise an error if a formula has no value."""
    try:
        formulas = list(_sheet(path, book, sheet))
    finally:
        book.close()
    pairs = (
        (cell, value)
        for row, values in zip(formulas, rows, strict=True)
        for cell, value in zip(row, values, strict=True)
    )
    if any(isinstance(cell, str) and cell.startswith("=") and value is None for cell, value in pairs):
        raise UnreadableError(NO_VALUES.format(path=path))


def _is_filled(row: Any) -> bool:
    return any(cell.value is not None for cell in row)


def _cell_text(value: Any) -> str:
    """A cell as text; whole numbers, such as names, have no decimals."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _separator(table: TextTable, given: str | None) -> str:
    """The given separator, or the one that splits the first lines into most cells, equally many in each line.

    Of two that give equally many cells, the one is taken that leaves more numbers.
    """
    if given is not None:
        return given
    if isinstance(table.content, str):
        return table.usual
    if table.named is not None:
        return table.named
    widths: dict[str, tuple[int, int]] = {}
    for separator in (table.usual, *(other for other in SEPARATORS if other != table.usual)):
        try:
            records = table.records(separator)
        except csv.Error:
            continue
        first, *others = [len(record) for record in records] or [0]
        if len(set(others)) <= 1 and all(other in (first, first + 1) for other in others):
            width = first if others == [] or first > 1 else max(first, others[0] - 1)
            widths[separator] = width, sum(_is_number(cell) for record in records[1:] for cell in record[1:])
    best = max(widths.values(), default=(0, 0))
    candidates = [separator for separator, score in widths.items() if score == best]
    if best[0] > 1 and len(candidates) > 1:
        words = " or ".join(SEPARATORS[separator] for separator in candidates)
        raise UnreadableError(DOUBTFUL_SEPARATOR.format(path=table.path, separators=words))
    return candidates[0] if best[0] > 1 else table.usual


def _is_number(cell: str) -> bool:
    return COMMA.fullmatch(cell.strip()) is not None or number_of(cell) is not None


def _body(table: TextTable, separator: str, decimal: str, width: int, trailing: bool, text: bool) -> pd.DataFrame:
    import pandas as pd

    as_text: dict[str, Any] = {"dtype": str, "keep_default_na": False} if text else {"converters": {0: _marked}}
    with table.opened() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore" if trailing else "error", pd.errors.ParserWarning)
        try:
            body = pd.read_csv(
                file,
                sep=separator,
                decimal=decimal,
                header=0,
                names=list(range(width)),
                index_col=False,
                low_memory=False,
                **as_text,
            )
        except pd.errors.ParserError as error:
            if (place := UNCLOSED.search(str(error))) is None:
                raise
            raise UnreadableError(OPEN_QUOTE.format(path=table.path, row=place[1])) from error
    if text:
        return body.apply(lambda column: column.str.strip()) if len(body) else body
    names = pd.Series([str(cell)[1:] for cell in body[0]], dtype=object)
    return pd.concat([names, body.iloc[:, 1:]], axis=1).set_axis(body.columns, axis=1)


def _marked(cell: str) -> str:
    """A cell of the first column that pandas does not take for a missing value, as it would the name "NA"."""
    return f"'{cell.strip()}"


def _with_decimal_commas(
    table: TextTable, separator: str, header: list[str], body: pd.DataFrame, trailing: bool, is_known: bool
) -> pd.DataFrame:
    """The rows, parsed again if their numbers have decimal commas; `is_known` if commas separate no thousands."""
    columns = [i for i in range(len(header)) if i > 0 or not (header[0] == "" or is_sample_column(header[0]))]
    with_comma = {i: cells for i in columns if (cells := _comma_numbers(body[i]))}
    if not with_comma:
        return body
    column, cells = next(iter(with_comma.items()))
    as_text = _body(table, separator, ".", len(header), trailing, text=True)
    with_point = [i for i in columns if _has_points(as_text[i])]
    if with_point:
        raise UnreadableError(
            BOTH_MARKS.format(path=table.path, comma=header[column], example=cells[0], point=header[with_point[0]])
        )
    if not is_known and all(THOUSANDS.fullmatch(cell) for cells in with_comma.values() for cell in cells):
        raise UnreadableError(THOUSANDS_OR_DECIMALS.format(path=table.path, column=header[column], example=cells[0]))
    return _body(table, separator, ",", len(header), trailing, text=False)


def _comma_numbers(column: pd.Series) -> list[str]:
    """Cells that are numbers with a comma, if every cell of the column is a number or empty."""
    if column.dtype.kind in "fiub":
        return []
    cells = [cell.strip() for cell in column.dropna().astype(str)]
    with_comma = [cell for cell in cells if COMMA.fullmatch(cell)]
    others = (cell for cell in cells if not COMMA.fullmatch(cell))
    return with_comma if with_comma and all(number_of(cell) is not None for cell in others) else []


def _has_points(column: pd.Series) -> bool:
    """Whether a column of text holds numbers with a decimal point."""
    return any("." in cell and number_of(cell) is not None for cell in column)


def _check_thousands(table: TextTable, separator: str, header: list[str], body: pd.DataFrame, trailing: bool) -> None:
    """Raise an error if a column has whole numbers beside numbers whose points all stand before three digits."""
    doubtful = []
    for i in range(1, len(header)):
        if body[i].dtype.kind == "f":
            values = body[i].to_numpy()
            values = np.abs(values[np.isfinite(values) & (values != 0)])
            with_point = values[values % 1 != 0]
            is_short = bool(((values >= 1) & (values < 1000)).all()) and FEWEST_WITH_POINTS <= len(with_point) < len(
                values
            )
            if is_short and np.allclose(with_point * 1000, np.round(with_point * 1000), rtol=0, atol=1e-6):
                doubtful.append(i)
    if not doubtful or isinstance(table.content, str):
        return
    as_text = _body(table, separator, ".", len(header), trailing, text=True)
    for i in doubtful:
        cells = [cell for cell in as_text[i] if cell]
        pointed = [cell for cell in cells if "." in cell]
        whole = [cell for cell in cells if "." not in cell and number_of(cell)]
        if whole and pointed and all(THOUSANDS_POINT.fullmatch(cell) for cell in pointed):
            raise UnreadableError(
                THOUSANDS_WITH_POINTS.format(path=table.path, column=header[i], whole=whole[0], example=pointed[0])
            )


def _check_widths(table: TextTable, separator: str, body: pd.DataFrame, width: int) -> None:
    """Raise an error for a row with too few cells, which pandas reads as missing values."""
    last = body.iloc[:, -1] if width else None
    if last is None or width < 2 or not len(last) or not (last.isna() | (last.astype(str) == "")).any():
        return
    with table.opened() as file:
        rows = (row for row in csv.reader(file, delimiter=separator) if len(row) > 1 or "".join(row).strip())
        for number, row in enumerate(islice(rows, 1, None), start=1):
            if len(row) < width:
                raise UnreadableError(SHORT.format(path=table.path, row=number, cells=len(row), expected=width))


def _without_empty(cells: Cells) -> Cells:
    """The table without rows and unnamed columns that are completely empty, which spreadsheets leave behind."""
    body = cells.body
    empty = body.isna() | (body == "")
    columns = [i for i, name in enumerate(cells.header) if name or i == 0 or not len(body) or not empty[i].all()]
    body = body.loc[~empty.all(axis=1), columns] if len(body) else body[columns]
    return Cells([cells.header[i] for i in columns], body.reset_index(drop=True), cells.separator)
