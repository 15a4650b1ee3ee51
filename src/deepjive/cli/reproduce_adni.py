"""`deepjive reproduce adni`: MRI and PET of a cohort, or of a phantom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepjive.cli import show
from deepjive.cli.options import SiteOption, command_of

if TYPE_CHECKING:
    from deepjive.datasets.phantom import Phantom
    from deepjive.experiments.brain.study import Budget
    from deepjive.imaging.cohort import Cohort

MODALITIES = {"mri": None, "pet": None, "amyloid": "amyloid", "tau": "tau", "fdg": "glucose"}
PHANTOM_MODALITIES = (["mri", "pet"], ["mri", "pet", "tau"])
NO_MODALITY = (
    "--modalities {given!r}: there are {known}. Name mri and one or more of the others, such as mri,amyloid,tau."
)
NOT_OF_PHANTOM = (
    "--modalities is {given!r}, but the phantom has mri,pet (PET of amyloid) or mri,pet,tau. Give one of these, or "
    "files of images."
)
OF_TABLE = (
    "--modalities cannot be used with --table, whose columns of paths are the modalities. Leave out --modalities, or "
    "columns of the table."
)
OF_SCANS = "--modalities cannot be used with --scans, which names the modalities. Leave out --modalities."
NO_SCANS = (
    "--scans {given!r} is not of the form NAME=LAYOUT:FOLDER, such as mri=cat12:FOLDER; the layouts are {layouts}."
)
TOO_FEW_SCANS = (
    "--scans must name two or more modalities, such as --scans mri=cat12:FOLDER --scans pet=spm-pet:FOLDER, each once; "
    "given: {given}."
)
NOTHING_TO_CHOOSE = "--choose selects files by their names and cannot be used with --table, which lists its files."


# The significance of the maps needs joint scores of one modality alone, which "merged" does not give.
Identity = Literal["exchange", "explicit"]


def adni(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write.")] = Path("runs/adni"),
    caps: Annotated[Path | None, typer.Option(help="CAPS folder of Clinica (t1-volume, pet-volume).")] = None,
    derivative: Annotated[Path | None, typer.Option(help="Folder that deepjive preprocess wrote.")] = None,
    bids: Annotated[
        Path | None, typer.Option(help="BIDS folder with participants.tsv, or ADNIMERGE.csv, for diagnoses.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Or a table of paths with columns participant_id, diagnosis, mri, pet.")
    ] = None,
    scans: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LAYOUT:FOLDER",
            help="Or the folder of each modality and its layout, such as mri=cat12:FOLDER (repeatable; see the page on "
            "MRI and PET).",
        ),
    ] = None,
    choose: Annotated[
        list[str] | None, typer.Option(metavar="ENTITY=VALUE", help="E.g. trc=18FAV45 or suvr=pons (repeatable).")
    ] = None,
    modalities: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="mri and one or more of pet, amyloid, tau and fdg. With several kinds of PET, files are told apart by "
            "the tracer in their names; pet is then amyloid.",
            show_default="mri,pet",
        ),
    ] = None,
    subsets: Annotated[
        str | None,
        typer.Option(
            metavar="SUBSETS",
            help="Of three or more modalities, subsets with variation of their own: auto, or such as mri+tau.",
            show_default=False,
        ),
    ] = None,
    voxel: Annotated[float, typer.Option(min=2, max=12, help="Edge length of a voxel in mm.")] = 6.0,
    subjects: Annotated[int, typer.Option(min=40, help="Number of participants of the phantom.")] = 300,
    hard: Annotated[
        bool,
        typer.Option(
            "--hard", help="Phantom with sites, subtypes, a second disease, missing and wrong scans, and more."
        ),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Few epochs; takes a few minutes on 2 cores.")] = False,
    max_epochs: Annotated[int | None, typer.Option(min=1, help="Maximum number of epochs of each phase.")] = None,
    identity: Annotated[
        Identity, typer.Option(help="How the joint scores of all modalities are made equal.")
    ] = "exchange",
    confounds: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Columns that are taken out of the volumes, such as age,sex,site: of the table of paths, or of "
            "participants.tsv and sessions.tsv.",
            show_default=False,
        ),
    ] = None,
    site: SiteOption = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Refits to bootstrap draws of participants, for intervals of the maps.")
    ] = 0,
    bootstrap_epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum number of epochs of each phase in these refits; by default as in the first fit."
        ),
    ] = None,
    atlas: Annotated[
        Path | None,
        typer.Option(
            help="Parcellation in MNI space that names the peaks of clusters, with a table of names beside it."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of phantom, split and networks.")] = 0,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Where networks are trained: cpu, cuda, mps or auto.")
    ] = "cpu",
) -> None:
    """MRI and PET of a cohort or, by default, of a phantom: classification, recovery, covariation maps."""
    import warnings
    from dataclasses import replace

    from sklearn.exceptions import ConvergenceWarning

    from deepjive.experiments.brain.page import write_brain_page
    from deepjive.experiments.brain.study import NEGATIVE, POSITIVE, QUICK, Budget, brain_study
    from deepjive.subsets import checked_subsets, parse_subsets

    n_sources = sum(source is not None for source in (caps, derivative, table, scans or None))
    if n_sources and hard:
        raise typer.BadParameter("--hard is of the phantom. Leave it out with the scans of a cohort.")
    if n_sources > 1:
        raise typer.BadParameter("Give only one of --caps, --derivative, --scans and --table.")
    if not n_sources and (bids or choose):
        raise typer.BadParameter("--bids and --choose need one of --caps, --derivative, --scans and --table.")
    if scans and modalities:
        raise typer.BadParameter(OF_SCANS)
    folders = _folders(scans or [])
    names = list(folders) or _names(modalities)
    if not n_sources:
        names = ["pet" if name == "amyloid" else name for name in names]  # its only PET beside tau
    if subsets is not None and table is None:
        checked_subsets(parse_subsets(subsets), names)
    if not n_sources and names not in PHANTOM_MODALITIES:
        raise typer.BadParameter(NOT_OF_PHANTOM.format(given=",".join(names)))
    out.mkdir(parents=True, exist_ok=True)
    phantom = None
    if not n_sources:
        phantom, cohort = _phantom(subjects, voxel, out, seed, hard, names)
    else:
        cohort = _cohort(caps, derivative, bids, table, choose or [], modalities, folders)
    confound_names = [name.strip() for name in (confounds or "").split(",") if name.strip()]
    if site and not confound_names:
        raise typer.BadParameter("--site names a confound, but there are none. Give --confounds age,site.")
    n_samples = len(cohort)
    usable = _with_confounds(cohort.complete().diagnosed(NEGATIVE, POSITIVE), confound_names)
    checked, data = usable.read(voxel, store=out / "volumes")
    cohort = checked.complete()
    data = data[[checked.samples.index(sample) for sample in cohort.samples]]
    for problem in cohort.problems:
        show.line(f"Left out: {problem}")
    if phantom is not None:
        places = {name: row for row, name in enumerate(phantom.samples)}
        phantom = phantom.where([places[name] for name in cohort.samples])
    budget = QUICK if quick else Budget()
    budget = budget if max_epochs is None else replace(budget, max_epochs=max_epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        study, model = brain_study(
            cohort,
            data,
            voxel,
            phantom=phantom,
            budget=budget,
            identity=identity,
            seed=seed,
            confounds=confound_names,
            site={None: "auto", "none": None}.get(site, site),
            subsets=None if subsets is None else parse_subsets(subsets),
            n_draws=bootstrap,
            draw_epochs=bootstrap_epochs,
            folder=out / "bootstrap",
            progress=lambda *step: show.line(step[-1]),
            device=device,
        )
    model.save(out / "model")
    lead = _lead(len(cohort), n_samples, voxel, seed, budget)
    page, evidence = write_brain_page(out, study, voxel, lead, command_of(context), atlas)
    for measured in evidence:
        show.table(measured.caption, measured.header, measured.rows)
    show.line(f"Report: {page}")


def _lead(n: int, total: int, voxel: float, seed: int, budget: Budget) -> str:
    """The first sentences of the page; how many of all samples were left out, if any."""
    from deepjive.experiments.brain.page import LEAD, LEFT_OUT

    ranks = {"joint": budget.joint_rank, "own": budget.individual_rank, "epochs": budget.max_epochs}
    lead = LEAD.format(n=n, voxel=voxel, seed=seed, **ranks)
    return lead if n == total else f"{lead} {LEFT_OUT.format(count=total - n, total=total)}"


def _with_confounds(cohort: Cohort, names: Sequence[str]) -> Cohort:
    """The samples that have all confounds; the others are listed as problems."""
    import numpy as np

    from deepjive.experiments.brain.study import NO_COLUMN
    from deepjive.imaging.bids import Problem

    missing = [name for name in names if name not in cohort.table]
    if missing:
        raise ValueError(NO_COLUMN.format(name=missing[0], columns=list(cohort.table)))
    known = cohort.table[list(names)].notna().to_numpy()
    for sample, row in zip(cohort.samples, known, strict=True):
        if not row.all():
            lacking = ", ".join(name for name, is_known in zip(names, row, strict=True) if not is_known)
            cohort.problems.append(Problem(sample, "", f"it has no value of the confound {lacking}"))
    return cohort.where(np.flatnonzero(known.all(axis=1)))


def _names(modalities: str | None) -> list[str]:
    """The modalities of ``--modalities``, mri first."""
    names = [name.strip().lower() for name in (modalities or "mri,pet").split(",") if name.strip()]
    is_known = set(names) <= set(MODALITIES) and len(set(names)) == len(names) and len(names) > 1
    if not is_known or "mri" not in names or {"pet", "amyloid"} <= set(names):
        raise typer.BadParameter(NO_MODALITY.format(given=modalities, known=", ".join(MODALITIES)))
    return ["mri", *(name for name in names if name != "mri")]


def _folders(scans: Sequence[str]) -> dict[str, tuple[str, Path]]:
    """The layout and the folder of each modality of ``--scans``, mri first; empty without the option."""
    from deepjive.imaging.bids import LAYOUTS

    folders: dict[str, tuple[str, Path]] = {}
    for given in scans:
        name, _, source = given.partition("=")
        layout, _, folder = source.partition(":")
        if not name or not folder or layout not in LAYOUTS:
            raise typer.BadParameter(NO_SCANS.format(given=given, layouts=", ".join(LAYOUTS)))
        folders[name] = layout, Path(folder)
    if scans and (len(folders) < max(2, len(scans))):
        raise typer.BadParameter(TOO_FEW_SCANS.format(given=", ".join(scans)))
    return dict(sorted(folders.items(), key=lambda item: item[0] != "mri"))


def _sources(folders: Mapping[str, tuple[str, Path]]) -> dict[str, Any]:
    """The layout, the folder and the tracer of each modality; of several kinds of PET, pet is that of amyloid."""
    tracers = MODALITIES if len(folders) == 2 else {**MODALITIES, "pet": "amyloid"}
    return {name: (*folder, *filter(None, [tracers.get(name)])) for name, folder in folders.items()}


def _folders_of(names: Sequence[str], mri: tuple[str, Path], pet: tuple[str, Path]) -> dict[str, tuple[str, Path]]:
    return {name: mri if name == "mri" else pet for name in names}


def _phantom(subjects: int, voxel: float, out: Path, seed: int, hard: bool, names: list[str]) -> tuple[Phantom, Cohort]:
    """The phantom, written to a CAPS folder and read from it like a cohort."""
    from deepjive.datasets.difficulties import HARD, Difficulties
    from deepjive.datasets.phantom import make_phantom
    from deepjive.datasets.phantom_files import write_caps
    from deepjive.imaging.cohort import read_cohort

    show.line(f"Drawing {subjects} phantom participants at {voxel:g} mm")
    difficulties = HARD if hard else Difficulties()
    phantom = make_phantom(subjects, voxel, tau="tau" in names, difficulties=difficulties, random_state=seed)
    caps, bids = write_caps(phantom, out / "phantom")
    return phantom, read_cohort(_sources(_folders_of(names, ("t1-volume", caps), ("pet-volume", caps))), clinical=bids)


def _cohort(
    caps: Path | None,
    derivative: Path | None,
    bids: Path | None,
    table: Path | None,
    choose: list[str],
    modalities: str | None,
    folders: dict[str, tuple[str, Path]],
) -> Cohort:
    from deepjive.imaging.cohort import read_cohort, read_cohort_table

    if table is not None:
        if choose:
            raise typer.BadParameter(NOTHING_TO_CHOOSE)
        if modalities:
            raise typer.BadParameter(OF_TABLE)
        return read_cohort_table(table, clinical=bids)
    wanted = choices(choose)
    if not folders:
        root = Path(str(caps or derivative))
        layouts = ("t1-volume", "pet-volume") if derivative is None else ("deepjive-mri", "deepjive-pet")
        folders = _folders_of(_names(modalities), *((layout, root) for layout in layouts))
    return read_cohort(_sources(folders), clinical=bids or derivative, choose=wanted)


def choices(pairs: Sequence[str]) -> dict[str, str]:
    """The entities of ``--choose`` with their values."""
    for pair in pairs:
        if "=" not in pair:
            raise typer.BadParameter(f"--choose {pair!r} is not of the form ENTITY=VALUE, such as trc=18FAV45.")
    return dict(pair.split("=", 1) for pair in pairs)
