"""Summary of `deepjive preprocess`: tables of quality and failures, and the page of slices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from deepjive.imaging.bids import Problem
    from deepjive.imaging.cohort import Cohort
    from deepjive.imaging.preprocessing.engines import Engine
    from deepjive.imaging.preprocessing.subject import Outcome, PreprocessingSettings


class Written(NamedTuple):
    """The summary of a call.

    Attributes
    ----------
    lines : list of str
        A line for each failure and each flag, and a line for all participants.
    failed : int
        Number of participants with a failure.
    """

    lines: list[str]
    failed: int


def write_results(
    outcomes: Sequence[Outcome],
    cohort: Cohort,
    engine: Engine,
    settings: PreprocessingSettings,
    out: Path,
    command: str,
) -> Written:
    """Write the tables, and the page of the participants of this call.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Outcomes of the participants.
    cohort : Cohort
        The cohort.
    engine : Engine
        The engine.
    settings : PreprocessingSettings
        The settings.
    out : Path
        Folder of the derivative.
    command : str
        The command that was called.

    Returns
    -------
    Written
    """
    from deepjive.imaging.preprocessing.tables import write_maps

    flags = _flags(outcomes)
    _write_quality_table(outcomes, flags, out)
    write_maps(outcomes, cohort, out)
    page = _write_page(outcomes, flags, engine, settings, out, command)
    failures = _write_problems(outcomes, cohort, out)
    lines = [f"Failed: {problem}" for problem in failures]
    for outcome, remarks in zip(outcomes, flags, strict=True):
        lines += [f"Check {outcome.subject.name}: {remark}" for remark in remarks]
    states = [_state(outcome, remarks) for outcome, remarks in zip(outcomes, flags, strict=True)]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("good", "flagged", "failed"))
    lines.append(f"{len(outcomes)} participants: {counts}. Check all of them on this page: {page}")
    return Written(lines, states.count("failed"))


def _flags(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return messages for the measures of each participant that exceed a limit or are outliers."""
    from deepjive.imaging.preprocessing.quality import flags_of, outliers

    outliers_of = outliers([outcome.quality for outcome in outcomes])
    return [[*flags_of(outcome.quality), *more] for outcome, more in zip(outcomes, outliers_of, strict=True)]


def _state(outcome: Outcome, remarks: Sequence[str]) -> str:
    return "failed" if outcome.problems else "flagged" if remarks else "good"


def _remarks(outcome: Outcome, flags: Sequence[str]) -> list[str]:
    return [*(str(problem) for problem in outcome.problems), *flags]


def _write_quality_table(outcomes: Sequence[Outcome], flags: Sequence[Sequence[str]], out: Path) -> None:
    from deepjive.imaging.preprocessing.quality import LIMITS

    rows = []
    for outcome, remarks in zip(outcomes, flags, strict=True):
        measures = [outcome.quality.get(name, float("nan")) for name in LIMITS]
        text = "; ".join(_remarks(outcome, remarks))
        rows.append((outcome.subject.name, _state(outcome, remarks), *measures, round(outcome.seconds, 1), text))
    header = ("subject", "state", *LIMITS, "cpu_seconds", "remarks")
    _write(out / "quality.csv", header, rows, {outcome.subject.name for outcome in outcomes})


def _write_page(
    outcomes: Sequence[Outcome],
    flags: Sequence[Sequence[str]],
    engine: Engine,
    settings: PreprocessingSettings,
    out: Path,
    command: str,
) -> Path:
    from deepjive.report.slices import Shown, write_quality

    participants = [
        Shown(
            outcome.subject.name,
            _remarks(outcome, remarks),
            bool(outcome.problems),
            outcome.quality,
            _strips(outcome, settings.voxel),
        )
        for outcome, remarks in zip(outcomes, flags, strict=True)
    ]
    protocol = _protocol(outcomes, engine, settings)
    return write_quality(out / "quality.html", participants, protocol=protocol, command=command)


def _write_problems(outcomes: Sequence[Outcome], cohort: Cohort, out: Path) -> list[Problem]:
    """Write all problems to a table, and return those of the preprocessing."""
    failures = [problem for outcome in outcomes for problem in outcome.problems]
    problems = [*failures, *cohort.problems]
    names = {outcome.subject.name for outcome in outcomes} | {problem.subject for problem in problems}
    _write(out / "problems.csv", ("subject", "file", "reason"), problems, names)
    return failures


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], replaced: set[str]) -> None:
    from deepjive.imaging.preprocessing.tables import with_earlier
    from deepjive.persistence import write_atomically
    from deepjive.report.tables import csv_text

    write_atomically(path, csv_text(header, with_earlier(path, header, rows, replaced)).encode())


def _strips(outcome: Outcome, voxel: float) -> list[Any]:
    from deepjive.imaging.preprocessing.scans import load_scan
    from deepjive.report.slices import strip

    strips = []
    if "anat" in outcome.maps:
        grey = Path(outcome.maps["anat"])
        t1 = grey.with_name(grey.name.replace("label-GM_desc-modulated_probseg", "desc-brain_T1w"))
        strips += [strip(load_scan(t1)[0], "t1", voxel), strip(load_scan(grey)[0], "grey", voxel)]
    if "pet" in outcome.maps:
        strips.append(strip(load_scan(Path(outcome.maps["pet"]))[0], "suvr", voxel))
    return strips


def _protocol(
    outcomes: Sequence[Outcome], engine: Engine, settings: PreprocessingSettings
) -> list[tuple[str, str, str]]:
    """Return the steps with their parameters and the median of their CPU seconds."""
    import json
    from statistics import median

    from deepjive.imaging.preprocessing.derivative import sidecar_of
    from deepjive.imaging.preprocessing.subject import protocol_of

    cpu_seconds: dict[tuple[str, str], list[float]] = {}
    for outcome in outcomes:
        for stage, path in outcome.maps.items():
            for step in json.loads(sidecar_of(Path(path)).read_text())["Steps"]:
                cpu_seconds.setdefault((stage, step["name"]), []).append(step["cpu_seconds"])
    rows = []
    for stage, steps in protocol_of(engine, settings).items():
        for step in steps:
            step_seconds = cpu_seconds.get((stage, step.name))
            rows.append((step.name, in_words(step.parameters), f"{median(step_seconds):.1f}" if step_seconds else ""))
    return rows


def in_words(parameters: Any) -> str:
    """Return the parameters of a step as text."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in parameters.items())
