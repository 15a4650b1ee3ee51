"""`deepjive reproduce adni`: MRI and PET, of a user's cohort or of the phantom."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepjive.cli import show

if TYPE_CHECKING:
    from deepjive.datasets.adni import Cohort
    from deepjive.datasets.phantom import Phantom
    from deepjive.evaluation.brain_study import BrainStudy

TITLE = "MRI and PET: what varies together, what varies alone"
LEAD = (
    "{n} participants, {voxel:g} mm; a third of them, never seen in fitting, are in every figure. One fit of each "
    "method (seed {seed}), ranks {joint} joint and {own} individual, at most {epochs} epochs a phase."
)
CLASSIFIED = (
    "A linear support vector machine tells AD from CN by the scores of held-out participants, in nested "
    "cross-validation by participant; 95% intervals by bootstrap over participants. With labels dealt at random, ten "
    "times (mean, lowest, highest), it should guess."
)
RECOVERED = (
    "R2 of the recovered parts against the true ones of the phantom (1 is perfect, below 0 worse than the mean), and "
    "the share of the variance of held-out participants that each part explains."
)
PROBED = (
    "R2 of a linear regression of each factor of the phantom on the scores. Stage and asymmetry are joint; age and "
    "size belong to MRI alone; white, scale and resolution to PET alone. Asymmetry shows only as far as there is "
    "disease."
)
PAIRED = (
    "Share of the variance of held-out participants that is predicted from the other modality, and how often random "
    "pairing does as well. A model of shuffled modalities should predict nothing."
)
MAPPED = (
    "What one standard deviation of joint score {number} does, in the direction of AD, where it is significant at a "
    "false-discovery rate of 5%: the score of held-out participants, made from the other modality alone, against every "
    "voxel, by permutation."
)
DRAWN = (
    "Blue is less, red is more. Left the strongest fifth of the brain's voxels, seen through from three sides; right "
    "slices of all that is significant. The maps are in the folder maps, as NIfTI."
)
REGIONS = (
    "Mean effect of one standard deviation within 10 mm of a region's centre, and the share of significant voxels."
)
NOT_BOTH = "Give one of --caps, --derivative and --table."
NOT_A_CHOICE = "--choose {given!r} is not ENTITY=VALUE, such as trc=18FAV45."


class Identity(StrEnum):
    """Identity constraints with which one modality alone gives joint scores, as the maps' significance needs."""

    exchange = "exchange"
    explicit = "explicit"


def adni(
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
    seed: Annotated[int, typer.Option(help="Seed of phantom, split and networks.")] = 0,
    accelerator: Annotated[str, typer.Option(help="What networks are trained on: cpu, cuda or auto.")] = "cpu",
) -> None:
    """MRI and PET of a cohort, by default of a phantom with known truth: classification, recovery, covariation maps."""
    import warnings
    from dataclasses import replace

    from sklearn.exceptions import ConvergenceWarning

    from deepjive.evaluation.brain_study import NEGATIVE, POSITIVE, QUICK, Budget, brain_study

    if sum(source is not None for source in (caps, derivative, table)) > 1:
        raise typer.BadParameter(NOT_BOTH)
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
            say=show.line,
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
    named = (("caps", caps), ("derivative", derivative), ("table", table))
    source = next((f" --{name} {path}" for name, path in named if path), f" --subjects {subjects}")
    source += "".join(f" --choose {pair}" for pair in choose or []) + (f" --bids {bids}" if bids else "")
    source += (" --quick" if quick else "") + (f" --max-epochs {max_epochs}" if max_epochs else "")
    command = f"deepjive reproduce adni{source} --identity {identity.value} --voxel {voxel:g} --seed {seed} --out {out}"
    show.line(f"Report: {_write(out, study, voxel, lead, command)}")


def _phantom(subjects: int, voxel: float, out: Path, seed: int) -> tuple[Phantom, Cohort]:
    """The phantom, written as Clinica writes maps and read as they are read."""
    from deepjive.datasets.adni import read_cohort
    from deepjive.datasets.phantom import make_phantom
    from deepjive.datasets.phantom_files import write_caps

    show.line(f"Drawing {subjects} phantom participants at {voxel:g} mm")
    phantom = make_phantom(subjects, voxel, random_state=seed)
    caps, bids = write_caps(phantom, out / "phantom")
    sources: Any = {"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}
    return phantom, read_cohort(sources, clinical=bids)


def _cohort(
    caps: Path | None, derivative: Path | None, bids: Path | None, table: Path | None, choose: list[str]
) -> Cohort:
    from deepjive.datasets.adni import read_cohort, read_cohort_table

    if table is not None:
        return read_cohort_table(table)
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


def _write(out: Path, study: BrainStudy, voxel: float, lead: str, command: str) -> Path:
    """Tables to the terminal, maps as NIfTI, and the page."""
    from deepjive.cli.tables import csv_text
    from deepjive.imaging.grid import mni_grid
    from deepjive.imaging.volumes import save_volume
    from deepjive.persistence import write_atomically
    from deepjive.report.brain import brain_maps, masked, titles
    from deepjive.report.study import Section, write_study

    grid = mni_grid(voxel)
    (out / "tables").mkdir(exist_ok=True)
    for name, found in study.maps.items():
        save_volume(out / "maps" / f"{name}_effect.nii.gz", found.effect, grid)
        save_volume(out / "maps" / f"{name}_q.nii.gz", found.q_value, grid)
    shown = {name: masked(found.effect, found.q_value) for name, found in study.maps.items()}
    figure = brain_maps(shown, grid, titles(list(shown)))
    figure.savefig(out / "covariation.png")
    tables = _tables(study)
    for table in tables:
        name = "_".join(table.caption.lower().split())
        write_atomically(out / "tables" / f"{name}.csv", csv_text(table.header, map(_numbers, table.rows)).encode())
    for table in tables[:-1]:
        show.table(table.caption, table.header, table.rows)
    reading = MAPPED.format(number=study.component + 1)
    sections = [
        Section("Covariation", reading, tables[-1:], [("Grey matter and amyloid", figure, DRAWN)]),
        Section("Evidence", "Every figure beside its baselines.", tables[:-1]),
    ]
    return write_study(out / "report.html", title=TITLE, lead=lead, sections=sections, command=command)


def _tables(study: BrainStudy) -> list[Any]:
    from deepjive.report import Table

    measures = ("accuracy", "precision", "recall", "F1", "AUC")
    classified = [
        (name, size, *map(str, (found[key] for key in measures))) for name, size, found in study.classification
    ]
    dealt = ("DeepJIVE, joint, labels shuffled", "", *(str(study.shuffled_labels[key]) for key in measures))
    tables = [Table("CN or AD", ("scores", "size", *measures), [*classified, dealt], CLASSIFIED)]
    header: tuple[str, ...] = ("method", "modality", "joint R2", "individual R2", "joint share", "individual share")
    rows: list[tuple[Any, ...]] = [(*row[:2], *(f"{value:.3f}" for value in row[2:])) for row in study.recovery]
    tables.append(Table("Parts", header, rows, RECOVERED))
    if study.probes:
        factors = list(study.probes[0][1])
        rows = [(name, *(f"{found[factor]:.2f}" for factor in factors)) for name, found in study.probes]
        tables.append(Table("Factors told from scores", ("scores", *factors), rows, PROBED))
    rows = [
        (name, modality, f"{test.explained[modality]:.1%}", f"{test.p_values[modality]:.3f}")
        for name, test in (("paired", study.pairing), ("shuffled modalities", study.unpaired))
        for modality in test.explained
    ]
    tables.append(Table("Predicted from the other modality", ("fitted to", "modality", "predicted", "p"), rows, PAIRED))
    if study.dice:
        rows = [(name, f"{value:.2f}") for name, value in study.dice.items()]
        words = "Dice overlap of the strongest fifth of the brain's voxels in the map and in the truth."
        tables.append(Table("Maps against the truth", ("modality", "Dice"), rows, words))
    rows = [("wall time", ", ".join(f"{name} {value:.0f} s" for name, value in study.seconds.items()))]
    tables.append(Table("Cost of the fits", ("what", "seconds"), rows))
    names = list(study.maps)
    header = ("region", "side", *(f"{name} {what}" for name in names for what in ("effect", "significant")))
    rows = [
        (region, side, *(text for name in names for text in (f"{found[name][0]:+.4f}", f"{found[name][1]:.0%}")))
        for region, side, found in study.regions
    ]
    return [*tables, Table("Regions", header, rows, REGIONS)]


def _numbers(row: Sequence[Any]) -> list[Any]:
    """Numbers in the place of texts that are numbers, so that a minus sign is not taken for a formula."""
    found: list[Any] = []
    for cell in row:
        try:
            found.append(float(cell))
        except ValueError:
            found.append(cell)
    return found
