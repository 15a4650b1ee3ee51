"""Summary of `deepjive preprocess`: tables of quality and failures, and the page of slices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from deepjive.imaging.cohort import Cohort
    from deepjive.imaging.preprocessing.engines import Engine
    from deepjive.imaging.preprocessing.subject import Outcome, PreprocessingSettings


class Written(NamedTuple):
    """Lines for each failure, for each flag and for all participants, and the number of failures."""

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
    """Write the tables, and the page of the participants of this call."""
    from deepjive.imaging.preprocessing.quality import LIMITS, flags_of, outliers
    from deepjive.imaging.preprocessing.tables import write_maps
    from deepjive.report.slices import Shown, write_quality

    flags = [
        [*flags_of(outcome.quality), *others]
        for outcome, others in zip(outcomes, outliers([outcome.quality for outcome in outcomes]), strict=True)
    ]
    shown, rows = [], []
    for outcome, remarks in zip(outcomes, flags, strict=True):
        problems = [str(problem) for problem in outcome.problems]
        strips = _strips(outcome, settings.voxel)
        shown.append(Shown(outcome.subject.name, [*problems, *remarks], bool(problems), outcome.quality, strips))
        figures = [outcome.quality.get(name, float("nan")) for name in LIMITS]
        state = "failed" if problems else "flagged" if remarks else "good"
        rows.append(
            (outcome.subject.name, state, *figures, round(outcome.seconds, 1), "; ".join([*problems, *remarks]))
        )
    header = ("subject", "state", *LIMITS, "cpu_seconds", "remarks")
    names = {outcome.subject.name for outcome in outcomes}
    _write(out / "quality.csv", header, rows, names)
    write_maps(outcomes, cohort, out)
    page = write_quality(out / "quality.html", shown, protocol=_protocol(outcomes, engine, settings), command=command)
    failed = [outcome for outcome in outcomes if outcome.problems]
    problems_of = [problem for outcome in failed for problem in outcome.problems]
    all_problems = [*problems_of, *cohort.problems]
    names |= {problem.subject for problem in all_problems}
    _write(out / "problems.csv", ("subject", "file", "reason"), all_problems, names)
    lines = [f"Failed: {problem}" for problem in problems_of]
    for outcome, remarks in zip(outcomes, flags, strict=True):
        lines += [f"Check {outcome.subject.name}: {remark}" for remark in remarks]
    states = [row[1] for row in rows]
    counted = ", ".join(f"{states.count(state)} {state}" for state in ("good", "flagged", "failed"))
    lines.append(f"{len(outcomes)} participants: {counted}. Check all of them on this page: {page}")
    return Written(lines, len(failed))


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], replaced: set[str]) -> None:
    from deepjive.imaging.preprocessing.tables import with_earlier
    from deepjive.persistence import write_atomically
    from deepjive.report.tables import csv_text

    write_atomically(path, csv_text(header, with_earlier(path, header, rows, replaced)).encode())


def _strips(outcome: Outcome, voxel: float) -> list[Any]:
    from deepjive.imaging.preprocessing.scans import load_scan
    from deepjive.report.slices import strip

    found = []
    if "anat" in outcome.maps:
        grey = Path(outcome.maps["anat"])
        t1 = grey.with_name(grey.name.replace("label-GM_desc-modulated_probseg", "desc-brain_T1w"))
        found += [strip(load_scan(t1)[0], "t1", voxel), strip(load_scan(grey)[0], "grey", voxel)]
    if "pet" in outcome.maps:
        found.append(strip(load_scan(Path(outcome.maps["pet"]))[0], "suvr", voxel))
    return found


def _protocol(
    outcomes: Sequence[Outcome], engine: Engine, settings: PreprocessingSettings
) -> list[tuple[str, str, str]]:
    """The steps with their parameters and durations."""
    import json
    from statistics import median

    from deepjive.imaging.preprocessing.derivative import sidecar_of
    from deepjive.imaging.preprocessing.subject import protocol_of

    taken: dict[tuple[str, str], list[float]] = {}
    for outcome in outcomes:
        for stage, path in outcome.maps.items():
            for step in json.loads(sidecar_of(Path(path)).read_text())["Steps"]:
                taken.setdefault((stage, step["name"]), []).append(step["cpu_seconds"])
    rows = []
    for stage, steps in protocol_of(engine, settings).items():
        for step in steps:
            seconds = taken.get((stage, step.name))
            rows.append((step.name, in_words(step.parameters), f"{median(seconds):.1f}" if seconds else ""))
    return rows


def in_words(parameters: Any) -> str:
    """The parameters of a step as text."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in parameters.items())
