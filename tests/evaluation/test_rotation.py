import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation.rotation import rotate
from tests.evaluation.fitting import fitted


@pytest.fixture(scope="module")
def sparse():
    """Two joint scores, of which each has its own features; one is far from normal."""
    rng = np.random.default_rng(0)
    scores = np.column_stack([rng.exponential(size=150), rng.uniform(-2, 2, size=150)])
    pattern = np.kron(np.eye(2), np.ones(10))
    return Modalities({name: scores @ pattern + 0.3 * rng.normal(size=(150, 20)) for name in "ab"}), scores


def linear(data):
    return AJIVE(signal_ranks=2, joint_rank=2, n_wedin=0, n_random=0, random_state=0).fit(data)


@pytest.mark.parametrize("method", ["varimax", "sparse", "ica"])
def test_rotations_find_the_axes_and_keep_the_parts(sparse, method):
    data, truth = sparse
    model = linear(data)
    rotated = rotate(model, data, method)
    parts, before = rotated.decompose(data), model.decompose(data)
    found = np.abs(np.corrcoef(parts.joint_scores.T, truth.T)[:2, 2:])
    assert np.allclose(np.sort(found.max(axis=1)), 1.0, atol=0.03)
    assert np.ptp(found.argmax(axis=1)) == 1
    np.testing.assert_allclose(parts.joint["a"], before.joint["a"], atol=1e-9)
    np.testing.assert_allclose(parts.joint_scores @ rotated.joint_rotation_.T, before.joint_scores, atol=1e-9)
    np.testing.assert_allclose(rotated.transform(data), rotated.joint_scores_, atol=1e-9)
    assert rotated.unrotated() is model
    variance = rotated.component_variance_["a"]["joint"]
    assert variance.sum() == pytest.approx(model.variance_explained_["a"]["joint"])
    assert variance[0] >= variance[1]


def test_individual_scores_are_rotated_with_their_parts(sparse):
    data, truth = sparse
    model = AJIVE(joint_rank=0, individual_ranks=2, n_wedin=0, n_random=0, random_state=0).fit(data)
    rotated = rotate(model, data, "varimax").decompose(data)
    np.testing.assert_allclose(rotated.individual["a"], model.decompose(data).individual["a"], atol=1e-9)
    found = np.abs(np.corrcoef(rotated.individual_scores["a"].T, truth.T)[:2, 2:])
    assert np.allclose(np.sort(found.max(axis=1)), 1.0, atol=0.03)


def test_a_deep_model_is_rotated_with_its_decoder(sparse):
    data, _ = sparse
    model = fitted(data, 2, 0)
    rotated = rotate(model, data, "varimax")
    np.testing.assert_allclose(rotated.decompose(data).joint["b"], model.decompose(data).joint["b"], atol=1e-5)
    np.testing.assert_allclose(rotated.impute(data, "b"), model.impute(data, "b"), atol=1e-5)


def test_an_unknown_rotation_and_a_fit_are_refused(sparse):
    data, _ = sparse
    model = linear(data)
    with pytest.raises(ValueError, match="must be one of"):
        rotate(model, data, "quartimax")
    with pytest.raises(TypeError, match="not fitted again"):
        rotate(model, data).fit(data)
