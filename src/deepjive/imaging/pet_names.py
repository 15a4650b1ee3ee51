"""Which files of SPM are PET, and whose: names of warped images, which say less than those of tissue maps.

    PET/wS001.nii                       PET, because its folder says so
    pet/wmS001_T1.nii                   no PET, because its name says T1
    pet/wrS001.nii, pet/S001.nii        PET of S001, which SPM coregistered (r) and warped (w)

Source: the manual of SPM12 (prefixes w, r, m and c1 to c6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from deepjive.imaging.scan_names import GROUP, INSTEAD, SCAN, UPTAKE

SEPARATORS = re.compile(r"[-_ .]+")
NOT_PET = re.compile(r"m?(?:0?wp|[cp])[1-6][A-Za-z\d]{2,}|m[A-Z\d]|[yj]_|iy_|(?:u_)?rc[1-6]")
REGISTERED = re.compile(rf"r(?:sub-|(?:ADNI[-_]?)?\d{{3}}_?S_?\d{{4}}|(?:{UPTAKE.pattern})(?:[-_ ]|$))", re.IGNORECASE)
ENDS = (".nii", ".nii.gz")
PET_WORDS = ", and that the name or its folder has a word of PET, such as PET, SUVR or FDG (and none of T1)"

UNSURE = (
    "it may be a map of a T1 by its name; it was left out. If it is PET, rename it so that its name says PET and not "
    "T1, e.g. wPET_S001.nii"
)
COREGISTERED = (
    "{with_r} can begin with the r of SPM's coregistration or with the participant's name, because {without} has no r. "
    "To say which, give all files the r or none, put the original scans beside them, or " + INSTEAD + "."
)


def words_of(path: Path) -> list[str]:
    """Return the words of a file's name, in which a tracer may be named.

    Examples
    --------
    >>> words_of(Path("swFDG_S001.nii"))
    ['swFDG', 'S001', 'FDG']
    """
    words = re.split(r"[-_ ]+", re.sub(r"\.nii(\.gz)?$", "", path.name))
    return [*words, re.sub(r"^(s\d*)?wr?", "", words[0])]


def words_of_folders(path: Path, root: Path) -> list[str]:
    """Return the words of the folders of a file, of the innermost first; the root's own name counts."""
    return [word for folder in _folders(path, root) for word in SEPARATORS.split(folder)]


def is_pet_map(path: Path, root: Path, stem: str) -> bool | None:
    """Return whether a map is PET by its name, or else by the innermost folder that has a word; None if in doubt."""
    words = words_of(path)
    kinds = _kinds(word for word in words if not GROUP.fullmatch(word))
    if not kinds:
        folders = (_kinds(SEPARATORS.split(folder)) for folder in _folders(path, root))
        kinds = next(filter(None, folders), set()) | _kinds(words)
        if kinds == {"pet"} and NOT_PET.match(stem):
            return None
    return None if len(kinds) > 1 else "pet" in kinds


def _kinds(words: Iterable[str]) -> set[str]:
    """What words of a name say: "pet", "mri", both or nothing."""
    kinds = {"pet" if UPTAKE.fullmatch(word) else "mri" if SCAN.fullmatch(word) else "" for word in words}
    return kinds - {""}


def names_of_originals(stems: dict[Path, str], mixed_r: bool) -> dict[Path, str]:
    """Return the names of scans without the r of SPM's coregistration; fail if it can be of the participant's name."""
    if all(stem.startswith("r") for stem in stems.values()):
        return {path: stem[1:] for path, stem in stems.items()}
    found = {
        path: stem[1:] if stem.startswith("r") and _is_beside(path, stem[1:]) else stem for path, stem in stems.items()
    }
    unclear = [path for path, stem in found.items() if stem.startswith("r") and not REGISTERED.match(stem)]
    kept = {path: stem for path, stem in found.items() if stem == stems[path]}
    if unclear and not mixed_r and not all(_is_beside(path, stem) for path, stem in kept.items()):
        without = next(path for path, stem in stems.items() if not stem.startswith("r"))
        raise ValueError(COREGISTERED.format(with_r=unclear[0], without=without.name))
    return found


def _is_beside(path: Path, stem: str) -> bool:
    return any((path.parent / f"{stem}{end}").is_file() for end in ENDS)


def _folders(path: Path, root: Path) -> list[str]:
    """Names of the folders of a file, the innermost first, with the root's own."""
    return [*reversed(path.relative_to(root).parts[:-1]), root.resolve().name]
