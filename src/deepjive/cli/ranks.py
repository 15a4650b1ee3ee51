"""`deepjive ranks`: the joint rank by held-out prediction, by AJIVE's bounds and by permutation, with advice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepjive.cli import show
from deepjive.cli.options import (
    ConfoundsOption,
    DecimalOption,
    FeaturesInRowsOption,
    GroupsOption,
    LabelsOption,
    LevelOption,
    MissingOption,
    ModalityOption,
    OneHotOption,
    ParcellationOption,
    SamplesOption,
    ScaleOption,
    SepOption,
    SiteOption,
    TableOptions,
    TransformationOption,
    UnmatchedOption,
    ranks_of,
    read_modalities,
    read_named_labels,
    units_of,
)
from deepjive.progress import progress_bar

if TYPE_CHECKING:
    from deepjive.data.modalities import Modalities
    from deepjive.deep.geometry.rank_selection import RankSelection

MORE_ROWS = 3
SIGNIFICANT = 0.05
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 20, 25, 30, 35, 40)

BY_PREDICTION = (
    "Use {rank}, the number by held-out prediction, with DeepJIVE: `deepjive fit` chooses it by default. AJIVE counts "
    "{ajive}: {why} For AJIVE itself use its own number: `deepjive fit --method ajive`."
)
SAME = "Both methods count {rank}. Use {rank}."
NONE = "Nothing joint was found by held-out prediction{and_ajive}. Shuffled samples would look the same."
MORE = (
    "its bounds ask whether a direction agrees more than noise, not whether the direction predicts held-out samples. "
    "So AJIVE also counts directions that predict almost nothing."
)
FEWER = "its bounds are strict for weak directions, which nevertheless improve the prediction of held-out samples."
CURVED = "it counts linear dimensions, and one curved score fills several of them."


def ranks(
    modality: ModalityOption,
    signal_rank: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER", help="AJIVE's components of each modality before the split.", show_default="auto"
        ),
    ] = None,
    labels: LabelsOption = None,
    missing: MissingOption = None,
    samples: SamplesOption = None,
    groups: GroupsOption = None,
    unmatched: UnmatchedOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    transformation: TransformationOption = None,
    scale: ScaleOption = None,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    parcellation: ParcellationOption = None,
    permutations: Annotated[
        int, typer.Option(min=0, help="Permutations for a test of each of AJIVE's components; 0 for no test.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
) -> None:
    """Find the numbers of joint and individual scores by several methods, and say which numbers to use.

    Example: deepjive ranks -m rna=rna.csv -m protein=protein.csv
    """
    tables = TableOptions(features_in_rows, sep, decimal, one_hot, confounds, site, level, parcellation)
    data = read_modalities(modality, samples, unmatched, groups, tables, labels)
    read_named_labels(labels, data)  # the ranks do not depend on labels, but a wrong name is an error here too
    units = units_of(transformation, scale)
    chosen = None if missing else _by_prediction(data, seed, units)
    parameters = {"signal_ranks": ranks_of("--signal-rank", signal_rank), **units} if signal_rank else units
    parameters |= {"missing": missing} if missing else {}
    linear = None if not missing and not data.present.all() else _ajive(data, seed, parameters)
    p_values = None
    if permutations and linear is not None:
        p_values = _p_values(linear, permutations, seed)
    _show_joint(chosen, linear, p_values, permutations)
    _show_individual(data, chosen, linear)
    if chosen is not None:
        _show_curves(chosen)
    if linear is not None:
        _show_bounds(linear, p_values)
    if chosen is not None:
        show.line(advice(chosen, linear))
    if linear is None:
        show.line(
            "AJIVE was left out because samples lack modalities. Give --missing impute to fill them in for AJIVE."
        )
    if missing:
        show.line("Held-out prediction was left out because --missing fills values in for AJIVE only.")
    if groups is not None and linear is not None:
        show.line("AJIVE's bounds and permutations treat every sample as a participant of its own.")


def advice(chosen: RankSelection, linear: Any) -> str:
    """Say which joint rank to use, and why the methods differ."""
    rank, curve = chosen.joint_rank, chosen.curves["joint"]
    if linear is None:
        return f"Use {rank}, the number by held-out prediction: `deepjive fit` chooses it by default."
    ajive = linear.joint_rank_
    if not rank:
        return NONE.format(and_ajive="" if ajive else " or by AJIVE")
    if rank == ajive:
        return SAME.format(rank=rank)
    why = CURVED if curve.coordinates == "unrolled" else MORE if ajive > rank else FEWER
    return BY_PREDICTION.format(rank=rank, ajive=ajive, why=why)


def verdicts(model: Any) -> list[tuple]:
    """The squared singular values of the leading components of a fitted AJIVE, with a verdict on each."""
    squares = model.joint_singular_values_**2
    above = int((squares > max(model.wedin_cutoff_, model.random_cutoff_)).sum())
    rows = []
    for component in range(min(len(squares), above + MORE_ROWS)):
        too_weak = [name for name, numbers in model.rejected_.items() if component in numbers]
        verdict = "joint" if component < above else _below(squares[component], model)
        verdict = f"too weak in {too_weak[0]}" if too_weak else verdict
        rows.append((component + 1, f"{squares[component]:.3f}", verdict))
    return rows


def _by_prediction(data: Modalities, seed: int, units: Mapping[str, Any]) -> RankSelection:
    from deepjive import DeepJIVE

    return DeepJIVE(random_state=seed, verbose=1, **units).select_ranks(data)


def _ajive(data: Modalities, seed: int, parameters: Mapping[str, Any]) -> Any:
    from deepjive import AJIVE

    with progress_bar() as progress:
        progress(0, None, "Computing the ranks of AJIVE")
        return AJIVE(random_state=seed, **parameters).fit(data, progress=progress)


def _p_values(model: Any, permutations: int, seed: int) -> list[float]:
    """P-values of AJIVE's leading components, up to the smallest signal rank."""
    from deepjive.linear.permutation import permutation_test

    count = min(len(verdicts(model)), *model.signal_ranks_.values())
    with progress_bar() as progress:
        test = permutation_test(model, permutations, n_components=count, random_state=seed, progress=progress)
    return [float(p) for p in test.p_values]


def _show_joint(chosen: RankSelection | None, linear: Any, p_values: list[float] | None, permutations: int) -> None:
    rows: list[tuple[Any, ...]] = []
    if chosen is not None:
        curve = chosen.curves["joint"]
        predicted = {kind: f"{100 * values[-1]:.1f}%" for kind, values in curve.r2.items()}
        predicted["linear"] = f"{100 * curve.r2['linear'][curve.linear_rank]:.1f}%"
        rows.append(("held-out prediction, linear scores", curve.linear_rank, predicted["linear"]))
        if "unrolled" in predicted:
            count = len(curve.r2["unrolled"]) - 1
            rows.append(("held-out prediction, unrolled coordinates", count, predicted["unrolled"]))
    if linear is not None:
        rows.append(("AJIVE, bounds of noise and chance", linear.joint_rank_, ""))
    if p_values is not None:
        significant = next((i for i, p in enumerate(p_values) if p > SIGNIFICANT), len(p_values))
        rows.append((f"AJIVE, {permutations} permutations, p at most {SIGNIFICANT}", significant, ""))
    rank = chosen.joint_rank if chosen is not None else linear.joint_rank_
    show.table(f"Joint rank {rank}", ("method", "joint rank", "predicted"), rows)


def _show_individual(data: Modalities, chosen: RankSelection | None, linear: Any) -> None:
    header = ["modality"]
    columns: list[Mapping[str, int]] = []
    if chosen is not None:
        header.append("by prediction")
        columns.append(chosen.individual_ranks)
    if linear is not None:
        header += ["by AJIVE", "AJIVE's signal rank"]
        columns += [linear.individual_ranks_, linear.signal_ranks_]
    rows = [(name, *(column[name] for column in columns)) for name in data.names]
    show.table("Individual ranks", tuple(header), rows)


def _show_curves(chosen: RankSelection) -> None:
    rows = []
    for name, curve in chosen.curves.items():
        for kind, values in curve.r2.items():
            numbers = [
                rank
                for rank in range(1, len(values))
                if not math.isnan(values[rank]) and (rank in SHOWN or rank in (curve.rank, curve.linear_rank))
            ]
            for i, rank in enumerate(numbers):
                is_chosen = kind == curve.coordinates and rank == curve.rank
                cells = (rank, f"{100 * values[rank]:.1f}%", "chosen" if is_chosen else "")
                rows.append((name if i == 0 else "", kind if i == 0 else "", *cells))
    header = ("part", "kind of scores", "scores", "predicted", "")
    show.table("Predicted variance of held-out samples by number of scores", header, rows)


def _show_bounds(model: Any, p_values: list[float] | None) -> None:
    header: tuple[str, ...] = ("component", "squared singular value", "verdict")
    rows = verdicts(model)
    if p_values is not None:
        header = (*header, "permutation p")
        texts = [f"{p:.4f}" for p in p_values] + [""] * (len(rows) - len(p_values))
        rows = [(*row, text) for row, text in zip(rows, texts, strict=True)]
    cutoffs = f"{model.wedin_cutoff_:.3f} (noise), {model.random_cutoff_:.3f} (chance)"
    show.table(f"AJIVE's joint components exceed both cutoffs: {cutoffs}", header, rows)


def _below(square: float, model: Any) -> str:
    return "not joint" if square > model.random_cutoff_ else "below the bound of chance"
