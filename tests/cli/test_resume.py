"""`deepjive fit --resume`: a run that was cut off, killed or interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from deepjive import load
from deepjive.cli import runs
from deepjive.deep.training import checkpoint
from deepjive.deep.training.checkpoint import FILE, Checkpoint
from deepjive.deep.training.steps import EagerSteps

# The command shows warnings as lines: that training ended at its budget, or was interrupted.
pytestmark = pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A checkpoint every epoch, and no reports, which are drawn for seconds and tested elsewhere."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(runs, "write_report_of", lambda path, *args, **options: Path(path))


@pytest.fixture
def words(files):
    modalities = [f"expression={files}/expression.csv", f"methylation={files}/methylation.csv"]
    ranks = ("--joint-rank", "1", "--individual-rank", "1", "--max-epochs", "3", "--seed", "4", "--quiet")
    dense = ("--set", "networks=dense")  # linear data would not be trained on otherwise
    return ["fit", *(word for modality in modalities for word in ("-m", modality)), *ranks, *dense, "--title", "Again"]


def cut_after(monkeypatch, epochs, error):
    offer, seen = Checkpoint.offer, []

    def offer_and_cut(self, state):
        offer(self, state)
        seen.append(1)
        if len(seen) == epochs:
            raise error

    monkeypatch.setattr(Checkpoint, "offer", offer_and_cut)


def same_weights(one, other):
    pairs = zip(load(one).network_.state_dict().values(), load(other).network_.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_run_that_was_killed_goes_on_to_the_same_scores_and_config(invoke, words, files):
    code = f"""
import os, signal
from deepjive.deep.training import checkpoint
checkpoint.SECONDS = 0.0
offer, seen = checkpoint.Checkpoint.offer, []
def offer_and_die(self, state):
    offer(self, state)
    seen.append(1)
    if len(seen) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.Checkpoint.offer = offer_and_die
from deepjive.cli.main import main
import sys
sys.argv = {["deepjive", *words, "--out", str(files / "cut")]!r}
main()
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    refused = invoke(*words, "--out", files / "cut")
    assert refused.exit_code == 2
    assert "holds an interrupted run" in refused.stderr
    resumed = invoke("fit", "--resume", files / "cut", "--quiet")
    assert resumed.exit_code == 0, resumed.stderr
    assert invoke(*words, "--out", files / "whole").exit_code == 0
    assert same_weights(files / "cut", files / "whole")
    configs = [json.loads((files / run / "config.json").read_text()) for run in ("cut", "whole")]
    assert configs[0]["run"] == configs[1]["run"]
    assert configs[0]["parameters"] == configs[1]["parameters"]
    assert not (files / "cut" / "checkpoint").exists()


def test_an_interrupted_run_is_saved_and_says_how_to_go_on(invoke, words, files, monkeypatch):
    with monkeypatch.context() as patched:
        cut_after(patched, 2, KeyboardInterrupt())
        result = invoke(*words, "--out", files / "run")
    assert result.exit_code == 0, result.stderr
    assert "interrupted in epoch 2 of the joint phase" in result.stderr
    assert f"deepjive fit --resume {files}/run" in result.stdout.replace("\n", "")
    assert load(files / "run").interrupted_
    assert invoke("fit", "--resume", files / "run", "--quiet").exit_code == 0
    assert not load(files / "run").interrupted_


def test_an_error_says_what_is_kept(invoke, words, files, monkeypatch):
    cut_after(monkeypatch, 2, OSError(28, "No space left on device", "/data/x.h5"))
    result = invoke(*words, "--out", files / "run")
    assert result.exit_code == 2
    assert "No space left on device: /data/x.h5" in result.stderr
    assert f"To continue from it: deepjive fit --resume {files}/run" in result.stderr.replace("\n", "")
    assert (files / "run" / "checkpoint" / FILE).is_file()


def test_an_error_before_the_first_checkpoint_leaves_nothing_behind(invoke, words, files, monkeypatch):
    monkeypatch.setattr(EagerSteps, "update", lambda steps: (_ for _ in ()).throw(ValueError("no")))
    assert invoke(*words, "--out", files / "run").exit_code == 2
    assert not list((files / "run").iterdir())


def test_columns_that_changed_their_names_are_refused(invoke, words, files, monkeypatch):
    table = pd.read_csv(files / "expression.csv", index_col=0).add_prefix("gene ")
    table.to_csv(files / "expression.csv")
    with monkeypatch.context() as patched:
        cut_after(patched, 2, ValueError("cut"))
        invoke(*words, "--out", files / "run")
    table.set_axis(table.columns[::-1], axis=1).to_csv(files / "expression.csv")
    result = invoke("fit", "--resume", files / "run")
    assert result.exit_code == 2
    assert "in another order: feature 0 is 'gene 11', but was 'gene 0'" in result.stderr


def test_overwrite_begins_again(invoke, words, files, monkeypatch):
    with monkeypatch.context() as patched:
        cut_after(patched, 2, ValueError("cut"))
        invoke(*words, "--out", files / "run")
    assert invoke(*words, "--out", files / "run", "--overwrite").exit_code == 0
    assert not (files / "run" / "checkpoint").exists()


def test_what_cannot_be_resumed_says_so(invoke, files):
    result = invoke("fit", "--resume", files / "nothing")
    assert result.exit_code == 2
    assert "holds no interrupted run" in result.stderr
    (files / "run" / "checkpoint").mkdir(parents=True)
    (files / "run" / "checkpoint" / "run.json").write_text("[")
    result = invoke("fit", "--resume", files / "run")
    assert result.exit_code == 2
    assert "is damaged" in result.stderr
