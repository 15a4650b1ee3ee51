"""Preprocessing of one subject: the T1, then the PET, then measures of quality."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deepjive.imaging.bids import Problem
from deepjive.imaging.preprocessing.derivative import Names, Stage, finished, publish, tracer_of
from deepjive.imaging.preprocessing.engines import Engine
from deepjive.imaging.preprocessing.maps import divide_uptake, grey_onto_grid, label_of
from deepjive.imaging.preprocessing.protocol import Done, PreprocessingError, Step, checksum, digest, run_protocol
from deepjive.imaging.preprocessing.quality import pet_quality, t1_quality
from deepjive.imaging.preprocessing.scans import load_scan
from deepjive.imaging.regions import REFERENCES
from deepjive.progress import Progress, silent

NO_T1 = "it has no T1, without which a PET cannot be brought into MNI space"
NO_FILE = "There is no file {path}."


@dataclass(frozen=True)
class Subject:
    """One participant in one session.

    Attributes
    ----------
    participant, session : str
        ``sub-..``, and ``ses-..`` or nothing.
    t1, pet : Path or None
        The scans.
    """

    participant: str
    session: str = ""
    t1: Path | None = None
    pet: Path | None = None

    @property
    def name(self) -> str:
        """Participant and session."""
        return "_".join(filter(None, (self.participant, self.session)))


@dataclass(frozen=True)
class PreprocessingSettings:
    """Settings of the maps other than scans and engine.

    Attributes
    ----------
    reference : str, default="cerebellum"
        Reference region: a name of `deepjive.imaging.regions.REFERENCES`, or the path of a mask in MNI space.
    voxel : float, default=3.0
        Edge of a voxel of the maps in mm.
    seed : int, default=0
        Seed of the registrations.
    keep_work : bool, default=False
        Whether to keep the intermediate files of the steps.
    """

    reference: str = "cerebellum"
    voxel: float = 3.0
    seed: int = 0
    keep_work: bool = False


@dataclass
class Outcome:
    """Outcome of preprocessing one subject.

    Attributes
    ----------
    subject : Subject
        The subject.
    done, skipped : list of str
        Modalities whose maps were made now, and modalities whose maps had been made before.
    problems : list of Problem
        Failures.
    quality : dict of str to float
        Measures of quality.
    seconds : float
        CPU time of the steps in seconds.
    maps : dict of str to str
        Path of the main map of each modality.
    """

    subject: Subject
    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    quality: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    maps: dict[str, str] = field(default_factory=dict)


def protocol_of(engine: Engine, settings: PreprocessingSettings) -> dict[Stage, list[Step]]:
    """All steps, for the T1 and for the PET."""
    voxel, seed = settings.voxel, settings.seed
    return {
        "anat": [*engine.t1_steps(voxel, seed), grey_onto_grid(voxel)],
        "pet": [*engine.pet_steps(voxel, seed), divide_uptake(voxel, settings.reference)],
    }


def preprocess_subject(
    subject: Subject,
    engine: Engine,
    settings: PreprocessingSettings,
    out: str | Path,
    versions: Mapping[str, str] | None = None,
    *,
    progress: Progress = silent,
) -> Outcome:
    """Make the maps of a subject; maps that were made before from the same scans and settings are kept.

    Parameters
    ----------
    subject : Subject
        The subject.
    engine : Engine
        The engine that registers and segments.
    settings : PreprocessingSettings
        Other settings of the maps.
    out : path
        Folder of the BIDS derivative.
    versions : mapping of str to str, optional
        The result of `engine.versions()`, if the caller has it.
    progress : callable, default=silent
        ``progress(done, total, message)``, called before each step with its name.

    Returns
    -------
    Outcome
        Problems of the scans are in `Outcome.problems`; they are not raised.
    """
    outcome = Outcome(subject)
    if subject.t1 is None:
        outcome.problems.append(Problem(subject.name, str(subject.pet or ""), NO_T1))
        return outcome
    work = Work(subject, engine, settings, Path(out), dict(versions or engine.versions()), progress)
    stages: list[tuple[Stage, Path]] = [("anat", subject.t1)]
    if subject.pet is not None:
        stages.append(("pet", subject.pet))
    for stage, scan in stages:
        try:
            work.make(stage, outcome)
        except (ValueError, OSError, MemoryError) as error:
            outcome.problems.append(Problem(subject.name, str(scan), _reason(error)))
            break
    if not outcome.problems and not settings.keep_work:
        shutil.rmtree(work.folder, ignore_errors=True)
    return outcome


class Work:
    """The steps, files and names of one subject.

    Parameters
    ----------
    subject, engine, settings, out, versions, progress
        See `preprocess_subject`.
    """

    def __init__(
        self,
        subject: Subject,
        engine: Engine,
        settings: PreprocessingSettings,
        out: Path,
        versions: dict[str, str],
        progress: Progress,
    ) -> None:
        self.subject, self.engine, self.versions, self.progress = subject, engine, versions, progress
        self.protocol, self.settings = protocol_of(engine, settings), settings
        self.folder = out.absolute() / "work" / subject.name  # SPM changes its working directory to it
        reference = label_of(settings.reference)
        tracer = tracer_of(subject.pet)
        self.names = Names(
            out, subject.participant, subject.session, engine.space, settings.voxel, reference, tracer=tracer
        )
        self.scans: dict[Stage, Path] = {stage: path for stage, path in _stages(subject) if path is not None}
        self._t1: Done | None = None

    def make(self, stage: Stage, outcome: Outcome) -> None:
        """Make the maps of a modality unless they exist, and add them to the outcome."""
        key = self.key(stage)
        sidecar = finished(self.names, stage, key)
        if sidecar is None:
            sidecar = self.publish(stage, key)
            outcome.done.append(stage)
        else:
            outcome.skipped.append(stage)
        outcome.quality.update(sidecar["Quality"])
        outcome.seconds += sum(step["cpu_seconds"] for step in sidecar["Steps"])
        outcome.maps[stage] = str(self.names.map("modulated" if stage == "anat" else "suvr"))

    def key(self, stage: Stage) -> str:
        """A digest of all that a modality's maps depend on."""
        if not self.scans[stage].is_file():
            raise FileNotFoundError(NO_FILE.format(path=self.scans[stage]))
        steps = [(step.name, dict(step.parameters)) for step in self.protocol[stage]]
        essential = {name: self.versions.get(name) for name in self.engine.essential}
        inputs = [self.engine.name, essential, steps, checksum(self.scans[stage])]
        if stage == "anat":
            return digest(inputs)
        reference = self.settings.reference
        mask = None if reference in REFERENCES else checksum(Path(reference))
        return digest([*inputs, mask, self.key("anat")])

    def publish(self, stage: Stage, key: str) -> dict[str, Any]:
        """Run the steps of a modality and write its maps."""
        t1 = self._t1_steps()
        done = t1 if stage == "anat" else self._run("pet", t1.files, key)
        quality = self._t1_quality(done) if stage == "anat" else self._pet_quality(done)
        names = [name for name in self.engine.transforms if name in done.files]
        if stage == "pet":
            names = [name for name in names if name not in t1.files]
        transforms = {name: done.files[name] for name in names}
        return publish(self.names, stage, key, done, transforms, quality, self._made_with(stage))

    def _t1_steps(self) -> Done:
        """Result of the steps of the T1, which are run once."""
        if self._t1 is None:
            scans = {f"{'t1' if stage == 'anat' else 'pet'}_scan": path for stage, path in self.scans.items()}
            self._t1 = self._run("anat", scans, self.key("anat"))
        return self._t1

    def _run(self, stage: Stage, files: Mapping[str, Path], key: str) -> Done:
        first = 0 if stage == "anat" else len(self.protocol["anat"])
        total = sum(len(self.protocol[scanned]) for scanned in self.scans)

        def progress(done: int, _: int | None, name: str) -> None:
            self.progress(first + done, total, name)

        return run_protocol(self.protocol[stage], files, self.folder / stage, key, progress=progress)

    def _t1_quality(self, done: Done) -> dict[str, float]:
        t1, unmodulated = (load_scan(done.files[name])[0] for name in ("t1_map", "unmodulated"))
        return t1_quality(t1, unmodulated, self.settings.voxel, done.facts)

    def _pet_quality(self, done: Done) -> dict[str, float]:
        t1_map, uptake, grey = (load_scan(done.files[name])[0] for name in ("t1_map", "uptake", "unmodulated"))
        measures = pet_quality(t1_map, uptake, grey, self.settings.voxel)
        distance = done.facts.get("pet_t1_apart_mm")
        return measures if distance is None else {"pet_t1_apart_mm": distance, **measures}

    def _made_with(self, stage: Stage) -> dict[str, Any]:
        sources = {str(self.scans["anat"]): checksum(self.scans["anat"])}
        if stage == "pet":
            sources[str(self.scans["pet"])] = checksum(self.scans["pet"])
        settings = {key: value for key, value in asdict(self.settings).items() if key != "keep_work"}
        return {
            "Sources": list(sources),
            "SourceChecksums": sources,
            "Engine": self.engine.name,
            "Versions": self.versions,
            "PreprocessingSettings": settings,
        }


def _stages(subject: Subject) -> tuple[tuple[Stage, Path | None], ...]:
    return (("anat", subject.t1), ("pet", subject.pet))


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, PreprocessingError):
        return str(error)
    return " ".join(str(error).split()) or type(error).__name__
