import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation import covariation, dice_of_strongest, effect_maps, false_discovery


@pytest.fixture(scope="module")
def planted():
    """Half of the features of each modality follow the joint score; the others, and one that is constant, do not."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 1))
    slopes = np.r_[np.full(20, 1.0), np.zeros(20)]
    arrays = {name: (z * slopes + rng.normal(size=(300, 40))).reshape(300, 5, 8) for name in ("mri", "pet")}
    arrays["mri"][:, 4, 7] = 0.0
    data = Modalities(arrays)
    return AJIVE(signal_ranks=1, joint_rank=1, individual_ranks=0, random_state=0).fit(data[:200]), data[200:]


def test_effects_are_the_change_for_one_standard_deviation(planted):
    model, held_out = planted
    for found in effect_maps(model, model.transform(held_out), 0).values():
        assert np.abs(np.abs(found.ravel()[:20]) - 1).max() < 0.3
        assert np.abs(found.ravel()[20:]).max() < 0.3


def test_features_that_depend_on_the_score_are_significant_and_few_others(planted):
    for found in covariation(*planted, 0, n_permutations=500).values():
        q = found.q_value.ravel()
        assert (q[:20] < 0.05).all()
        assert (q[20:] < 0.05).sum() <= 3
    assert covariation(*planted, 0, n_permutations=50)["mri"].p_value[4, 7] == 1.0


def test_random_pairs_have_no_significant_map(planted):
    model, held_out = planted
    unpaired = Modalities({"mri": held_out["mri"], "pet": held_out["pet"][np.random.default_rng(1).permutation(100)]})
    for found in covariation(model, unpaired, 0, n_permutations=500).values():
        assert (found.q_value < 0.05).sum() <= 2


@pytest.mark.parametrize("size", [1e-12, 1e-200, 1e12])
def test_the_unit_of_the_data_changes_no_p_value(planted, size):
    held_out = planted[1]
    data = Modalities({name: held_out[name] * size for name in held_out.names})
    scaled = AJIVE(signal_ranks=1, joint_rank=1, individual_ranks=0, n_wedin=0, n_random=0).fit(
        {name: data[name] for name in data.names}
    )
    plain = AJIVE(signal_ranks=1, joint_rank=1, individual_ranks=0, n_wedin=0, n_random=0).fit(
        {name: held_out[name] for name in held_out.names}
    )
    expected = covariation(plain, held_out, 0, n_permutations=100)
    for name, found in covariation(scaled, data, 0, n_permutations=100).items():
        np.testing.assert_allclose(np.abs(found.correlation), np.abs(expected[name].correlation), atol=1e-9)
        np.testing.assert_array_equal(found.p_value, expected[name].p_value)


def test_a_missing_value_does_not_remove_its_feature(planted):
    held_out = planted[1]
    arrays = {name: held_out[name].copy() for name in held_out.names}
    arrays["mri"][7, 0, 0] = np.nan
    model = AJIVE(signal_ranks=1, joint_rank=1, individual_ranks=0, n_wedin=0, n_random=0, missing="impute").fit(
        held_out
    )
    whole = covariation(model, held_out, 0, n_permutations=100)["mri"]
    found = covariation(model, Modalities(arrays), 0, n_permutations=100)["mri"]
    assert found.p_value[0, 0] == whole.p_value[0, 0] == pytest.approx(1 / 101)
    assert found.correlation[0, 0] == pytest.approx(whole.correlation[0, 0], abs=0.03)


def test_rounding_does_not_make_a_constant_feature_vary(planted):
    model, held_out = planted
    arrays = {name: held_out[name].copy() for name in held_out.names}
    arrays["mri"][:, 4, 6] = 1e9 / 3
    assert covariation(model, Modalities(arrays), 0, n_permutations=50)["mri"].p_value[4, 6] == 1.0


def test_adjusted_p_values_never_fall():
    p = np.sort(np.random.default_rng(0).uniform(size=50))
    q = false_discovery(p)
    assert (np.diff(q) >= 0).all()
    assert (q >= p - 1e-12).all()  # the largest is p times 50 over 50


def test_overlap_is_that_of_the_strongest_features():
    first = np.arange(10.0)
    mask = np.ones(10, dtype=bool)
    assert dice_of_strongest(first, -first, mask) == 1.0
    assert dice_of_strongest(first, first[::-1], mask) == 0.0
