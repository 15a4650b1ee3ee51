"""What remains after an offset or confounds are taken out is judged against the size before, not against itself."""

import warnings

import numpy as np
import pytest

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, load
from deepjive.adjust.adjustment import Adjustment
from deepjive.evaluation.feature_tests import halved
from deepjive.evaluation.null import _with_order

LINEAR = pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
N = 60


def quietly(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args, **options)


def low_rank(p, offset, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, 2)) @ rng.normal(size=(2, p)) + offset


def noise(p=8, seed=1):
    return np.random.default_rng(seed).normal(size=(N, p))


@LINEAR
@pytest.mark.parametrize("p", [8, 200])
def test_changes_keep_the_rounding_of_the_visits(estimator, p):
    changes = Modalities({"a": low_rank(p, 1e6), "b": noise(p)}, groups=np.arange(N) // 3).within()
    with pytest.raises(ValueError, match=r"individual_ranks\['a'\] is 3, .* (rank|has only) 2"):
        estimator(joint_rank=0, individual_ranks={"a": 3, "b": 1}).fit(changes)
    fitted = estimator(joint_rank=0, individual_ranks={"a": 2, "b": 1}).fit(changes)
    assert fitted.variance_explained_["a"]["individual"] == pytest.approx(1.0)


@LINEAR
@pytest.mark.parametrize("p", [8, 200])
def test_values_without_large_effects_of_confounds_keep_the_rounding_of_the_effects(estimator, p):
    age = np.random.default_rng(2).normal(size=N)
    data = {"a": low_rank(p, 0.0) + 1e7 * age[:, None] * np.linspace(1, 2, p), "b": noise(p)}
    with pytest.raises(ValueError, match=r"individual_ranks\['a'\] is 3, .* (rank|has only) 2"):
        estimator(joint_rank=0, individual_ranks={"a": 3, "b": 1}).fit(Modalities(data, confounds={"age": age}))


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE, DeepJIVE])
@pytest.mark.parametrize("scale", ["modality", "features", "robust"])
def test_changes_that_are_rounding_alone_are_constant(estimator, scale):
    rounded = np.where(np.arange(N) % 3 == 0, 0.3, 0.1 + 0.2)[:, None] * np.full(6, 1e6)
    changes = Modalities({"a": rounded, "b": noise()}, groups=np.arange(N) // 3).within()
    with pytest.raises(ValueError, match="'a' is constant: every sample is the same up to rounding"):
        quietly(estimator(scale=scale).fit, changes)


@pytest.mark.parametrize("scale", ["features", "robust"])
def test_rounding_of_changes_is_not_scaled_up(scale):
    rounded = np.where(np.arange(N) % 3 == 0, 0.3, 0.1 + 0.2)[:, None] * np.full(3, 1e6)
    changes = Modalities({"a": np.hstack([rounded, noise()]), "b": -noise()}, groups=np.arange(N) // 3).within()
    assert (quietly(Adjustment.learn, changes, None, scale).sizes["a"][:3] == 1.0).all()
    with pytest.warns(UserWarning, match="3 of 11 features of modality 'a' are constant"):
        AJIVE(joint_rank=1, scale=scale).fit(changes)


def test_changes_that_a_confound_explains_are_constant(tmp_path):
    rng = np.random.default_rng(3)
    age = np.repeat(rng.normal(60, 9, N // 3), 3) + rng.normal(size=N)
    explained = 1e6 + age[:, None] * np.array([1.0, 0.1, 3.0])
    data = {"a": np.hstack([explained, noise()]), "b": -noise()}
    changes = Modalities(data, groups=np.arange(N) // 3, confounds={"age": age}).within()
    model = quietly(AJIVE(joint_rank=1, scale="features", random_state=0).fit, changes)
    assert np.ptp(quietly(model._checked, changes)["a"][:, :3], axis=0).max() == 0.0
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert np.ptp(quietly(loaded._checked, changes)["a"][:, :3], axis=0).max() == 0.0


def test_features_that_confounds_explain_are_named():
    age = np.random.default_rng(2).normal(size=N)
    explained = age[:, None] * np.array([1.0, 2.0])
    data = Modalities({"a": np.hstack([explained, noise()]), "b": -noise()}, confounds={"age": age})
    with pytest.warns(UserWarning, match="confounds explain 2 of 10 features of modality 'a' wholly"):
        AJIVE(joint_rank=1).fit(data)


def test_magnitudes_follow_rows_modalities_features_and_transformations():
    rng = np.random.default_rng(4)
    x = np.exp(low_rank(6, 12.0))
    data = Modalities({"a": x, "b": noise()}, features={"a": list("uvwxyz")}, groups=np.arange(N) // 3)
    assert data.magnitudes == {}
    changes = data.within()
    size = changes.magnitudes["a"]
    assert (size > 1e3).all()
    for same in (changes[rng.permutation(len(changes))], changes.select(["a"]), Modalities(changes)):
        np.testing.assert_array_equal(same.magnitudes["a"], size)
    fewer = changes.with_features("a", list("zu"), np.array([5, 0]), np.zeros(2))
    np.testing.assert_array_equal(fewer.magnitudes["a"], size[[5, 0]])
    logarithms = quietly(Adjustment.learn, changes, {"a": "log1p"}, "modality").of(changes)
    assert (logarithms.magnitudes["a"] < 30).all()


def test_changes_of_float32_visits_are_judged_in_their_precision():
    x = (low_rank(8, 0.0) + 1e4).astype(np.float32)
    changes = Modalities({"a": x, "b": noise()}, groups=np.arange(N) // 3).within()
    assert AJIVE(joint_rank=0, individual_ranks=2).fit(changes).individual_ranks_["a"] == 2


@pytest.mark.parametrize("p", [6, 100])
def test_noise_of_rounding_gives_a_modality_no_larger_weight(p):
    def weights(offset):
        changes = Modalities({"a": low_rank(p, offset), "b": low_rank(p, 0.0, 5)}, groups=np.arange(N) // 3).within()
        return HeteroJIVE(joint_rank=0, signal_ranks=2).fit(changes).weights_

    np.testing.assert_allclose(weights(1e6), weights(0.0), rtol=1e-6)


OF_MEAN = r"center=False keeps the mean in modality 'a', where it is 100.0% of the sum of squares"


@LINEAR
@pytest.mark.parametrize("p", [8, 200])
def test_a_mean_that_hides_the_variation_is_said(estimator, p):
    data = {"a": noise(p, 2) + 1e5, "b": noise(p)}
    with pytest.warns(UserWarning, match=OF_MEAN) as caught:
        estimator(joint_rank=1, individual_ranks=1, center=False).fit(data)
    assert len([w for w in caught if "center=False" in str(w.message)]) == 1


@LINEAR
@pytest.mark.parametrize("center", [True, False])
def test_a_mean_that_hides_nothing_is_not_mentioned(estimator, center):
    estimator(joint_rank=1, individual_ranks=1, center=center).fit(
        {"a": noise(8, 2) + (1e5 if center else 1.0), "b": noise()}
    )


@pytest.mark.filterwarnings("ignore:center=False keeps the mean in modality 'a'")
def test_jive_that_did_not_converge_says_that_scores_differ():
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=(27, p)) + 10.0**offset for name, p, offset in (("a", 12, 7), ("b", 8, 5))}
    data |= {name: rng.normal(size=(27, p)) for name, p in (("c", 2), ("d", 3))}
    model = JIVE(joint_rank=1, individual_ranks={"a": 3, "b": 3, "c": 1, "d": 2}, center=False, max_iter=200)
    with pytest.warns(UserWarning, match="did not converge") as caught:
        model.fit(data)
    said = [str(w.message) for w in caught if "did not converge" in str(w.message)]
    difference = np.abs(model.transform(data) - model.joint_scores_).max()
    assert difference > 0.02
    assert len(said) == 1
    assert "differ from those of the fit by up to" in said[0]


def test_scores_of_components_that_filled_values_decide_are_said_to_differ():
    rng = np.random.default_rng(54)
    age = rng.normal(size=8)
    b = np.stack([rng.normal(size=8), 1e6 + age, 1e6 + 0.2 * age], axis=1)
    b[5, 0] = b[3, 2] = np.nan
    data = {"a": rng.normal(size=(8, 8)), "b": b}
    model = AJIVE(signal_ranks={"a": 4, "b": 3}, joint_rank=1, individual_ranks=2, missing="impute", random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(data)
    differences = [np.abs(model.transform(data) - model.joint_scores_).max()]
    differences += [
        np.abs(scores - model.individual_scores_[name]).max()
        for name, scores in model.decompose(data).individual_scores.items()
    ]
    is_said = any("differ from those of the fit" in str(w.message) for w in caught)
    assert is_said == (max(differences) > 0.02)


def test_refits_of_halves_and_permutations_keep_the_size_before():
    changes = Modalities({"a": low_rank(8, 1e6), "b": noise()}, groups=np.arange(N) // 3).within()
    adjusted = AJIVE(joint_rank=1, individual_ranks=1).fit(changes)._checked(changes)
    sides = {name: np.arange(8) % 2 for name in "ab"}
    for other in (halved(adjusted, sides, 0), _with_order(adjusted, "a", np.arange(len(changes))[::-1])):
        np.testing.assert_array_equal(other.magnitudes["a"], adjusted.magnitudes["a"])
        with pytest.raises(ValueError, match=r"individual_ranks\['a'\] is 3, .* rank 2"):
            AJIVE(joint_rank=0, individual_ranks={"a": 3, "b": 1}).fit(other)


def test_jive_counts_the_dimensions_that_confounds_leave() -> None:
    """Five samples, of which the mean and two confounds take three dimensions, hold two joint scores, not three."""
    rng = np.random.default_rng(0)
    confounds = {"age": rng.normal(size=5), "sex": np.array([0.0, 1.0, 0.0, 1.0, 1.0])}
    data = Modalities({"a": rng.normal(size=(5, 8)), "b": rng.normal(size=(5, 3))}, confounds=confounds)
    with pytest.raises(ValueError, match=r"joint_rank.*3.*2"):
        JIVE(joint_rank=3, individual_ranks=0).fit(data)
    with pytest.raises(ValueError, match="individual"):
        JIVE(joint_rank=1, individual_ranks=1).fit(data)
    assert JIVE(joint_rank=2, individual_ranks=0).fit(data).joint_rank_ == 2


@pytest.mark.parametrize("rule", ["permutation", "bic"])
def test_jive_chooses_no_more_ranks_than_confounds_leave(rule: str) -> None:
    rng = np.random.default_rng(28)
    for _ in range(5):
        arrays = {"a": rng.normal(size=(6, 12)), "b": rng.normal(size=(6, 8))}
        data = Modalities(arrays, confounds={"sex": rng.integers(0, 2, 6).astype(float), "age": rng.normal(size=6)})
        model = JIVE(joint_rank=2, individual_ranks=rule, n_permutations=10, random_state=0).fit(data)
        assert model.joint_rank_ + sum(model.individual_ranks_.values()) <= 3
