"""`deepjive figures` writes every figure of a run in the formats and the width that were asked for."""

from __future__ import annotations

import re

import pytest

NAMES = ("expression", "methylation")


def test_all_figures_of_a_run_are_written_at_the_width_of_a_column(invoke, fit, files):
    assert fit("--labels", f"{files}/labels.csv:group").exit_code == 0
    done = invoke("figures", files / "run", "--format", "svg", "--width", "double")
    assert done.exit_code == 0, done.stderr
    written = {path.name for path in (files / "run" / "figures").iterdir()}
    wanted = {"variance_explained.svg", "joint_scores_by_group.svg", "heatmap_expression.svg", "ajive_bounds.svg"}
    wanted |= {
        f"{kind}_{name}_joint_1.svg" for kind in ("loadings", "effects") for name in ("expression", "methylation")
    }
    assert wanted <= written
    svg = (files / "run" / "figures" / "joint_scores_by_group.svg").read_text()
    assert float(re.search(r'width="([\d.]+)pt"', svg)[1]) == pytest.approx(72 * 7.2)
    assert f"Figures: {len(written)} in" in done.stdout


def test_an_unknown_format_is_named(invoke, fit, files):
    assert fit().exit_code == 0
    done = invoke("figures", files / "run", "--format", "gif")
    assert done.exit_code != 0
    assert "'gif' is unknown. The formats are svg, pdf, png." in " ".join(done.stderr.split())
