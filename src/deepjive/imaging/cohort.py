"""Cohorts of brain images from a user's folders: results of Clinica or fMRIPrep, such as ADNI, or a table of paths.

    scans of each modality  ->  joined on participant and time  ->  diagnosis and covariates  ->  Modalities, lazily

Access to the data of ADNI is restricted (adni.loni.usc.edu), and nothing is downloaded here. Problems of single files
and participants are collected in `Cohort.problems`, and the cohort is read without these files and participants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.data.readers.adni import ptid_of
from deepjive.data.readers.visits import nearest, visit_of
from deepjive.data.readers.volumes import is_image
from deepjive.imaging.adnimerge import NEEDED, clinical_of, is_adnimerge
from deepjive.imaging.bids import Problem, find_scans
from deepjive.imaging.grid import Grid, mni_grid, template
from deepjive.imaging.volumes import VolumeRows, on_grid
from deepjive.progress import Progress, silent

MISSING_WORDS = ["n/a", "N/A", "NA", "nan", "NaN", ""]

DUPLICATE = "rows {rows} describe it; the first is used"
NOT_IN_TIME = "no {name} within {months:g} months of the {anchor}; kept without it"
NO_TIME = (
    "whether a {name} is near the {anchor} in time is not known; kept without it. Give dates, as examination_date or "
    "acq_time in sub-*/sub-*_sessions.tsv, or months in the names of sessions (ses-M06)"
)
NO_DIAGNOSIS = (
    "Nothing says what the participants' diagnoses are: a column 'diagnosis' is expected in the table of paths, or in "
    "the participants.tsv or sub-*/sub-*_sessions.tsv of a BIDS folder (clinical=, --bids). There are the columns "
    "{columns}."
)
NO_SUCH_VALUE = "No file is to be chosen by {key}={value}; the values of {key} are: {values}."
NO_PARTICIPANT = "row {row} has no participant_id and was left out"
NO_RATIO = (
    "its values reach {largest:.3g}, more than half precision holds ({limit:.3g}): a map of probabilities or of uptake "
    "ratios is expected; divide it first"
)
NO_CLINICAL = (
    "There is no folder or table {path}, which clinical= (--bids) names; give the BIDS folder with participants.tsv, "
    "or ADNIMERGE.csv."
)
OTHER_CLINICAL = (
    "{path}, which clinical= (--bids) names, has neither a column 'participant_id' nor the columns {needed} of "
    "ADNIMERGE; its columns are {columns}."
)
NO_CLINICAL_TABLE = "it holds neither participants.tsv nor sub-*/sub-*_sessions.tsv"
NOT_DESCRIBED = (
    "it has no row for {count} of {n} participants: {names}; its participant_id are such as {given!r}. These "
    "participants have no values of this table"
)
NO_TABLE = "{path} has no column {column!r}; its columns are {columns}."
NO_MODALITIES = "{path} names no images: give a column of paths for each modality, beside {known}."
NOTHING_LEFT = "No usable scan was found. {problems}"
WITHOUT_IMAGE = "it has no readable image of any modality and was left out"
MORE, MATCHED = "_of_the_same", "_matched"
KNOWN = ("participant_id", "session_id", "diagnosis", "age", "sex")


@dataclass(frozen=True)
class Cohort:
    """Joined scans of participants.

    Attributes
    ----------
    table : DataFrame
        A row for each sample: `participant_id`, `session_id`, a column of paths for each modality (None where the scan
        is missing), and diagnosis, age, sex and all other columns, with NaN for missing values.
    names : tuple of str
        Names of the modalities.
    problems : list of Problem
        Files and participants that were left out, with reasons; reading the volumes adds to it.
    """

    table: pd.DataFrame
    names: tuple[str, ...]
    problems: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def samples(self) -> list[str]:
        """A name for each sample: participant and session."""
        return ["_".join(filter(None, pair)) for pair in zip(*(self.table[key] for key in KNOWN[:2]), strict=True)]

    @property
    def groups(self) -> NDArray[np.str_]:
        """The participant of each sample; splits must keep all sessions of a participant together."""
        return self.table["participant_id"].to_numpy(dtype=str)

    def where(self, rows: Any) -> Cohort:
        """Some of the samples."""
        return Cohort(self.table.iloc[rows].reset_index(drop=True), self.names, self.problems)

    def complete(self) -> Cohort:
        """The samples that have all modalities."""
        return self.where(np.flatnonzero(self.table[list(self.names)].notna().all(axis=1)))

    def diagnosed(self, *diagnoses: str) -> Cohort:
        """The samples with one of some diagnoses, e.g. ``cohort.diagnosed("CN", "AD")``.

        Raises
        ------
        ValueError
            If no diagnoses are known.
        """
        if "diagnosis" not in self.table:
            raise ValueError(NO_DIAGNOSIS.format(columns=list(self.table)))
        return self.where(np.flatnonzero(self.table["diagnosis"].isin(diagnoses)))

    def folds(self, n_splits: int = 5, random_state: int = 0) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Training and test rows of each fold, split by participant and stratified by diagnosis where it is known."""
        from sklearn.model_selection import StratifiedGroupKFold

        labels = self.table["diagnosis"].fillna("unknown") if "diagnosis" in self.table else np.zeros(len(self))
        folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)
        return folds.split(np.zeros(len(self)), labels, self.groups)

    def read(
        self, voxel: float = 3.0, store: str | Path | None = None, *, progress: Progress = silent
    ) -> tuple[Cohort, Modalities]:
        """Check every volume, and return the readable volumes, resampled to the standard grid and masked.

        Parameters
        ----------
        voxel : float, default=3.0
            Edge of a voxel of the standard grid in mm.
        store : path, optional
            Folder in which the resampled volumes are stored in half precision, so that training reads them quickly.
            Without it, volumes are resampled from their files whenever they are read.
        progress : callable, default=silent
            ``progress(done, total, message)``, called before the volumes of each sample.

        Returns
        -------
        cohort : Cohort
            The samples that have at least one readable volume, in the order of `data`.
        data : Modalities
            Volumes (n, x, y, z); `data.present` says which sample has which.

        Raises
        ------
        ValueError
            If nothing can be read.
        """
        grid, mask = mni_grid(voxel), template("brain", voxel) > 0
        stored = {name: _store(store, name, len(self), grid) for name in self.names}
        table, problems = self._checked(stored, grid, mask, progress)
        is_readable = [any(_is_path(value) for value in row) for row in table[list(self.names)].to_numpy()]
        rows = np.flatnonzero(is_readable)
        problems += [Problem(self.samples[row], "", WITHOUT_IMAGE) for row in np.setdiff1d(np.arange(len(table)), rows)]
        if not len(rows):
            raise ValueError(NOTHING_LEFT.format(problems="; ".join(map(str, problems[:5]))))
        cohort = Cohort(table, self.names, problems).where(rows)
        return cohort, cohort._modalities(stored, rows, grid, mask)

    def _checked(
        self, stored: Mapping[str, Any], grid: Grid, mask: NDArray[np.bool_], progress: Progress
    ) -> tuple[pd.DataFrame, list[Problem]]:
        """Read and store every volume; returns the table without unreadable volumes, and the problems."""
        table, problems = self.table.copy(), list(self.problems)
        for row, sample in enumerate(self.samples):
            progress(row, len(self), f"Reading {sample}")
            for name in self.names:
                path = table.at[row, name]
                if not _is_path(path):
                    continue
                try:
                    volume = on_grid(str(path), grid, mask)
                    if stored[name] is not None:
                        stored[name][row] = _in_half_precision(volume)
                except (ValueError, OSError) as error:
                    problems.append(Problem(sample, str(path), str(error)))
                    table.at[row, name] = None
        return table, problems

    def _modalities(
        self, stored: Mapping[str, Any], rows: NDArray[np.intp], grid: Grid, mask: NDArray[np.bool_]
    ) -> Modalities:
        from deepjive.data.readers.lazy import LazyRows

        paths = {name: [path if _is_path(path) else None for path in self.table[name]] for name in self.names}
        arrays: dict[str, Any] = {
            name: VolumeRows(paths[name], grid, mask) if stored[name] is None else LazyRows(stored[name], rows)
            for name in self.names
        }
        present = np.array([[path is not None for path in paths[name]] for name in self.names]).T
        return Modalities(arrays, samples=self.samples, present=present, groups=self.groups)


def read_cohort(
    sources: Mapping[str, tuple[str, str | Path] | tuple[str, str | Path, str]],
    *,
    clinical: str | Path | None = None,
    choose: Mapping[str, str] | None = None,
    max_months: float = 12.0,
) -> Cohort:
    """Find the scans of several modalities, and join the scans of each participant.

    Parameters
    ----------
    sources : mapping of str to (layout, folder) or (layout, folder, tracer)
        For each modality the layout of its folder, a key of ``deepjive.imaging.bids.LAYOUTS``, and the folder. The last
        modality is the anchor: each of its scans is a sample, and it is joined with the scan of each other modality
        that is nearest in time. Therefore PET comes after MRI:
        ``{"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}``. If a folder has PET of several tracers, the
        third word says what the PET of the modality shows ("amyloid", "tau" or "glucose"), or names its tracer:
        ``{..., "amyloid": ("pet-volume", caps, "amyloid"), "tau": ("pet-volume", caps, "tau")}``.
    clinical : path, optional
        A BIDS folder with ``participants.tsv`` and, as Clinica writes them, ``sub-*/sub-*_sessions.tsv``; or ADNI's
        table ``ADNIMERGE.csv``; or a table with a column `participant_id`.
    choose : mapping of str to str, optional
        Entities that file names must have if any file of the session has them, such as
        ``{"trc": "18FAV45", "suvr": "pons"}``.
    max_months : float, default=12.0
        Scans further apart in time are not joined. Scans of one session are always joined.

    Returns
    -------
    Cohort

    Raises
    ------
    FileNotFoundError
        If a folder does not exist, also that of `clinical`.
    ValueError
        If a layout or an entity is not known, or if no file has a chosen value.

    Examples
    --------
    >>> cohort = read_cohort({"mri": ("t1-volume", "CAPS"), "pet": ("pet-volume", "CAPS")}, clinical="BIDS")
    ... # doctest: +SKIP
    >>> cohort, data = cohort.complete().diagnosed("CN", "AD").read(voxel=3)  # doctest: +SKIP
    """
    scans = {
        name: find_scans(folder, layout, choose, tracer=next(iter(tracer), None))
        for name, (layout, folder, *tracer) in sources.items()
    }
    _check_choice([found.unused for found in scans.values()], choose or {})
    problems = [problem for found in scans.values() for problem in found.problems]
    samples = [
        (row["participant_id"], row["session_id"]) for found in scans.values() for _, row in found.table.iterrows()
    ]
    sessions, participants = _clinical(clinical, samples, problems)
    tables = {name: _with_visits(found.table, sessions) for name, found in scans.items()}
    joined = _joined(tables, max_months, problems)
    _list_undescribed(joined, participants, clinical, problems)
    return Cohort(_described(joined, sessions, participants), tuple(sources), problems)


def _check_choice(unused: Sequence[Mapping[str, list[str]]], choose: Mapping[str, str]) -> None:
    """Fail for a chosen value that no file of any modality has."""
    for key in set.intersection(*map(set, unused)):
        values = sorted({value for values_by_key in unused for value in values_by_key[key]})
        raise ValueError(NO_SUCH_VALUE.format(key=key, value=choose[key], values=", ".join(values) or "none"))


def _with_visits(table: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """The table of scans with the visit of each scan."""
    described = {
        (row["participant_id"], row["session_id"]): {str(key): value for key, value in row.items()}
        for row in sessions.to_dict(orient="records")
    }
    keys = zip(table["participant_id"], table["session_id"], strict=True)
    table = table.copy()
    table["visit"] = [visit_of(key[1], described.get(key, {})) for key in keys]
    return table


def read_cohort_table(path: str | Path, *, clinical: str | Path | None = None) -> Cohort:
    """Read a cohort from a table of paths.

    Parameters
    ----------
    path : path
        A ``.csv`` or ``.tsv`` file with a row for each sample. Its columns are `participant_id`, optionally
        `session_id`, `diagnosis`, `age`, `sex` and others, and for each modality a column of NIfTI paths, relative to
        the folder of the table. Empty cells and ``n/a`` are missing values.
    clinical : path, optional
        A BIDS folder or table with values that the table does not have; see `read_cohort`.

    Returns
    -------
    Cohort

    Raises
    ------
    ValueError
        If the table has no `participant_id`, or no column of images.
    """
    path = Path(path)
    table = _table(path)
    if "participant_id" not in table:
        raise ValueError(NO_TABLE.format(path=path, column="participant_id", columns=list(table)))
    if "session_id" not in table:
        table["session_id"] = ""
    table["session_id"] = table["session_id"].fillna("")
    names = tuple(str(column) for column in table if column not in KNOWN and _holds_images(table[column]))
    if not names:
        raise ValueError(NO_MODALITIES.format(path=path, known=list(KNOWN)))
    problems: list[Problem] = []
    for row in np.flatnonzero(table["participant_id"].isna()):
        problems.append(Problem("", str(path), NO_PARTICIPANT.format(row=row + 2)))
    table = table[table["participant_id"].notna()]
    table = _without_duplicates(table, ["participant_id", "session_id"], path, problems)
    for name in names:
        table[name] = np.array(
            [path.parent / value if isinstance(value, str) else None for value in table[name]], object
        )
    if clinical is not None:
        samples = list(zip(table["participant_id"].astype(str), table["session_id"].astype(str), strict=True))
        sessions, participants = _clinical(clinical, samples, problems)
        _list_undescribed(table, participants, clinical, problems)
        table = _described(table, sessions, participants)
    return Cohort(table.reset_index(drop=True), names, problems)


def _clinical(
    folder: str | Path | None, samples: Sequence[tuple[str, str]], problems: list[Problem]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of sessions and of participants; empty where there are none."""
    sessions, participants = (
        pd.DataFrame(columns=["participant_id", "session_id"]),
        pd.DataFrame(columns=["participant_id"]),
    )
    if folder is None:
        return sessions, participants
    folder = Path(folder)
    if folder.is_file():
        return _clinical_table(folder, samples, sessions, problems)
    if not folder.is_dir():
        raise FileNotFoundError(NO_CLINICAL.format(path=folder))
    if (folder / "participants.tsv").is_file():
        table = _keyed(folder / "participants.tsv", "participant_id", "", problems)
        participants = participants if table is None else table
    pieces = []
    for path in sorted(folder.glob("sub-*/sub-*_sessions.tsv")):
        piece = _keyed(path, "session_id", path.parent.name, problems)
        if piece is not None:
            piece.insert(0, "participant_id", path.parent.name)
            pieces.append(piece)
    if not pieces and not (folder / "participants.tsv").is_file():
        problems.append(Problem("", str(folder), NO_CLINICAL_TABLE))
    return (pd.concat(pieces, ignore_index=True) if pieces else sessions), participants


def _clinical_table(
    path: Path, samples: Sequence[tuple[str, str]], sessions: pd.DataFrame, problems: list[Problem]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of sessions and participants in one file: ADNIMERGE, or a table of participants."""
    table = _table(path)
    if is_adnimerge(table):
        return clinical_of(table, samples, path, problems)
    if "participant_id" not in table:
        raise ValueError(OTHER_CLINICAL.format(path=path, needed=list(NEEDED), columns=list(table)))
    return sessions, _without_duplicates(table[table["participant_id"].notna()], ["participant_id"], path, problems)


def _keyed(path: Path, key: str, subject: str, problems: list[Problem]) -> pd.DataFrame | None:
    """A table with one row for each value of a key; a table without the key is a problem."""
    table = _table(path)
    if key not in table:
        problems.append(Problem(subject, str(path), NO_TABLE.format(path=path.name, column=key, columns=list(table))))
        return None
    return _without_duplicates(table[table[key].notna()], [key], path, problems)


def _list_undescribed(
    table: pd.DataFrame, participants: pd.DataFrame, clinical: str | Path | None, problems: list[Problem]
) -> None:
    """Add a problem if some participants, whose scans were found, have no row in participants.tsv."""
    if not len(participants):
        return
    described = set(participants["participant_id"].map(_plain))
    missing = [name for name in dict.fromkeys(table["participant_id"]) if _plain(name) not in described]
    if missing:
        names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        n, given = table["participant_id"].nunique(), participants["participant_id"].iloc[0]
        reason = NOT_DESCRIBED.format(count=len(missing), n=n, names=names, given=given)
        path = Path(clinical or "")
        problems.append(Problem("", str(path if path.is_file() else path / "participants.tsv"), reason))


def _plain(name: Any) -> str:
    """A participant or session without the ``sub-`` or ``ses-`` that some tables leave out; ADNI's names are one."""
    if ptid := ptid_of(str(name)):
        return ptid
    return re.sub("^(sub|ses)-", "", str(name))


def _joined(tables: Mapping[str, pd.DataFrame], max_months: float, problems: list[Problem]) -> pd.DataFrame:
    """One row for each scan of the anchor, and for each participant without one."""
    *others, anchor = tables
    rows = tables[anchor].rename(columns={"path": anchor}).to_dict(orient="records")
    scanned = set(tables[anchor]["participant_id"])
    for name in others:
        alone = tables[name][~tables[name]["participant_id"].isin(scanned)]
        for row in alone.to_dict(orient="records"):
            rows.append({**row, anchor: None})
            scanned.add(str(row["participant_id"]))
    for row in rows:
        for name in others:
            row[name], reason = _nearest(row, tables[name], max_months)
            if row[name] is None and row[anchor] is not None:
                subject = "_".join(filter(None, (str(row["participant_id"]), str(row["session_id"]))))
                reason = reason.format(name=name, months=max_months, anchor=anchor)
                problems.append(Problem(subject, str(row[anchor]), reason))
    columns = ["participant_id", "session_id", *tables]
    return pd.DataFrame([{key: row.get(key) for key in columns} for row in rows], columns=columns)


def _nearest(row: Mapping[Any, Any], scans: pd.DataFrame, max_months: float) -> tuple[Path | None, str]:
    """The scan nearest in time, or None and why."""
    candidates = scans[scans["participant_id"] == row["participant_id"]]
    if not len(candidates):
        return None, NOT_IN_TIME
    nearest_scan = nearest(row["visit"], list(candidates["visit"]))
    if nearest_scan is None:
        return None, NO_TIME
    place, months = nearest_scan
    return (candidates["path"].iloc[place], "") if months <= max_months else (None, NOT_IN_TIME)


def _described(table: pd.DataFrame, sessions: pd.DataFrame, participants: pd.DataFrame) -> pd.DataFrame:
    """The table with diagnosis and covariates: its own values, else those of the session, else of the participant."""
    for known, keys in ((sessions, ["participant_id", "session_id"]), (participants, ["participant_id"])):
        matched = [f"{key}{MATCHED}" for key in keys]
        known = known.rename(columns=dict(zip(keys, matched, strict=True)))
        table, known = table.copy(), known.copy()
        for key, plain in zip(keys, matched, strict=True):
            table[plain], known[plain] = table[key].map(_plain), known[plain].map(_plain)
        table = table.merge(known, on=matched, how="left", suffixes=("", MORE)).drop(columns=matched)
        for column in [str(column) for column in table if str(column).endswith(MORE)]:
            plain = column.removesuffix(MORE)
            table[plain] = table[plain].where(table[plain].notna(), table.pop(column))
    for older in ("diagnosis_bl", "diagnosis_sc", "group"):
        if "diagnosis" not in table and older in table:
            table["diagnosis"] = table[older]
    return table


def _without_duplicates(table: pd.DataFrame, keys: Sequence[str], path: Path, problems: list[Problem]) -> pd.DataFrame:
    for values, rows in table.groupby(list(keys), dropna=False, sort=False):
        if len(rows) > 1:
            numbers = ", ".join(str(number + 2) for number in rows.index)
            subject = "_".join(str(value) for value in values if value)
            problems.append(Problem(subject, str(path), DUPLICATE.format(rows=numbers)))
    return table.drop_duplicates(list(keys))


def _table(path: Path) -> pd.DataFrame:
    from deepjive.data.readers.guard import reading

    with reading(path):
        separator = "," if path.suffix.lower() == ".csv" else "\t"
        names = pd.read_csv(path, sep=separator, nrows=0).columns
        texts = {name: str for name in names if str(name).strip() in ("participant_id", "session_id")}
        table = pd.read_csv(path, sep=separator, na_values=MISSING_WORDS, dtype=texts)
        table = table.rename(columns=lambda name: str(name).strip())
        for column in table.select_dtypes(exclude="number"):
            stripped = table[column].map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
            table[column] = stripped.where(~stripped.isin(MISSING_WORDS))
    return table


def _holds_images(column: pd.Series) -> bool:
    texts = [value for value in column if isinstance(value, str)]
    return bool(texts) and all(map(is_image, texts))


def _is_path(path: Any) -> bool:
    return isinstance(path, (str, Path))


def _store(folder: str | Path | None, name: str, n: int, grid: Grid) -> Any:
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / f"{name}.npy"
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, *grid.shape))


def _in_half_precision(volume: NDArray) -> NDArray[np.float16]:
    largest, limit = float(np.abs(volume).max()), float(np.finfo(np.float16).max)
    if largest > limit:
        raise ValueError(NO_RATIO.format(largest=largest, limit=limit))
    return volume.astype(np.float16)
