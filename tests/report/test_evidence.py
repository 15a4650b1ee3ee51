"""Evidence in the report."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive import AJIVE
from deepjive.datasets import make_synthetic
from deepjive.evaluation import Evidence, Finding, evidence
from deepjive.report import write_report
from deepjive.report.evidence import tables_of
from deepjive.report.words import NO_EVIDENCE, NOTHING_WRONG, SOMETHING_WRONG, refit_command

from .test_page import FOREIGN, Page


@pytest.fixture(scope="module")
def measured() -> Evidence:
    made = make_synthetic(120, (10, 8), noise=0.3, random_state=0)
    model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0, random_state=0).fit(
        made.data
    )
    labels = {FOREIGN: np.where(made.joint_scores[:, 0] > 0, "case", "control")}
    return evidence(model, made.data, labels, n_permutations=99, n_refits=4, n_fits=1)


def test_every_table_says_how_to_read_it(measured: Evidence) -> None:
    tables = tables_of(measured)
    assert len(tables) == 8
    for caption, header, rows, sentence in tables:
        assert caption
        assert sentence.startswith("How to read it:")
        assert "{" not in sentence
        assert {len(row) for row in rows} == {len(header)}


def test_figures_are_those_that_were_measured(measured: Evidence) -> None:
    (_, _, rows, sentence), *_ = tables_of(measured)
    test = measured.joint_structure
    assert rows[0][:2] == ("modality_1", f"{100 * test.explained['modality_1']:.1f}%")
    assert rows[-1] == ("all together", "", "", "0.010")
    assert "99 random pairings" in sentence
    assert "36 held-out samples" in sentence


def test_the_page_shows_evidence_and_that_nothing_is_wrong(measured, tmp_path, make_decomposition) -> None:
    parts = make_decomposition({"a": (6,), "b": (5,)})
    path = write_report(tmp_path / "report.html", parts, title="T", settings={}, evidence=measured)
    page = Page(path.read_text(encoding="utf-8"))
    sentences = ("84 of the samples", "other 36 samples", NOTHING_WRONG)
    for words in ("Evidence", "Test of joint variation", *sentences, FOREIGN):
        assert words in page.text
    assert NO_EVIDENCE not in page.text
    assert page.elements.count("script") == 2  # its data and its own script


def test_failures_are_named_with_what_to_change(tmp_path, make_decomposition) -> None:
    parts = make_decomposition({"a": (6,), "b": (5,)})
    failures = [Finding("dead component", "Score 1 changes nothing.", "Lower joint_rank by one.")]
    path = write_report(tmp_path / "report.html", parts, title="T", settings={}, failures=failures)
    page = Page(path.read_text(encoding="utf-8"))
    for words in (
        SOMETHING_WRONG,
        "Dead component. Score 1 changes nothing. Lower joint_rank by one.",
        NO_EVIDENCE.format(run="RUN").replace("`", ""),
    ):
        assert words in " ".join(page.text.split())
    assert NOTHING_WRONG not in page.text
    assert "<code>deepjive report RUN --evidence</code>" in path.read_text(encoding="utf-8")


def test_findings_on_ranks_end_in_a_command_that_fits_again(tmp_path, make_decomposition) -> None:
    parts = make_decomposition({"my pet": (6,), "b": (5,)})
    ranks = {"joint_rank": 1, "individual_ranks": {"my pet": 2, "b": 0}}
    failures = [Finding("dead component", "Score 2 changes nothing.", "Fit again.", ranks)]
    path = write_report(tmp_path / "r.html", parts, title="T", settings={}, failures=failures, run="'my run'")
    options = "--joint-rank 1 --individual-rank 'my pet=2' --individual-rank b=0"
    command = f"deepjive fit --config 'my run' {options} --out 'my run'-2"
    assert command in Page(path.read_text(encoding="utf-8")).text
    assert refit_command(failures, None) is None
    assert refit_command([Finding("leak", "", "")], "run") is None


def test_a_page_that_was_told_nothing_says_nothing_of_failures(tmp_path, make_decomposition) -> None:
    parts = make_decomposition({"a": (6,), "b": (5,)})
    page = Page(write_report(tmp_path / "r.html", parts, title="T", settings={}).read_text(encoding="utf-8"))
    assert SOMETHING_WRONG not in page.text
    assert NOTHING_WRONG not in page.text
