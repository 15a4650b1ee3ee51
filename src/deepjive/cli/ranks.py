"""`deepjive ranks`: how many components the data seem to have, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deepjive.cli import show
from deepjive.cli.options import (
    GroupsOption,
    MissingOption,
    ModalityOption,
    UnmatchedOption,
    ranks_of,
    read_modalities,
)

MORE_ROWS = 3

ONLY_WITHOUT_DEEP = "{option} belongs to AJIVE's ranks, which --deep replaces. Leave one of the two out."
ONLY_WITH_DEEP = "--groups belongs to --deep; AJIVE's bounds and permutations take each sample for one of its own."


def ranks(
    modality: ModalityOption,
    signal_rank: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER", help="Components of each modality before the split.", show_default="auto"
        ),
    ] = None,
    missing: MissingOption = None,
    groups: GroupsOption = None,
    unmatched: UnmatchedOption = "error",
    permutations: Annotated[int, typer.Option(min=0, help="Permutations of a test of each component; 0 for none.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bounds' draws.")] = 0,
    deep: Annotated[
        bool, typer.Option("--deep", help="Choose as DeepJIVE does, by prediction of what was held out.")
    ] = False,
) -> None:
    """Find how many components are joint and individual, and show why.

    The ranks are AJIVE's, for linear structure. They count a curve as several dimensions; --deep counts it as one.

    Example: deepjive ranks -m rna=rna.csv -m protein=protein.csv
    """
    if deep:
        given = {"--signal-rank": signal_rank, "--missing": missing, "--permutations": permutations}
        if unused := [option for option, value in given.items() if value]:
            raise typer.BadParameter(ONLY_WITHOUT_DEEP.format(option=unused[0]))
        by_prediction(read_modalities(modality, unmatched=unmatched, groups=groups), seed)
        return
    if groups is not None:
        raise typer.BadParameter(ONLY_WITH_DEEP)
    from deepjive import AJIVE

    parameters = {"signal_ranks": ranks_of("--signal-rank", signal_rank)} if signal_rank else {}
    parameters |= {"missing": missing} if missing else {}
    model = AJIVE(random_state=seed, **parameters).fit(read_modalities(modality, unmatched=unmatched))
    rows = [(name, model.signal_ranks_[name], rank) for name, rank in model.individual_ranks_.items()]
    show.table(f"Joint rank {model.joint_rank_}", ("modality", "signal rank", "individual rank"), rows)
    header: tuple[str, ...] = ("component", "squared singular value", "verdict")
    verdict_rows = verdicts(model)
    if permutations:
        header, verdict_rows = (*header, "permutation p"), with_p_values(model, verdict_rows, permutations, seed)
    show.table(
        f"Joint is above both cutoffs: {model.wedin_cutoff_:.3f} (noise) and {model.random_cutoff_:.3f} (chance)",
        header,
        verdict_rows,
    )


def by_prediction(data: Any, seed: int) -> None:
    """Show the ranks that DeepJIVE chooses, and what each number of scores predicts."""
    from deepjive import DeepJIVE

    chosen = DeepJIVE(random_state=seed, verbose=1).select_ranks(data)
    show.table(f"Joint rank {chosen.joint_rank}", ("modality", "individual rank"), [*chosen.individual_ranks.items()])
    rows = [
        (name if rank == 0 else "", rank, f"{r2:.3f}", "chosen" if rank == ladder.rank else "")
        for name, ladder in chosen.ladders.items()
        for rank, r2 in enumerate(ladder.r2)
    ]
    show.table("Held-out variance predicted, by number of scores", ("of", "scores", "R2", ""), rows)


def with_p_values(model: Any, rows: list[tuple], permutations: int, seed: int) -> list[tuple]:
    """The rows with the p-values of their components, as far as every modality's signal has components."""
    from deepjive.linear.permutation import permutation_test

    count = min(len(rows), *model.signal_ranks_.values())
    p_values = permutation_test(model, permutations, n_components=count, random_state=seed).p_values
    texts = [f"{p:.4f}" for p in p_values] + [""] * (len(rows) - count)
    return [(*row, text) for row, text in zip(rows, texts, strict=True)]


def verdicts(model: Any) -> list[tuple]:
    """For the leading components of a fitted AJIVE their squared singular value and what follows from it."""
    squares = model.joint_singular_values_**2
    above = int((squares > max(model.wedin_cutoff_, model.random_cutoff_)).sum())
    rows = []
    for component in range(min(len(squares), above + MORE_ROWS)):
        too_weak = [name for name, numbers in model.rejected_.items() if component in numbers]
        verdict = "joint" if component < above else _below(squares[component], model)
        verdict = f"too weak in {too_weak[0]}" if too_weak else verdict
        rows.append((component + 1, f"{squares[component]:.3f}", verdict))
    return rows


def _below(square: float, model: Any) -> str:
    return "not joint" if square > model.random_cutoff_ else "not above chance"
