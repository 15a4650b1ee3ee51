"""The report: one page that shows the result of a fit to a reader who does not know JIVE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.report.page import write_report
    from deepjive.report.pieces import Table
    from deepjive.report.tidy_tables import tidy

__all__ = ["Table", "tidy", "write_report"]

_MODULES = {
    "Table": "deepjive.report.pieces",
    "tidy": "deepjive.report.tidy_tables",
    "write_report": "deepjive.report.page",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
