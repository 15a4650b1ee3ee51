"""`deepjive reproduce`: the experiments of the documentation; each writes a folder with tables, figures and a page."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from deepjive.cli import show
from deepjive.cli.help import PlainCommand, PlainGroup
from deepjive.cli.options import (
    GroupsOption,
    SamplesOption,
    UnmatchedOption,
    command_of,
    read_modalities,
    read_named_labels,
)
from deepjive.progress import progress_bar

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    help="Run an experiment, and write its tables and figures.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

NOT_MNIST = (
    "MNIST was not found, so the digits of scikit-learn (8 x 8 pixels) are used instead, and the study of image and "
    "sound is left out. For the full experiment give --mnist FOLDER or set DEEPJIVE_DATA."
)
JobsOption = Annotated[
    int,
    typer.Option("--jobs", "-j", min=1, help="Fits at the same time, each in a process with its share of the cores."),
]
NO_FIT = (
    "None of the studies ({studies}) uses the methods ({methods}). The study leakage uses explicit and separate, "
    "rotated uses explicit and AJIVE, overlay uses the identities and AJIVE, tried uses explicit, augmented and "
    "new-partners; only noisy uses labels. Choose other methods."
)

TABLES_WITHOUT_MODALITY = (
    "--labels, --samples, --groups and --standardize describe tables given with -m, but no table was given. Give "
    "-m NAME=FILE for each modality, or leave these options out."
)
DATA_AND_TABLES = (
    "Both data sets (--dataset, --data) and tables (-m) were given. Give the tables alone, or the data sets alone."
)
PEERS_NOT_ASKED = (
    "The method {method} is of another package, and such methods are fitted only with --peers. Add --peers, or choose "
    "other methods."
)
ALL_MISSING = "None of the methods that were asked for is installed ({methods}): {why}. Choose other methods too."
DIGITS_ALONE = (
    "MNIST was not found, so the digits of scikit-learn (8 x 8 pixels, 1077 for training) are used instead. For the "
    "full experiment give --mnist FOLDER or set DEEPJIVE_DATA."
)
ALONE = "MOFA was asked for alone, but it is {why}. Install it, or choose more methods."


class Part(StrEnum):
    """The parts of the experiment with synthetic data."""

    recovery = "recovery"
    sizes = "sizes"
    ablation = "ablation"
    ranks = "ranks"


class Study(StrEnum):
    """The studies of the experiment with paired digits."""

    noisy = "noisy"
    leakage = "leakage"
    overlay = "overlay"
    sound = "sound"
    rotated = "rotated"
    tried = "tried"


class Method(StrEnum):
    """The methods for pairs of digits.

    "labels" are encoders that are trained with the digits. "augmented" and "new-partners" are the explicit identity,
    fitted to pairs that are drawn anew in every epoch.
    """

    explicit = "explicit"
    exchange = "exchange"
    merged = "merged"
    AJIVE = "AJIVE"
    CCA = "CCA"
    PCA = "PCA"
    separate = "separate"
    labels = "labels"
    augmented = "augmented"
    new_partners = "new-partners"


class OmicsMethod(StrEnum):
    """The methods for tables of several modalities: identities of DeepJIVE, and other methods."""

    exchange = "exchange"
    explicit = "explicit"
    merged = "merged"
    AJIVE = "AJIVE"
    HeteroJIVE = "HeteroJIVE"
    JIVE = "JIVE"
    separate = "separate"
    PCA = "PCA"
    CCA = "CCA"
    PLS = "PLS"
    ridge = "ridge"
    kernel_ridge = "kernel-ridge"
    MOFA = "MOFA"


class DataSet(StrEnum):
    """The data sets of the experiment with omics."""

    tcga_breast = "tcga_breast"
    rosmap = "rosmap"
    covid_su = "covid_su"
    tcga_brca = "tcga_brca"
    bmmc_cite = "bmmc_cite"
    uci_mfeat = "uci_mfeat"


class ViewMethod(StrEnum):
    """The methods for several views; "shuffled" is DeepJIVE on views that were permuted against each other."""

    DeepJIVE = "DeepJIVE"
    shuffled = "shuffled"
    AJIVE = "AJIVE"
    separate = "separate"
    ridge = "ridge"
    GCCA = "GCCA"
    DGCCA = "DGCCA"
    VCCA_private = "VCCA-private"
    MOFA = "MOFA"


@app.command(cls=PlainCommand)
def synthetic(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder to write; an interrupted run continues there.")
    ] = Path("runs/synthetic"),
    part: Annotated[
        list[Part] | None, typer.Option(help="A part of the experiment (repeatable).", show_default="all")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small data and few seeds: minutes instead of hours.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds.", show_default="5 or 10, by part")] = None,
    jobs: JobsOption = 1,
) -> None:
    """Synthetic data with known parts: recovery, recovery by size of the data, an ablation, and choice of ranks.

    Every result is saved at once, so that an interrupted run continues.
    """
    from deepjive.experiments.cells import measure_cells
    from deepjive.experiments.synthetic.page import write_synthetic
    from deepjive.experiments.synthetic.study import COLUMNS, MAIN_COLUMNS, PARTS, example, measure, plan, tables
    from deepjive.persistence import write_atomically
    from deepjive.report.tables import csv_text

    parts = tuple(name for name in PARTS if part is None or name in [chosen.value for chosen in part])
    cells = plan(parts, quick, seeds)
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        measures = measure_cells(cells, measure, out / "cells", jobs=jobs, progress=progress)
        progress(len(cells), len(cells), "drawing an example")
        drawn = example(quick) if "recovery" in parts else None
    for name, rows in tables(cells, measures, MAIN_COLUMNS).items():
        show.table(name, ("", *MAIN_COLUMNS, "seeds"), rows)
    lines = [
        (cell.part, cell.row, cell.seed, *(figures.get(column, math.nan) for column in COLUMNS))
        for cell, figures in zip(cells, measures, strict=True)
    ]
    write_atomically(out / "cells.csv", csv_text(("part", "row", "seed", *COLUMNS), lines).encode())
    page = write_synthetic(out / "report.html", cells, measures, tables(cells, measures), drawn, command_of(context))
    show.line(f"Report: {page}")


@app.command(cls=PlainCommand)
def mnist(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder to write; an interrupted run continues there.")
    ] = Path("runs/mnist"),
    study: Annotated[
        list[Study] | None, typer.Option(help="A study (repeatable).", show_default="all but tried")
    ] = None,
    method: Annotated[list[Method] | None, typer.Option(help="A method (repeatable).", show_default="all")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few pairs and one seed: 6 minutes with --jobs 2.")] = False,
    pairs: Annotated[int | None, typer.Option(min=500, help="Number of training pairs.", show_default="50000")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds of data and networks.", show_default="5")
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of epochs of each phase.", show_default="8")
    ] = None,
    sound_epochs: Annotated[
        int | None, typer.Option(min=1, help="The same for the 24,000 pairs of image and sound.", show_default="2")
    ] = None,
    mnist_folder: Annotated[
        Path | None,
        typer.Option(
            "--mnist",
            metavar="FOLDER",
            help="Folder with the four files of MNIST.",
            show_default="$DEEPJIVE_DATA/mnist",
        ),
    ] = None,
    fsdd_folder: Annotated[
        Path | None,
        typer.Option(
            "--fsdd", metavar="FOLDER", help="Folder with the spoken digits.", show_default="$DEEPJIVE_DATA/fsdd"
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Where networks are trained: cpu, cuda, mps or auto.")
    ] = "cpu",
    jobs: JobsOption = 1,
) -> None:
    """Paired digits: noisy MNIST, leakage, overlaid digits, rotated digits, image and sound; with baselines.

    Every fit is saved at once, so that an interrupted run continues.
    """
    from dataclasses import replace

    from deepjive.experiments.cells import measure_cells
    from deepjive.experiments.digits.page import write_page
    from deepjive.experiments.digits.study import QUICK, STUDIES, TRIED, Budget, Sources, cells_of, images_of, run_cell

    options = {"pairs": pairs, "seeds": seeds, "max_epochs": max_epochs, "sound_epochs": sound_epochs}
    changed: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    budget = replace(QUICK if quick else Budget(), **changed)
    sources = Sources(mnist_folder, fsdd_folder, device)
    asked = STUDIES if study is None else [chosen.value for chosen in study]
    studies = tuple(name for name in (*STUDIES, TRIED) if name in asked)
    if images_of(sources) != "MNIST":
        show.line(NOT_MNIST)
        studies = tuple(name for name in studies if name != "sound")
    methods = tuple(chosen.value for chosen in method or Method)
    cells = cells_of(budget, sources, studies, methods)
    if not cells:
        raise typer.BadParameter(NO_FIT.format(studies=", ".join(studies), methods=", ".join(methods)))
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        measures = measure_cells(
            cells, lambda cell: run_cell(cell, sources, out / "models"), out / "cells", jobs=jobs, progress=progress
        )
    note = (
        f"A quick run with {budget.pairs} pairs and one seed, as a test; its figures are not results." if quick else ""
    )
    tables, page = write_page(out, cells, measures, sources, command_of(context), note)
    for table in tables:
        show.table(table.caption, table.header, table.rows)
        show.line(table.sentence + "\n")
    show.line(f"Report: {page}")


@app.command(cls=PlainCommand)
def omics(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder to write; an interrupted run continues there.")
    ] = Path("runs/omics"),
    dataset: Annotated[list[DataSet] | None, typer.Option(help="A data set (repeatable).", show_default="all")] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder with the folders of the data sets.", show_default="$DEEPJIVE_DATA"),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "--modality",
            "-m",
            metavar="NAME=PATH",
            help="Your own tables instead of the data sets, read as by deepjive fit. Repeat for each modality.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Classes of your samples: .npy, file.npz:key or file.csv:column."),
    ] = None,
    samples: SamplesOption = None,
    groups: GroupsOption = None,
    unmatched: UnmatchedOption = "error",
    standardize: Annotated[
        bool, typer.Option("--standardize", help="Divide each feature of your tables by its standard deviation.")
    ] = False,
    method: Annotated[list[OmicsMethod] | None, typer.Option(help="A method (repeatable).", show_default="all")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two of the five folds, and the two smallest data sets.")
    ] = False,
    folds: Annotated[
        int | None, typer.Option(min=1, max=5, help="How many of the five folds are measured.", show_default="5")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds that are compared on the first fold.", show_default="3")
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of epochs of each phase.", show_default="500")
    ] = None,
    jobs: JobsOption = 1,
) -> None:
    """Tables of several modalities: missing modalities and labels predicted by DeepJIVE and by other methods.

    All methods have the same five folds. Every fit is saved at once, so that an interrupted run continues.

    Example: deepjive reproduce omics -m rna=rna.csv -m protein=protein.csv --labels samples.csv:diagnosis
    """
    from dataclasses import replace

    from deepjive.experiments.cells import measure_cells
    from deepjive.experiments.omics.data import NAMES, QUICK_NAMES, own_tables, read_data_sets
    from deepjive.experiments.omics.mofa import NOT_INSTALLED, is_installed
    from deepjive.experiments.omics.page import write_page
    from deepjive.experiments.omics.study import QUICK, Budget, cells_of, run_cell

    options = {"folds": folds, "extra_seeds": None if seeds is None else seeds - 1, "max_epochs": max_epochs}
    changed: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    budget = replace(QUICK if quick else Budget(), **changed)
    methods = [chosen.value for chosen in method or OmicsMethod]
    missing = ["MOFA"] if "MOFA" in methods and not is_installed() else []
    methods = [name for name in methods if name not in missing]
    if not methods:
        raise typer.BadParameter(ALONE.format(why=NOT_INSTALLED))
    if modality:
        if dataset or data:
            raise typer.BadParameter(DATA_AND_TABLES)
        own = read_modalities(modality, samples, unmatched, groups)
        classes = list(read_named_labels([labels] if labels else [], own).values())
        tables = {"tables": own_tables(own, classes[0] if classes else None, standardize=standardize)}
    elif labels or samples or groups or standardize:
        raise typer.BadParameter(TABLES_WITHOUT_MODALITY)
    else:
        asked = [chosen.value for chosen in dataset or []] or (QUICK_NAMES if quick else NAMES)
        tables = read_data_sets([name for name in NAMES if name in asked], data)
    cells = cells_of(budget, tables, methods)
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        measures = measure_cells(
            cells, lambda cell: run_cell(cell, tables, out / "scores"), out / "cells", jobs=jobs, progress=progress
        )
    note = f"A quick run with {budget.folds} of 5 folds; its figures are not results." if quick else ""
    shown, page = write_page(out, cells, measures, tables, command_of(context), missing_methods=missing, note=note)
    for table in shown:
        show.table(table.caption, table.header, table.rows)
        show.line(table.sentence + "\n")
    show.line(f"Report: {page}")


@app.command(cls=PlainCommand)
def benchmark(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder to write; an interrupted run continues there.")
    ] = Path("runs/benchmark"),
    peers: Annotated[
        bool, typer.Option("--peers", help="Also methods of other packages: pip install 'deepjive[peers]'.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Three views, 5000 samples and one seed: within 20 minutes on two cores.")
    ] = False,
    method: Annotated[list[ViewMethod] | None, typer.Option(help="A method (repeatable).", show_default="all")] = None,
    views: Annotated[
        list[int] | None, typer.Option(min=2, max=5, help="Number of views (repeatable).", show_default="3 and 5")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=200, help="Number of training samples.", show_default="10000")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds of data and methods.", show_default="5")
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of epochs of each phase.", show_default="16")
    ] = None,
    missing: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=0.6, help="Fraction of training samples that lack each view.", show_default="0: all complete"
        ),
    ] = None,
    mnist_folder: Annotated[
        Path | None,
        typer.Option(
            "--mnist",
            metavar="FOLDER",
            help="Folder with the four files of MNIST.",
            show_default="$DEEPJIVE_DATA/mnist",
        ),
    ] = None,
    jobs: JobsOption = 1,
) -> None:
    """Digits over varying backgrounds, three to five views: DeepJIVE beside baselines and methods of other packages.

    Digits from joint scores, backgrounds from individual scores and each from the other; views drawn from other views,
    and samples of all. Every fit is saved at once, so that an interrupted run continues.
    """
    from dataclasses import replace

    from deepjive.experiments.benchmark.methods import OWN
    from deepjive.experiments.benchmark.page import write_page
    from deepjive.experiments.benchmark.peers import PEERS, is_installed
    from deepjive.experiments.benchmark.study import QUICK, Budget, cells_of, run_cell
    from deepjive.experiments.cells import measure_cells
    from deepjive.experiments.omics.mofa import NOT_INSTALLED

    options = {
        "samples": samples,
        "seeds": seeds,
        "max_epochs": max_epochs,
        "views": tuple(views) if views else None,
        "missing": missing,
    }
    changed: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    budget = replace(QUICK if quick else Budget(), **changed)
    asked = [chosen.value for chosen in method or []] or [*OWN, *(PEERS if peers else ())]
    if not peers and (others := [name for name in asked if name in PEERS]):
        raise typer.BadParameter(PEERS_NOT_ASKED.format(method=others[0]))
    absent = [name for name in asked if name in PEERS and not is_installed(name)]
    methods = [name for name in asked if name not in absent]
    if not methods:
        raise typer.BadParameter(ALL_MISSING.format(methods=", ".join(absent), why=NOT_INSTALLED))
    cells = cells_of(budget, methods, mnist_folder)
    if cells[0].data["images"] != "MNIST":
        show.line(DIGITS_ALONE)
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        measures = measure_cells(
            cells,
            lambda cell: run_cell(cell, mnist_folder, out / "pictures"),
            out / "cells",
            jobs=jobs,
            progress=progress,
        )
    note = (
        f"A quick run with {budget.samples} samples and {budget.seeds} seed, as a test; its figures are not results."
        if quick
        else ""
    )
    shown, page = write_page(out, cells, measures, command_of(context), missing_methods=absent, note=note)
    for table in shown:
        show.table(table.caption, table.header, table.rows)
        show.line(table.sentence + "\n")
    show.line(f"Report: {page}")
