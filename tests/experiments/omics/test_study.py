from __future__ import annotations

import numpy as np
import pytest

from deepjive.data.modalities import Modalities
from deepjive.experiments.omics.data import check_data_set, fold_of, own_tables, read_data_set
from deepjive.experiments.omics.methods import METHODS, SIZED, fit_method
from deepjive.experiments.omics.mofa import is_installed
from deepjive.experiments.omics.page import difference
from deepjive.experiments.omics.study import Budget, cells_of, label_accuracy, run_cell

SETTINGS = {"joint_rank": 1, "individual_ranks": 1, "networks": "linear", "max_epochs": 2}
DEEP = ("exchange", "explicit", "merged")


def arrays_of(n=60, seed=0):
    rng = np.random.default_rng(seed)
    joint = rng.normal(size=(n, 1))
    parts = {name: np.hstack([joint, rng.normal(size=(n, 1))]) for name in ("rna", "protein", "mirna")}
    arrays = {
        name: own @ rng.normal(size=(2, p)) + 0.2 * rng.normal(size=(n, p))
        for (name, own), p in zip(parts.items(), (9, 7, 5), strict=True)
    }
    return arrays, np.where(joint[:, 0] > 0, "case", "control")


@pytest.fixture(scope="module")
def tables():
    arrays, labels = arrays_of()
    return own_tables(Modalities(arrays), labels)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", [name for name in METHODS if name != "MOFA" or is_installed()])
def test_each_method_predicts_held_out_modalities_of_joint_variation(tables, method):
    fold = fold_of(tables, 0)
    settings = SETTINGS if method in DEEP else {"networks": "linear", "max_epochs": 2} if method == "separate" else {}
    sizes = dict.fromkeys(fold.train.names, 2) if method in SIZED else None
    fitted = fit_method(method, fold.train, sizes=sizes, settings=settings)
    if method == "merged":
        assert fitted.predict(fold.test, "rna") is None
        return
    predicted = fitted.predict(fold.test, "rna")
    assert predicted.shape == fold.test["rna"].shape
    assert 1 - np.square(fold.test["rna"] - predicted).sum() / np.square(fold.test["rna"]).sum() > 0.1
    everything = fitted.scores(fold.test).everything()
    assert everything is None or everything.shape[0] == len(fold.test)


def test_cells_measure_predictions_labels_ranks_and_cost(tables, tmp_path):
    cells = cells_of(Budget(folds=1), {"tables": tables}, ("AJIVE", "ridge"))
    assert [(cell.row, cell.model["kind"], cell.model["seed"]) for cell in cells] == [
        ("AJIVE", "fold", 0),
        ("ridge", "fold", 0),
        ("AJIVE, shuffled pairs", "shuffled", 0),
        ("AJIVE", "seed", 1),
        ("AJIVE", "seed", 2),
    ]
    fit, bound, null = (run_cell(cell, {"tables": tables}, tmp_path) for cell in cells[:3])
    assert fit["R2"] == pytest.approx(np.mean([fit[f"R2 {name}"] for name in tables.data.names]))
    assert fit["labels joint"] > 0.7 >= fit["labels most frequent"]
    assert fit["joint rank"] == 1
    assert {"CPU seconds", "peak MiB"} <= set(bound)
    assert "labels all" not in bound
    assert null["R2"] < 0.1 < fit["R2"]
    assert "labels joint" not in null


def test_folds_hold_out_whole_participants_and_are_scaled_by_the_training_samples():
    arrays, labels = arrays_of()
    repeated = own_tables(Modalities(arrays, groups=np.repeat(np.arange(30), 2)), labels, standardize=True)
    held_out = []
    for number in range(5):
        fold = fold_of(repeated, number)
        assert not set(fold.train.groups) & set(fold.test.groups)
        np.testing.assert_allclose(fold.train["rna"].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(fold.train["rna"].std(axis=0), 1)
        held_out.append(len(fold.test))
    assert sum(held_out) == 60


def test_jive_chooses_its_ranks_on_one_sample_of_each_participant():
    arrays, labels = arrays_of()
    repeated = own_tables(Modalities(arrays, groups=np.repeat(np.arange(30), 2)), labels)
    fitted = fit_method("JIVE", fold_of(repeated, 0).train)
    assert fitted.scores(fold_of(repeated, 0).test).joint.shape[0] == 12


def test_labels_without_scores_are_predicted_as_the_most_frequent_class():
    train, test = np.array(["a", "a", "b"]), np.array(["a", "b", "b", "b"])
    assert label_accuracy(np.zeros((3, 0)), train, np.zeros((4, 0)), test, None) == 0.25


def test_classes_with_few_samples_have_no_label_and_incomplete_tables_are_refused():
    arrays, labels = arrays_of()
    labels = np.where(np.arange(60) < 3, "rare", labels)
    assert set(own_tables(Modalities(arrays), labels).labels) == {"", "case", "control"}
    with pytest.raises(ValueError, match="at least two classes"):
        own_tables(Modalities(arrays), np.arange(60))
    arrays["rna"][0, 0] = np.nan
    with pytest.raises(ValueError, match="'rna' has 1 missing or infinite values"):
        own_tables(Modalities(arrays), None)


def test_differences_are_paired_by_fold():
    folds, reference = {0: {"R2": 0.5}, 1: {"R2": 0.1}}, {0: {"R2": 0.4}, 1: {"R2": 0.0}, 2: {"R2": 9.0}}
    summary = difference(folds, reference, "R2")
    assert summary["mean"] == pytest.approx(0.1)
    assert summary["sd"] == pytest.approx(0.0)
    assert difference(folds, {}, "R2") is None


def test_a_data_set_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'rosmap' is not in .* Give --data FOLDER"):
        check_data_set("rosmap", tmp_path)


@pytest.mark.parametrize("name", ["covid_su", "tcga_breast"])
def test_a_data_set_has_labels_and_participants(shared_data, name):
    folder = shared_data(name).parent
    tables = read_data_set(name, folder)
    assert len(tables.labels) == len(tables.data)
    if name == "covid_su":
        assert (len(tables.data), tables.data.n_participants) == (240, 120)
        assert set(tables.labels) == {"mild", "moderate", "severe"}
