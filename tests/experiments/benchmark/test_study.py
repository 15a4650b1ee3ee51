from __future__ import annotations

import json

import numpy as np
import pytest

from deepjive.experiments.benchmark.methods import OWN
from deepjive.experiments.benchmark.page import LABELS, write_page
from deepjive.experiments.benchmark.peers import PEERS, is_installed
from deepjive.experiments.benchmark.study import (
    CLASSIFIER,
    CLASSIFIER_SEED,
    LEARN_FROM_INCOMPLETE,
    REAL,
    Budget,
    cells_of,
    fit,
    networks,
    run_cell,
    with_missing_views,
)
from deepjive.experiments.cells import Cell
from deepjive.experiments.digits.data.pairs import PairedSplits
from deepjive.experiments.digits.networks import digit_classifier
from tests.experiments.benchmark.test_measures import NAMES, samples_of

BUDGET = Budget(views=(3,), samples=200, seeds=1, max_epochs=2)
INSTALLED = [method for method in PEERS if is_installed(method)]


@pytest.fixture(scope="module")
def splits():
    return PairedSplits(samples_of(200, 0), samples_of(8, 1), samples_of(100, 2))


def cell_of(method: str, **settings) -> Cell:
    (cell,) = [cell for cell in cells_of(BUDGET, [method]) if cell.row == method]
    ranks = {"joint_rank": 3, "individual_rank": 1}
    model = cell.model | ranks | settings
    if "networks" in model:
        model["networks"] = "dense"
    return Cell(cell.part, cell.row, cell.seed, cell.data, model)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", [*OWN, *INSTALLED])
def test_every_method_gives_what_its_interface_promises(splits, method):
    fitted = fit(cell_of(method), splits)
    data = splits.test.data
    scores = fitted.scores(data)
    assert scores is None or scores.everything().shape[0] == len(data)
    reconstructed = fitted.reconstructed(data)
    assert reconstructed is None or {name: view.shape for name, view in reconstructed.items()} == {
        name: data[name].shape for name in NAMES
    }
    drawn = fitted.drawn(data.select(["first", "third"]), "second", 0)
    assert drawn is None or drawn.shape == data["second"].shape
    sampled = fitted.sampled(7, 0)
    assert sampled is None or {view.shape for view in sampled.values()} == {(7, 4, 4)}
    if method in ("DeepJIVE", "AJIVE", "VCCA-private"):
        assert fitted.scores(data.select(["first"])).joint.shape == (len(data), 3)


@pytest.mark.parametrize("method", ["AJIVE", "separate", "ridge"])
def test_drawn_views_are_those_of_the_given_views(splits, method):
    test = splits.test
    drawn = fit(cell_of(method, max_epochs=100) if method == "separate" else cell_of(method), splits).drawn(
        test.data.select(["first", "third"]), "second", 0
    )
    bright = drawn - drawn.mean(axis=(1, 2), keepdims=True)
    true = np.eye(4)[test.digit][:, :, None] - 0.25
    assert np.mean((bright * true).sum(axis=(1, 2)) > 0) > 0.9


def test_an_encoder_that_is_trained_on_digits_classifies_new_images():
    train, test = samples_of(400, 0), samples_of(200, 1)
    encoder, _ = networks("dense", 0.0)
    settings = CLASSIFIER | {"max_epochs": 10}
    classify = digit_classifier(
        lambda shape, rank, _: encoder(shape, rank), train.data["first"], train.digit, CLASSIFIER_SEED, settings
    )
    assert np.mean(classify(np.asarray(test.data["first"])) == test.digit) > 0.95


def test_cells_are_those_of_the_budget_with_real_views_first():
    cells = cells_of(Budget((3, 5), 200, 2), ("AJIVE", "ridge"))
    assert [(cell.part, cell.seed, cell.row) for cell in cells[:4]] == [
        ("3 views", 0, REAL),
        ("3 views", 0, "AJIVE"),
        ("3 views", 0, "ridge"),
        ("3 views", 1, REAL),
    ]
    assert len({cell.key for cell in cells}) == len(cells) == 12


def test_the_null_is_fitted_to_views_whose_samples_are_permuted(splits):
    settings = {"individual_rank": 0, "max_epochs": 2}
    true, null = (fit(cell_of(method, **settings), splits) for method in ("DeepJIVE", "shuffled"))
    predicted = [
        np.square(model.model.impute(splits.test.data, "first") - splits.test.data["first"]).mean()
        for model in (true, null)
    ]
    assert predicted[0] < 0.7 * predicted[1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", LEARN_FROM_INCOMPLETE)
def test_some_methods_learn_from_samples_that_lack_views(splits, method):
    masked = cell_of(method, max_epochs=1)
    masked.data["missing"] = 0.3
    model = fit(masked, splits).model
    assert len(model.joint_scores_) == len(splits.train)
    assert np.isfinite(model.joint_scores_).all()
    if method != "AJIVE":  # which fills views in
        assert [np.isnan(model.individual_scores_[name]).sum() for name in NAMES] == pytest.approx([60] * 3, abs=10)


def test_other_methods_learn_from_the_complete_samples_alone(splits):
    masked = cell_of("ridge")
    masked.data["missing"] = 0.3
    data = with_missing_views(splits.train.data, 0.3, masked.seed)
    assert len(fit(masked, splits).training) == data.present.all(axis=1).sum() < 100


def test_each_view_is_missing_in_a_fraction_of_the_samples_and_no_sample_lacks_all(splits):
    data = with_missing_views(splits.train.data, 0.5, 0)
    assert data.present.any(axis=1).all()
    np.testing.assert_allclose(1 - data.present.mean(axis=0), 0.5, atol=0.1)
    assert np.isnan(data["first"][~data.present[:, 0]]).all()
    assert not np.array_equal(data.present, with_missing_views(splits.train.data, 0.5, 1).present)


@pytest.mark.parametrize(
    ("images", "missing", "name"),
    [("MNIST", 0.0, "views-3"), ("scikit-learn", 0.0, "views-3-small"), ("MNIST", 0.3, "views-3-missing")],
)
def test_each_kind_of_samples_has_a_table_of_its_own(tmp_path, images, missing, name):
    cells = cells_of(Budget((3,), 200, 1, missing=missing), ("ridge",))
    for cell in cells:
        cell.data["images"] = images
    write_page(tmp_path, cells, [{"real views classified": 0.9}, {"coherence, 2 given": 0.5}], "deepjive")
    files = {path.name for path in (tmp_path / "results").iterdir()}
    assert files == {f"{name}-{part}.json" for part in ("scores", "drawn")}


def test_tables_are_written_with_the_methods_that_are_not_installed(tmp_path):
    cells = cells_of(Budget((3,), 200, 2), ("AJIVE", "ridge"))
    measures = []
    for cell in cells:
        if cell.row == REAL:
            measures.append({"real views classified": 0.9})
        elif cell.row == "AJIVE":
            measures.append({"digit from joint, 1 given": 0.4 + 0.2 * cell.seed, "coherence, 2 given": 0.25})
        else:
            measures.append({"coherence, 2 given": 0.5, "CPU seconds of the fit": 3.2})
    tables, page = write_page(tmp_path, cells, measures, "deepjive reproduce benchmark", missing_methods=["MOFA"])
    drawn, scores = (json.loads(path.read_text()) for path in sorted((tmp_path / "results").iterdir()))
    assert [row[0] for row in scores["rows"]] == ["AJIVE", LABELS["MOFA"]]
    assert [row[0] for row in drawn["rows"]] == ["AJIVE", "ridge", LABELS["MOFA"]]
    cell = scores["rows"][0][scores["columns"].index("digit: joint of 1 view")]
    assert (cell["mean"], cell["n"]) == (pytest.approx(0.5), 2)
    assert "digit of 0.900" in drawn["notes"][0]
    assert "not installed" in page.read_text()
    assert len(tables) == 2


@pytest.fixture
def without_mnist(monkeypatch):
    monkeypatch.delenv("DEEPJIVE_DATA", raising=False)


def test_a_cell_has_measures_and_pictures(without_mnist, tmp_path):
    cells = cells_of(BUDGET, ("AJIVE",))
    real, linear = (run_cell(cell, pictures=tmp_path) for cell in cells)
    assert 0.3 < real["real views classified"] < 1
    assert linear["digit from joint, 3 given"] > linear["digit from joint, 1 given"] > 0.1
    assert 0 < linear["reconstruction error"] < 1
    with np.load(tmp_path / f"{cells[1].key}.npz") as arrays:
        assert {"pagoda", "pagoda from others", "pagoda, sample"} <= set(arrays.files)
        assert arrays["pagoda from others"].shape == (10, 8, 8)
