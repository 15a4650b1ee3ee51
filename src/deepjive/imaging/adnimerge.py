"""Diagnosis and covariates of ADNI's visits, from the table ADNIMERGE.

A scan has the visit of its month (``ses-M06`` and VISCODE m06), or, if its session is a date, the visit nearest in
time. Columns are renamed as in BIDS: `diagnosis` (Dementia is AD), `age` at the visit, `sex`, `education`, `site`,
`apoe4`, `mmse` and `field_strength`. What does not change (`sex`, `education`, `site`, `apoe4`) is known of every
scan of a participant; a scan without a visit has no diagnosis and no age.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from deepjive.imaging.bids import Problem
from deepjive.imaging.loni import ptid_of
from deepjive.imaging.visits import DAYS_PER_MONTH, visit_of

NEEDED = ("PTID", "VISCODE")
CONSTANT = {"PTGENDER": "sex", "PTEDUCAT": "education", "SITE": "site", "APOE4": "apoe4", "DX_bl": "diagnosis_bl"}
VARYING = {"DX": "diagnosis", "MMSE": "mmse", "FLDSTRENG": "field_strength"}
WORDS = {"diagnosis": {"Dementia": "AD"}, "sex": {"Male": "M", "Female": "F"}}
MOST_MONTHS = 6.0
DAYS_PER_YEAR = 365.25

NO_VISIT = "{table} has no visit of {month}; kept without diagnosis and age"
NO_PERSON = "{table} has no row of this participant; kept without diagnosis and age"


def is_adnimerge(table: pd.DataFrame) -> bool:
    """Return whether a table has the columns of ADNIMERGE that name participant and visit."""
    return all(column in table for column in NEEDED)


def clinical_of(
    table: pd.DataFrame, scans: Iterable[tuple[str, str]], path: Path, problems: list[Problem]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of scans in a table of sessions and in a table of participants.

    Parameters
    ----------
    table : DataFrame
        ADNIMERGE.
    scans : iterable of (str, str)
        Participant and session of each scan.
    path : Path
        The file, for messages.
    problems : list of Problem
        Scans without a visit are added.

    Returns
    -------
    sessions : DataFrame
        `participant_id`, `session_id`, `examination_date` and what changes between visits.
    participants : DataFrame
        `participant_id` and what does not change.
    """
    visits = dict(iter(table.assign(month=table["VISCODE"].map(_month)).groupby("PTID")))
    sessions: list[dict[str, Any]] = []
    participants: dict[str, dict[str, Any]] = {}
    for participant, session in dict.fromkeys(scans):
        rows = visits.get(ptid_of(participant) or "")
        name = "_".join(filter(None, (participant, session)))
        if rows is None:
            problems.append(Problem(name, str(path), NO_PERSON.format(table=path.name)))
            continue
        constant = {new: rows[old].dropna().iloc[0] for old, new in CONSTANT.items() if _has_any(rows, old)}
        participants[participant] = {"participant_id": participant, **_in_words(constant)}
        visit = _visit_row(rows, session)
        if visit is None:
            month = session.removeprefix("ses-") or "a scan without a session"
            problems.append(Problem(name, str(path), NO_VISIT.format(table=path.name, month=month)))
            continue
        varying = {new: visit[old] for old, new in VARYING.items() if old in visit}
        described = {"participant_id": participant, "session_id": session, "age": _age(rows, visit)}
        if visit_of(session, {}).date is None:
            described["examination_date"] = visit.get("EXAMDATE")
        sessions.append({**described, **_in_words(varying)})
    return (
        pd.DataFrame(sessions) if sessions else pd.DataFrame(columns=["participant_id", "session_id"]),
        pd.DataFrame(list(participants.values())) if participants else pd.DataFrame(columns=["participant_id"]),
    )


def _visit_row(rows: Any, session: str) -> Any:
    """The row of the visit of a session; None if there is none."""
    visit = visit_of(session, {})
    if visit.named is not None:
        same = rows[rows["month"] == visit.named]
        return same.iloc[0] if len(same) else None
    if visit.date is None or "EXAMDATE" not in rows:
        return None
    months = (pd.to_datetime(rows["EXAMDATE"], errors="coerce", utc=True) - visit.date).abs().dt.days / DAYS_PER_MONTH
    return rows.loc[months.idxmin()] if months.min() <= MOST_MONTHS else None


def _age(rows: pd.DataFrame, visit: Any) -> float:
    """Age at the visit: the age at the first visit, which ADNIMERGE repeats in every row, and the years since then."""
    age = pd.to_numeric(visit.get("AGE"), errors="coerce")
    years = pd.to_numeric(visit.get("Years_bl"), errors="coerce")
    if pd.isna(years) and "EXAMDATE" in rows:
        dates = pd.to_datetime(rows["EXAMDATE"], errors="coerce")
        years = (pd.to_datetime(visit["EXAMDATE"], errors="coerce") - dates.min()).days / DAYS_PER_YEAR
    return round(float(age + years), 2)


def _month(code: Any) -> float | None:
    """Month of a visit: 0 for "bl" and "sc", 6 for "m06"; None for others."""
    text = str(code).strip().lower()
    if text in ("bl", "sc", "scmri"):
        return 0.0
    return float(text[1:]) if text[:1] == "m" and text[1:].isdigit() else None


def _in_words(values: dict[str, Any]) -> dict[str, Any]:
    return {name: WORDS.get(name, {}).get(value, value) for name, value in values.items()}


def _has_any(rows: pd.DataFrame, column: str) -> bool:
    return column in rows and bool(rows[column].notna().any())
