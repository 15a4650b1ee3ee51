"""Linear models with subsets: variation shared by some of three modalities."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import deepjive as dj
from deepjive import AJIVE, HeteroJIVE, Modalities
from deepjive.evaluation import refitted, rotate
from deepjive.linear import structured
from deepjive.linear.svd import Reduced
from deepjive.subsets import EmptySubsetWarning

NAMES = ("a", "b", "c")
RANKS = {NAMES: 1, ("a", "b"): 2, ("b", "c"): 1, ("a",): 1, ("c",): 2}


def simulate(seed: int = 0, n: int = 120, width: int = 40, ranks: dict | None = None) -> tuple[dict, dict]:
    """Modalities and their true parts; every component is about three times as strong as the noise's largest."""
    rng = np.random.default_rng(seed)
    data, parts = {name: rng.normal(size=(n, width)) for name in NAMES}, {}
    strength = 3 * (np.sqrt(n) + np.sqrt(width))
    for subset, rank in (RANKS if ranks is None else ranks).items():
        x = rng.normal(size=(n, rank))
        scores = np.linalg.qr(x - x.mean(axis=0))[0]
        for name in subset:
            parts[subset, name] = strength * scores @ np.linalg.qr(rng.normal(size=(width, rank)))[0].T
            data[name] = data[name] + parts[subset, name]
    return data, parts


@pytest.fixture(scope="module")
def made() -> tuple[dict, dict]:
    return simulate()


@pytest.fixture(scope="module")
def model(made) -> AJIVE:
    return AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(made[0])


def test_ranks_of_all_subsets_are_found(model):
    assert model.subset_ranks_ == {NAMES: 1, ("a", "b"): 2, ("a", "c"): 0, ("b", "c"): 1}
    assert model.individual_ranks_ == {"a": 1, "b": 0, "c": 2}
    assert model.joint_rank_ == 1


def test_parts_are_recovered_and_add_up(made, model):
    data, truth = made
    parts = model.decompose(data)
    for (subset, name), part in truth.items():
        found = (
            parts.joint[name] - parts.mean[name]
            if subset == NAMES
            else parts.individual[name]
            if len(subset) == 1
            else parts.subset[subset][name]
        )
        error = np.sum((found - part) ** 2) / np.sum(part**2)
        assert error < 0.25, (subset, name)  # noise is a ninth of a component's energy in each of its directions
    for name in NAMES:
        of_subsets = sum(part[name] for subset, part in parts.subset.items() if name in subset)
        whole = parts.joint[name] + of_subsets + parts.individual[name] + parts.residual[name]
        np.testing.assert_allclose(whole, data[name], atol=1e-9)


def test_fitted_samples_get_the_scores_of_the_fit(made, model):
    parts = model.decompose(made[0])
    np.testing.assert_allclose(parts.joint_scores, model.joint_scores_, atol=1e-8)
    for subset, scores in model.subset_scores_.items():
        np.testing.assert_allclose(parts.subset_scores[subset], scores, atol=1e-8)
    every = np.concatenate([parts.joint_scores, *parts.subset_scores.values(), *parts.individual_scores.values()], 1)
    np.testing.assert_allclose(every.T @ every / len(every), np.eye(every.shape[1]), atol=1e-6)


def test_variance_explained_has_the_subsets_of_a_modality(made, model):
    assert list(model.variance_explained_["a"]) == ["joint", "a+b", "individual", "residual"]
    assert list(model.variance_explained_["b"]) == ["joint", "a+b", "b+c", "individual", "residual"]
    of_samples = model.decompose(made[0]).variance_explained
    for name, fractions in model.variance_explained_.items():
        assert sum(fractions.values()) == pytest.approx(1.0)
        assert fractions == pytest.approx(of_samples[name], abs=1e-6)


def test_a_missing_modality_is_predicted_from_every_subset_that_holds_it():
    data, truth = simulate(n=240)
    train, test = ({name: x[rows] for name, x in data.items()} for rows in (slice(160), slice(160, None)))
    with_subsets = AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(train)
    without = AJIVE(random_state=0, n_wedin=100, n_random=100).fit(train)
    predicted = {name: test[name] for name in ("b", "c")}
    shared = sum(part[160:] for (subset, name), part in truth.items() if name == "a" and len(subset) > 1)

    def error(model):
        return np.sum((model.impute(predicted, "a") - model.mean_["a"] - shared) ** 2) / np.sum(shared**2)

    assert error(with_subsets) < 0.3 < error(without)  # two of the three shared components are shared with b alone
    assert with_subsets.score(test) > without.score(test) + 0.1


def test_a_modality_says_nothing_of_subsets_that_do_not_hold_it(made, model):
    of_c = model.decompose({"c": made[0]["c"]}).subset_scores
    assert np.abs(of_c["a", "b"]).max() < 1e-6
    assert np.abs(of_c["b", "c"]).max() > 0.5
    assert not model.structured_.joint_loadings_["c"][model._shared_columns["a", "b"]].any()


def test_a_saved_model_is_the_same(tmp_path, made, model):
    model.save(tmp_path)
    loaded = dj.load(tmp_path)
    assert loaded.subset_ranks_ == model.subset_ranks_
    assert loaded.variance_explained_ == model.variance_explained_
    ours, theirs = model.decompose(made[0]), loaded.decompose(made[0])
    for subset in model.subset_scores_:
        np.testing.assert_array_equal(ours.subset_scores[subset], theirs.subset_scores[subset])
    np.testing.assert_array_equal(model.impute(made[0], "a"), loaded.impute(made[0], "a"))


def test_named_subsets_with_ranks_are_those_of_the_model(made):
    model = AJIVE(subsets={("b", "a"): 1}, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(made[0])
    assert model.subset_ranks_ == {NAMES: 1, ("a", "b"): 1}
    assert model.individual_ranks_ == {"a": 1, "b": 1, "c": 1}
    assert model.subset_loadings_[("a", "b")]["a"].shape == (1, 40)


def test_given_ranks_are_kept_where_nothing_is_in_common():
    data = {name: np.random.default_rng(seed).normal(size=(80, 20)) for seed, name in enumerate(NAMES)}
    ranks = {"joint_rank": 1, "subsets": {("a", "b"): 2, ("b", "c"): 1}, "signal_ranks": 4, "individual_ranks": 1}
    model = AJIVE(**ranks, n_wedin=0, n_random=0, random_state=0).fit(data)
    assert model.subset_ranks_ == {NAMES: 1, ("a", "b"): 2, ("b", "c"): 1}
    parts = model.decompose(data)
    shared = np.concatenate([parts.joint_scores, *parts.subset_scores.values()], axis=1)
    np.testing.assert_allclose(shared.T @ shared / 80, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("ranks", [{("a",): 2, ("b",): 1, ("c",): 1}, {NAMES: 2, ("b",): 1}])
def test_without_variation_of_some_the_model_is_that_without_subsets(ranks):
    data, _ = simulate(1, ranks=ranks)
    plain = AJIVE(random_state=0, n_wedin=100, n_random=100).fit(data)
    model = AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(data)
    assert set(model.subset_ranks_.values()) <= {0, plain.joint_rank_}
    np.testing.assert_array_equal(model.joint_scores_, plain.joint_scores_)
    for name in NAMES:
        np.testing.assert_array_equal(model.individual_loadings_[name], plain.individual_loadings_[name])


@pytest.mark.filterwarnings("ignore::deepjive.linear.angles.NoSignalWarning")
def test_a_component_too_weak_for_the_signal_of_a_modality_is_found_through_others():
    rng = np.random.default_rng(0)
    data, _ = simulate(ranks={("a", "b"): 1})
    shared = data["a"] @ np.linalg.svd(data["a"] - data["a"].mean(axis=0))[2][0]
    shared = (shared - shared.mean()) / np.linalg.norm(shared - shared.mean())
    direction = np.linalg.qr(rng.normal(size=(40, 1)))[0].T
    weak = {**data, "c": data["c"] + 0.7 * (np.sqrt(120) + np.sqrt(40)) * shared[:, None] * direction}
    model = AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(weak)
    assert AJIVE(random_state=0, n_wedin=100, n_random=100).fit(weak).signal_ranks_["c"] == 0
    assert model.subset_ranks_ == {NAMES: 1, ("a", "b"): 0, ("a", "c"): 0, ("b", "c"): 0}


def test_missing_values_and_modalities_are_filled_from_subsets_too(tmp_path, made):
    data, truth = made
    present = np.ones((120, 3), dtype=bool)
    present[:20, 0] = False
    gappy = Modalities({**data, "b": np.where(np.eye(120, 40) > 0, np.nan, data["b"])}, present=present)
    model = AJIVE(subsets="auto", missing="impute", random_state=0, n_wedin=100, n_random=100).fit(gappy)
    assert model.subset_ranks_[("a", "b")] == 2
    predicted = model.impute(gappy[:20], "a") - model.mean_["a"]
    shared = sum(part[:20] for (subset, name), part in truth.items() if name == "a" and len(subset) > 1)
    assert np.sum((predicted - shared) ** 2) < 0.3 * np.sum(shared**2)
    assert sum(model.variance_explained_["a"].values()) == pytest.approx(1.0)
    model.save(tmp_path)
    assert dj.load(tmp_path).variance_explained_ == model.variance_explained_


def test_intervals_are_around_predictions_from_subsets(made):
    model = AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(
        {k: x[:80] for k, x in made[0].items()}
    )
    held_out = Modalities({name: x[80:] for name, x in made[0].items()})
    model.calibrate(held_out, given=[("b", "c")])
    interval = model.impute(held_out.select(["b", "c"]), "a", interval=0.9)
    np.testing.assert_array_equal(interval.values, model.impute(held_out.select(["b", "c"]), "a"))
    assert 0.85 < np.mean((interval.lower <= held_out["a"]) & (held_out["a"] <= interval.upper)) < 0.99
    with pytest.raises(ValueError, match="Fit without `subsets`"):
        model.sample(3)


def test_confounds_are_put_back_into_the_joint_part(made):
    age = np.linspace(-1, 1, 120)
    data = Modalities({name: x + age[:, None] for name, x in made[0].items()}, confounds={"age": age})
    model = AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(data)
    parts = model.decompose(data)
    assert parts.subset_scores
    whole = parts.joint["a"] + parts.individual["a"] + parts.residual["a"]
    whole = whole + sum(part["a"] for subset, part in parts.subset.items() if "a" in subset)
    np.testing.assert_allclose(whole, data["a"], atol=1e-9)


def test_nothing_of_an_earlier_fit_with_subsets_is_left(made):
    model = AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(made[0])
    model.set_params(subsets=None).fit(made[0])
    plain = AJIVE(random_state=0, n_wedin=100, n_random=100).fit(made[0])
    assert vars(model).keys() == vars(plain).keys()
    np.testing.assert_array_equal(model.transform(made[0]), plain.transform(made[0]))


def test_heterojive_finds_subsets(made):
    assert HeteroJIVE(subsets="auto", random_state=0).fit(made[0]).subset_ranks_[("a", "b")] == 2


def test_a_part_of_a_subset_has_its_modalities_only(made, model):
    part = model.decompose(made[0]).subset["a", "b"]
    assert list(part) == ["a", "b"]
    assert len(part) == 2
    with pytest.raises(KeyError, match="'c'"):
        part["c"]
    assert part.rows("a", slice(3)).shape == (3, 40)


def test_tests_of_the_joint_part_refuse_components_of_subsets(made, model):
    with pytest.raises(ValueError, match="The permutation test describes joint"):
        dj.permutation_test(model, 9)
    with pytest.raises(ValueError, match="The bootstrap describes joint"):
        dj.bootstrap(model, made[0])
    with pytest.raises(ValueError, match="Fit without `subsets`"):
        rotate(model, made[0])


def test_jive_has_no_subsets():
    with pytest.raises(TypeError, match="subsets"):
        dj.JIVE(subsets="auto")


def test_named_subsets_of_six_modalities():
    rng = np.random.default_rng(0)
    z = 5 * rng.normal(size=(80, 1))
    data = {name: rng.normal(size=(80, 12)) for name in "abcdef"}
    for name in "be":
        data[name] = data[name] + z @ rng.normal(size=(1, 12))
    with pytest.warns(EmptySubsetWarning, match=r"names \('a', 'b'\), but no direction .* \(signal ranks: a 0, b 1\)"):
        model = AJIVE(subsets=[("b", "e"), ("a", "b")], random_state=0, n_wedin=100, n_random=100).fit(data)
    assert model.subset_ranks_ == {tuple("abcdef"): 0, ("a", "b"): 0, ("b", "e"): 1}


def test_named_subsets_of_noise_are_warned_of_and_given_ranks_are_not():
    data = {name: np.random.default_rng(seed).normal(size=(80, 20)) for seed, name in enumerate(NAMES)}
    settings = {"joint_rank": 0, "random_state": 0, "n_wedin": 0, "n_random": 0}
    with pytest.warns(EmptySubsetWarning, match="Give a rank"):
        assert AJIVE(subsets=[("b", "a"), NAMES], **settings).fit(data).subset_ranks_[("a", "b")] == 0
    for subsets in ("auto", {("a", "b"): 0}):  # warnings are errors here
        AJIVE(subsets=subsets, **settings).fit(data)


def test_subset_parts_do_not_depend_on_the_unit_of_a_modality(made, model):
    scaled = {**made[0], "b": 1000.0 * made[0]["b"]}
    other = AJIVE(subsets="auto", random_state=0, n_wedin=100, n_random=100).fit(scaled)
    assert other.subset_ranks_ == model.subset_ranks_
    ours, theirs = model.decompose(made[0]).subset["a", "b"], other.decompose(scaled).subset["a", "b"]
    np.testing.assert_allclose(theirs["b"] / 1000.0, ours["b"], atol=1e-5)


@pytest.fixture(scope="module")
def crowded() -> dict:
    """More components in all than the 30 samples have directions."""
    return simulate(n=30, width=60, ranks={NAMES: 2, ("a", "b"): 4, ("a",): 10, ("b",): 10, ("c",): 14})[0]


def test_more_scores_than_orthogonal_ones_are_refused(crowded):
    model = AJIVE(individual_ranks=14, subsets="auto", signal_ranks=16, random_state=0)
    with pytest.raises(ValueError, match=r"have 4\d scores together, but 30 samples have only 29 orthogonal"):
        model.fit(crowded)


def test_ranks_that_are_chosen_are_held_by_the_samples(crowded):
    model = AJIVE(subsets="auto", signal_ranks=16, random_state=0).fit(crowded)
    assert any(model.subset_ranks_.values())
    assert sum(model.subset_ranks_.values()) + sum(model.individual_ranks_.values()) == 29
    parts = model.decompose(crowded)
    for name in NAMES:
        np.testing.assert_allclose(parts.individual_scores[name], model.individual_scores_[name], atol=1e-6)
        assert all(-1e-9 < fraction < 1 for fraction in parts.variance_explained[name].values())


def test_a_modality_does_not_hold_more_components_than_it_has_dimensions(made):
    narrow = {**made[0], "a": -made[0]["b"][:, :1]}
    ranks = {"joint_rank": 0, "individual_ranks": 1, "signal_ranks": {"a": 1, "b": 5, "c": 4}}
    model = AJIVE(subsets={("a", "b"): 1}, random_state=0, **ranks)
    with pytest.raises(ValueError, match=r"'a' would hold 2 components, 1 of them shared .* numerical rank 1"):
        model.fit(narrow)


@pytest.mark.filterwarnings("ignore:The scores of subsets still changed")  # a modality without residual
def test_ranks_of_subsets_that_are_chosen_are_held_by_a_narrow_modality():
    data, _ = simulate(ranks={("a", "b"): 3, ("a", "c"): 3, ("b",): 1})
    narrow = {**data, "a": data["a"] @ np.random.default_rng(0).normal(size=(40, 4))}
    model = AJIVE(subsets="auto", signal_ranks={"a": 4, "b": 4, "c": 3}, random_state=0).fit(narrow)
    held = sum(rank for subset, rank in model.subset_ranks_.items() if "a" in subset)
    assert 0 < held + model.individual_ranks_["a"] <= 4
    assert sum(model.variance_explained_["a"].values()) == pytest.approx(1.0)


def test_a_modality_without_residual_costs_the_others_no_digits():
    rng = np.random.default_rng(14)
    z = rng.normal(size=(23, 1))
    data = {"a": rng.normal(size=(23, 8)), "b": z + 0.5 * rng.normal(size=(23, 3)), "c": rng.normal(size=(23, 1))}
    data["d"] = z + 0.5 * rng.normal(size=(23, 3))
    model = AJIVE(joint_rank=0, individual_ranks=1, subsets={("b", "d"): 1}, random_state=0).fit(data)
    assert model.variance_explained_["c"]["residual"] == pytest.approx(0.0, abs=1e-6)
    parts = model.decompose(data)
    scores = np.concatenate([*parts.subset_scores.values(), *parts.individual_scores.values()], axis=1)
    np.testing.assert_allclose(scores.T @ scores / len(scores), np.eye(scores.shape[1]), atol=1e-7)
    assert np.isfinite(model.impute({name: data[name] for name in "abc"}, "d")).all()


def test_refits_to_fewer_samples_have_ranks_that_these_hold(crowded):
    model = AJIVE(subsets="auto", signal_ranks=12, random_state=0).fit(crowded)
    rows = np.arange(20)
    refit = refitted(model, Modalities(crowded)[rows])
    parts = refit.decompose(Modalities(crowded)[rows])
    assert all(-1e-9 < fraction < 1 for name in NAMES for fraction in parts.variance_explained[name].values())


def slow_scores():
    """Scores of three subsets from a poor start; modality a, nearly without noise, holds two of them."""
    rng = np.random.default_rng(2)
    reduced = {
        name: Reduced("factor", rng.normal(size=(19, d)), 1.0, d, d) for name, d in zip(NAMES, (2, 5, 8), strict=True)
    }
    held = {"a": [True, True, False], "b": [True, False, True], "c": [False, True, True]}
    held = {name: np.array(columns) for name, columns in held.items()}
    start = np.concatenate([reduced["a"].svd().vectors, reduced["c"].svd().vectors[:, :1]], axis=1)
    weights = {"a": 1e3, "b": 1.0, "c": 1.0}
    scores = structured._alternate(start, reduced, weights, held)
    return scores, structured._polar(structured._target(scores, reduced, weights, held))


def test_scores_of_subsets_converge_although_a_modality_without_noise_holds_several():
    scores, after_a_round = slow_scores()
    np.testing.assert_allclose(after_a_round, scores, rtol=0, atol=1e-8)  # 2000 plain rounds: 6e-5


def test_scores_of_subsets_that_still_change_are_warned_of(monkeypatch):
    monkeypatch.setattr(structured, "MOST_ROUNDS", 2)
    with pytest.warns(ConvergenceWarning, match="scores of subsets still changed after 2 rounds"):
        slow_scores()


@pytest.mark.parametrize("seed", range(40))
def test_subsets_of_modalities_of_one_feature_are_tried_without_an_error(seed):
    """A direction in the span of a modality of one feature is as strong as any by chance."""
    rng = np.random.default_rng(seed)
    low_rank = rng.normal(size=(14, 2)) @ rng.normal(size=(2, 8))
    data = {"a": low_rank, "b": rng.normal(size=(14, 1)), "c": 1e-300 * rng.normal(size=(14, 1))}
    model = AJIVE(joint_rank=1, subsets="auto", n_wedin=20, n_random=20, random_state=31).fit(data)
    assert sum(rank for subset, rank in model.subset_ranks_.items() if "b" in subset) <= 1


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE])
def test_visits_of_a_participant_are_not_independent_samples(estimator):
    """Scores of 25 participants, other ones in each modality, repeat in eight visits each."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        participant = np.repeat(np.arange(25), 8)
        data = {name: (3 * rng.normal(size=(25, 3)))[participant] @ rng.normal(size=(3, 10)) for name in "abc"}
        data = {name: values + rng.normal(size=values.shape) for name, values in data.items()}
        model = estimator(subsets="auto", random_state=0).fit(Modalities(data, groups=participant))
        assert not any(rank for subset, rank in model.subset_ranks_.items() if len(subset) == 2)
