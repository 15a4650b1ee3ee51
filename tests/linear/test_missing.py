import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.linear.missing import fill_missing
from tests.linear.tolerances import NEARLY_PARALLEL


def simulated(share=0.15, n=80, noise=0.5):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 1))
    whole, gappy = {}, {}
    for name, d in {"a": 40, "b": 100}.items():
        scores = np.hstack([z, rng.normal(size=(n, 1))])
        whole[name] = 5.0 + scores @ rng.normal(size=(2, d)) + noise * rng.normal(size=(n, d))
        gappy[name] = np.where(rng.random((n, d)) < share, np.nan, whole[name])
    return whole, gappy


@pytest.mark.parametrize("ranks", [2, "auto"])
def test_filled_values_are_as_near_the_truth_as_noise_allows(ranks):
    whole, gappy = simulated()
    filled = fill_missing(gappy, ranks)
    for name, x in whole.items():
        gaps = np.isnan(gappy[name])
        error = np.mean((filled[name] - x)[gaps] ** 2)
        # the noise of the missing values, and a quarter more for the estimate of two components from 80 samples
        assert error < 1.25 * 0.5**2
        np.testing.assert_array_equal(filled[name][~gaps], x[~gaps])


def test_a_fit_to_filled_data_is_near_the_fit_to_whole_data():
    whole, gappy = simulated()
    scores = [
        AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0).fit(data).joint_scores_[:, 0]
        for data in (whole, fill_missing(gappy, 2))
    ]
    assert abs(np.corrcoef(*scores)[0, 1]) > NEARLY_PARALLEL


def test_many_missing_values_do_not_confirm_themselves():
    whole, gappy = simulated(share=0.5, n=40, noise=1.5)
    filled = fill_missing(gappy, 2)
    for name, x in whole.items():
        gaps = np.isnan(gappy[name])
        means = np.broadcast_to(np.nanmean(gappy[name], axis=0), x.shape)
        assert np.mean((filled[name] - x)[gaps] ** 2) < np.mean((means - x)[gaps] ** 2)


def test_filling_in_leaves_samples_that_lack_a_modality_unchanged():
    _, gappy = simulated()
    present = np.ones((80, 2), dtype=bool)
    present[3, 0] = False
    gappy["a"][3] = np.nan
    filled = fill_missing(Modalities(gappy, present=present), 2)
    assert np.isnan(filled["a"][3]).all()
    assert not np.isnan(np.delete(filled["a"], 3, axis=0)).any()
    np.testing.assert_array_equal(filled.present, present)


def test_features_and_samples_without_any_value_are_named():
    _, gappy = simulated()
    gappy["b"][:, 7] = np.nan
    with pytest.raises(ValueError, match="Modality 'b' has no value at all in feature 7"):
        fill_missing(gappy, 2)


def test_estimators_refuse_data_with_gaps():
    _, gappy = simulated()
    with pytest.raises(ValueError, match="NaN or infinite"):
        AJIVE(signal_ranks=2).fit(gappy)


def test_constant_features_do_not_change_the_filled_values():
    _, gappy = simulated()
    constant = np.where(np.random.default_rng(1).random((80, 300)) < 0.1, np.nan, 0.1)
    padded = {name: np.hstack([x, constant]) for name, x in gappy.items()}
    for ranks in ("auto", 3):
        alone, filled = fill_missing(gappy, ranks), fill_missing(padded, ranks)
        for name, x in gappy.items():
            # the iterations end at changes of 1e-5 of the modality's length
            np.testing.assert_allclose(filled[name][:, : x.shape[1]], alone[name], atol=1e-4)
            np.testing.assert_allclose(filled[name][:, x.shape[1] :], 0.1)
