import numpy as np
import pytest
from scipy.linalg import subspace_angles

import deepjive as dj
from deepjive import AJIVE, Modalities
from deepjive.linear.angles import NoSignalWarning
from tests.linear.tolerances import SUMS, TWO_ROUTES


def simulated(seed=0, n=80, sizes=(60, 300), joint=2, individual=(1, 2), noise=1.0):
    """Joint and individual scores of unit variance, with random loadings and white noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, joint))
    truth, data = {}, {}
    for k, (d, r) in enumerate(zip(sizes, individual, strict=True)):
        scores = np.hstack([z, rng.normal(size=(n, r))])
        data[f"m{k}"] = scores @ rng.normal(size=(joint + r, d)) + noise * rng.normal(size=(n, d)) + 10.0
        truth[f"m{k}"] = scores[:, joint:]
    return Modalities(data), z, truth


@pytest.fixture(scope="module")
def fitted():
    data, z, truth = simulated()
    return AJIVE(random_state=0).fit(data), data, z, truth


def centred(x):
    return x - x.mean(axis=0)


def test_ranks_and_scores_of_a_simulation_are_recovered(fitted):
    model, _, z, truth = fitted
    assert model.signal_ranks_ == {"m0": 3, "m1": 4}
    assert model.joint_rank_ == 2
    assert model.individual_ranks_ == {"m0": 1, "m1": 2}
    # the error of a left singular vector is about 1 / sqrt(d), 7 degrees for 60 features
    assert np.degrees(subspace_angles(model.joint_scores_, centred(z)).max()) < 10
    rest = centred(truth["m1"]) - model.common_normalized_scores_ @ (model.common_normalized_scores_.T @ truth["m1"])
    assert np.degrees(subspace_angles(model.individual_scores_["m1"], rest).max()) < 10


def test_scores_have_mean_0_and_variance_1(fitted):
    model, data, _, _ = fitted
    for scores in (model.joint_scores_, *model.individual_scores_.values()):
        np.testing.assert_allclose(scores.mean(axis=0), 0, atol=SUMS)
        np.testing.assert_allclose(scores.T @ scores / len(data), np.eye(scores.shape[1]), atol=SUMS)


def test_joint_and_individual_scores_are_uncorrelated(fitted):
    model, data, _, _ = fitted
    for scores in model.individual_scores_.values():
        np.testing.assert_allclose(model.joint_scores_.T @ scores / len(data), 0, atol=SUMS)


def test_transform_of_the_fitted_samples_gives_the_scores_of_the_fit(fitted):
    model, data, _, _ = fitted
    np.testing.assert_allclose(model.transform(data), model.joint_scores_, atol=TWO_ROUTES)
    for name, scores in model.decompose(data).individual_scores.items():
        np.testing.assert_allclose(scores, model.individual_scores_[name], atol=TWO_ROUTES)


def test_joint_part_is_the_projection_on_the_joint_scores(fitted):
    model, data, _, _ = fitted
    parts = model.decompose(data)
    u = model.common_normalized_scores_
    for name, x in data.items():
        np.testing.assert_allclose(parts.joint[name] - x.mean(axis=0), u @ (u.T @ x), atol=TWO_ROUTES)
        np.testing.assert_allclose(
            parts.joint[name] + parts.individual[name] + parts.residual[name], x, atol=TWO_ROUTES
        )


def test_variance_explained_is_that_of_the_decomposition_and_of_the_components(fitted):
    model, data, _, _ = fitted
    parts = model.decompose(data)
    for name, fractions in model.variance_explained_.items():
        assert fractions == pytest.approx(parts.variance_explained[name], abs=TWO_ROUTES)
        assert sum(fractions.values()) == pytest.approx(1.0)
        for part in ("joint", "individual"):
            assert model.component_variance_[name][part].sum() == pytest.approx(fractions[part])


def test_bounds_are_kept_with_their_cutoffs(fitted):
    model, _, _, _ = fitted
    assert model.wedin_cutoff_ == np.percentile(model.wedin_samples_, 5)
    assert model.random_cutoff_ == np.percentile(model.random_samples_, 95)
    assert len(model.wedin_samples_) == len(model.random_samples_) == 1000
    above = model.joint_singular_values_**2 > max(model.wedin_cutoff_, model.random_cutoff_)
    assert above.sum() == model.joint_rank_ + len(set().union(*model.rejected_.values()))


def test_new_samples_get_the_scores_of_the_true_model():
    data, z, _ = simulated(n=300, noise=0.5)
    model = AJIVE(random_state=0).fit(data[:200])
    scores = model.transform(data[200:])
    design = np.c_[np.ones(100), scores]
    rest = z[200:] - design @ np.linalg.lstsq(design, z[200:], rcond=None)[0]
    # noise of half the signal's size, averaged over 360 features
    assert rest.var() / z.var() < 0.02


def test_samples_that_lack_a_modality_get_scores_from_the_others():
    data, _, _ = simulated(n=300)
    model = AJIVE(random_state=0).fit(data[:200])
    present = np.ones((100, 2), dtype=bool)
    present[:50, 0] = False
    partial = Modalities(dict(data[200:].items()), present=present)
    complete, scores = model.decompose(data[200:]), model.decompose(partial)
    np.testing.assert_allclose(scores.joint_scores[50:], complete.joint_scores[50:], atol=TWO_ROUTES)
    correlation = np.corrcoef(scores.joint_scores[:50].T, complete.joint_scores[:50].T)[:2, 2:]
    # scores from one modality have more noise than scores from two
    assert np.diag(correlation).min() > 0.9
    assert np.isnan(scores.individual_scores["m0"][:50]).all()


def test_imputed_modality_is_nearer_than_the_mean():
    data, _, _ = simulated(n=300)
    model = AJIVE(random_state=0).fit(data[:200])
    new = data[200:]
    errors = new["m1"] - model.impute({"m0": new["m0"]}, "m1")
    explained = 1 - (errors**2).sum() / ((new["m1"] - model.mean_["m1"]) ** 2).sum()
    # scores from one modality have errors, which cost less than a fifth of the joint variance
    assert explained > 0.8 * model.variance_explained_["m1"]["joint"]


def test_given_joint_rank_is_kept(fitted):
    _, data, _, _ = fitted
    for rank in (0, 1, 3):
        model = AJIVE(signal_ranks=4, joint_rank=rank, random_state=0).fit(data)
        assert model.joint_rank_ == rank
        assert model.transform(data).shape == (80, rank)


def test_given_ranks_are_the_signal_ranks_together(fitted):
    _, data, _, _ = fitted
    model = AJIVE(joint_rank=2, individual_ranks={"m0": 0, "m1": 2}, random_state=0).fit(data)
    assert model.signal_ranks_ == {"m0": 2, "m1": 4}
    assert model.individual_ranks_ == {"m0": 0, "m1": 2}
    assert model.decompose(data).individual["m0"].shape == data["m0"].shape


def test_every_rank_may_be_0(fitted):
    _, data, _, _ = fitted
    model = AJIVE(signal_ranks=0, joint_rank=0, individual_ranks=0).fit(data)
    parts = model.decompose(data)
    np.testing.assert_allclose(parts.joint["m0"], np.broadcast_to(model.mean_["m0"], data["m0"].shape))
    assert parts.variance_explained["m0"] == pytest.approx({"joint": 0.0, "individual": 0.0, "residual": 1.0})
    assert model.impute({"m0": data["m0"]}, "m1").shape == data["m1"].shape


def test_modality_without_signal_leaves_nothing_joint():
    data, _, _ = simulated()
    noise = np.random.default_rng(1).normal(size=(80, 200))
    with pytest.warns(NoSignalWarning, match="The joint rank is 0, and no component of modality 'noise' is stronger"):
        model = AJIVE(random_state=0).fit({**dict(data.items()), "noise": noise})
    assert model.signal_ranks_["noise"] == 0
    assert model.joint_rank_ == 0


def test_ranks_that_were_given_are_no_reason_for_a_warning():
    data, _, _ = simulated()
    noise = {**dict(data.items()), "noise": np.random.default_rng(1).normal(size=(80, 200))}
    for given in ({"joint_rank": 0}, {"signal_ranks": {"m0": 2, "m1": 2, "noise": 0}}):
        assert AJIVE(random_state=0, **given).fit(noise).joint_rank_ == 0  # warnings are errors here


def test_direction_too_weak_in_one_modality_is_dropped():
    rng = np.random.default_rng(1)
    u = np.linalg.qr(centred(rng.normal(size=(60, 5))))[0][:, :3]
    first, second = (np.linalg.qr(np.random.default_rng(seed).normal(size=(50, 3)))[0].T for seed in (1, 2))
    # the second direction is plain in the first modality and hardly above the noise in the other
    data = {"a": u[:, :2] * [30.0, 20.0] @ first[:2], "b": u[:, [0, 2, 1]] * [30.0, 20.0, 2.5] @ second}
    data = {name: x + 0.3 * rng.normal(size=(60, 50)) for name, x in data.items()}
    model = AJIVE(signal_ranks={"a": 2, "b": 3}, random_state=0).fit(data)
    assert (model.joint_singular_values_[:3] ** 2 > max(model.wedin_cutoff_, model.random_cutoff_)).sum() == 2
    assert model.rejected_ == {"a": [], "b": [1]}
    assert model.joint_rank_ == 1


def test_images_come_back_as_images():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 1))
    data = {
        "map": np.tensordot(z, rng.normal(size=(1, 4, 5, 6)), 1) + 0.1 * rng.normal(size=(40, 4, 5, 6)),
        "table": z @ rng.normal(size=(1, 7)) + 0.1 * rng.normal(size=(40, 7)),
    }
    model = AJIVE(signal_ranks=1, random_state=0).fit(data)
    assert model.joint_loadings_["map"].shape == (1, 4, 5, 6)
    assert model.decompose(data).joint["map"].shape == (40, 4, 5, 6)
    # noise has a hundredth of the joint variance
    assert model.variance_explained_["map"]["joint"] > 0.95


def test_features_outside_the_mask_do_not_count():
    data, _, _ = simulated()
    x = data["m0"].reshape(80, 6, 10)
    mask = np.zeros((6, 10), dtype=bool)
    mask[:4] = True
    model = AJIVE(mask={"m0": mask}, random_state=0).fit({"m0": x, "m1": data["m1"]})
    cut = AJIVE(random_state=0).fit({"m0": x[:, mask], "m1": data["m1"]})
    np.testing.assert_allclose(model.joint_scores_, cut.joint_scores_, atol=TWO_ROUTES)
    np.testing.assert_allclose(model.joint_loadings_["m0"][:, mask], cut.joint_loadings_["m0"], atol=TWO_ROUTES)
    assert (model.joint_loadings_["m0"][:, ~mask] == 0).all()
    assert model.variance_explained_["m0"] == pytest.approx(cut.variance_explained_["m0"])


@pytest.mark.filterwarnings("ignore:.* are constant:deepjive.adjust.inspection.UnitsWarning")
def test_mask_in_which_nothing_varies_is_an_error(fitted):
    data = fitted[1]
    x = np.hstack([data["m0"], np.ones((80, 3))])
    with pytest.raises(ValueError, match="'m0' is constant inside its mask"):
        AJIVE(mask={"m0": np.arange(63) >= 60}).fit({"m0": x, "m1": data["m1"]})


def test_uncentred_data_keep_their_mean_in_the_parts():
    data, _, _ = simulated()
    model = AJIVE(signal_ranks=4, joint_rank=1, center=False, random_state=0).fit(data)
    assert (model.mean_["m0"] == 0).all()
    np.testing.assert_allclose(model.transform(data), model.joint_scores_, atol=TWO_ROUTES)


def test_data_on_disk_give_the_same_as_in_memory(tmp_path, monkeypatch, fitted):
    model, data, _, _ = fitted
    paths = {}
    for name, x in data.items():
        np.save(tmp_path / f"{name}.npy", x)
        paths[name] = str(tmp_path / f"{name}.npy")
    monkeypatch.setattr("deepjive.linear.streaming.PIECE_NUMBERS", 1000)
    streamed = AJIVE(random_state=0).fit(paths)
    np.testing.assert_allclose(streamed.joint_scores_, model.joint_scores_, atol=TWO_ROUTES)
    np.testing.assert_allclose(streamed.joint_loadings_["m1"], model.joint_loadings_["m1"], atol=TWO_ROUTES)
    np.testing.assert_allclose(streamed.wedin_cutoff_, model.wedin_cutoff_, atol=TWO_ROUTES)


def test_order_of_the_modalities_does_not_matter(fitted):
    model, data, _, _ = fitted
    other = AJIVE(signal_ranks=model.signal_ranks_, joint_rank=2).fit(data.select(["m1", "m0"]))
    np.testing.assert_allclose(other.joint_scores_, model.joint_scores_, atol=TWO_ROUTES)


def test_same_random_state_gives_the_same_bounds_and_leaves_the_global_seed_alone(fitted):
    model, data, _, _ = fitted
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = AJIVE(random_state=0).fit(data)
    np.testing.assert_array_equal(again.wedin_samples_, model.wedin_samples_)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signal_ranks": {"m0": 3}}, "signal_ranks names"),
        ({"signal_ranks": -1}, "at least 0"),
        ({"signal_ranks": 1, "joint_rank": 2}, "joint_rank is 2, but the signal rank"),
        ({"rank_rule": "elbow"}, "rank_rule must be one of"),
        ({"n_wedin": 0}, "needs draws of both bounds"),
        ({"joint_rank": 1, "individual_ranks": 60}, "without its joint part"),
        ({"signal_ranks": {"m0": 60, "m1": 80}}, "has numerical rank 79"),
    ],
)
def test_errors_say_what_is_wrong(fitted, arguments, message):
    with pytest.raises(ValueError, match=message):
        AJIVE(**arguments).fit(fitted[1])


def test_saved_model_is_the_same_bit_by_bit(tmp_path, fitted):
    model, data, _, _ = fitted
    model.save(tmp_path / "model")
    loaded = dj.load(tmp_path / "model")
    assert isinstance(loaded, AJIVE)
    np.testing.assert_array_equal(loaded.transform(data), model.transform(data))
    np.testing.assert_array_equal(loaded.decompose(data).residual["m1"], model.decompose(data).residual["m1"])
    np.testing.assert_array_equal(loaded.impute(data, "m0"), model.impute(data, "m0"))
    assert loaded.variance_explained_ == model.variance_explained_
    assert loaded.rejected_ == model.rejected_


def test_saved_model_keeps_its_mask(tmp_path, fitted):
    data = fitted[1]
    model = AJIVE(mask={"m0": np.arange(60) < 50}, random_state=0).fit(data)
    model.save(tmp_path / "model")
    loaded = dj.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.mask["m0"], model.mask["m0"])
    np.testing.assert_array_equal(loaded.transform(data), model.transform(data))
