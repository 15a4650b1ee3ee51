"""`deepjive reproduce adni`: MRI and PET, of a user's cohort or of the phantom."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepjive.cli import show
from deepjive.cli.options import command_of

if TYPE_CHECKING:
    from deepjive.datasets.phantom import Phantom
    from deepjive.imaging.cohort import Cohort

NOT_BOTH = "Give one of --caps, --derivative and --table."
NO_SOURCE = "--bids and --choose say more of --caps, --derivative or --table; give one of these as well."
NOTHING_TO_CHOOSE = "--choose is for files found by their names; a --table names its files itself."
NOT_A_CHOICE = "--choose {given!r} is not ENTITY=VALUE, such as trc=18FAV45."


class Identity(StrEnum):
    """Identity constraints with which one modality alone gives joint scores, as the maps' significance needs."""

    exchange = "exchange"
    explicit = "explicit"


def adni(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write.")] = Path("runs/adni"),
    caps: Annotated[Path | None, typer.Option(help="A CAPS folder of Clinica (t1-volume, pet-volume).")] = None,
    derivative: Annotated[Path | None, typer.Option(help="What deepjive preprocess wrote.")] = None,
    bids: Annotated[Path | None, typer.Option(help="The BIDS folder with participants.tsv, for diagnoses.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Or a table of paths: participant_id, diagnosis, mri, pet.")
    ] = None,
    choose: Annotated[
        list[str] | None, typer.Option(metavar="ENTITY=VALUE", help="E.g. trc=18FAV45, suvr=pons; repeated.")
    ] = None,
    voxel: Annotated[float, typer.Option(min=2, max=12, help="Edge of a voxel in mm.")] = 6.0,
    subjects: Annotated[int, typer.Option(min=40, help="Participants of the phantom.")] = 300,
    quick: Annotated[bool, typer.Option("--quick", help="Few epochs: about 10 minutes on 2 cores.")] = False,
    max_epochs: Annotated[int | None, typer.Option(min=1, help="Most passes over the data in each phase.")] = None,
    identity: Annotated[Identity, typer.Option(help="How joint scores are made the same.")] = Identity.exchange,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Refits to draws of participants, for intervals of the maps; each costs a fit.")
    ] = 0,
    bootstrap_epochs: Annotated[
        int | None, typer.Option(min=1, help="Most passes in each phase of these refits; by default of the first fit.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of phantom, split and networks.")] = 0,
    accelerator: Annotated[str, typer.Option(help="What networks are trained on: cpu, cuda or auto.")] = "cpu",
) -> None:
    """MRI and PET of a cohort, by default of a phantom with known truth: classification, recovery, covariation maps."""
    import warnings
    from dataclasses import replace

    from sklearn.exceptions import ConvergenceWarning

    from deepjive.experiments.brain.page import LEAD, write_brain_page
    from deepjive.experiments.brain.study import NEGATIVE, POSITIVE, QUICK, Budget, brain_study

    given = sum(source is not None for source in (caps, derivative, table))
    if given > 1:
        raise typer.BadParameter(NOT_BOTH)
    if not given and (bids or choose):
        raise typer.BadParameter(NO_SOURCE)
    out.mkdir(parents=True, exist_ok=True)
    phantom = None
    if caps is None and derivative is None and table is None:
        phantom, cohort = _phantom(subjects, voxel, out, seed)
    else:
        cohort = _cohort(caps, derivative, bids, table, choose or [])
    usable = cohort.complete().diagnosed(NEGATIVE, POSITIVE)
    checked, data = usable.read(voxel, store=out / "volumes")
    cohort = checked.complete()
    kept = [checked.samples.index(sample) for sample in cohort.samples]
    data = data[kept]
    for problem in cohort.problems:
        show.line(f"Left out: {problem}")
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
            identity=identity.value,
            seed=seed,
            n_draws=bootstrap,
            draw_epochs=bootstrap_epochs,
            folder=out / "bootstrap",
            progress=lambda *step: show.line(step[-1]),
            accelerator=accelerator,
        )
    model.save(out / "model")
    lead = LEAD.format(
        n=len(cohort),
        voxel=voxel,
        seed=seed,
        joint=budget.joint_rank,
        own=budget.individual_rank,
        epochs=budget.max_epochs,
    )
    page, evidence = write_brain_page(out, study, voxel, lead, command_of(context))
    for measured in evidence:
        show.table(measured.caption, measured.header, measured.rows)
    show.line(f"Report: {page}")


def _phantom(subjects: int, voxel: float, out: Path, seed: int) -> tuple[Phantom, Cohort]:
    """The phantom, written as Clinica writes maps and read as they are read."""
    from deepjive.datasets.phantom import make_phantom
    from deepjive.datasets.phantom_files import write_caps
    from deepjive.imaging.cohort import read_cohort

    show.line(f"Drawing {subjects} phantom participants at {voxel:g} mm")
    phantom = make_phantom(subjects, voxel, random_state=seed)
    caps, bids = write_caps(phantom, out / "phantom")
    sources: Any = {"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}
    return phantom, read_cohort(sources, clinical=bids)


def _cohort(
    caps: Path | None, derivative: Path | None, bids: Path | None, table: Path | None, choose: list[str]
) -> Cohort:
    from deepjive.imaging.cohort import read_cohort, read_cohort_table

    if table is not None:
        if choose:
            raise typer.BadParameter(NOTHING_TO_CHOOSE)
        return read_cohort_table(table, clinical=bids)
    wanted = choices(choose)
    sources: Any = {"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}
    if derivative is not None:
        sources = {"mri": ("deepjive-mri", derivative), "pet": ("deepjive-pet", derivative)}
    return read_cohort(sources, clinical=bids or derivative, choose=wanted)


def choices(pairs: Sequence[str]) -> dict[str, str]:
    """The entities of ``--choose`` and their values."""
    for pair in pairs:
        if "=" not in pair:
            raise typer.BadParameter(NOT_A_CHOICE.format(given=pair))
    return dict(pair.split("=", 1) for pair in pairs)
