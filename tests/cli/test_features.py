import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, bootstrap, jackstraw, load


@pytest.fixture
def words(files):
    return ["-m", f"expression={files}/expression.csv", "-m", f"methylation={files}/methylation.csv"]


def test_features_are_written_with_the_p_values_and_intervals_of_the_library(fit, invoke, files, words):
    fit()
    draws = ("--draws", 20, "--repeats", 20, "--seed", 4)
    result = invoke("features", files / "run", *words, *draws, "--out", files / "features")
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(files / "features" / "features_expression.csv")
    model, data = load(files / "run"), {w.split("=")[0]: w.split("=")[1] for w in words[1::2]}
    test = jackstraw(model, data, "expression", n_repeats=20, random_state=4)
    limits = bootstrap(model, data, n_draws=20, random_state=4).joint_loadings["expression"]
    np.testing.assert_allclose(table["p_value"], test.p_values)
    np.testing.assert_allclose(table["q_value"], test.q_values)
    np.testing.assert_allclose(table["loading_1"], model.joint_loadings_["expression"][0])
    np.testing.assert_allclose(table[["loading_1_low", "loading_1_high"]].T, limits[:, 0])
    assert table["feature"].astype(str).tolist() == [str(i) for i in range(12)]
    assert "90% intervals of 20 draws" in result.stdout
    assert "The values of the fit itself may lie outside" in result.stdout


@pytest.mark.parametrize("words_before", [("features",), ("report", "--evidence")], ids=["features", "evidence"])
def test_other_columns_than_fitted_are_refused_before_anything_is_measured(fit, invoke, files, words, words_before):
    table = pd.read_csv(files / "expression.csv", index_col=0).add_prefix("gene ")
    table.to_csv(files / "expression.csv")
    fit()
    table.iloc[:, 1:].to_csv(files / "expression.csv")
    command, *options = words_before
    result = invoke(command, files / "run", *words, *options, "--out", files / "out")
    assert result.exit_code == 2
    assert "lacks 1 of the 12 features that the model was fitted to ('gene 0' first)" in result.stderr
    assert not (files / "out").exists()
    assert not (files / "run" / "evidence.json").exists()


@pytest.mark.parametrize("command", ["features", "decompose"])
@pytest.mark.parametrize("name", ["x.csv", "x.npy", "taken"])
def test_a_file_is_refused_where_a_folder_is_written(fit, invoke, files, words, command, name):
    fit()
    (files / "taken").write_text("precious")
    result = invoke(command, files / "run", *words, "--out", files / name)
    assert result.exit_code == 2
    assert f"--out {files / name} is " in result.stderr
    assert "Name a folder" in result.stderr
    assert not (files / name).is_dir()
    assert (files / "taken").read_text() == "precious"


@pytest.mark.filterwarnings("ignore:.*max_epochs=1:sklearn.exceptions.ConvergenceWarning")
def test_a_run_of_a_deep_model_is_refused(invoke, files, words):
    fitted = invoke(
        "fit", *words, "--joint-rank", 1, "--individual-rank", 1, "--max-epochs", 1, "--quiet", "--out", files / "deep"
    )
    assert fitted.exit_code == 0, fitted.stderr
    result = invoke("features", files / "deep", *words, "--out", files / "features")
    assert result.exit_code == 2
    assert "holds a DeepJIVE" in result.stderr


def test_ranks_show_permutation_p_values_when_asked_for(invoke, words):
    plain, tested = invoke("ranks", *words), invoke("ranks", *words, "--permutations", 99)
    assert tested.exit_code == 0, tested.stderr
    assert "permutation p" in tested.stdout
    assert "0.0100" in tested.stdout
    assert "permutation p" not in plain.stdout


def test_empty_cells_are_filled_in_when_asked_for(invoke, files, words):
    table = pd.read_csv(files / "expression.csv")
    table.iloc[::5, 3] = np.nan
    table.to_csv(files / "expression.csv", index=False)
    ranks = ("--method", "ajive", "--joint-rank", 1, "--individual-rank", 1, "--out", files / "run")
    refused = invoke("fit", *words, *ranks)
    assert refused.exit_code == 2
    assert "missing='impute'" in refused.stderr
    done = invoke("fit", *words, *ranks, "--missing", "impute")
    assert done.exit_code == 0, done.stderr
    model = load(files / "run")
    assert isinstance(model, AJIVE)
    assert model.filled_shares_["expression"] == pytest.approx(16 / (80 * 12))
    assert invoke("ranks", *words, "--missing", "impute").exit_code == 0
    assert "is not an option of --method deepjive" in invoke("fit", *words, "--missing", "impute", *ranks[4:]).stderr
