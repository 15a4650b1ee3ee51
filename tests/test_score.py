"""`score`, capabilities, and names of features and samples, of all estimators."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities

N = 60
LINEAR = [
    pytest.param(AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0), id="AJIVE"),
    pytest.param(HeteroJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0), id="HeteroJIVE"),
    pytest.param(JIVE(joint_rank=1, individual_ranks=1), id="JIVE"),
]


def arrays(n_modalities=3, n=N, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    joint = rng.normal(size=(n, 1))
    return {
        f"m{k}": 3.0 + joint @ rng.normal(size=(1, 6 + k)) + noise * rng.normal(size=(n, 6 + k))
        for k in range(n_modalities)
    }


def r2_by_hand(model, data, name, rows):
    others = data[rows].select([other for other in data.names if other != name])
    values = data.rows(name, rows)
    error, total = (np.nansum((values - other) ** 2) for other in (model.impute(others, name), model.mean_[name]))
    return 1.0 - error / total


@pytest.mark.parametrize("model", LINEAR)
def test_score_is_the_mean_r2_of_each_modality_predicted_from_the_others(model):
    data = Modalities(arrays())
    train, test = data[:40], data[40:]
    model.fit(train)
    expected = [r2_by_hand(model, test, name, np.arange(20)) for name in data.names]
    np.testing.assert_allclose(model.score(test), np.mean(expected), rtol=1e-12)  # another order of summation
    assert 0.4 < model.score(test) < 1.0
    assert model.score(dict(test.items())) == model.score(test)


def test_score_is_0_for_a_model_that_predicts_the_mean():
    data = Modalities(arrays())
    model = AJIVE(signal_ranks=1, joint_rank=0, n_wedin=0, n_random=0).fit(data)
    assert model.score(data) == pytest.approx(0.0, abs=1e-12)


def test_score_is_1_where_the_prediction_is_exact():
    data = Modalities(arrays(noise=0.0))
    assert AJIVE(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit(data).score(data) == pytest.approx(1.0)


def test_samples_that_lack_a_modality_are_left_out_of_its_r2():
    present = np.ones((N, 3), dtype=bool)
    present[40:45, 0] = False
    present[50, 1:] = False  # nothing predicts the only modality of this sample
    data = Modalities(arrays(), present=present)
    model = AJIVE(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit(data[:40])
    rows = {"m0": [*range(45, 50), *range(51, N)], "m1": [*range(40, 50), *range(51, N)]}
    rows["m2"] = rows["m1"]
    expected = [r2_by_hand(model, data, name, np.array(rows[name])) for name in data.names]
    np.testing.assert_allclose(model.score(data[40:]), np.mean(expected), rtol=1e-12)  # another order of summation


def test_only_measured_values_count():
    held_out = arrays()
    held_out["m0"][45, :3] = np.nan
    data = Modalities(held_out)
    model = AJIVE(signal_ranks=1, joint_rank=1, missing="impute", n_wedin=0, n_random=0).fit(data[:40])
    expected = [r2_by_hand(model, data, name, np.arange(40, N)) for name in data.names]
    np.testing.assert_allclose(model.score(data[40:]), np.mean(expected), rtol=1e-12)  # another order of summation


def test_a_modality_that_no_sample_can_be_compared_in_is_left_out_of_the_mean():
    data = Modalities(arrays())
    model = AJIVE(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit(data)
    two = ["m0", "m1"]
    present = np.ones((N, 3), dtype=bool)
    present[:, 2] = False
    assert model.score(Modalities(data, present=present)) == pytest.approx(model.score(data.select(two)))


def test_data_in_which_nothing_can_be_predicted_are_refused():
    data = Modalities(arrays())
    model = AJIVE(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit(data)
    with pytest.raises(ValueError, match=r"was given \['m0'\] only"):
        model.score(data.select(["m0"]))
    alone = np.zeros((N, 3), dtype=bool)
    alone[:, 0] = True
    with pytest.raises(ValueError, match="none of the 60 samples has two"):
        model.score(Modalities(data, present=alone))
    with pytest.raises(NotFittedError):
        AJIVE().score(data)


class NeedsAll(AJIVE):
    """An estimator that cannot score a sample without every modality."""

    needs_all_modalities = True


def test_models_that_need_all_modalities_say_why_there_is_no_score():
    data = Modalities(arrays())
    model = NeedsAll(joint_rank=1, n_wedin=0, n_random=0).fit(data)
    with pytest.raises(ValueError, match=r"only from all modalities together\. Fit a model that can do without"):
        model.score(data)


@pytest.mark.filterwarnings("ignore:The joint phase was still improving")  # a few epochs are enough here
def test_deepjive_is_scored():
    data = Modalities(arrays())
    model = DeepJIVE(joint_rank=1, individual_ranks=0, networks="linear", max_epochs=30, random_state=0).fit(data[:40])
    assert 0.0 < model.score(data[40:]) < 1.0


@pytest.mark.parametrize("model", LINEAR)
def test_modalities_are_cross_validated_without_a_classifier(model):
    scores = cross_val_score(model, Modalities(arrays()), error_score="raise")
    assert scores.shape == (5,)
    assert scores.min() > 0.3


def test_ranks_are_searched_without_a_classifier():
    data = Modalities(arrays(noise=1.0))
    search = GridSearchCV(AJIVE(n_wedin=0, n_random=0), {"joint_rank": [0, 1, 2]}, error_score="raise").fit(data)
    assert search.best_params_ == {"joint_rank": 1}
    assert search.score(data) == search.best_estimator_.score(data)


def test_folds_of_participants_are_cross_validated():
    groups = np.repeat(np.arange(N // 2), 2)
    data = Modalities(arrays(), groups=groups)
    scores = cross_val_score(
        AJIVE(joint_rank=1, n_wedin=0, n_random=0), data, groups=data.groups, cv=GroupKFold(3), error_score="raise"
    )
    assert scores.shape == (3,)


def test_scikit_learn_cannot_split_a_dict_and_says_so():
    """Its length is the number of modalities."""
    with pytest.raises(ValueError, match="n_splits=5 greater than the number of samples: n_samples=2"):
        cross_val_score(AJIVE(joint_rank=1), arrays(2))
    with pytest.raises(KeyError):
        cross_val_score(AJIVE(joint_rank=1), arrays(6))


@pytest.mark.parametrize("kind", [list, tuple, lambda arrays: dict(enumerate(arrays))])
def test_a_list_that_scikit_learn_split_between_modalities_is_never_scored(kind):
    of_modalities = kind(arrays(6).values())
    with pytest.raises(TypeError, match=r"splits between modalities instead of between samples\. Pass Modalities"):
        cross_val_score(AJIVE(joint_rank=1, n_wedin=0, n_random=0), of_modalities, cv=2, error_score="raise")


def test_half_of_a_list_of_two_modalities_is_not_fitted():
    with pytest.raises(ValueError, match=r"splits deepjive\.Modalities by sample, but a list by modality"):
        cross_val_score(AJIVE(joint_rank=1), list(arrays(2).values()), cv=2, error_score="raise")


@pytest.mark.parametrize("model", LINEAR)
def test_linear_models_have_no_findings_about_training_and_do_not_depend_on_a_seed(model):
    model = clone(model).fit(Modalities(arrays()))
    assert model.diagnostics() == []
    assert not model.is_stochastic
    assert not model.needs_all_modalities


@pytest.mark.parametrize("model", LINEAR)
def test_names_of_features_tell_their_modality(model):
    frames = {
        "rna": pd.DataFrame(arrays()["m0"]).add_prefix("gene"),
        "protein": pd.DataFrame(arrays()["m1"]).add_prefix("p"),
    }
    model = clone(model).fit(Modalities(frames))
    assert model.n_features_in_ == 13
    assert model.feature_names_in_[[0, 6, 12]].tolist() == ["rna:gene0", "protein:p0", "protein:p6"]


def test_features_without_names_are_counted_only():
    model = AJIVE(joint_rank=1, n_wedin=0, n_random=0)
    assert not hasattr(model, "n_features_in_")
    images = {"a": arrays()["m0"].reshape(N, 2, 3), "b": arrays()["m1"]}
    model.fit(images)
    assert model.n_features_in_ == 13
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("model", LINEAR)
def test_data_frames_of_scores_keep_the_names_of_samples(model):
    data = Modalities(arrays(), samples=[f"S{i}" for i in range(N)])
    model = clone(model).set_output(transform="pandas")
    frame = model.fit_transform(data)
    assert list(frame.index) == list(data.samples)
    assert list(frame.columns) == ["joint_1"]
    assert model.transform(data[[3]]).index.tolist() == ["S3"]
    assert isinstance(model.impute(data, "m0"), np.ndarray)
    assert model.score(data) > 0.0
