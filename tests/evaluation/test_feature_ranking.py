from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from deepjive import AJIVE, Modalities
from deepjive.evaluation.feature_ranking import effects_of, feature_effects
from deepjive.evaluation.feature_regression import slopes
from deepjive.rounding import significant
from tests.evaluation.fitting import fitted


def linear(data, joint_rank=1, individual_ranks=1):
    sizes = dict.fromkeys(data.names, joint_rank + individual_ranks)
    settings = {"signal_ranks": sizes, "n_wedin": 0, "n_random": 0, "random_state": 0}
    return AJIVE(joint_rank=joint_rank, individual_ranks=individual_ranks, **settings).fit(data)


def with_joint_features(n=150, n_features=500, n_joint=10, strength=0.8, seed=0):
    """The first features of "rna" have joint variation; the next 50 have strong individual variation."""
    rng = np.random.default_rng(seed)
    score, own = rng.normal(size=(2, n, 1))
    rna, protein = rng.normal(size=(n, n_features)), rng.normal(size=(n, 40))
    rna[:, :n_joint] += strength * score * np.where(np.arange(n_joint) % 2, -1.0, 1.0)
    rna[:, n_joint : n_joint + 50] += 1.5 * own
    return Modalities({"rna": rna, "protein": protein + 0.7 * score})


def test_the_effect_of_a_linear_model_is_its_loading_over_the_spread_of_the_feature(ajive, train):
    effects = effects_of(ajive.decompose(train), "modality_1")
    assert effects.scores == [("joint", 1), ("individual", 1)]
    np.testing.assert_allclose(effects.loading[0], ajive.joint_loadings_["modality_1"][0], rtol=1e-9)
    np.testing.assert_allclose(effects.loading[1], ajive.individual_loadings_["modality_1"][0], rtol=1e-9)
    np.testing.assert_allclose(effects.effect, effects.loading / np.std(train["modality_1"], axis=0))


def test_standard_errors_are_those_of_the_regression_with_unequal_variances():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 2))
    x = scores @ [[1.0], [0.5]] + rng.normal(size=(30, 1)) * np.abs(scores[:, :1])
    design = np.column_stack([np.ones(30), scores])
    inverse = np.linalg.inv(design.T @ design)
    residual = x[:, 0] - design @ (inverse @ design.T @ x[:, 0])
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    meat = (design * ((residual / (1 - leverage)) ** 2)[:, None]).T @ design  # HC3, MacKinnon and White 1985
    slope, error, free = slopes(scores, x)
    np.testing.assert_allclose(slope[:, 0], (inverse @ design.T @ x[:, 0])[1:])
    np.testing.assert_allclose(error[:, 0], np.sqrt(np.diag(inverse @ meat @ inverse))[1:])
    assert free == 27


def test_p_values_are_uniform_where_nothing_is():
    joint, individual = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = Modalities({name: rng.normal(size=(60, 30)) for name in "ab"})
        for effects in feature_effects(linear(data, 2), data, random_state=seed).values():
            joint.append(effects.p_value[:2])
            individual.append(effects.p_value[2:])
    for p_values in (np.ravel(joint), np.ravel(individual)):
        assert stats.kstest(p_values, "uniform").pvalue > 0.01
        assert abs(np.mean(p_values < 0.05) - 0.05) < 0.02  # 4 standard errors of 1440 independent p-values


def test_individual_variation_does_not_make_features_joint():
    rates = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = Modalities(
            {name: 2 * rng.normal(size=(60, 2)) @ rng.normal(size=(2, 30)) + rng.normal(size=(60, 30)) for name in "ab"}
        )
        rates.append([np.mean(e.p_value[0] < 0.05) for e in feature_effects(linear(data), data).values()])
    assert np.mean(rates) < 0.12  # about .05; features of one simulation depend on each other. Double dipping gives .4


def test_joint_features_are_ranked_first_with_their_signs_and_individual_features_are_not_joint():
    data = with_joint_features()
    effects = feature_effects(linear(data), data)["rna"]
    joint = np.arange(500) < 10
    assert average_precision_score(joint, np.abs(effects.effect[0])) > 0.9
    assert average_precision_score(joint, -effects.p_value[0]) > 0.9
    assert (effects.q_value[0, :10] < 0.05).all()
    assert np.sum(effects.q_value[0, 10:] < 0.05) <= 2
    signs = np.sign(effects.effect[0, :10])
    assert (signs == signs[0] * np.where(np.arange(10) % 2, -1, 1)).all()
    assert (effects.q_value[1, 10:60] < 0.05).all()
    assert (effects.match > 0.7).all()
    assert set(effects.top("joint", 1)["feature"]) == set(map(str, range(10)))


def test_a_deep_model_has_the_same_answer_as_a_linear_one():
    data = with_joint_features(n=100, n_features=40, n_joint=8, strength=1.5)
    effects = feature_effects(fitted(data), data, max_epochs=2)["rna"]
    assert average_precision_score(np.arange(40) < 8, np.abs(effects.effect[0])) > 0.9
    assert (effects.q_value[0, :8] < 0.05).all()
    assert np.sum(effects.q_value[0, 8:] < 0.05) <= 2


def test_joint_scores_that_need_all_modalities_are_tested_with_half_of_the_features():
    data = with_joint_features(n=80, n_features=40, n_joint=20, strength=1.5)
    effects = feature_effects(fitted(data, 1, 0, identity="merged"), data, max_epochs=2)["rna"]
    assert np.median(effects.p_value[0, :20]) < 0.001


def of_subsets(seed=0, n=120, strength=1.0):
    """The first 5 features of a and b share a score, the first 5 of b and c share another, and all share a third."""
    rng = np.random.default_rng(seed)
    everyone, ab, bc = rng.normal(size=(3, n, 1))
    arrays = {name: rng.normal(size=(n, 40)) for name in "abc"}
    for name in "abc":
        arrays[name] += 0.5 * everyone * rng.normal(size=(1, 40))
    for score, names, where in ((ab, "ab", slice(0, 5)), (bc, "bc", slice(5, 10))):
        for name in names:
            arrays[name][:, where] += strength * score
    return Modalities(arrays)


def test_scores_of_subsets_are_tested_with_the_other_modalities_of_the_subset():
    data = of_subsets(strength=1.5)
    model = AJIVE(joint_rank=1, subsets={("a", "b"): 1, ("b", "c"): 1}, individual_ranks=0, random_state=0).fit(data)
    effects = feature_effects(model, data)
    assert effects["a"].scores == [("joint", 1), ("a+b", 1)]
    assert effects["b"].scores == [("joint", 1), ("a+b", 1), ("b+c", 1)]
    for name, part, true in (("a", "a+b", slice(0, 5)), ("b", "b+c", slice(5, 10)), ("c", "b+c", slice(5, 10))):
        row = effects[name].scores.index((part, 1))
        found = np.zeros(40, dtype=bool)
        found[true] = True
        assert average_precision_score(found, -np.log(effects[name].p_value[row])) > 0.9
        assert effects[name].match[row] > 0.7
    parts = model.decompose(data)
    np.testing.assert_allclose(effects["b"].loading[1], model.subset_loadings_["a", "b"]["b"][0], rtol=1e-9)
    np.testing.assert_allclose(
        parts.rendered_at("b", parts.scores_of("b")),
        parts.joint["b"] + parts.individual["b"] + sum(part["b"] for part in parts.subset.values() if "b" in part),
        atol=1e-9,
    )


@pytest.mark.parametrize("count", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_p_values_of_subsets_are_uniform_where_nothing_is(count):
    p_values = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        data = Modalities({name: rng.normal(size=(75, 20)) for name in "abc"})
        model = AJIVE(
            joint_rank=1,
            subsets={("a", "b"): 1},
            signal_ranks=3,
            individual_ranks=0,
            n_wedin=0,
            n_random=0,
            random_state=0,
        )
        effects = feature_effects(model.fit(data), data, random_state=seed)
        p_values += [effects[name].p_value[effects[name].scores.index(("a+b", 1))] for name in "ab"]
    assert stats.kstest(np.ravel(p_values), "uniform").pvalue > 0.01
    assert abs(np.mean(np.ravel(p_values) < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / (40 * count))  # 4 standard errors


def test_copies_of_samples_do_not_add_evidence():
    rng = np.random.default_rng(0)
    single = {name: rng.normal(size=(60, 40)) for name in "ab"}
    data = Modalities({name: np.repeat(x, 3, axis=0) for name, x in single.items()}, groups=np.repeat(np.arange(60), 3))
    effects = feature_effects(linear(data), data)
    rate = np.mean([effect.p_value[0] < 0.01 for effect in effects.values()])
    assert rate < 0.06  # three independent copies would give .15


@pytest.mark.filterwarnings("ignore:.* are constant:deepjive.adjust.inspection.UnitsWarning")
def test_samples_without_a_modality_and_constant_features_are_left_out():
    data = with_joint_features(n=120, n_features=30, n_joint=10, strength=1.5)
    rna = data["rna"].copy()
    rna[:, 29] = 7.0
    rna[:20] = np.nan
    present = np.ones((120, 2), dtype=bool)
    present[:20, 0] = False
    data = Modalities({"rna": rna, "protein": data["protein"]}, present=present)
    model = AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0, missing="impute", random_state=0).fit(data)
    effects = feature_effects(model, data)["rna"]
    assert effects.n_samples == 100
    assert (effects.q_value[0, :10] < 0.05).all()
    assert np.isnan(effects.p_value[0, 29])
    assert effects.effect[0, 29] == 0.0


def test_the_table_is_sorted_by_score_and_effect_with_four_digits(ajive, train):
    frame = feature_effects(ajive, train, test=False)["modality_1"].to_frame()
    assert frame["part"].tolist() == ["joint"] * 20 + ["individual"] * 20
    assert (frame["effect"].abs()[:20].diff().dropna() <= 0).all()
    assert frame["effect"].map(lambda value: len(f"{abs(value):.10g}".lstrip("0.").replace(".", "")) <= 4).all()
    assert frame["p_value"].isna().all()


def test_rounded_numbers_have_no_more_digits_than_asked_for():
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, size=(4, 500)) * 10.0 ** rng.integers(-300, 300, size=(4, 500))
    values[:, ::2] = rng.normal(size=(4, 250)) * 10.0 ** rng.integers(-6, 9, size=(4, 250))
    assert significant(values).tolist() == [[float(f"{value:.4g}") for value in row] for row in values]
    assert np.isnan(significant(np.array([np.nan])))[0]


def test_errors_name_the_modality_and_the_samples(ajive, train):
    with pytest.raises(ValueError, match=r"no modalities \['rna'\]; the data have"):
        feature_effects(ajive, train, names=["rna"])
    with pytest.raises(ValueError, match="cannot be tested"):
        feature_effects(ajive, train[:7])


@pytest.mark.parametrize("unit", [2.0**-700, 2.0**700])
def test_units_of_a_modality_do_not_change_effects_and_p_values(unit):
    data = with_joint_features(n=60, n_features=20, n_joint=5)
    model = AJIVE(joint_rank=1, individual_ranks=1, random_state=0)
    other = Modalities({name: data[name] * unit for name in data.names})
    name = data.names[0]
    expected, result = (feature_effects(model.fit(values), values)[name] for values in (data, other))
    np.testing.assert_allclose(result.effect, expected.effect, atol=1e-6)
    np.testing.assert_allclose(result.standard_error, expected.standard_error, atol=1e-6)
    np.testing.assert_allclose(result.p_value, expected.p_value, atol=1e-6)
    assert np.isfinite(expected.p_value).all()


def test_ranks_that_half_of_the_features_cannot_have_are_not_blamed_on_the_data():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(40, 1))
    data = Modalities(
        {name: joint @ rng.normal(size=(1, p)) + rng.normal(size=(40, p)) for name, p in (("a", 6), ("b", 3))}
    )
    with pytest.raises(ValueError, match="other half of the features, but the model with its ranks cannot be fitted"):
        feature_effects(linear(data), data)
