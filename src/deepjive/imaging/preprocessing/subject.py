"""All of preprocessing for one subject: the T1, then the PET, then what tells whether it went well."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
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

OnStep = Callable[[int, int, str], None]

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
    """What the maps depend on, beside scans and engine.

    Attributes
    ----------
    reference : str
        A name of `deepjive.imaging.regions.REFERENCES`, or the path of a mask in MNI space.
    voxel : float
        Edge of a voxel of the maps in mm.
    seed : int
        Seed of the registrations.
    keep_work : bool
        Whether to keep what lies between the steps.
    """

    reference: str = "cerebellum"
    voxel: float = 3.0
    seed: int = 0
    keep_work: bool = False


@dataclass
class Outcome:
    """What became of a subject.

    Attributes
    ----------
    subject : Subject
        The subject.
    done, skipped : list of str
        Modalities that were made now, and those that had been made before.
    problems : list of Problem
        What failed.
    quality : dict of str to float
        Its figures.
    seconds : float
        Processor time of its steps.
    maps : dict of str to str
        Path of each main map.
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
    on_step: OnStep | None = None,
) -> Outcome:
    """Make a subject's maps, or find that they were made.

    Parameters
    ----------
    subject : Subject
        Whose scans.
    engine : Engine
        What registers and segments.
    settings : PreprocessingSettings
        What else the maps depend on.
    out : path
        The derivative.
    versions : mapping of str to str, optional
        `engine.versions()`, where that was asked before.
    on_step : callable, optional
        Called before each step with its number, the number of all, and its name.

    Returns
    -------
    Outcome
        What goes wrong with the scans is in `Outcome.problems` and not raised.
    """
    outcome = Outcome(subject)
    if subject.t1 is None:
        outcome.problems.append(Problem(subject.name, str(subject.pet or ""), NO_T1))
        return outcome
    work = Work(subject, engine, settings, Path(out), dict(versions or engine.versions()), on_step)
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
    """The work on one subject.

    Parameters
    ----------
    subject, engine, settings, out, versions, on_step
        As in `preprocess_subject`.
    """

    def __init__(
        self,
        subject: Subject,
        engine: Engine,
        settings: PreprocessingSettings,
        out: Path,
        versions: dict[str, str],
        on_step: OnStep | None,
    ) -> None:
        self.subject, self.engine, self.versions, self.on_step = subject, engine, versions, on_step
        self.protocol, self.settings = protocol_of(engine, settings), settings
        self.folder = out.absolute() / "work" / subject.name  # SPM works in its folder
        reference = label_of(settings.reference)
        tracer = tracer_of(subject.pet)
        self.names = Names(
            out, subject.participant, subject.session, engine.space, settings.voxel, reference, tracer=tracer
        )
        self.scans: dict[Stage, Path] = {stage: path for stage, path in _stages(subject) if path is not None}
        self._t1: Done | None = None

    def make(self, stage: Stage, outcome: Outcome) -> None:
        """Make the maps of a modality, or find that they were made."""
        key = self.key(stage)
        before = finished(self.names, stage, key)
        if before is None:
            before = self.publish(stage, key)
            outcome.done.append(stage)
        else:
            outcome.skipped.append(stage)
        outcome.quality.update(before["Quality"])
        outcome.seconds += sum(step["cpu_seconds"] for step in before["Steps"])
        outcome.maps[stage] = str(self.names.map("modulated" if stage == "anat" else "suvr"))

    def key(self, stage: Stage) -> str:
        """A digest of all that a modality's maps depend on."""
        if not self.scans[stage].is_file():
            raise FileNotFoundError(NO_FILE.format(path=self.scans[stage]))
        steps = [(step.name, dict(step.parameters)) for step in self.protocol[stage]]
        essential = {name: self.versions.get(name) for name in self.engine.essential}
        own = [self.engine.name, essential, steps, checksum(self.scans[stage])]
        if stage == "anat":
            return digest(own)
        reference = self.settings.reference
        mask = None if reference in REFERENCES else checksum(Path(reference))
        return digest([*own, mask, self.key("anat")])

    def publish(self, stage: Stage, key: str) -> dict[str, Any]:
        """Run a modality's steps and write what they made."""
        t1 = self._of_t1()
        done = t1 if stage == "anat" else self._run("pet", t1.files, key)
        quality = self._t1_quality(done) if stage == "anat" else self._pet_quality(done)
        own = [name for name in self.engine.transforms if name in done.files]
        if stage == "pet":
            own = [name for name in own if name not in t1.files]
        transforms = {name: done.files[name] for name in own}
        return publish(self.names, stage, key, done, transforms, quality, self._made_with(stage))

    def _of_t1(self) -> Done:
        if self._t1 is None:
            scans = {f"{'t1' if stage == 'anat' else 'pet'}_scan": path for stage, path in self.scans.items()}
            self._t1 = self._run("anat", scans, self.key("anat"))
        return self._t1

    def _run(self, stage: Stage, files: Mapping[str, Path], key: str) -> Done:
        first = 0 if stage == "anat" else len(self.protocol["anat"])
        total = sum(len(self.protocol[known]) for known in self.scans)

        def report(number: int, name: str) -> None:
            if self.on_step is not None:
                self.on_step(first + number, total, name)

        return run_protocol(self.protocol[stage], files, self.folder / stage, key, report)

    def _t1_quality(self, done: Done) -> dict[str, float]:
        t1, unmodulated = (load_scan(done.files[name])[0] for name in ("t1_map", "unmodulated"))
        return t1_quality(t1, unmodulated, self.settings.voxel, done.facts)

    def _pet_quality(self, done: Done) -> dict[str, float]:
        t1_map, uptake, grey = (load_scan(done.files[name])[0] for name in ("t1_map", "uptake", "unmodulated"))
        figures = pet_quality(t1_map, uptake, grey, self.settings.voxel)
        apart = done.facts.get("pet_t1_apart_mm")
        return figures if apart is None else {"pet_t1_apart_mm": apart, **figures}

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
