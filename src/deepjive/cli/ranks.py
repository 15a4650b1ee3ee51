"""`deepjive ranks`: how many components the data seem to have, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deepjive.cli import show
from deepjive.cli.options import ModalityOption, ranks_of, read_modalities

MORE_ROWS = 3


def ranks(
    modality: ModalityOption,
    signal_rank: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER", help="Components of each modality before the split.", show_default="auto"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bounds' draws.")] = 0,
) -> None:
    """Find joint and individual ranks with AJIVE, and show the bounds they follow from.

    The ranks hold for linear structure; they are a start for DeepJIVE.
    """
    from deepjive import AJIVE

    given = {"signal_ranks": ranks_of("--signal-rank", signal_rank)} if signal_rank else {}
    model = AJIVE(random_state=seed, **given).fit(read_modalities(modality))
    rows = [(name, model.signal_ranks_[name], rank) for name, rank in model.individual_ranks_.items()]
    show.table(f"Joint rank {model.joint_rank_}", ("modality", "signal rank", "individual rank"), rows)
    show.table(
        f"Joint is above both cutoffs: {model.wedin_cutoff_:.3f} (noise) and {model.random_cutoff_:.3f} (chance)",
        ("component", "squared singular value", "verdict"),
        verdicts(model),
    )


def verdicts(model: Any) -> list[tuple[int, str, str]]:
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
