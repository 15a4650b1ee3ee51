"""What holds for linear models of any shapes, ranks, masks and missing modalities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepjive import AJIVE, JIVE, HeteroJIVE, Modalities

ESTIMATORS = pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
few = settings(max_examples=15, deadline=None, derandomize=True, database=None)

# rounding errors of values of order 10 in data units, and of scores that are computed by two routes
ROUNDING = 1e-9


@st.composite
def problems(draw):
    """Modalities with a joint and an individual component each, ranks that they have, and masks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(12, 30))
    shapes = draw(st.lists(st.sampled_from([(4,), (9,), (50,), (3, 4), (2, 3, 5)]), min_size=2, max_size=3))
    z, data, masks = rng.normal(size=(n, 1)), {}, {}
    for k, shape in enumerate(shapes):
        width, name = int(np.prod(shape)), f"m{k}"
        scores = np.hstack([z, rng.normal(size=(n, 1))])
        values = scores @ rng.normal(size=(2, width)) + 0.5 * rng.normal(size=(n, width)) + 5.0
        data[name] = values.reshape(n, *shape)
        if draw(st.booleans()):
            masks[name] = (np.arange(width) != draw(st.integers(0, width - 1))).reshape(shape)
    ranks = {
        "joint_rank": draw(st.integers(0, 1)),
        "individual_ranks": {name: draw(st.integers(0, 1)) for name in data},
    }
    present = rng.random((n, len(data))) < 0.7
    present[~present.any(axis=1), 0] = True
    return data, ranks, masks, present


def fitted(estimator, data, ranks, masks):
    extra = {"tol": 1e-3} if estimator is JIVE else {"n_wedin": 0, "n_random": 0}
    return estimator(**ranks, mask=masks, **extra).fit(data)


@ESTIMATORS
def test_parts_add_up_to_the_input_of_every_sample_that_has_the_modality(estimator):
    @few
    @given(problem=problems())
    def check(problem):
        data, ranks, masks, present = problem
        parts = fitted(estimator, data, ranks, masks).decompose(Modalities(data, present=present))
        for k, (name, x) in enumerate(data.items()):
            total = parts.joint[name] + parts.individual[name] + parts.residual[name]
            np.testing.assert_allclose(total[present[:, k]], x[present[:, k]], atol=ROUNDING)
            assert np.isnan(parts.residual[name][~present[:, k]]).all()

    check()


@ESTIMATORS
def test_variance_explained_adds_up_to_one(estimator):
    @few
    @given(problem=problems())
    def check(problem):
        data, ranks, masks, _ = problem
        model = fitted(estimator, data, ranks, masks)
        for fractions in model.variance_explained_.values():
            assert sum(fractions.values()) == pytest.approx(1.0)
            assert min(fractions.values()) > -ROUNDING

    check()


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE])
def test_the_order_of_the_modalities_does_not_matter(estimator):
    @few
    @given(problem=problems())
    def check(problem):
        data, ranks, masks, _ = problem
        model = fitted(estimator, data, ranks, masks)
        other = fitted(estimator, dict(reversed(data.items())), ranks, masks)
        np.testing.assert_allclose(np.abs(other.joint_scores_), np.abs(model.joint_scores_), atol=1e-6)
        for name, fractions in model.variance_explained_.items():
            assert other.variance_explained_[name] == pytest.approx(fractions, abs=1e-6)

    check()


@ESTIMATORS
def test_the_order_of_the_samples_does_not_matter(estimator):
    @few
    @given(problem=problems(), seed=st.integers(0, 1000))
    def check(problem, seed):
        data, ranks, masks, _ = problem
        order = np.random.default_rng(seed).permutation(len(data["m0"]))
        model = fitted(estimator, data, ranks, masks)
        shuffled = fitted(estimator, {name: x[order] for name, x in data.items()}, ranks, masks)
        for name, fractions in model.variance_explained_.items():
            # the alternation of JIVE ends at changes of 1e-3
            assert shuffled.variance_explained_[name] == pytest.approx(fractions, abs=1e-4)

    check()
