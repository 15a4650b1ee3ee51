"""Times of visits, and matching of a participant's scans by time.

A visit has a date (in ``sub-*/sub-*_sessions.tsv``, or as the name of its session, ``ses-20060418``), or a month in
the name of its session (``ses-M06``), or days since the participant's first visit (``ses-d0129``, as OASIS-3 has them),
or none of these.
Dates are compared with dates, and months with months. Scans of the same session belong together even if the time of
the session is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

DAYS_PER_MONTH = 30.4375
DATES = ("examination_date", "acq_time")


class Visit(NamedTuple):
    """A session of a participant.

    Attributes
    ----------
    session : str
        ``ses-..``; empty for scans without a session.
    date : Timestamp or None
        Date of the visit.
    named : float or None
        Month in the name of the session; days are divided by 30.4375.
    """

    session: str
    date: pd.Timestamp | None = None
    named: float | None = None

    def months_from(self, other: Visit) -> float | None:
        """Return the months between two visits, or None if the time is unknown.

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
    """Return a visit from the name of its session and its row in the table of sessions.

    Parameters
    ----------
    session : str
        ``ses-..`` or empty.
    known : mapping
        The row of the session in the table of sessions. Dates may have a time zone; "n/a" means that there is no date.

    Returns
    -------
    Visit
    """
    import pandas as pd

    dates = (pd.to_datetime(known[key], errors="coerce", utc=True) for key in DATES if isinstance(known.get(key), str))
    date = next((date for date in dates if pd.notna(date)), None)
    if date is None and re.fullmatch(r"ses-\d{8}", session):
        named_date = pd.to_datetime(session.removeprefix("ses-"), format="%Y%m%d", errors="coerce", utc=True)
        date = named_date if pd.notna(named_date) else None
    named = re.fullmatch(r"ses-([MmDd])(\d+)", session)
    days = named is not None and named[1] in "Dd"
    return Visit(session, date, float(named[2]) / (DAYS_PER_MONTH if days else 1.0) if named else None)


def nearest(visit: Visit, others: Sequence[Visit]) -> tuple[int, float] | None:
    """Find the scan that is nearest in time among other scans of the same participant.

    Parameters
    ----------
    visit : Visit
        Visit of one scan.
    others : sequence of Visit
        Visits of the scans to choose from.

    Returns
    -------
    (int, float) or None
        Index of the nearest scan, and the months between the two scans. None if no time difference is known. A scan
        without a session belongs to every visit if it is the only candidate.
    """
    differences = [(visit.months_from(other), index) for index, other in enumerate(others)]
    known_differences = [(months, index) for months, index in differences if months is not None]
    if known_differences:
        months, index = min(known_differences)
        return index, months
    return (0, 0.0) if len(others) == 1 and "" in (visit.session, others[0].session) else None
