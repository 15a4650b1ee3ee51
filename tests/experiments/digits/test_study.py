from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from deepjive import Modalities, load
from deepjive.experiments.digits import study
from deepjive.experiments.digits.data import fresh
from deepjive.experiments.digits.data.folders import VARIABLE
from deepjive.experiments.digits.data.fresh import fresh_pairs
from deepjive.experiments.digits.data.mnist import load_digit_images
from deepjive.experiments.digits.data.pairs import PairedSplits, same_class
from deepjive.experiments.digits.methods import METHODS, fit_method
from deepjive.experiments.digits.networks import labelled_error
from deepjive.experiments.digits.study import (
    QUICK,
    STUDIES,
    TRIED,
    Budget,
    Sources,
    cells_of,
    deep_settings,
    pairs_of,
    run_cell,
)

SMALL = Budget(500, 1, 1, 1, 1, (0.1,), (2,))
NOWHERE = Sources()
PAIRS = ("noisy validation", "noisy")


@pytest.fixture(scope="module")
def pairs() -> PairedSplits:
    return same_class(load_digit_images(fallback=True), (300, 50, 50))


@pytest.mark.parametrize("method", METHODS)
def test_each_method_gives_finite_scores_of_the_ranks_asked_for(pairs: PairedSplits, method: str) -> None:
    settings = {"networks": "linear", "max_epochs": 1}
    with pytest.warns() if method in METHODS[:3] or method == "separate" else _quiet():
        scores = fit_method(method, pairs.train.data, 3, 2, settings=settings).scores(pairs.test.data)
    arrays = [*scores.alone.values(), *scores.individual.values()] + ([] if scores.joint is None else [scores.joint])
    assert all(np.isfinite(array).all() and len(array) == 50 for array in arrays)
    if scores.joint is not None:
        assert scores.joint.shape[1] == 3
    if method == "separate":
        assert [array.shape[1] for array in scores.individual.values()] == [5, 5]
    assert bool(scores.alone) == (method not in ("merged", "separate"))


def test_a_shuffled_cell_has_the_pairs_of_the_true_one_in_another_order() -> None:
    true, null = (
        next(cell for cell in cells_of(SMALL, NOWHERE, ("noisy",)) if cell.data["pairs"] == name)
        for name in ("noisy", "noisy shuffled")
    )
    first, second = (pairs_of(cell, NOWHERE).test.data for cell in (true, null))
    np.testing.assert_array_equal(first["turned"], second["turned"])
    assert not np.array_equal(first["noisy"], second["noisy"])


def test_pairs_of_other_images_are_not_taken_for_those_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    cell = cells_of(SMALL, NOWHERE, ("noisy",))[0]
    first = pairs_of(cell, NOWHERE)
    assert pairs_of(cell, NOWHERE) is first
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert pairs_of(cell, NOWHERE) is not first


def test_fits_that_two_studies_need_are_made_once() -> None:
    cells = cells_of(QUICK, NOWHERE)
    assert {cell.part for cell in cells} == set(STUDIES)
    shared = {cell.key for cell in cells if cell.part == "noisy"} & {
        cell.key for cell in cells if cell.part == "leakage"
    }
    assert len({cell.key for cell in cells}) == len(cells) - len(shared)
    rows = {cell.row for cell in cells if cell.part == "leakage" and cell.key in shared}
    assert rows == {"separate", "additive, weight 0.1"}


def test_what_other_images_or_another_accelerator_gave_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    methods = ("explicit", "PCA")
    monkeypatch.setattr(study, "_images", lambda folder: SimpleNamespace(source=str(folder)))
    found = {
        name: {cell.model["method"]: cell.key for cell in cells_of(SMALL, sources, ("noisy",), methods)}
        for name, sources in {
            "stand-in": Sources(Path("scikit-learn")),
            "real": Sources(Path("MNIST")),
            "cuda": Sources(Path("MNIST"), accelerator="cuda"),
        }.items()
    }
    assert len({keys["explicit"] for keys in found.values()}) == 3
    assert found["stand-in"]["PCA"] != found["real"]["PCA"] == found["cuda"]["PCA"]


@pytest.mark.parametrize(("study", "method"), [("noisy", "AJIVE"), ("overlay", "AJIVE"), ("rotated", "explicit")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_study_measures_what_its_table_shows(study: str, method: str, tmp_path: Path) -> None:
    cell = next(cell for cell in cells_of(SMALL, NOWHERE, (study,)) if cell.model["method"] == method)
    figures = run_cell(cell, NOWHERE, tmp_path)
    expected = {
        "noisy": "digit error, joint of turned",
        "overlay": "R2 joint, first",
        "rotated": "digit accuracy, linear classifier, individual of turned",
    }
    assert expected[study] in figures
    assert all(np.isfinite(value) for value in figures.values())
    assert (tmp_path / cell.key / "config.json").is_file()
    if study == "overlay":
        assert min(figures["R2 joint, first"], figures["R2 individual, second"]) > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_deeper_encoders_start_linear_and_are_fitted_for_joint_scores_alone() -> None:
    images = torch.rand(5, 8, 8)
    encoder = deep_settings({"networks": "deeper"})["networks"][0]((8, 8), 3)
    torch.testing.assert_close(encoder(images), encoder.linear(images.flatten(1)))
    assert sum(isinstance(module, torch.nn.Conv2d) for module in encoder.modules()) == 6
    cell = next(cell for cell in cells_of(SMALL, NOWHERE, ("noisy",)) if "deeper" in cell.row)
    figures = run_cell(cell, NOWHERE)
    assert figures["variance individual, turned"] == 0
    assert 0 <= figures["digit error, joint"] < 0.8


def test_normalized_encoders_start_linear_whatever_the_batch() -> None:
    images = torch.rand(5, 28, 28)
    encoder = deep_settings({"networks": "normalized"})["networks"][0]((28, 28), 3)
    torch.testing.assert_close(encoder(images), encoder.linear(images.flatten(1)))
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules()) == 5


def test_decoders_of_normalized_encoders_are_linear_unless_dense_ones_are_named() -> None:
    linear, dense = (
        deep_settings({"networks": name})["networks"][1]((8, 8), 3)
        for name in ("normalized", "normalized, dense decoders")
    )
    assert (linear.correction is None, dense.correction is None) == (True, False)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_augmented_pairs_are_drawn_anew_in_every_epoch_and_measured_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Modalities] = []
    monkeypatch.setattr(study, "fresh_pairs", lambda *given: drawn.append(fresh_pairs(*given)) or drawn[-1])
    readings: list[int] = []
    monkeypatch.setattr(fresh, "with_noise", lambda images, rng: readings.append(len(images)) or images)
    cell = next(cell for cell in cells_of(SMALL, NOWHERE, ("noisy",), ("new-partners",)))
    assert cell.model["fresh"] == "partners"
    before = {name: np.array(pairs_of(cell, NOWHERE).test.data[name]) for name in ("turned", "noisy")}
    counts = []
    for epochs in (1, 3):
        readings.clear()
        figures = run_cell(replace(cell, model=cell.model | {"max_epochs": epochs}), NOWHERE, tmp_path)
        counts.append(sum(readings))
    assert counts[1] - counts[0] >= 2 * (500 - 128)
    assert len(drawn) == 2
    assert 0 <= figures["digit error, joint of turned"] < 0.9
    for name, images in before.items():
        np.testing.assert_array_equal(pairs_of(cell, NOWHERE).test.data[name], images)
    networks = {"networks": deep_settings(cell.model)["networks"]}
    model = load(tmp_path / replace(cell, model=cell.model | {"max_epochs": 3}).key, **networks)
    test = pairs_of(cell, NOWHERE).test.data
    assert np.isfinite(model.transform(test)).all()


def test_each_tried_setting_is_another_fit_to_the_same_pairs_and_is_measured_on_validation_pairs() -> None:
    cells = cells_of(SMALL, NOWHERE, (TRIED,))
    assert len({cell.key for cell in cells}) == len(cells) == len({cell.row for cell in cells})
    assert {cell.data["pairs"] for cell in cells} == {"noisy validation"}
    tried, final = (pairs_of(replace(cells[0], data=cells[0].data | {"pairs": name}), NOWHERE) for name in PAIRS)
    np.testing.assert_array_equal(tried.train.data["noisy"], final.train.data["noisy"])
    half = len(final.validation) // 2
    np.testing.assert_array_equal(tried.test.data["turned"], np.asarray(final.validation.data["turned"])[half:])


def test_an_encoder_that_is_told_the_digits_tells_them() -> None:
    made = same_class(load_digit_images(fallback=True), (600, 50, 300))
    settings = {"dropout": 0.0, "batch_size": 32, "max_epochs": 6, "learning_rate": 3e-3, "device": "cpu"}
    train, test = ((split.data["turned"], split.digit) for split in (made.train, made.test))
    error = labelled_error(train, test, 0, settings)
    assert error == labelled_error(train, test, 0, settings) < 0.5
    mixed = labelled_error((train[0], np.roll(train[1], 7)), test, 0, settings)
    assert mixed > 0.7
    cell = next(cell for cell in cells_of(SMALL, NOWHERE, ("noisy",), ("labels",)))
    assert all(0 <= figure <= 1 for figure in run_cell(cell, NOWHERE).values())


def test_sounds_tell_digits_and_speakers(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    sources = Sources(shared_data("mnist"), shared_data("fsdd"))
    cell = next(cell for cell in cells_of(SMALL, sources, ("sound",)) if cell.row == "CCA")
    figures = run_cell(cell, sources, tmp_path)
    assert figures["digit error, joint of sound"] < 0.5
    assert figures["speaker error, joint of sound"] < 5 / 6


def _quiet():  # type: ignore[no-untyped-def]
    import contextlib

    return contextlib.nullcontext()
