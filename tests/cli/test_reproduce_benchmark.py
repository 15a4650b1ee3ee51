import json

import pytest

from deepjive.cli import reproduce
from deepjive.experiments.benchmark.methods import OWN
from deepjive.experiments.benchmark.peers import PEERS

WORDS = ["reproduce", "benchmark", "--views", 2, "--samples", 200, "--seeds", 1]


@pytest.fixture(autouse=True)
def without_mnist(monkeypatch):
    monkeypatch.delenv("DEEPJIVE_DATA", raising=False)


def test_the_command_writes_tables_and_goes_on_where_it_was(invoke, tmp_path):
    words = [*WORDS, "--method", "AJIVE", "--out", tmp_path]
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert "MNIST was not found" in result.output
    record = json.loads((tmp_path / "results" / "views-2-small-scores.json").read_text())
    assert [row[0] for row in record["rows"]] == ["AJIVE"]
    assert "AJIVE" in (tmp_path / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    assert len(before) == 2
    assert invoke(*words).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()} == before


def test_the_command_offers_all_methods():
    assert [method.value for method in reproduce.ViewMethod] == [*OWN, *PEERS]


def test_methods_of_other_packages_are_asked_for(invoke, tmp_path, monkeypatch):
    result = invoke(*WORDS, "--method", "MOFA", "--out", tmp_path)
    assert result.exit_code == 2
    assert "Add --peers" in " ".join(result.output.split())
    monkeypatch.setattr("deepjive.experiments.benchmark.peers.is_installed", lambda method: False)
    result = invoke(*WORDS, "--peers", "--method", "MOFA", "--out", tmp_path)
    assert result.exit_code == 2
    assert "pip install" in result.output
