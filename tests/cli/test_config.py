import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepjive import AJIVE, load
from deepjive.cli import runs

TOML = """
method = "ajive"
joint-rank = 1
individual-rank = 1
seed = 3
labels = "{files}/labels.csv:group"
title = "By file"

[modality]
expression = "{files}/expression.csv"
methylation = "{files}/methylation.csv"
"""
FLAGS = ("--labels", "{files}/labels.csv:group", "--title", "By file")


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Reports are drawn for seconds, and tested elsewhere."""
    monkeypatch.setattr(runs, "write_report_of", lambda path, *args, **options: Path(path))


@pytest.fixture
def toml(files):
    def write(text):
        (files / "run.toml").write_text(text.format(files=files))
        return files / "run.toml"

    return write


def scores(run):
    return (run / "joint_scores.csv").read_bytes()


def test_a_toml_file_is_the_same_as_the_flags(invoke, fit, files, toml):
    assert fit(*(word.format(files=files) for word in FLAGS)).exit_code == 0
    result = invoke("fit", "--config", toml(f'out = "{files}/again"\n' + TOML))
    assert result.exit_code == 0, result.stderr
    configs = [json.loads((files / run / "config.json").read_text()) for run in ("run", "again")]
    assert configs[0] == configs[1]
    assert scores(files / "again") == scores(files / "run")


def test_the_command_line_overrides_the_file(invoke, files, toml):
    result = invoke("fit", "--config", toml(TOML), "--out", files / "run", "--joint-rank", 2, "--seed", 5)
    assert result.exit_code == 0, result.stderr
    parameters = json.loads((files / "run" / "config.json").read_text())["parameters"]
    assert (parameters["joint_rank"], parameters["random_state"], parameters["individual_ranks"]) == (2, 5, 1)


@pytest.mark.parametrize("name", ["run/config.json", "run"])
def test_a_runs_own_config_reproduces_its_scores(invoke, fit, files, name):
    words = ("--signal-rank", "expression=3", "--signal-rank", "methylation=2", "--labels", f"{files}/labels.csv:group")
    fit(*words)
    result = invoke("fit", "--config", files / name, "--out", files / "again")
    assert result.exit_code == 0, result.stderr
    assert scores(files / "again") == scores(files / "run")
    configs = [json.loads((files / run / "config.json").read_text()) for run in ("run", "again")]
    assert configs[0] == configs[1]
    assert configs[0]["run"]["labels"] == [f"{files}/labels.csv:group"]


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_the_config_of_an_old_deep_run_reproduces_its_scores_in_a_fresh_process(invoke, files):
    modalities = [word for name in ("expression", "methylation") for word in ("-m", f"{name}={files}/{name}.csv")]
    ranks = ("--joint-rank", 1, "--individual-rank", "expression=2", "--individual-rank", "methylation=1")
    options = ("--identity", "explicit", "--max-epochs", 2, "--seed", 3, "--quiet", "--out", files / "run")
    result = invoke("fit", *modalities, *ranks, *options)
    assert result.exit_code == 0, result.stderr
    words = ["deepjive", "fit", "--config", f"{files}/run/config.json", "--out", f"{files}/again", "--quiet"]
    code = f"""
import sys
from deepjive.cli import runs
from deepjive.cli.main import main
runs.write_report_of = lambda path, *args, **options: path
sys.argv = {words!r}
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("joint_scores.csv", "individual_scores_expression.csv"):
        assert (files / "again" / name).read_bytes() == (files / "run" / name).read_bytes()


def test_parameters_without_an_option_are_kept_and_can_be_given(invoke, files, toml):
    text = TOML + "[parameters]\nn_wedin = 7\ncenter = false\n"
    assert invoke("fit", "--config", toml(text), "--out", files / "run").exit_code == 0
    assert load(files / "run").n_wedin == 7
    assert invoke("fit", "--config", files / "run" / "config.json", "--out", files / "again").exit_code == 0
    assert load(files / "again").center is False
    assert scores(files / "again") == scores(files / "run")


def test_random_state_among_the_parameters_is_the_seed(invoke, files, toml):
    text = TOML.replace("seed = 3\n", "") + "[parameters]\nrandom_state = 7\n"
    for words, seed in (((), 7), (("--seed", 5), 5)):
        result = invoke("fit", "--config", toml(text), "--out", files / f"run{seed}", *words)
        assert result.exit_code == 0, result.stderr
        assert json.loads((files / f"run{seed}" / "config.json").read_text())["parameters"]["random_state"] == seed


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("line", "flags", "kept"), [("verbose = 0", (), 0), ("", (), 1), ("verbose = 1", ("--quiet",), 0)]
)
def test_verbose_among_the_parameters_counts_unless_quiet_is_asked_for(invoke, files, toml, line, flags, kept):
    text = TOML.replace('"ajive"', '"deepjive"\nmax-epochs = 1') + f'[parameters]\nnetworks = "dense"\n{line}\n'
    result = invoke("fit", "--config", toml(text), "--out", files / "run", *flags)
    assert result.exit_code == 0, result.stderr
    assert load(files / "run").verbose == kept
    assert ("epoch" in result.stderr.replace("max_epochs", "")) == bool(kept)


def test_a_model_saved_from_python_needs_only_its_files(invoke, files):
    data = {name: f"{files}/{name}.csv" for name in ("expression", "methylation")}
    AJIVE(signal_ranks=2, joint_rank=1, individual_ranks={"expression": 1, "methylation": 0}, random_state=4).fit(
        data
    ).save(files / "model")
    config = ("--config", files / "model" / "config.json", "--out", files / "run")
    assert "Missing option" in invoke("fit", *config).stderr
    words = [word for name, path in data.items() for word in ("-m", f"{name}={path}")]
    result = invoke("fit", *config, *words)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(load(files / "run").transform(data), load(files / "model").transform(data))


def test_parameters_that_are_arrays_are_named(invoke, files):
    data = {name: f"{files}/{name}.csv" for name in ("expression", "methylation")}
    AJIVE(signal_ranks=2, joint_rank=1, mask={"expression": np.ones(12, dtype=bool)}).fit(data).save(files / "model")
    result = invoke("fit", "--config", files / "model", "--out", files / "run")
    assert result.exit_code == 2
    assert "The parameters ['mask'] of the run" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joint-rank = ", "is not a TOML file: Invalid value (at "),
        ("colour = 3\n" + TOML, "has 'colour', which is no option of `deepjive fit`. The options are ['modality'"),
        ("parameters = 3\n" + TOML, "'parameters' is 3, but a table is expected"),
        ("samples = [[1]]\n" + TOML, "'samples' is [[1]], but text or a number is expected"),
        (TOML + "[parameters]\nrandom_state = 7\n", "both seed = 3 and random_state = 7 in [parameters]"),
        ("quiet = true\n" + TOML + "[parameters]\nverbose = 1\n", "both quiet = true and verbose = 1 in [parameters]"),
        (TOML.replace("seed = 3", "") + "[parameters]\nrandom_state = 'x'\n", "Invalid value for '--seed'"),
        (
            TOML + "[parameters]\nlearning_rat = 1\n",
            "[parameters] has 'learning_rat', which is no parameter of --method ajive",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_said_in_one_line(invoke, files, toml, text, message):
    result = invoke("fit", "--config", toml(text), "--out", files / "run")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_config_that_is_not_there_is_named(invoke, files):
    for name in ("absent.toml", "absent/config.json"):
        result = invoke("fit", "--config", files / name, "--out", files / "run")
        assert result.exit_code == 2
        assert "absent" in result.stderr


def test_a_failed_save_leaves_the_older_run(fit, files, monkeypatch):
    fit()
    before = scores(files / "run")
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    result = fit("--joint-rank", 2, "--overwrite")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert scores(files / "run") == before
    assert load(files / "run").joint_rank_ == 1


def test_a_run_keeps_whose_samples_are_whose(invoke, fit, files):
    np.save(files / "who.npy", np.arange(80) // 2)
    assert fit("--groups", files / "who.npy").exit_code == 0
    kept = json.loads((files / "run" / "config.json").read_text())
    assert kept["run"]["groups"] == str(files / "who.npy")
    assert invoke("fit", "--config", files / "run" / "config.json", "--out", files / "again").exit_code == 0
    assert json.loads((files / "again" / "config.json").read_text()) == kept


def test_a_file_far_too_large_for_options_is_not_read(invoke, files):
    (files / "run.toml").write_text("# " + "x" * 2**20)
    result = invoke("fit", "--config", files / "run.toml")
    assert result.exit_code == 2
    assert "run.toml has 1,048,578 bytes, but a configuration file has at most 1,048,576" in result.stderr
