import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation.covariation import covariation, dice_of_strongest, effect_maps, false_discovery


@pytest.fixture(scope="module")
def planted():
    """Half of the features of each modality follow the joint score; the others, and one that is constant, do not."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 1))
    slopes = np.r_[np.full(20, 1.0), np.zeros(20)]
    arrays = {name: (z * slopes + rng.normal(size=(300, 40))).reshape(300, 5, 8) for name in ("mri", "pet")}
    arrays["mri"][:, 4, 7] = 0.0
    data = Modalities(arrays)
    return AJIVE(1, 1, 0, random_state=0).fit(data[:200]), data[200:]


def test_effects_are_the_change_for_one_standard_deviation(planted):
    model, held_out = planted
    for found in effect_maps(model, model.transform(held_out), 0).values():
        assert np.abs(np.abs(found.ravel()[:20]) - 1).max() < 0.3
        assert np.abs(found.ravel()[20:]).max() < 0.3


def test_what_follows_the_score_is_significant_and_little_else(planted):
    for found in covariation(*planted, 0, n_permutations=500).values():
        q = found.q_value.ravel()
        assert (q[:20] < 0.05).all()
        assert (q[20:] < 0.05).sum() <= 3
    assert covariation(*planted, 0, n_permutations=50)["mri"].p_value[4, 7] == 1.0


def test_pairs_at_random_have_no_map(planted):
    model, held_out = planted
    unpaired = Modalities({"mri": held_out["mri"], "pet": held_out["pet"][np.random.default_rng(1).permutation(100)]})
    for found in covariation(model, unpaired, 0, n_permutations=500).values():
        assert (found.q_value < 0.05).sum() <= 2


def test_adjusted_p_values_never_fall():
    p = np.sort(np.random.default_rng(0).uniform(size=50))
    q = false_discovery(p)
    assert (np.diff(q) >= 0).all()
    assert (q >= p - 1e-12).all()  # the largest is p times 50 over 50


def test_overlap_of_the_strongest():
    first = np.arange(10.0)
    mask = np.ones(10, dtype=bool)
    assert dice_of_strongest(first, -first, mask) == 1.0
    assert dice_of_strongest(first, first[::-1], mask) == 0.0
