import io
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from deepjive import load
from deepjive.cli import apply
from deepjive.cli.ranks import _show_curves

pytestmark = pytest.mark.usefixtures("no_report")


def test_transform_prints_the_scores_of_the_run(fit, invoke, files):
    fit()
    words = ["-m", f"expression={files}/expression.csv", "-m", f"methylation={files}/methylation.csv"]
    result = invoke("transform", files / "run", *words)
    assert result.exit_code == 0
    assert result.stdout == (files / "run" / "joint_scores.csv").read_text()
    invoke("transform", files / "run", *words, "--out", files / "new" / "scores.csv")
    assert (files / "new" / "scores.csv").read_text() == result.stdout


def test_transform_takes_new_samples_with_one_modality(fit, invoke, files):
    fit()
    pd.read_csv(files / "expression.csv").iloc[5:8].to_csv(files / "few.csv", index=False)
    result = invoke("transform", files / "run", "-m", f"expression={files}/few.csv")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert table["sample"].tolist() == ["s5", "s6", "s7"]
    assert table.shape == (3, 2)


def test_decomposed_parts_add_up_to_the_input(invoke, files, monkeypatch):
    monkeypatch.setattr(apply, "BATCH", 32)  # several batches, the last one short
    words = ["-m", f"expression={files}/expression.csv", "-m", f"../my image={files}/image.npy"]
    words += ["--samples", files / "expression.csv"]
    invoke("fit", *words, "--method", "ajive", "--joint-rank", 1, "--out", files / "run")
    result = invoke("decompose", files / "run", *words, "--out", files / "parts")
    assert result.exit_code == 0, result.stderr
    parts = [np.load(files / "parts" / f"{part}_my_image.npy") for part in ("joint", "individual", "residual")]
    assert parts[0].shape == (80, 5, 6)
    np.testing.assert_allclose(sum(parts), np.load(files / "image.npy"), atol=1e-12)
    assert (files / "parts" / "individual_scores_my_image.csv").is_file()


def test_impute_writes_what_the_model_predicts(fit, invoke, files):
    fit()
    words = ("impute", files / "run", "methylation", "-m", f"expression={files}/expression.csv", "--out")
    expected = load(files / "run").impute({"expression": f"{files}/expression.csv"}, "methylation")
    assert invoke(*words, files / "m.npy").exit_code == 0
    np.testing.assert_array_equal(np.load(files / "m.npy"), expected)
    assert invoke(*words, files / "m.csv").exit_code == 0
    written, fitted = (pd.read_csv(files / name, index_col=0) for name in ("m.csv", "methylation.csv"))
    np.testing.assert_allclose(written.to_numpy(), expected, rtol=1e-12, atol=1e-14)  # before pandas 3, read_csv rounds
    assert written.columns.tolist() == fitted.columns.tolist()


def test_impute_refuses_files_that_cannot_hold_the_result(invoke, files):
    words = ["-m", f"expression={files}/expression.csv", "-m", f"image={files}/image.npy"]
    invoke(
        "fit",
        *words,
        "--samples",
        files / "expression.csv",
        "--method",
        "ajive",
        "--joint-rank",
        1,
        "--out",
        files / "run",
    )
    words = ("impute", files / "run", "image", "-m", f"expression={files}/expression.csv", "--out")
    assert "which a CSV file cannot hold" in invoke(*words, files / "i.csv").stderr
    assert "must end in .npy or .csv" in invoke(*words, files / "i.txt").stderr
    assert "There is no modality 'pet'" in invoke("impute", files / "run", "pet", *words[3:], files / "p.npy").stderr


@pytest.mark.usefixtures("drawn")
def test_report_is_written_again_with_labels(fit, invoke, files):
    fit()
    words = ["-m", f"expression={files}/expression.csv", "-m", f"methylation={files}/methylation.csv"]
    labels = ("--labels", f"{files}/labels.csv:group", "--title", "Second look")
    result = invoke("report", files / "run", *words, *labels, "--out", files / "second.html")
    assert result.exit_code == 0, result.stderr
    assert "coloured by group" in (files / "second.html").read_text()
    assert "Second look" in (files / "second.html").read_text()
    assert "was fitted to" not in (files / "second.html").read_text()
    assert "coloured by group" not in (files / "run" / "report.html").read_text()
    assert "deepjive fit --config" in (files / "second.html").read_text()


def test_numbers_of_scores_that_were_not_tried_are_not_shown(capsys):
    r2 = {"linear": [0.0, 0.3], "unrolled": [math.nan, math.nan, 0.4]}
    curve = SimpleNamespace(r2=r2, rank=1, linear_rank=1, coordinates="linear")
    _show_curves(SimpleNamespace(curves={"joint": curve}))
    shown = capsys.readouterr().out
    assert "30.0%" in shown
    assert "40.0%" in shown
    assert "nan" not in shown


def test_ranks_of_all_methods_are_shown_side_by_side_with_advice(invoke, files):
    words = ["-m", f"expression={files}/expression.csv", "-m", f"methylation={files}/methylation.csv"]
    result = invoke("ranks", *words)
    assert result.exit_code == 0, result.stderr
    for said in (
        "Joint rank 1",
        "held-out prediction, linear scores",
        "AJIVE, bounds",
        "squared singular",
    ):
        assert said in result.stdout
    assert "Predicted variance of held-out samples" in result.stdout
    described = "80 samples; features: expression 12, methylation 9; paired by name"
    assert result.stderr.splitlines()[0] == described
    assert result.stdout.count("chosen") == 3
    assert "Both methods count 1. Use 1." in result.stdout
    assert result.stdout == invoke("ranks", *words).stdout
