"""Transformations and scales of features: learned from the fitted samples, applied to new ones, and undone."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, bootstrap, jackstraw, load
from deepjive.adjust.adjustment import Adjustment
from deepjive.adjust.inspection import UnitsWarning, warn_of_arrays_on_disk
from deepjive.adjust.transformations import TRANSFORMATIONS
from deepjive.adjust.units import feature_sizes
from deepjive.evaluation import evidence, feature_effects

RANKS = {"joint_rank": 1, "individual_ranks": 1}
ESTIMATORS = [
    AJIVE(**RANKS),
    HeteroJIVE(**RANKS),
    JIVE(**RANKS, tol=1e-4),
    DeepJIVE(**RANKS, networks="linear", max_epochs=1, random_state=0),
]


def counts_and_proteins(n=80):
    """Counts of samples of unequal depth, and proteins of which one has another unit, with one joint score."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 1))
    rate = np.exp(2.0 + 0.5 * z @ rng.normal(size=(1, 12)) + 0.5 * rng.normal(size=(n, 1)))
    proteins = z @ rng.normal(size=(1, 7)) + rng.normal(size=(n, 7))
    return {"rna": rng.poisson(rate).astype(float), "protein": proteins * np.array([1, 1, 1, 1e6, 1, 1, 1.0])}, z


@pytest.fixture(scope="module")
def data():
    return Modalities(counts_and_proteins()[0])


def fitted(estimator, data, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(estimator).set_params(**parameters).fit(data)


def learned(kind, values):
    return TRANSFORMATIONS[kind].learn(values, np.arange(len(values)))


def test_transformed_values_are_those_of_the_formulas():
    counts = np.array([[0.0, 5.0, 95.0], [10.0, 40.0, 250.0]])
    for kind, expected in {
        "log1p": np.log(1 + counts),
        "arcsinh": np.log(counts / 5 + np.sqrt((counts / 5) ** 2 + 1)),
        "clr": np.log([[2.5, 5, 95], [10, 40, 250]]) - np.log([[2.5, 5, 95], [10, 40, 250]]).mean(axis=1)[:, None],
    }.items():
        np.testing.assert_allclose(learned(kind, counts).forward(counts), expected, rtol=1e-12)
    # edgeR's cpm(log = TRUE): the prior count of 2 is scaled to the size of the library, and added twice to it
    library = counts.sum(axis=1, keepdims=True)
    prior = 2.0 * library / library.mean()
    expected = np.log2((counts + prior) / (library + 2.0 * prior) * 1e6)
    np.testing.assert_allclose(learned("log_cpm", counts).forward(counts), expected, rtol=1e-12)
    proportions = np.array([[0.2, 0.5], [0.0, 1.0]])
    expected = np.log([[0.2 / 0.8, 1.0], [0.001 / 0.999, 0.999 / 0.001]])
    np.testing.assert_allclose(learned("logit", proportions).forward(proportions), expected, rtol=1e-9, atol=1e-12)


def test_rank_normal_values_are_normal_quantiles_of_ranks_with_ties_in_the_middle():
    rng = np.random.default_rng(0)
    values = np.column_stack([np.exp(3 * rng.normal(size=60)), rng.poisson(0.5, 60), np.zeros(60)]).astype(float)
    transformation = learned("rank_normal", values)
    expected = stats.norm.ppf((stats.rankdata(values[:, :2], axis=0) - 0.375) / 60.25)
    transformed = transformation.forward(values)
    np.testing.assert_allclose(transformed[:, :2], expected, atol=1e-6)
    assert np.ptp(transformed[:, 2]) == 0.0
    beyond = transformation.forward(np.array([[-1.0, -1.0, 0.0], [1e9, 99.0, 0.0]]))
    np.testing.assert_allclose(beyond[:, 0], [transformed[:, 0].min(), transformed[:, 0].max()])  # as the extremes


@pytest.mark.parametrize("kind", TRANSFORMATIONS)
def test_maps_are_undone_and_leave_missing_values_missing(kind):
    rng = np.random.default_rng(1)
    values = rng.uniform(0.01, 0.99, size=(40, 5)) if kind == "logit" else np.exp(rng.normal(size=(40, 5)))
    transformation = learned(kind, values)
    back = transformation.inverse(transformation.forward(values))
    if kind in ("log_cpm", "clr"):  # a sample of mean total or mean logarithm, in the same proportions
        np.testing.assert_allclose(back / back.sum(axis=1, keepdims=True), values / values.sum(axis=1, keepdims=True))
        size = np.sum if kind == "log_cpm" else lambda x, axis: np.log(x).mean(axis=axis)
        np.testing.assert_allclose(size(back, axis=1), size(values, axis=1).mean())
    else:
        np.testing.assert_allclose(back, values, rtol=1e-9)
    values[3, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(learned(kind, values).forward(values)), np.isnan(values))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "units",
    [
        {"transformation": {"rna": "log_cpm"}, "scale": "features"},
        {"transformation": "rank_normal", "scale": {"protein": "robust"}},
        {"transformation": {"rna": "clr"}, "scale": {"protein": "features"}},
    ],
    ids=["log_cpm", "rank_normal", "clr"],
)
def test_every_estimator_adjusts_stores_and_undoes_units(estimator, units, data, tmp_path):
    model, new = fitted(estimator, data[:60], **units), data[60:]
    parts = model.decompose(new)
    for name in new:
        total = parts.joint[name] + parts.individual[name] + parts.residual[name]
        np.testing.assert_allclose(total, parts.data[name], rtol=1e-5, atol=1e-5 * np.abs(parts.data[name]).max())
    if isinstance(units["transformation"], dict):
        np.testing.assert_array_equal(parts.data["protein"], new["protein"])  # in its own units
    assert not np.allclose(parts.data["rna"], new["rna"])
    predicted = model.impute(new, "rna")
    assert predicted.min() >= 0
    assert np.corrcoef(predicted.ravel(), new["rna"].ravel())[0, 1] > 0.3
    scores = model.transform(new)
    for again in (model.adjust(new), parts.data, parts.adjusted.data):
        np.testing.assert_allclose(model.transform(again), scores, atol=1e-6)
    whole = model.inverse_transform(scores)
    np.testing.assert_allclose(whole["rna"], model.impute(new, "rna") if model.joint_rank_ == 0 else whole["rna"])
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_allclose(loaded.transform(new), scores, atol=1e-6)
    np.testing.assert_allclose(loaded.impute(new, "rna"), predicted, rtol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("scale", ["features", "robust"])
def test_the_unit_of_a_feature_does_not_matter_to_scaled_features(estimator, scale, data):
    factors = 10.0 ** np.arange(-3, 4)
    other = data.with_arrays({"protein": data["protein"] * factors})
    model, same = (fitted(estimator, values, scale=scale) for values in (data, other))
    # networks see single-precision values
    np.testing.assert_allclose(np.abs(same.joint_scores_), np.abs(model.joint_scores_), atol=1e-3)
    for part in ("joint", "individual"):
        first, second = (getattr(m.decompose(d), part)["protein"] for m, d in ((model, data), (same, other)))
        np.testing.assert_allclose(second / factors, first, atol=1e-3 * np.abs(first).max(axis=0).max())


def test_units_are_learned_from_the_fitted_samples_alone(data):
    changed = data.with_arrays({name: np.where(np.arange(80)[:, None] < 60, x, 1e9) for name, x in data.items()})
    units = {"transformation": {"rna": "log_cpm", "protein": "rank_normal"}, "scale": "features"}
    first, second = (fitted(AJIVE(**RANKS), d[:60], **units) for d in (data, changed))
    np.testing.assert_array_equal(first.joint_scores_, second.joint_scores_)


def test_values_are_transformed_then_freed_of_confounds_then_scaled(data):
    age = np.arange(80.0)
    counts = data["rna"] * np.exp(0.02 * age)[:, None]
    with_age = Modalities({"rna": counts, "protein": data["protein"]}, confounds={"age": age})
    model = fitted(AJIVE(**RANKS), with_age, transformation={"rna": "log1p"}, scale="features")
    seen = model.adjust(with_age)["rna"]
    np.testing.assert_allclose(seen.std(axis=0), 1.0)
    slope = np.polyfit(age, np.log1p(counts), 1)[0]
    residual = np.log1p(counts) - slope * (age - age.mean())[:, None]
    np.testing.assert_allclose(seen, residual / residual.std(axis=0), rtol=1e-8)
    parts = model.decompose(with_age)
    np.testing.assert_allclose(parts.data["rna"], np.log1p(counts))
    np.testing.assert_allclose(parts.joint["rna"] + parts.individual["rna"] + parts.residual["rna"], np.log1p(counts))
    np.testing.assert_allclose(parts.mean["rna"], np.log1p(counts).mean(axis=0))
    predicted = model.impute(with_age, "rna").mean(axis=1)
    assert np.corrcoef(predicted, age)[0, 1] > 0.5  # the effect of age is in predictions


def test_arrays_on_disk_missing_values_and_absent_rows_are_adjusted(data, tmp_path):
    units = {"transformation": {"rna": "log_cpm"}, "scale": {"protein": "robust"}}
    np.save(tmp_path / "rna.npy", data["rna"])
    on_disk = Modalities({"rna": np.load(tmp_path / "rna.npy", mmap_mode="r"), "protein": data["protein"]})
    model, same = (fitted(AJIVE(**RANKS), d, **units) for d in (data, on_disk))
    np.testing.assert_allclose(same.joint_scores_, model.joint_scores_, atol=1e-10)
    rna, present = data["rna"].copy(), np.ones((80, 2), dtype=bool)
    rna[0], rna[1, 2], present[0, 0] = -7.0, np.nan, False  # the row of a sample without the modality means nothing
    lacking = Modalities({"rna": rna, "protein": data["protein"]}, present=present)
    filled = fitted(AJIVE(**RANKS, missing="impute"), lacking, **units)
    parts = filled.decompose(lacking)
    assert np.isfinite(parts.joint["rna"]).all()
    assert np.isnan(parts.residual["rna"][0]).all()
    assert np.isnan(parts.residual["rna"][1, 2])
    assert abs(np.corrcoef(filled.joint_scores_[2:, 0], model.joint_scores_[2:, 0])[0, 1]) > 0.95


def test_features_outside_a_mask_stay_as_they_are(data):
    mask = np.arange(7) != 2
    protein = data["protein"].copy()
    protein[:, 2] = np.nan
    masked = Modalities({"rna": data["rna"], "protein": protein})
    model = fitted(AJIVE(**RANKS, mask={"protein": mask}), masked, scale="features")
    assert (model.joint_loadings_["protein"][:, 2] == 0.0).all()
    assert np.isfinite(model.transform(masked)).all()


def test_a_feature_without_a_range_is_divided_by_its_standard_deviation():
    values = np.zeros((20, 3))
    values[:3, 0], values[:, 1] = [4.0, 5.0, 6.0], np.arange(20)
    rows = np.arange(20)
    expected = [values[:, 0].std(), stats.iqr(values[:, 1]) / 1.3489795, 1.0]
    np.testing.assert_allclose(feature_sizes("robust", values, rows), expected, rtol=1e-6)


def test_without_scale_the_larger_modality_has_the_larger_weight(data):
    rng = np.random.default_rng(0)
    large = {"x": 100.0 * rng.normal(size=(60, 5)), "y": rng.normal(size=(60, 5))}
    deep = DeepJIVE(**RANKS, networks="linear", max_epochs=1, random_state=0)
    equal, unequal = (fitted(deep, large, scale=scale).scale_ for scale in ("modality", None))
    assert equal["x"] > 50 * equal["y"]
    assert unequal["x"] == unequal["y"] == equal["x"]


def lines_of(data, **parameters):
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        AJIVE(**RANKS, **parameters).fit(data)
    return [str(warning.message) for warning in raised if warning.category is UnitsWarning]


def test_counts_a_large_feature_and_constant_features_are_one_line_each():
    arrays, _ = counts_and_proteins()
    arrays["protein"] = np.hstack([arrays["protein"], np.ones((80, 4))])
    names = {"rna": [f"gene {i}" for i in range(12)], "protein": [f"p{i}" for i in range(11)]}
    data = Modalities(arrays, features=names)
    counts, constant, large = lines_of(data)
    largest = names["rna"][arrays["rna"].max(axis=0).argmax()]
    assert f"'rna' seems to hold counts: 12 features of whole numbers up to {arrays['rna'].max():g}" in counts
    assert f"(feature {largest!r})" in counts
    assert "transformation={'rna': 'log_cpm'} (--transformation rna:log_cpm)" in counts
    assert "4 of 11 features of modality 'protein' are constant ('p7', 'p8', 'p9', ...)" in constant
    assert "Feature 'p3' of modality 'protein' has nearly all of the modality's variance" in large
    assert "scale={'protein': 'features'} (--scale protein:features)" in large
    assert len(lines_of(data, transformation={"rna": "clr"}, scale="features")) == 1  # constant features alone


def test_counts_on_disk_are_one_line_on_request(data, tmp_path):
    np.save(tmp_path / "rna.npy", data["rna"])
    on_disk = Modalities({"rna": np.load(tmp_path / "rna.npy", mmap_mode="r"), "x": data["protein"][:, :3]})
    assert lines_of(on_disk) == []  # `fit` does not read them twice
    with pytest.warns(UnitsWarning, match="'rna' seems to hold counts"):
        warn_of_arrays_on_disk(on_disk, None, "modality")


def test_ordinary_values_are_not_warned_of():
    rng = np.random.default_rng(0)
    grey = np.where(rng.random((60, 20)) < 0.1, 255.0, rng.integers(0, 255, (60, 20)))
    ratings = rng.integers(1, 8, (60, 10)).astype(float)
    heavy = np.exp(2 * rng.normal(size=(60, 40)))
    for pair in ({"x": grey, "y": ratings}, {"x": heavy, "y": rng.normal(size=(60, 5))}):
        assert lines_of(Modalities(pair)) == []


def test_values_out_of_range_are_an_error_with_sample_feature_and_remedy(data):
    negative = data.with_arrays({"rna": np.where(data["rna"] == data["rna"].max(), -3.0, data["rna"])})
    row, column = np.argwhere(negative["rna"] == -3.0)[0]
    message = rf"'rna' has 1 values below 0, the first in sample {row}, feature {column}, but 'log1p' is for values of"
    with pytest.raises(ValueError, match=message):
        AJIVE(**RANKS, transformation={"rna": "log1p"}).fit(negative)
    model = fitted(AJIVE(**RANKS), data, transformation={"rna": "log1p"})
    with pytest.raises(ValueError, match=message):
        model.transform(negative)
    changes = Modalities(data, groups=np.repeat(np.arange(40), 2)).within()
    with pytest.raises(ValueError, match=r"differences between visits: transform the values before within\(\)"):
        AJIVE(**RANKS, transformation={"rna": "log1p"}).fit(changes.with_arrays(dict(changes.items())))
    with pytest.raises(ValueError, match=r"'protein' has .* values outside 0 to 1"):
        AJIVE(**RANKS, transformation={"rna": "clr", "protein": "logit"}).fit(data)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"transformation": "log"}, "transformation is 'log', but must be one of .*'log_cpm'.* or None"),
        ({"transformation": {"rna": "cpm"}}, r"transformation\['rna'\] is 'cpm'"),
        (
            {"transformation": {"dna": "clr"}},
            r"names the modality \['dna'\], but the modalities are \['rna', 'protein'\]",
        ),
        ({"scale": True}, "scale is True, but must be one of .*'modality', 'features', 'robust'.* or None"),
        ({"scale": {"rna": None}}, r"scale is None for \['rna'\] and something else for \['protein'\]"),
    ],
)
def test_other_units_are_an_error(parameters, message, data):
    with pytest.raises(ValueError, match=message):
        AJIVE(**RANKS, **parameters).fit(data)


def test_features_that_lack_are_filled_in_the_units_of_the_input(data):
    named = Modalities(data, features={"rna": [f"gene {i}" for i in range(12)]})
    fewer = Modalities(
        {"rna": named["rna"][:, 1:], "protein": named["protein"]}, features={"rna": [f"gene {i}" for i in range(1, 12)]}
    )
    model = fitted(AJIVE(**RANKS), named, transformation={"rna": "log1p"}, scale="features")
    filled = model.adjust(fewer, missing_features="mean")["rna"]
    np.testing.assert_allclose(filled[:, 0], model.mean_["rna"][0])
    np.testing.assert_allclose(filled[:, 1:], model.adjust(named)["rna"][:, 1:])
    by_sample = fitted(AJIVE(**RANKS), named, transformation={"rna": "log_cpm"})
    with pytest.raises(ValueError, match="cannot be filled in, because its transformation computes a value from all"):
        by_sample.transform(fewer, missing_features="mean")


@pytest.mark.parametrize("estimator", [AJIVE(**RANKS), JIVE(**RANKS, tol=1e-4)], ids=["AJIVE", "JIVE"])
def test_inference_is_that_of_a_model_that_is_given_adjusted_values(estimator, data):
    units = {"transformation": {"rna": "log_cpm"}, "scale": "features"}
    model = fitted(estimator, data, **units)
    adjusted = Modalities(dict(model.adjust(data).items()))
    plain = fitted(estimator, adjusted)
    results = []
    for fit, values in ((model, data), (plain, adjusted)):
        effects = feature_effects(fit, values)
        intervals = bootstrap(fit, values, n_draws=10, random_state=0).variance_explained
        features = jackstraw(fit, values, "rna", n_repeats=5, random_state=0)
        results.append(
            [
                *(effects[name].p_value for name in values),
                *(intervals[name]["joint"] for name in values),
                features.p_values,
                fit.score(values),
            ]
        )
    for with_units, without in zip(*results, strict=True):
        np.testing.assert_allclose(with_units, without, rtol=1e-6, atol=1e-9)
    if isinstance(model, AJIVE):
        found = evidence(model, data, n_permutations=119, n_fits=0)
        assert found.joint_structure.p_value <= 0.05
        assert found.predicted["AJIVE"]["rna"] > 0.05


def test_samples_and_intervals_are_in_the_units_of_the_input(data):
    model = fitted(AJIVE(**RANKS), data[:50], transformation={"rna": "log1p"}, scale="features").calibrate(data[50:])
    drawn = model.sample(400, noise=True, random_state=0)
    assert drawn["rna"].min() > -1.0
    np.testing.assert_allclose(np.log1p(drawn["rna"]).mean(axis=0), np.log1p(data["rna"][:50]).mean(axis=0), atol=0.4)
    np.testing.assert_allclose(drawn["protein"].std(axis=0) / data["protein"][:50].std(axis=0), 1.0, atol=0.3)
    values, lower, upper, _ = model.impute(data, "rna", interval=0.8)
    np.testing.assert_array_equal(values, model.impute(data, "rna"))
    assert ((lower <= values) & (values <= upper)).all()
    assert 0.6 < ((lower <= data["rna"]) & (data["rna"] <= upper)).mean() < 0.95


def test_ranks_are_chosen_from_the_same_values_as_in_fit(data):
    deep = DeepJIVE(networks="linear", random_state=0, transformation={"rna": "log_cpm"}, scale="features")
    adjusted = Adjustment.learn(data, deep.transformation, deep.scale).of(data)
    assert deep.select_ranks(data).table() == clone(deep).select_ranks(adjusted).table()


def test_exported_encoders_scale_features_and_refuse_transformations(data, tmp_path):
    import torch

    from deepjive.deep.exporting import Encoders, export

    deep = DeepJIVE(**RANKS, networks="linear", max_epochs=1, random_state=0)
    model = fitted(deep, data, scale="features")
    given = {name: torch.from_numpy(np.asarray(x, dtype=np.float32)) for name, x in data.items()}
    scores = Encoders(model).eval()(given)["joint"].detach().numpy()
    np.testing.assert_allclose(scores, model.transform(data), atol=1e-3)
    with pytest.raises(ValueError, match="The model transforms modalities, which exported encoders cannot do"):
        export(fitted(deep, data, transformation={"rna": "clr"}), tmp_path / "other.pt2")


@pytest.mark.parametrize("level", ["between", "within"])
def test_visits_are_transformed_before_they_are_combined(data, level, tmp_path):
    groups = np.repeat(np.arange(40), 2)

    def at_level(arrays):
        visits = Modalities(arrays, groups=groups)
        return visits.between() if level == "between" else visits.within()

    raw, logged = at_level(data), at_level({**data, "rna": np.log1p(data["rna"])})
    model = fitted(AJIVE(**RANKS), raw[:30], transformation={"rna": "log1p"}, scale="features")
    by_hand = fitted(AJIVE(**RANKS), logged[:30], scale="features")
    np.testing.assert_allclose(model.joint_scores_, by_hand.joint_scores_, atol=1e-10)
    model.save(tmp_path / "model")
    model = load(tmp_path / "model")
    np.testing.assert_allclose(model.transform(raw[30:]), by_hand.transform(logged[30:]), atol=1e-10)
    np.testing.assert_allclose(model.adjust(raw)["rna"], by_hand.adjust(logged)["rna"], atol=1e-10)
    predicted, expected = model.impute(raw[30:], "rna"), by_hand.impute(logged[30:], "rna")
    expected = np.expm1(expected) if level == "between" else expected  # changes stay in the units of the logarithm
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def test_counts_of_visits_are_pointed_out_at_both_levels(data):
    visits = Modalities(data, groups=np.repeat(np.arange(40), 2))
    for at_level in (visits.between(), visits.within()):
        with pytest.warns(UnitsWarning, match="'rna' seems to hold counts"):
            AJIVE(**RANKS, scale="features").fit(at_level)


def test_features_of_new_visits_are_put_in_the_order_of_the_fit_before_they_are_combined(data):
    named = {name: [f"{name}{i}" for i in range(data.shapes[name][0])] for name in data}
    groups = np.repeat(np.arange(40), 2)
    visits = Modalities(data, groups=groups, features=named).within()
    turned = {name: array[:, ::-1] for name, array in data.items()}
    other = Modalities(turned, groups=groups, features={name: n[::-1] for name, n in named.items()}).within()
    model = fitted(AJIVE(**RANKS), visits, transformation={"rna": "arcsinh"}, scale="features")
    np.testing.assert_allclose(model.transform(other), model.transform(visits), atol=1e-10)


def test_features_copied_from_another_modality_are_named():
    rng = np.random.default_rng(0)
    a, b, group = rng.normal(size=(40, 6)), rng.normal(size=(40, 7)), rng.integers(0, 2, 40)
    a[:, 0] = b[:, 0] = group  # few values agree by chance
    data = Modalities({"a": a, "b": b, "c": np.hstack([b[:, 3:5], a[:, 5:], rng.normal(size=(40, 4))])})
    with pytest.warns(UnitsWarning) as caught:
        AJIVE(**RANKS).fit(data)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert "2 of 7 features of modality 'c' have the values of a feature of modality 'b' (0, 1)," in messages[0]
    assert "1 of 7 features of modality 'c' have the values of a feature of modality 'a' (2)," in messages[1]


def test_the_same_table_given_twice_is_named_also_where_modalities_are_missing():
    x = np.random.default_rng(0).normal(size=(40, 6))
    present = np.ones((40, 2), dtype=bool)
    present[:10, 1] = False
    with pytest.warns(UnitsWarning, match="6 of 6 features of modality 'b' have the values"):
        AJIVE(**RANKS, missing="impute").fit(Modalities({"a": x, "b": x}, present=present))
