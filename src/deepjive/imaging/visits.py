"""When visits were, and which scans of a participant belong together.

A visit has a date, in ``sub-*/sub-*_sessions.tsv``, or months in the name of its session (``ses-M06``), or neither.
Dates are compared with dates and names with names. Scans of one session belong together, whatever is known of its time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

DAYS_PER_MONTH = 30.4375
DATES = ("examination_date", "acq_time")


class Visit(NamedTuple):
    """A session of a participant.

    Attributes
    ----------
    session : str
        ``ses-..``, empty where scans have none.
    date : Timestamp or None
        When it was.
    named : float or None
        Months in the session's name.
    """

    session: str
    date: pd.Timestamp | None = None
    named: float | None = None

    def months_from(self, other: Visit) -> float | None:
        """Months between two visits, None where that is not known.

        Examples
        --------
        >>> Visit("ses-M06", named=6.0).months_from(Visit("ses-M24", named=24.0))
        18.0
        """
        if self.session == other.session:
            return 0.0
        if self.date is not None and other.date is not None:
            return abs((self.date - other.date).days) / DAYS_PER_MONTH
        if self.named is not None and other.named is not None:
            return abs(self.named - other.named)
        return None


def visit_of(session: str, known: Mapping[str, Any]) -> Visit:
    """A visit from the name of its session and what is known of it.

    Parameters
    ----------
    session : str
        ``ses-..`` or empty.
    known : mapping
        Its row in the table of sessions; dates may have a time zone, and "n/a" is none.
    """
    dates = (pd.to_datetime(known[key], errors="coerce", utc=True) for key in DATES if isinstance(known.get(key), str))
    date = next((date for date in dates if pd.notna(date)), None)
    months = re.fullmatch(r"ses-[Mm](\d+)", session)
    return Visit(session, date, float(months[1]) if months else None)


def nearest(visit: Visit, others: Sequence[Visit]) -> tuple[int, float] | None:
    """Which of a participant's other scans is nearest in time.

    Parameters
    ----------
    visit : Visit
        Of one scan.
    others : sequence of Visit
        Of the scans to choose from.

    Returns
    -------
    (int, float) or None
        Place of the nearest, and the months between; None where no time between is known. A scan without session is of
        the participant as a whole, and belongs to all visits if it is the only one.
    """
    apart = [(visit.months_from(other), place) for place, other in enumerate(others)]
    known = [(months, place) for months, place in apart if months is not None]
    if known:
        months, place = min(known)
        return place, months
    return (0, 0.0) if len(others) == 1 and "" in (visit.session, others[0].session) else None
