import dataclasses

import numpy as np
import pytest

import deepjive.data.chunks
from deepjive import AJIVE, Decomposition, Modalities
from deepjive.decomposition import BATCH

N = 2 * BATCH + 88  # more than two batches
SHAPES = {"image": (3, 5), "vector": (7,)}


class Linear:
    """A model that renders scores by loadings, and writes down which rows of which part it was asked for."""

    def __init__(self, rng, ranks=(2, 1)):
        joint_rank, individual_rank = ranks
        self.loadings = {
            part: {name: rng.normal(size=(rank, *shape)) for name, shape in SHAPES.items()}
            for part, rank in (("joint", joint_rank), ("individual", individual_rank))
        }
        self.mean = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
        self.calls = []

    def render(self, part, name, joint_scores, individual_scores):
        self.calls.append((part, name, len(joint_scores)))
        scores = joint_scores if part == "joint" else individual_scores
        rendered = np.tensordot(scores, self.loadings[part][name], axes=1)
        return rendered + self.mean[name] if part == "joint" else rendered


@pytest.fixture
def model():
    return Linear(np.random.default_rng(0))


@pytest.fixture
def parts(model):
    return decomposition(model)


def decomposition(model, n=N, present=None, change=lambda x: x):
    rng = np.random.default_rng(1)
    joint_scores = rng.normal(size=(n, 2))
    individual_scores = {name: rng.normal(size=(n, 1)) for name in SHAPES}
    arrays = {
        name: change(
            model.render("joint", name, joint_scores, None)
            + model.render("individual", name, joint_scores, individual_scores[name])
            + 0.3 * rng.normal(size=(n, *shape))
        )
        for name, shape in SHAPES.items()
    }
    model.calls.clear()
    data = Modalities(arrays, present=present)
    return Decomposition(data, joint_scores, individual_scores, model.mean, model.render)


@pytest.mark.parametrize("name", SHAPES)
def test_the_parts_add_up_to_the_input_and_have_its_shape(parts, name):
    joint, individual, residual = parts.joint[name], parts.individual[name], parts.residual[name]
    assert joint.shape == individual.shape == residual.shape == (N, *SHAPES[name])
    np.testing.assert_allclose(joint + individual + residual, parts.data[name], atol=1e-12)  # three roundings


def test_parts_of_integers_are_floats_and_add_up(model):
    parts = decomposition(model, change=lambda x: np.rint(10 * x).astype(np.int32))
    total = parts.joint["image"] + parts.individual["image"] + parts.residual["image"]
    np.testing.assert_allclose(total, parts.data["image"], atol=1e-12)


def test_all_parts_have_the_precision_of_the_model(model):
    model.mean = {name: mean.astype(np.float32) for name, mean in model.mean.items()}
    for loadings in model.loadings.values():
        loadings.update({name: loading.astype(np.float32) for name, loading in loadings.items()})
    parts = decomposition(model)
    scores = {name: scores.astype(np.float32) for name, scores in parts.individual_scores.items()}
    parts = dataclasses.replace(parts, joint_scores=parts.joint_scores.astype(np.float32), individual_scores=scores)
    assert parts.data["image"].dtype == np.float64
    assert {part["image"].dtype for part in (parts.joint, parts.individual, parts.residual)} == {np.dtype(np.float32)}


def test_each_part_is_what_the_model_renders(parts, model):
    expected = np.tensordot(parts.joint_scores, model.loadings["joint"]["image"], axes=1) + model.mean["image"]
    np.testing.assert_array_equal(parts.joint["image"], expected)
    expected = parts.individual_scores["vector"] @ model.loadings["individual"]["vector"]
    np.testing.assert_allclose(parts.individual["vector"], expected, rtol=1e-12)


def test_scores_shapes_and_representations_render_nothing(parts, model):
    assert parts.joint_scores.shape == (N, 2)
    assert parts.individual_scores["image"].shape == (N, 1)
    assert "joint rank 2, individual ranks {'image': 1, 'vector': 1}" in repr(parts)
    assert repr(parts.joint) == "<joint part of image, vector: computed on access>"
    assert list(parts.residual) == ["image", "vector"]
    assert len(parts.residual) == 2
    assert model.calls == []


def test_looking_at_rows_renders_these_rows_of_this_modality_alone(parts, model):
    parts.joint.rows("image", [5, 1, 300])
    assert model.calls == [("joint", "image", 3)]
    model.calls.clear()
    parts.residual.rows("vector", slice(10, 14))
    assert sorted(model.calls) == [("individual", "vector", 4), ("joint", "vector", 4)]


def test_a_whole_part_is_rendered_in_batches(parts, model):
    parts.individual["image"]
    assert [n for _, _, n in model.calls] == [BATCH, BATCH, 88]


def test_a_sample_that_lacks_a_modality_has_no_residual_there(model):
    present = np.ones((N, 2), dtype=bool)
    present[[1, 4], 0] = False
    parts = decomposition(model, present=present)
    parts = dataclasses.replace(parts, individual_scores={name: np.zeros((N, 0)) for name in SHAPES})
    model.loadings["individual"] = {name: np.zeros((0, *shape)) for name, shape in SHAPES.items()}
    lacking = np.isnan(parts.residual["image"]).all(axis=(1, 2))
    np.testing.assert_array_equal(lacking, ~present[:, 0])
    np.testing.assert_array_equal(np.isnan(parts.residual.rows("image", [4, 3])[:, 0, 0]), [True, False])
    assert np.isfinite(parts.residual["vector"]).all()


@pytest.mark.parametrize("part", ["joint", "individual", "residual"])
@pytest.mark.parametrize(
    "rows", [slice(250, 260), slice(None, None, -7), [3, 3, 0], [-1, 5], np.arange(N) % 5 == 0, [], np.array([599])]
)
def test_rows_are_the_rows_of_the_whole(parts, part, rows):
    whole = getattr(parts, part)["image"]
    # products of fewer rows may add up in another order
    np.testing.assert_allclose(getattr(parts, part).rows("image", rows), whole[rows], rtol=1e-12, atol=1e-12)


def test_variance_fractions_are_those_of_the_formula_and_add_up_to_one(parts):
    for name, fractions in parts.variance_explained.items():
        x, j, s = parts.data[name], parts.joint[name], parts.individual[name]
        total = ((x - parts.mean[name]) ** 2).sum()
        joint, residual = 1 - ((x - j) ** 2).sum() / total, ((x - j - s) ** 2).sum() / total
        expected = {"joint": joint, "individual": 1 - joint - residual, "residual": residual}
        assert fractions == pytest.approx(expected, rel=1e-9)
        assert sum(fractions.values()) == pytest.approx(1.0, abs=1e-12)
        assert list(fractions) == ["joint", "individual", "residual"]


def test_variance_is_computed_once_and_in_pieces_of_fixed_memory(parts, model, monkeypatch):
    monkeypatch.setattr(deepjive.data.chunks, "BATCH_NUMBERS", 15 * 50)
    whole = parts.variance_explained
    assert max(n for _, name, n in model.calls if name == "image") == 50
    model.calls.clear()
    assert parts.variance_explained is whole
    assert model.calls == []


def test_variance_fractions_survive_numbers_whose_squares_overflow(model):
    plain = decomposition(model).variance_explained
    model.mean = {name: mean * 1e200 for name, mean in model.mean.items()}
    for loadings in model.loadings.values():
        for name in loadings:
            loadings[name] = loadings[name] * 1e200
    large = decomposition(model).variance_explained
    assert large["image"]["residual"] == pytest.approx(0.0, abs=1e-12)  # the noise was not scaled
    assert 0.0 < large["image"]["joint"] < 1.0
    assert plain["image"]["residual"] > 0.01


def test_a_part_that_makes_things_worse_has_a_negative_fraction(model):
    parts = decomposition(model)
    worse = dataclasses.replace(parts, joint_scores=-parts.joint_scores)
    assert worse.variance_explained["image"]["joint"] < 0.0
    assert sum(worse.variance_explained["image"].values()) == pytest.approx(1.0)


def test_without_variance_the_fractions_are_not_numbers(model):
    model.mean = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    parts = decomposition(model, change=np.zeros_like)
    assert all(np.isnan(value) for value in parts.variance_explained["image"].values())


def test_samples_that_lack_a_modality_count_for_nothing_in_its_variance(model):
    present = np.ones((N, 2), dtype=bool)
    present[::3, 0] = False
    parts = decomposition(model, present=present)
    parts.data["image"][::3] = 1e6
    there = dataclasses.replace(
        parts,
        data=parts.data[present[:, 0]],
        joint_scores=parts.joint_scores[present[:, 0]],
        individual_scores={name: scores[present[:, 0]] for name, scores in parts.individual_scores.items()},
    )
    assert parts.variance_explained["image"] == pytest.approx(there.variance_explained["image"])


def test_no_samples_give_empty_parts(model):
    parts = decomposition(model, n=0)
    assert parts.joint["image"].shape == parts.residual["image"].shape == (0, 3, 5)


@pytest.mark.parametrize("part", ["joint", "individual", "residual"])
def test_unknown_modalities_are_named_with_those_that_exist(parts, part):
    for ask in (lambda: getattr(parts, part)["mri"], lambda: getattr(parts, part).rows("mri", [0])):
        with pytest.raises(KeyError, match=r"no modality 'mri'; the modalities are \['image', 'vector'\]"):
            ask()
    assert "mri" not in getattr(parts, part)


def test_a_decomposition_is_frozen(parts):
    for field in ("data", "joint_scores", "joint", "variance_explained"):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
            setattr(parts, field, None)


@pytest.fixture(scope="module")
def ajive_data():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(80, 1))
    return Modalities({
        name: 5.0 + np.hstack([joint, rng.normal(size=(80, 1))]) @ rng.normal(size=(2, d)) + rng.normal(size=(80, d))
        for name, d in {"a": 20, "b": 30}.items()
    })  # fmt: skip


def test_the_joint_part_carries_the_mean_and_the_individual_part_none(ajive_data):
    parts = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1).fit(ajive_data).decompose(ajive_data)
    for name, x in ajive_data.items():
        np.testing.assert_allclose(parts.mean[name], x.mean(axis=0))
        np.testing.assert_allclose(parts.joint[name].mean(axis=0), x.mean(axis=0))
        np.testing.assert_allclose(parts.individual[name].mean(axis=0), 0.0, atol=1e-12)
        np.testing.assert_allclose(parts.residual[name].mean(axis=0), 0.0, atol=1e-12)


def test_scores_have_mean_zero_and_variance_one_over_the_samples_fitted(ajive_data):
    parts = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1).fit(ajive_data).decompose(ajive_data)
    for scores in (parts.joint_scores, *parts.individual_scores.values()):
        assert scores.shape == (80, 1)
        np.testing.assert_allclose(scores.mean(axis=0), 0.0, atol=1e-10)
        np.testing.assert_allclose(scores.var(axis=0), 1.0)


def test_with_joint_rank_zero_the_joint_part_is_the_mean_of_every_sample(ajive_data):
    parts = AJIVE(signal_ranks=2, joint_rank=0, individual_ranks=2).fit(ajive_data).decompose(ajive_data)
    assert parts.joint_scores.shape == (80, 0)
    np.testing.assert_array_equal(parts.joint["a"], np.broadcast_to(parts.mean["a"], (80, 20)))
    assert parts.variance_explained["a"]["joint"] == pytest.approx(0.0, abs=1e-12)


def test_a_sample_that_lacks_a_modality_has_a_joint_part_there_and_no_residual(ajive_data):
    model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1).fit(ajive_data)
    present = np.ones((80, 2), dtype=bool)
    present[4, 1] = False
    lacking = {"a": ajive_data["a"], "b": np.where(present[:, 1:], ajive_data["b"], np.nan)}
    parts = model.decompose(Modalities(lacking, present=present))
    assert np.isfinite(parts.joint["b"]).all()
    for part in (parts.individual["b"], parts.residual["b"]):
        assert np.isnan(part[4]).all()
        assert np.isfinite(np.delete(part, 4, axis=0)).all()
    assert np.isfinite(list(parts.variance_explained["b"].values())).all()
    np.testing.assert_allclose(parts.joint["b"][4], model.impute({"a": ajive_data["a"][[4]]}, "b")[0])
