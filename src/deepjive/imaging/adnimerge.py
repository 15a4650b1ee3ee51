"""Diagnosis and covariates of ADNI's visits, from the table ADNIMERGE.

A scan has the visit of its month (``ses-M06`` and VISCODE m06), or, if its session is a date, the visit nearest in
time. Columns are renamed as in BIDS: `diagnosis` (Dementia is AD), `age` at the visit, `sex`, `education`, `site`,
`apoe4`, `mmse`, `field_strength` and `icv` (intracranial volume). What does not change (`sex`, `education`, `site`,
`apoe4`) is known of every scan of a participant; a scan without a visit has no diagnosis and no age.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from deepjive.data.readers.adni import CONSTANT, VARYING, WORDS, age_at, month_of, ptid_of, visit_row
from deepjive.data.readers.visits import visit_of
from deepjive.imaging.bids import Problem

NEEDED = ("PTID", "VISCODE")

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
    visits = dict(iter(table.assign(month=table["VISCODE"].map(month_of)).groupby("PTID")))
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
        visit = visit_row(rows, session)
        if visit is None:
            month = session.removeprefix("ses-") or "a scan without a session"
            problems.append(Problem(name, str(path), NO_VISIT.format(table=path.name, month=month)))
            continue
        varying = {new: visit[old] for old, new in VARYING.items() if old in visit}
        described = {"participant_id": participant, "session_id": session, "age": age_at(rows, visit)}
        if visit_of(session, {}).date is None:
            described["examination_date"] = visit.get("EXAMDATE")
        sessions.append({**described, **_in_words(varying)})
    return (
        pd.DataFrame(sessions) if sessions else pd.DataFrame(columns=["participant_id", "session_id"]),
        pd.DataFrame(list(participants.values())) if participants else pd.DataFrame(columns=["participant_id"]),
    )


def _in_words(values: dict[str, Any]) -> dict[str, Any]:
    return {name: WORDS.get(name, {}).get(value, value) for name, value in values.items()}


def _has_any(rows: pd.DataFrame, column: str) -> bool:
    return column in rows and bool(rows[column].notna().any())
