"""The progress bar, on a terminal and in a log file."""

from __future__ import annotations

import sys

import pytest

from deepjive.progress import progress_bar, silent


def test_a_log_file_gets_the_last_report_alone(capsys):
    with progress_bar() as progress:
        for step in range(3):
            progress(step + 1, 3, f"step {step}")
    assert capsys.readouterr().err == "step 2: 3 of 3\n"


def test_a_log_file_gets_nothing_of_a_step_without_a_total(capsys):
    with progress_bar() as progress:
        progress(0, None, "Fitting")
    assert capsys.readouterr().err == ""


def test_an_error_is_not_preceded_by_a_report(capsys):
    def fail() -> None:
        with progress_bar() as progress:
            progress(1, 2, "first")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert capsys.readouterr().err == ""


def test_an_invisible_bar_is_silent(capsys):
    with progress_bar(False) as progress:
        assert progress is silent
        progress(1, 2, "first")
    assert capsys.readouterr().err == ""


def make_terminal_of_stderr(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)


def test_a_terminal_sees_the_message_and_the_time_left(capsys, monkeypatch):
    make_terminal_of_stderr(monkeypatch)
    with progress_bar() as progress:
        progress(1, 2, "first [step]")
    shown = capsys.readouterr().err
    assert "first [step]" in shown
    assert "left" in shown


@pytest.mark.parametrize(("variable", "value"), [("JPY_PARENT_PID", "1"), ("TERM", "dumb")])
def test_what_cannot_redraw_gets_the_last_report_alone(capsys, monkeypatch, variable, value):
    """Jupyter gives a command of a cell a terminal and asks for colours, but shows every drawing of a bar anew."""
    make_terminal_of_stderr(monkeypatch)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv(variable, value)
    with progress_bar() as progress:
        progress(1, 2, "first")
    assert capsys.readouterr().err == "first: 1 of 2\n"
