"""Ranks of subsets by held-out prediction."""

import numpy as np

from deepjive import Modalities
from deepjive.deep.geometry.subset_ranks import linear_parts, select_subset_ranks
from deepjive.subsets import checked_subsets

NAMES = ("a", "b", "c")


def simulate(pair_strength: float, n: int = 150, width: int = 10) -> Modalities:
    """A joint score, and a score of a and b alone that may be much stronger."""
    rng = np.random.default_rng(0)
    joint, pair = rng.normal(size=(n, 1)), pair_strength * rng.normal(size=(n, 1))
    data = {}
    for name in NAMES:
        data[name] = 2 * joint @ rng.normal(size=(1, width)) + rng.normal(size=(n, width))
        if name != "c":
            data[name] = data[name] + pair @ rng.normal(size=(1, width))
    return Modalities(data)


def test_a_strong_score_of_two_modalities_does_not_count_as_joint():
    data = simulate(6.0)
    chosen = select_subset_ranks(data, checked_subsets("auto", NAMES))
    assert chosen.subset_ranks == {NAMES: 1, ("a", "b"): 1, ("a", "c"): 0, ("b", "c"): 0}
    assert "common to a+b+c" in chosen.selection.table()["part"]


def test_given_ranks_are_kept_and_need_no_search():
    data = simulate(2.0)
    known = {("a", "b"): 1, ("b", "c"): 0}
    chosen = select_subset_ranks(data, known, joint_rank=1, individual_ranks=dict.fromkeys(NAMES, 2))
    assert chosen.subset_ranks == {NAMES: 1, **known}
    assert chosen.selection.curves == {}


def test_linear_parts_are_those_of_the_subsets():
    data = simulate(6.0)
    parts = linear_parts(data, {NAMES: 1, ("a", "b"): 1, ("b", "c"): 0}, seed=0)
    assert list(parts["a", "b"]) == ["a", "b"]
    assert np.linalg.norm(parts["a", "b"]["a"]) > np.linalg.norm(parts[NAMES]["a"])
