"""Objects are shown as tables in notebooks, and no text of the user becomes HTML."""

from __future__ import annotations

import numpy as np

import deepjive as dj
from deepjive.evaluation import feature_effects
from deepjive.results import MOST_ROWS, Finding

HOSTILE = "<script>alert(1)</script>"


def test_modalities_decompositions_and_results_are_escaped_tables():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(40, 1))
    arrays = {name: joint @ rng.normal(size=(1, 30)) + rng.normal(size=(40, 30)) for name in (HOSTILE, "b")}
    data = dj.Modalities(arrays, features={HOSTILE: [f"{HOSTILE} {i}" for i in range(30)]})
    model = dj.AJIVE(joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(data)
    parts = model.decompose(data)
    before = parts._repr_html_()
    explained = parts.variance_explained[HOSTILE]["joint"]
    effects = feature_effects(model, data, test=False)[HOSTILE]
    shown = [data._repr_html_(), before, parts._repr_html_(), effects._repr_html_()]
    shown.append(Finding(HOSTILE, "seen", "change")._repr_html_())
    for html in shown:
        assert HOSTILE not in html
        assert "<table>" in html
    assert all("&lt;script&gt;" in html for html in shown)
    assert "%" not in before  # showing an object computes nothing
    assert f"{100 * explained:.1f}%" in shown[2]
    assert shown[3].count("<tr>") == MOST_ROWS + 1
    assert "40 more rows" in shown[3]
