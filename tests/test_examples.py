"""Every example runs; those that need an extra, where it is installed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_each_example_has_a_test() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"demo_picture.py", "tune.py"}


@pytest.mark.filterwarnings("ignore:The .* phase was still improving")
def test_the_picture_of_the_readme_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deepjive as dj
    from deepjive.datasets.digits import load_paired_digits

    train, _ = load_paired_digits(100, 10, random_state=0)
    dj.DeepJIVE(joint_rank=2, individual_ranks=2, networks="dense", max_epochs=1, random_state=0).fit(train.data).save(
        tmp_path / "run"
    )
    example = runpy.run_path(str(EXAMPLES / "demo_picture.py"))
    drawn: list[np.ndarray] = []

    class FirstTwo:
        def __init__(self, random_state: int) -> None: ...

        def fit_transform(self, scores: np.ndarray) -> np.ndarray:
            drawn.append(scores)
            return scores[:, :2]

    monkeypatch.setitem(example["main"].__globals__, "TSNE", FirstTwo)
    example["main"](str(tmp_path / "run"), str(tmp_path / "picture.png"))
    assert drawn[0].shape == (1000, 2)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


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
