"""What rounding leaves of a feature is no variation: it is never a component, and never scaled up."""

import warnings

import numpy as np
import pytest

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, fill_missing
from deepjive.adjust.adjustment import Adjustment, adjusted
from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import reduce
from deepjive.rounding import exceeds_rounding

LINEAR = pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
N = 60
CONSTANTS = np.array([0.1, -0.3, 1e9 + 0.1, 123.456])  # no sum or mean of these is exact


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(size=(N, 8))


@pytest.fixture(scope="module")
def confounds():
    rng = np.random.default_rng(1)
    return {"age": rng.normal(60, 9, N), "sex": rng.choice(["f", "m"], N), "site": rng.choice(["A", "B", "C"], N)}


def with_constants(noise):
    return np.concatenate([np.tile(CONSTANTS, (N, 1)), noise], axis=1)


def quietly(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args, **options)


@pytest.mark.parametrize("names", [["age"], ["age", "sex"], ["site"], ["age", "sex", "site"]], ids="+".join)
@pytest.mark.parametrize("with_gaps", [False, True], ids=["complete", "gaps"])
def test_constant_features_stay_constant_without_confounds(names, with_gaps, noise, confounds):
    x = with_constants(noise)
    if with_gaps:
        x[np.random.default_rng(2).random(x.shape) < 0.1] = np.nan
    data = Modalities({"a": x, "b": noise}, confounds={name: confounds[name] for name in names})
    without = quietly(adjusted, data)[0]["a"][:, : len(CONSTANTS)]
    assert set(np.nanmax(without, axis=0) - CONSTANTS) | set(np.nanmin(without, axis=0) - CONSTANTS) == {0.0}


def test_constant_features_stay_constant_when_missing_values_are_filled_in(noise):
    x = with_constants(noise)
    x[np.random.default_rng(2).random(x.shape) < 0.2] = np.nan
    filled = fill_missing({"a": x, "b": noise})["a"][:, : len(CONSTANTS)]
    assert np.array_equal(filled, np.tile(CONSTANTS, (N, 1)))


@pytest.mark.parametrize("level", ["between", "within"])
def test_constant_features_stay_constant_when_samples_of_participants_are_combined(level, noise):
    groups = np.repeat(np.arange(12), np.arange(12) % 7 + 1)
    data = Modalities({"a": with_constants(noise)[: len(groups)], "b": noise[: len(groups)]}, groups=groups)
    combined = np.asarray(getattr(data, level)()["a"])[:, : len(CONSTANTS)]
    assert np.array_equal(combined, np.tile(CONSTANTS if level == "between" else 0 * CONSTANTS, (len(combined), 1)))


def test_an_infinite_value_of_a_participant_stays_infinite(noise):
    x = noise.copy()
    x[1, 0] = x[2, 0] = np.inf
    between = Modalities({"a": x, "b": noise}, groups=np.arange(N) // 3).between()
    assert between["a"][0, 0] == np.inf


def test_a_confound_in_small_units_that_changes_within_participants_is_kept(noise):
    age = np.random.default_rng(1).normal(size=N) * 1e-10
    within = Modalities({"a": noise, "b": noise}, groups=np.arange(N) // 3, confounds={"age": age}).within()
    assert within.confounds is not None
    constant = Modalities({"a": noise, "b": noise}, groups=np.arange(N) // 3, confounds={"age": np.full(N, 0.1)})
    assert constant.within().confounds is None


@pytest.mark.parametrize("scale", ["modality", "features", "robust"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_nothing_is_left_of_features_that_confounds_explain(scale, offset, noise, confounds):
    age, of_sex = confounds["age"] - confounds["age"].mean(), 2.0 * (confounds["sex"] == "f")
    explained = np.stack([age, 3.0 * age + of_sex, of_sex, 1e-3 * age], axis=1) + offset
    data = Modalities({"a": np.concatenate([explained, noise], axis=1), "b": noise}, confounds=confounds)
    without = quietly(adjusted, data, scale=scale)[0]["a"]
    assert (without[:, :4] == without[0, :4]).all()
    alone = Modalities({"a": explained, "b": noise}, confounds=confounds)
    with pytest.raises(ValueError, match=r"'a' is constant: .* whether they explain all of it"):
        quietly(AJIVE(joint_rank=1, scale=scale).fit, alone)


@LINEAR
@pytest.mark.parametrize("offset", [1e2, 1e5, 1e9])
@pytest.mark.parametrize("p", [8, 200])
def test_rounding_beside_a_large_mean_is_no_component(estimator, offset, p):
    rng = np.random.default_rng(0)
    low_rank = rng.normal(size=(N, 2)) @ rng.normal(size=(2, p)) + offset
    data = {"a": low_rank, "b": rng.normal(size=(N, p))}
    with pytest.raises(ValueError, match=r"individual_ranks\['a'\] is 3, .* (rank|has only) 2"):
        estimator(joint_rank=0, individual_ranks={"a": 3, "b": 1}).fit(data)
    fitted = estimator(joint_rank=0, individual_ranks={"a": 2, "b": 1}).fit(data)
    assert fitted.variance_explained_["a"]["individual"] == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("estimator", [AJIVE, JIVE, DeepJIVE])
def test_a_modality_that_varies_by_rounding_alone_is_constant(dtype, estimator, noise):
    x = np.where(np.arange(N) % 2 == 0, 0.3, np.nextafter(np.array(0.3, dtype), 1))[:, None] * np.ones(5)
    with pytest.raises(ValueError, match="'a' is constant: every sample is the same up to rounding"):
        estimator().fit({"a": x.astype(dtype), "b": noise})


def test_a_constant_modality_with_missing_values_is_constant(noise):
    x = np.full((N, 3), 5.0)
    x[0, 0] = x[3, 1] = np.nan
    with pytest.raises(ValueError, match="'a' is constant"):
        AJIVE(missing="impute").fit({"a": x, "b": noise})


@LINEAR
@pytest.mark.parametrize("values", [2.0, None], ids=["equal", "rounding"])
def test_a_modality_that_is_constant_inside_its_mask_is_refused(estimator, values, noise):
    x, counts = noise.copy(), np.arange(8) < 3
    x[:, counts] = np.where(np.arange(N) % 2 == 0, 0.3, 0.1 + 0.2)[:, None] if values is None else values
    with pytest.raises(ValueError, match="'a' is constant inside its mask"):
        quietly(estimator(joint_rank=0, mask={"a": counts}).fit, {"a": x, "b": noise})


@pytest.mark.parametrize("extra", [0, 100], ids=["few features", "more features than samples"])
def test_features_that_vary_by_rounding_alone_do_not_count(extra, noise):
    rounded = np.where(np.arange(N) % 2 == 0, 0.3, 0.1 + 0.2)[:, None] * np.ones(6)
    wide = np.concatenate([rounded, noise, np.random.default_rng(3).normal(size=(N, extra))], axis=1)
    assert reduce(Pieces(wide)).n_varying == wide.shape[1] - 6
    assert reduce(Pieces(wide, center=False)).n_varying == wide.shape[1] - 5
    for scale in ("features", "robust"):
        sizes = quietly(Adjustment.learn, Modalities({"a": wide, "b": noise}), None, scale).sizes["a"]
        assert (sizes[:6] == 1.0).all()
        assert (sizes[6:14] != 1.0).all()


def test_an_interquartile_range_of_rounding_is_no_scale(noise):
    x = np.r_[np.full(25, 0.3), np.full(25, 0.1 + 0.2), np.arange(10.0)][:, None]
    sizes = quietly(Adjustment.learn, Modalities({"a": x, "b": noise}), None, "robust").sizes["a"]
    assert sizes[0] == pytest.approx(x.std())


@pytest.mark.parametrize("scale", ["features", "robust"])
@pytest.mark.parametrize("unit", [1e-290, 1e-160, 1e160, 1e290])
def test_scales_and_sites_do_not_depend_on_the_unit(scale, unit, noise, confounds):
    values = noise * np.where(confounds["site"] == "A", 3.0, 1.0)[:, None] + (confounds["site"] == "B")[:, None]
    expected, other = (
        quietly(adjusted, Modalities({"a": x, "b": noise}, confounds=confounds), scale=scale)[0]["a"]
        for x in (values, values * unit)
    )
    assert np.allclose(other, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", [0.1, 3.1, 7.7])
def test_values_that_are_constant_at_one_site_do_not_scale_new_values_up(value):
    site = np.repeat(["A", "B"], 23)
    rng = np.random.default_rng(0)
    x = np.where(site == "A", value, rng.normal(size=46))[:, None]
    data = Modalities({"a": x, "b": rng.normal(size=(46, 3))}, confounds={"site": site})
    new = Modalities({"a": np.array([[value + 0.1]]), "b": np.zeros((1, 3))}, confounds={"site": ["A"]})
    fitted, later = adjusted(data, new)
    assert abs(later["a"][0, 0] - fitted["a"][0, 0]) == pytest.approx(0.1)


def test_filling_in_converges_as_well_beside_large_constants(noise):
    rng = np.random.default_rng(5)
    z = rng.normal(size=(N, 1))
    a, b = (z @ rng.normal(size=(1, 8)) + 0.5 * rng.normal(size=(N, 8)) for _ in range(2))
    a[rng.random(a.shape) < 0.2] = np.nan
    gaps = np.where(rng.random((N, 6)) < 0.3, np.nan, 0.0)
    model = AJIVE(joint_rank=1, individual_ranks=1, missing="impute")
    scores = [
        quietly(model.fit, {"a": np.concatenate([a, gaps + size], axis=1), "b": b}).joint_scores_ for size in (0.0, 1e9)
    ]
    assert np.allclose(*scores, atol=1e-6)


def test_a_difference_of_the_last_digits_is_rounding_in_either_precision():
    for dtype in (np.float32, np.float64):
        value = np.array(0.3, dtype)
        assert not exceeds_rounding(np.nextafter(value, value + 1) - value, value)
        assert exceeds_rounding(np.array(1e-5, dtype), value)
    assert not exceeds_rounding(np.nan, 1.0)
