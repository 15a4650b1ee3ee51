"""Names of columns that carry a remark or characters that are not seen hold identifiers all the same."""

import numpy as np
import pandas as pd
import pytest

from deepjive import Modalities
from deepjive.data.readers.words import is_feature_column, is_id_column, is_sample_column, is_summary

N = 12


@pytest.mark.parametrize("name", ["visit_id, coded", "Subject ID (site 2)", "\u200bvisit_id", "ScanID [new]"])
def test_a_column_of_identifiers_is_refused_whatever_remark_its_name_has(name, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 2)), columns=["x", "y"], index=[f"s{i}" for i in range(N)])
    frame.insert(0, name, np.arange(1000.0, 1000.0 + N))
    with pytest.raises(ValueError, match="seems to name samples"):
        Modalities({"a": frame, "b": frame[["x"]]})
    frame.to_csv(tmp_path / "a.csv", index_label="id")
    with pytest.raises(ValueError, match="seems to name samples"):
        Modalities({"a": tmp_path / "a.csv", "b": frame[["x"]]})


@pytest.mark.parametrize("name", ["Subject ID (coded)", "\ufeffid", "patient, from the registry"])
def test_a_first_column_with_a_remark_names_the_samples(name, tmp_path):
    table = pd.DataFrame({name: np.arange(1000, 1000 + N), "x": np.arange(N) * 0.1, "y": np.arange(N) * 0.3})
    table.to_csv(tmp_path / "a.csv", index=False)
    data = Modalities({"a": tmp_path / "a.csv", "b": tmp_path / "a.csv"})
    assert data.samples.tolist() == [str(i) for i in range(1000, 1000 + N)]
    assert data.shapes["a"] == (2,)


def test_remarks_make_no_word_of_other_names():
    assert not is_id_column("PID:NF-kB, score")
    assert not is_sample_column("(id)x")
    assert is_feature_column("gene (HGNC)")
    assert is_summary("Total (n = 12)")
    assert not is_id_column("valid (yes)")
