"""`deepjive preprocess`: maps of grey matter and of PET uptake ratios in MNI space, from T1 and PET scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepjive.cli import show
from deepjive.cli.options import command_of

if TYPE_CHECKING:
    from deepjive.imaging.cohort import Cohort
    from deepjive.imaging.preprocessing.cohort import OnSubject
    from deepjive.imaging.preprocessing.subject import Outcome, Subject

NO_T1_COLUMN = "The table has no column 't1' or 'mri' with paths of T1 scans; its columns of paths are {names}."
OF_NAMES = (
    "--tracer selects PET by the names of files and cannot be used with --table, which lists its files. Leave out "
    "--tracer, and list the PET of one tracer."
)
NO_LABEL = "left out, because its participant_id has no letter or digit and cannot become part of a file name"


EngineName = Literal["ants", "spm"]


def preprocess(
    context: typer.Context,
    bids: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="BIDS folder with T1w and PET scans, or scans of ADNI as LONI names them."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Or a table of paths with columns participant_id, session_id, t1, pet."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="BIDS derivative to write or to continue.")] = Path(
        "derivatives/deepjive"
    ),
    engine: Annotated[EngineName, typer.Option(help="ants (extra 'ants') or spm (SPM12, extra 'spm').")] = "ants",
    tracer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only PET of amyloid, tau or glucose, or of a tracer such as 18FAV1451, by file names. Run once "
            "for each kind of PET, with the same --out.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Reference region of SUVR: cerebellum, cerebellar-grey, inferior-cerebellar-grey (tau), pons (FDG), "
            "cerebellum-pons, or a mask in MNI space (.nii.gz).",
            show_default="that of --tracer, else cerebellum",
        ),
    ] = None,
    voxel: Annotated[float, typer.Option(min=1, max=12, help="Edge length of a voxel of the maps in mm.")] = 3.0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Scans at the same time, each in a process.")] = 1,
    participant: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this participant (repeatable).")
    ] = None,
    choose: Annotated[
        list[str] | None, typer.Option(metavar="ENTITY=VALUE", help="E.g. trc=18FAV45 or run=1 (repeatable).")
    ] = None,
    max_months: Annotated[
        float, typer.Option(min=0, help="Maximum number of months between a PET scan and its T1 scan.")
    ] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the registrations.")] = 0,
    spm: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Command that starts SPM12, e.g. 'run_spm12.sh MCR script'.")
    ] = None,
    spm_path: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of SPM12, for MATLAB and Octave.")
    ] = None,
    keep_work: Annotated[bool, typer.Option("--keep-work", help="Keep intermediate files.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show scans and steps without computing.")] = False,
) -> None:
    """Compute grey matter from T1 and SUVR from PET, in MNI space, within the brain, as a BIDS derivative.

    Finished participants are skipped. Interrupted participants continue at their last step. If some participants fail,
    the others still run; failures are listed at the end, and the exit code is 1.
    """
    from deepjive.imaging.preprocessing.cohort import preprocess_cohort
    from deepjive.imaging.preprocessing.derivative import describe
    from deepjive.imaging.preprocessing.engines import engine_of
    from deepjive.imaging.preprocessing.maps import region_of
    from deepjive.imaging.preprocessing.subject import PreprocessingSettings, protocol_of
    from deepjive.imaging.preprocessing.tables import write_clinical
    from deepjive.imaging.tracers import usual_reference
    from deepjive.report.preprocess import write_results

    if engine != "spm" and (spm or spm_path):
        raise typer.BadParameter("--spm and --spm-path need --engine spm.")
    reference = reference or usual_reference(tracer)
    region_of(reference, voxel)
    settings = PreprocessingSettings(reference, voxel, seed, keep_work)
    spm_options = {"command": spm, "folder": str(spm_path) if spm_path else None} if engine == "spm" else {}
    chosen = engine_of(engine, **spm_options)
    cohort = _cohort(bids, table, choose or [], max_months, tracer)
    subjects = _subjects(cohort, participant or [])
    for problem in cohort.problems:
        show.line(f"Note: {problem}")
    if dry_run:
        _show_plan(subjects, protocol_of(chosen, settings))
        return
    versions = chosen.versions()
    describe(out, chosen.name, versions, chosen.space)
    write_clinical(cohort, subjects, out)
    with _shown(len(subjects)) as on_progress:
        outcomes = preprocess_cohort(subjects, chosen, settings, out, jobs=jobs, on_subject=on_progress)
    written = write_results(outcomes, cohort, chosen, settings, out, command_of(context))
    for line in written.lines:
        show.line(line)
    if written.failed:
        raise typer.Exit(1)


def _cohort(
    bids: Path | None, table: Path | None, choose: Sequence[str], max_months: float, tracer: str | None
) -> Cohort:
    from deepjive.cli.reproduce_adni import NOTHING_TO_CHOOSE, choices
    from deepjive.imaging.cohort import read_cohort, read_cohort_table
    from deepjive.imaging.loni import participant_folders

    if (bids is None) == (table is None):
        raise typer.BadParameter("Give either --bids or --table.")
    if table is not None:
        if choose:
            raise typer.BadParameter(NOTHING_TO_CHOOSE)
        if tracer:
            raise typer.BadParameter(OF_NAMES)
        return read_cohort_table(table)
    if bids is not None and bids.is_dir() and participant_folders(bids):
        sources: Any = {"t1": ("loni-t1", bids), "pet": ("loni-pet", bids, *filter(None, [tracer]))}
        return read_cohort(sources, choose=choices(choose), max_months=max_months)
    sources = {"t1": ("bids-t1", bids), "pet": ("bids-pet", bids, *filter(None, [tracer]))}
    return read_cohort(sources, clinical=bids, choose=choices(choose), max_months=max_months)


def _subjects(cohort: Cohort, participants: Sequence[str]) -> list[Subject]:
    from deepjive.imaging.bids import Problem
    from deepjive.imaging.preprocessing.subject import Subject
    from deepjive.imaging.preprocessing.tables import label

    t1 = next((name for name in ("t1", "mri") if name in cohort.names), None)
    if t1 is None:
        raise ValueError(NO_T1_COLUMN.format(names=list(cohort.names)))
    subjects = []
    for row in cohort.table.to_dict(orient="records"):
        if not label("sub", row["participant_id"]):
            cohort.problems.append(Problem(str(row["participant_id"]), str(row[t1]), NO_LABEL))
            continue
        scans = {key: row.get(name) for key, name in (("t1", t1), ("pet", "pet"))}
        paths = {key: Path(path) if isinstance(path, (str, Path)) else None for key, path in scans.items()}
        if any(paths.values()):
            subjects.append(Subject(label("sub", row["participant_id"]), label("ses", row["session_id"]), **paths))
    if not subjects:
        raise ValueError(f"No scan was found. {'; '.join(map(str, cohort.problems[:5]))}")
    wanted = {label("sub", participant): participant for participant in participants}
    known = {subject.participant for subject in subjects}
    for name, participant in wanted.items():
        if name not in known:
            raise ValueError(
                f"--participant {participant} is not among the {len(known)} participants found. "
                f"The first of them is {min(known)}. Name one of them."
            )
    return [subject for subject in subjects if not wanted or subject.participant in wanted]


def _show_plan(subjects: Sequence[Subject], protocol: Any) -> None:
    from deepjive.report.preprocess import in_words

    rows = [(subject.name, subject.t1 or "", subject.pet or "") for subject in subjects]
    show.table(f"{len(subjects)} participants and sessions", ("participant", "T1", "PET"), rows)
    for heading, stage in (("T1", "anat"), ("PET", "pet")):
        show.table(
            f"Steps of {heading}",
            ("step", "parameters"),
            [(step.name, in_words(step.parameters)) for step in protocol[stage]],
        )


@contextmanager
def _shown(total: int) -> Iterator[OnSubject]:
    """A bar for all participants, one for each participant in progress, and a line for each finished participant."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    words = TextColumn("{task.description}", markup=False)
    columns = (words, BarColumn(bar_width=16), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        all_subjects = bars.add_task("participants", total=total)
        tasks: dict[str, Any] = {}

        def on_progress(now: Any) -> None:
            name = now.subject.name
            if now.outcome is None:
                if name not in tasks:
                    tasks[name] = bars.add_task(name)
                bars.update(tasks[name], completed=now.done, total=now.total, description=f"{name}: {now.message}")
                return
            if name in tasks:
                bars.remove_task(tasks[name])
            bars.advance(all_subjects)
            bars.console.print(_became(now.outcome), highlight=False, markup=False, soft_wrap=True)

        yield on_progress


def _became(outcome: Outcome) -> str:
    from deepjive.cli.errors import one_line

    if outcome.problems:
        return one_line(f"{outcome.subject.name}: failed")
    if not outcome.done:
        return one_line(f"{outcome.subject.name}: finished before")
    return one_line(f"{outcome.subject.name}: done ({' and '.join(outcome.done)})")
