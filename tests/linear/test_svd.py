import numpy as np
import pytest
from scipy.linalg import subspace_angles

from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import LeftSVD, loadings_of, project, reduce, row_norms, signal_svd
from tests.linear.tolerances import GRAM, SUMS, TWO_ROUTES


def matrix(n, d, values, seed=0):
    """Centred, with the given singular values."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, len(values)))
    u = np.linalg.qr(u - u.mean(axis=0))[0]
    v = np.linalg.qr(rng.normal(size=(d, len(values))))[0]
    return (u * values) @ v.T, u


def three(reduced, svd):
    return 3


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("shape", [(20, 7), (20, 20), (20, 300)])
@pytest.mark.parametrize("center", [False, True])
def test_reduced_modality_has_the_singular_values_of_the_whole(shape, exact, center):
    x = np.random.default_rng(0).normal(size=shape) + 5.0
    expected = np.linalg.svd(x - x.mean(axis=0) if center else x, compute_uv=False)
    reduced = reduce(Pieces(x, center=center), exact=exact)
    # the Gram route resolves values down to sqrt(n eps) of the largest
    np.testing.assert_allclose(reduced.svd().values * reduced.scale, expected, atol=GRAM, rtol=TWO_ROUTES)
    assert reduced.total == pytest.approx(np.sum(expected**2))


@pytest.mark.parametrize("exact", [False, True])
def test_left_vectors_have_a_fixed_sign(exact):
    x, _ = matrix(20, 100, [3.0, 2.0, 1.0])
    for y in (x, -x, x[:, ::-1]):
        vectors = reduce(Pieces(y), exact=exact).svd().first(3).vectors
        assert (vectors[np.abs(vectors).argmax(axis=0), range(3)] > 0).all()


def test_gram_route_is_used_where_it_is_accurate():
    x, _ = matrix(50, 200, [10.0, 2.0, 1.0])
    assert signal_svd(Pieces(x), three)[0].route == "gram"


def test_factor_route_keeps_small_components_that_the_gram_route_loses():
    x, u = matrix(50, 200, [1.0, 1e-4, 1e-8])
    reduced, svd = signal_svd(Pieces(x), three)
    lost = reduce(Pieces(x)).svd().first(3)
    assert reduced.route == "factor"
    # 1e-8 times eps / 1e-8 of relative rounding, and angles of about eps / 1e-8
    np.testing.assert_allclose(svd.values[:3] * reduced.scale, [1.0, 1e-4, 1e-8], rtol=GRAM)
    assert subspace_angles(svd.vectors, u).max() < 1e-6
    assert subspace_angles(lost.vectors, u).max() > 1e-3


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("shape", [(30, 10), (30, 90)])
def test_svd_without_joint_scores_is_that_of_the_projected_modality(shape, exact):
    x = np.random.default_rng(0).normal(size=shape)
    x -= x.mean(axis=0)
    joint = np.linalg.qr(np.random.default_rng(1).normal(size=(30, 2)))[0]
    u, s, _ = np.linalg.svd(x - joint @ (joint.T @ x), full_matrices=False)
    reduced = reduce(Pieces(x), exact=exact)
    above = (s[3] + s[4]) / 2
    for svd in (reduced.svd_without(joint, above=above), reduced.svd_without(joint, rank=4)):
        np.testing.assert_allclose(svd.values, s[:4], rtol=TWO_ROUTES)
        assert subspace_angles(svd.vectors, u[:, :4]).max() < TWO_ROUTES
    assert reduced.svd_without(joint, rank=0).vectors.shape == (30, 0)
    np.testing.assert_allclose(reduced.lengths(joint), np.linalg.norm(x.T @ joint, axis=0), rtol=TWO_ROUTES)


def test_float32_is_accumulated_in_float64():
    x = np.random.default_rng(0).normal(size=(10, 20_000)).astype(np.float32)
    expected = np.linalg.svd(x.astype(float) - x.astype(float).mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(reduce(Pieces(x)).svd().values[:9], expected[:9], rtol=SUMS)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150, 1e300])
def test_extreme_scales_neither_overflow_nor_vanish(size, exact):
    x, u = matrix(20, 60, [3.0, 2.0, 1.0])
    reduced = reduce(Pieces(x * size), exact=exact)
    svd = reduced.svd().first(3)
    np.testing.assert_allclose(svd.values[:3] * reduced.scale / size, [3.0, 2.0, 1.0], rtol=TWO_ROUTES)
    assert subspace_angles(svd.vectors, u).max() < TWO_ROUTES


def test_scale_grows_with_the_pieces(monkeypatch):
    monkeypatch.setattr("deepjive.linear.streaming.PIECE_NUMBERS", 1)
    x = np.random.default_rng(0).normal(size=(10, 40)) * np.repeat([0.0, 1e-200, 1.0, 1e200], 10)
    expected = np.linalg.svd((x - x.mean(axis=0))[:, 30:] / 1e200, compute_uv=False)
    for exact in (False, True):
        reduced = reduce(Pieces(x), exact=exact)
        np.testing.assert_allclose((reduced.svd().values * (reduced.scale / 1e200))[:9], expected[:9], rtol=TWO_ROUTES)


def test_torch_route_agrees_with_numpy():
    x, _ = matrix(20, 60, [3.0, 2.0, 1.0])
    ours, theirs = (reduce(Pieces(x + 1.0), device).svd(device).first(3) for device in ("cpu", "cpu:0"))
    np.testing.assert_allclose(theirs.vectors, ours.vectors, atol=SUMS)
    for a, b in zip(project(Pieces(x), ours.vectors, "cpu:0"), project(Pieces(x), ours.vectors), strict=True):
        np.testing.assert_allclose(a, b, atol=SUMS)


@pytest.mark.parametrize("center", [False, True])
def test_projection_and_mean_are_those_of_the_whole(center):
    x = np.random.default_rng(0).normal(size=(20, 300)) + 5.0
    scores = reduce(Pieces(x)).svd().first(3).vectors
    product, mean, _ = project(Pieces(x, center=center), scores)
    np.testing.assert_allclose(product, scores.T @ (x - x.mean(axis=0) if center else x), atol=SUMS)
    np.testing.assert_allclose(mean, x.mean(axis=0) if center else 0.0, rtol=SUMS)


def test_a_missing_device_is_an_error_with_a_message():
    with pytest.raises(ValueError, match="device='nowhere' is not there"):
        reduce(Pieces(np.eye(3, 5)), "nowhere")


def test_loadings_of_an_ill_conditioned_modality_are_orthogonal():
    x, _ = matrix(50, 200, [1.0, 1e-8])
    reduced, svd = signal_svd(Pieces(x), lambda reduced, svd: 2)
    loadings = loadings_of(project(Pieces(x), svd.vectors)[0], svd.values[:2] * reduced.scale)
    directions = loadings / row_norms(loadings)[:, None]
    # orthonormal up to rounding, which products of U' X without a second QR decomposition miss by 1e-8
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(x @ directions.T / row_norms(loadings), svd.vectors, atol=GRAM)


def test_row_norms_of_extreme_and_zero_rows():
    np.testing.assert_allclose(row_norms(np.array([[3e300, 4e300], [3e-300, 4e-300], [0, 0]])), [5e300, 5e-300, 0])


def test_first_keeps_all_values():
    svd = LeftSVD(np.eye(4), np.arange(4.0))
    assert svd.first(2).vectors.shape == (4, 2)
    assert len(svd.first(2).values) == 4
