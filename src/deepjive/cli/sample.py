"""`deepjive calibrate` and `deepjive sample`: how sure predictions of a run are, and new samples of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from deepjive.cli import runs, show
from deepjive.cli.options import (
    ConfoundsOption,
    DecimalOption,
    FeaturesInRowsOption,
    FittedModalityOption,
    GroupsOption,
    LevelOption,
    OneHotOption,
    RunArgument,
    SamplesOption,
    SepOption,
    SiteOption,
    TableOptions,
    UnmatchedOption,
    check_folder,
    read_modalities,
)
from deepjive.progress import progress_bar
from deepjive.report.tables import csv_text, file_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FOLDS = 5


def calibrate(
    run: RunArgument,
    modality: FittedModalityOption = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Calibrate with the fitted samples: fit again without each of so many parts.",
            show_default=f"{FOLDS} without --modality",
        ),
    ] = None,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    groups: GroupsOption = None,
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
) -> None:
    """Measure the errors of a run's predictions, for intervals of impute and transform.

    With --modality, give samples that the run was not fitted to. Without it, the run is fitted again to parts of its
    samples.

    Example: deepjive calibrate runs/first -m mri=held_out_mri.npy -m pet=held_out_pet.npy
    """
    from deepjive.persistence import load, save

    model, tables = load(run), TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
    if not modality:
        folds, groups = folds or FOLDS, groups or runs.groups_of(run)
    data = runs.read_fitted(run, modality or [], samples, unmatched, groups, tables)
    with progress_bar() as progress:
        model.calibrate(data, folds=folds, progress=progress)
        save(model, run, runs.options_of(run) or None)
    calibration = model.calibration_
    count = calibration["n_participants"]
    most = 100 * count // (count + 1)  # rounded down, because a level above count / (count + 1) is refused
    participants = f" of {count} participants" if data.groups is not None else ""
    how = "held-out samples" if folds is None else f"fitted samples, by {folds} refits"
    show.line(f"Calibrated with {len(data)} {how}{participants}. Intervals of up to {most}% are possible.")


def sample(
    run: RunArgument,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write to.", show_default=False)],
    number: Annotated[
        int, typer.Option("--number", "-n", metavar="NUMBER", help="Number of samples, or of draws for each given one.")
    ] = 1,
    noise: Annotated[bool, typer.Option("--noise", help="Add residuals, so that samples vary as the data do.")] = False,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of the draws.")] = 0,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "--modality",
            "-m",
            metavar="NAME=PATH",
            help="A modality of samples whose other modalities are drawn. Without this option all are drawn.",
            show_default=False,
        ),
    ] = None,
    samples: SamplesOption = None,
    unmatched: UnmatchedOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
) -> None:
    """Draw new samples of all modalities, or the missing modalities of given samples.

    Each modality is written to a file: .csv for vectors, and .npy for images.

    Example: deepjive sample runs/first --number 100 --noise --out drawn
    """
    from deepjive.persistence import load

    check_folder(out)
    with progress_bar() as progress:
        progress(0, None, "Drawing samples")
        model, given = load(run), None
        if modality:
            tables = TableOptions.of_run(run, features_in_rows, sep, decimal, one_hot, confounds, site, level)
            given = read_modalities(modality, samples, unmatched, runs.groups_of(run) if tables.level else None, tables)
        drawn = model.sample(number, given=given, noise=noise, random_state=seed)
        out.mkdir(parents=True, exist_ok=True)
        for name, file in file_names(drawn.names).items():
            suffix = ".csv" if drawn[name].ndim == 2 else ".npy"
            write_values(out / f"{file}{suffix}", drawn[name][:], name, model, drawn.samples)
    show.line(f"Samples: {out}")


def write_values(path: Path, values: NDArray, name: str, model: Any, samples: Sequence[str] | NDArray | None) -> None:
    """Write values of a modality to a file, .csv with the names of samples and features, or .npy.

    Parameters
    ----------
    path : Path
        The file.
    values : array, shape (n_samples, ...)
        The values; vectors if the file is a CSV file.
    name : str
        The modality.
    model : estimator
        The model, which knows the names of features.
    samples : sequence of str, or None
        Names of the samples; None gives the numbers 0, 1, 2, ...
    """
    from deepjive.persistence import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
        return
    names = range(len(values)) if samples is None else samples
    features = getattr(model, "features_", {}).get(name)
    header = ["sample", *(features or (f"feature_{i}" for i in range(1, values.shape[1] + 1)))]
    text = csv_text(header, ([sample, *row] for sample, row in zip(names, values, strict=True)))
    write_atomically(path, text.encode())
