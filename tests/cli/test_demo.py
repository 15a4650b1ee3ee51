"""The command of the demonstration, with results that were not fitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepjive.experiments.demo import Demonstration


@pytest.fixture
def results() -> Demonstration:
    """A demonstration whose model is linear, so that it takes no seconds."""
    import deepjive as dj
    from deepjive.datasets import load_paired_digits
    from deepjive.experiments.demo import Reading

    train, test = load_paired_digits(100, 60, random_state=0)
    model = dj.AJIVE(signal_ranks=11, joint_rank=9, random_state=0).fit(train.data)
    readings = [Reading("DeepJIVE, joint", 9, 0.98, 0.01), Reading("DeepJIVE, individual of 'first'", 2, 0.2, 0.85)]
    return Demonstration(model, model.decompose(test.data), test, readings, [("first", 0.11, 0.0)])


def test_the_demonstration_shows_digit_and_angle_and_writes_a_run(
    invoke, tmp_path: Path, results: Demonstration, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(
        "deepjive.experiments.demo.demonstrate",
        lambda pairs, **settings: asked.update(settings, pairs=pairs) or results,
    )
    result = invoke("demo", "--out", tmp_path / "demo", "--pairs", 300, "--max-epochs", 2)
    assert result.exit_code == 0, result.output
    assert (asked["pairs"], asked["max_epochs"], asked["seed"]) == (300, 2, 0)
    for words in ("98.0%", "0.85", "shuffled", "chance is 10%"):
        assert words in result.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"report.html", "config.json"}
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "Digit and angle predicted from scores" in page
    assert page.index("What is joint, and what is individual") < page.index("<h2>Results")
    assert f"deepjive demo --out {tmp_path}/demo --pairs 300 --max-epochs 2" in page
