"""The tables, maps and report page of `deepjive reproduce adni`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.evaluation.map_bootstrap import BootstrapMaps
from deepjive.experiments.brain.figures import significant_effect, units_of
from deepjive.experiments.brain.regions import CENTRES
from deepjive.experiments.brain.study import FEW, BrainStudy
from deepjive.imaging.grid import Grid, mni_grid, template
from deepjive.imaging.peaks import peaks
from deepjive.imaging.volumes import save_volume
from deepjive.persistence import write_atomically
from deepjive.plot.glass import brain_maps
from deepjive.report import Table
from deepjive.report.study import Section, write_study
from deepjive.report.tables import csv_text
from deepjive.report.viewer import viewer

TITLE = "MRI and PET: joint and individual variation"
LEAD = (
    "{n} participants, voxels of {voxel:g} mm. All measures are of a third of the participants, which no model was "
    "fitted to. Each method was fitted once (seed {seed}), with {joint} joint and {own} individual scores and at most "
    "{epochs} epochs per phase."
)
LEFT_OUT = "{count} of {total} samples were left out, because a scan, the diagnosis or a confound is missing."
CLASSIFICATION = (
    "A linear support vector machine classifies AD and CN from the scores of held-out participants, in nested "
    "cross-validation by participant. Intervals are 95% intervals from a bootstrap over participants. The last row is "
    "the accuracy with permuted labels (mean, lowest and highest of ten permutations), which should be that of "
    "guessing. The last column is the accuracy of machines trained on 20 participants only, over fifty draws; with "
    "fewer than 40 participants, half of them are drawn."
)
BALANCE = (
    "Mean and standard deviation, or shares, of each confound, and classification of AD and CN from the confound "
    "alone, without any scan (95% intervals). The confounds were taken out of the volumes; their effects were learned "
    "from the fitted participants. The next table also has the scores of volumes from which they were not taken out."
)
PHANTOM_AGE = "The age of the phantom is a factor between -1 and 1, not in years."
CEILING = "The true stage and the true factors of the phantom are the upper limits of the accuracy."
RECOVERY = (
    "R2 of the recovered parts against the true parts of the phantom: 1 is perfect, and below 0 is worse than the "
    "mean. Shares are fractions of the variance of held-out participants that each part explains."
)
PROBES = (
    "R2 of a linear regression of each factor of the phantom on the scores. Stage and asymmetry are joint factors. Age "
    "and size affect MRI only; white, scale and resolution affect PET only. Asymmetry is visible only in diseased "
    "participants. Of three modalities, the spread of the disease is shared by MRI and tau, and is visible only with "
    "disease; off_target, tau_scale and tau_resolution affect tau only."
)
SHARED = (
    "Variation that some of the modalities share: R2 of the recovered part against the true part of the phantom, and "
    "the fraction of the variance of held-out participants that the part explains."
)
PREDICTION = (
    "Share of the variance of held-out participants that is predicted from the other modalities, and the p-value of a "
    "test that permutes participants. A model of shuffled modalities should predict nothing."
)
COVARIATION = (
    "The effect of one standard deviation of joint score {number}, in the direction of AD, where it is significant at "
    "a false-discovery rate of 5%. The score of held-out participants is computed from the other modalities alone and "
    "tested against each voxel by permutation."
)
CONFOUNDED = (
    "Maps of a model of the volumes from which the confounds were not taken out: the effect of one standard deviation "
    "of its joint score {number}, which differs most between the diagnoses. Voxels that are significant here alone may "
    "show the confounds."
)
BEFORE_AND_AFTER = (
    "Shares of the brain's voxels that are significant where the confounds were taken out, where they were left in, "
    "and in both, and the correlation of the two effects over voxels."
)
MAPS = (
    "Blue is a decrease and red an increase. Left: the strongest fifth of the brain's voxels on a glass brain, from "
    "three sides. Right: slices of all significant voxels. The maps are in the folder maps, as NIfTI."
)
REGIONS = (
    "Mean effect of one standard deviation within 10 mm of the centre of each region, and the share of significant "
    "voxels."
)
REFITS = (
    "The model was fitted again to {n} bootstrap draws of the participants, and the joint score of each refit that is "
    "most similar to this score was mapped. The map shows the effect that is significant at a false-discovery rate of "
    "5% in participants that were not drawn, with the score computed from the other modalities. In contrast to the map "
    "above, it includes the uncertainty of the fit."
)
REFIT_VOXELS = (
    "Share of the brain's voxels that are significant by random pairing, over refits, and in both, and the median "
    "ratio of effect to standard error. The scores of refits have a mean correlation of {mean:.2f} with this score, "
    "and at least {least:.2f}. If the correlation is far below 1, the refits do not agree on one score."
)
INTERVALS = (
    "Mean effect of one standard deviation within 10 mm of the centre of each region, among the fitted participants, "
    "and its 90% interval over refits."
)
VIEWER = (
    "Click or drag in a slice to move the other slices. Blue is a decrease and red an increase; grey is not "
    "significant."
)
EMPTY = "No voxel of {names} is significant, so {these} empty. The effects without this limit are in the folder maps."
CLUSTERS = (
    "Peaks of the effect in clusters of voxels, in MNI coordinates: at most three of each cluster, at least 8 mm "
    "apart. Voxels belong to a cluster if their correlation with the score is beyond that of p = 0.001. The p-value of "
    "a cluster, and that of a voxel, is corrected for the family of all clusters or voxels by permutation of the "
    "largest one. A significant cluster says that there is an effect somewhere in it. {named} Clusters with p < 0.05 "
    "are listed."
)
BY_CENTRE = "The region is the nearest of 28 published centres, with its distance, if it is within 20 mm."
BY_ATLAS = "The region is that of the parcellation {atlas}."
LEVEL = 0.05
PRINT_DOTS = 300
P_WORDS = {
    "q": "q value, false discovery rate",
    "family_p": "family-wise p, largest voxel",
    "cluster_p": "family-wise p of clusters",
}


def write_brain_page(
    out: Path, study: BrainStudy, voxel: float, lead: str, command: str, atlas: Path | None = None
) -> tuple[Path, list[Table]]:
    """Write the maps as NIfTI files, the tables as CSV files, and the report page.

    Parameters
    ----------
    out : Path
        The folder to write.
    study : BrainStudy
        Results of `brain_study`.
    voxel : float
        Edge of a voxel in mm.
    lead : str
        The first sentences of the page.
    command : str
        The command that makes the page again.
    atlas : Path, optional
        Parcellation that names the peaks of clusters.

    Returns
    -------
    page : Path
        The report.
    tables : list of Table
        The tables of the section "Evidence".
    """
    grid = mni_grid(voxel)
    (out / "tables").mkdir(exist_ok=True)
    maps = _save_maps(out / "maps", study, grid)
    figure = brain_maps(maps, grid, units_of(list(maps)))
    for ending in ("png", "pdf"):
        figure.savefig(out / f"covariation.{ending}", dpi=PRINT_DOTS)
    map_tables, evidence = [_region_table(study), _cluster_table(study, grid, atlas)], _evidence(study)
    words = COVARIATION.format(number=study.component + 1)
    sections = [_section("Covariation", words, maps, grid, map_tables, figure)]
    if study.confounded_maps:
        left_in = _save_maps(out / "maps", study, grid, confounded=True)
        words = CONFOUNDED.format(number=study.confounded_component + 1)
        compared = [_before_and_after(study, template("brain", voxel) > 0)]
        sections.append(_section("Confounds left in", words, left_in, grid, compared))
        map_tables = map_tables + compared
    if study.bootstrap is not None:
        refit_tables = _refit_tables(study, study.bootstrap, template("brain", voxel) > 0)
        refit_maps = _save_refit_maps(out / "maps", study.bootstrap, grid)
        words = REFITS.format(n=len(study.bootstrap.match))
        sections.append(_section("Over refits", words, refit_maps, grid, refit_tables))
        map_tables = map_tables + refit_tables
    _write_tables(out / "tables", [*evidence, *map_tables])
    sections.append(Section("Evidence", "All measures of the model and of the baselines.", evidence))
    return write_study(out / "report.html", title=TITLE, lead=lead, sections=sections, command=command), evidence


def _section(
    heading: str, words: str, maps: dict[str, NDArray], grid: Grid, tables: list[Table], figure: Figure | None = None
) -> Section:
    """A section with a figure for print, and an interactive viewer for each map."""
    units = units_of(list(maps))
    picture = figure or brain_maps(maps, grid, units)
    viewers = [viewer(f"{name}: {units[name]}", values, grid, VIEWER) for name, values in maps.items() if values.any()]
    empty = [name for name, values in maps.items() if not values.any()]
    if empty:
        these = "this map is" if len(empty) == 1 else "these maps are"
        words = f"{words} {EMPTY.format(names=' or '.join(empty), these=these)}"
    return Section(heading, words, tables, [("Grey matter and uptake", picture, MAPS)], viewers=viewers)


def _save_maps(folder: Path, study: BrainStudy, grid: Grid, *, confounded: bool = False) -> dict[str, NDArray]:
    """Write effects and q-values as NIfTI files; returns the significant effects."""
    significant = {}
    maps, component = study.maps, study.component
    if confounded:
        maps, component = study.confounded_maps, study.confounded_component
    for name, covariation in maps.items():
        start = f"{name}_confounded" if confounded else name
        words = f"deepjive: {start.replace('_', ' ')}, joint score {component + 1}"
        effect, unit = covariation.effect, units_of([name])[name]
        save_volume(folder / f"{start}_effect.nii.gz", effect, grid, intent="estimate", description=f"{words}, {unit}")
        n = covariation.n_samples
        save_volume(
            folder / f"{start}_correlation.nii.gz",
            covariation.correlation,
            grid,
            intent="correlation",
            parameters=(n - 2,),
            description=f"{words}, correlation, n={n}",
        )
        p_values = {"q": covariation.q_value, "family_p": covariation.family_p, "cluster_p": covariation.cluster_p}
        for quantity, volume in p_values.items():
            if volume is not None:
                path = folder / f"{start}_{quantity}.nii.gz"
                save_volume(path, volume, grid, intent="p value", description=f"{words}, {P_WORDS[quantity]}")
        significant[name] = significant_effect(covariation.effect, covariation.q_value)
    return significant


def _save_refit_maps(folder: Path, bootstrap: BootstrapMaps, grid: Grid) -> dict[str, NDArray]:
    """Write the maps over refits as NIfTI files; returns the significant effects."""
    significant = {}
    for name in bootstrap.effect:
        maps = bootstrap.of(name)
        volumes = {"effect": maps.effect, "standard_error": maps.standard_error, "ratio": maps.ratio}
        volumes |= {"lower": maps.lower, "upper": maps.upper, "q": maps.q_value}
        for quantity, values in volumes.items():
            path, words = folder / f"{name}_refits_{quantity}.nii.gz", quantity.replace("_", " ")
            intent: Any = "p value" if quantity == "q" else "none" if quantity == "ratio" else "estimate"
            save_volume(path, values, grid, intent=intent, description=f"deepjive: {name}, {words} over refits")
        significant[name] = significant_effect(maps.effect, maps.q_value)
    return significant


def _write_tables(folder: Path, tables: Sequence[Table]) -> None:
    for table in tables:
        name = "_".join(table.caption.lower().split())
        write_atomically(folder / f"{name}.csv", csv_text(table.header, map(_numeric, table.rows)).encode())


def _refit_tables(study: BrainStudy, bootstrap: BootstrapMaps, mask: NDArray[np.bool_]) -> list[Table]:
    """Tables of significant voxels, and of regions, over refits."""
    rows: list[tuple[Any, ...]] = []
    for name, covariation in study.maps.items():
        by_pairing, by_refits = ((maps.q_value < LEVEL)[mask] for maps in (covariation, bootstrap.of(name)))
        shares = [f"{share.mean():.1%}" for share in (by_pairing, by_refits, by_pairing & by_refits)]
        rows.append((name, *shares, f"{np.median(np.abs(bootstrap.of(name).ratio[mask])):.2f}"))
    header: tuple[str, ...] = ("modality", "by pairing", "by refits", "by both", "median ratio")
    match = REFIT_VOXELS.format(mean=bootstrap.match.mean(), least=bootstrap.match.min())
    voxels = Table("Significant voxels", header, rows, match)
    names = list(bootstrap.effect)
    header = ("region", "side", *(f"{name} {limit}" for name in names for limit in ("effect", "lower", "upper")))
    rows = [
        (region, side, *(f"{value:+.4f}" for name in names for value in intervals[name]))
        for region, side, intervals in study.intervals
    ]
    return [voxels, Table("Regions over refits", header, rows, INTERVALS)]


def _before_and_after(study: BrainStudy, mask: NDArray[np.bool_]) -> Table:
    """How the maps differ between volumes with and without the effects of the confounds."""
    rows: list[tuple[Any, ...]] = []
    for name, covariation in study.maps.items():
        other = study.confounded_maps[name]
        after, before = ((maps.q_value < LEVEL)[mask] for maps in (covariation, other))
        shares = [f"{share.mean():.1%}" for share in (after, before, after & before)]
        alike = np.corrcoef(covariation.effect[mask], other.effect[mask])[0, 1]
        dice = [f"{of[name]:.2f}" for of in (study.dice, study.confounded_dice) if of]
        rows.append((name, *shares, f"{alike:+.2f}", *dice))
    header: tuple[str, ...] = ("modality", "taken out", "left in", "both", "correlation")
    header += ("Dice taken out", "Dice left in") if study.dice else ()
    return Table("Maps with and without confounds", header, rows, BEFORE_AND_AFTER)


def _region_table(study: BrainStudy) -> Table:
    names = list(study.maps)
    header = ("region", "side", *(f"{name} {quantity}" for name in names for quantity in ("effect", "significant")))
    rows = [
        (region, side, *(text for name in names for text in (f"{effects[name][0]:+.4f}", f"{effects[name][1]:.0%}")))
        for region, side, effects in study.regions
    ]
    return Table("Regions", header, rows, REGIONS)


def _cluster_table(study: BrainStudy, grid: Grid, atlas: Path | None) -> Table:
    rows: list[tuple[Any, ...]] = []
    for name, covariation in study.maps.items():
        if covariation.cluster_p is None or covariation.family_p is None:
            continue
        inside = covariation.cluster_p < LEVEL
        signs = covariation.correlation  # by which clusters were formed
        found = peaks(covariation.effect, inside, grid, atlas=atlas, centres=CENTRES, signed_by=signs)
        inverse = np.linalg.inv(grid.affine)
        for peak in found.to_dict(orient="records"):
            place = tuple(np.round(inverse[:3, :3] @ [peak[axis] for axis in "xyz"] + inverse[:3, 3]).astype(int))
            p_values = (covariation.cluster_p[place], covariation.family_p[place], covariation.q_value[place])
            rows.append(
                (
                    name,
                    peak["cluster"],
                    f"{peak['mm3'] / 1000:.1f}",
                    *(f"{peak[axis]:.0f}" for axis in "xyz"),
                    peak["region"],
                    f"{peak['value']:+.4f}",
                    f"{covariation.correlation[place]:+.2f}",
                    *(f"{value:.3f}" for value in p_values),
                )
            )
    header = ("modality", "cluster", "ml", "x", "y", "z", "region", "effect", "r", "p cluster", "p voxel", "q voxel")
    named = BY_CENTRE if atlas is None else BY_ATLAS.format(atlas=Path(atlas).name)
    return Table("Clusters", header, rows, CLUSTERS.format(named=named))


def _evidence(study: BrainStudy) -> list[Table]:
    """All tables of measures, for the model and the baselines."""
    tables = [_balance_table(study)] if study.balance else []
    tables += [_classification_table(study), _recovery_table(study)]
    if study.shared:
        tables.append(_shared_table(study))
    if study.probes:
        tables.append(_probe_table(study))
    tables.append(_prediction_table(study))
    if study.dice:
        rows = [(name, f"{value:.2f}") for name, value in study.dice.items()]
        words = "Dice overlap of the strongest fifth of the brain's voxels in the map and in the true map."
        tables.append(Table("Maps against the truth", ("modality", "Dice"), rows, words))
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in study.seconds.items())
    tables.append(Table("Cost of the fits", ("measure", "seconds"), [("wall time", seconds)]))
    return tables


def _classification_table(study: BrainStudy) -> Table:
    names = ("accuracy", "precision", "recall", "F1", "AUC", FEW)
    rows = [(scores, size, *(str(measures[name]) for name in names)) for scores, size, measures in study.classification]
    shuffled = (str(study.shuffled_labels.get(name, "")) for name in names)
    rows.append(("DeepJIVE, joint, labels shuffled", "", *shuffled))
    sentences = f"{CLASSIFICATION} {CEILING}" if study.probes else CLASSIFICATION
    return Table("CN or AD", ("scores", "size", *names), rows, sentences)


def _balance_table(study: BrainStudy) -> Table:
    rows = [(row.name, row.positive, row.other, str(row.accuracy), str(row.auc)) for row in study.balance]
    has_age = study.probes and any(row.name == "age" for row in study.balance)
    sentences = f"{BALANCE} {PHANTOM_AGE}" if has_age else BALANCE
    return Table("Balance between diagnoses", ("confound", "AD", "CN", "accuracy", "AUC"), rows, sentences)


def _recovery_table(study: BrainStudy) -> Table:
    header = ("method", "modality", "joint R2", "individual R2", "joint share", "individual share")
    rows = [(*row[:2], *(f"{value:z.3f}" for value in row[2:])) for row in study.recovery]
    return Table("Parts", header, rows, RECOVERY)


def _shared_table(study: BrainStudy) -> Table:
    rows = [(*row[:3], *("" if np.isnan(value) else f"{value:z.3f}" for value in row[3:])) for row in study.shared]
    return Table("Parts of subsets", ("method", "subset", "modality", "R2", "share"), rows, SHARED)


def _probe_table(study: BrainStudy) -> Table:
    factors = list(study.probes[0][1])
    rows = [(name, *(f"{r2[factor]:z.2f}" for factor in factors)) for name, r2 in study.probes]
    return Table("Factors predicted from scores", ("scores", *factors), rows, PROBES)


def _prediction_table(study: BrainStudy) -> Table:
    rows = [
        (name, modality, f"{test.explained[modality]:z.1%}", f"{test.p_values[modality]:.3f}")
        for name, test in (("paired", study.pairing), ("shuffled modalities", study.unpaired))
        for modality in test.explained
    ]
    header = ("fitted to", "modality", "predicted", "p")
    return Table("Predicted from other modalities", header, rows, PREDICTION)


def _numeric(row: Sequence[Any]) -> list[Any]:
    """The row with numeric texts as numbers, so that a spreadsheet does not read a minus sign as a formula."""
    numbers: list[Any] = []
    for cell in row:
        try:
            numbers.append(float(cell))
        except ValueError:
            numbers.append(cell)
    return numbers
