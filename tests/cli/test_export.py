"""A run for other tools: tidy tables, `.h5mu`, and the model card beside the report."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from deepjive.persistence import load


@pytest.fixture
def run(fit, files):
    assert fit("--labels", f"{files}/labels.csv:group").exit_code == 0
    return files / "run"


def test_tables_of_a_run_are_tidy_and_have_the_scores_of_the_run(invoke, run):
    done = invoke("tables", run)
    assert done.exit_code == 0, done.stderr
    scores = pd.read_csv(run / "tables" / "scores.csv")
    joint = scores[scores["part"] == "joint"]
    wide = pd.read_csv(run / "joint_scores.csv")
    np.testing.assert_array_equal(joint["value"], wide["joint_1"])
    assert joint["sample"].tolist() == wide["sample"].tolist()
    assert set(scores["modality"].dropna()) == {"expression", "methylation"}
    loadings = pd.read_csv(run / "tables" / "loadings.csv")
    assert len(loadings) == 2 * (12 + 9)
    variance = pd.read_csv(run / "tables" / "variance.csv")
    np.testing.assert_allclose(variance.groupby("modality")["fraction"].sum(), 1.0)


def test_h5mu_has_scores_loadings_effects_and_labels_in_their_places(invoke, run, tmp_path):
    mudata = pytest.importorskip("mudata")
    done = invoke("export", run, "--out", tmp_path / "out" / "run.h5mu")
    assert done.exit_code == 0, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mudata, on its later versions
        mdata = mudata.read(tmp_path / "out" / "run.h5mu")
    wide = pd.read_csv(run / "joint_scores.csv")
    order = [name.lstrip("'") if name.startswith(("'=", "'-")) else name for name in wide["sample"]]
    rows = [list(mdata.obs_names).index(name) for name in order]
    np.testing.assert_allclose(mdata.obsm["X_jive_joint"][rows, 0], wide["joint_1"])
    assert set(mdata.obs["group"]) == {"case", "control"}
    assert mdata["methylation"].obsm["X_jive_individual"].shape == (80, 1)
    model = load(run)
    loadings = np.asarray(mdata["methylation"].varm["jive_joint_loadings"])
    np.testing.assert_allclose(loadings.T, model.joint_loadings_["methylation"])
    effects = np.asarray(mdata["methylation"].varm["jive_joint_effects"])
    assert np.corrcoef(np.abs(effects[:, 0]), np.abs(loadings[:, 0]))[0, 1] > 0.5
    assert np.sign(effects).tolist() == np.sign(loadings).tolist()


def test_another_ending_is_refused(invoke, run, tmp_path):
    done = invoke("export", run, "--out", tmp_path / "a.pkl")
    assert "must end in .pt2, .onnx or .h5mu" in " ".join(done.stderr.split())


def test_the_run_has_a_model_card(run):
    card = (run / "model_card.md").read_text()
    assert "expression.csv" in card
    assert "Labels compared with the scores, which the model did not see: group." in card
