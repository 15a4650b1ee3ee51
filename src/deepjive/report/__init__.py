"""The report: one page that shows what was found, for a reader who has never heard of JIVE."""

from deepjive.report.page import Table, write_report

__all__ = ["Table", "write_report"]
