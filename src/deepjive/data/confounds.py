"""Confounds of samples: what is known of each sample, such as age, sex and scanner, and shall not be found again.

A confound of numbers is continuous, and a confound of text or truth values has categories. One categorical confound may
be the site, whose effect is a shift and a scale of every feature; see `deepjive.adjust.regression`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.pairing import check_names_differ, in_order_of_samples, names_of
from deepjive.data.readers.labels import as_labels
from deepjive.data.readers.tables import from_polars, is_default, with_named_rows
from deepjive.data.readers.words import FORMS, is_sample_column

SITES = ("site", "scanner", "batch", "center", "centre")

NOT_CONFOUNDS = (
    "`confounds` must be a data frame, or a dict of names to one value for each sample, but is {kind}. Write "
    "confounds=table[['age', 'sex', 'site']]."
)
WRONG_LENGTH = (
    "There are {n} samples, but the confound {name!r} has {given} values. Give one value for each sample, in order, or "
    "a frame whose index names the samples."
)
NO_NAMES = (
    "The index of `confounds` names its rows ({example!r} first), but the {n} samples have no names. Name the samples "
    "(samples=, --samples), or give the confounds in the order of the samples, without an index."
)
UNNAMED_ROWS = (
    "The data name their samples ({example!r} first), but the rows of `confounds` have no names. Set the index of the "
    "frame to the names of the samples, or, if its rows are in the order of the samples, pass "
    "frame.to_dict('list')."
)
NOT_FOUND = (
    "`confounds` has no row for {count} of {n} samples ({example!r} first; its first row is {first!r}). Add their "
    "rows, or leave out these samples."
)
ROW_TWICE = "`confounds` names sample {sample!r} more than once. Keep one row of each sample."
MISSING_VALUE = (
    "The confound {name!r} is missing in {count} of {n} samples, the first in row {row}, counted from 1. Fill in these "
    "values, or leave out these samples."
)
NO_CONFOUND = "There is no confound {name!r}; the confounds are {names}."
TWO_SITES = (
    "The confounds {names} may all be the site. Name the site with site= (--site), e.g. {first!r}; the others are then "
    "categories."
)


@dataclass(frozen=True)
class Confounds:
    """Confounds of samples.

    Attributes
    ----------
    columns : dict of str to array, shape (n_samples,)
        Floats for a continuous confound, text for categories.
    site : str or None
        The confound that is the site.
    """

    columns: dict[str, NDArray]
    site: str | None = None

    def __getitem__(self, rows: Any) -> Confounds:
        return Confounds({name: values[rows] for name, values in self.columns.items()}, self.site)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __str__(self) -> str:
        words = []
        for name, values in self.columns.items():
            kind = "sites" if name == self.site else "categories"
            words.append(f"{name} ({len(np.unique(values))} {kind})" if values.dtype.kind == "U" else name)
        return ", ".join(words)


def confounds_of(source: Any, samples: NDArray[np.str_] | None, n: int, site: str | None = "auto") -> Confounds | None:
    """Read confounds, in the order of the samples.

    Parameters
    ----------
    source : data frame, mapping of str to array, Confounds or None
        One value of each confound for each sample. Rows of a frame are matched by its index, or by a column that names
        all samples; rows without names are taken in order if the samples have no names either. Values in a mapping are
        in the order of the samples, but those of a Series with an index of names are matched by name.
    samples : array of str, shape (n_samples,), or None
        Names of the samples.
    n : int
        Number of samples.
    site : str or None, default="auto"
        The confound that is the site; None if none is. "auto" takes the confound that is called site, scanner, batch,
        center or centre.

    Returns
    -------
    Confounds or None
        None if there are none.

    Raises
    ------
    TypeError, ValueError
        If the source is no table, a value is missing, or samples have no row.
    """
    if source is None:
        return None
    if isinstance(source, Confounds):
        columns, site = source.columns, source.site if site == "auto" else site
        return Confounds({name: _checked(name, values, n) for name, values in columns.items()}, _site(columns, site))
    import pandas as pd

    if type(source).__module__.startswith("polars"):
        source = from_polars(source)
    if isinstance(source, pd.DataFrame):
        frame = _in_order(
            source if _is_category(source) else with_named_rows(source, "The frame of confounds"), samples, n
        )
        check_names_differ("confounds", frame.columns)
        series = {str(name): frame.iloc[:, i] for i, name in enumerate(frame.columns)}
    elif isinstance(source, Mapping):
        check_names_differ("confounds", source)
        in_order = {
            str(name): in_order_of_samples(values, samples, f"confound {name}") for name, values in source.items()
        }
        series = {name: pd.Series(np.asarray(values)).infer_objects() for name, values in in_order.items()}
    else:
        raise TypeError(NOT_CONFOUNDS.format(kind=f"a {type(source).__name__}"))
    if not series:
        return None
    site_name = _site(series, site)
    columns = {}
    for name, values in series.items():
        _check_length(name, len(values), n)
        columns[name] = _checked(name, _values(values, name == site_name), n)
    return Confounds(columns, site_name)


def _is_category(frame: Any) -> bool:
    """Whether the first column repeats texts and has no name of a column of samples, so that it is a confound."""
    first = frame.iloc[:, 0] if frame.shape[1] else None
    return first is not None and not is_sample_column(frame.columns[0]) and bool(first.duplicated().any())


def _in_order(frame: Any, samples: NDArray[np.str_] | None, n: int) -> Any:
    """The rows of the samples; a frame without names of rows is returned unchanged if the samples have none either."""
    frame = frame if samples is None else _named_by_column(frame, samples)
    if is_default(frame.index):
        if samples is not None and samples.tolist() != [str(i) for i in range(n)]:
            raise ValueError(UNNAMED_ROWS.format(example=str(samples[0]) if n else ""))
        return frame
    names = names_of(frame.index, "confounds")
    if samples is None:
        raise ValueError(NO_NAMES.format(example=str(names[0]) if len(names) else "", n=n))
    unique, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise ValueError(ROW_TWICE.format(sample=str(unique[counts > 1][0])))
    for form in FORMS.values():
        rows = {form(name): row for row, name in enumerate(names.tolist())}
        wanted = [form(name) for name in samples.tolist()]
        if len(rows) == len(names) and all(name in rows for name in wanted):
            return frame.iloc[[rows[name] for name in wanted]]
    known = set(names.tolist())
    lacking = [name for name in samples.tolist() if name not in known]
    first = str(names[0]) if len(names) else ""
    raise ValueError(NOT_FOUND.format(count=len(lacking), n=n, example=lacking[0], first=first))


def _named_by_column(frame: Any, samples: NDArray[np.str_]) -> Any:
    """A frame whose index names no sample, with the column that names all of them as its index."""
    wanted = set(samples.tolist())
    if not is_default(frame.index) and wanted & set(frame.index.astype(str)):
        return frame
    for position in range(frame.shape[1]):
        names = frame.iloc[:, position].astype(str)
        if wanted and wanted <= set(names):
            others = [i for i in range(frame.shape[1]) if i != position]
            return frame.iloc[:, others].set_axis(names.to_numpy(), axis=0)
    return frame


def _site(columns: Mapping[str, Any], site: str | None) -> str | None:
    if site == "auto":
        found = [name for name in columns if name.strip().lower() in SITES]
        if len(found) > 1:
            raise ValueError(TWO_SITES.format(names=found, first=found[0]))
        return found[0] if found else None
    if site is not None and site not in columns:
        raise ValueError(NO_CONFOUND.format(name=site, names=list(columns)))
    return site


def _values(series: Any, is_category: bool) -> NDArray:
    """Floats, or text that is empty where a value is missing."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype) or is_category:
        texts: Sequence[str] = ["" if pd.isna(value) else _as_text(value) for value in series.tolist()]
        return np.array(texts, dtype=str)
    values = as_labels(series)
    if values.dtype.kind == "b":
        return np.where(values, "True", "False")
    return values.astype(np.float64) if values.dtype.kind in "iuf" else values


def _as_text(value: Any) -> str:
    is_whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value) if is_whole else value).strip()


def _check_length(name: str, given: int, n: int) -> None:
    if given != n:
        raise ValueError(WRONG_LENGTH.format(n=n, name=name, given=given))


def _checked(name: str, values: NDArray, n: int) -> NDArray:
    _check_length(name, len(values), n)
    missing = np.flatnonzero(values == "" if values.dtype.kind == "U" else ~np.isfinite(values))
    if len(missing):
        raise ValueError(MISSING_VALUE.format(name=name, count=len(missing), n=n, row=int(missing[0]) + 1))
    return values
