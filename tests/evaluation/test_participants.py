"""Sessions of one participant stay together when samples are permuted."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation.covariation import covariation
from deepjive.evaluation.null import joint_structure_test
from deepjive.evaluation.participants import orders_of

SESSIONS = 3


def unrelated(seed, n=60):
    """Two modalities that have nothing in common; the three sessions of a participant are alike in each of them."""
    rng, who = np.random.default_rng(1000 + seed), np.repeat(np.arange(n), SESSIONS)
    arrays = {
        name: (rng.normal(size=(n, 2)) @ rng.normal(size=(2, 20)))[who] + 0.3 * rng.normal(size=(n * SESSIONS, 20))
        for name in "ab"
    }
    data, held_out = Modalities(arrays), who >= n // 2
    model = AJIVE(3, joint_rank=1, individual_ranks=2, n_wedin=0, n_random=0, random_state=0).fit(data[~held_out])
    return model, data[held_out], who[held_out]


def test_p_values_of_pairs_are_uniform_where_participants_have_several_sessions():
    apart, together = [], []
    for seed in range(120):
        model, held_out, who = unrelated(seed)
        together.append(joint_structure_test(model, held_out, 99, groups=who, random_state=seed).p_value)
        apart.append(joint_structure_test(model, held_out, 99, random_state=seed).p_value)
    assert np.mean(np.array(together) <= 0.05) < 0.05 + 0.06  # three standard errors of 120 draws
    assert abs(np.mean(np.array(together) <= 0.5) - 0.5) < 0.14
    assert np.mean(np.array(apart) <= 0.05) > 0.11  # what sessions give that are permuted one by one


def test_unrelated_modalities_have_a_map_in_few_of_the_cases():
    found = []
    for seed in range(60):
        model, held_out, who = unrelated(seed)
        maps = covariation(model, held_out, 0, n_permutations=200, groups=who, random_state=seed)
        found.append(any((one.q_value < 0.05).any() for one in maps.values()))
    assert np.mean(found) < 0.2  # at most .10 for two modalities, and 2.6 standard errors


def test_participants_with_as_many_samples_change_places_and_keep_their_order():
    who = np.array(list("cadbacebadcebdghghf"))
    draw, stayed = orders_of(len(who), who, np.random.RandomState(0)), 0
    for _ in range(20):
        order = draw()
        assert sorted(order) == list(range(len(who)))
        for one in set(who):
            taken = order[who == one]
            assert len(set(who[taken])) == 1
            assert list(taken) == sorted(taken)
            assert (who == who[taken[0]]).sum() == len(taken)
        assert order[-1] == len(who) - 1  # the only one with one sample
        stayed += int((order == np.arange(len(who))).all())
    assert stayed < 20


def test_with_one_sample_each_orders_are_those_without_groups():
    named = np.random.default_rng(0).permutation(30)
    orders = [orders_of(30, groups, np.random.RandomState(5))() for groups in (None, named)]
    np.testing.assert_array_equal(*orders)


def test_groups_are_those_of_the_complete_samples():
    model, held_out, who = unrelated(0)
    present = np.ones((len(who), 2), dtype=bool)
    present[:SESSIONS, 1] = False
    gapped = Modalities({name: held_out[name] for name in held_out.names}, present=present)
    found = joint_structure_test(model, gapped, 19, groups=who, random_state=0)
    assert found == joint_structure_test(model, held_out[SESSIONS:], 19, groups=who[SESSIONS:], random_state=0)


def test_too_few_participants_and_groups_of_another_length_are_named():
    model, held_out, who = unrelated(0)
    few = SESSIONS * 4
    with pytest.raises(ValueError, match=r"Of 4 participants, 4 can, in 24 orders, but at least 120 are needed"):
        joint_structure_test(model, held_out[:few], groups=who[:few])
    with pytest.raises(ValueError, match=r"Of 4 participants, 4 can, in 24 orders, but at least 120 are needed"):
        covariation(model, held_out[:few], 0, groups=who[:few])
    for test in (joint_structure_test, lambda *args, **more: covariation(*args, 0, **more)):
        with pytest.raises(ValueError, match="groups has 5 entries, but there are 90 samples"):
            test(model, held_out, groups=who[:5])
