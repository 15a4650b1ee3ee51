"""`deepjive calibrate`, intervals of `impute` and `transform`, and `deepjive sample`."""

import io

import numpy as np
import pandas as pd
import pytest

from deepjive import load

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture
def run(invoke, files):
    """A run of the first 50 samples, and files of the others."""
    for name in ("expression", "methylation"):
        table = pd.read_csv(files / f"{name}.csv")
        table.iloc[:50].to_csv(files / f"{name}_train.csv", index=False)
        table.iloc[50:].to_csv(files / f"{name}_more.csv", index=False)
    words = ("--method", "ajive", "--joint-rank", 1, "--individual-rank", 1)
    invoke("fit", *modalities(files, "train"), *words, "--out", files / "run")
    return files / "run"


def modalities(files, which, names=("expression", "methylation")):
    return [word for name in names for word in ("-m", f"{name}={files}/{name}_{which}.csv")]


@pytest.mark.usefixtures("drawn")
def test_a_calibrated_run_writes_intervals_and_reports_their_widths(run, invoke, files):
    result = invoke("calibrate", run, *modalities(files, "more"))
    assert result.exit_code == 0, result.stderr
    assert "Calibrated with 30 held-out samples. Intervals of up to 96% are possible." in result.stdout
    given = modalities(files, "more", ["expression"])
    result = invoke("impute", run, "methylation", *given, "--interval", 0.9, "--out", files / "m.csv")
    assert result.exit_code == 0, result.stderr
    names = ("m.csv", "m_lower.csv", "m_upper.csv", "m_radius.csv")
    written = [pd.read_csv(files / name, index_col=0) for name in names]
    intervals = load(run).impute({"expression": f"{files}/expression_more.csv"}, "methylation", interval=0.9)
    for table, expected in zip(written, intervals, strict=True):
        np.testing.assert_allclose(table.to_numpy().squeeze(), expected.squeeze(), rtol=1e-12, atol=1e-14)
    assert (files / "run" / "config.json").is_file()
    result = invoke("report", run)
    assert result.exit_code == 0, result.stderr
    assert "90% prediction intervals" in (run / "report.html").read_text()


def test_scores_with_intervals_are_columns(run, invoke, files):
    invoke("calibrate", run, *modalities(files, "more"))
    result = invoke("transform", run, *modalities(files, "more", ["expression"]), "--interval", 0.8)
    table = pd.read_csv(io.StringIO(result.stdout))
    assert table.columns.tolist() == ["sample", "joint_1", "joint_1_lower", "joint_1_upper"]
    assert (table["joint_1_lower"] < table["joint_1"]).all()
    assert (table["joint_1_upper"] > table["joint_1"]).all()


def test_a_run_without_held_out_samples_is_calibrated_by_folds(run, invoke):
    result = invoke("calibrate", run, "--folds", 2)
    assert result.exit_code == 0, result.stderr
    assert "Calibrated with 50 fitted samples, by 2 refits." in result.stdout
    assert load(run).calibration_["samples"] == "folds"


def test_intervals_of_a_run_that_is_not_calibrated_are_an_error(run, invoke, files):
    words = ("impute", run, "methylation", *modalities(files, "more", ["expression"]), "--out", files / "m.npy")
    result = invoke(*words, "--interval", 0.9)
    assert result.exit_code == 2
    assert "deepjive calibrate" in result.stderr
    assert not (files / "m.npy").exists()
    result = invoke(*words, "--interval", 0)
    assert "must be a number between 0 and 1" in result.stderr


def test_samples_are_written_with_the_names_of_features(run, invoke, files, monkeypatch):
    monkeypatch.setattr("deepjive.score_density.COMPONENTS", (1,))
    result = invoke("sample", run, "--number", 7, "--noise", "--seed", 2, "--out", files / "drawn")
    assert result.exit_code == 0, result.stderr
    expected = load(run).sample(7, noise=True, random_state=2)
    for name in expected.names:
        table = pd.read_csv(files / "drawn" / f"{name}.csv", index_col=0)
        np.testing.assert_allclose(table.to_numpy(), expected[name], rtol=1e-12, atol=1e-14)
        assert table.columns.tolist() == expected.features[name].tolist()


def test_missing_modalities_of_given_samples_are_drawn(run, invoke, files, monkeypatch):
    monkeypatch.setattr("deepjive.score_density.COMPONENTS", (1,))
    invoke("calibrate", run, *modalities(files, "more"))
    result = invoke("sample", run, "-n", 2, *modalities(files, "more", ["expression"]), "--out", files / "drawn")
    assert result.exit_code == 0, result.stderr
    given, drawn = pd.read_csv(files / "expression_more.csv"), pd.read_csv(files / "drawn" / "expression.csv")
    np.testing.assert_array_equal(drawn.to_numpy()[::2, 1:], given.to_numpy()[:, 1:])
    assert len(pd.read_csv(files / "drawn" / "methylation.csv")) == 60
