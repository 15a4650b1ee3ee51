"""The report: one page that shows the result of a fit to a reader who does not know JIVE."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepjive.report.page import write_report
    from deepjive.report.pieces import Table

__all__ = ["Table", "write_report"]

_ROOMS = {"Table": "deepjive.report.pieces", "write_report": "deepjive.report.page"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(importlib.import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'deepjive.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
