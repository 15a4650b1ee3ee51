"""The report: one page that shows what was found, for a reader who has never heard of JIVE."""

from deepjive.report.page import write_report
from deepjive.report.pieces import Table

__all__ = ["Table", "write_report"]
