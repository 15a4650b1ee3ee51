"""Family-wise p-values of voxels and clusters: power where there is an effect, and error where there is none."""

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation import covariation
from deepjive.evaluation.clusters import clusters_of, family_wise, forming_threshold


def maps_of(seed, strength, n=30, shape=(7, 7, 7), n_permutations=100):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    x = rng.normal(size=(n, *shape))
    x[:, 1:4, 1:4, 1:4] += strength * score[:, None, None, None]
    score = (score - score.mean()) / score.std()
    x = x.reshape(n, -1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    permuted = np.stack([rng.permutation(score) for _ in range(n_permutations)])
    return family_wise(x, score @ x / n, permuted, shape)


def test_a_block_of_weak_voxels_is_a_significant_cluster_and_few_other_voxels_are():
    family_p, cluster_p = maps_of(0, 1.0)
    inside = np.zeros((7, 7, 7), dtype=bool)
    inside[1:4, 1:4, 1:4] = True
    assert (cluster_p[inside] < 0.05).mean() > 0.6
    assert (cluster_p[inside] < 0.05).sum() >= (family_p[inside] < 0.05).sum()
    assert (cluster_p[~inside] < 0.05).mean() < 0.02


def test_without_effect_one_map_in_twenty_has_a_significant_voxel_or_cluster():
    found = np.array([[p.min() <= 0.05 for p in maps_of(seed, 0.0, 20, (5, 5, 5), 59)] for seed in range(200)])
    assert (found.mean(axis=0) < 0.1).all()  # 0.05 plus three standard errors of 200 maps
    assert found[:, 0].mean() > 0.015


def test_clusters_of_both_signs_are_apart_and_corners_are_no_neighbours():
    values = np.zeros((4, 4, 4))
    values[0, 0, 0], values[0, 0, 1], values[1, 1, 1], values[3, 3, 3] = 0.9, -0.9, 0.9, 0.9
    found = clusters_of(values, 0.5)
    assert len(found.mass) == 4
    values[0, 1, 1] = 0.9  # shares an edge with the first voxel, and a face with the third one
    assert len(clusters_of(values, 0.5).mass) == 3


def test_the_threshold_is_that_of_a_published_table_of_correlations():
    assert forming_threshold(22) == pytest.approx(0.652, abs=5e-4)  # Fisher and Yates: 20 degrees of freedom, .001
    assert forming_threshold(3) == 1.0


def test_covariation_has_family_wise_values_if_they_are_asked_for():
    rng = np.random.default_rng(0)
    score = rng.normal(size=(60, 1))
    image = rng.normal(size=(60, 8, 8))
    image[:, 2:5, 2:5] += 2 * score[:, :, None]
    data = Modalities({"image": image, "table": score @ np.ones((1, 6)) + rng.normal(size=(60, 6))})
    model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, random_state=0).fit(data[:30])
    maps = covariation(model, data[30:], 0, n_permutations=199, clusters=True)
    assert (maps["image"].cluster_p[2:5, 2:5] < 0.05).all()
    assert (maps["image"].family_p >= maps["image"].p_value - 1e-12).all()
    assert maps["table"].cluster_p is None  # features of a table have no neighbours
    assert {"family_p", "cluster_p"} <= set(maps["image"].to_frame())
    plain = covariation(model, data[30:], 0, n_permutations=199)
    assert plain["image"].cluster_p is None
    np.testing.assert_array_equal(plain["image"].p_value, maps["image"].p_value)
