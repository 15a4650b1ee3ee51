import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation.sample_quality import pair_fit, sample_fit
from tests.evaluation.fitting import fitted


def paired(n=120, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 3))
    return {name: scores @ rng.normal(size=(3, 30)) + 0.5 * rng.normal(size=(n, 30)) for name in "ab"}


def linear(data):
    return AJIVE(signal_ranks=4, joint_rank=3, n_wedin=0, n_random=0, random_state=0).fit(data)


def test_swapped_pairs_fit_least_and_name_their_partners():
    arrays = paired()
    arrays["b"][[7, 31]] = arrays["b"][[31, 7]]
    data = Modalities(arrays)
    result = pair_fit(linear(data), data, "b")
    assert set(result.samples[:2]) == {"7", "31"}
    assert {result.samples[0]: result.closest[0], result.samples[1]: result.closest[1]} == {"7": "31", "31": "7"}
    assert result.others_closer[0] > 0.1
    assert np.median(result.others_closer) < 0.02


def test_shares_are_those_of_the_sums_of_squares():
    data = Modalities(paired())
    model = linear(data)
    fit = sample_fit(model.decompose(data), model)
    weight = np.square(data["a"] - data["a"].mean(axis=0)).sum(axis=1)
    parts = model.decompose(data)
    squares = np.square(parts.residual["a"]).sum(axis=1)
    total = squares + np.square(parts.joint["a"] - parts.mean["a"]).sum(axis=1)
    total += np.square(parts.individual["a"]).sum(axis=1)
    np.testing.assert_allclose(fit.residual[:, 0], squares / total)
    assert np.average(fit.joint[:, 0], weights=total) == pytest.approx(parts.variance_explained["a"]["joint"], abs=0.02)
    assert weight.sum() == pytest.approx(total.sum())


def test_outlying_residuals_and_samples_far_from_the_training_data_are_recognised():
    data = Modalities(paired())
    model = linear(data)
    new = {name: values[:40].copy() for name, values in data.items()}
    new["a"][3] += 5 * np.random.default_rng(1).normal(size=30)
    new["a"][5] = data["a"].mean(axis=0) + 6 * (data["a"][5] - data["a"].mean(axis=0))
    fit = sample_fit(model.decompose(new), model)
    assert fit.outlyingness[:, 0].argmax() == 3
    assert fit.outlyingness[3, 0] > 3.5
    assert fit.farther[5, 0] == 0.0
    assert fit.distance[5, 0] > 2.0
    assert np.median(fit.farther[:, 0]) > 0.2
    assert fit.to_frame().shape == (80, 8)


def test_a_sample_without_a_modality_has_no_fit_there():
    arrays = paired()
    present = np.ones((120, 2), dtype=bool)
    present[4, 1] = False
    data = Modalities(arrays, present=present)
    model = AJIVE(signal_ranks=4, joint_rank=3, n_wedin=0, n_random=0, missing="impute", random_state=0).fit(data)
    fit = sample_fit(model.decompose(data), model)
    assert np.isnan(fit.residual[4, 1])
    assert np.isfinite(np.delete(fit.residual, 4, axis=0)).all()
    assert len(pair_fit(model, data, "a").samples) == 119


def test_pairs_need_joint_scores_that_one_modality_gives():
    data = Modalities(paired(60))
    with pytest.raises(ValueError, match="identity='merged'"):
        pair_fit(fitted(data, 1, 0, identity="merged", max_epochs=1), data, "a")
    with pytest.raises(ValueError, match="joint_rank_ of the model is 0"):
        pair_fit(AJIVE(joint_rank=0, individual_ranks=1, n_wedin=0, n_random=0).fit(data), data, "a")
