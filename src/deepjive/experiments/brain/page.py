"""The tables, maps and page of `deepjive reproduce adni`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.evaluation.map_bootstrap import BootstrapMaps
from deepjive.experiments.brain.figures import brain_maps, masked, titles
from deepjive.experiments.brain.study import FEW, BrainStudy
from deepjive.imaging.grid import Grid, mni_grid, template
from deepjive.imaging.volumes import save_volume
from deepjive.persistence import write_atomically
from deepjive.report import Table
from deepjive.report.study import Section, write_study
from deepjive.report.tables import csv_text
from deepjive.report.viewer import viewer

TITLE = "MRI and PET: what varies together, what varies alone"
LEAD = (
    "{n} participants, {voxel:g} mm; a third of them, never seen in fitting, are in every figure. One fit of each "
    "method (seed {seed}), ranks {joint} joint and {own} individual, at most {epochs} epochs a phase."
)
CLASSIFIED = (
    "A linear support vector machine tells AD from CN by the scores of held-out participants, in nested "
    "cross-validation by participant; 95% intervals by bootstrap over participants. With labels dealt at random, ten "
    "times (mean, lowest, highest), it should guess. The last column is of machines that learned from 20 "
    "participants alone (half of them, if they are fewer than 40), over fifty draws of these."
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
REFITTED = (
    "The model was fitted again to {n} draws of participants with replacement, and each refit's joint score that is"
    " most like this one was mapped. Shown is what is significant at a false-discovery rate of 5% in participants "
    "that were not drawn, by the score made from the other modality: unlike above, this carries the uncertainty of "
    "the fit."
)
MATCHED = (
    "Share of the brain's voxels that are significant by pairing at random, over refits, and in both, and the "
    "median of effect over standard error. Scores of refits correlate with this one by {mean:.2f} on average, "
    "{least:.2f} at least; far below 1, the maps are of no score in particular."
)
INTERVALS = (
    "Mean effect of one standard deviation within 10 mm of a region's centre, among the participants fitted, and "
    "its 90% interval over refits."
)
LOOKED = "Click or drag in a slice to move the others; blue is less, red is more. Grey where it is not significant."
LEVEL = 0.05


def write_brain_page(out: Path, study: BrainStudy, voxel: float, lead: str, command: str) -> tuple[Path, list[Table]]:
    """Write maps as NIfTI, tables and the page; returns the page and the tables of evidence."""
    grid = mni_grid(voxel)
    (out / "tables").mkdir(exist_ok=True)
    for name, found in study.maps.items():
        save_volume(out / "maps" / f"{name}_effect.nii.gz", found.effect, grid)
        save_volume(out / "maps" / f"{name}_q.nii.gz", found.q_value, grid)
    shown = {name: masked(found.effect, found.q_value) for name, found in study.maps.items()}
    figure = brain_maps(shown, grid, titles(list(shown)))
    figure.savefig(out / "covariation.png")
    mapped, evidence = [_regions(study)], _tables(study)
    parts = [_section("Covariation", MAPPED.format(number=study.component + 1), shown, grid, mapped, figure)]
    if study.bootstrap is not None:
        tables = _refit_tables(study, template("brain", voxel) > 0)
        again = _save_refits(out / "maps", study.bootstrap, grid)
        parts.append(_section("Over refits", REFITTED.format(n=len(study.bootstrap.match)), again, grid, tables))
        mapped = mapped + tables
    for table in [*evidence, *mapped]:
        name = "_".join(table.caption.lower().split())
        write_atomically(out / "tables" / f"{name}.csv", csv_text(table.header, map(_numbers, table.rows)).encode())
    sections = [*parts, Section("Evidence", "Every figure beside its baselines.", evidence)]
    return write_study(out / "report.html", title=TITLE, lead=lead, sections=sections, command=command), evidence


def _section(
    heading: str, words: str, maps: dict[str, NDArray], grid: Grid, tables: list[Table], figure: Figure | None = None
) -> Section:
    """A figure for print, and a viewer for each map."""
    units = titles(list(maps))
    drawn = figure or brain_maps(maps, grid, units)
    viewers = [viewer(f"{name}: {units[name]}", values, grid, LOOKED) for name, values in maps.items()]
    return Section(heading, words, tables, [("Grey matter and amyloid", drawn, DRAWN)], viewers=viewers)


def _save_refits(folder: Path, bootstrap: BootstrapMaps, grid: Grid) -> dict[str, NDArray]:
    """Write what the refits say of every voxel; returns what is significant."""
    shown = {}
    for name in bootstrap.effect:
        found = bootstrap.of(name)
        kept = {"effect": found.effect, "standard_error": found.standard_error, "ratio": found.ratio}
        kept |= {"lower": found.lower, "upper": found.upper, "q": found.q_value}
        for what, values in kept.items():
            save_volume(folder / f"{name}_refits_{what}.nii.gz", values, grid)
        shown[name] = masked(found.effect, found.q_value)
    return shown


def _refit_tables(study: BrainStudy, mask: NDArray[np.bool_]) -> list[Table]:
    bootstrap = study.bootstrap
    if bootstrap is None:
        return []
    rows: list[tuple[Any, ...]] = []
    for name, found in study.maps.items():
        tested = [(maps.q_value < LEVEL)[mask] for maps in (found, bootstrap.of(name))]
        shares = [f"{share.mean():.1%}" for share in (*tested, tested[0] & tested[1])]
        rows.append((name, *shares, f"{np.median(np.abs(bootstrap.of(name).ratio[mask])):.2f}"))
    header: tuple[str, ...] = ("modality", "by pairing", "by refits", "by both", "median ratio")
    match = MATCHED.format(mean=bootstrap.match.mean(), least=bootstrap.match.min())
    agreement = Table("Significant voxels", header, rows, match)
    names = list(bootstrap.effect)
    header = ("region", "side", *(f"{name} {what}" for name in names for what in ("effect", "lower", "upper")))
    rows = [
        (region, side, *(f"{value:+.4f}" for name in names for value in found[name]))
        for region, side, found in study.intervals
    ]
    return [agreement, Table("Regions over refits", header, rows, INTERVALS)]


def _regions(study: BrainStudy) -> Table:
    names = list(study.maps)
    header = ("region", "side", *(f"{name} {what}" for name in names for what in ("effect", "significant")))
    rows = [
        (region, side, *(text for name in names for text in (f"{found[name][0]:+.4f}", f"{found[name][1]:.0%}")))
        for region, side, found in study.regions
    ]
    return Table("Regions", header, rows, REGIONS)


def _tables(study: BrainStudy) -> list[Table]:
    measures = ("accuracy", "precision", "recall", "F1", "AUC", FEW)
    classified = [
        (name, size, *map(str, (found[key] for key in measures))) for name, size, found in study.classification
    ]
    dealt = ("DeepJIVE, joint, labels shuffled", "", *(str(study.shuffled_labels.get(key, "")) for key in measures))
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
    return tables


def _numbers(row: Sequence[Any]) -> list[Table]:
    """Numbers in the place of texts that are numbers, so that a minus sign is not taken for a formula."""
    found: list[Any] = []
    for cell in row:
        try:
            found.append(float(cell))
        except ValueError:
            found.append(cell)
    return found
