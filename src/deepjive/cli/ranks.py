"""`deepjive ranks`: the joint and individual ranks of the data, and the reasons for them."""

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
from deepjive.progress import progress_bar

MORE_ROWS = 3

ONLY_WITH_DEEP = (
    "--groups can be used only with --deep, because the bounds and permutations of AJIVE treat each sample as a "
    "participant of its own."
)


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
    permutations: Annotated[
        int, typer.Option(min=0, help="Permutations for a test of each component; 0 for no test.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    deep: Annotated[
        bool, typer.Option("--deep", help="Choose ranks as DeepJIVE does, by the prediction of held-out samples.")
    ] = False,
) -> None:
    """Find the numbers of joint and individual components, and show the reasons.

    By default AJIVE chooses the ranks and counts a curve as several linear dimensions. With --deep a curve counts as
    one dimension.

    Example: deepjive ranks -m rna=rna.csv -m protein=protein.csv
    """
    if deep:
        linear_options = {"--signal-rank": signal_rank, "--missing": missing, "--permutations": permutations}
        if unused := [option for option, value in linear_options.items() if value]:
            raise typer.BadParameter(f"{unused[0]} applies to the ranks of AJIVE and cannot be used with --deep.")
        by_prediction(read_modalities(modality, unmatched=unmatched, groups=groups), seed)
        return
    if groups is not None:
        raise typer.BadParameter(ONLY_WITH_DEEP)
    from deepjive import AJIVE

    parameters = {"signal_ranks": ranks_of("--signal-rank", signal_rank)} if signal_rank else {}
    parameters |= {"missing": missing} if missing else {}
    with progress_bar() as progress:
        progress(0, None, "Computing the ranks of AJIVE")
        model = AJIVE(random_state=seed, **parameters).fit(read_modalities(modality, unmatched=unmatched))
    rows = [(name, model.signal_ranks_[name], rank) for name, rank in model.individual_ranks_.items()]
    show.table(f"Joint rank {model.joint_rank_}", ("modality", "signal rank", "individual rank"), rows)
    header: tuple[str, ...] = ("component", "squared singular value", "verdict")
    verdict_rows = verdicts(model)
    if permutations:
        header, verdict_rows = (*header, "permutation p"), with_p_values(model, verdict_rows, permutations, seed)
    show.table(
        f"Joint components exceed both cutoffs: {model.wedin_cutoff_:.3f} (noise), {model.random_cutoff_:.3f} (chance)",
        header,
        verdict_rows,
    )


def by_prediction(data: Any, seed: int) -> None:
    """Show the ranks that DeepJIVE chooses, and the R2 of every number of scores that was tried."""
    from deepjive import DeepJIVE

    chosen = DeepJIVE(random_state=seed, verbose=1).select_ranks(data)
    show.table(f"Joint rank {chosen.joint_rank}", ("modality", "individual rank"), [*chosen.individual_ranks.items()])
    rows = [
        (name if rank == 0 else "", rank, f"{r2:.3f}", "chosen" if rank == ladder.rank else "")
        for name, ladder in chosen.ladders.items()
        for rank, r2 in enumerate(ladder.r2)
    ]
    show.table("Predicted variance of held-out samples by number of scores", ("part", "scores", "R2", ""), rows)


def with_p_values(model: Any, rows: list[tuple], permutations: int, seed: int) -> list[tuple]:
    """The rows with p-values of their components, up to the smallest signal rank."""
    from deepjive.linear.permutation import permutation_test

    count = min(len(rows), *model.signal_ranks_.values())
    with progress_bar() as progress:
        p_values = permutation_test(
            model, permutations, n_components=count, random_state=seed, progress=progress
        ).p_values
    texts = [f"{p:.4f}" for p in p_values] + [""] * (len(rows) - count)
    return [(*row, text) for row, text in zip(rows, texts, strict=True)]


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


def _below(square: float, model: Any) -> str:
    return "not joint" if square > model.random_cutoff_ else "not above chance"
