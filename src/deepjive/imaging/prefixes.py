"""Maps that SPM and CAT12 wrote beside scans without BIDS names: a prefix says what a map shows.

    CAT12/mri/smwp1S001_T1.nii      smoothed, modulated, warped to MNI space, grey matter (p1); participant S001
    SPM/smwc2S001_T1.nii            the same of white matter (c2), by SPM's segmentation or DARTEL
    SPM/swPET_S001.nii              smoothed and warped PET

The rest of the name is the name of the scan. Words such as T1 or PET at its ends are no part of the participant's name.
A cohort of one map for each participant is read; where names leave a doubt, it is refused. Sources: the manual of CAT12
("Naming convention of output files"); the manual of SPM12 (prefixes s, w, m, r and c1 to c6).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from deepjive.data.readers.adni import PARTICIPANT, participant_and_session
from deepjive.imaging.tracers import TRACERS

NIFTI = re.compile(r"\.nii(\.gz)?$")
SMOOTHED = r"s\d*"
SCAN = re.compile(r"T[12]w?|MP[-_]?RAGE|MRI?|anat|struct(ural)?", re.IGNORECASE)
UPTAKE = re.compile(
    r"r?(PET|SUVR?|PT|FDG|" + "|".join(label for tracer in TRACERS.values() for label in tracer.labels) + ")",
    re.IGNORECASE,
)
BIDS_NAME = re.compile(r"(sub-.+?)(?:_(ses-[^_]+))?(?:_[a-z]+-[^_]+)*")
VISIT = re.compile(
    r"(.+?)[-_](?:bl|baseline|fu\d*|follow-?up\d*|(?:ses|tp?|time|v|visit|m|month|y|year|MR|scan)[-_]?\d+|"
    r"\d{8}|\d{4}-\d{2}-\d{2}|pre|post)",
    re.IGNORECASE,
)
TISSUE = re.compile(r"((?:s\d*)?(?:m0?w)*w?[pc][1-3])(.+)")
LONGITUDINAL = ("r", "avg_")
SHOWN = 3

INSTEAD = (
    "rename the files, for example as BIDS does (mwp1sub-01_ses-M12_T1w.nii), or list them in a table with the columns "
    "participant_id and session_id (--table; `read_cohort_table`)"
)
NO_NAME = (
    "{path} names no participant: nothing follows {prefix!r} but words of scans. To say which participant it is, "
    + INSTEAD
    + "."
)
TWO_FILES = (
    "Two files are maps of one participant, {name}, by their names: {files}. One map is expected: " + INSTEAD + "."
)
VISITS = (
    "{names} can be visits of one participant or several participants; visits of a participant must not be split "
    "between training and test. To say which, " + INSTEAD + "."
)
REGISTERED = (
    "{names} can be one participant, because CAT12's longitudinal pipeline writes {mark!r} before the name of a scan, "
    "or several participants. To say which, " + INSTEAD + "."
)
MIXED = (
    "{root} has maps of {layout!r} with the prefixes {counts}, and none of them is there for all {n} participants. "
    "Smoothed and other maps do not belong in one cohort: smooth the others too, or choose a prefix, e.g. "
    "choose={{'prefix': {example!r}}} (--choose prefix={example})."
)
OTHERS = (
    "{root} has no file of {layout!r}, whose names begin with {prefix}, but maps with other prefixes: {counts}. Give "
    "the layout of these maps, or a table of paths (--table; `read_cohort_table`)."
)
OTHER_FOLDER = "its name does not begin with {expected!r} as its folder does; it was left out"
NOT_CHOSEN = "{count} files with the prefix {other} are left out, because {used} is there for all participants"
WITHOUT = "it has {files}, but no map with the prefix {prefix}"

Key = tuple[str, str]
LeftOut = tuple[str, str, str]


class Prefixed(NamedTuple):
    """Maps of one kind.

    Attributes
    ----------
    paths : dict of (participant, session) to list of Path
        Files by participant, with all smoothings.
    left_out : list of (participant, file, reason)
        Files and participants that were left out.
    """

    paths: dict[Key, list[Path]]
    left_out: list[LeftOut]


def prefix_of(name: str, prefix: str) -> str:
    """Return a prefix with the smoothing before it, as a file's name has it; empty if the name has another prefix.

    Examples
    --------
    >>> prefix_of("s8mwp1S001.nii", "mwp1"), prefix_of("mwp2S001.nii", "mwp1")
    ('s8mwp1', '')
    """
    found = re.match(f"({SMOOTHED})?{prefix}", name)
    return found[0] if found else ""


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
    if person := PARTICIPANT.search(name):
        known = participant_and_session(name[person.start() :])
        return f"sub-ADNI{person[1]}S{person[2]}", known[1].replace("ses-m", "ses-M") if known else ""
    return (f"sub-{name}", "") if name else ("", "")


def prefixed_maps(root: Path, layout: str, prefix: str) -> Prefixed:
    """Find the maps with a prefix anywhere in a folder, by participant.

    Parameters
    ----------
    root : Path
        Folder of SPM or CAT12; maps may be in folders in it.
    layout : str
        Name of the layout, for messages.
    prefix : str
        What the program writes before the name of the scan. Files with the prefix ``"w"`` must have a word of PET in
        their names or their folders.

    Returns
    -------
    Prefixed
        Without paths if no map of any tissue is there.

    Raises
    ------
    ValueError
        If a name names no participant, if names can be visits of one participant, or if there are maps of other kinds
        only.
    """
    paths: dict[Key, list[Path]] = {}
    left_out: list[LeftOut] = []
    for path in _images(root):
        found = prefix_of(path.name, prefix)
        if not found or (prefix == "w" and not _is_pet(path, root)):
            continue
        stem = _stem(path)[len(found) :]
        stem = _of_original(path, stem) if prefix == "w" else stem
        key, folder = participant_of(stem), _participant_folder(path, root)
        if folder and not stem.startswith(folder):
            left_out.append((folder, str(path), OTHER_FOLDER.format(expected=folder)))
        elif not key[0]:
            raise ValueError(NO_NAME.format(path=path, prefix=found))
        else:
            paths.setdefault(key, []).append(path)
    others = _others(root, prefix)
    if not paths and not left_out and any(others.values()):
        counts = _in_words(Counter(kind for kinds in others.values() for kind in kinds))
        raise ValueError(OTHERS.format(root=root, layout=layout, prefix=prefix, counts=counts))
    _check_names(paths)
    left_out += [
        (name, str(root), WITHOUT.format(files=", ".join(kinds) or "a report", prefix=prefix))
        for name, kinds in others.items()
        if name not in {participant for participant, _ in paths}
    ]
    return Prefixed(paths, left_out)


def one_smoothing(
    root: Path, layout: str, prefix: str, found: Mapping[Key, list[Path]], chosen: Mapping[Key, list[Path]]
) -> Prefixed:
    """Keep one map of each participant, all with the same smoothing; the least smoothed that all participants have.

    Parameters
    ----------
    root, layout, prefix
        As for `prefixed_maps`.
    found, chosen : mapping of (participant, session) to list of Path
        All maps, and those that the user chose.

    Returns
    -------
    Prefixed

    Raises
    ------
    ValueError
        If a participant has several maps with one prefix, or if no prefix is there for all participants.
    """
    left_out = [
        ("_".join(filter(None, key)), str(found[key][0]), "it was not chosen") for key in found if not chosen[key]
    ]
    by_prefix: dict[str, dict[Key, Path]] = {}
    for key, paths in chosen.items():
        for path in paths:
            maps = by_prefix.setdefault(prefix_of(path.name, prefix), {})
            if key in maps:
                files = ", ".join(str(other.relative_to(root)) for other in (maps[key], path))
                raise ValueError(TWO_FILES.format(name="_".join(filter(None, key)), files=files))
            maps[key] = path
    if not by_prefix:
        return Prefixed({}, left_out)
    n = len({key for maps in by_prefix.values() for key in maps})
    whole = sorted((name for name, maps in by_prefix.items() if len(maps) == n), key=lambda name: (len(name), name))
    if not whole:
        counts = _in_words({name: len(maps) for name, maps in by_prefix.items()})
        largest = max(by_prefix, key=lambda name: len(by_prefix[name]))
        raise ValueError(MIXED.format(root=root, layout=layout, counts=counts, n=n, example=largest))
    for name, maps in by_prefix.items():
        if name != whole[0]:
            left_out.append(("", str(root), NOT_CHOSEN.format(count=len(maps), other=name, used=whole[0])))
    return Prefixed({key: [path] for key, path in by_prefix[whole[0]].items()}, left_out)


def words_of(path: Path) -> list[str]:
    """Return the words of a file's name, in which a tracer may be named.

    Examples
    --------
    >>> words_of(Path("swFDG_S001.nii"))
    ['swFDG', 'S001', 'FDG']
    """
    words = re.split(r"[-_ ]+", _stem(path))
    return [*words, re.sub(f"^({SMOOTHED})?wr?", "", words[0])]


def _images(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*.nii*")) if NIFTI.search(path.name) and path.is_file())


def _stem(path: Path) -> str:
    return NIFTI.sub("", path.name)


def _of_original(path: Path, stem: str) -> str:
    """The name of a scan without the r of SPM's coregistration, which is no prefix unless the scan is there without."""
    is_prefix = stem.startswith("r") and any(
        (path.parent / f"{stem[1:]}{end}").is_file() for end in (".nii", ".nii.gz")
    )
    return stem[1:] if is_prefix else stem


def _participant_folder(path: Path, root: Path) -> str:
    return next((part for part in path.relative_to(root).parts[:-1] if part.startswith("sub-")), "")


def _without_words(stem: str) -> str:
    """The name of a scan without words such as T1 or PET at its ends."""
    words = re.split(r"([-_ ]+)", stem)
    while words and (not words[0].strip("-_ ") or _is_word(words[0])):
        words = words[1:]
    while words and (not words[-1].strip("-_ ") or _is_word(words[-1])):
        words = words[:-1]
    return "".join(words)


def _is_word(word: str) -> bool:
    return bool(SCAN.fullmatch(word) or UPTAKE.fullmatch(word))


def _is_pet(path: Path, root: Path) -> bool:
    """Whether the name or a folder of a map has a word of PET."""
    folders = path.relative_to(root).parts[:-1]
    return any(UPTAKE.fullmatch(word) for word in (*words_of(path), *folders))


def _others(root: Path, prefix: str) -> dict[str, list[str]]:
    """Participants of which SPM or CAT12 wrote other maps of tissues in MNI space, or a report, with their prefixes."""
    others: dict[str, list[str]] = {}
    if prefix == "w":
        return others
    for path in _images(root):
        found = TISSUE.fullmatch(_stem(path))
        if found and "w" in found[1] and not prefix_of(path.name, prefix):
            name = participant_of(found[2])[0]
            others.setdefault(name, []).append(found[1])
    for path in sorted(root.rglob("report/cat_*.xml")):
        others.setdefault(participant_of(path.stem.removeprefix("cat_"))[0], [])
    others.pop("", None)
    return others


def _check_names(paths: Mapping[Key, list[Path]]) -> None:
    """Fail if names without sessions can be several scans of one participant."""
    names = [participant for participant, session in paths if not session]
    by_person: dict[str, list[str]] = {}
    for name in names:
        if found := VISIT.fullmatch(name):
            by_person.setdefault(found[1], []).append(name)
    for person, visits in by_person.items():
        same = visits + [name for name in names if name == person]
        if len(same) > 1:
            raise ValueError(VISITS.format(names=" and ".join(sorted(same)[:SHOWN])))
    for mark in LONGITUDINAL:
        for name in names:
            marked = name.replace("sub-", f"sub-{mark}", 1)
            if marked in names:
                raise ValueError(REGISTERED.format(names=f"{name} and {marked}", mark=mark))


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
