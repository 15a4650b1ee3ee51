import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, DeepJIVE, SeparateAutoencoders, __version__
from deepjive.cli import runs
from deepjive.persistence import read_config
from deepjive.report.methods import methods_text
from deepjive.subsets import EmptySubsetWarning

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Reports are drawn for seconds, and tested elsewhere."""
    monkeypatch.setattr(runs, "write_report_of", lambda path, *args, **options: Path(path))


def test_the_text_has_the_numbers_of_the_run(invoke, fit, files):
    assert fit("--title", "ours").exit_code == 0
    done = invoke("methods", files / "run")
    assert done.exit_code == 0, done.output
    text = done.stdout
    assert text.startswith("80 samples were measured in 2 modalities: expression (12 features) and methylation (9")
    assert "with AJIVE (Feng, Jiang, Hannig and Marron, " in text
    assert f"deepjive {__version__}" in text
    assert "The joint rank was 1 (given), and the individual ranks were 1 in expression and 1 in methylation" in text
    assert "The random seed was 3." in text
    variance = pd.read_csv(files / "run" / "variance_explained.csv", index_col=0)
    for name, row in variance.iterrows():
        for part in ("joint", "individual"):
            assert f"{100 * row[part]:.1f}% of the variance of {name}" in text
    assert f"`deepjive report {files}/run --evidence`" in text


def test_the_text_is_written_to_a_file(invoke, fit, files):
    fit()
    assert invoke("methods", files / "run", "--out", files / "text.txt").exit_code == 0
    assert (files / "text.txt").read_text() == invoke("methods", files / "run").stdout


def test_confounds_and_chosen_ranks_are_named(invoke, files):
    frame = pd.DataFrame({"sample": pd.read_csv(files / "expression.csv")["sample"]})
    frame["age"], frame["place"] = range(len(frame)), ["north", "south"] * (len(frame) // 2)
    frame.to_csv(files / "confounds.csv", index=False)
    words = ["-m", f"expression={files}/expression.csv", "-m", f"methylation={files}/methylation.csv"]
    confounds = ["--confounds", f"{files}/confounds.csv:age,place", "--site", "place"]
    done = invoke("fit", *words, *confounds, "--method", "ajive", "--out", files / "run")
    assert done.exit_code == 0, done.output
    text = invoke("methods", files / "run").stdout
    assert "Confounds (age and place (site, by shift and scale)) were removed" in text
    assert "chosen from the data by the threshold of Gavish and Donoho" in text
    assert "(1,000 and 1,000 draws)" in text


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    from deepjive.datasets import make_synthetic

    data, found = make_synthetic(60, (8, 6), random_state=0).data, {}
    small = {"networks": "dense", "max_epochs": 1, "random_state": None}
    models = {
        "deep": DeepJIVE(joint_rank=1, individual_ranks=1, identity="merged", **small),
        "separate": SeparateAutoencoders(ranks=2, **small),
    }
    for name, model in models.items():
        folder = tmp_path_factory.mktemp(name)
        with pytest.warns(UserWarning, match="still improving"):
            model.fit(data)
        model.save(folder)
        found[name] = read_config(folder)
    return found


def test_training_is_described_with_the_settings_of_the_run(configs):
    text = methods_text(configs["deep"], 60)
    assert "with DeepJIVE (arXiv 2507.19682)" in text
    assert "one encoder computed the joint scores from all modalities" in text
    assert "ridge regression on the joint scores and their random Fourier features explains (weight 0.1)" in text
    assert "learning rate 0.003, weight decay 0.1; maximum number of epochs in each phase: 1" in text
    assert "early stopping on 10% of the samples" in text
    assert "The random seed was not fixed." in text


def test_a_model_that_stayed_linear_is_called_linear(configs):
    gain = {"value": 0.004, "standard_error": 0.002, "linear": 0.5, "trained": False}
    config = {**configs["deep"], "learned": {**configs["deep"]["learned"], "nonlinear_gain_": gain}}
    text = methods_text(config, 60)
    assert "(gain in R2 0.004, standard error 0.002), so that the model is linear." in text
    assert "Adam" not in text


def test_participants_with_several_samples_are_counted(configs):
    config = {**configs["deep"], "learned": {**configs["deep"]["learned"], "n_participants_": 20}}
    assert "The 60 samples came from 20 participants." in methods_text(config, 60)
    assert "participants" not in methods_text(configs["deep"], 60)


@pytest.mark.parametrize(("p_value", "verb"), [(0.001, "showed"), (0.2, "did not show")])
def test_evidence_is_stated_with_its_p_value(configs, p_value, verb):
    test = SimpleNamespace(
        n_samples=18, p_value=p_value, measure="prediction from the other modalities", explained={"x": 0.25, "y": 0.5}
    )
    text = methods_text(configs["deep"], 60, SimpleNamespace(joint_structure=test))
    assert f"A permutation test on 18 held-out samples {verb} joint variation (p = {p_value:.3f}" in text
    assert "R2 of the prediction from the other modalities: 0.25 in x and 0.50 in y" in text
    assert "[" not in text


def test_separate_autoencoders_have_no_joint_rank(configs):
    text = methods_text(configs["separate"], 60)
    assert "We fitted a separate autoencoder to each modality" in text
    assert re.search(r"\. The individual ranks were 2 in modality_1 and 2 in modality_2 \(given\)\.", text)
    assert "joint rank" not in text


def test_a_folder_without_scores_is_named(invoke, fit, files):
    fit()
    (files / "run" / "joint_scores.csv").unlink()
    done = invoke("methods", files / "run")
    assert done.exit_code != 0
    assert "has no joint_scores.csv" in str(done.stderr) + str(done.exception)


def test_units_of_a_run_without_confounds_are_named(invoke, fit, files):
    done = fit("--scale", "features")
    assert done.exit_code == 0, done.output
    done = invoke("methods", files / "run")
    assert done.exit_code == 0, done.output
    assert "units: expression each feature divided by its standard deviation; methylation each" in done.stdout
    assert "Confounds" not in done.stdout


def test_the_joint_rank_of_a_model_with_subsets_is_that_of_all_modalities(tmp_path):
    rng = np.random.default_rng(0)
    everyone, pair = rng.normal(size=(120, 1)), rng.normal(size=(120, 2))
    scores = {"a": [everyone, pair], "b": [everyone, pair], "c": [everyone, rng.normal(size=(120, 1))]}
    data = {}
    for name, columns in scores.items():
        hidden = np.hstack(columns)
        data[name] = 3 * hidden @ rng.normal(size=(hidden.shape[1], 20)) + rng.normal(size=(120, 20))
    ranks = {("a", "b"): 2}
    model = AJIVE(joint_rank=1, individual_ranks={"a": 0, "b": 0, "c": 1}, subsets=ranks, random_state=0).fit(data)
    model.save(tmp_path / "model")
    text = methods_text(read_config(tmp_path / "model"), len(data))
    assert "The joint rank was 1 (given)" in text
    assert "Of the subsets of modalities, a and b (2) had variation that no other modality shares (ranks given)" in text
    assert "In the fitted samples, joint variation and variation of subsets together explained" in text


def test_named_subsets_without_variation_are_named_in_the_text(tmp_path):
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=(60, 8)) for name in "abc"}
    with pytest.warns(EmptySubsetWarning):
        model = AJIVE(joint_rank=0, subsets=[("a", "c")], n_wedin=0, n_random=0, random_state=0).fit(data)
    model.save(tmp_path / "model")
    text = methods_text(read_config(tmp_path / "model"), 60)
    assert "The subsets of modalities a and c were named, but no variation of their own was found (ranks chosen" in text


def test_samples_that_lack_a_modality_are_counted(invoke, files):
    expression = pd.read_csv(files / "expression.csv")
    expression[5:].to_csv(files / "fewer.csv", index=False)
    words = ["-m", f"expression={files}/fewer.csv", "-m", f"methylation={files}/methylation.csv"]
    ranks = ["--joint-rank", 1, "--individual-rank", 1]
    for unmatched, what in (("keep", ["--method", "ajive", "--missing", "impute"]), ("drop", ["--method", "ajive"])):
        done = invoke("fit", *words, *ranks, "--unmatched", unmatched, *what, "--out", files / unmatched)
        assert done.exit_code == 0, done.output
    done = [invoke("methods", files / unmatched) for unmatched in ("keep", "drop")]
    assert not any(one.exit_code for one in done), [one.output for one in done]
    compared = invoke("compare", files / "keep", files / "drop", "--out", files / "compared.html")
    assert compared.exit_code == 0, compared.output
    kept, dropped = (one.stdout for one in done)
    assert kept.startswith(
        "80 samples were measured in 2 modalities: expression (12 features; 75 samples) and methylation (9 features)."
    )
    assert "were left out" not in kept
    assert dropped.startswith("75 samples were measured in 2 modalities: expression (12 features) and methylation (9")
    assert "Samples that lack a modality were left out." in dropped


def test_networks_are_those_that_were_trained(configs, tmp_path):
    from deepjive.datasets import make_synthetic

    data = make_synthetic(60, (8, 6), random_state=0).data
    model = DeepJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(data)
    assert not any(model.history_["epoch"])
    model.save(tmp_path)
    text = methods_text(read_config(tmp_path), 60)
    assert "No nonlinear networks were trained, so that the model is linear." in text
    assert "Adam" not in text
    trained = {**configs["deep"], "parameters": {**configs["deep"]["parameters"], "networks": "auto"}}
    assert "Networks of the kind 'dense' were trained" in methods_text(trained, 60)
