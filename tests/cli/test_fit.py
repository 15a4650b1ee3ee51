import json

import numpy as np
import pandas as pd
import pytest

from deepjive import Modalities, load
from deepjive.cli.fit import make_estimator
from deepjive.cli.options import read_modalities, read_named_labels
from deepjive.cli.parameters import CLASSES


def test_a_run_holds_model_scores_and_report(fit, files):
    result = fit("--labels", f"{files}/labels.csv:group")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (files / "run").iterdir()) == [
        "config.json",
        "individual_scores_expression.csv",
        "individual_scores_methylation.csv",
        "joint_scores.csv",
        "loadings_expression.csv",
        "loadings_methylation.csv",
        "model.safetensors",
        "model_card.md",
        "report.html",
        "variance_explained.csv",
    ]
    assert "Variance explained (80 samples, joint rank 1)" in result.stdout
    assert f"Report: {files / 'run' / 'report.html'}" in result.stdout


@pytest.mark.usefixtures("no_report")
def test_model_and_scores_of_a_run_agree(fit, files):
    fit()
    data = {name: f"{files}/{name}.csv" for name in ("expression", "methylation")}
    table = pd.read_csv(files / "run" / "joint_scores.csv", index_col="sample")
    scores = load(files / "run").transform(data)
    np.testing.assert_allclose(table.to_numpy(), scores, rtol=1e-12, atol=1e-14)  # before pandas 3, read_csv rounds


@pytest.mark.usefixtures("no_report")
def test_sample_names_cannot_become_formulas(fit, files):
    fit()
    for name in ("joint_scores.csv", "individual_scores_expression.csv"):
        table = pd.read_csv(files / "run" / name)
        assert table["sample"].tolist()[:4] == ["'=1+1", "'-p", "sample 2", "患者"]
        assert table.iloc[:, 1].dtype == float


def test_report_shows_labels_found_by_sample_name_and_the_command(fit, files):
    fit("--labels", f"{files}/labels.csv:group", "--title", "My own title")
    page = (files / "run" / "report.html").read_text()
    for words in (
        "My own title",
        "coloured by group",
        "case",
        "control",
        "deepjive fit -m",
        "The joint rank and its",
        "was fitted to",
    ):
        assert words in page


@pytest.mark.filterwarnings("default:.*samples:UserWarning")
def test_samples_without_a_label_are_shown_as_unknown_and_told_in_a_line(fit, files):
    table = pd.read_csv(files / "labels.csv").iloc[:70]
    table.iloc[0, 0] = "stranger"
    table["age"] = range(70)
    table.to_csv(files / "labels.csv", index=False)
    result = fit("--labels", f"{files}/labels.csv:group", "--labels", f"{files}/labels.csv:age")
    assert result.exit_code == 0, result.stderr
    assert "labels.csv has no row for 11 of 80 samples, the first being" in result.stderr
    assert "not among the 80 samples of the data: 1 in all, the first being 'stranger'" in result.stderr
    assert result.stderr.count("Warning: ") == 1
    page = (files / "run" / "report.html").read_text()
    assert "unknown" in page
    assert "coloured by group" in page


def test_no_labels_are_lost_to_others_of_the_same_name(tmp_path):
    for name in ("a", "b", "deep/a"):
        path = (tmp_path / name).with_suffix(".csv")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"id,group,age\nS0,{name}0,1\nS1,{name}1,2\n")
    np.save(tmp_path / "a.npy", np.arange(2))
    data = Modalities({"x": np.ones((2, 1))}, samples=["S0", "S1"])

    def read(*sources):
        named = read_named_labels([f"{tmp_path}/{source}" for source in sources], data)
        return {name: values[0] for name, values in named.items()}

    assert read("a.csv:group", "b.csv:group", "a.csv:age") == {"a:group": "a0", "b:group": "b0", "age": 1}
    assert read("a.csv:group", "a.csv:group") == {"group": "a0"}
    first, second = f"{tmp_path}/a.csv:group", f"{tmp_path}/deep/a.csv:group"
    assert read("a.csv:group", "deep/a.csv:group", "a.npy") == {first: "a0", second: "deep/a0", "a": 0}


@pytest.mark.usefixtures("no_report")
def test_a_run_is_not_replaced_unasked(fit, files):
    assert fit().exit_code == 0
    before = (files / "run" / "config.json").read_bytes()
    result = fit("--joint-rank", 2)
    assert result.exit_code == 2
    assert "already holds a run" in result.stderr
    assert (files / "run" / "config.json").read_bytes() == before
    assert fit("--joint-rank", 2, "--overwrite").exit_code == 0
    assert json.loads((files / "run" / "config.json").read_text())["parameters"]["joint_rank"] == 2


def test_a_folder_of_other_files_is_left_alone(fit, files):
    (files / "thesis").mkdir()
    (files / "thesis" / "chapter.txt").write_text("precious")
    result = fit("--overwrite", out="thesis")
    assert result.exit_code == 2
    assert "not empty and does not hold a run" in result.stderr
    assert [path.name for path in (files / "thesis").iterdir()] == ["chapter.txt"]


@pytest.mark.usefixtures("no_report")
def test_an_older_run_of_other_modalities_leaves_nothing_behind(fit, invoke, files):
    fit()
    words = ["-m", f"expression={files}/expression.csv", "-m", f"picture={files}/image.npy"]
    words += ["--samples", files / "expression.csv"]
    result = invoke("fit", *words, "--method", "ajive", "--out", files / "run", "--overwrite")
    assert result.exit_code == 0, result.stderr
    names = {path.name for path in (files / "run").glob("individual_scores_*")}
    assert names == {"individual_scores_expression.csv", "individual_scores_picture.csv"}


@pytest.mark.usefixtures("no_report")
def test_options_reach_the_estimator(fit, files):
    fit("--signal-rank", "expression=3", "--signal-rank", "methylation=2")
    config = json.loads((files / "run" / "config.json").read_text())
    assert config["parameters"]["signal_ranks"] == {"expression": 3, "methylation": 2}
    assert config["parameters"]["random_state"] == 3
    assert config["parameters"]["individual_ranks"] == 1


@pytest.mark.usefixtures("no_report")
def test_samples_can_be_named_by_a_file_of_their_own(invoke, files):
    np.save(files / "names.npy", np.array([f"patient {i}" for i in range(80)]))
    words = ["-m", f"a={files}/image.npy", "-m", f"b={files}/image.npy"]
    result = invoke(
        "fit", *words, "--samples", files / "names.npy", "--method", "ajive", "--joint-rank", 1, "--out", files / "run"
    )
    assert result.exit_code == 0, result.stderr
    assert pd.read_csv(files / "run" / "joint_scores.csv")["sample"][7] == "patient 7"


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("subject,age\n001,60\n 002 ,70\n010,60\n", ""),
        ("code,age\n001,60\n002,70\n010,60\n", ""),
        ("001\n 002\n010\n", None),
        ("code\n001\n002\n010\n", ""),
        ("age,code\n60,001\n70,002\n60,010\n", ":code"),
        ("age\n001,60\n002,70\n010,60\n", ""),
    ],
)
def test_names_of_samples_are_the_first_column_as_it_stands(tmp_path, text, column):
    (tmp_path / "s.csv").write_text(text)
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    if column is None:
        with pytest.raises(
            ValueError, match=r"must name each of the 3 rows of modality 'a', in order, but has shape .2,"
        ):
            read_modalities([f"a={tmp_path}/x.npy"], f"{tmp_path}/s.csv")
    else:
        data = read_modalities([f"a={tmp_path}/x.npy"], f"{tmp_path}/s.csv{column}")
        assert data.samples.tolist() == ["001", "002", "010"]


def test_names_of_samples_are_the_lines_of_a_text_file(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    (tmp_path / "names.txt").write_text("\ufeff001\r\n patient 2, left \n010\n\n", encoding="utf-8", newline="")
    data = read_modalities([f"a={tmp_path}/x.npy"], f"{tmp_path}/names.txt")
    assert data.samples.tolist() == ["001", "patient 2, left", "010"]
    (tmp_path / "names.txt").write_text("001\n")
    with pytest.raises(ValueError, match=r"must name each of the 3 rows of modality 'a', in order, but has shape .1,"):
        read_modalities([f"a={tmp_path}/x.npy"], f"{tmp_path}/names.txt")


def test_repeated_names_of_samples_are_refused(invoke, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    np.save(tmp_path / "names.npy", np.array(["a", "b", "a"]))
    (tmp_path / "s.csv").write_text("subject,site\nA,a\nB,b\nC,a\n")
    for source in ("names.npy", "s.csv:site"):
        result = invoke("fit", "-m", f"a={tmp_path}/x.npy", "--samples", tmp_path / source, "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert f"{source} names sample 'a' more than once. Give each sample a different name" in result.stderr


def test_option_of_another_method_is_refused_by_name(fit):
    result = fit("--identity", "merged")
    assert result.exit_code == 2
    assert "--identity is not an option of --method ajive, but of --method deepjive. The" in result.stderr
    assert "The options of ajive are --joint-rank" in result.stderr
    assert "--max-epochs" not in result.stderr


@pytest.mark.parametrize("method", CLASSES)
def test_every_method_is_an_estimator(method):
    assert make_estimator(method, {"joint_rank": 1}).get_params()["joint_rank"] == 1


def test_no_orthogonality_is_an_option():
    assert make_estimator("deepjive", {"orthogonality": "none"}).orthogonality is None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_deep_model_is_fitted_with_its_history(invoke, files):
    words = ["-m", f"expression={files}/expression.csv", "-m", f"image={files}/image.npy"]
    words += ["--samples", files / "expression.csv"]
    ranks = ("--joint-rank", 1, "--individual-rank", "expression=1", "--individual-rank", "image=0")
    result = invoke("fit", *words, *ranks, "--max-epochs", 2, "--quiet", "--out", files / "deep")
    assert result.exit_code == 0, result.stderr
    history = pd.read_csv(files / "deep" / "history.csv")
    assert {"phase", "epoch"} <= set(history.columns)
    assert history.shape[0] >= 2
    assert "<h2>Training</h2>" in (files / "deep" / "report.html").read_text()
    again = invoke("transform", files / "deep", *words)
    assert again.stdout == (files / "deep" / "joint_scores.csv").read_text()


@pytest.mark.usefixtures("no_report")
def test_samples_that_not_all_tables_have_are_kept_or_left_out_also_when_the_run_is_made_again(fit, invoke, files):
    pd.read_csv(files / "methylation.csv").iloc[10:].to_csv(files / "methylation.csv", index=False)
    refused = fit()
    assert refused.exit_code == 2
    assert "10 only in 'expression' ('-p', '=1+1', 's4', ...), 0 only in 'methylation'" in refused.stderr
    kept = fit("--unmatched", "keep", "--missing", "impute", out="kept")
    assert kept.exit_code == 0, kept.stderr
    assert len(pd.read_csv(files / "kept" / "joint_scores.csv")) == 80
    assert fit("--unmatched", "drop", out="dropped").exit_code == 0
    again = invoke("fit", "--config", files / "dropped", "--out", files / "again")
    assert again.exit_code == 0, again.stderr
    scores = [(files / run / "joint_scores.csv").read_text() for run in ("dropped", "again")]
    assert scores[0] == scores[1]
    assert len(scores[0].splitlines()) == 71


def test_subsets_of_modalities_are_in_the_run(invoke, tmp_path):
    rng = np.random.default_rng(0)
    pair, everyone = rng.normal(size=(60, 1)), rng.normal(size=(60, 1))
    words = []
    for name in "abc":
        scores = everyone if name == "c" else np.hstack([everyone, pair])
        np.save(tmp_path / f"{name}.npy", scores @ rng.normal(size=(scores.shape[1], 15)) + rng.normal(size=(60, 15)))
        words += ["-m", f"{name}={tmp_path}/{name}.npy"]
    ranks = ("--joint-rank", 1, "--individual-rank", 0, "--subsets", "b+a")
    result = invoke("fit", *words, "--method", "ajive", *ranks, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert "a+b" in result.stdout
    model = load(tmp_path / "run")
    assert model.subset_ranks_ == {("a", "b", "c"): 1, ("a", "b"): 1}
    scores = pd.read_csv(tmp_path / "run" / "subset_scores_a_b.csv", index_col="sample")
    np.testing.assert_allclose(scores.to_numpy(), model.subset_scores_["a", "b"], atol=1e-12)
    assert pd.read_csv(tmp_path / "run" / "variance_explained.csv").columns.tolist() == [
        *("id", "joint", "a+b", "individual", "residual")
    ]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Shared by some modalities" in page
    assert "a and b share 1 score that no other modality has." in page
    again = invoke("fit", "--config", tmp_path / "run", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    assert load(tmp_path / "again").subset_ranks_ == model.subset_ranks_


def test_jive_has_no_subsets_option(fit):
    result = fit("--method", "jive", "--subsets", "auto")
    assert result.exit_code == 2
    assert "--subsets is not an option of --method jive" in result.stderr
