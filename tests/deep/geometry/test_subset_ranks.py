"""Ranks of subsets: those of AJIVE where relations are linear, and by held-out prediction where they are curved."""

import numpy as np

from deepjive import AJIVE, Modalities
from deepjive.data.groups import folds_of
from deepjive.deep.geometry.subset_ranks import FOLDS, linear_parts, select_subset_ranks
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


def curved(n: int = 250, width: int = 20) -> Modalities:
    """Sinusoids of a score of all modalities and of a score of a and b."""
    rng = np.random.default_rng(1)
    joint, pair = rng.uniform(-1, 1, size=(2, n, 1))
    data = {}
    for name in NAMES:
        parts = []
        for score in (joint, pair)[: 1 if name == "c" else 2]:
            part = np.sin(score * rng.uniform(0.5, 3.0, width) + rng.uniform(0, 2 * np.pi, width))
            parts.append((part - part.mean(axis=0)) / part.std())
        data[name] = sum(parts) + 0.5 * rng.normal(size=(n, width))
    return Modalities(data)


def chain(seed: int, n: int = 400, width: int = 40) -> Modalities:
    """Three weak scores of a and b, one of a and c, and two strong ones of b and c."""
    rng = np.random.default_rng(seed)
    scores = {"ab": rng.normal(size=(n, 3)), "ac": rng.normal(size=(n, 1)), "bc": 6.0 * rng.normal(size=(n, 2))}
    data = {}
    for name in NAMES:
        held = [score @ rng.normal(size=(score.shape[1], width)) for pair, score in scores.items() if name in pair]
        data[name] = sum(held) + 2.0 * rng.normal(size=(n, width))
    return Modalities(data)


def test_a_strong_score_of_two_modalities_does_not_count_as_joint():
    data = simulate(6.0)
    chosen = select_subset_ranks(data, checked_subsets("auto", NAMES))
    assert chosen.subset_ranks == {NAMES: 1, ("a", "b"): 1, ("a", "c"): 0, ("b", "c"): 0}
    assert chosen.straight == ("a", "b")
    assert "ranks of AJIVE, because linear scores are enough for what a+b have in common" in chosen.reason()


def test_ranks_of_curved_relations_follow_from_prediction():
    data = curved()
    chosen = select_subset_ranks(data, checked_subsets("auto", NAMES))
    assert chosen.subset_ranks == {NAMES: 1, ("a", "b"): 1, ("a", "c"): 0, ("b", "c"): 0}
    assert chosen.straight is None
    assert "common to a+b+c" in chosen.selection.table()["part"]
    linear = AJIVE(subsets="auto", random_state=0).fit(data)
    assert sum(linear.subset_ranks_.values()) > 2


def test_pairs_that_share_other_scores_have_nothing_in_common_with_a_third_modality():
    """Scores of a pair contain a little of what one of them shares with a third modality, which predicts them."""
    for seed in range(4):
        data = chain(seed)
        chosen = select_subset_ranks(data, checked_subsets("auto", NAMES), individual_ranks=dict.fromkeys(NAMES, 0))
        assert chosen.subset_ranks == {NAMES: 0, ("a", "b"): 3, ("a", "c"): 1, ("b", "c"): 2}


def test_scores_of_participants_are_no_shared_structure_because_visits_repeat_them():
    """Eight visits of 25 participants are not 200 independent samples."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        participant = np.repeat(np.arange(25), 8)
        data = {name: (3 * rng.normal(size=(25, 3)))[participant] @ rng.normal(size=(3, 10)) for name in NAMES}
        data = {name: values + rng.normal(size=values.shape) for name, values in data.items()}
        visits = Modalities(data, groups=participant)
        chosen = select_subset_ranks(visits, checked_subsets("auto", NAMES), individual_ranks=dict.fromkeys(NAMES, 0))
        assert not any(chosen.subset_ranks.values())


def test_linear_parts_of_a_modality_that_varies_in_few_samples_are_those_of_all_samples():
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=(60, 5)) for name in NAMES}
    data["c"] = np.eye(60)[:, [5]]
    parts = linear_parts(Modalities(data), {NAMES: 0, ("a", "b"): 1}, seed=0)
    assert np.isfinite(parts["a", "b"]["a"]).all()


def test_a_modality_has_no_more_scores_than_features():
    data = dict(simulate(2.0).items())
    data["c"] = data["c"][:, :1]
    chosen = select_subset_ranks(Modalities(data), checked_subsets("auto", NAMES))
    assert chosen.subset_ranks[NAMES] == 1
    assert chosen.individual_ranks["c"] == 0


def test_the_reason_names_chosen_ranks_alone():
    given = {("a", "b"): 1, ("a", "c"): 0}
    chosen = select_subset_ranks(simulate(2.0), given, individual_ranks=dict.fromkeys(NAMES, 0))
    assert chosen.subset_ranks == {NAMES: 1, **given}
    assert "Subsets: a+b+c 1. These are the ranks of AJIVE" in chosen.reason()


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


def test_linear_parts_of_a_sample_are_of_a_fit_without_it():
    """Joint scores of a fit contain noise of c; what the parts of that fit leave of a would be correlated with it."""
    ranks, data = {NAMES: 1, ("a", "b"): 1}, simulate(3.0)
    before = linear_parts(data, ranks, seed=0)
    rows = next(test for _, test in folds_of(len(data), None, FOLDS, 0) if 0 in test)
    changed = {name: np.array(values) for name, values in data.items()}
    changed["c"][0] += 50.0
    after = linear_parts(Modalities(changed), ranks, seed=0)
    same, other = rows[rows != 0], np.setdiff1d(np.arange(len(data)), rows)
    assert np.array_equal(after["a", "b"]["a"][same], before["a", "b"]["a"][same])
    assert not np.allclose(after["a", "b"]["a"][other], before["a", "b"]["a"][other])


def test_linear_parts_of_visits_are_found_from_all_visits():
    """They are no claim about what is shared; too few participants for that claim must not leave them out."""
    rng = np.random.default_rng(0)
    participant = np.repeat(np.arange(41), 4)
    pair = (2 * rng.normal(size=(41, 20)))[participant] + rng.normal(size=(164, 20))
    data = {name: rng.normal(size=(164, 60)) for name in NAMES}
    for name in ("a", "b"):
        data[name] = data[name] + pair @ rng.normal(size=(20, 60))
    visits = Modalities(data, groups=participant)
    parts = linear_parts(visits, {NAMES: 0, ("a", "b"): 20}, seed=0)
    assert parts["a", "b"]["a"].std() > 0.8 * data["a"].std()
