"""`deepjive transform`, `decompose`, `impute` and `report`: a run, and samples it may never have seen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from deepjive.cli import runs, show
from deepjive.cli.options import (
    GroupsOption,
    LabelsOption,
    ModalityOption,
    RunArgument,
    SamplesOption,
    TitleOption,
    UnmatchedOption,
    check_folder,
    paths_of,
    read_modalities,
    read_named_labels,
)
from deepjive.report.tables import csv_text, file_names, scores_text

if TYPE_CHECKING:
    from deepjive.decomposition import Part
    from deepjive.evaluation.evidence import Evidence

BATCH = 256

NOT_A_TABLE = (
    "{name} has samples of shape {shape}, which a table cannot hold. Give --out a name that ends in .npy instead."
)
UNKNOWN_SUFFIX = "--out {path} must end in .npy or .csv."


def transform(
    run: RunArgument,
    modality: ModalityOption,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    out: Annotated[
        Path | None, typer.Option(help="CSV file; without it the scores are printed.", show_default=False)
    ] = None,
) -> None:
    """Write the joint scores of samples as CSV, also of samples that the model has never seen.

    Example: deepjive transform runs/first -m mri=new_mri.npy -m pet=new_pet.npy --out scores.csv
    """
    from deepjive.persistence import load

    model, data = load(run), read_modalities(modality, samples, unmatched)
    text = scores_text(model.transform(data), data.samples, "joint")
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
) -> None:
    """Write the joint, individual and residual part of every modality (.npy), and all scores (.csv).

    Example: deepjive decompose runs/first -m mri=mri.npy -m pet=pet.npy --out parts
    """
    from deepjive.persistence import load

    check_folder(out)
    model, data = load(run), read_modalities(modality, samples, unmatched)
    decomposition = model.decompose(data)
    out.mkdir(parents=True, exist_ok=True)
    files = file_names(data.names)
    parts = {"joint": decomposition.joint, "individual": decomposition.individual, "residual": decomposition.residual}
    for name in decomposition.data.names:
        for word, part in parts.items():
            write_part(out / f"{word}_{files[name]}.npy", part, name, len(data))
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
) -> None:
    """Predict a modality that was not measured from those that were.

    Example: deepjive impute runs/first pet -m mri=new_mri.npy --out predicted_pet.npy
    """
    from deepjive.persistence import load

    if out.suffix not in (".npy", ".csv"):
        raise ValueError(UNKNOWN_SUFFIX.format(path=out))
    model, data = load(run), read_modalities(modality, samples, unmatched)
    predicted = model.impute(data, name)
    if out.suffix == ".csv" and predicted.ndim != 2:
        raise ValueError(NOT_A_TABLE.format(name=name, shape=predicted.shape[1:]))
    if out.suffix == ".csv":
        names = range(len(data)) if data.samples is None else data.samples
        features = getattr(model, "features_", {}).get(name)
        header = ["sample", *(features or (f"feature_{i}" for i in range(1, predicted.shape[1] + 1)))]
        _write(out, csv_text(header, ([sample, *row] for sample, row in zip(names, predicted, strict=True))))
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    np.save(out, predicted)
    show.line(f"Written: {out}")


def report(
    run: RunArgument,
    modality: ModalityOption,
    labels: LabelsOption = None,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    title: TitleOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The file; report.html in the run by default.", show_default=False)
    ] = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Measure how far the run can be believed: hold some of these samples out, fit again to the others, "
            "beside baselines and shuffled samples, and measure on those held out. Give the samples that the run was "
            "fitted to.",
        ),
    ] = False,
    groups: GroupsOption = None,
) -> None:
    """Write a run's report again: with other samples, labels or title, or with evidence.

    Example: deepjive report runs/first -m mri=mri.npy -m pet=pet.npy --labels patients.csv:diagnosis --evidence
    """
    from deepjive.cli.evidence import measure, print_evidence, recognised
    from deepjive.persistence import load

    groups = groups or (runs.groups_of(run) if evidence else None)  # evidence is of the samples fitted, so theirs hold
    model, data = load(run), read_modalities(modality, samples, unmatched, groups)
    named_labels = read_named_labels(labels, data)
    decomposition = model.decompose(data)  # refuses other features, which evidence would measure for minutes
    found = measure(model, data, named_labels) if evidence else _measured(run)
    if evidence and found is not None:
        found.save(run / runs.EVIDENCE)
        print_evidence(found)
    path = runs.write_report_of(
        out or run / runs.REPORT,
        model,
        decomposition,
        title=title,
        labels=named_labels,
        sources=paths_of(modality),
        command=_again(run),
        evidence=found,
        failures=None if found is not None else lambda: recognised(model, data, decomposition),
    )
    show.line(f"Report: {path}")


def _again(run: Path) -> str | None:
    """The command that fits a run again, if `deepjive fit` made it."""
    from deepjive.persistence import read_config

    if not read_config(run).get("run"):
        return None
    return shlex.join(["deepjive", "fit", "--config", str(run / runs.CONFIG), "--out", f"{run}_again"])


def _measured(run: Path) -> Evidence | None:
    """Evidence that was measured of a run before."""
    from deepjive.evaluation.evidence import Evidence

    return Evidence.load(run / runs.EVIDENCE) if (run / runs.EVIDENCE).is_file() else None


def write_part(path: Path, part: Part, name: str, n: int) -> None:
    """Write one part of one modality, some samples at a time."""
    first = part.rows(name, slice(0, min(BATCH, n)))
    array = np.lib.format.open_memmap(path, mode="w+", dtype=first.dtype, shape=(n, *first.shape[1:]))
    for start in range(0, n, BATCH):
        rows = slice(start, min(start + BATCH, n))
        array[rows] = first if start == 0 else part.rows(name, rows)
    array.flush()


def _write(path: Path, text: str) -> None:
    from deepjive.persistence import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    show.line(f"Written: {path}")
