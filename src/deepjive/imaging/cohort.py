"""Cohorts of brain images from a user's folders: ADNI as Clinica or fMRIPrep left it, or a table of paths.

    scans of each modality  ->  joined on participant and time  ->  diagnosis and covariates  ->  Modalities, lazily

The data of ADNI themselves are access restricted (adni.loni.usc.edu); nothing is downloaded here. What is wrong with
one file or one subject is collected in `Cohort.problems`, and the cohort goes on without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.imaging.bids import Problem, find_scans
from deepjive.imaging.grid import Grid, mni_grid, template
from deepjive.imaging.visits import nearest, visit_of
from deepjive.imaging.volumes import VolumeRows, on_grid

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
NO_TABLE = "{path} has no column {column!r}; its columns are {columns}."
NO_MODALITIES = "{path} names no images: give a column of paths for each modality, beside {known}."
NOTHING_LEFT = "No usable scan was found. {problems}"
WITHOUT_IMAGE = "it has no readable image of any modality and was left out"
MORE = "_of_the_same"
KNOWN = ("participant_id", "session_id", "diagnosis", "age", "sex")


@dataclass(frozen=True)
class Cohort:
    """Scans of participants, joined.

    Attributes
    ----------
    table : DataFrame
        A row for each sample: `participant_id`, `session_id`, a column of paths for each modality (None where it is
        missing), and what is known of the participant: diagnosis, age, sex and all other columns, missing as NaN.
    names : tuple of str
        The modalities.
    problems : list of Problem
        Files and subjects that were left out, and why; reading the volumes adds to it.
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
        """The participant of each sample, for splits: sessions of a participant must not be torn apart."""
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
        """Rows to learn from and rows to test on, by participant, with diagnoses in equal parts where known."""
        from sklearn.model_selection import StratifiedGroupKFold

        labels = self.table["diagnosis"].fillna("unknown") if "diagnosis" in self.table else np.zeros(len(self))
        folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)
        return folds.split(np.zeros(len(self)), labels, self.groups)

    def read(self, voxel: float = 3.0, store: str | Path | None = None) -> tuple[Cohort, Modalities]:
        """Check every volume once and give those that can be used, resampled to the standard grid and masked.

        Parameters
        ----------
        voxel : float
            Edge of a voxel of the standard grid in mm.
        store : path, optional
            Folder for the resampled volumes, in half precision and memory-mapped, so that training reads each of
            them quickly. Without it they are resampled from their files whenever they are asked for.

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
        table, problems = self.table.copy(), list(self.problems)
        stored = {name: _store(store, name, len(table), grid) for name in self.names}
        for row, sample in enumerate(self.samples):
            for name in self.names:
                path = table.at[row, name]
                if not _given(path):
                    continue
                try:
                    volume = on_grid(str(path), grid, mask)
                    if stored[name] is not None:
                        stored[name][row] = _halved(volume)
                except (ValueError, OSError) as error:
                    problems.append(Problem(sample, str(path), str(error)))
                    table.at[row, name] = None
        kept = np.flatnonzero([any(_given(value) for value in row) for row in table[list(self.names)].to_numpy()])
        lost = np.setdiff1d(np.arange(len(table)), kept)
        problems += [Problem(self.samples[row], "", WITHOUT_IMAGE) for row in lost]
        if not len(kept):
            raise ValueError(NOTHING_LEFT.format(problems="; ".join(map(str, problems[:5]))))
        cohort = Cohort(table, self.names, problems).where(kept)
        return cohort, cohort._modalities(stored, kept, grid, mask)

    def _modalities(
        self, stored: Mapping[str, Any], rows: NDArray[np.intp], grid: Grid, mask: NDArray[np.bool_]
    ) -> Modalities:
        from deepjive.data.readers.lazy import LazyRows

        paths = {name: [path if _given(path) else None for path in self.table[name]] for name in self.names}
        arrays: dict[str, Any] = {
            name: VolumeRows(paths[name], grid, mask) if stored[name] is None else LazyRows(stored[name], rows)
            for name in self.names
        }
        present = np.array([[path is not None for path in paths[name]] for name in self.names]).T
        return Modalities(arrays, samples=self.samples, present=present, groups=self.groups)


def read_cohort(
    sources: Mapping[str, tuple[str, str | Path]],
    *,
    clinical: str | Path | None = None,
    choose: Mapping[str, str] | None = None,
    max_months: float = 12.0,
) -> Cohort:
    """Join the scans of several pipelines.

    Parameters
    ----------
    sources : mapping of str to (layout, folder)
        For each modality what its folder holds, one of ``deepjive.imaging.bids.LAYOUTS``. The last modality is the
        anchor: each of its scans is a sample, joined with the scan of the others of the same participant that is
        nearest in time. So PET comes after MRI: ``{"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}``.
    clinical : path, optional
        A BIDS folder with ``participants.tsv`` and, as Clinica writes them, ``sub-*/sub-*_sessions.tsv``.
    choose : mapping of str to str, optional
        Entities that names must have where a session has files with them, such as
        ``{"trc": "18FAV45", "suvr": "pons"}``.
    max_months : float
        Scans further apart than this are not joined. Those of one session are, whatever is known of its time.

    Returns
    -------
    Cohort

    Raises
    ------
    ValueError
        For a layout that is not known, or entities that no file can be chosen by.

    Examples
    --------
    >>> cohort = read_cohort({"mri": ("t1-volume", "CAPS"), "pet": ("pet-volume", "CAPS")}, clinical="BIDS")
    ... # doctest: +SKIP
    >>> cohort, data = cohort.complete().diagnosed("CN", "AD").read(voxel=3)  # doctest: +SKIP
    """
    problems: list[Problem] = []
    tables = {}
    unused = []
    for name, (layout, folder) in sources.items():
        scans = find_scans(folder, layout, choose)
        unused.append(scans.unused)
        tables[name] = scans.table
        problems += scans.problems
    for key in set.intersection(*map(set, unused)):
        values = sorted({value for one in unused for value in one[key]})
        raise ValueError(NO_SUCH_VALUE.format(key=key, value=(choose or {})[key], values=", ".join(values) or "none"))
    sessions, participants = _clinical(clinical, problems)
    known = {
        (row["participant_id"], row["session_id"]): {str(key): value for key, value in row.items()}
        for row in sessions.to_dict(orient="records")
    }
    for table in tables.values():
        pairs = zip(table["participant_id"], table["session_id"], strict=True)
        table["visit"] = [visit_of(session, known.get((participant, session), {})) for participant, session in pairs]
    table = _joined(tables, max_months, problems)
    table = _described(table, sessions, participants)
    return Cohort(table, tuple(sources), problems)


def read_cohort_table(path: str | Path, *, clinical: str | Path | None = None) -> Cohort:
    """Read a table of paths.

    Parameters
    ----------
    path : path
        A ``.csv`` or ``.tsv`` file with a row for each sample: `participant_id`, if wanted `session_id`, `diagnosis`,
        `age`, `sex`, and columns of NIfTI paths, from its own folder, one for each modality. Empty cells and ``n/a``
        are missing.
    clinical : path, optional
        A BIDS folder that says what the table does not, as of `read_cohort`.

    Returns
    -------
    Cohort
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
        table = _described(table, *_clinical(clinical, problems))
    return Cohort(table.reset_index(drop=True), names, problems)


def _clinical(folder: str | Path | None, problems: list[Problem]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is known of sessions and of participants."""
    sessions, participants = (
        pd.DataFrame(columns=["participant_id", "session_id"]),
        pd.DataFrame(columns=["participant_id"]),
    )
    if folder is None:
        return sessions, participants
    folder = Path(folder)
    if (folder / "participants.tsv").is_file():
        given = _keyed(folder / "participants.tsv", "participant_id", "", problems)
        participants = participants if given is None else given
    pieces = []
    for path in sorted(folder.glob("sub-*/sub-*_sessions.tsv")):
        piece = _keyed(path, "session_id", path.parent.name, problems)
        if piece is not None:
            piece.insert(0, "participant_id", path.parent.name)
            pieces.append(piece)
    return (pd.concat(pieces, ignore_index=True) if pieces else sessions), participants


def _keyed(path: Path, key: str, subject: str, problems: list[Problem]) -> pd.DataFrame | None:
    """A table with a row for each value of a key; without that column it is a problem."""
    table = _table(path)
    if key not in table:
        problems.append(Problem(subject, str(path), NO_TABLE.format(path=path.name, column=key, columns=list(table))))
        return None
    return _without_duplicates(table, [key], path, problems)


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
    own = scans[scans["participant_id"] == row["participant_id"]]
    if not len(own):
        return None, NOT_IN_TIME
    found = nearest(row["visit"], list(own["visit"]))
    if found is None:
        return None, NO_TIME
    place, months = found
    return (own["path"].iloc[place], "") if months <= max_months else (None, NOT_IN_TIME)


def _described(table: pd.DataFrame, sessions: pd.DataFrame, participants: pd.DataFrame) -> pd.DataFrame:
    """Diagnosis and covariates: of the table itself, else of the session, else of the participant."""
    for known, keys in ((sessions, ["participant_id", "session_id"]), (participants, ["participant_id"])):
        table = table.merge(known, on=keys, how="left", suffixes=("", MORE))
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
        table = pd.read_csv(
            path, sep=separator, na_values=MISSING_WORDS, dtype={"participant_id": str, "session_id": str}
        )
    return table


def _holds_images(column: pd.Series) -> bool:
    given = [value for value in column if isinstance(value, str)]
    return bool(given) and all(value.lower().endswith((".nii", ".nii.gz")) for value in given)


def _given(path: Any) -> bool:
    return isinstance(path, (str, Path))


def _store(folder: str | Path | None, name: str, n: int, grid: Grid) -> Any:
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / f"{name}.npy"
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, *grid.shape))


def _halved(volume: NDArray) -> NDArray[np.float16]:
    largest, limit = float(np.abs(volume).max()), float(np.finfo(np.float16).max)
    if largest > limit:
        raise ValueError(NO_RATIO.format(largest=largest, limit=limit))
    return volume.astype(np.float16)
