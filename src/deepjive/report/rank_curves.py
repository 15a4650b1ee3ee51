"""Choice of ranks: the predicted variance of held-out samples for each number of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepjive.report.figures import rank_curve
from deepjive.report.pieces import Picture, Table, picture

READ_CURVE = (
    "How to read it: each dot is a number of scores; its height is the predicted variance of held-out samples. The "
    "bar is its standard error. The filled dot was chosen: the smallest number that predicts about as well as the best "
    "number. "
    "Squares are coordinates along a curved manifold; they are used only where fewer of them predict as well."
)
READ_TABLE = (
    "How to read it: each row is a number of scores, with the predicted variance of held-out samples and its standard "
    "error. AJIVE counts linear dimensions; a curve takes several of them."
)
HEADER = ("rank of", "kind of scores", "scores", "predicted", "standard error", "chosen")
JOINT_PART = "joint"


def rank_pictures(table: Mapping[str, Sequence[Any]]) -> list[Picture]:
    """A figure for each rank that was chosen.

    Parameters
    ----------
    table : mapping of str to list
        `rank_table_` of a DeepJIVE: columns "part", "coordinates", "rank", "r2", "standard_error" and "chosen".
    """
    names = list(dict.fromkeys(table.get("part", [])))
    return [picture(_heading(name), rank_curve(table, name), READ_CURVE) for name in names]


def rank_rows(table: Mapping[str, Sequence[Any]]) -> Table:
    """The same numbers as a table."""
    columns = (table[key] for key in ("part", "coordinates", "rank", "r2", "standard_error", "chosen"))
    rows = [
        (name, kind, rank, f"{100 * r2:.1f}%", f"{100 * error:.1f}%", "chosen" if chosen else "")
        for name, kind, rank, r2, error, chosen in zip(*columns, strict=True)
    ]
    return Table("Ranks that were tried", HEADER, rows, READ_TABLE)


def _heading(name: str) -> str:
    return "Joint rank" if name == JOINT_PART else f"Individual rank of {name}"
