"""Results of tests and measurements: one line when they are printed, a table when it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepjive._html import html_table

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 20


class Result(ABC):
    """Base of all results: a representation of one line, and `to_frame`.

    A result is a frozen dataclass with ``repr=False`` that defines `_summary` and `_table`.
    """

    @abstractmethod
    def _summary(self) -> str:
        """Say in one line what was measured, the statistic, the p-value and the number of samples."""

    @abstractmethod
    def _table(self) -> Any:
        """Return what `pandas.DataFrame` takes: a list of rows, or columns by name."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"

    def _repr_html_(self) -> str:
        """Show the result in a notebook: the line, and the first rows of the table."""
        frame = self.to_frame()
        more = f"{len(frame) - MOST_ROWS:,} more rows: to_frame()" if len(frame) > MOST_ROWS else ""
        rows = ([_shown(value) for value in row] for row in frame.head(MOST_ROWS).itertuples(index=False))
        return html_table(repr(self), list(frame.columns), rows, more)

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        return pd.DataFrame(self._table())


def _shown(value: Any) -> str:
    """A cell: numbers with four digits, and NaN as an empty cell."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)


@dataclass(frozen=True, repr=False)
class Finding(Result):
    """A known failure of a decomposition that was recognised.

    Attributes
    ----------
    name : str
        Name of the failure, such as "dead component".
    seen : str
        The sign of the failure, with figures.
    change : str
        The change of the model that is recommended.
    settings : dict of str to object, default={}
        Parameters of the recommended model, such as ``{"joint_rank": 3}``, if the change is one of parameters alone.
        All findings of a decomposition that change ranks have the same settings.
    """

    name: str
    seen: str
    change: str
    settings: dict[str, Any] = field(default_factory=dict)

    def _summary(self) -> str:
        return f"{self.name}: {self.seen}"

    def _table(self) -> Any:
        return [{"name": self.name, "seen": self.seen, "change": self.change, "settings": self.settings}]


def frame_of(results: Iterable[Result] | Mapping[str, Result]) -> pd.DataFrame:
    """Return several results as one table.

    Parameters
    ----------
    results : iterable of Result, or mapping of str to Result
        Results of one kind. The keys of a mapping become the first column, which is called ``"key"``.

    Returns
    -------
    pandas.DataFrame
        The rows of all results; empty if there are none.
    """
    import pandas as pd

    if isinstance(results, Mapping):
        frames = [result.to_frame() for result in results.values()]
        for key, frame in zip(results, frames, strict=True):
            frame.insert(0, "key", key)
    else:
        frames = [result.to_frame() for result in results]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def figures(values: Mapping[str, float], form: str = ".2f") -> str:
    """Format named figures for a summary: ``"mri 0.31, pet 0.28"``."""
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())
