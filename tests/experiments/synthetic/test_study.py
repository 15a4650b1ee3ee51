"""The experiment with synthetic data: its plan, its cells, and that they are kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from deepjive.experiments.cells import Cell, code_digest, measure_cells
from deepjive.experiments.synthetic import study as synthetic_study
from deepjive.experiments.synthetic.study import IDENTITIES, PARTS, measure, plan, tables

SMALL = {"n_samples": 120, "n_features": [12, 10], "noise": 0.3, "nonlinear": False}
LINEAR = {"method": "AJIVE", "joint_rank": 1, "individual_ranks": 1}


def test_the_plan_shows_what_the_experiment_promises() -> None:
    cells = plan()
    rows = {cell.row for cell in cells}
    assert {cell.part for cell in cells} == set(PARTS)
    assert all(any(identity in row for row in rows) for identity in (*IDENTITIES, "AJIVE", "JIVE", "shuffled"))
    assert {cell.data["n_samples"] for cell in cells} >= {100, 5000}
    assert max(len(cell.data["n_features"]) for cell in cells) == 3
    assert max(max(cell.data["n_features"]) for cell in cells) == 10_000
    assert max(sum(cell.row == one.row for cell in cells) for one in cells if one.part == "ablation") == 10
    assert len({cell.key for cell in plan(("recovery",))}) == len(plan(("recovery",)))
    assert {cell.seed for cell in plan(("ablation",), seeds=2)} == {0, 1}


def test_a_cell_tells_what_was_recovered_and_shuffling_leaves_nothing_to_predict() -> None:
    found = measure(Cell("recovery", "AJIVE", 0, SMALL, LINEAR))
    assert found["joint"] > 0.9
    assert found["predicted"] > 0.3
    assert min(found["accuracy"], found["accuracy_linear"]) > 0.7 > 0.4 > found["accuracy_individual"]
    mixed = measure(Cell("recovery", "AJIVE", 0, {**SMALL, "shuffled": True}, LINEAR))
    assert set(mixed) == {"predicted"}
    assert mixed["predicted"] < 0.05


def test_cells_are_measured_once_and_kept(tmp_path: Path) -> None:
    cells = [Cell("recovery", "a", seed, SMALL, LINEAR) for seed in (0, 1)]
    asked = []

    def count(cell: Cell) -> dict[str, float]:
        asked.append(cell.seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return {"joint": float(cell.seed)}

    with pytest.raises(KeyboardInterrupt):
        measure_cells(cells, count, tmp_path / "cells")
    found = measure_cells(cells, count, tmp_path / "cells")
    assert asked == [0, 1, 1]
    assert [figures["joint"] for figures in found] == [0.0, 1.0]
    assert tables(cells, found, ("joint",)) == {
        "recovery": [("a", "0.500\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.500", "2")]
    }


def test_several_at_a_time_give_what_one_gives_and_a_failure_loses_none_that_is_done(tmp_path: Path) -> None:
    cells = [Cell("recovery", "AJIVE", seed, SMALL, LINEAR) for seed in range(3)]
    said: list[tuple[int, int]] = []
    alone = measure_cells(cells, measure, tmp_path / "alone")
    together = measure_cells(
        cells, measure, tmp_path / "together", progress=lambda *words: said.append(words[:2]), jobs=2
    )
    assert [{**figures, "seconds": 0} for figures in together] == [{**figures, "seconds": 0} for figures in alone]
    assert len(said) == 4
    assert said[0] == (0, 3)
    assert said[-1] == (3, 3)

    def once_only(cell: Cell) -> dict[str, float]:
        if cell.seed == 2:
            raise ValueError("no such data")
        return {"process": float(os.getpid())}

    with pytest.raises(ValueError, match="no such data"):
        measure_cells(cells, once_only, tmp_path / "failing", jobs=2)
    kept = [json.loads(path.read_text())["measures"] for path in (tmp_path / "failing").iterdir()]
    assert len(kept) >= 1
    assert os.getpid() not in [figures["process"] for figures in kept]


def test_what_two_rows_have_in_common_is_measured_once(tmp_path: Path) -> None:
    cells = [Cell("recovery", row, seed, SMALL, LINEAR) for row, seed in (("one", 0), ("other", 0), ("one", 1))]
    asked: list[Cell] = []
    said: list[int] = []

    def count(cell: Cell) -> dict[str, float]:
        asked.append(cell)
        return {"joint": float(cell.seed)}

    found = measure_cells(cells, count, tmp_path, progress=lambda done, *_: said.append(done))
    assert len(asked) == 2
    assert [figures["joint"] for figures in found] == [0.0, 0.0, 1.0]
    assert said == [0, 2, 3]


def test_what_other_code_measured_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell("recovery", "a", 0, SMALL, LINEAR)
    before = cell.key
    assert cell.key == before
    monkeypatch.setattr("deepjive.experiments.cells.code_digest", lambda: "other")
    assert cell.key != before


def test_code_is_told_by_the_contents_and_names_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "a.py").write_text("x = 1")
    digests = [code_digest.__wrapped__(tmp_path)]
    for path, text in (("part/b.py", "y = 2"), ("part/b.py", "y = 3"), ("part/c.py", "y = 3")):
        (tmp_path / path).write_text(text)
        digests.append(code_digest.__wrapped__(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "d.py")
    digests.append(code_digest.__wrapped__(tmp_path))
    assert len(set(digests)) == 5
    (tmp_path / "a.pyc").write_bytes(b"compiled")
    assert code_digest.__wrapped__(tmp_path) == digests[-1]
    assert code_digest() == code_digest.__wrapped__(Path(synthetic_study.__file__).parents[2])


def test_figures_that_a_model_does_not_have_stay_empty() -> None:
    cells = [Cell("recovery", "a", 0, SMALL, LINEAR)]
    assert tables(cells, [{"joint": np.nan}], ("joint", "leak")) == {"recovery": [("a", "", "", "1")]}


def test_an_example_has_every_identity_beside_ajive(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"n_samples": 100, "n_features": [10, 10], "noise": 0.3, "nonlinear": False}
    rows = {f"nonlinear, {identity}, closed form": identity for identity in IDENTITIES}
    cells = [
        Cell(
            "recovery",
            row,
            0,
            small,
            {"method": "DeepJIVE", "joint_rank": 1, "individual_ranks": 1, "max_epochs": 1, "identity": identity},
        )
        for row, identity in rows.items()
    ] + [Cell("recovery", "nonlinear, AJIVE, best rank in hindsight", 0, small, {**LINEAR, "hindsight": True})]
    monkeypatch.setattr(synthetic_study, "plan", lambda parts, quick: cells)
    drawn = synthetic_study.example()
    assert set(drawn.recovered["joint"]) == {*IDENTITIES, "AJIVE"}
    assert all(part.shape == drawn.truth["joint"].shape for part in drawn.recovered["joint"].values())
