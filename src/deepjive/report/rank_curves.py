"""Choice of ranks: the predicted variance of held-out samples for each number of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deepjive.report.pieces import Picture, Table, picture
from deepjive.report.style import FONT, INDIVIDUAL, JOINT, MUTED, PAPER, new_figure, quiet

READ_LADDER = (
    "How to read it: each dot is a number of scores; its height is the predicted variance of held-out samples. A "
    "further score is added only if the line rises by clearly more than chance. The filled dot was chosen."
)
READ_TABLE = (
    "How to read it: each row is a number of scores, with the predicted variance of held-out samples and the standard "
    "error of the gain over the row above. AJIVE counts linear dimensions; a curve takes several of them. The maximum "
    "number of scores is the dimension of the manifold on which the samples lie."
)
HEADER = ("rank of", "scores", "predicted", "standard error of the gain", "dimensions by AJIVE", "chosen")
JOINT_LADDER = "joint"


def ladders(table: Mapping[str, Sequence[Any]]) -> list[Picture]:
    """A figure for each rank that was chosen.

    Parameters
    ----------
    table : mapping of str to list
        `rank_table_` of a DeepJIVE: columns "ladder", "linear_rank", "rank", "r2", "standard_error" and "chosen".
    """
    names = list(dict.fromkeys(table.get("ladder", [])))
    return [picture(_heading(name), _ladder(name, table), READ_LADDER) for name in names]


def ladder_table(table: Mapping[str, Sequence[Any]]) -> Table:
    """The same numbers as a table."""
    columns = (table[key] for key in ("ladder", "rank", "r2", "standard_error", "linear_rank", "chosen"))
    rows = [
        (name, rank, f"{100 * r2:.1f}%", f"{100 * error:.1f}%", linear, "chosen" if chosen else "")
        for name, rank, r2, error, linear, chosen in zip(*columns, strict=True)
    ]
    return Table("Ranks that were tried", HEADER, rows, READ_TABLE)


def _heading(name: str) -> str:
    return "Joint rank" if name == JOINT_LADDER else f"Individual rank of {name}"


def _ladder(name: str, table: Mapping[str, Sequence[Any]]) -> Figure:
    own = [row for row, ladder in enumerate(table["ladder"]) if ladder == name]
    rank, r2, error = (np.array([table[key][row] for row in own], float) for key in ("rank", "r2", "standard_error"))
    chosen = np.array([bool(table["chosen"][row]) for row in own])
    color = JOINT if name == JOINT_LADDER else INDIVIDUAL
    figure = new_figure(1.75, width=2.9)
    axes = figure.subplots()
    quiet(axes, "scores", "predicted (%)")
    axes.errorbar(rank, 100 * r2, yerr=100 * error, color=MUTED, linewidth=1.0, elinewidth=0.8, zorder=1)
    axes.scatter(
        rank, 100 * r2, s=16, facecolors=[color if one else PAPER for one in chosen], edgecolors=color, zorder=3
    )
    axes.set_xticks(rank)
    axes.tick_params(labelsize=FONT - 0.5)
    return figure
