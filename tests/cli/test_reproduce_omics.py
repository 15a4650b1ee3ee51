import json

import numpy as np
import pandas as pd

from deepjive.cli import reproduce
from deepjive.experiments.omics.data import NAMES
from deepjive.experiments.omics.methods import METHODS


def test_the_command_reads_tables_and_goes_on_where_it_was(invoke, tmp_path):
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(60, 1))
    labels = np.where(joint[:, 0] > 0, "case", "control")
    index = pd.Index([f"s{i}" for i in range(60)], name="sample")
    for name in ("rna", "protein"):
        values = joint @ rng.normal(size=(1, 8)) + 0.2 * rng.normal(size=(60, 8))
        pd.DataFrame(values, index=index).add_prefix("f").to_csv(tmp_path / f"{name}.csv")
    pd.DataFrame({"group": labels}, index=index).to_csv(tmp_path / "labels.csv")
    words = ["reproduce", "omics", "-m", f"rna={tmp_path}/rna.csv", "-m", f"protein={tmp_path}/protein.csv"]
    words += ["--labels", f"{tmp_path}/labels.csv:group", "--folds", 1, "--out", tmp_path / "run"]
    words += [word for name in ("AJIVE", "ridge") for word in ("--method", name)]
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "results" / "omics-tables.json").read_text())
    assert [row[0] for row in record["rows"]] == ["AJIVE", "ridge", "AJIVE, shuffled pairs"]
    assert record["rows"][0][record["columns"].index("seeds")] == "1.00"
    assert "R2 minus DeepJIVE&#39;s" in (tmp_path / "run" / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "cells").iterdir()}
    assert len(before) == 5
    assert invoke(*words).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "cells").iterdir()} == before


def test_the_command_offers_all_methods_and_data_sets():
    assert [method.value for method in reproduce.OmicsMethod] == list(METHODS)
    assert [name.value for name in reproduce.DataSet] == list(NAMES)


def test_labels_without_tables_are_refused(invoke):
    result = invoke("reproduce", "omics", "--labels", "labels.csv:group")
    assert result.exit_code == 2
    assert "no table was given" in result.output
