"""Transformations and scales on the command line: stored with the model, said by the report, used for new samples."""

import numpy as np
import pandas as pd
import pytest

from deepjive import load
from deepjive.cli.config import _of_run
from deepjive.cli.options import kinds_of


@pytest.fixture
def counts(files):
    """The expression table as counts, with one large feature."""
    table = pd.read_csv(files / "expression.csv", index_col=0)
    counts = np.random.default_rng(0).poisson(np.exp(3.0 + 0.5 * table))
    pd.DataFrame(counts, index=table.index, columns=[f"gene {i}" for i in range(12)]).to_csv(files / "expression.csv")
    return files


def test_units_of_a_run_are_stored_used_and_said(counts, fit, invoke):
    result = fit("--transformation", "expression:log_cpm", "--scale", "features")
    assert result.exit_code == 0, result.output
    assert "Warning" not in result.stderr
    model = load(counts / "run")
    assert model.transformation == {"expression": "log_cpm"}
    assert model.scale == "features"
    page = (counts / "run" / "report.html").read_text(encoding="utf-8")
    scaled = "each feature divided by its standard deviation"
    assert f"model: expression after log_cpm, {scaled}; methylation {scaled}." in page
    modalities = [word for name in ("expression", "methylation") for word in ("-m", f"{name}={counts}/{name}.csv")]
    imputed = invoke("impute", counts / "run", "expression", *modalities, "--out", counts / "imputed.csv")
    assert imputed.exit_code == 0, imputed.output
    values = pd.read_csv(counts / "imputed.csv", index_col=0)
    assert values.min().min() >= 0
    parameters = _of_run(counts / "run")[1]  # what --config takes from a run
    assert parameters["transformation"] == {"expression": "log_cpm"}
    assert parameters["scale"] == "features"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["log1p"], "log1p"),
        (["none"], None),
        (["rna:clr", "protein=none"], {"rna": "clr", "protein": None}),
        (["a:b:clr"], {"a:b": "clr"}),
    ],
)
def test_words_are_for_all_modalities_or_for_one(texts, expected):
    assert kinds_of("--transformation", texts) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["clr", "log1p"], "more than once for all modalities"),
        (["rna:clr", "rna:log1p"], "more than once for 'rna'"),
        (["rna:clr", "log1p"], "for all modalities and for single modalities"),
    ],
)
def test_words_that_contradict_each_other_are_an_error(texts, message):
    with pytest.raises(ValueError, match=message):
        kinds_of("--scale", texts)
