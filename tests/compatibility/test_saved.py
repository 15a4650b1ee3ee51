"""Models and runs that released versions saved are read, and give the same scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import deepjive as dj
from deepjive.cli.main import app

from . import make

VERSIONS = sorted(path for path in make.HERE.iterdir() if (path / "run").is_dir())
SAVED = [path for version in VERSIONS for path in sorted(version.iterdir()) if path.name != "run"]
LARGEST = 700_000
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # single precision, in another order on another processor


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_this_version_has_a_folder() -> None:
    """`python -m tests.compatibility.make` writes it when the version is released."""
    assert (make.HERE / dj.__version__).is_dir()
    assert {path.name for path in (make.HERE / dj.__version__).iterdir()} == {*make.MODELS, "run"}


@pytest.mark.parametrize("saved", SAVED, ids=name_of)
def test_a_saved_model_gives_the_scores_of_its_version(saved: Path) -> None:
    model, samples = dj.load(saved), make.data(saved.name)
    with np.load(saved / "expected.npz", allow_pickle=False) as expected:
        found = make.scores_of(model, samples)
        assert set(found) == set(expected.files)
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], err_msg=name, **TOLERANCE)


@pytest.mark.parametrize("saved", SAVED, ids=name_of)
def test_a_saved_model_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    model = dj.load(saved)
    model.save(tmp_path / "again")
    again = dj.load(tmp_path / "again")
    assert repr(again.get_params()) == repr(model.get_params())
    np.testing.assert_array_equal(
        again.decompose(make.data(saved.name)).joint_scores, model.decompose(make.data(saved.name)).joint_scores
    )


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_commands_read_a_run(version: Path, tmp_path: Path) -> None:
    words, run = make.write_tables(tmp_path), str(version / "run")
    done = CliRunner().invoke(app, ["transform", run, *words, "--out", str(tmp_path / "scores.csv")])
    assert done.exit_code == 0, done.output
    old, new = (
        pd.read_csv(path, index_col=0) for path in (version / "run" / "joint_scores.csv", tmp_path / "scores.csv")
    )
    np.testing.assert_allclose(new.to_numpy(), old.to_numpy(), **TOLERANCE)
    assert CliRunner().invoke(app, ["methods", run]).exit_code == 0
    again = ["fit", "--config", f"{run}/config.json", *words, "--quiet", "--out", str(tmp_path / "again")]
    done = CliRunner().invoke(app, again)
    assert done.exit_code == 0, done.output
    refitted = pd.read_csv(tmp_path / "again" / "joint_scores.csv", index_col=0).to_numpy()
    assert abs(np.corrcoef(refitted[:, 0], old.to_numpy()[:, 0])[0, 1]) > 0.999


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_the_folder_of_a_version_is_small_and_of_that_version(version: Path) -> None:
    files = [path for path in version.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST
    for config in version.rglob("config.json"):
        assert json.loads(config.read_text())["deepjive"] == version.name
