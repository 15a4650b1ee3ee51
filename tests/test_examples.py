"""Every example runs; those that need an extra, where it is installed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_each_example_has_a_test() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"tune.py"}


@pytest.mark.filterwarnings("ignore")
def test_the_search_by_optuna_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    optuna = pytest.importorskip("optuna")
    optimize = optuna.Study.optimize

    def optimize_briefly(study: Any, objective: Any, n_trials: int) -> None:
        assert n_trials == 10
        optimize(study, objective, n_trials=2)

    monkeypatch.setattr(optuna.Study, "optimize", optimize_briefly)
    study = runpy.run_path(str(EXAMPLES / "tune.py"))["study"]
    assert 0 < study.best_value < 1
    assert "joint_rank" in capsys.readouterr().out
