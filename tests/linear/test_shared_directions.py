"""Directions that some modalities have in common: what counts as chance."""

import numpy as np
import pytest

from deepjive.linear.bounds import random_direction_samples
from deepjive.linear.shared_directions import chance_squared_cosine


@pytest.mark.parametrize(("rank_a", "rank_b", "free"), [(1, 1, 99), (1, 6, 40), (8, 8, 99), (12, 5, 60)])
def test_about_one_in_a_thousand_random_pairs_is_closer(rank_a, rank_b, free):
    cosines = random_direction_samples(sorted((rank_a, rank_b)), free, 4000, np.random.default_rng(0)) - 1.0
    share = np.mean(cosines**2 > chance_squared_cosine(rank_a, rank_b, free))
    assert 0.0 <= share <= 0.003  # four draws expected, of a Poisson law
    assert np.mean(cosines**2 > 0.85 * chance_squared_cosine(rank_a, rank_b, free)) > 0.0


def test_subspaces_that_fill_the_space_have_directions_in_common_by_necessity():
    assert chance_squared_cosine(10, 12, 20) == 1.0
    assert chance_squared_cosine(10, 8, 20) < 1.0
