"""Search for scans by their names: BIDS, CAPS of Clinica, LONI, and results of fMRIPrep, CAT12, SPM12 and deepjive.

A file name consists of entities and a suffix, such as ``sub-01_ses-M00_trc-18FAV45_pet.nii.gz``. Participant and
session are read from the folders, because names of participants may contain ``_`` and ``-``. Each row of `LAYOUTS` is
the naming scheme of one pipeline. Files of SPM and CAT12 without BIDS names are found by `deepjive.imaging.prefixes`.
Sources: the Brain Imaging Data Structure 1.10; the CAPS specification of Clinica
(Routier et al. 2021, Front Neuroinform 15:689675); the outputs of fMRIPrep (Esteban et al. 2019, Nat Methods 16:111).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from deepjive.imaging.loni import KINDS, image_folders, is_repeat, loni_entities, participant_folders
from deepjive.imaging.pet_names import words_of, words_of_folders
from deepjive.imaging.prefixes import (
    beside_bids,
    nothing_found,
    one_smoothing,
    prefix_of,
    prefixed_maps,
    shown,
)
from deepjive.imaging.tracers import tracer_of, tracers_of

NIFTI = r"\.nii(\.gz)?"


class Layout(NamedTuple):
    """Where a pipeline writes one kind of map.

    Attributes
    ----------
    folder : str
        Glob of the folders from the data set's root; empty for `deepjive.imaging.loni`.
    name : str
        Regular expression of the end of the file's name.
    prefix : str
        What the program writes before the name of the scan.
    """

    folder: str
    name: str
    prefix: str = ""


SPM_TISSUE = r"_T1w_segm-{tissue}_space-Ixi549Space_modulated-{modulated}(_fwhm-\d+mm)?_probability"
SPM_GREY = SPM_TISSUE.replace("{tissue}", "graymatter")
FMRIPREP = r"_space-MNI152NLin[A-Za-z0-9]+(_res-[0-9]+)?_label-{tissue}_probseg"
DEEPJIVE = r"_space-(MNI152NLin2009aSym|Ixi549Space)_res-[0-9p]+"
LAYOUTS = {
    "bids-t1": Layout("sub-*/**/anat", r"_T1w"),
    "bids-pet": Layout("sub-*/**/pet", r"_pet"),
    "loni-t1": Layout("", ""),
    "loni-pet": Layout("", ""),
    "t1-volume": Layout("subjects/sub-*/ses-*/t1/spm/dartel/*", SPM_GREY.format(modulated="on")),
    "t1-volume-unmodulated": Layout("subjects/sub-*/ses-*/t1/spm/dartel/*", SPM_GREY.format(modulated="off")),
    "t1-volume-white": Layout(
        "subjects/sub-*/ses-*/t1/spm/dartel/*", SPM_TISSUE.format(tissue="whitematter", modulated="on")
    ),
    "t1-volume-segmentation": Layout(
        "subjects/sub-*/ses-*/t1/spm/segmentation/normalized_space", SPM_GREY.format(modulated="on")
    ),
    "pet-volume": Layout(
        "subjects/sub-*/ses-*/pet/preprocessing/group-*",
        r"_pet(_pvc-[a-z]+)?_space-Ixi549Space(_[a-z]+-[A-Za-z0-9]+)*_suvr-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*_pet",
    ),
    "t1-linear": Layout("subjects/sub-*/ses-*/t1_linear", r"_space-MNI152NLin2009cSym(_desc-Crop)?_res-1x1x1_T1w"),
    "pet-linear": Layout(
        "subjects/sub-*/ses-*/pet_linear",
        r"_space-MNI152NLin2009cSym(_desc-Crop)?_res-1x1x1_suvr-[A-Za-z0-9]+_pet",
    ),
    "dti-fa": Layout(
        "subjects/sub-*/ses-*/dwi/dti_based_processing/normalized_space", r"_space-MNI152Lin(_res-1x1x1)?_FA"
    ),
    "fmriprep": Layout("sub-*/**/anat", FMRIPREP.format(tissue="GM")),
    "fmriprep-white": Layout("sub-*/**/anat", FMRIPREP.format(tissue="WM")),
    "cat12": Layout("sub-*/**/mri", r"_T1w", "mwp1"),
    "cat12-unmodulated": Layout("sub-*/**/mri", r"_T1w", "wp1"),
    "cat12-white": Layout("sub-*/**/mri", r"_T1w", "mwp2"),
    "spm": Layout("sub-*/**/anat", r"_T1w", "mwc1"),
    "spm-unmodulated": Layout("sub-*/**/anat", r"_T1w", "wc1"),
    "spm-white": Layout("sub-*/**/anat", r"_T1w", "mwc2"),
    "spm-pet": Layout("sub-*/**/pet", r"_pet", "w"),
    "deepjive-mri": Layout("sub-*/**/anat", DEEPJIVE + r"_label-GM_desc-modulated_probseg"),
    "deepjive-mri-unmodulated": Layout("sub-*/**/anat", DEEPJIVE + r"_label-GM_desc-unmodulated_probseg"),
    "deepjive-pet": Layout("sub-*/**/pet", DEEPJIVE + r"_suvr-[A-Za-z0-9]+_pet"),
}
MEASURED = (
    "trc",
    "suvr",
    "group",
    "space",
    "run",
    "rec",
    "acq",
    "echo",
    "part",
    "prefix",
)  # examples; all others count too
PROCESSED = ("pvc", "fwhm", "desc", "res", "mask")  # the least processed file is chosen

UNKNOWN_LAYOUT = "layout is {given!r}, but must be one of {known}."
NO_FOLDER = "There is no folder {path}."
SEVERAL = "{count} files fit {layout!r}: {names}. Say which, e.g. choose={{{example}}}"
TWICE = "{count} files fit {layout!r} and have the same entities: {names}. Keep one of them"
OTHER_NAME = (
    "its name does not begin with {expected!r} as its folder does; it was left out. Correct the name or the folder"
)
NOT_CONVERTED = "it holds no NIfTI file. Convert DICOM files first: dcm2niix -z y -o {folder} {folder}"
REPEATED = "it repeats another scan of the same day and was left out"
NO_CHOICE = "{given!r} is nothing that files are chosen by; they are chosen by {known}, such as trc=18FAV45."
NO_SESSION = "its folder has no session with such a file (looked for {layout!r})"
NO_TRACER = (
    "its name does not say the tracer, as trc-18FAV45 does, so it was not taken as PET of {wanted}; add the entity trc"
)
NO_SCANS = (
    "{root} holds no file of {layout!r}: none fits {pattern}. Give another folder or layout ({known}), or a table of "
    "paths (--table; `read_cohort_table`)."
)
NO_SUCH_TRACER = "{root} has no file of {layout!r} with a tracer of {wanted!r}; the tracers of its files are {found}."


class Problem(NamedTuple):
    """A reason why a scan or a participant is left out.

    Attributes
    ----------
    subject : str
        ``sub-..`` or ``sub-.._ses-..``.
    file : str
        The file or folder.
    reason : str
        The reason, and what the user can do.
    """

    subject: str
    file: str
    reason: str

    def __str__(self) -> str:
        place = [] if self.reason.startswith(self.file) else [self.file]
        return ": ".join(filter(None, [self.subject, *place, self.reason]))


@dataclass(frozen=True)
class Scans:
    """Files of one layout, at most one for each participant and session.

    Attributes
    ----------
    table : DataFrame
        Columns `participant_id`, `session_id` (empty where the data set has no sessions) and `path`.
    problems : list of Problem
        Scans and participants that were left out.
    unused : dict of str to list of str
        Entities whose chosen value no file has, and the values that the files have.
    """

    table: pd.DataFrame
    problems: list[Problem]
    unused: dict[str, list[str]] = field(default_factory=dict)


def entities(path: str | Path) -> dict[str, str]:
    """The entities of a BIDS file name; participant and session are those of the folders, if folders name them.

    Examples
    --------
    >>> entities("sub-01_ses-M00_trc-18FAV45_pet.nii.gz")
    {'sub': '01', 'ses': 'M00', 'trc': '18FAV45'}
    >>> entities("sub-A_1/anat/sub-A_1_run-2_T1w.nii.gz")
    {'sub': 'A_1', 'run': '2'}
    """
    path = Path(path)
    if loni := loni_entities(path):
        return loni
    name, known = path.name.split(".")[0], {}
    for key in ("sub", "ses"):
        folder = _folder(path, f"{key}-")
        if folder and name.startswith(f"{folder}_"):
            known[key], name = folder.removeprefix(f"{key}-"), name.removeprefix(f"{folder}_")
    return known | dict(re.findall(r"(?:^|_)([A-Za-z]+)-([^_]+)", name))


def _folder(path: Path, prefix: str) -> str:
    """Name of the innermost folder of a path that begins with a prefix; empty if there is none."""
    return next((part for part in reversed(path.parts[:-1]) if part.startswith(prefix)), "")


def find_scans(
    root: str | Path, layout: str, choose: Mapping[str, str] | None = None, *, tracer: str | None = None
) -> Scans:
    """Find the maps of one pipeline.

    Parameters
    ----------
    root : path
        The data set: a BIDS folder, a CAPS folder, or derivatives.
    layout : str
        A key of `LAYOUTS`.
    choose : mapping of str to str, optional
        Values of entities, such as ``{"trc": "18FAV45", "suvr": "pons"}``. In a session where any file has such an
        entity, only files with the value are chosen. A value that no file has is ignored. Of files that differ in
        smoothing, cropping, masking, resolution or partial-volume correction only, the file with the fewest entities is
        chosen.
        Files that differ in any other entity are a problem. Of files of SPM and CAT12 without BIDS names,
        ``{"prefix": "s8mwp1"}`` chooses those with a smoothing.
    tracer : str, optional
        What the PET shows ("amyloid", "tau" or "glucose"), or a tracer such as "18FAV45". Only files whose names have
        such a tracer (``trc``, or ``acq`` in older data sets) are found; so a folder may have several.

    Returns
    -------
    Scans

    Raises
    ------
    ValueError
        If the layout, an entity or the tracer is not known, if there is no such file, or if names of SPM and CAT12
        leave a doubt about the participant, such as ``S001a`` and ``S001b``.
    FileNotFoundError
        If the folder does not exist.
    """
    if layout not in LAYOUTS:
        raise ValueError(UNKNOWN_LAYOUT.format(given=layout, known=sorted(LAYOUTS)))
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(NO_FOLDER.format(path=root))
    paths, problems = _paths_by_session(root, layout)
    prefix = LAYOUTS[layout].prefix
    is_prefixed = bool(prefix) and not paths
    if is_prefixed:
        paths, left_out = prefixed_maps(root, layout, prefix)
        problems = [Problem(*reason) for reason in left_out]
    elif prefix:
        known = {problem.file for problem in problems}
        problems += [Problem(*other) for other in beside_bids(root, prefix, paths) if other[1] not in known]
    if prefix and not paths and not problems:
        raise ValueError(nothing_found(root, layout, prefix, _others(layout)))
    if not paths and not problems:
        raise ValueError(NO_SCANS.format(root=root, layout=layout, pattern=_in_words(layout), known=_others(layout)))
    if tracer is not None:
        paths = _of_tracer(root, layout, tracer, paths, problems)
    unused = _unused_choices([path for files in paths.values() for path in files], choose or {}, prefix)
    wanted = {key: value for key, value in (choose or {}).items() if key not in unused}
    chosen = {key: _chosen(files, wanted, prefix) for key, files in paths.items()}
    if is_prefixed:
        chosen, left_out = one_smoothing(root, layout, prefix, paths, chosen)
        problems += [Problem(*reason) for reason in left_out]
    return _one_each(root, layout, chosen, problems, unused, tracer)


def _in_words(layout: str) -> str:
    """Which files a layout has."""
    if layout in KINDS:
        return "PARTICIPANT/SERIES/DATE/IMAGE, as downloads of LONI have it"
    folder, name, prefix = LAYOUTS[layout]
    return f"{folder}/{prefix}*{name}.nii.gz"


def _others(layout: str) -> str:
    return ", ".join(known for known in LAYOUTS if known != layout)


def _of_tracer(
    root: Path, layout: str, wanted: str, by_session: dict[tuple[str, str], list[Path]], problems: list[Problem]
) -> dict[tuple[str, str], list[Path]]:
    """The files of some tracers; files that name no tracer are problems."""
    tracers, seen = tracers_of(wanted), set[str]()
    found: dict[tuple[str, str], list[Path]] = {}
    for key, paths in by_session.items():
        for path in paths:
            known = entities(path)
            labels = [known[entity] for entity in ("trc", "acq") if entity in known]
            if LAYOUTS[layout].prefix and not labels:
                words = (*words_of(path), *words_of_folders(path, root))
                labels = [word for word in words if tracer_of([word])]
            tracer = tracer_of(labels)
            seen.add(tracer or next(iter(labels), "not named"))
            if tracer in tracers:
                found.setdefault(key, []).append(path)
            elif not labels:
                problems.append(Problem("_".join(filter(None, key)), str(path), NO_TRACER.format(wanted=wanted)))
    if by_session and not found:
        raise ValueError(NO_SUCH_TRACER.format(root=root, layout=layout, wanted=wanted, found=", ".join(sorted(seen))))
    return found


def _paths_by_session(root: Path, layout: str) -> tuple[dict[tuple[str, str], list[Path]], list[Problem]]:
    """All files of a layout, by participant and session, and files whose names contradict their folders."""
    if layout in KINDS:
        return _paths_of_loni(root, layout)
    name = re.compile(LAYOUTS[layout].name + NIFTI + "$")
    by_session: dict[tuple[str, str], list[Path]] = {}
    problems: list[Problem] = []
    for folder in sorted(root.glob(LAYOUTS[layout].folder)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not (name.search(path.name) and path.name.startswith(LAYOUTS[layout].prefix)):
                continue
            if not shown(path, root):
                continue
            inside = path.relative_to(root)
            subject, session = _folder(inside, "sub-"), _folder(inside, "ses-")
            expected = "_".join(filter(None, (subject, session)))
            if not path.name.removeprefix(LAYOUTS[layout].prefix).startswith(f"{expected}_"):
                problems.append(Problem(expected, str(path), OTHER_NAME.format(expected=f"{expected}_")))
                continue
            session = session or "".join(f"ses-{value}" for key, value in entities(path).items() if key == "ses")
            by_session.setdefault((subject, session), []).append(path)
    return by_session, problems


def _paths_of_loni(root: Path, layout: str) -> tuple[dict[tuple[str, str], list[Path]], list[Problem]]:
    """Files of a download of LONI; repeats of a day and folders without NIfTI files are problems."""
    by_session: dict[tuple[str, str], list[Path]] = {}
    problems: list[Problem] = []
    for folder in image_folders(root, layout):
        known = loni_entities(folder / "scan")
        key = f"sub-{known['sub']}", f"ses-{known['ses']}"
        files = [path for path in sorted(folder.iterdir()) if re.search(NIFTI + "$", path.name)]
        if not files:
            problems.append(Problem("_".join(key), str(folder), NOT_CONVERTED.format(folder=folder)))
            continue
        by_session.setdefault(key, []).extend(files)
    for key, files in by_session.items():
        first = [path for path in files if not is_repeat(path)]
        if first:
            problems += [Problem("_".join(key), str(path), REPEATED) for path in files if is_repeat(path)]
            by_session[key] = first
    return by_session, problems


def _unused_choices(paths: Iterable[Path], choose: Mapping[str, str], prefix: str) -> dict[str, list[str]]:
    """Entities whose chosen value no file has, with the values that the files have."""
    paths, unused = list(paths), {}
    for key, value in choose.items():
        values = {_entity(path, key, prefix) for path in paths}
        if key not in (*MEASURED, *PROCESSED) and not any(values):
            raise ValueError(NO_CHOICE.format(given=key, known=", ".join((*MEASURED, *PROCESSED))))
        if not any(_same(other, value) for other in values):
            unused[key] = sorted(filter(None, values))
    return unused


def _one_each(
    root: Path,
    layout: str,
    by_session: Mapping[tuple[str, str], list[Path]],
    problems: list[Problem],
    unused: dict[str, list[str]],
    tracer: str | None,
) -> Scans:
    """One file of each session; a session whose files differ in more than their processing is a problem."""
    rows, problems = [], list(problems)
    by_session = {key: paths for key, paths in by_session.items() if paths}
    for (subject, session), paths in by_session.items():
        fewest = min(len(entities(path)) for path in paths)
        plainest = [path for path in paths if len(entities(path)) == fewest]
        clash = _clash(paths, PROCESSED) or _clash(plainest, ())
        if clash or len(plainest) > 1:
            names = ", ".join(path.name for path in paths)
            reason = TWICE.format(count=len(plainest), layout=layout, names=names)
            if clash:
                example = f"{clash!r}: {next(filter(None, (_entity(path, clash) for path in paths)))!r}"
                reason = SEVERAL.format(count=len(paths), layout=layout, names=names, example=example)
            problems.append(Problem("_".join(filter(None, (subject, session))), str(paths[0].parent), reason))
            continue
        rows.append({"participant_id": subject, "session_id": session, "path": plainest[0]})
    with_files = {subject for subject, _ in by_session}
    for name, folder in _subject_folders(root, layout):
        if name not in with_files:
            wanted = layout if tracer is None else f"{layout} of {tracer}"
            problems.append(Problem(name, str(folder), NO_SESSION.format(layout=wanted)))
    return Scans(pd.DataFrame(rows, columns=["participant_id", "session_id", "path"]), problems, unused)


def _subject_folders(root: Path, layout: str) -> Iterable[tuple[str, Path]]:
    """The names and folders of all participants."""
    if layout in KINDS:
        return ((f"sub-ADNI{folder.name.replace('_', '')}", folder) for folder in participant_folders(root))
    pattern = "subjects/sub-*" if LAYOUTS[layout].folder.startswith("subjects/") else "sub-*"
    return ((path.name, path) for path in sorted(root.glob(pattern)) if path.is_dir())


def _entity(path: Path, key: str, prefix: str = "") -> str:
    """The value of an entity; of ``prefix`` with the smoothing before the layout's prefix."""
    if key == "group":
        return _folder(path, "group-").removeprefix("group-")
    if key == "prefix":
        return prefix_of(path.name, prefix) if prefix else ""
    return entities(path).get(key, "")


def _chosen(paths: list[Path], choose: Mapping[str, str], prefix: str) -> list[Path]:
    """The files of a session with the chosen values; an entity that no file of the session has is ignored."""
    for key, value in choose.items():
        if any(_entity(path, key, prefix) for path in paths):
            paths = [path for path in paths if _same(_entity(path, key, prefix), value)]
    return paths


def _same(value: str, wanted: str) -> bool:
    """Whether two values are equal; numbers may have leading zeros."""
    return value == wanted or (value.isdigit() and wanted.isdigit() and int(value) == int(wanted))


def _clash(paths: list[Path], ignored: Iterable[str]) -> str | None:
    """An entity in which the files differ, beside ignored ones; None if there is none."""
    keys = dict.fromkeys(("group", *(key for path in paths for key in entities(path))))
    different = (key for key in keys if key not in ignored and len({_entity(path, key) for path in paths}) > 1)
    return min(different, key=lambda key: MEASURED.index(key) if key in MEASURED else len(MEASURED), default=None)
