"""DeepJIVE with subsets: one model for each subset of modalities."""

import numpy as np
import pytest

import deepjive as dj
from deepjive import DeepJIVE, Modalities
from deepjive.deep.exporting import export
from deepjive.subsets import EmptySubsetWarning

pytestmark = pytest.mark.filterwarnings("ignore:.*still improving when max_epochs")

NAMES = ("a", "b", "c")
PARAMETERS = {"networks": "dense", "max_epochs": 3, "random_state": 0}


def simulate(n: int = 160, width: int = 12) -> dict[str, np.ndarray]:
    """A joint score, two scores of a and b alone, and an individual score of c."""
    rng = np.random.default_rng(0)
    joint, pair, own = rng.normal(size=(n, 1)), rng.normal(size=(n, 2)), rng.normal(size=(n, 1))
    loadings = {name: rng.normal(size=(4, width)) for name in NAMES}
    data = {name: joint @ loadings[name][:1] + rng.normal(size=(n, width)) for name in NAMES}
    for name in ("a", "b"):
        data[name] = data[name] + pair @ loadings[name][1:3]
    data["c"] = data["c"] + own @ loadings["c"][3:]
    return data


@pytest.fixture(scope="module")
def data() -> Modalities:
    return Modalities(simulate())


@pytest.fixture(scope="module")
def model(data) -> DeepJIVE:
    ranks = {"a": 0, "b": 0, "c": 1}
    return DeepJIVE(subsets={("a", "b"): 2}, joint_rank=1, individual_ranks=ranks, **PARAMETERS).fit(data[:120])


def test_ranks_are_those_given(model):
    assert model.subset_ranks_ == {NAMES: 1, ("a", "b"): 2}
    assert model.joint_rank_ == 1
    assert model.individual_ranks_ == {"a": 0, "b": 0, "c": 1}


def test_parts_add_up_to_the_input(data, model):
    parts = model.decompose(data)
    for name in NAMES:
        of_subsets = sum(part[name] for subset, part in parts.subset.items() if name in subset)
        whole = parts.joint[name] + of_subsets + parts.individual[name] + parts.residual[name]
        np.testing.assert_allclose(whole, data[name], atol=1e-4)  # networks compute in single precision
    assert list(parts.variance_explained["a"]) == ["joint", "a+b", "individual", "residual"]
    assert parts.subset_scores["a", "b"].shape == (160, 2)


def test_no_variation_is_in_two_parts(data, model):
    for name in ("a", "b"):  # a quarter of their variance is noise
        fractions = model.decompose(data).variance_explained[name]
        assert fractions["residual"] < 0.4
        assert fractions["a+b"] > 0.3


def test_individual_scores_do_not_repeat_the_scores_of_subsets():
    """Decoders that are hardly trained leave much of the subsets' variation, which must not become individual."""
    rng = np.random.default_rng(0)
    pair, loadings = rng.normal(size=(200, 2)), rng.normal(size=(3, 2, 12))
    hue = np.cos(2 * pair) + np.sin(3 * pair)
    arrays = {
        name: (name != "c") * (pair @ loadings[k] + hue @ loadings[k]) + rng.normal(size=(200, 12))
        for k, name in enumerate(NAMES)
    }
    own = rng.normal(size=(200, 1))
    arrays["a"] = arrays["a"] + 2 * own @ rng.normal(size=(1, 12))
    ranks = {"joint_rank": 0, "individual_ranks": {"a": 3, "b": 3, "c": 0}}
    model = DeepJIVE(subsets={("a", "b"): 2}, **ranks, **PARAMETERS).fit(arrays)
    parts = model.decompose(arrays)
    of_pair = parts.subset_scores["a", "b"]
    for name in ("a", "b"):
        scores = parts.individual_scores[name]
        assert np.abs(np.corrcoef(of_pair.T, scores.T)[:2, 2:]).max() < 0.15, name
    assert np.abs(np.corrcoef(own.T, parts.individual_scores["a"].T)[0, 1:]).max() > 0.9


def test_scores_of_the_fitted_samples_are_in_standard_form(data, model):
    np.testing.assert_allclose(model.joint_scores_.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(model.joint_scores_.std(axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(model.transform(data[:120]), model.joint_scores_, atol=1e-6)


def test_a_missing_modality_is_predicted_from_its_subsets(data, model):
    test = data[120:]
    plain = DeepJIVE(joint_rank=1, individual_ranks={"a": 2, "b": 2, "c": 1}, **PARAMETERS).fit(data[:120])
    x = test["a"] - data[:120]["a"].mean(axis=0)

    def error(fitted):
        predicted = fitted.impute(test.select(["b", "c"]), "a") - fitted.mean_["a"]
        return np.sum((x - predicted) ** 2) / np.sum(x**2)

    assert error(model) < error(plain) - 0.1
    with_c_alone = model.impute(test.select(["c"]), "a")  # of the pair nothing is known
    assert np.isfinite(with_c_alone).all()


def test_samples_may_lack_modalities(data):
    present = np.ones((160, 3), dtype=bool)
    present[:30, 0] = False
    present[30:50, :2] = False
    gappy = Modalities(dict(data.items()), present=present)
    model = DeepJIVE(subsets={("a", "b"): 1}, joint_rank=1, individual_ranks=1, **PARAMETERS).fit(gappy)
    parts = model.decompose(gappy)
    assert np.isfinite(parts.subset_scores["a", "b"]).all()
    assert np.isnan(parts.individual_scores["a"][:30]).all()
    assert model.joint_scores_.shape == (160, 1)


def test_a_saved_model_is_the_same(tmp_path, data, model):
    model.save(tmp_path)
    loaded = dj.load(tmp_path)
    assert loaded.subset_ranks_ == model.subset_ranks_
    ours, theirs = model.decompose(data), loaded.decompose(data)
    np.testing.assert_array_equal(ours.joint_scores, theirs.joint_scores)
    np.testing.assert_array_equal(ours.subset["a", "b"]["b"], theirs.subset["a", "b"]["b"])
    np.testing.assert_array_equal(ours.residual["c"], theirs.residual["c"])
    assert loaded.n_parameters_ == model.n_parameters_


def test_the_report_names_the_models_of_the_subsets(model):
    assert "[a+b]" in model.describe()
    assert any(phase.startswith("a+b: ") for phase in model.history_["phase"])
    assert isinstance(model.diagnostics(), list)


def test_without_scores_of_subsets_the_model_is_that_without_subsets(data):
    ranks = {"joint_rank": 1, "individual_ranks": 1}
    model = DeepJIVE(subsets={("a", "b"): 0}, **ranks, **PARAMETERS).fit(data)
    plain = DeepJIVE(**ranks, **PARAMETERS).fit(data)
    assert model.subset_ranks_ == {NAMES: 1, ("a", "b"): 0}
    np.testing.assert_array_equal(model.transform(data), plain.transform(data))


def test_a_named_subset_that_shares_nothing_is_warned_of():
    rng = np.random.default_rng(0)
    noise = {name: rng.normal(size=(80, 6)) for name in NAMES}
    model = DeepJIVE(subsets=[("a", "b")], joint_rank=0, individual_ranks=1, **PARAMETERS)
    with pytest.warns(EmptySubsetWarning, match="'a', 'b'.*AJIVE finds no component that its modalities"):
        assert model.fit(noise).subset_ranks_ == {NAMES: 0, ("a", "b"): 0}


def test_a_model_of_subsets_has_no_single_network_to_export(tmp_path, model):
    with pytest.raises(ValueError, match="subsets"):
        export(model, tmp_path / "encoders.pt2")
