"""Sessions of one participant stay together when samples are drawn, held out, dealt or permuted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor

from deepjive import AJIVE, Modalities, fill_missing
from deepjive.data.groups import folds_of, in_random_order, members_of, orders_of, rows_of_at_most
from deepjive.evaluation import (
    covariation,
    cross_prediction,
    cross_predictions,
    dependence,
    diagnostics,
    hsic,
    joint_structure_test,
    null,
    probe,
    probes,
    refit_stability,
    refit_test,
    shuffled,
    stability,
)

SESSIONS = 3


def unrelated(seed, n=60):
    """Two modalities that have nothing in common; the three sessions of a participant are alike in each of them."""
    rng, who = np.random.default_rng(1000 + seed), np.repeat(np.arange(n), SESSIONS)
    arrays = {
        name: (rng.normal(size=(n, 2)) @ rng.normal(size=(2, 20)))[who] + 0.3 * rng.normal(size=(n * SESSIONS, 20))
        for name in "ab"
    }
    data, held_out = Modalities(arrays), who >= n // 2
    model = AJIVE(signal_ranks=3, joint_rank=1, individual_ranks=2, n_wedin=0, n_random=0, random_state=0).fit(
        data[~held_out]
    )
    return model, data[held_out], who[held_out]


def alike(rng, n=30, rank=1, noise=0.3):
    """Scores, or numbers that label samples, that are alike in the three sessions of each of n participants."""
    return np.repeat(rng.normal(size=(n, rank)), SESSIONS, axis=0) + noise * rng.normal(size=(n * SESSIONS, rank))


@pytest.mark.parametrize("count", [60, pytest.param(240, marks=pytest.mark.slow)])
def test_p_values_of_pairs_are_uniform_where_participants_have_several_sessions(count):
    apart, together = [], []
    for seed in range(count):
        model, held_out, who = unrelated(seed)
        together.append(joint_structure_test(model, held_out, 19, groups=who, random_state=seed).p_value)
        apart.append(joint_structure_test(model, held_out, 19, random_state=seed).p_value)
    assert np.mean(np.array(together) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)  # three standard errors
    assert abs(np.mean(np.array(together) <= 0.5) - 0.5) < 3 * 0.5 / np.sqrt(count)
    assert np.mean(np.array(apart) <= 0.05) > 0.11  # what sessions give that are permuted one by one


def test_unrelated_modalities_seldom_have_a_significant_map():
    found = []
    for seed in range(60):
        model, held_out, who = unrelated(seed)
        maps = covariation(model, held_out, 0, n_permutations=200, groups=who, random_state=seed)
        found.append(any((one.q_value < 0.05).any() for one in maps.values()))
    assert np.mean(found) < 0.2  # at most .10 for two modalities, and 2.6 standard errors


def test_participants_with_equal_numbers_of_samples_are_permuted_and_keep_their_order():
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


def test_with_one_sample_for_each_participant_orders_are_those_without_groups():
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


def test_whole_participants_with_equal_numbers_of_samples_are_shuffled_in_each_modality():
    who = np.array(list("cadbacebadcebdghghf"))
    rows = Modalities({name: np.arange(len(who))[:, None] for name in "ab"})
    mixed = shuffled(rows, np.random.RandomState(0), who)
    for name in "ab":
        order = mixed[name][:, 0]
        assert sorted(order) == list(range(len(who)))
        assert all(len(set(who[order[who == one]])) == 1 for one in set(who))
        assert order[-1] == len(who) - 1  # the only one with one sample
    assert (mixed["a"] != mixed["b"]).any()


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_refits_shuffle_whole_participants_on_both_sides(names, monkeypatch):
    who, held_out_who = np.repeat(np.arange(10), SESSIONS), np.repeat(np.arange(20, 28), SESSIONS)
    rows = [Modalities({name: np.arange(len(one))[:, None] for name in names}) for one in (who, held_out_who)]
    moved = []

    def recorded(model, data):
        for some, groups in ((model, who), (data, held_out_who)):
            np.testing.assert_array_equal(some.groups, groups)
            for name in names:
                order = some[name][:, 0]
                assert all(len(set(groups[order[groups == one]])) == 1 for one in set(groups))
                moved.append((order != np.arange(len(groups))).any())
        return dict.fromkeys(names, 0.0)

    monkeypatch.setattr(null, "refitted", lambda model, data, **_: data)
    monkeypatch.setattr(null, "explained_by", recorded)
    refit_test(
        SimpleNamespace(needs_all_modalities=False), *rows, 3, groups=who, held_out_groups=held_out_who, random_state=0
    )
    assert any(moved)


def test_refits_take_participants_of_both_sides_and_none_on_both():
    model, held_out, who = unrelated(0)
    half = len(who) // 2
    with pytest.raises(
        ValueError, match=r"Only groups was given, or is known of the data. .* give both groups and held_out_groups"
    ):
        refit_test(model, held_out[:half], held_out[half:], 1, groups=who[:half])
    with pytest.raises(
        ValueError, match=r"Participants \['44'\] have samples both among those fitted and .*\(1 in all\)"
    ):
        refit_test(
            model,
            held_out[: half - 1],
            held_out[half - 1 :],
            1,
            groups=who[: half - 1],
            held_out_groups=who[half - 1 :],
        )


def test_no_fold_splits_a_participant_and_each_is_held_out_once():
    who = np.array(list("cadbacebadcebdghghf"))
    folds = folds_of(len(who), who, 4, 0)
    assert all(not set(who[train]) & set(who[test]) for train, test in folds)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(who)))
    with pytest.raises(ValueError, match="at least 9 participants, but there are 8"):
        folds_of(len(who), who, 9, 0)


def test_folds_of_samples_are_those_of_scikit_learn():
    expected = KFold(5, shuffle=True, random_state=3).split(np.zeros(33))
    for found, one in zip(folds_of(33, None, 5, 3), expected, strict=True):
        for rows, those in zip(found, one, strict=True):
            np.testing.assert_array_equal(rows, those)


def test_subsets_of_many_samples_have_whole_and_enough_participants():
    who = np.repeat(np.arange(50), SESSIONS)
    drawn = rows_of_at_most(100, in_random_order(len(who), who, np.random.RandomState(0)))
    assert len(drawn) == 33 * SESSIONS
    assert np.unique(who[drawn], return_counts=True)[1].tolist() == [SESSIONS] * 33
    trials = np.repeat(np.arange(30), 100)
    drawn = rows_of_at_most(100, members_of(len(trials), trials))
    assert np.unique(trials[drawn], return_counts=True)[1].tolist() == [5] * 20
    assert drawn[:5].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("nobody", ["", None, np.nan])
def test_a_sample_without_a_participant_is_refused(nobody):
    who = np.array([*"abcdef", nobody, *"ab"], dtype=object)
    with pytest.raises(ValueError, match=r"the participant of 1 of 9 samples, the first of which is number 7"):
        members_of(9, who)


def test_too_few_participants_and_groups_of_another_length_are_named():
    model, held_out, who = unrelated(0)
    few = SESSIONS * 4
    with pytest.raises(
        ValueError, match=r"Of 4 participants, 4 can be permuted, in 24 orders, but at least 120 orders"
    ):
        joint_structure_test(model, held_out[:few], groups=who[:few])
    with pytest.raises(
        ValueError, match=r"Of 4 participants, 4 can be permuted, in 24 orders, but at least 120 orders"
    ):
        covariation(model, held_out[:few], 0, groups=who[:few])
    for test in (joint_structure_test, lambda *args, **more: covariation(*args, 0, **more)):
        with pytest.raises(ValueError, match="groups has 5 entries, but there are 90 samples"):
            test(model, held_out, groups=who[:5])


def test_p_values_of_probes_are_uniform_where_participants_have_several_sessions(monkeypatch):
    monkeypatch.setattr(probes, "_estimator", lambda *_: LinearRegression())  # a network takes a second
    who, apart, together = np.repeat(np.arange(30), SESSIONS), [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        fitted, age, held_out, held_out_age = (alike(rng) for _ in range(4))
        given = (fitted, age[:, 0], held_out, held_out_age[:, 0])
        together.append(probe(*given, n_permutations=19, groups=who, random_state=seed).p_linear)
        apart.append(probe(*given, n_permutations=19, random_state=seed).p_linear)
    assert np.mean(np.array(together) <= 0.05) < 0.05 + 0.066  # three standard errors of 100 draws
    assert abs(np.mean(np.array(together) <= 0.5) - 0.5) < 0.15
    assert np.mean(np.array(apart) <= 0.05) > 0.13  # what sessions give that are permuted one by one


def test_cross_validated_probes_do_not_recognize_participants():
    rng, who = np.random.default_rng(0), np.repeat(np.arange(30), SESSIONS)
    scores, group = alike(rng, rank=8, noise=0.1), np.repeat(rng.permutation(30) % 2, SESSIONS)
    age = np.repeat(rng.normal(size=30), SESSIONS)
    for labels, chance in ((group, 0.5), (age, 0.0)):
        assert probe(scores, labels, n_permutations=1).network > 0.8
        assert probe(scores, labels, n_permutations=1, groups=who).network < chance + 0.15


def test_labels_are_permuted_by_participant_in_cross_validation(monkeypatch):
    dealt = []

    class Recorded(LinearRegression):
        def fit(self, x, y):
            dealt.append((x[:, 0], y))
            return super().fit(x, y)

    monkeypatch.setattr(probes, "_estimator", lambda *_: Recorded())
    who = np.repeat(np.arange(10.0), SESSIONS)
    probe(who[:, None], who + 0.5, n_permutations=3, groups=who)
    assert any((x + 0.5 != y).any() for x, y in dealt)
    for x, y in dealt:
        assert all(len(set(y[x == one])) == 1 for one in set(x))


def test_participants_of_samples_without_a_label_are_left_out():
    rng, who = np.random.default_rng(0), np.repeat(np.arange(12), SESSIONS)
    scores, labels = alike(rng, 12), np.where(alike(rng, 12)[:, 0] > 0, "a", "b")
    labels[1:7] = ""
    found = probe(scores, labels, scores, labels, n_permutations=19, groups=who)
    rest = labels != ""
    given = (scores[rest], labels[rest])
    assert found == probe(*given, *given, n_permutations=19, groups=who[rest])
    with pytest.raises(ValueError, match="groups has 5 entries, but there are 36 samples"):
        probe(scores, labels, groups=who[:5])


def test_p_values_of_dependence_are_uniform_where_participants_have_several_sessions():
    who, apart, together = np.repeat(np.arange(30), SESSIONS), [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        given = (alike(rng, rank=2), alike(rng, rank=2), 19)
        together.append(hsic(*given, groups=who, random_state=seed).p_value)
        apart.append(hsic(*given, random_state=seed).p_value)
    assert np.mean(np.array(together) <= 0.05) < 0.05 + 0.066  # three standard errors of 100 draws
    assert abs(np.mean(np.array(together) <= 0.5) - 0.5) < 0.15
    assert np.mean(np.array(apart) <= 0.05) > 0.8  # what sessions give that are permuted one by one


def test_dependence_of_many_scores_uses_whole_participants(monkeypatch):
    rng, who = np.random.default_rng(0), np.repeat(np.arange(30), SESSIONS)
    scores, others = alike(rng), alike(rng)
    monkeypatch.setattr(dependence, "MAX_SAMPLES", 40)
    order = np.random.RandomState(2).permutation(30)[:20]  # two sessions each, so that there are 20 participants
    kept = np.concatenate([np.flatnonzero(who == one)[:2] for one in order])
    expected = hsic(scores[kept], others[kept], 0, groups=who[kept])
    assert hsic(scores, others, 0, groups=who, random_state=2) == expected


def test_scores_that_only_identify_the_participant_predict_nothing():
    who, rng = np.repeat(np.arange(30), SESSIONS), np.random.default_rng(0)
    source, target = alike(rng, rank=2, noise=0.05), alike(rng, rank=2, noise=0.05)
    assert cross_prediction(source, target) > 0.15
    # Leaving out single sessions, the penalty would be chosen too small: R2 would be below -1.
    assert -0.4 < cross_prediction(source, target, groups=who) < 0.05
    curved = np.abs(2 * source[:, :1])
    assert cross_prediction(source, curved, groups=who) > 0.6


def test_other_regressors_are_tested_on_unseen_participants():
    rng, who = np.random.default_rng(0), np.repeat(np.arange(30), SESSIONS)
    source, target = alike(rng, rank=2, noise=0.01), alike(rng, rank=2, noise=0.01)
    nearest = KNeighborsRegressor(1)
    assert cross_prediction(source, target, regressor=nearest) > 0.9
    assert cross_prediction(source, target, regressor=nearest, groups=who) < 0.0
    with pytest.raises(ValueError, match="at least 5 participants, but there are 4"):
        cross_prediction(source[:12], target[:12], groups=who[:12])


def test_parts_of_a_decomposition_are_compared_by_participant(monkeypatch):
    monkeypatch.setattr("deepjive.evaluation.score_prediction.fresh_regressor", lambda *_: LinearRegression())
    model, held_out, who = unrelated(0)
    present = np.ones((len(who), 2), dtype=bool)
    present[:SESSIONS, 1] = False
    gapped = Modalities({name: held_out[name] for name in held_out.names}, present=present)
    model = AJIVE(
        signal_ranks=3, joint_rank=1, individual_ranks=2, n_wedin=0, n_random=0, missing="impute", random_state=0
    ).fit(held_out)
    first = cross_predictions(model.decompose(gapped), n_permutations=19, groups=who)[0]
    parts = model.decompose(held_out[SESSIONS:])
    scores, rest = (parts.joint_scores, parts.individual_scores["a"]), who[SESSIONS:]
    assert first.r2 == pytest.approx(cross_prediction(*scores, groups=rest))
    assert first.p_value == hsic(*scores, 19, groups=rest, random_state=0).p_value


def test_other_samples_of_stability_are_whole_participants(monkeypatch):
    model, _, _ = unrelated(0)
    who = np.repeat(np.arange(20), SESSIONS)
    rows, drawn = Modalities({name: np.arange(60.0)[:, None] for name in "ab"}), []

    def recorded(model, data, **_):
        drawn.append(who[data["a"][:, 0].astype(int)])
        return model

    class Model:
        is_stochastic = False

        def decompose(self, data):
            return model.decompose(Modalities({name: np.random.default_rng(0).normal(size=(30, 20)) for name in "ab"}))

    monkeypatch.setattr(refit_stability, "refitted", recorded)
    stability(Model(), rows, rows, 3, groups=who)
    for participants in drawn:
        assert np.unique(participants, return_counts=True)[1].tolist() == [SESSIONS] * 13  # 63.2% of 20
        assert list(participants) == sorted(participants)
    assert len({tuple(participants) for participants in drawn}) == 3


def test_scores_that_only_identify_the_participant_do_not_leak(monkeypatch):
    who, empty = np.repeat(np.arange(30), SESSIONS), {name: np.zeros((30 * SESSIONS, 1)) for name in "ab"}
    rng = np.random.default_rng(0)
    joint, *own = (alike(rng, rank=2, noise=0.1) for _ in range(3))
    apart, together = (
        SimpleNamespace(
            data=Modalities(empty, groups=groups),
            joint_scores=joint,
            subset_scores={},
            individual_scores=dict(zip("ab", own, strict=True)),
        )
        for groups in (None, who)
    )
    assert list(diagnostics._leaks(apart, 0))
    assert not list(diagnostics._leaks(together, 0))
    with monkeypatch.context() as patch:
        patch.setattr(diagnostics, "cross_prediction", lambda *_, **__: 1.0)  # so that dependence alone decides
        assert len(list(diagnostics._leaks(apart, 0))) == 4
        assert not list(diagnostics._leaks(together, 0))


def test_diagnostics_use_whole_participants(monkeypatch):
    model, held_out, who = unrelated(0)
    halves, drawn = [], []

    class Recorded(PCA):
        def fit(self, x):
            halves.append(who[[int(np.flatnonzero((rows == one).all(axis=1))[0]) for one in x]])
            return super().fit(x)

    def recorded(model, data, n_permutations, *, random_state):
        drawn.append(data.groups)
        return joint_structure_test(model, data, n_permutations, random_state=random_state)

    rows = held_out["a"]
    monkeypatch.setattr("sklearn.decomposition.PCA", Recorded)
    diagnostics._explained_by_components(rows, 2, who, 0)
    assert np.unique(halves[0], return_counts=True)[1].tolist() == [SESSIONS] * 15
    monkeypatch.undo()
    monkeypatch.setattr(diagnostics, "MAX_SAMPLES", 40)
    monkeypatch.setattr(diagnostics, "joint_structure_test", recorded)
    order = np.random.default_rng(0).permutation(len(who))
    diagnostics.diagnose(model, held_out[order], groups=who[order])
    assert np.unique(drawn[0], return_counts=True)[1].tolist() == [2] * 20  # cut, so that there are 20 of them


def test_diagnostics_use_enough_participants():
    model, held_out, who = unrelated(0)
    with pytest.raises(ValueError, match="Of 4 participants, 4 can be permuted, in 24 orders"):
        diagnostics.diagnose(model, held_out[:24], groups=who[:24] // 2)
    with pytest.raises(ValueError, match="groups has 5 entries, but there are 90 samples"):
        diagnostics.diagnose(model, held_out, groups=who[:5])


def test_participants_stay_with_samples_whose_gaps_are_filled():
    _, held_out, who = unrelated(0)
    arrays = {name: np.where(np.arange(20) == 3, np.nan, held_out[name]) for name in "ab"}
    arrays["a"][:, 3] = held_out["a"][:, 3]
    arrays["b"][1:, 3] = held_out["b"][1:, 3]
    np.testing.assert_array_equal(fill_missing(Modalities(arrays, groups=who)).groups, who)
