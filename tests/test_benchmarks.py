"""The benchmark suite compares results, and finds what has become slower."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import suite

    yield suite
    for name in ("suite", "suite_cases", "result_tables"):
        sys.modules.pop(name, None)


def written(suite, path, **ratios):
    rows = [[name, "what", 2.0, None, ratio, "floor", 10.0] for name, ratio in ratios.items()]
    path.write_text(json.dumps({"columns": suite.COLUMNS, "rows": rows}))
    return path


def test_a_benchmark_is_slower_if_its_ratio_to_the_floor_has_risen(suite, tmp_path):
    old = written(suite, tmp_path / "old.json", fit=10.0, ranks=10.0, wide=10.0)
    new = suite.read(written(suite, tmp_path / "new.json", fit=12.0, ranks=8.0, wide=10.5, more=1.0))
    words = {line.split()[0]: line.split()[-1] for line in suite.compare(new, old)}
    assert words == {"fit": "SLOWER", "ranks": "faster", "wide": "before", "more": "old.json"}


def test_seconds_are_compared_where_there_is_no_floor(suite, tmp_path):
    old = written(suite, tmp_path / "old.json", demo=None)
    new = {"demo": ["demo", "what", 5.0, None, None, None, 10.0]}
    assert suite.compare(new, old)[0].endswith("SLOWER")


def test_another_table_is_refused(suite, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"columns": ["seed"], "rows": []}))
    with pytest.raises(ValueError, match="no table of the suite"):
        suite.read(path)


def test_the_least_of_repeats_counts_and_failed_runs_do_not(suite):
    runs = [
        {"failed": "why"},
        {"seconds": 3.0, "floor": 1.0, "memory": 5.0, "quality": {"joint": 0.9}},
        {"seconds": 2.0, "floor": 1.5, "memory": 6.0, "quality": {"joint": 0.9}},
    ]
    least = suite.least(runs)
    assert (least["seconds"], least["floor"], least["memory"]) == (2.0, 1.0, 5.0)
    assert suite.least(runs[:1]) == runs[0]
    tables = {name: SimpleNamespace(add=lambda *cells: added.append(cells)) for name in ("suite", "before")}
    added: list = []
    by_version = {"now": [least], "before": [{**least, "seconds": 6.0}]}
    suite.add_rows("fit-linear", suite.BENCHMARKS["fit-linear"], by_version, tables)
    assert added[0][2:5] == (2.0, 4.0, 2.0)  # seconds, goal, times the floor
    assert added[1][1:3] == (6.0, 2.0)


def test_a_benchmark_runs_and_gives_its_quality(suite):
    benchmark = suite.BENCHMARKS["ranks-linear"]
    simulated = sys.modules["suite_cases"]._synthetic(60, 5, 4)(0)
    assert set(benchmark.quality(benchmark.run(simulated, 0), simulated)) == {"ranks"}


def test_the_slope_of_growth_is_the_power(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import growth

    sizes = [10, 100, 1000, 10_000]
    assert growth.slope(sizes, [5.0, 5.0, *(1e-4 * np.array(sizes[2:]) ** 1.5)]) == pytest.approx(1.5)
    assert growth.varied_sizes([(5, 1, 2), (5, 10, 2)]) == [1, 10]
    sys.modules.pop("growth", None)
