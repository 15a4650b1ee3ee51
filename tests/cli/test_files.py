import io
import warnings

import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, Modalities
from deepjive.data.readers.guard import install_command

pytestmark = pytest.mark.usefixtures("no_report")


def options(files, suffix):
    return ["-m", f"expression={files}/expression{suffix}", "-m", f"methylation={files}/methylation{suffix}"]


@pytest.fixture
def converted(files):
    """The two modalities' tables as files of another kind."""

    def convert(write):
        for name in ("expression", "methylation"):
            write(pd.read_csv(files / f"{name}.csv", index_col=0), files / name)

    return convert


@pytest.fixture
def run(files):
    """A model of the two tables, and the text of its scores."""
    data = Modalities({name: f"{files}/{name}.csv" for name in ("expression", "methylation")})
    model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(data)
    model.save(files / "run")
    return files / "run"


def assert_same_scores(invoke, files, run, words):
    tables, other = (invoke("transform", run, *given) for given in (options(files, ".csv"), words))
    assert other.exit_code == 0, other.stderr
    scores = [pd.read_csv(io.StringIO(result.stdout))["joint_1"] for result in (tables, other)]
    np.testing.assert_allclose(*scores, atol=1e-12)
    return other.stdout


def test_hdf5_files(invoke, run, files, converted):
    h5py = pytest.importorskip("h5py")

    def write(table, path):
        with h5py.File(path.with_suffix(".h5"), "w") as file:
            file["x"] = table.to_numpy()

    converted(write)
    assert_same_scores(invoke, files, run, options(files, ".h5:x"))


def test_zarr_folders(invoke, run, files, converted):
    zarr = pytest.importorskip("zarr")
    converted(lambda table, path: zarr.save_array(path.with_suffix(".zarr"), table.to_numpy()))
    assert_same_scores(invoke, files, run, options(files, ".zarr"))


def test_parquet_files_keep_the_names_of_samples(invoke, run, files, converted):
    pytest.importorskip("pyarrow")
    converted(lambda table, path: table.to_parquet(path.with_suffix(".parquet")))
    assert assert_same_scores(invoke, files, run, options(files, ".parquet")).splitlines()[4].startswith("患者,")


def test_a_mudata_file(invoke, run, files):
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what mudata, anndata and pandas have to say to each other
        with pd.option_context("future.infer_string", False):
            tables = {
                name: pd.read_csv(files / f"{name}.csv", index_col=0).add_prefix(name)
                for name in ("expression", "methylation")
            }
            mudata.MuData({name: anndata.AnnData(table) for name, table in tables.items()}).write_h5mu(files / "x.h5mu")
    assert_same_scores(invoke, files, run, [w.replace("/expression", "/x").replace("/methylation", "/x") for w in
                                       ["-m", f"expression={files}/x.h5mu:expression", "-m",
                                        f"methylation={files}/x.h5mu:methylation"]])  # fmt: skip
    result = invoke("ranks", "-m", f"a={files}/x.h5mu:absent", "-m", f"b={files}/x.h5mu:methylation")
    assert "x.h5mu:absent has no modality 'absent'; it holds ['expression', 'methylation']" in result.stderr
    result = invoke("ranks", "-m", f"a={files}/x.h5mu:expression", "-m", f"b={files}/image.npy")
    assert "Modalities of a MuData file cannot be mixed" in result.stderr


@pytest.mark.filterwarnings("ignore:.*max_epochs=1:sklearn.exceptions.ConvergenceWarning")
def test_a_deep_model_is_fitted_to_a_mudata_whose_samples_lack_modalities(invoke, files):
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    words = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pd.option_context("future.infer_string", False):
            parts = {}
            for first, name in enumerate(("expression", "methylation")):
                table = pd.read_csv(files / f"{name}.csv", index_col=0).add_prefix(name)
                parts[name] = anndata.AnnData(table.drop(index=table.index[first::5]))
                words += ["-m", f"{name}={files}/some.h5mu:{name}"]
            mudata.MuData(parts).write_h5mu(files / "some.h5mu")
    ranks = ("--joint-rank", 1, "--individual-rank", 1, "--max-epochs", 1, "--quiet")
    done = invoke("fit", *words, *ranks, "--out", files / "some")
    assert done.exit_code == 0, done.stderr
    assert len(pd.read_csv(files / "some" / "joint_scores.csv")) == 80
    assert pd.read_csv(files / "some" / "individual_scores_expression.csv").isna().any(axis=1).sum() == 16
    refused = invoke("fit", *words, *ranks, "--identity", "merged", "--out", files / "merged")
    assert refused.exit_code == 2
    assert "and 32 of 80 samples do" in refused.stderr


def test_image_lists(invoke, files):
    nibabel = pytest.importorskip("nibabel")
    images = np.load(files / "image.npy").reshape(80, 5, 3, 2).astype(np.float32)
    for i, image in enumerate(images):
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), files / f"{i}.nii.gz")
    (files / "list.txt").write_text("\n".join(f"{i}.nii.gz" for i in range(80)))
    np.save(files / "images.npy", images)
    table = f"{files}/expression.csv"
    data = Modalities({"image": files / "images.npy", "expression": table}, samples=pd.read_csv(table)["sample"])
    AJIVE(signal_ranks=2, joint_rank=1).fit(data).save(files / "run")
    texts = [
        invoke(
            "transform", files / "run", "-m", f"image={files}/{name}", "-m", f"expression={table}", "--samples", table
        ).stdout
        for name in ("list.txt", "images.npy")
    ]
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) == 81


def test_a_missing_extra_is_an_error_of_one_line(invoke, files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (files / "x.h5").touch()
    result = invoke("ranks", "-m", f"a={files}/x.h5", "-m", f"b={files}/image.npy")
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Install it with: {install_command('h5py')}\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("drawn")
def test_names_in_a_report_are_text_and_never_markup(invoke, files):
    name = "<script>alert(1)</script>"
    labels = pd.DataFrame({"sample": range(80), "<img src=x>": ["<b onclick=x>", "='case'"] * 40})
    labels.to_csv(files / "labels.csv", index=False)
    words = ("-m", f"{name}={files}/image.npy", "-m", f'"><svg onload>={files}/image.npy')
    options = ("--labels", f"{files}/labels.csv:<img src=x>", "--title", "</title><script>2</script>")
    method = ("--method", "ajive", "--joint-rank", 1, "--individual-rank", 1)
    result = invoke("fit", *words, *options, *method, "--out", files / "run")
    assert result.exit_code == 0, result.stderr
    page = (files / "run" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    for markup in ("<script>alert", "<script>2", "<img src=x", "<b onclick", "<svg onload"):
        assert markup not in page


@pytest.mark.usefixtures("drawn")
def test_tables_with_features_in_rows_and_decimal_commas_are_fitted_in_one_command(invoke, files, run):
    for name in ("expression", "methylation"):
        table = pd.read_csv(files / f"{name}.csv", index_col=0).T
        table.to_csv(files / f"{name}_turned.csv.gz", sep=";", decimal=",")
    words = options(files, "_turned.csv.gz")
    assert "--features-in-rows all" in invoke("transform", run, *words).stderr
    assert_same_scores(invoke, files, run, [*words, "--features-in-rows", "all"])
    ranks = ("--method", "ajive", "--joint-rank", 1, "--individual-rank", 1)
    fitted = invoke("fit", *words, "--features-in-rows", "all", *ranks, "--out", files / "turned")
    assert fitted.exit_code == 0, fitted.stderr
    assert fitted.stderr.splitlines()[0] == "80 samples; features: expression 12, methylation 9; paired by name"
    page = (files / "turned" / "report.html").read_text()
    assert "80 samples; features: expression 12, methylation 9; paired by name" in page
    again = invoke("transform", files / "turned", *words)  # read as for the fit
    assert again.stdout == (files / "turned" / "joint_scores.csv").read_text()


@pytest.mark.usefixtures("drawn")
def test_labels_and_groups_in_the_table_of_a_modality_are_no_features(invoke, files):
    table = pd.read_csv(files / "expression.csv", index_col=0)
    table.insert(0, "group", ["case", "control"] * 40)
    table["batch"] = [1, 2] * 40
    table.to_csv(files / "both.csv")
    words = ["-m", f"expression={files}/both.csv", "-m", f"methylation={files}/methylation.csv"]
    words += ["--method", "ajive", "--joint-rank", 1, "--individual-rank", 1]
    labels = ["--labels", f"{files}/both.csv:group", "--labels", f"{files}/both.csv:batch"]
    fitted = invoke("fit", *words, *labels, "--out", files / "both")
    assert fitted.exit_code == 0, fitted.stderr
    assert fitted.stderr.startswith("80 samples; features: expression 12,")
    assert "coloured by group" in (files / "both" / "report.html").read_text()
    refused = invoke("fit", *words, "--out", files / "text")
    assert "column 'group' holds text or dates, such as 'case' in row '=1+1'" in refused.stderr
    coded = invoke("fit", *words, "--one-hot", "--out", files / "coded")
    assert coded.stderr.startswith("80 samples; features: expression 15,")


def test_commands_on_a_run_leave_out_its_columns_of_labels(invoke, files, fit):
    """A table with a column of text was fitted with --labels; other commands read the table in the same way."""
    table = pd.read_csv(files / "expression.csv", index_col=0, dtype=str)  # the same numbers to the last digit
    table.insert(0, "group", ["case", "control"] * 40)
    table.to_csv(files / "both.csv")
    words = ["-m", f"expression={files}/both.csv", "-m", f"methylation={files}/methylation.csv"]
    label = ["--labels", f"{files}/both.csv:group"]
    ranks = ["--method", "ajive", "--joint-rank", 1, "--individual-rank", 1]
    assert invoke("fit", *words, *label, *ranks, "--seed", 3, "--out", files / "both").exit_code == 0
    assert fit().exit_code == 0
    clean = ["-m", f"expression={files}/expression.csv", *words[2:]]
    scores = [invoke("transform", files / "run", *clean)]
    scores += [invoke("transform", files / "both", *given) for given in (words, clean)]
    assert [one.exit_code for one in scores] == [0, 0, 0], [one.stderr for one in scores]
    assert scores[0].stdout == scores[1].stdout == scores[2].stdout
    for command in ("features", "calibrate"):
        assert invoke(command, files / "both").exit_code == 0
    other = invoke("report", files / "both", "--labels", f"{files}/labels.csv:group")
    assert other.exit_code == 0, other.stderr
    assert "group" not in pd.read_csv(files / "both" / "loadings_expression.csv", index_col=0).index


def test_ranks_leave_out_a_column_of_labels_as_the_fit_does(invoke, files):
    table = pd.read_csv(files / "expression.csv", index_col=0, dtype=str)
    table.assign(group=["case", "control"] * 40).to_csv(files / "both.csv")
    words = ["-m", f"expression={files}/both.csv", "-m", f"methylation={files}/methylation.csv"]
    clean = ["-m", f"expression={files}/expression.csv", *words[2:]]
    assert "--labels FILE:COLUMN" in invoke("ranks", *words).stderr
    found = invoke("ranks", *words, "--labels", f"{files}/both.csv:group")
    assert found.exit_code == 0, found.stderr
    assert found.stdout == invoke("ranks", *clean).stdout
    assert "no column 'grp'" in invoke("ranks", *clean, "--labels", f"{files}/labels.csv:grp").stderr


@pytest.mark.filterwarnings("default:Features that the model was not fitted to:UserWarning")
def test_new_samples_with_other_columns(invoke, files):
    for name in ("expression", "methylation"):
        table = pd.read_csv(files / f"{name}.csv", index_col=0)
        table.add_prefix("g ").to_csv(files / f"{name}.csv")
    data = Modalities({name: f"{files}/{name}.csv" for name in ("expression", "methylation")})
    AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(data).save(files / "run")
    table = pd.read_csv(files / "expression.csv", index_col=0)
    table.iloc[:, ::-1].assign(age=3).to_csv(files / "other.csv")
    words = ("-m", f"expression={files}/expression.csv"), ("-m", f"expression={files}/other.csv")
    first, other = (invoke("transform", files / "run", *given) for given in words)
    assert other.exit_code == 0, other.stderr
    assert other.stdout == first.stdout
    assert "left out: 1 of 'expression' ('age' first)" in other.stderr
    table.iloc[:, 1:].to_csv(files / "other.csv")
    assert "--missing-features mean" in invoke("transform", files / "run", *words[1]).stderr
    for command in (("transform",), ("impute", "methylation"), ("decompose",)):
        name, *more = command
        out = ("--out", files / ("x.npy" if name == "impute" else "x" if name == "decompose" else "x.csv"))
        given = (name, files / "run", *more, *words[1], "--missing-features", "mean", *out)
        assert invoke(*given).exit_code == 0


def test_a_tilde_after_the_name_of_a_modality_is_the_home_folder(monkeypatch, tmp_path):
    from deepjive.cli.options import paths_of

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert paths_of(["a=~/a.csv", "b=b.csv"]) == {"a": str(tmp_path / "a.csv"), "b": "b.csv"}
