"""Tables of brain regions from folders of FreeSurfer, Clinica and CAT12: a row for each participant and session.

``FOLDER:ATLAS:MEASURE`` names a table, and ``FOLDER:ATLAS:MEASURE:WORD`` only files whose names contain the word, such
as ``trc-18FAV45``:

| folder | atlas | measure |
|---|---|---|
| FreeSurfer's subjects (``*/stats``) | ``aseg`` | ``volume``, ``mean`` |
| | ``aparc``, ``aparc.a2009s``, ... (both hemispheres) | ``thickness``, ``area``, ``volume``, ``meancurv`` |
| CAPS of Clinica | ``AAL2``, ``desikan``, ... (``atlas_statistics``) | ``graymatter``, ``pet``, ``FA``, ``MD``, ... |
| | ``desikan``, ``destrieux``, ``ba`` (``regional_measures``) | ``thickness``, ``area``, ``volume``, ``meancurv`` |
| | ``aseg`` | ``volume`` |
| CAT12 (``**/label``) | ``neuromorphometrics``, ``cobra``, ... | ``Vgm``, ``Vwm``, ``Vcsf`` |
| | ``aparc_DK40``, ... | ``thickness`` |

FreeSurfer's longitudinal stream (``TIMEPOINT.long.TEMPLATE``) is read with the word ``.long.``, and left out otherwise.
Derivatives of fMRIPrep and sMRIPrep have FreeSurfer's subjects in ``sourcedata/freesurfer``, where they are found too.
The CSV files that CAT12 and FreeSurfer's ``asegstats2table`` export are read like other tables.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepjive.data.readers.guard import UnreadableError
from deepjive.data.readers.region_files import (
    APARC,
    ASEG,
    cat12_regions,
    freesurfer_stats,
    statistics_table,
    wide_table,
)

if TYPE_CHECKING:
    import pandas as pd

Read = Callable[[Path], dict[str, float]]
Found = dict[str, list[tuple[str, Path, Read]]]  # files of each sample, with the prefix of their regions

WHICH_TABLE = "{folder} is a folder. Say which table of regions is meant, as {folder}:ATLAS:MEASURE, such as {example}."
NO_PROGRAM = (
    "{folder} is no folder of FreeSurfer (*/stats), Clinica (subjects/sub-*) or CAT12 (label/catROI_*.xml). Name the "
    "folder that holds all participants."
)
UNKNOWN_MEASURE = "The atlas {atlas!r} of FreeSurfer has no measure {measure!r}; it has {known}."
NOTHING = "{folder} has no table of atlas {atlas!r} and measure {measure!r}{word}. {left_out}"
SEVERAL = "several files fit: {names}. Choose by a word of their names, as {example}"
NO_FILE = "it has no {wanted}"
LONG = ".long."
LONGITUDINAL = "it is of FreeSurfer's longitudinal stream; the word .long. reads such folders instead of the others"
TEMPLATE = "it is the template of a participant's time points, and no scan"
LEFT_OUT = "{count} participants or regions of {source} are left out: {shown}"
NOT_COMMON = "region {region!r} has a value in {count} of {n} participants only"
SHOWN = 5


class RegionTable(NamedTuple):
    """Values of regions.

    Attributes
    ----------
    table : DataFrame, shape (n_samples, n_regions)
        The index names the samples: participant and session, or the name of FreeSurfer's folder.
    left_out : list of str
        Participants, files and regions that were left out, each with the reason.
    """

    table: pd.DataFrame
    left_out: list[str]


def region_table(folder: str | Path, atlas: str, measure: str, word: str = "") -> RegionTable:
    """Read a table of regions from the files of all participants in a folder.

    Parameters
    ----------
    folder : path
        Folder of FreeSurfer's subjects, a CAPS folder, or a folder that CAT12 wrote.
    atlas, measure : str
        Which table; see the description of ``deepjive.data.readers.region_tables``.
    word : str, default=""
        Only files whose names contain this word are read, such as ``"trc-18FAV45"`` or ``"suvr-pons"``.

    Returns
    -------
    RegionTable
        Regions that some participants lack are left out.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the folder is of no known program, or has no such table.

    Examples
    --------
    >>> region_table("SUBJECTS_DIR", "aparc", "thickness")  # doctest: +SKIP
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    left_out: list[str] = []
    rows: dict[str, dict[str, float]] = {}
    for sample, files in _finder(folder)(folder, atlas, measure, word, left_out).items():
        try:
            rows[sample] = {
                f"{prefix}{region}": value for prefix, path, read in files for region, value in read(path).items()
            }
        except (UnreadableError, OSError) as error:
            left_out.append(f"{sample}: {error}")
    if not rows:
        words = f" with {word!r} in the names" if word else ""
        reasons = "; ".join(left_out[:SHOWN])
        raise UnreadableError(
            NOTHING.format(folder=folder, atlas=atlas, measure=measure, word=words, left_out=reasons).strip()
        )
    return RegionTable(_common(rows, left_out), left_out)


def read_region_source(source: str) -> pd.DataFrame | None:
    """Read the table that ``FOLDER:ATLAS:MEASURE[:WORD]`` names; None if the source names no folder.

    What is left out is named by a warning.
    """
    parts = _folder_and_key(source)
    if parts is None:
        return None
    folder, key = parts
    words = key.split(":") if key else []
    if len(words) not in (2, 3) or not all(words):
        example = f"{folder}:aparc:thickness, {folder}:AAL2:graymatter or {folder}:neuromorphometrics:Vgm"
        raise UnreadableError(WHICH_TABLE.format(folder=folder, example=example))
    table, left_out = region_table(folder, *words)
    if left_out:
        shown = "; ".join(left_out[:SHOWN]) + ("; ..." if len(left_out) > SHOWN else "")
        warnings.warn(LEFT_OUT.format(count=len(left_out), source=source, shown=shown), UserWarning, stacklevel=2)
    return table


def _folder_and_key(source: str) -> tuple[Path, str] | None:
    """The longest folder that the source begins with, and what follows its colon; a zarr array is no such folder."""
    if re.search(r"\.zarr(?=$|[/\\:])", source, re.IGNORECASE):
        return None
    if Path(source).is_dir():
        return (Path(source), "") if _program(Path(source)) else None
    for place in [match.start() for match in re.finditer(":", source)][::-1]:
        if Path(source[:place]).is_dir() and source[:place]:
            return Path(source[:place]), source[place + 1 :]
    return None


def _program(folder: Path) -> str:
    """The program that wrote a folder; empty if it is none of the known ones."""
    if any(folder.glob("subjects/sub-*")):
        return "Clinica"
    if any(folder.glob("*/stats")) or any(folder.glob("sourcedata/freesurfer/*/stats")):
        return "FreeSurfer"
    return "CAT12" if next(_cat12_files(folder), None) is not None else ""


def _finder(folder: Path) -> Callable[[Path, str, str, str, list[str]], Found]:
    finders = {"Clinica": _clinica, "FreeSurfer": _freesurfer, "CAT12": _cat12}
    program = _program(folder)
    if not program:
        raise UnreadableError(NO_PROGRAM.format(folder=folder))
    return finders[program]


def _freesurfer(folder: Path, atlas: str, measure: str, word: str, left_out: list[str]) -> Found:
    root = folder if any(folder.glob("*/stats")) else folder / "sourcedata" / "freesurfer"
    subjects = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith("fsaverage")]
    return _freesurfer_files(_time_points(subjects, word, left_out), atlas, measure, left_out)


def _time_points(subjects: list[Path], word: str, left_out: list[str]) -> list[tuple[str, Path]]:
    """The folders of one kind: cross-sectional ones, or longitudinal ones if the word is ``.long.``.

    The longitudinal stream writes ``TIMEPOINT.long.TEMPLATE`` beside each ``TIMEPOINT``, and the folder ``TEMPLATE``.
    """
    templates = {path.name.partition(LONG)[2] for path in subjects if LONG in path.name}
    if word == LONG:
        return [(path.name.partition(LONG)[0], path) for path in subjects if LONG in path.name]
    chosen = []
    for path in subjects:
        reason = LONGITUDINAL if LONG in path.name else TEMPLATE if path.name in templates else ""
        if reason:
            left_out.append(f"{path.name}: {reason}")
        elif word in path.name:
            chosen.append((path.name, path))
    return chosen


def _freesurfer_files(subjects: list[tuple[str, Path]], atlas: str, measure: str, left_out: list[str]) -> Found:
    columns = ASEG if atlas == "aseg" else APARC
    if measure not in columns:
        raise UnreadableError(UNKNOWN_MEASURE.format(atlas=atlas, measure=measure, known=", ".join(columns)))
    read: Read = partial(freesurfer_stats, column=columns[measure])
    names = {"": "aseg.stats"} if atlas == "aseg" else {f"{side}_": f"{side}.{atlas}.stats" for side in ("lh", "rh")}
    found: Found = {}
    for name, subject in subjects:
        files = [(prefix, subject / "stats" / file, read) for prefix, file in names.items()]
        missing = [f"stats/{path.name}" for _, path, _ in files if not path.is_file()]
        if not missing:
            found[name] = files
        elif (subject / "stats").is_dir() or (subject / "mri").is_dir():
            left_out.append(f"{name}: {NO_FILE.format(wanted=' or '.join(missing))}")
    return found


def _clinica(folder: Path, atlas: str, measure: str, word: str, left_out: list[str]) -> Found:
    found: Found = {}
    for session in sorted(folder.glob("subjects/sub-*/ses-*")):
        sample = f"{session.parent.name}_{session.name}"
        names = _clinica_names(atlas, measure)
        files = [path for path in sorted(session.rglob("*.tsv")) if word in str(path.relative_to(folder))]
        by_kind = [[path for path in files if re.search(pattern, path.name)] for pattern, _, _ in names]
        fitting = [path for paths in by_kind for path in paths]
        if not fitting:
            stats = next((session / "t1" / "freesurfer_cross_sectional").glob("*/stats"), None)
            if stats is not None and atlas.startswith("a") and measure in APARC:
                found |= _freesurfer_files([(sample, stats.parent)], atlas, measure, left_out)
            else:
                left_out.append(f"{sample}: {NO_FILE.format(wanted=f'table of {atlas} and {measure}')}")
        elif any(len(paths) > 1 for paths in by_kind):
            example = f"{folder}:{atlas}:{measure}:{_word_of(fitting)}"
            listed = ", ".join(path.name for path in fitting)
            left_out.append(f"{sample}: {SEVERAL.format(names=listed, example=example)}")
        else:
            kinds = zip(names, by_kind, strict=True)
            found[sample] = [(prefix, paths[0], read) for (_, prefix, read), paths in kinds if paths]
    return found


def _clinica_names(atlas: str, measure: str) -> list[tuple[str, str, Read]]:
    """Patterns of names of the files of a table; a table of both hemispheres has two files."""
    space = re.escape(atlas)
    if atlas == "aseg":
        return [(r"_segmentationVolumes\.tsv$", "", wide_table)]
    if measure in APARC:
        sides = ("left", "right")
        return [(rf"_hemi-{side}_parcellation-{space}_{measure}\.tsv$", "", wide_table) for side in sides]
    kind = "_pet_" if measure == "pet" else f"_map-{re.escape(measure)}_"
    return [(rf"(?=.*{kind}).*_space-{space}_.*statistics\.tsv$", "", statistics_table)]


def _word_of(paths: list[Path]) -> str:
    """An entity in which files differ, as an example of a choice."""
    words = [re.findall(r"[A-Za-z]+-[A-Za-z0-9]+", str(path)) for path in paths]
    different = [word for word in words[0] if not all(word in others for others in words)]
    return different[0] if different else "WORD"


def _cat12_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("catROI*.xml") if path.is_file())


def _cat12(folder: Path, atlas: str, measure: str, word: str, left_out: list[str]) -> Found:
    prefix = "catROI_" if measure.startswith("V") else "catROIs_"
    found: Found = {}
    for path in sorted(_cat12_files(folder)):
        if not path.name.startswith(prefix) or word not in path.name:
            continue
        sample = path.stem.removeprefix(prefix).removesuffix("_T1w")
        if sample in found:
            left_out.append(f"{sample}: {path}: another file of the same name was read")
            continue
        found[sample] = [("", path, partial(cat12_regions, atlas=atlas, measure=measure))]
    return found


def _common(rows: dict[str, dict[str, float]], left_out: list[str]) -> pd.DataFrame:
    """The regions that have a value in all participants."""
    import pandas as pd

    table = pd.DataFrame.from_dict(rows, orient="index").astype(float)
    counts = np.isfinite(table.to_numpy()).sum(axis=0)
    for region, count in zip(table.columns, counts, strict=True):
        if count < len(table):
            left_out.append(NOT_COMMON.format(region=region, count=count, n=len(table)))
    table = table.loc[:, counts == len(table)]
    if not table.shape[1]:
        raise UnreadableError("No region has a value in all participants. " + "; ".join(left_out[:SHOWN]))
    return table.rename_axis("participant_id")
