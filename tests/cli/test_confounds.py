"""Confounds and levels on the command line: columns of a file, stored with the run, and used for new samples."""

import json

import numpy as np
import pandas as pd
import pytest

from deepjive import load
from deepjive.cli.options import TableOptions

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture
def patients(files):
    names = pd.read_csv(files / "expression.csv")["sample"]
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"sample": names, "age": rng.normal(60, 9, len(names)), "site": np.arange(len(names)) % 2})
    table.sample(frac=1, random_state=0).to_csv(files / "patients.csv", index=False)
    return files / "patients.csv"


@pytest.mark.usefixtures("drawn")
def test_confounds_are_columns_of_a_file_that_a_run_remembers(fit, invoke, files, patients):
    result = fit("--confounds", f"{patients}:age,site", "--labels", f"{patients}:age")
    assert result.exit_code == 0, result.output
    assert "confounds: age, site (2 sites)" in result.stderr
    coding = load(files / "run").adjustment_["coding"]
    assert coding["levels"] == {"age": [], "site": ["0", "1"]}
    assert coding["site"] == "site"
    assert json.loads((files / "run" / "config.json").read_text())["run"]["confounds"] == [f"{patients}:age,site"]
    assert "Confounds were taken out of every modality before the model saw it: age, site (2 sites)." in (
        files / "run" / "report.html"
    ).read_text(encoding="utf-8")
    modalities = [word for name in ("expression", "methylation") for word in ("-m", f"{name}={files}/{name}.csv")]
    scores = invoke("transform", files / "run", *modalities)
    assert scores.exit_code == 0, scores.output
    given = invoke("transform", files / "run", *modalities, "--confounds", f"{patients}:age,site")
    assert given.stdout == scores.stdout
    report = invoke("report", files / "run", *modalities, "--evidence")
    assert report.exit_code == 0, report.output
    assert "confound site predicted from scores" in report.stdout


def test_confounds_may_come_from_several_files(fit, invoke, files, patients):
    volumes = pd.read_csv(patients)[["sample"]].assign(volume=np.random.default_rng(2).normal(1500.0, 90.0, 80))
    volumes.to_csv(files / "volumes.csv", index=False)
    both = ("--confounds", f"{patients}:age,site", "--confounds", f"{files}/volumes.csv:volume")
    result = fit(*both)
    assert "confounds: age, site (2 sites), volume" in result.stderr, result.output
    modalities = [word for name in ("expression", "methylation") for word in ("-m", f"{name}={files}/{name}.csv")]
    scores = invoke("transform", files / "run", *modalities)
    assert scores.stdout == invoke("transform", files / "run", *modalities, *both).stdout
    again = fit("--confounds", f"{patients}:age", "--confounds", f"{patients}:age,site", out="again")
    assert "Several confounds have the name 'age'" in again.output


def test_a_run_of_before_the_option_was_repeatable_has_its_confounds(tmp_path, monkeypatch):
    monkeypatch.setattr("deepjive.persistence.read_config", lambda run: {"run": {"confounds": "patients.csv:age"}})
    assert TableOptions.of_run(tmp_path).confounds == ["patients.csv:age"]
    assert TableOptions.of_run(tmp_path, None, None, None, None, ["new.csv:age"]).confounds == ["new.csv:age"]


def test_confounds_that_stand_in_the_table_of_a_modality_are_no_features(invoke, files, patients):
    table = pd.read_csv(files / "expression.csv").merge(pd.read_csv(patients), on="sample")
    table.to_csv(files / "all.csv", index=False)
    modalities = ["-m", f"expression={files}/all.csv", "-m", f"methylation={files}/methylation.csv"]
    options = ["--method", "ajive", "--joint-rank", "1", "--individual-rank", "1", "--out", files / "run"]
    confounds = ["--confounds", f"{files}/all.csv:age,site", "--site", "none"]
    result = invoke("fit", *modalities, *options, *confounds)
    assert result.exit_code == 0, result.output
    model = load(files / "run")
    assert model.shapes_["expression"] == (12,)
    assert model.adjustment_["coding"]["site"] == ""


def test_options_of_confounds_that_miss_something_are_errors(fit, files, patients):
    assert "Name the columns of" in fit("--confounds", patients).output
    assert "--site names a confound, but there are none" in fit("--site", "age").output.replace("\n", " ")
    assert "There is no confound 'place'" in fit("--confounds", f"{patients}:age", "--site", "place").output


def test_a_level_is_decomposed_remembered_and_reported(fit, invoke, files):
    names = pd.read_csv(files / "expression.csv")["sample"]
    visits = pd.DataFrame({"sample": names, "patient": np.repeat(np.arange(40), 2), "dose": np.arange(80) % 2})
    visits.to_csv(files / "visits.csv", index=False)
    run = ["--groups", f"{files}/visits.csv:patient", "--level", "within", "--labels", f"{files}/visits.csv:dose"]
    result = fit(*run)
    assert result.exit_code == 0, result.output
    assert "40 samples (within participants)" in result.stderr
    assert load(files / "run").joint_scores_.shape == (40, 1)
    modalities = [word for name in ("expression", "methylation") for word in ("-m", f"{name}={files}/{name}.csv")]
    assert len(invoke("transform", files / "run", *modalities).stdout.splitlines()) == 41
    report = invoke("report", files / "run", *modalities, "--labels", f"{files}/visits.csv:dose")
    assert report.exit_code == 0, report.output
    assert "needs the participant of each sample" in fit("--level", "between", out="other").output
