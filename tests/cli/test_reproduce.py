import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from deepjive.cli import reproduce
from deepjive.experiments.cells import Cell
from deepjive.experiments.digits import study as digits_study
from deepjive.experiments.digits.study import ALL_METHODS, STUDIES, TRIED
from deepjive.experiments.synthetic import study as synthetic_study


@pytest.fixture
def _small(monkeypatch):
    """Two sizes of tiny data, and AJIVE alone."""
    model = {"method": "AJIVE", "joint_rank": 1, "individual_ranks": 1}
    cells = [
        Cell("sizes", f"linear, n {n}, AJIVE", seed, {"n_samples": n, "n_features": [9, 8], "noise": 0.3}, model)
        for n in (60, 90)
        for seed in (0, 1)
    ]
    monkeypatch.setattr(
        synthetic_study, "plan", lambda parts, quick, seeds: [cell for cell in cells if cell.seed < (seeds or 9)]
    )


@pytest.mark.usefixtures("_small")
def test_the_synthetic_experiment_writes_tables_figures_and_a_page(invoke, tmp_path):
    words = ("reproduce", "synthetic", "--part", "sizes", "--quick", "--out", tmp_path / "run")
    result = invoke(*words)
    assert result.exit_code == 0, result.stderr
    assert "linear, n 60, AJIVE" in result.stdout
    assert len((tmp_path / "run" / "cells.csv").read_text().splitlines()) == 5
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Recovery by size of the data" in page
    assert "<svg" in page
    assert "deepjive reproduce synthetic --part sizes --quick" in page
    cells = sorted((tmp_path / "run" / "cells").iterdir())
    before = [path.stat().st_mtime_ns for path in cells]
    assert invoke(*words).exit_code == 0
    assert [path.stat().st_mtime_ns for path in cells] == before
    assert invoke(*words, "--seeds", 1).exit_code == 0
    assert len((tmp_path / "run" / "cells.csv").read_text().splitlines()) == 3
    assert "--seeds 1</code>" in (tmp_path / "run" / "report.html").read_text()


def test_an_experiment_writes_its_table_and_page_and_goes_on_where_it_was(invoke, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPJIVE_DATA", str(tmp_path))
    monkeypatch.setattr(digits_study, "QUICK", replace(digits_study.QUICK, sizes=(2,)))
    words = ("reproduce", "mnist", "--out", tmp_path / "run", "--study", "rotated")
    words = (*words, "--quick", "--pairs", 500, "--max-epochs", 1, "--method", "explicit", "--method", "PCA")
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert "the digits of scikit-learn" in result.stdout
    page = (tmp_path / "run" / "report.html").read_text()
    for words_on_page in (
        "More individual scores than needed",
        "its figures are not results",
        "effect of each joint",
    ):
        assert words_on_page in page
    with (tmp_path / "run" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["figure"] for row in rows} >= {"digit error, individual of turned", "predicted variance, original"}
    cells = sorted((tmp_path / "run" / "cells").iterdir())
    before = [path.stat().st_mtime_ns for path in cells]
    assert invoke(*words).exit_code == 0
    assert [path.stat().st_mtime_ns for path in cells] == before


def test_what_can_be_asked_for_is_what_there_is():
    assert {method.value for method in reproduce.Method} == set(ALL_METHODS)
    assert {study.value for study in reproduce.Study} == {*STUDIES, TRIED}
    assert {part.value for part in reproduce.Part} == set(synthetic_study.PARTS)


def test_only_the_methods_that_are_asked_for_are_fitted(invoke, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPJIVE_DATA", str(tmp_path))
    words = ("reproduce", "mnist", "--out", tmp_path / "run", "--quick", "--pairs", 500, "--method", "PCA")
    result = invoke(*words, "--study", "noisy")
    assert result.exit_code == 0, result.output
    with (tmp_path / "run" / "table.csv").open() as file:
        assert {row["row"] for row in csv.DictReader(file)} == {"PCA"}
    assert "--method PCA" in (tmp_path / "run" / "report.html").read_text()
    none = invoke(*words, "--study", "rotated")
    assert none.exit_code == 2
    assert "uses the methods (PCA)" in " ".join(none.stderr.split())


def test_tried_settings_are_run_where_they_are_asked_for_and_write_a_table_for_the_documentation(
    invoke, tmp_path, monkeypatch
):
    monkeypatch.setenv("DEEPJIVE_DATA", str(tmp_path))
    monkeypatch.setattr(digits_study, "CHANGES", {})
    words = ("reproduce", "mnist", "--quick", "--pairs", 500, "--max-epochs", 1, "--out", tmp_path / "run")
    result = invoke(*words, "--study", "tried", "--method", "new-partners")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "results" / "noisy-mnist-tried.json").read_text())
    assert [row[0] for row in record["rows"]] == ["partners drawn anew too"]
    assert all(0 < float(error) < 100 for row in record["rows"] for error in row[1:4])
    assert not (tmp_path / "run" / "models").exists()
    assert {cell.part for cell in digits_study.cells_of(digits_study.QUICK, digits_study.Sources())} == set(STUDIES)


def test_figures_of_the_stand_in_are_not_shown_as_those_of_mnist(invoke, tmp_path, monkeypatch):
    words = ("reproduce", "mnist", "--out", tmp_path / "run", "--quick", "--pairs", 500, "--method", "PCA")
    words = (*words, "--study", "noisy")

    def figures(data):
        monkeypatch.setenv("DEEPJIVE_DATA", str(data))
        result = invoke(*words)
        assert result.exit_code == 0, result.output
        with (tmp_path / "run" / "table.csv").open() as file:
            return [(row["figure"], row["value"]) for row in csv.DictReader(file) if "error" in row["figure"]]

    (tmp_path / "mnist").mkdir()
    stand_in = figures(tmp_path / "nowhere")
    rng = np.random.default_rng(0)
    for split, n in (("train", 4000), ("t10k", 1000)):
        made = {"images-idx3": rng.integers(256, size=(n, 28, 28)), "labels-idx1": rng.integers(10, size=n)}
        for name, array in made.items():
            head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">i4").tobytes()
            (tmp_path / "mnist" / f"{split}-{name}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
    assert figures(tmp_path) != stand_in
    assert figures(tmp_path / "nowhere") == stand_in


def test_a_folder_without_mnist_and_an_unknown_study_are_told_in_a_line(invoke, tmp_path):
    absent = invoke("reproduce", "mnist", "--mnist", tmp_path / "none", "--out", tmp_path / "run")
    assert absent.exit_code == 2
    assert "train-images-idx3-ubyte" in absent.stderr
    unknown = invoke("reproduce", "mnist", "--study", "nosy", "--out", tmp_path / "run")
    assert unknown.exit_code == 2
    assert "nosy" in unknown.stderr
