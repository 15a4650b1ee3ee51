"""Properties that hold for any data: random shapes, ranks, masks, and missing modalities."""

from __future__ import annotations

import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, load
from deepjive.data.groups import folds_of

LINEAR = (AJIVE, HeteroJIVE, JIVE)
SHAPES = st.one_of(st.tuples(st.integers(3, 9)), st.tuples(st.integers(2, 4), st.integers(2, 4)), st.just((2, 2, 3)))
FEW = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def samples(draw, present=False, min_modalities=2):
    """Modalities with one joint and one individual component each, and noise."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    n, shapes = draw(st.integers(16, 40)), draw(st.lists(SHAPES, min_size=min_modalities, max_size=3))
    joint = rng.normal(size=(n, 1))
    arrays = {}
    for k, shape in enumerate(shapes):
        size, scale = int(np.prod(shape)), 10.0 ** draw(st.integers(-2, 2))
        own = rng.normal(size=(n, 1)) @ rng.normal(size=(1, size))
        x = joint @ rng.normal(size=(1, size)) + own + 0.3 * rng.normal(size=(n, size)) + rng.normal()
        arrays[f"m{k}"] = (scale * x).reshape(n, *shape)
    has = np.ones((n, len(shapes)), dtype=bool)
    if present:
        lacking = rng.random(has.shape) < draw(st.floats(0.0, 0.3))
        lacking[np.arange(n), rng.integers(len(shapes), size=n)] = False
        lacking[:12] = False  # ranks need complete samples
        has[lacking] = False
    return Modalities(arrays, present=has)


@st.composite
def linear_models(draw, data):
    """A linear estimator with random ranks that the data allow, and random masks."""
    cls = draw(st.sampled_from(LINEAR))
    masks = {}
    for name, shape in data.shapes.items():
        if draw(st.booleans()):
            masks[name] = np.arange(np.prod(shape)).reshape(shape) > 0
    parameters = {"joint_rank": draw(st.integers(0, 1)), "individual_ranks": draw(st.integers(0, 1))}
    if cls is not JIVE:
        parameters |= {"n_wedin": 0, "n_random": 0}
    if not data.present.all():
        parameters["missing"] = "impute"
    return cls(**parameters, mask=masks or None, random_state=0)


def fitted(model, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is no matter here
        return model.fit(data)


def assert_parts_add_up(model, data, tolerance):
    parts = model.decompose(data)
    for column, name in enumerate(data.names):
        rows = np.flatnonzero(data.present[:, column])
        x = data.rows(name, rows)
        total = sum(part.rows(name, rows) for part in (parts.joint, parts.individual, parts.residual))
        np.testing.assert_allclose(total, x, rtol=0, atol=tolerance * np.abs(x).max())
        assert np.isnan(parts.residual[name][~data.present[:, column]]).all()


@FEW
@given(st.data())
def test_parts_of_linear_models_add_up_to_the_input(draws):
    data = draws.draw(samples(present=draws.draw(st.booleans())))
    model = fitted(draws.draw(linear_models(data)), data)
    assert_parts_add_up(model, data, tolerance=1e-12)  # a few roundings of double precision


@settings(FEW, max_examples=5)
@given(samples(present=True), st.sampled_from(["exchange", "explicit"]), st.integers(0, 1))
def test_parts_of_deepjive_add_up_to_the_input(data, identity, individual_ranks):
    model = DeepJIVE(joint_rank=1, individual_ranks=individual_ranks, identity=identity, max_epochs=1, random_state=0)
    assert_parts_add_up(fitted(model, data), data, tolerance=1e-5)  # parts are in single precision


@FEW
@given(st.data())
def test_saved_models_give_the_same_results_bit_for_bit(draws):
    data = draws.draw(samples(present=draws.draw(st.booleans())))
    model = fitted(draws.draw(linear_models(data)), data)
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        loaded = load(folder)
    before, after = model.decompose(data), loaded.decompose(data)
    np.testing.assert_array_equal(after.joint_scores, before.joint_scores)
    for name in data.names:
        np.testing.assert_array_equal(after.individual_scores[name], before.individual_scores[name])
        np.testing.assert_array_equal(after.joint[name], before.joint[name])
    assert loaded.score(data) == model.score(data)
    assert loaded.variance_explained_ == model.variance_explained_


@settings(FEW, max_examples=3)
@given(samples())
def test_a_saved_deepjive_gives_the_same_results_bit_for_bit(data):
    model = fitted(DeepJIVE(joint_rank=1, individual_ranks=1, max_epochs=1, random_state=0), data)
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        loaded = load(folder)
    np.testing.assert_array_equal(loaded.transform(data), model.transform(data))
    assert loaded.score(data) == model.score(data)


@FEW
@given(st.lists(st.integers(0, 12), min_size=8, max_size=60), st.integers(2, 4), st.integers(0, 99))
def test_folds_never_split_a_participant(participants, n_folds, seed):
    groups = np.array([*participants, 20, 21, 22, 23])  # at least as many participants as folds
    folds = folds_of(len(groups), groups, n_folds, seed)
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(len(groups)))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(groups)))


@pytest.mark.parametrize("cls", [AJIVE, JIVE])
@FEW
@given(data=samples(min_modalities=3), order=st.permutations(range(3)))
def test_the_order_of_the_modalities_does_not_matter(cls, data, order):
    draws = {} if cls is JIVE else {"n_wedin": 0, "n_random": 0}
    # Individual parts of JIVE that are made orthogonal depend on the order: each takes what those before it left.
    rule = {"orthogonal_individual": False, "tol": 1e-10, "max_iter": 5000} if cls is JIVE else {}
    model, other = (
        fitted(cls(joint_rank=1, individual_ranks=1, **draws, **rule), modalities)
        for modalities in (data, data.select([data.names[k] for k in order]))
    )
    tolerance = 1e-4 if cls is JIVE else 1e-8  # JIVE stops iterating where changes are small; AJIVE is rounded only
    assert aligned(model.joint_scores_, other.joint_scores_) > 1 - tolerance
    for name in data.names:
        assert aligned(model.individual_scores_[name], other.individual_scores_[name]) > 1 - tolerance


def aligned(scores, others):
    """Absolute correlation of two sets of one score: 1 up to sign."""
    return abs(float(np.corrcoef(scores[:, 0], others[:, 0])[0, 1]))
