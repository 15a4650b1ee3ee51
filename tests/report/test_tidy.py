"""Tidy tables have every value of a result once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepjive.evaluation.feature_ranking import effects_of
from deepjive.report.tidy_tables import tidy, write_tidy


@pytest.fixture
def parts(make_decomposition):
    return make_decomposition({"a": (6,), "=b": (5,)}, individual_ranks={"a": 2, "=b": 0})


def test_every_score_fraction_and_effect_is_in_one_row(parts):
    effects = {name: effects_of(parts, name) for name in parts.data.names}
    tables = tidy(parts, effects)
    scores = tables["scores"]
    assert list(scores.columns) == ["sample", "part", "modality", "score", "value"]
    wide = scores[scores["part"] == "individual"].pivot(index="sample", columns=["modality", "score"], values="value")
    np.testing.assert_array_equal(wide.loc[[str(i) for i in range(60)]], parts.individual_scores["a"])
    assert len(scores) == 60 * (2 + 2)
    one = tables["variance"].query("modality == 'a' and part == 'joint'")["fraction"].item()
    assert one == parts.variance_explained["a"]["joint"]
    assert len(tables["loadings"]) == 6 * 4 + 5 * 2
    row = tables["loadings"].query("modality == 'a' and part == 'joint' and score == 2 and feature == '3'")
    assert row["effect"].item() == pytest.approx(effects["a"].effect[1, 3], rel=1e-3)


def test_csv_files_are_safe_in_spreadsheets_and_parquet_files_are_exact(parts, tmp_path):
    paths = write_tidy(tidy(parts), tmp_path / "csv")
    assert [path.name for path in paths] == ["scores.csv", "loadings.csv", "variance.csv"]
    assert set(pd.read_csv(paths[2])["modality"]) == {"a", "'=b"}
    with pytest.raises(ValueError, match="'xlsx', but must be 'csv' or 'parquet'"):
        write_tidy({}, tmp_path, "xlsx")
    pytest.importorskip("pyarrow")
    tables = tidy(parts)
    for path, frame in zip(write_tidy(tables, tmp_path, "parquet"), tables.values(), strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(path), frame, check_dtype=False)
