import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, bootstrap, load
from deepjive.cli.features import interval_rows
from deepjive.cli.options import read_named_labels
from deepjive.evaluation.feature_ranking import feature_effects
from deepjive.evaluation.label_association import score_association
from deepjive.evaluation.set_enrichment import feature_set_enrichment
from deepjive.report.effects import signed


@pytest.fixture
def words(files):
    return ["-m", f"expression={files}/expression.csv", "-m", f"methylation={files}/methylation.csv"]


@pytest.mark.usefixtures("no_report")
def test_features_are_those_of_the_library_and_of_the_files_of_the_run(fit, invoke, files, words):
    fit()
    result = invoke("features", files / "run", "--seed", 4, "--out", files / "features")
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(files / "features" / "loadings_expression.csv")
    model, data = load(files / "run"), {w.split("=")[0]: w.split("=")[1] for w in words[1::2]}
    expected = feature_effects(model, data, random_state=4)["expression"].to_frame()
    np.testing.assert_allclose(table[["effect", "p_value", "q_value"]], expected[["effect", "p_value", "q_value"]])
    assert table["feature"].astype(str).tolist() == expected["feature"].tolist()
    assert "expression: features of the scores" in result.stdout
    strongest = expected[(expected["part"] == "joint") & (expected["score"] == 1)].iloc[0]
    assert f"{strongest['feature']} {signed(strongest['effect'])}, " in result.stdout
    assert f"with standard errors, p and q: {files / 'features' / 'loadings_expression.csv'}" in result.stdout
    assert len(result.stdout.splitlines()) < 40


def test_a_fit_writes_tested_loadings_and_the_page_shows_them(fit, invoke, files):
    fit()
    table = pd.read_csv(files / "run" / "loadings_expression.csv", dtype={"feature": str})
    joint = table[table["part"] == "joint"]
    assert (joint["effect"].abs().diff().dropna() <= 0).all()
    assert joint["p_value"].between(0, 1).all()
    strongest = joint[joint["effect"] > 0].iloc[0]
    for _ in ("written by fit", "written again by report"):
        page = (files / "run" / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
        assert f"{strongest['feature']} +{strongest['effect']:.2f} ± {strongest['standard_error']:.2f}" in page
        assert "q &lt; 0.05" in page
        assert invoke("report", files / "run").exit_code == 0


def test_gene_sets_are_tested_by_the_command_and_shown_on_the_page(fit, invoke, files):
    for name in ("expression", "methylation"):
        table = pd.read_csv(files / f"{name}.csv", index_col=0).add_prefix(f"{name[:3]}_")
        table.to_csv(files / f"{name}.csv")
    fit()
    sets = files / "sets.gmt"
    sets.write_text("".join(f"SET_{k}\t\t" + "\t".join(f"exp_{i}" for i in range(k, k + 6)) + "\n" for k in (0, 5)))
    result = invoke("features", files / "run", "--sets", sets)
    assert result.exit_code == 0, result.stderr
    path = files / "run" / "enrichment_expression.csv"
    table = pd.read_csv(path)
    data = {name: files / f"{name}.csv" for name in ("expression", "methylation")}
    effects = feature_effects(load(files / "run"), data, random_state=0)
    enrichment = feature_set_enrichment(effects, sets)["expression"]
    pd.testing.assert_frame_equal(table, enrichment.to_frame())
    assert f"All 2 sets with five features of the data, with p and q: {path}" in result.stdout
    assert not (files / "run" / "enrichment_methylation.csv").exists()
    assert invoke("report", files / "run").exit_code == 0
    page = (files / "run" / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    for row in table.itertuples():
        assert f"{row.set} {signed(row.effect)}" in result.stdout
        assert f"{row.set.replace('_', '_<wbr>')} {signed(row.effect)}" in page
    sets.write_text("IMMUNE\t\tCD4\tCD8A\n")
    refused = invoke("features", files / "run", "--sets", sets)
    assert refused.exit_code == 2
    assert "'exp_0'" in refused.stderr
    assert "'CD4'" in refused.stderr
    fit("--overwrite")
    assert not path.exists()


def test_ordinal_labels_and_survival_are_tested_on_the_page(fit, invoke, files, monkeypatch):
    fit()
    patients = pd.read_csv(files / "labels.csv")
    rng = np.random.default_rng(0)
    patients["stage"], patients["days"], patients["died"] = rng.integers(1, 5, 80), rng.uniform(1, 99, 80), 1
    patients.to_csv(files / "patients.csv", index=False)
    ordinal = ("--ordinal", f"{files}/patients.csv:stage")
    assert invoke("report", files / "run", *ordinal).exit_code == 0
    parts = load(files / "run").decompose({w: files / f"{w}.csv" for w in ("expression", "methylation")})
    stage = read_named_labels([f"{files}/patients.csv:stage"], parts.data)
    (row,) = [
        row
        for row in score_association(parts, stage, kinds={"stage": "ordinal"}).rows
        if (row.part, row.score) == ("joint", 1)
    ]
    page = (files / "run" / "report.html").read_text(encoding="utf-8")
    cells = f'<th scope="row">stage</th><td>joint 1</td><td>{signed(row.effect)}</td>'
    assert row.measure == "rank correlation"
    assert cells in page.replace("\n", "")
    wrong = invoke("report", files / "run", "--survival", f"{files}/patients.csv:days")
    assert wrong.exit_code == 2
    assert "patients.csv:days,died" in " ".join(wrong.stderr.split())
    asked = {}
    monkeypatch.setattr("deepjive.report.answers.score_association", lambda parts, **given: asked.update(given))
    invoke("report", files / "run", "--survival", f"{files}/patients.csv:days,died")
    time, event = asked["survival"]["died"]
    np.testing.assert_array_equal(event, 1)
    assert len(time) == 80


@pytest.mark.usefixtures("no_report")
def test_intervals_stand_beside_the_corrected_estimate_and_the_fit(fit, invoke, files, words):
    fit()
    result = invoke("features", files / "run", *words, "--draws", 20, "--out", files / "features")
    assert result.exit_code == 0, result.stderr
    model, data = load(files / "run"), {w.split("=")[0]: w.split("=")[1] for w in words[1::2]}
    low, high = bootstrap(model, data, n_draws=20, random_state=0).variance_explained["expression"]["joint"]
    cell = interval_rows(model, bootstrap(model, data, n_draws=20, random_state=0))[0][1]
    assert cell == f"{50 * (low + high):.1f}% ({100 * low:.1f} to {100 * high:.1f})"
    assert "90% intervals of 20 draws" in result.stdout
    assert f"{100 * model.variance_explained_['expression']['joint']:.1f}%" in result.stdout


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


@pytest.mark.usefixtures("no_report")
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


@pytest.mark.usefixtures("no_report")
@pytest.mark.filterwarnings("ignore:.*max_epochs=1:sklearn.exceptions.ConvergenceWarning")
def test_features_of_a_deep_run_are_tested_by_the_command(invoke, files, words):
    fitted = invoke(
        "fit", *words, "--joint-rank", 1, "--individual-rank", 0, "--max-epochs", 1, "--quiet", "--out", files / "deep"
    )
    assert fitted.exit_code == 0, fitted.stderr
    path = files / "deep" / "loadings_methylation.csv"
    assert pd.read_csv(path)["p_value"].isna().all()
    assert invoke("features", files / "deep").exit_code == 0
    assert (pd.read_csv(path)["q_value"] < 0.05).any()
    refused = invoke("features", files / "deep", "--draws", 20)
    assert refused.exit_code == 2
    assert "holds a DeepJIVE" in refused.stderr


def test_ranks_show_permutation_p_values_when_asked_for(invoke, words):
    plain, tested = invoke("ranks", *words), invoke("ranks", *words, "--permutations", 99)
    assert tested.exit_code == 0, tested.stderr
    assert "permutation p" in tested.stdout
    assert "0.0100" in tested.stdout
    assert "permutation p" not in plain.stdout


@pytest.mark.usefixtures("no_report")
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
