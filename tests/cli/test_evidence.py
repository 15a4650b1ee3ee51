"""Evidence and failures on the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from deepjive.evaluation import Finding, diagnose
from deepjive.report.words import NO_EVIDENCE, NOTHING_WRONG


@pytest.fixture
def quick_regressor(monkeypatch):
    """Scores are predicted from scores without a search for the penalty, which takes seconds with participants."""
    monkeypatch.setattr("deepjive.evaluation.score_prediction.fresh_regressor", lambda *_: LinearRegression())


def modalities(files):
    return ["-m", f"expression={files}/expression.csv", "-m", f"methylation={files}/methylation.csv"]


def test_fit_says_that_nothing_is_wrong_and_quiet_does_not(fit, files):
    assert NOTHING_WRONG in fit().stdout
    assert NOTHING_WRONG not in fit("--overwrite", "--quiet").stdout
    assert NOTHING_WRONG in (files / "run" / "report.html").read_text()


def test_fit_names_a_failure(fit, files, monkeypatch):
    finding = Finding("dead component", "Score 1 changes nothing.", "Lower joint_rank by one.")
    monkeypatch.setattr("deepjive.evaluation.diagnostics.diagnose", lambda *_, **__: [finding])
    assert "- dead component: Score 1 changes nothing. Lower joint_rank by one." in fit().stdout
    assert "Lower joint_rank by one." in (files / "run" / "report.html").read_text()


def test_a_model_is_written_before_failures_are_looked_for(fit, files, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("looked too closely")

    monkeypatch.setattr("deepjive.evaluation.diagnostics.diagnose", fail)
    assert fit().exit_code != 0
    assert (files / "run" / "model.safetensors").is_file()
    assert (files / "run" / "joint_scores.csv").is_file()
    assert diagnose is not fail


def test_report_measures_evidence_shows_it_and_keeps_it(fit, invoke, files):
    fit()
    report = files / "run" / "report.html"
    assert "contains no test against chance" in report.read_text()
    words = [*modalities(files), "--labels", f"{files}/labels.csv:group"]
    result = invoke("report", files / "run", *words, "--evidence")
    assert result.exit_code == 0, result.stderr
    assert "Test of joint variation" in result.stdout
    assert "group predicted from scores" in result.stdout
    assert "In the column 'shuffled' AJIVE was fitted to pairs" in " ".join(result.stdout.split())
    saved = json.loads((files / "run" / "evidence.json").read_text())
    assert (saved["method"], saved["n_fitted"], saved["n_held_out"]) == ("AJIVE", 56, 24)
    for again in ([], [invoke("report", files / "run", *modalities(files))]):
        assert all(one.exit_code == 0 for one in again)
        page = report.read_text()
        assert "Test of joint variation" in page
        assert NO_EVIDENCE not in page


def test_a_new_fit_leaves_no_evidence_of_the_old(fit, files):
    fit()
    (files / "run" / "evidence.json").write_text("{}")
    fit("--overwrite")
    assert not (files / "run" / "evidence.json").exists()


@pytest.mark.usefixtures("quick_regressor")
def test_report_holds_out_whole_participants(fit, invoke, files):
    fit()
    samples = pd.read_csv(files / "expression.csv")["sample"]
    for name, visits in (("few", 20), ("enough", 5)):
        who = pd.DataFrame({"sample": samples, "participant": [f"p{row // visits}" for row in range(len(samples))]})
        who.sample(frac=1, random_state=0).to_csv(files / f"{name}.csv", index=False)
    words = ["report", files / "run", *modalities(files), "--evidence", "--groups"]
    refused = invoke(*words, f"{files}/few.csv:participant")
    assert refused.exit_code != 0
    assert "Of 3 participants, 3 can be permuted, in 6 orders" in " ".join(refused.stderr.split())
    result = invoke(*words, f"{files}/enough.csv:participant")
    assert result.exit_code == 0, result.stderr
    saved = json.loads((files / "run" / "evidence.json").read_text())
    assert (saved["n_fitted"], saved["n_held_out"]) == (55, 25)  # 5 of 16 participants, with 5 visits each


def test_report_looks_for_failures_among_participants(fit, invoke, files, monkeypatch):
    fit()
    seen = []
    monkeypatch.setattr(
        "deepjive.evaluation.diagnostics.diagnose", lambda _, data, **__: seen.append(data.groups) or []
    )
    np.save(files / "who.npy", np.arange(80) // 2)
    result = invoke("report", files / "run", *modalities(files), "--groups", files / "who.npy")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(seen[0], np.arange(80) // 2)


def test_too_few_participants_to_look_for_failures_are_told_and_stop_no_fit(fit, files):
    np.save(files / "who.npy", np.arange(80) // 20)
    result = fit("--groups", files / "who.npy")
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stderr.split())
    assert "Only failures of training were looked for, not failures that samples show. Participants" in said


@pytest.mark.usefixtures("quick_regressor")
def test_a_runs_participants_hold_for_its_evidence_and_features(fit, invoke, files, monkeypatch):
    np.save(files / "who.npy", np.arange(80) // 5)
    assert fit("--groups", files / "who.npy").exit_code == 0
    result = invoke("report", files / "run", *modalities(files), "--evidence")
    assert result.exit_code == 0, result.stderr
    assert json.loads((files / "run" / "evidence.json").read_text())["n_held_out"] == 25
    seen = []
    monkeypatch.setattr(
        "deepjive.evaluation.feature_ranking.feature_effects", lambda _, data, **__: seen.append(data.groups) or {}
    )
    assert invoke("features", files / "run", "--out", files / "features").exit_code == 0
    assert len(np.unique(seen[0])) == 16


def test_gaps_that_leave_participants_uneven_lose_no_run(fit, files):
    np.save(files / "who.npy", np.arange(80) // 10)
    table = pd.read_csv(files / "expression.csv", index_col=0)
    table.iloc[[0, 10, 11, 20, 21, 22, 30, 31, 32, 33], 0] = np.nan
    table.to_csv(files / "expression.csv")
    result = fit("--groups", files / "who.npy", "--missing", "impute")
    assert result.exit_code == 0, result.stderr
    assert (files / "run" / "report.html").is_file()
