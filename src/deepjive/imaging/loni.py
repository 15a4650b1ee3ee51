"""Scans of ADNI as the Image and Data Archive of LONI names them, also after a conversion by dcm2niix.

    ADNI/002_S_0295/MP-RAGE/2006-04-18_08_20_30.0/I13722/*.nii
    participant     what    date and time         image

The participant is named ``sub-ADNI002S0295``, as Clinica names it, and the session is the date, ``ses-20060418``. The
folder of the series says what was measured: T1 (MP-RAGE and its relatives) or a tracer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from deepjive.data.readers.adni import PARTICIPANT

DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})_\d{2}_\d{2}_\d{2}(\.\d+)?")
T1 = re.compile(r"MP[-_ ]?RAGE|MPR(?![A-Z])|MT1(?![A-Z])|F?SPGR", re.IGNORECASE)
REPEAT = re.compile(r"REPEAT|MPR-R(?![A-Z])", re.IGNORECASE)
TRACERS = {
    "18FAV45": r"AV-?45|florbetapir|FBP",
    "18FFBB": r"FBB|florbetaben",
    "18FAV1451": r"AV-?1451|flortaucipir|FTP",
    "18FMK6240": r"MK-?6240",
    "18FFDG": r"FDG",
    "11CPIB": r"PIB",
}
PET = re.compile(r"PET(?![A-Z])|" + "|".join(TRACERS.values()), re.IGNORECASE)
KINDS = {"loni-t1": T1, "loni-pet": PET}


def loni_entities(path: str | Path) -> dict[str, str]:
    """Return the entities of a scan by its folders: sub, ses, acq (the series) and trc; empty if they are not LONI's.

    Examples
    --------
    >>> loni_entities("ADNI/002_S_0295/MP-RAGE/2006-04-18_08_20_30.0/I13722/scan.nii")
    {'sub': 'ADNI002S0295', 'ses': '20060418', 'acq': 'MPRAGE'}
    """
    parts = Path(path).parts
    for place in range(len(parts) - 2):
        person, date = PARTICIPANT.fullmatch(parts[place]), DATE.fullmatch(parts[place + 2])
        if person and date:
            series = parts[place + 1]
            known = {"sub": f"ADNI{person[1]}S{person[2]}", "ses": "".join(date.groups()[:3])}
            known["acq"] = re.sub(r"[^A-Za-z0-9]", "", series)
            tracer = next((name for name, words in TRACERS.items() if re.search(words, series, re.IGNORECASE)), None)
            return known | ({"trc": tracer} if tracer else {})
    return {}


def participant_folders(root: Path) -> list[Path]:
    """Return the folders of participants in a download, or in the folder that holds it."""
    return sorted(
        path
        for pattern in ("*_S_*", "*/*_S_*")
        for path in root.glob(pattern)
        if path.is_dir() and PARTICIPANT.fullmatch(path.name)
    )


def image_folders(root: Path, layout: str) -> Iterator[Path]:
    """Yield the innermost folders of the scans of a layout, a key of `KINDS`."""
    for person in participant_folders(root):
        for series in sorted(path for path in person.iterdir() if path.is_dir() and KINDS[layout].search(path.name)):
            dates = (path for path in sorted(series.iterdir()) if path.is_dir() and DATE.fullmatch(path.name))
            for date in dates:
                inner = sorted(path for path in date.iterdir() if path.is_dir())
                yield from inner or [date]


def is_repeat(path: str | Path) -> bool:
    """Return whether a scan is the second one of its series on a day, which ADNI 1 took of everybody."""
    parts = Path(path).parts
    return any(DATE.fullmatch(part) and REPEAT.search(before) for before, part in pairwise(parts))
