"""Prediction intervals: coverage, participants, calibration samples, errors, saving."""

import numpy as np
import pytest

import deepjive as dj
from deepjive import AJIVE, JIVE, DeepJIVE, Modalities
from deepjive.conformal import quantiles
from deepjive.data.groups import folds_of
from deepjive.datasets import make_synthetic
from deepjive.evaluation import rotate

RANKS = {"joint_rank": 1, "individual_ranks": 1}
AJIVE_SIZE = {**RANKS, "signal_ranks": 2, "n_wedin": 0, "n_random": 0}
DEEP = {**RANKS, "networks": "dense", "max_epochs": 2, "random_state": 0}


def three(n=60, seed=0):
    return make_synthetic(n, (6, 5, 4), noise=0.5, random_state=seed).data


def fitted(train, **changes):
    return AJIVE(**{**AJIVE_SIZE, **changes}).fit(train)


def covered(intervals, truth):
    return (intervals.lower <= truth) & (truth <= intervals.upper)


def test_the_quantile_of_one_sample_each_is_the_order_statistic_of_one_more_sample():
    errors = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))[:, None]
    given = quantiles(errors, np.arange(19), np.array([0.5, 0.9, 0.95, 0.96]))[:, 0]
    np.testing.assert_array_equal(given, [10.0, 18.0, 19.0, np.inf])


def test_a_participant_with_many_samples_counts_as_one():
    errors = np.concatenate([np.full(50, 10.0), np.arange(1.0, 10.0)])[:, None]
    participants = np.concatenate([np.zeros(50, int), np.arange(1, 10)])
    # ten participants and a new one: nine errors reach 9/11, and the participant of 50 samples 10/11
    given = quantiles(errors, participants, np.array([9 / 11, 9.5 / 11]))[:, 0]
    np.testing.assert_array_equal(given, [9.0, 10.0])
    errors[:50] = 0.0  # which are one participant's as well: the fifth smallest is the fourth of the others
    np.testing.assert_array_equal(quantiles(errors, participants, np.array([5 / 11])), [[4.0]])


def test_values_that_were_not_measured_have_no_weight():
    errors = np.tile(np.arange(1.0, 20.0)[:, None], (1, 2))
    errors[10:, 1] = np.nan
    given = quantiles(errors, np.arange(19), np.array([0.9]))[0]
    np.testing.assert_array_equal(given, [18.0, 10.0])


def test_blocks_of_features_give_the_same_quantiles(monkeypatch):
    errors = np.random.default_rng(0).random((15, 7))
    whole = quantiles(errors, np.arange(15), np.array([0.5, 0.9]))
    monkeypatch.setattr("deepjive.conformal.BLOCK", 30)
    np.testing.assert_array_equal(quantiles(errors, np.arange(15), np.array([0.5, 0.9])), whole)


def test_coverage_is_that_of_the_theory_by_participant():
    """Exact up to chance: a new sample of a new participant is covered with probability 0.9 to 0.9 + 1 / 20."""
    rng, hits = np.random.default_rng(0), []
    for _ in range(400):
        effect = np.repeat(rng.normal(size=20), 3)
        errors = np.abs(effect + 0.3 * rng.normal(size=60))
        width = quantiles(errors[:57, None], np.repeat(np.arange(19), 3), np.array([0.9]))[0, 0]
        hits.append(np.mean(errors[57:] <= width))
    error = np.std(hits) / np.sqrt(len(hits))
    assert 0.9 - 3 * error < np.mean(hits) < 0.95 + 3 * error


@pytest.mark.parametrize(
    "model",
    [AJIVE(**AJIVE_SIZE), JIVE(**RANKS), DeepJIVE(**DEEP)],
    ids=["AJIVE", "JIVE", "DeepJIVE"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_half_the_width_is_the_quantile_of_held_out_errors(model):
    data = three(69)
    train, held_out = data[:50], data[50:]
    model.fit(train).calibrate(held_out)
    given = held_out.select(["modality_1", "modality_2"])
    intervals = model.impute(given, "modality_3", interval=0.9)
    np.testing.assert_array_equal(intervals.values, model.impute(given, "modality_3"))
    errors = np.sort(np.abs(held_out["modality_3"] - intervals.values), axis=0)
    half = np.tile(errors[17], (19, 1))  # the 18th of 19 is that of level 18/20
    np.testing.assert_allclose(intervals.upper - intervals.values, half, atol=1e-5)
    np.testing.assert_allclose(intervals.values - intervals.lower, half, atol=1e-5)
    root_mean_squares = np.sort(np.sqrt(np.square(held_out["modality_3"] - intervals.values).mean(axis=1)))
    np.testing.assert_allclose(intervals.radius, root_mean_squares[17], rtol=1e-5)


def test_each_sample_has_the_interval_of_the_modalities_that_it_has():
    data = three(80)
    model = fitted(data[:50]).calibrate(data[50:])
    present = np.ones((4, 2), dtype=bool)
    present[1, 0] = present[2, 1] = False
    mixed = Modalities(data[:4].select(["modality_1", "modality_2"]), present=present)
    widths = np.ptp(np.stack(model.impute(mixed, "modality_3", interval=0.8)[1:3]), axis=0)[:, 0]
    alone = [
        np.ptp(np.stack(model.impute(data[:1].select(names), "modality_3", interval=0.8)[1:3]), axis=0)[0, 0]
        for names in (["modality_1", "modality_2"], ["modality_2"], ["modality_1"])
    ]
    np.testing.assert_allclose(widths, [alone[0], alone[1], alone[2], alone[0]])
    assert len(set(np.round(widths, 9))) == 3


def test_intervals_of_scores_contain_the_scores_of_all_modalities():
    data = three(200)
    model = fitted(data[:60]).calibrate(data[60:159])
    test = data[160:]
    intervals = model.transform(test.select(["modality_1"]), interval=0.9)
    assert covered(intervals, model.transform(test)).mean() > 0.75
    complete = model.transform(test, interval=0.9)
    np.testing.assert_array_equal(complete.lower, complete.upper)
    np.testing.assert_array_equal(complete.radius, 0.0)


def test_folds_leave_each_sample_out_of_the_model_that_predicts_it():
    data = three(40)
    model = fitted(data).calibrate(data, folds=4)
    assert model.calibration_["samples"] == "folds"
    errors = np.full((40, 4), np.nan)
    for train, test in folds_of(40, None, 4, 0):
        refit = fitted(data[np.sort(train)])
        errors[test] = np.abs(data["modality_3"][test] - refit.impute(data[test].select(["modality_1"]), "modality_3"))
    intervals = model.impute(data.select(["modality_1"]), "modality_3", interval=36 / 41)
    np.testing.assert_allclose(intervals.upper - intervals.values, np.tile(np.sort(errors, axis=0)[35], (40, 1)))


def test_folds_of_participants_and_scores_of_another_rank_are_aligned():
    data = Modalities(three(60), groups=np.repeat(np.arange(20), 3))
    model = AJIVE(joint_rank=2, n_wedin=0, n_random=0).fit(data).calibrate(data, folds=2)
    assert model.calibration_["n_participants"] == 20
    # scores have variance 1, so errors of scores in the directions of the model are of that size at most
    assert all(entry["covariance"].trace() < 3.0 for entry in model.calibration_["scores"])


def test_levels_lie_between_those_of_participants_with_several_samples():
    data = Modalities(three(90), groups=np.repeat(np.arange(45), 2))
    model = fitted(data[:42]).calibrate(data[42:])
    given, target = data[42:].select(["modality_1"]), data[42:]["modality_2"]
    intervals = model.impute(given, "modality_2", interval=0.9)
    errors = np.sort(np.abs(target - intervals.values), axis=0)
    # 24 participants of two samples: 45 of 48 errors reach 45 / (2 * 25), and 46 would be more than is asked for
    np.testing.assert_allclose(intervals.upper - intervals.values, np.tile(errors[44], (48, 1)))


def test_confounds_are_in_the_prediction_and_in_its_interval():
    rng = np.random.default_rng(0)
    age = rng.normal(size=90)
    arrays = {name: values + 20.0 * age[:, None] for name, values in three(90).items()}
    data = Modalities(arrays, confounds={"age": age})
    model = fitted(data[:60]).calibrate(data[60:])
    intervals = model.impute(data[60:].select(["modality_1", "modality_2"]), "modality_3", interval=0.9)
    assert covered(intervals, data[60:]["modality_3"]).mean() >= 0.9
    assert (intervals.upper - intervals.lower).max() < 10.0


def test_measured_values_alone_calibrate():
    data = three(90)
    arrays = {name: np.array(values) for name, values in data.items()}
    arrays["modality_3"][60:75, 1] = np.nan
    model = AJIVE(**AJIVE_SIZE, missing="impute").fit(data[:60]).calibrate(Modalities(arrays)[60:])
    half = model.impute(data[:1].select(["modality_1"]), "modality_3", interval=0.9)
    widths = (half.upper - half.lower)[0]
    assert np.isfinite(widths).all()
    # 15 participants measured the feature, who have no level between 15/16 and 1
    wide = model.impute(data[:1].select(["modality_1"]), "modality_3", interval=0.95)
    assert np.isinf(wide.upper[0, 1])
    assert np.isfinite(wide.upper[0, 0])


def test_images_have_intervals_of_their_shape():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(60, 1))
    arrays = {"a": joint @ rng.normal(size=(1, 5)), "b": (joint @ rng.normal(size=(1, 12))).reshape(60, 3, 4)}
    data = Modalities({name: x + 0.1 * rng.normal(size=x.shape) for name, x in arrays.items()})
    model = fitted(data[:40]).calibrate(data[40:])
    intervals = model.impute(data.select(["a"]), "b", interval=0.9)
    assert intervals.lower.shape == (60, 3, 4)
    assert intervals.radius.shape == (60,)


def test_large_samples_keep_fewer_levels_and_wider_intervals(monkeypatch):
    data = three(150)
    model = fitted(data[:50])
    narrow = model.calibrate(data[50:]).impute(data[:1].select(["modality_1"]), "modality_2", interval=0.9)
    monkeypatch.setattr("deepjive.conformal.BLOCK", 1)
    wide = model.calibrate(data[50:]).impute(data[:1].select(["modality_1"]), "modality_2", interval=0.9)
    assert len(model.calibration_["predictions"][0]["levels"]) == 20
    assert (wide.upper >= narrow.upper).all()


def test_a_saved_model_gives_the_same_intervals_and_a_new_fit_none(tmp_path):
    data = three()
    model = fitted(data[:40]).calibrate(data[40:])
    model.save(tmp_path)
    given = data[40:].select(["modality_1"])
    expected = model.impute(given, "modality_2", interval=0.8)
    for ours, theirs in zip(dj.load(tmp_path).impute(given, "modality_2", interval=0.8), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="not calibrated"):
        model.fit(data[:40]).impute(given, "modality_2", interval=0.8)


def test_a_rotated_model_is_calibrated_with_held_out_samples():
    data = three(80)
    model = fitted(data[:50])
    intervals = [
        each.calibrate(data[50:]).impute(data[:3].select(["modality_1"]), "modality_2", interval=0.9)
        for each in (model, rotate(model, data[:50]))
    ]
    np.testing.assert_allclose(intervals[0].upper, intervals[1].upper)


def test_fitted_samples_are_refused():
    data = three()
    model = fitted(data[:40])
    with pytest.raises(ValueError, match="30 of the 30 calibration samples are samples that the model was fitted to"):
        model.calibrate(data[:30])
    with pytest.raises(ValueError, match="there are 20, but 40 were fitted"):
        model.calibrate(data[40:], folds=3)
    with pytest.raises(ValueError, match="joint scores are not those of the fitted samples"):
        model.calibrate(data[20:], folds=3)
    with pytest.raises(ValueError, match=r"they have \['modality_1', 'modality_2'\]"):
        model.calibrate(data[:40].select(["modality_1", "modality_2"]), folds=3)


def test_wrong_arguments_are_errors_that_say_what_to_do():
    data = three(100)
    model = fitted(data[:50]).calibrate(data[50:60], given=[("modality_1",)])
    given = data[50:].select(["modality_1"])
    for level in (0, 1.0, 90, True, "much"):
        with pytest.raises(ValueError, match="must be a number between 0 and 1"):
            model.impute(given, "modality_2", interval=level)
    with pytest.raises(ValueError, match=r"of level 0.95 needs at least 19 participants .* calibrated with 10"):
        model.impute(given, "modality_2", interval=0.95)
    with pytest.raises(ValueError, match="'modality_2' from modality_3 are not calibrated; those from modality_1 are"):
        model.impute(data[50:].select(["modality_3"]), "modality_2", interval=0.8)
    with pytest.raises(ValueError, match="given names"):
        model.calibrate(data[50:], given=[("modality_1", "modality_2", "modality_3")])
    with pytest.raises(ValueError, match="folds is 1"):
        model.calibrate(data[:50], folds=1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_merged_model_predicts_nothing():
    data = three(40)
    model = DeepJIVE(**{**DEEP, "identity": "merged", "max_epochs": 1}).fit(data)
    with pytest.raises(ValueError, match="predicts no modality"):
        model.calibrate(data)
