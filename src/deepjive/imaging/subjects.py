"""What is to be preprocessed, where the results go, and what is written down about each step.

Results are a BIDS derivative: maps with a sidecar of their sources, parameters, versions and checksums, and one log a
subject, which is written last: a subject with a log of the same inputs and settings is done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deepjive.imaging.bids import Problem, entities, find_scans
from deepjive.imaging.regions import REFERENCES, UNKNOWN_REFERENCE
from deepjive.persistence import write_atomically

SPACE = "MNI152NLin2009aSym"
BIDS_VERSION = "1.10.0"
NO_T1 = "it has PET but no T1, and PET is brought to MNI space by the T1"


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes
    ----------
    voxel : float
        Edge of the voxels of the maps in mm.
    reference : str
        Reference region of the uptake ratio: see `deepjive.imaging.regions`; or a NIfTI mask in MNI space.
    work_voxel : float
        Edge in mm of the voxels at which images are registered: finer takes longer, with the third power.
    """

    voxel: float = 3.0
    reference: str = "cerebellar-grey"
    work_voxel: float = 1.5

    def __post_init__(self) -> None:
        if self.reference not in REFERENCES and not Path(self.reference).is_file():
            raise ValueError(UNKNOWN_REFERENCE.format(given=self.reference, known=REFERENCES))


@dataclass(frozen=True)
class Subject:
    """Scans of one session.

    Attributes
    ----------
    participant_id, session_id : str
        ``sub-..``, and ``ses-..`` or nothing.
    t1 : Path
        The T1.
    pet : Path or None
        The PET, if there is one: one volume, static or the mean of frames.
    """

    participant_id: str
    session_id: str
    t1: Path
    pet: Path | None

    @property
    def name(self) -> str:
        """Participant and session, as names of files begin."""
        return "_".join(filter(None, (self.participant_id, self.session_id)))

    def folder(self, out: Path) -> Path:
        """Where its results go."""
        return out / self.participant_id / self.session_id

    def log(self, out: Path) -> Path:
        """The file that is written when it is done."""
        return self.folder(out) / f"{self.name}_desc-preproc_log.json"

    def maps(self, out: Path, settings: Settings) -> dict[str, Path]:
        """The files it gives: modulated and unmodulated grey matter, and the uptake ratio where there is a PET."""
        space = f"space-{SPACE}_res-{f'{settings.voxel:g}'.replace('.', 'p')}"
        anat = self.folder(out) / "anat"
        found = {
            kind: anat / f"{self.name}_{space}_label-GM_desc-{kind}_probseg.nii.gz"
            for kind in ("modulated", "unmodulated")
        }
        if self.pet is not None:
            tracer = entities(self.pet).get("trc")
            name = "_".join(filter(None, (self.name, tracer and f"trc-{tracer}", space, "desc-suvr_pet.nii.gz")))
            found["suvr"] = self.folder(out) / "pet" / name
        return found


def find_subjects(bids: str | Path, choose: dict[str, str] | None = None) -> tuple[list[Subject], list[Problem]]:
    """Subjects of a BIDS folder: every T1, with the PET of the same session or, without sessions in common, the only one.

    Parameters
    ----------
    bids : path
        The raw data set.
    choose : dict of str to str, optional
        Entities that PET names must have, such as ``{"trc": "18FAV45"}``.

    Returns
    -------
    subjects : list of Subject
    problems : list of Problem
        Sessions and subjects that cannot be preprocessed.
    """
    t1, pet = find_scans(bids, "bids-t1"), find_scans(bids, "bids-pet", choose)
    keys = ["participant_id", "session_id"]
    known = {tuple(row[key] for key in keys): row["path"] for row in t1.table.to_dict(orient="records")}
    scans = {tuple(row[key] for key in keys): row["path"] for row in pet.table.to_dict(orient="records")}
    problems = [*t1.problems, *(problem for problem in pet.problems if "files fit" in problem.reason)]
    subjects = [Subject(participant, session, path, scans.get((participant, session))) for (participant, session), path in known.items()]
    for (participant, session), path in scans.items():
        if (participant, session) not in known:
            own = t1.table[t1.table["participant_id"] == participant]
            if len(own) == 1:
                only = own.iloc[0]
                subjects.append(Subject(participant, session, only["path"], path))
            else:
                problems.append(Problem("_".join(filter(None, (participant, session))), str(path), NO_T1))
    return subjects, problems


def checksum(path: str | Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(subject: Subject, settings: Settings, engine: str) -> str:
    """Changes when the scans, the settings or the engine do."""
    scans = [(str(path.name), checksum(path)) for path in (subject.t1, subject.pet) if path is not None]
    mask = checksum(settings.reference) if Path(settings.reference).is_file() else settings.reference
    return hashlib.sha256(json.dumps([scans, asdict(settings), mask, engine]).encode()).hexdigest()


def is_done(subject: Subject, out: Path, settings: Settings, engine: str) -> bool:
    """Whether its log and maps are there, made from the same scans with the same settings."""
    try:
        log = json.loads(subject.log(out).read_text())
    except (OSError, ValueError):
        return False
    there = all(path.is_file() for path in subject.maps(out, settings).values())
    return there and log.get("fingerprint") == fingerprint(subject, settings, engine)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=1, default=str).encode())


def write_description(out: Path, engine: str, versions: dict[str, str], bids: str | None) -> None:
    """What the folder of results is, as BIDS wants it."""
    from deepjive import __version__

    by = [{"Name": "deepjive", "Version": __version__, "Description": f"engine {engine}"}]
    by += [{"Name": name, "Version": version} for name, version in versions.items()]
    content = {
        "Name": "deepjive preprocess",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": by,
        "SourceDatasets": [{"URL": bids}] if bids else [],
    }
    write_json(out / "dataset_description.json", content)


def quality_table(out: Path, subjects: list[Subject]) -> pd.DataFrame:
    """The quality figures in the logs of all subjects that are done, one row each."""
    rows = []
    for subject in subjects:
        try:
            log = json.loads(subject.log(out).read_text())
        except (OSError, ValueError):
            continue
        rows.append({"name": subject.name, **log.get("quality", {})})
    return pd.DataFrame(rows)
