"""Words in tables: names of columns and rows, numbers and missing values, and forms in which names are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

PEOPLE = ("subject", "subj", "sub", "participant", "patient", "person", "donor", "individual")
MATERIAL = ("sample", "specimen", "biosample", "aliquot", "cell", "scan", "image", "record", "case", "study")
NUMBERED = ("id", "identifier", "no", "nr", "num", "number", "code", "key")
SAMPLE_COLUMNS = {
    *PEOPLE,
    *("id", "sample", "samplename", "names", "specimen", "barcode", "cellbarcode", "samplebarcode", "name", "rowname"),
    *(f"{word}{end}" for word in (*PEOPLE, *MATERIAL) for end in NUMBERED),
    *("rid", "ptid", "iid", "eid", "pid", "sid", "uid", "guid", "mrn", "srcsubjectid", "subjectkey", "imageuid"),
    "indexlevel0",  # pandas' name of an index without a name in a parquet file
}
THINGS = ("gene", "feature", "probe", "probeset", "protein", "metabolite", "transcript", "mirna", "cpg", "peptide")
FEATURE_COLUMNS = {
    *THINGS,
    *(f"{word}{end}" for word in THINGS for end in ("s", "id", "ids", "name", "names", "symbol")),
    *("symbol", "hugosymbol", "ensembl", "ensemblid", "entrez", "entrezid", "entrezgeneid", "variable", "analyte"),
}
FREESURFER = re.compile(r"Measure:\w+|[lr]h\.[\w.]+\.(thickness|area|volume|meancurv)")  # of its tables of regions
SUMMARIES = {"total", "totals", "grandtotal", "sum", "mean", "average", "median", "stdev"}
SUMMARIES |= {
    "summe",
    "gesamt",
    "mittelwert",
    "moyenne",
    "somme",
    "promedio",
}  # initials of people, such as SD, are not
ID_COLUMN = re.compile(r"(.*[\s_.-])?ids?|.*[a-z]I[Dd]s?", re.DOTALL)
NUMBER = re.compile(r"([-+]?)0*(\d+)(?:[.,]0*)?")
REMARK = re.compile(r"[,;(\[{]")
MISSING = {"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a"}


def text_of(value: object) -> str:
    """A name as text; HDF5 and older arrays hold names as bytes."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def as_texts(values: Any) -> NDArray[np.str_]:
    """Names of any type as an array of text of the same shape."""
    array = np.asarray(values)
    if array.dtype.kind not in "SO":
        return array.astype(str)
    return np.array([text_of(value) for value in array.ravel()], dtype=str).reshape(array.shape)


def is_sample_column(name: object) -> bool:
    """Whether a column of this name holds the names of samples, such as "id", "Patient No." or "Sample.ID"."""
    is_known = _letters(name) in SAMPLE_COLUMNS or FREESURFER.fullmatch(str(name).strip()) is not None
    return is_known or str(name).startswith("Unnamed: ")  # as pandas names an index


def is_id_column(name: object) -> bool:
    """Whether a column of this name holds identifiers of anything, such as "visit_id" or "SiteID"."""
    text = _head(name)
    return ID_COLUMN.fullmatch(text) is not None or re.fullmatch(r"(.*[\s_.-])?IDS?", text, re.DOTALL) is not None


def is_summary(name: object) -> bool:
    """Whether a row of this name summarizes others, such as "Total" or "mean"."""
    return _letters(name).rstrip(":") in SUMMARIES


def is_feature_column(name: object) -> bool:
    """Whether a first column of this name holds the names of features, such as "gene" or "probe_id"."""
    return _letters(name) in FEATURE_COLUMNS


def _letters(name: object) -> str:
    return re.sub(r"[\W_]", "", _head(name)).lower()


def _head(name: object) -> str:
    """A name without invisible characters and without a remark, as in "visit_id, coded" and "Subject ID (site 2)"."""
    text = _visible(str(name))
    return REMARK.split(text, maxsplit=1)[0].strip() or text


def number_of(cell: str) -> float | None:
    """A cell as a number; NaN if it is empty or says that a value is missing, and None if it is text."""
    text = cell.strip().lower()
    if text in MISSING:
        return float("nan")
    try:
        return None if "_" in text else float(text)  # Python reads 1_2 as 12
    except ValueError:
        return None


def _stripped(name: str) -> str:
    return name.strip()


def _visible(name: str) -> str:
    """A name in composed letters, without characters that are not seen, such as byte order marks."""
    composed = unicodedata.normalize("NFC", name)
    return "".join(character for character in composed if unicodedata.category(character) != "Cf").strip()


def plain(name: str) -> str:
    """A name as `_visible`; a whole number without leading zeros and decimals."""
    name = _visible(name)
    number = NUMBER.fullmatch(name)
    return name if number is None else number[1].replace("+", "") + number[2]


FORMS: dict[str, Callable[[str], str]] = {
    "": lambda name: name,
    "spaces around names": _stripped,
    "invisible characters": _visible,
    "the way numbers are written": plain,
}
