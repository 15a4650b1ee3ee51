"""The model card says what was fitted, on what, and its limits; text of the user stays text."""

from __future__ import annotations

from deepjive import AJIVE
from deepjive.report.card import model_card
from deepjive.results import Finding

HOSTILE = "# [x](http://a) <b>"


def test_the_card_has_data_result_evidence_and_limits(make_decomposition):
    parts = make_decomposition({"rna": (6,), HOSTILE: (5,)})
    found = [Finding("dead component", "seen", "change")]
    card = model_card(
        AJIVE(joint_rank=2), parts, title=HOSTILE, sources={"rna": "rna.csv"}, failures=found, run="runs/first"
    )
    share = f"{100 * parts.variance_explained['rna']['joint']:.0f}% joint"
    for said in ("60 samples", share, "rna.csv", "dead component: seen change", "## Limits", "joint_rank: 2"):
        assert said in card
    assert "    deepjive report runs/first --evidence" in card
    assert "[x](" not in card
    assert "<b>" not in card


def test_what_was_not_looked_for_is_said(make_decomposition):
    parts = make_decomposition({"a": (6,), "b": (5,)})
    assert "Known failures were not looked for." in model_card(AJIVE(), parts, title="T")
    assert "No known failure of such models was found." in model_card(AJIVE(), parts, title="T", failures=[])
