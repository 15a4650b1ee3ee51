import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, JIVE, HeteroJIVE, Modalities, load
from deepjive.linear import bootstrap_intervals as bootstrap_module
from deepjive.linear.bootstrap_intervals import bootstrap
from deepjive.linear.factor import make_factor
from deepjive.linear.permutation import jackstraw, permutation_test
from deepjive.linear.refit import aligned, with_ranks_of
from deepjive.linear.streaming import Pieces
from tests.linear.tolerances import GRAM, SUMS, TWO_ROUTES


def simulated(seed, n=100, sizes=(40, 120), noise=1.0):
    """One joint and one individual component; loadings are the same for every seed."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    z = rng.normal(size=(n, 1))
    data, loadings = {}, {}
    for k, d in enumerate(sizes):
        together, alone = fixed.normal(size=(1, d)), fixed.normal(size=(1, d))
        data[f"m{k}"] = z @ together + rng.normal(size=(n, 1)) @ alone + noise * rng.normal(size=(n, d))
        loadings[f"m{k}"] = together, alone
    return data, loadings


def fitted(data, estimator=AJIVE):
    extra = {"n_wedin": 0, "n_random": 0} if estimator is not JIVE else {"tol": 1e-4}
    return estimator(joint_rank=1, individual_ranks=1, **extra).fit(data)


def residual_fraction(together, alone, noise):
    sizes = np.sum(together**2), np.sum(alone**2), together.size * noise**2
    return sizes[2] / sum(sizes)


def inside(value, limits):
    return (limits[0] <= value) & (value <= limits[1])


def test_intervals_cover_the_truth_of_an_overfitted_model_and_percentile_intervals_do_not():
    ours, percentile, carried = [], [], []
    for seed in range(10):
        data, truth = simulated(seed, n=60, sizes=(100, 120), noise=2.0)
        model = fitted(data)
        intervals = bootstrap(model, data, n_draws=20, random_state=seed)
        for name, (together, alone) in truth.items():
            residual = residual_fraction(together, alone, 2.0)
            ours.append(inside(residual, intervals.variance_explained[name]["residual"]))
            percentile.append(inside(residual, np.quantile(intervals.variance_draws[name]["residual"], [0.05, 0.95])))
            together = together * np.sign(np.sum(together * model.joint_loadings_[name]))
            carried.append(inside(together, intervals.joint_loadings[name]).mean())
    # of 20 nominal 90% intervals, which come in pairs, 18 should cover; 14 are two standard errors of ten pairs fewer
    assert np.mean(ours) > 0.7
    assert np.mean(percentile) < np.mean(ours) - 0.1
    assert 0.8 < np.mean(carried) < 0.95


def test_intervals_account_for_noise_that_is_explained_because_there_are_few_features():
    units, ours, uncorrected = np.exp(0.5 * np.random.default_rng(1).normal(size=24)), [], []
    for seed in range(12):
        data, truth = simulated(seed, n=600, sizes=(24, 24), noise=1.0)
        data = {name: x * units for name, x in data.items()}
        model = fitted(data)
        intervals = bootstrap(model, data, n_draws=20, random_state=seed)
        for name, (together, alone) in truth.items():
            sizes = [np.sum((part * units) ** 2) for part in (together, alone, np.ones(24))]
            limits, draws = intervals.variance_explained[name]["residual"], intervals.variance_draws[name]["residual"]
            residual = sizes[2] / sum(sizes)
            ours.append(inside(residual, limits))
            middle = 2 * model.variance_explained_[name]["residual"] - draws.mean()
            reach = (limits[1] - limits[0]) / 2
            uncorrected.append(inside(residual, (middle - reach, middle + reach)))
    # 2 of 24 directions explain a twelfth of the noise and more, whatever the number of samples; of 24 nominal 90%
    # intervals in pairs 22 should cover, and 18 are two standard errors of twelve pairs fewer
    assert np.mean(uncorrected) < 0.5
    assert np.mean(ours) > 0.75


def test_standard_errors_of_a_draw_are_those_of_its_repeated_samples():
    data, _ = simulated(0, n=40)
    rows = np.random.default_rng(1).integers(40, size=40)
    repeated = {name: x[rows] for name, x in data.items()}
    model = fitted(repeated)
    draw = bootstrap_module._as_draw(model, rows)
    x = repeated["m1"] - repeated["m1"].mean(axis=0)
    joint, whole = np.sum((model.joint_scores_ @ model.joint_loadings_["m1"]) ** 2, axis=1), np.sum(x**2, axis=1)
    share = joint.sum() / whole.sum()
    expected = np.sqrt(np.sum((joint - share * whole) ** 2)) / whole.sum()
    factor = make_factor("m1", Pieces(data["m1"]))
    assert bootstrap_module._linearized_errors(factor, draw, True)["joint"] == pytest.approx(expected)


def test_heavy_tails_widen_the_intervals_beyond_the_spread_of_the_draws():
    rng, ratios = np.random.default_rng(0), []
    for seed in range(4):
        z = rng.standard_t(3, size=(60, 1))
        data = {name: z @ rng.normal(size=(1, 40)) + rng.normal(size=(60, 40)) for name in ("m0", "m1")}
        model = AJIVE(joint_rank=1, individual_ranks=0, n_wedin=0, n_random=0).fit(data)
        intervals = bootstrap(model, data, n_draws=40, random_state=seed)
        for name in data:
            low, high = intervals.variance_explained[name]["joint"]
            ratios.append((high - low) / (2 * 1.645 * intervals.variance_draws[name]["joint"].std()))
    # intervals are never narrower than 1.645 standard deviations, and t with 3 degrees of freedom has heavy tails
    assert np.mean(ratios) > 1.1
    assert min(ratios) >= 1.0


def test_draws_have_the_loadings_of_a_fit_to_the_samples_drawn():
    data, _ = simulated(0, n=50)
    model = fitted(data)
    intervals = bootstrap(model, data, n_draws=3, level=0.5, random_state=0)
    rng = np.random.Generator(np.random.SFC64(0))
    loadings = []
    for _ in range(3):
        rows = rng.integers(50, size=50)
        again = with_ranks_of(model).fit({name: x[rows] for name, x in data.items()})
        both = sum(np.sum(again.joint_loadings_[name] * model.joint_loadings_[name]) for name in data)
        loadings.append(np.sign(both) * again.joint_loadings_["m1"])
    middle = 2 * model.joint_loadings_["m1"] - np.mean(loadings, axis=0)
    np.testing.assert_allclose(intervals.joint_loadings["m1"].mean(axis=0), middle, atol=TWO_ROUTES)


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
def test_intervals_of_every_estimator_hold_its_estimate_and_its_shapes(estimator):
    data, _ = simulated(0, n=60)
    data = {"m0": data["m0"].reshape(60, 5, 8), "m1": data["m1"]}
    model = fitted(data, estimator)
    intervals = bootstrap(model, data, n_draws=20, random_state=0)
    assert intervals.joint_loadings["m0"].shape == (2, 1, 5, 8)
    assert intervals.individual_loadings["m1"].shape == (2, 1, 120)
    # intervals are shifted by the estimated bias, so that a few do not hold the estimate
    for name, limits in intervals.joint_loadings.items():
        assert np.mean((limits[0] < model.joint_loadings_[name]) & (model.joint_loadings_[name] < limits[1])) > 0.9
    widths = [high - low for parts in intervals.variance_explained.values() for low, high in parts.values()]
    assert min(widths) > 0.0
    assert max(widths) < 0.5


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
def test_a_modality_without_components_has_intervals_too(estimator):
    data, _ = simulated(0, n=60)
    extra = {} if estimator is JIVE else {"n_wedin": 0, "n_random": 0}
    model = estimator(joint_rank=0, individual_ranks={"m0": 0, "m1": 1}, **extra).fit(data)
    intervals = bootstrap(model, data, n_draws=5, random_state=0)
    assert intervals.joint_loadings["m0"].shape == intervals.individual_loadings["m0"].shape == (2, 0, 40)
    assert intervals.individual_loadings["m1"].shape == (2, 1, 120)
    np.testing.assert_allclose(intervals.variance_explained["m0"]["residual"], 1.0)
    np.testing.assert_allclose(intervals.variance_explained["m0"]["individual"], 0.0, atol=SUMS)
    # a third of the variance of m1 is individual
    assert intervals.variance_explained["m1"]["individual"][0] > 0.1


def test_draws_on_the_factors_are_those_on_the_data():
    data, _ = simulated(0, n=50)
    model = fitted(data)
    intervals = bootstrap(model, data, n_draws=3, random_state=0)
    rng = np.random.Generator(np.random.SFC64(0))
    for i in range(3):
        rows = rng.integers(50, size=50)
        again = with_ranks_of(model).fit({name: x[rows] for name, x in data.items()})
        for name in data:
            assert intervals.variance_draws[name]["joint"][i] == pytest.approx(again.variance_explained_[name]["joint"])


def test_permuted_equal_components_do_not_widen_the_intervals():
    rng = np.random.default_rng(0)
    z, loadings = rng.normal(size=(150, 2)), np.repeat(np.eye(2), 20, axis=1)
    data = {name: z @ loadings + 0.3 * rng.normal(size=(150, 40)) for name in "ab"}
    model = AJIVE(signal_ranks=2, joint_rank=2, individual_ranks=0, n_wedin=0, n_random=0).fit(data)
    low, high = bootstrap(model, data, n_draws=40, random_state=0).joint_loadings["a"]
    # without rotation a loading would be anything between -1 and 1
    assert np.mean(high - low) < 0.5


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_scale_of_a_modality_changes_nothing_but_its_units(size):
    data, _ = simulated(0, n=40)
    intervals, scaled = (
        bootstrap(fitted(x), x, n_draws=5, random_state=0) for x in (data, {**data, "m0": data["m0"] * size})
    )
    np.testing.assert_allclose(
        scaled.joint_loadings["m0"] / size, intervals.joint_loadings["m0"], rtol=GRAM, atol=TWO_ROUTES
    )
    assert scaled.variance_explained["m0"]["joint"] == pytest.approx(intervals.variance_explained["m0"]["joint"])


def test_wider_levels_give_wider_intervals_around_the_same_draws():
    data, _ = simulated(0)
    model = fitted(data)
    narrow, wide = (bootstrap(model, data, n_draws=30, level=level, random_state=0) for level in (0.5, 0.95))
    inner, outer = (intervals.variance_explained["m0"]["joint"] for intervals in (narrow, wide))
    assert outer[0] < inner[0] < inner[1] < outer[1]


def test_other_samples_and_impossible_levels_are_refused():
    data, _ = simulated(0)
    model = fitted(data)
    with pytest.raises(ValueError, match="needs the 100 samples the model was fitted to, but was given 50"):
        bootstrap(model, {name: x[:50] for name, x in data.items()})
    with pytest.raises(ValueError, match="level is the coverage"):
        bootstrap(model, data, level=90)


def test_several_samples_of_a_participant_are_refused(tmp_path):
    data = Modalities(simulated(0)[0])
    model = fitted(data)
    visits = Modalities(data, groups=np.arange(len(data)) // 2)
    of_visits = fitted(visits)
    of_visits.save(tmp_path)
    tests = (
        lambda: bootstrap(model, visits, n_draws=2),
        lambda: jackstraw(model, visits, visits.names[0]),
        lambda: permutation_test(of_visits, 9),
        lambda: permutation_test(load(tmp_path), 9),
        lambda: JIVE().fit(visits),
    )
    for test in tests:
        with pytest.raises(ValueError, match="100 samples belong to 50 participants"):
            test()
    bootstrap(model, Modalities(data, groups=np.arange(len(data))), n_draws=2)


def test_other_features_and_modalities_than_those_fitted_are_refused():
    data, _ = simulated(0)
    tables = {name: pd.DataFrame(x).add_prefix(f"{name} ") for name, x in data.items()}
    model = fitted(tables)
    with pytest.raises(
        ValueError, match=r"'m0' lacks 1 of the 40 features that the model was fitted to .'m0 0' first."
    ):
        bootstrap(model, tables | {"m0": tables["m0"].iloc[:, 1:]})
    with pytest.raises(ValueError, match=r"with the modalities \['m0', 'm1'\], but was given \['m1'\]"):
        bootstrap(model, {"m1": tables["m1"]})


def test_modalities_in_another_order_have_the_same_intervals():
    data, _ = simulated(0, noise=3.0)
    model = fitted(data)
    model.weights_ = np.array([1.0, 3.0])  # of the modalities in the model's order
    intervals = [
        bootstrap(model, dict(items), n_draws=5, random_state=0) for items in (data.items(), [*data.items()][::-1])
    ]
    assert intervals[0].variance_explained == intervals[1].variance_explained


def test_alignment_undoes_a_rotation():
    rng = np.random.default_rng(0)
    x, rotation = rng.normal(size=(20, 3)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(x @ rotation @ aligned(x @ rotation, x), x, atol=SUMS)


@pytest.mark.parametrize(("estimator", "individual"), [(AJIVE, 2), (JIVE, 1), (HeteroJIVE, 2)])
def test_draws_that_lack_the_rank_are_replaced_or_the_samples_are_too_few(estimator, individual):
    rng = np.random.default_rng(0)
    enough = {name: rng.normal(size=(10, width)) for name, width in (("a", 40), ("b", 30))}
    few = {name: x[:8] for name, x in enough.items()}
    extra = {"n_wedin": 0, "n_random": 0} if estimator is not JIVE else {"tol": 1e-2}
    model = estimator(joint_rank=2, individual_ranks=individual, **extra).fit(enough)
    draws = bootstrap(model, enough, n_draws=60).variance_draws["a"]["joint"]
    assert len(draws) == 60
    assert np.isfinite(draws).all()
    model = estimator(joint_rank=2, individual_ranks=individual + 1, **extra).fit(few)
    with pytest.raises(ValueError, match=r"too few samples for the bootstrap: 8 samples .* Use lower ranks or more"):
        bootstrap(model, few, n_draws=40)


def test_intervals_of_few_samples_lie_within_what_a_fraction_can_be():
    data, _ = simulated(0, n=9, sizes=(20, 30))
    intervals = bootstrap(fitted(data), data, n_draws=20)
    limits = [limit for parts in intervals.variance_explained.values() for pair in parts.values() for limit in pair]
    assert min(limits) >= 0.0
    assert max(limits) <= 1.0
