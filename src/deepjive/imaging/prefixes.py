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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from deepjive.imaging.pet_names import PET_WORDS, UNSURE, is_pet_map, names_of_originals
from deepjive.imaging.scan_names import INSTEAD, Key, check_names, is_bids_name, participant_of

NIFTI = re.compile(r"\.nii(\.gz)?$")
SMOOTHED = r"s\d*"
TISSUE = re.compile(r"((?:s\d*)?(?:m0?w)*w?[pc][1-3])(.+)")
TEMPLATE = re.compile(r"Template(?![A-Za-z])", re.IGNORECASE)

NO_NAME = (
    "{path} names no participant: nothing follows {prefix!r} but words of scans. To say which participant it is, "
    + INSTEAD
    + "."
)
TWO_FILES = (
    "Two files are maps of one participant, {name}, by their names: {files}. One map is expected: " + INSTEAD + "."
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
BESIDE = (
    "it lies beside files with BIDS names, and has no such name or place; it was left out. Rename and move it as BIDS "
    "does, or list all files in a table (--table; `read_cohort_table`)"
)
NOTHING = (
    "{root} holds no file of {layout!r}: none fits the rule that names begin with {prefix}{words}; {count}. Rename the "
    "files, or give another folder or layout ({known}), or a table of paths (--table; `read_cohort_table`)."
)
WITHOUT = "it has {files}, but no map with the prefix {prefix}"

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
        their names or their folders, of which the root is one.

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
    files, left_out = _with_prefix(root, prefix)
    for path, stem in files.items():
        key, folder, session = participant_of(stem), _folder(path, root, "sub-"), _folder(path, root, "ses-")
        if folder and (key[0] != folder or (session and key[1] not in ("", session))):
            expected = "_".join(filter(None, (folder, session)))
            left_out.append((expected, str(path), OTHER_FOLDER.format(expected=expected)))
        elif not key[0]:
            raise ValueError(NO_NAME.format(path=path, prefix=prefix_of(path.name, prefix)))
        else:
            paths.setdefault((key[0], session if folder and session else key[1]), []).append(path)
    others = _others(root, prefix)
    if not paths and not left_out and any(others.values()):
        counts = _in_words(Counter(kind for kinds in others.values() for kind in kinds))
        raise ValueError(OTHERS.format(root=root, layout=layout, prefix=prefix, counts=counts))
    check_names(paths, bids=all(is_bids_name(stem) for stem in files.values()))
    left_out += [
        (name, str(root), WITHOUT.format(files=", ".join(kinds) or "a report", prefix=prefix))
        for name, kinds in others.items()
        if name not in {participant for participant, _ in paths}
    ]
    return Prefixed(paths, left_out)


def beside_bids(root: Path, prefix: str, known: Iterable[Key]) -> list[LeftOut]:
    """Return the maps of participants or sessions that have no file with a BIDS name.

    Parameters
    ----------
    root, prefix
        As for `prefixed_maps`.
    known : iterable of (participant, session)
        Those with such files.

    Returns
    -------
    list of (participant, file, reason)
    """
    files, left_out = _with_prefix(root, prefix, mixed_r=True)
    known = set(known)
    for path, stem in files.items():
        name, session = participant_of(stem)
        session = session or _folder(path, root, "ses-")
        if (name, session) not in known:
            left_out.append(("_".join(filter(None, (name, session))), str(path), BESIDE))
    return left_out


def nothing_found(root: Path, layout: str, prefix: str, known: str) -> str:
    """Return the message for a folder without such maps; ``known`` are the names of other layouts."""
    n = sum(bool(prefix_of(path.name, prefix)) for path in _images(root))
    count = "1 file begins" if n == 1 else f"{n or 'no'} files begin"
    words = PET_WORDS if prefix == "w" else ""
    given = {"root": root, "layout": layout, "prefix": prefix, "known": known}
    return NOTHING.format(**given, words=words, count=f"{count} with {prefix}")


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


def _images(root: Path) -> Iterator[Path]:
    """All images but hidden ones."""
    return (
        path
        for path in sorted(root.rglob("*.nii*"))
        if NIFTI.search(path.name) and shown(path, root) and path.is_file()
    )


def shown(path: Path, root: Path) -> bool:
    """Return whether neither a file nor a folder of it in the root is hidden, as .Trash is."""
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def _with_prefix(root: Path, prefix: str, *, mixed_r: bool = False) -> tuple[dict[Path, str], list[LeftOut]]:
    """Files with the prefix and the names of their scans, and files of which it is not known whether they are PET."""
    stems = {path: _stem(path)[len(found) :] for path in _images(root) if (found := prefix_of(path.name, prefix))}
    scans = {(path.parent, name) for path, stem in stems.items() for name in (stem, stem.removeprefix("r"))}
    stems = {
        path: stem
        for path, stem in stems.items()
        if (path.parent, _stem(path)) not in scans and not TEMPLATE.match(stem)
    }
    if prefix != "w":
        return stems, []
    is_pet = {path: is_pet_map(path, root, stem) for path, stem in stems.items()}
    left_out = [("", str(path), UNSURE) for path in stems if is_pet[path] is None]
    return names_of_originals({path: stem for path, stem in stems.items() if is_pet[path]}, mixed_r), left_out


def _stem(path: Path) -> str:
    return NIFTI.sub("", path.name)


def _folder(path: Path, root: Path, start: str) -> str:
    return next((part for part in path.relative_to(root).parts[:-1] if part.startswith(start)), "")


def _others(root: Path, prefix: str) -> dict[str, list[str]]:
    """Participants of which SPM or CAT12 wrote other maps of tissues in MNI space, or a report, with their prefixes."""
    others: dict[str, list[str]] = {}
    if prefix == "w":
        return others
    for path in _images(root):
        found = TISSUE.fullmatch(_stem(path))
        if found and not TEMPLATE.match(found[2]) and "w" in found[1] and not prefix_of(path.name, prefix):
            name = participant_of(found[2])[0]
            others.setdefault(name, []).append(found[1])
    for path in sorted(root.rglob("report/cat_*.xml")):
        if shown(path, root):
            others.setdefault(participant_of(path.stem.removeprefix("cat_"))[0], [])
    others.pop("", None)
    return others


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
