"""Tables of ADNI's visits, such as ADNIMERGE: rows of a participant and a visit, matched to the names of samples.

A sample is named by participant and session, as Clinica, LONI and FreeSurfer's folders name them:

    sub-ADNI002S0295_ses-M06      002_S_0295_m06      002_S_0295_2006-11-02      002_S_0295

A row has the participant (PTID ``002_S_0295``, or RID 295) and the visit (VISCODE or VISCODE2: ``bl``, ``m06``). A
sample has the row of its month, or, if its session is a date, the row whose EXAMDATE is nearest, at most six months
away. What does not change between visits (`sex`, `education`, `site`, `apoe4`) is known of every sample of a
participant. A sample without a session has the only row of its participant, if there is only one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepjive.data.readers.guard import UnreadableError
from deepjive.data.readers.visits import DAYS_PER_MONTH, visit_of

if TYPE_CHECKING:
    import pandas as pd

PARTICIPANT = re.compile(r"(?:sub-)?(?:ADNI)?(\d{3})_?S_?(\d{4,5})")
SESSION = re.compile(r"[_-]?(?:ses-)?(M\d+|bl|scmri|sc|d\d+|\d{8}|\d{4}-\d{2}-\d{2})(?![A-Za-z0-9])", re.IGNORECASE)
CONSTANT = {"PTGENDER": "sex", "PTEDUCAT": "education", "SITE": "site", "APOE4": "apoe4", "DX_bl": "diagnosis_bl"}
VARYING = {"DX": "diagnosis", "MMSE": "mmse", "FLDSTRENG": "field_strength", "ICV": "icv"}
WORDS = {"diagnosis": {"Dementia": "AD"}, "sex": {"Male": "M", "Female": "F"}}
VISITS = ("VISCODE2", "VISCODE")
AGE = "age"
MOST_MONTHS = 6.0
DAYS_PER_YEAR = 365.25

NOT_ADNI = (
    "{source} names participants as ADNI does (PTID), but the first sample of the data is {sample!r}. Name the samples "
    "as sub-ADNI002S0295_ses-M06 or 002_S_0295_m06, or give a table whose first column has the names of the samples."
)
NO_COLUMN = "{source}: there is no column {column!r}; the columns are {columns}, and by other names {words}."
MATCHED = "{source}: {count} of {n} samples have the row of their participant and visit."
WITHOUT = " Without a value: {names}."
NO_PERSON, NO_VISIT, NO_SESSION = "no row of this participant", "no row of this visit", "no session, and several rows"
SHOWN = 5


def is_visits(table: pd.DataFrame) -> bool:
    """Return whether a table has ADNI's columns of participant and visit."""
    columns = set(map(str, [*table.columns, table.index.name]))
    return bool(columns & {"PTID", "RID"}) and bool(columns & set(VISITS))


def ptid_of(name: str) -> str | None:
    """Return ADNI's name of a participant, from any of its forms; None if it is no name of ADNI.

    Examples
    --------
    >>> ptid_of("sub-ADNI002S0295"), ptid_of("002_S_0295"), ptid_of("sub-01")
    ('002_S_0295', '002_S_0295', None)
    """
    found = PARTICIPANT.fullmatch(name.strip())
    return f"{found[1]}_S_{found[2]}" if found else None


def participant_and_session(sample: str) -> tuple[str, str] | None:
    """Return participant and session of a sample's name, ``("002_S_0295", "ses-M06")``; None if it is not ADNI's.

    Examples
    --------
    >>> participant_and_session("002_S_0295_bl"), participant_and_session("sub-ADNI002S0295_ses-20061102")
    (('002_S_0295', 'ses-M00'), ('002_S_0295', 'ses-20061102'))
    """
    person = PARTICIPANT.match(sample.strip())
    if person is None:
        return None
    found = SESSION.match(sample.strip()[person.end() :])
    code = found[1].replace("-", "") if found else ""
    if code.lower() in ("bl", "sc", "scmri"):
        code = "M00"
    return f"{person[1]}_S_{person[2]}", f"ses-{code}" if code else ""


def month_of(code: Any) -> float | None:
    """Return the month of a visit: 0 for "bl" and "sc", 6 for "m06"; None for others."""
    text = str(code).strip().lower()
    if text in ("bl", "sc", "scmri"):
        return 0.0
    return float(text[1:]) if text[:1] == "m" and text[1:].isdigit() else None


def visit_row(rows: Any, session: str) -> Any:
    """Return the row of a session among the rows of a participant; None if there is none.

    Parameters
    ----------
    rows : DataFrame
        With the column ``month``, and EXAMDATE if there is one.
    session : str
        ``ses-M06`` or ``ses-20061102``.
    """
    import pandas as pd

    visit = visit_of(session, {})
    if visit.named is not None:
        same = rows[rows["month"] == visit.named]
        return same.iloc[0] if len(same) else None
    if visit.date is None or "EXAMDATE" not in rows:
        return None
    months = (pd.to_datetime(rows["EXAMDATE"], errors="coerce", utc=True) - visit.date).abs().dt.days / DAYS_PER_MONTH
    if not months.notna().any():
        return None
    return rows.loc[months.idxmin()] if months.min() <= MOST_MONTHS else None


def age_at(rows: pd.DataFrame, visit: Any) -> float:
    """Return the age at a visit: that of the first visit, which ADNIMERGE repeats, and the years since then."""
    import pandas as pd

    age = pd.to_numeric(visit.get("AGE"), errors="coerce")
    years = pd.to_numeric(visit.get("Years_bl"), errors="coerce")
    if pd.isna(years) and "EXAMDATE" in rows:
        dates = pd.to_datetime(rows["EXAMDATE"], errors="coerce")
        years = (pd.to_datetime(visit["EXAMDATE"], errors="coerce") - dates.min()).days / DAYS_PER_YEAR
    return round(float(age + years), 2)


def by_participant(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each participant, by PTID or else by the digits of RID, with the column ``month``."""
    table = table if table.index.name is None else table.reset_index()
    code = next(name for name in VISITS if name in table)
    key = "PTID" if "PTID" in table else "RID"
    rows = table.assign(month=table[code].map(month_of))
    return {str(name).strip(): group for name, group in rows.groupby(key)}


def values_of_visits(source: str, table: pd.DataFrame, column: str, samples: Sequence[str]) -> tuple[pd.Series, str]:
    """Return the value of a column for each sample, and a sentence on what was matched and what was not.

    Parameters
    ----------
    source : str
        The file, for messages.
    table : DataFrame
        A table of ADNI's visits.
    column : str
        A column of the table, or one of the names that cohorts of images use: `diagnosis`, `age` (at the visit), `sex`,
        `education`, `site`, `apoe4`, `mmse`, `field_strength`, `icv`.
    samples : sequence of str
        Names of the samples.

    Raises
    ------
    UnreadableError
        If no sample has a name of ADNI or a row, or if there is no such column.
    """
    import pandas as pd

    named = [participant_and_session(sample) for sample in samples]
    if not any(named):
        raise UnreadableError(NOT_ADNI.format(source=source, sample=samples[0]))
    people, original = by_participant(table), _original(source, table, column)
    values, without = [], []
    for sample, pair in zip(samples, named, strict=True):
        value, reason = _value(people, pair, original, column)
        values.append(value)
        if reason:
            without.append(f"{sample} ({reason})")
    words = MATCHED.format(source=source, count=len(samples) - len(without), n=len(samples))
    if without:
        words += WITHOUT.format(names=", ".join(without[:SHOWN]) + (", ..." if len(without) > SHOWN else ""))
    if len(without) == len(samples):
        raise UnreadableError(words)
    is_number = column == AGE or pd.api.types.is_numeric_dtype(table.reset_index()[original])
    return pd.Series(values, name=column, dtype=float if is_number else object).infer_objects(), words


def _original(source: str, table: pd.DataFrame, column: str) -> str:
    """The column of the table that a name stands for."""
    columns = [str(name) for name in [*table.columns, *filter(None, [table.index.name])]]
    if column in columns:
        return column
    known = {new: old for old, new in {**CONSTANT, **VARYING, "AGE": AGE}.items() if old in columns}
    if column not in known:
        raise UnreadableError(
            NO_COLUMN.format(source=source, column=column, columns=columns[:20], words=list(known) or "none")
        )
    return known[column]


def _value(people: Any, pair: tuple[str, str] | None, original: str, column: str) -> tuple[Any, str]:
    """The value of a sample, and the reason if it has none."""
    person, session = pair or ("", "")
    rows = people.get(person)
    if rows is None and person:
        rows = people.get(str(int(person.rpartition("_")[2])))
    if rows is None:
        return None, NO_PERSON
    if original in CONSTANT:
        known = rows[original].dropna()
        return (_word(column, known.iloc[0]), "") if len(known) else (None, "")
    row = visit_row(rows, session) if session else (rows.iloc[0] if len(rows) == 1 else None)
    if row is None:
        return None, NO_VISIT if session else NO_SESSION
    return (age_at(rows, row) if column == AGE else _word(column, row[original])), ""


def _word(column: str, value: Any) -> Any:
    return WORDS.get(column, {}).get(value, value)
