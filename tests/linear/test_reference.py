"""Agreement with mvlearn 0.5.0 on the toy data of the AJIVE paper and on TCGA breast cancer."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from deepjive import AJIVE

# seed to seed, the cutoffs of 1000 draws vary by this standard deviation (measured over 20 seeds)
WEDIN_SD, RANDOM_SD = 3e-4, 4e-3


@pytest.fixture(scope="module")
def toy(shared_data):
    with np.load(shared_data("linear_reference/toy_fig2_seed0.npz")) as arrays:
        return {"x": arrays["X"], "y": arrays["Y"]}


@pytest.fixture(scope="module")
def brca(shared_data):
    with np.load(shared_data("tcga_brca/tcga_brca.npz")) as arrays:
        return {name: arrays[name] for name in ("expression", "methylation", "mirna")}


@pytest.fixture(scope="module", params=["toy_fig2", "brca"])
def reference(request, shared_data):
    """Reference results, and AJIVE with the same ranks."""
    data = request.getfixturevalue({"toy_fig2": "toy", "brca": "brca"}[request.param])
    with np.load(shared_data(f"linear_reference/ref_ajive_fixedrank_{request.param}.npz")) as arrays:
        expected = dict(arrays)
    ranks = dict(zip(data, expected["init_ranks"], strict=True))
    model = AJIVE(signal_ranks=ranks, joint_rank=int(expected["joint_rank_given"]), n_wedin=0, n_random=0).fit(data)
    return expected, model


def degrees(a, b):
    return float(np.degrees(subspace_angles(a, b).max()))


def test_joint_scores_span_the_reference(reference):
    expected, model = reference
    assert degrees(model.joint_scores_, expected["joint_scores"]) < 0.1
    np.testing.assert_allclose(model.joint_singular_values_, expected["joint_svals_all"], atol=1e-6)


def test_individual_scores_span_the_reference(reference):
    expected, model = reference
    assert list(model.individual_ranks_.values()) == expected["individual_ranks"].tolist()
    for i, scores in enumerate(model.individual_scores_.values()):
        assert degrees(scores, expected[f"individual_scores_{i}"]) < 0.1


def test_variance_explained_is_that_of_the_reference_to_4_decimals(reference):
    expected, model = reference
    for i, fractions in enumerate(model.variance_explained_.values()):
        np.testing.assert_allclose(list(fractions.values()), expected[f"variance_explained_{i}"], atol=5e-5)


def test_thresholds_are_those_of_the_reference(reference):
    expected, model = reference
    np.testing.assert_allclose(list(model.thresholds_.values()), expected["sv_thresholds"], rtol=1e-6)


def test_toy_has_joint_rank_1_whatever_the_seed(toy):
    models = [AJIVE(signal_ranks={"x": 2, "y": 3}, random_state=seed).fit(toy) for seed in range(20)]
    assert [model.joint_rank_ for model in models] == [1] * 20
    assert all(model.individual_ranks_ == {"x": 1, "y": 2} for model in models)
    # the reference's own Monte Carlo error is as large as ours
    wedin = [model.wedin_cutoff_ for model in models]
    random = [model.random_cutoff_ for model in models]
    assert np.mean(wedin) == pytest.approx(1.8478, abs=4 * WEDIN_SD)
    assert np.mean(random) == pytest.approx(1.325, abs=4 * RANDOM_SD)
    assert np.std(wedin) < 2 * WEDIN_SD
    assert np.std(random) < 2 * RANDOM_SD


def test_brca_cutoff_is_that_of_the_reference(brca):
    model = AJIVE(signal_ranks={"expression": 29, "methylation": 28, "mirna": 27}, random_state=0).fit(brca)
    assert model.wedin_cutoff_ == pytest.approx(1.9452, abs=0.01)
    assert model.random_cutoff_ == pytest.approx(1.8674, abs=0.02)
    # the 14th squared singular value, 1.94649, lies within Monte Carlo error of the cutoff
    assert model.joint_rank_ in (13, 14)
