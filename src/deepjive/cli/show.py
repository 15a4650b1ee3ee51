"""Output of commands: lines and short tables, in colour on terminals only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepjive.cli.errors import one_line
from deepjive.subsets import word_of

if TYPE_CHECKING:
    from deepjive.cli.parameters import Parameter
    from deepjive.decomposition import Decomposition


FILE_WIDTH = 200  # columns of output that goes to a file
LONGEST_WORD = 16


def line(text: str) -> None:
    """Print one line without wrapping, so that paths can be copied from narrow terminals."""
    Console(highlight=False, soft_wrap=True).print(Text(text))


def note(text: str) -> None:
    """Print one line to stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(text))


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table with a title; the first column is text, whose words are not broken, the others are numbers."""
    Console(highlight=False, soft_wrap=True).print(Text(title, style="bold"))
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    words = [len(word) for row in rows for word in one_line(row[0]).split()]
    least = min(LONGEST_WORD, max(words, default=1))
    for position, name in enumerate(header):
        first = position == 0
        drawn.add_column(
            Text(name), justify="left" if first else "right", min_width=least if first else None, overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(Text(one_line(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    console.print(drawn)


def variance_table(decomposition: Decomposition) -> None:
    """Print the variance explained in each modality."""
    ranks = decomposition.individual_scores
    parts_of_all = ["joint", *map(word_of, decomposition.subset_scores), "individual", "residual"]
    rows = [
        (name, *(f"{100 * parts[part]:.1f}%" if part in parts else "" for part in parts_of_all), ranks[name].shape[1])
        for name, parts in decomposition.variance_explained.items()
    ]
    title = f"Variance explained ({len(decomposition.data)} samples, joint rank {decomposition.joint_scores.shape[1]})"
    table(title, ("modality", *parts_of_all, "individual rank"), rows)


def parameters(groups: Mapping[str, Sequence[Parameter]]) -> None:
    """Print the parameters that ``--set`` sets, with allowed values, defaults and a sentence on each.

    Parameters
    ----------
    groups : mapping of str to sequence of Parameter
        Parameters by the methods that have them.
    """
    from rich.panel import Panel

    from deepjive.cli.parameters import as_text

    for methods, members in groups.items():
        listed = Table(box=None, show_header=False, padding=(0, 1), expand=True)
        listed.add_column(no_wrap=True)
        listed.add_column(ratio=1)
        for parameter in members:
            values = Text.assemble((parameter.allowed, "bold yellow"), f" {parameter.description} ")
            values.append(f"[default: {as_text(parameter.default)}]", style="dim")
            listed.add_row(Text(parameter.name, style="bold cyan"), values)
        Console(highlight=False).print(
            Panel(listed, title=f"Parameters for --set ({methods})", title_align="left", border_style="dim")
        )
