"""Which participant the name of a scan names, where the name follows no standard; what is doubtful is refused.

    S001_T1, PET_S001_FDG               participant S001; words of scans at the ends are no part of the name
    rsub-01_ses-a_T1w                   participant 01, session a; CAT12's longitudinal pipeline wrote the r
    S001_M00, S001_M12_brain            visits of S001, or two participants: refused
    S001a, S001b                        scans of S001, or two participants such as twins: refused
    01_01, 01_02                        visits of 01, or participants of site 01: refused
    sub-0101, sub-0102, sub-01a         participants, because BIDS has other places for visits and scans
    sub-01V1, sub-01V2                  visits of 01 all the same, or two participants: refused

Two names must not be two participants if they may be one, because scans of a participant would be split between
training and test. Names that differ only in what may be a visit (a month, a date, the number or letter of a scan or of
a copy), and names of which one contains the other, are therefore refused, unless all are BIDS names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from deepjive.data.readers.adni import participant_and_session
from deepjive.imaging.tracers import TRACERS

SCAN = re.compile(r"T[12]w?|MP[-_]?RAGE|MRI?|anat|struct(ural)?", re.IGNORECASE)
UPTAKE = re.compile(
    r"r?(PET|SUVR?|PT|FDG|" + "|".join(label for tracer in TRACERS.values() for label in tracer.labels) + ")",
    re.IGNORECASE,
)
GROUP = re.compile(r"MR|PT", re.IGNORECASE)  # before a number it can also mean "patient" or a group
BIDS_NAME = re.compile(r"(?:r|avg_)?(sub-.+?)(?:_(ses-[^_]+))?(?:_[a-z]+-[^_]+)*")
ADNI = re.compile(r"(?:^r?|[-_ ])((?:ADNI[-_]?)?(\d{3})_?S_?(\d{4,5}))(?!\d)")

BETWEEN = r"[-_ .]+"
MONTH_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
DAY_MONTH = r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])"
NAMED = r"\d{1,2}[-_ ]?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-_ ]?\d{2,4}"
DATE = rf"\d{{8}}|\d{{4}}[-_.]\d{{2}}[-_.]\d{{2}}|\d{{2}}{MONTH_DAY}|{MONTH_DAY}\d{{2}}|{DAY_MONTH}\d{{2}}|{NAMED}"
UNIT = r"(?:m|mo|months?|y|yrs?|years?|w|wks?|weeks?|d|days?)"
CODE = (
    r"(?:bl|baseline|screening|initial|final|first|second|last|before|after|pre|post|"
    r"re[-_]?(?:test|scan)|(?:fu|follow[-_]?up)[-_]?\d*|ses-[^-_ ]+|copy\d*|[tvmy]\d+|"
    r"(?:ses|session|tp|time(?:point)?|visit|mo|month|yr|year|wk|week|day|MR|scan|run)[-_]?\d+|"
    rf"(?<=\d[-_ .])(?:[dw]\d+|[tvmydw][-_]\d{{1,3}})|MR[-_]d\d+|\d+{UNIT}|{DATE})"
)
VISIT = re.compile(rf"^{CODE}{BETWEEN}|{BETWEEN}{CODE}(?={BETWEEN}|\(|$)|[-_ .]*\(\d+\)", re.IGNORECASE)
OASIS = re.compile(r"(?<=\d)[-_ .]MR[-_]?d?\d+([-_ .].*)?$", re.IGNORECASE)  # of which the text after a visit varies
LAST_CODE = r"(?:ses|tp?|v|m|visit|fu|y)\d{1,2}|bl|pre|post"
LAST = re.compile(
    rf"(?<=\d)(?:{BETWEEN}(?:\d{{1,2}}|[a-z]+|(?:19|20)\d\d)|{LAST_CODE}|[a-z])$",
    re.IGNORECASE,
)
LAST_OF_BIDS = re.compile(rf"(?<=\d)(?:{LAST_CODE})$", re.IGNORECASE)
MARKS = {
    "r": "CAT12's longitudinal pipeline writes 'r'",
    "avg_": "CAT12's longitudinal pipeline writes 'avg_'",
    "m": "SPM's bias correction writes 'm'",
}
SHOWN = 3

INSTEAD = (
    "rename the files, for example as BIDS does (mwp1sub-01_ses-M12_T1w.nii), or list them in a table with the columns "
    "participant_id and session_id (--table; `read_cohort_table`)"
)
VISITS = (
    "{names} can be visits of one participant or several participants; visits of a participant must not be split "
    "between training and test. To say which, " + INSTEAD + "."
)
MARKED = (
    "{names} can be one participant, because {program} before the name of a scan, or several participants. To say "
    "which, " + INSTEAD + "."
)
CONTAINED = (
    "{names} can be one participant, because one name contains the other, or several participants. To say which, "
    + INSTEAD
    + "."
)

Key = tuple[str, str]


def participant_of(stem: str) -> Key:
    """Return participant and session by the name of a scan without a prefix; empty if nothing is known.

    Examples
    --------
    >>> participant_of("S001_T1"), participant_of("sub-01_ses-M12_acq-fast_T1w")
    (('sub-S001', ''), ('sub-01', 'ses-M12'))
    >>> participant_of("ADNI_002_S_0295_MR_MPR__GradWarp_S13408_I45107"), participant_of("PET_S001_FDG")
    (('sub-ADNI002S0295', ''), ('sub-S001', ''))
    """
    name = _without_words(stem)
    if bids := BIDS_NAME.fullmatch(name):
        return bids[1], bids[2] or ""
    if person := ADNI.search(name):
        known = participant_and_session(name[person.start(2) :])
        return f"sub-ADNI{person[2]}S{person[3]}", known[1].replace("ses-m", "ses-M") if known else ""
    return (f"sub-{name}", "") if name else ("", "")


def is_bids_name(stem: str) -> bool:
    """Return whether the name of a scan states its participant as BIDS does, by letters and digits after ``sub-``.

    Examples
    --------
    >>> is_bids_name("sub-01a_ses-M12_T1w"), is_bids_name("01a_T1"), is_bids_name("sub-01_1_T1w")
    (True, False, False)
    """
    bids = BIDS_NAME.fullmatch(_without_words(stem))
    return bool(bids and bids[1].removeprefix("sub-").isalnum())


def check_names(keys: Iterable[Key], *, bids: bool = False) -> None:
    """Fail if two names can be one participant.

    Parameters
    ----------
    keys : iterable of (participant, session)
        Names that both have sessions are taken as they are.
    bids : bool, default=False
        Whether all names are BIDS names. Their participants are then taken as they are, unless they differ only in a
        code of visits: a number or a letter at the end of ``sub-01a`` is no visit.

    Raises
    ------
    ValueError
        If names differ in what may be a visit, or if one contains the other.
    """
    keys = sorted(set(keys))
    persons = {key: LAST_OF_BIDS.sub("", key[0]) if bids else _person(key[0].removeprefix("sub-")) for key in keys}
    by_person: dict[str, list[Key]] = {}
    for key, person in persons.items():
        by_person.setdefault(person.casefold(), []).append(key)
    for same in by_person.values():
        if len(same) > 1 and not all(session for _, session in same):
            raise ValueError(VISITS.format(names=_in_words(same[:SHOWN])))
    _check_marks({person: key for key, person in persons.items()})
    for person, (first, *_) in by_person.items():
        for part in _parts(person):
            other = by_person.get(part, [first])[0]
            if other != first and not (first[1] and other[1]):
                raise ValueError(CONTAINED.format(names=_in_words([other, first])))


def _check_marks(persons: Mapping[str, Key]) -> None:
    """Fail if one name is another with a letter before it that SPM or CAT12 may have written."""
    for person, key in persons.items():
        for mark, program in MARKS.items():
            marked = persons.get(mark + person, key)
            if marked != key and not (marked[1] and key[1]):
                raise ValueError(MARKED.format(names=_in_words([key, marked]), program=program))


def _person(name: str) -> str:
    """The name without all that may be a visit."""
    name = OASIS.sub("", name)
    while (shorter := _without_words(LAST.sub("", VISIT.sub("", name)))) not in ("", name):
        name = shorter
    return re.sub(BETWEEN, "_", name)


def _parts(person: str) -> Iterator[str]:
    """The beginnings and ends of a name that a separator divides from the rest."""
    for found in re.finditer("_", person):
        yield from (person[: found.start()], person[found.end() :])


def _in_words(keys: Iterable[Key]) -> str:
    return " and ".join("_".join(filter(None, key)) for key in keys)


def _without_words(stem: str) -> str:
    """The name of a scan without words such as T1 or PET at its ends."""
    words = re.split(r"([-_ ]+)", stem)
    while words and (not words[-1].strip("-_ ") or is_word(words[-1])):
        words = words[:-1]
    while words and (not words[0].strip("-_ ") or is_word(words[0])):
        if GROUP.fullmatch(words[0]) and re.fullmatch(r"[-_ ]*\d+", "".join(words[1:])):
            break
        words = words[1:]
    return "".join(words)


def is_word(word: str) -> bool:
    """Return whether a word of a name says what a scan shows, such as T1 or PET."""
    return bool(SCAN.fullmatch(word) or UPTAKE.fullmatch(word))
