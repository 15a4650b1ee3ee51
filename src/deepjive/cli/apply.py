"""`deepjive transform`, `decompose`, `impute` and `report`: a run applied to fitted or new samples."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from deepjive.cli import runs, show
from deepjive.cli.options import (
    ConfoundsOption,
    DecimalOption,
    FeaturesInRowsOption,
    FittedModalityOption,
    GroupsOption,
    LabelsOption,
    LevelOption,
    MissingFeaturesOption,
    ModalityOption,
    OneHotOption,
    RunArgument,
    SamplesOption,
    SepOption,
    SiteOption,
    TableOptions,
    TitleOption,
    UnmatchedOption,
    check_folder,
    paths_of,
    read_modalities,
    read_named_labels,
)
from deepjive.cli.sample import write_values
from deepjive.progress import progress_bar, silent
from deepjive.report.tables import csv_text, file_names, scores_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deepjive.conformal import Intervals
    from deepjive.data.modalities import Modalities
    from deepjive.decomposition import Part
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.progress import Progress

BATCH = 256
WRONG_SURVIVAL = (
    "--survival is {given!r}, but must name a file with the columns of times and of events, such as "
    "patients.csv:days,died."
)
ENDS = ("", "_lower", "_upper")
IntervalOption = Annotated[
    float | None,
    typer.Option(
        metavar="LEVEL",
        help="Add intervals that contain the truth with this probability, such as 0.9. First run deepjive calibrate.",
        show_default=False,
    ),
]


def transform(
    run: RunArgument,
    modality: ModalityOption,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    missing_features: MissingFeaturesOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file. Without it the scores are printed.", show_default=False)
    ] = None,
    interval: IntervalOption = None,
) -> None:
    """Write the joint scores of fitted or new samples as CSV.

    With --interval, columns joint_1_lower and joint_1_upper hold the interval of the score that the sample would have
    with all modalities.

    Example: deepjive transform runs/first -m mri=new_mri.npy -m pet=new_pet.npy --out scores.csv
    """
    from deepjive.persistence import load

    with progress_bar() as progress:
        progress(0, None, "Computing joint scores")
        model = load(run)
        tables = TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
        data = read_modalities(modality, samples, unmatched, runs.groups_of(run) if tables.level else None, tables)
        scores = model.transform(data, missing_features=missing_features, interval=interval)
        text = _intervals_text(scores, data.samples) if interval else scores_text(scores, data.samples, "joint")
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(out, text)


def decompose(
    run: RunArgument,
    modality: ModalityOption,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write the parts to.", show_default=False)],
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    missing_features: MissingFeaturesOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
) -> None:
    """Write the joint, individual and residual part of every modality (.npy), and all scores (.csv).

    Example: deepjive decompose runs/first -m mri=mri.npy -m pet=pet.npy --out parts
    """
    from deepjive.persistence import load

    check_folder(out)
    with progress_bar() as progress:
        progress(0, None, "Computing scores")
        model = load(run)
        tables = TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
        data = read_modalities(modality, samples, unmatched, runs.groups_of(run) if tables.level else None, tables)
        decomposition = model.decompose(data, missing_features=missing_features)
        out.mkdir(parents=True, exist_ok=True)
        parts = {
            f"{word}_{file}.npy": (name, part)
            for name, file in file_names(data.names).items()
            for word, part in (
                ("joint", decomposition.joint),
                ("individual", decomposition.individual),
                ("residual", decomposition.residual),
            )
        }
        for done, (file, (name, part)) in enumerate(parts.items()):
            write_part(out / file, part, name, len(data), progress, done, len(parts))
        progress(0, None, "Computing the variance explained")
        runs.write_scores(out, decomposition)
    show.variance_table(decomposition)
    show.line(f"Parts: {out}")


def impute(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="MODALITY", help="The modality to predict.", show_default=False)],
    modality: ModalityOption,
    out: Annotated[Path, typer.Option(help="File to write: .npy, or .csv for vectors.", show_default=False)],
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    missing_features: MissingFeaturesOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    interval: IntervalOption = None,
) -> None:
    """Predict a modality that was not measured from the measured modalities.

    With --interval, the ends of the intervals of all values are written beside OUT, to files that end in _lower and
    _upper, and bounds of the root mean square errors of whole samples to a file that ends in _radius.csv.

    Example: deepjive impute runs/first pet -m mri=new_mri.npy --out predicted_pet.npy
    """
    from deepjive.persistence import load

    if out.suffix not in (".npy", ".csv"):
        raise ValueError(f"--out {out} must end in .npy or .csv.")
    with progress_bar() as progress:
        progress(0, None, f"Predicting {name}")
        model = load(run)
        tables = TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
        data = read_modalities(modality, samples, unmatched, runs.groups_of(run) if tables.level else None, tables)
        predicted = model.impute(data, name, missing_features=missing_features, interval=interval)
    parts = {"": predicted} if interval is None else dict(zip(ENDS, predicted[:3], strict=True))
    if out.suffix == ".csv" and parts[""].ndim != 2:
        raise ValueError(
            f"{name} has samples of shape {parts[''].shape[1:]}, which a CSV file cannot hold. Give --out a name that "
            "ends in .npy instead."
        )
    for end, values in parts.items():
        path = out.with_name(f"{out.stem}{end}{out.suffix}")
        write_values(path, values, name, model, data.samples)
        show.line(f"Written: {path}")
    if interval is not None:
        names = range(len(data)) if data.samples is None else data.samples
        radius = zip(names, predicted.radius, strict=True)
        _write(out.with_name(f"{out.stem}_radius.csv"), csv_text(["sample", "radius"], radius))


def report(
    run: RunArgument,
    modality: FittedModalityOption = None,
    labels: LabelsOption = None,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    title: TitleOption = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default report.html in the run.", show_default=False)
    ] = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Measure how reliable the run is: refit the model and baselines without some samples, also with "
            "shuffled samples, and test on the held-out samples. Give the samples that the run was fitted to.",
        ),
    ] = False,
    groups: GroupsOption = None,
    adjust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Confounds for which the associations of scores and labels are adjusted; read like labels. "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
    ordinal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Labels whose numbers are ranks; read like labels. Repeatable.", show_default=False
        ),
    ] = None,
    survival: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE:TIME,EVENT",
            help="Columns of survival: times, and 1 if the event happened or 0 if not. Needs lifelines. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the report of a run again, with other samples, labels or title, or with evidence.

    Example: deepjive report runs/first --labels patients.csv:diagnosis --evidence
    """
    from deepjive.cli.evidence import measure, print_evidence, recognised
    from deepjive.persistence import load

    # Evidence is measured on the fitted samples, whose participants the run names.
    model, tables = load(run), TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
    groups = groups or (runs.groups_of(run) if evidence or tables.level else None)
    options = {} if modality else runs.options_of(run)
    labels = labels or options.get("labels")
    data = runs.read_fitted(run, modality or [], samples, unmatched, groups, tables, labels)
    named_labels = read_named_labels(labels, data)
    ranked, times = read_named_labels(ordinal, data), _read_survival(survival, data)
    decomposition = model.decompose(data)  # wrong features raise here, before evidence is measured for minutes
    data = decomposition.data
    measured = measure(model, data, named_labels) if evidence else measured_evidence(run)
    if evidence and measured is not None:
        measured.save(run / runs.EVIDENCE)
        print_evidence(measured, run)
    path = runs.write_report_of(
        out or run / runs.REPORT,
        model,
        decomposition,
        title=title or options.get("title"),
        labels=named_labels | ranked,
        kinds=dict.fromkeys(ranked, "ordinal"),
        survival=times,
        sources=paths_of(modality) if modality else options["modality"],
        command=_again(run),
        note=None if modality else runs.FITTED_SAMPLES,
        evidence=measured,
        features=runs.read_loadings(run, data.names),
        adjust=read_named_labels(adjust, data),
        folder=run,
        failures=None if measured is not None else lambda: recognised(model, data, decomposition),
    )
    show.line(f"Report: {path}")


def _read_survival(sources: Sequence[str] | None, data: Modalities) -> dict[str, tuple[NDArray, NDArray]]:
    """Times and events by the name of the column of events."""
    pairs = {}
    for source in sources or ():
        file, _, columns = source.rpartition(":")
        time, _, event = columns.partition(",")
        if not (file and time and event):
            raise ValueError(WRONG_SURVIVAL.format(given=source))
        values = read_named_labels([f"{file}:{time}", f"{file}:{event}"], data)
        pairs[event] = (values[time], values[event])
    return pairs


def _again(run: Path) -> str | None:
    """The command that repeats the fit of a run, or None if `deepjive fit` did not write the run."""
    from deepjive.persistence import read_config

    if not read_config(run).get("run"):
        return None
    return shlex.join(["deepjive", "fit", "--config", str(run / runs.CONFIG), "--out", f"{run}_again"])


def measured_evidence(run: Path) -> Evidence | None:
    """Evidence of a run that was measured before, or None."""
    from deepjive.evaluation.evidence_study import Evidence

    return Evidence.load(run / runs.EVIDENCE) if (run / runs.EVIDENCE).is_file() else None


def write_part(
    path: Path, part: Part, name: str, n: int, progress: Progress = silent, done: int = 0, total: int = 1
) -> None:
    """Write one part of one modality to a .npy file, some samples at a time.

    Parameters
    ----------
    path : Path
        The file.
    part : Part
        The joint, individual or residual part.
    name : str
        The modality.
    n : int
        Number of samples.
    progress : callable, default=silent
        ``progress(done, total, message)``, called for every batch, in samples of all files.
    done, total : int, default=0 and 1
        Number of files that are written already, and of all files.
    """
    first = part.rows(name, slice(0, min(BATCH, n)))
    array = np.lib.format.open_memmap(path, mode="w+", dtype=first.dtype, shape=(n, *first.shape[1:]))
    for start in range(0, n, BATCH):
        rows = slice(start, min(start + BATCH, n))
        progress(done * n + start, total * n, f"Writing {path.name}")
        array[rows] = first if start == 0 else part.rows(name, rows)
    array.flush()


def _intervals_text(scores: Intervals, samples: NDArray | None) -> str:
    """Joint scores with the ends of their intervals, as CSV text."""
    names = range(len(scores.values)) if samples is None else samples
    parts = np.stack(scores[:3], axis=2)
    header = [f"joint_{i}{end}" for i in range(1, parts.shape[1] + 1) for end in ENDS]
    rows = ([name, *row] for name, row in zip(names, parts.reshape(len(parts), len(header)), strict=True))
    return csv_text(["sample", *header], rows)


def _write(path: Path, text: str) -> None:
    from deepjive.persistence import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    show.line(f"Written: {path}")
