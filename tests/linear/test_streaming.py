import numpy as np
import pytest

from deepjive import AJIVE, JIVE
from deepjive.data.modalities import Modalities
from deepjive.linear import HeteroJIVE, bootstrap, streaming
from deepjive.linear.streaming import Pieces, checked_masks
from tests.linear.tolerances import TWO_ROUTES


class SlicesOnly:
    """An array that is read by slices alone, as a store on disk; it counts the numbers of the largest read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.largest = array, array.shape, array.dtype, 0

    def __getitem__(self, key):
        block = self.array[key]
        self.largest = max(self.largest, block.size)
        return block


class RowsOnly(SlicesOnly):
    def __getitem__(self, key):
        if isinstance(key, tuple):
            raise TypeError("rows only")
        return super().__getitem__(key)


def whole(pieces):
    parts = list(pieces)
    return np.concatenate([part.values + part.origin for part in parts], axis=1)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(streaming, "PIECE_NUMBERS", 60)


@pytest.mark.parametrize("shape", [(6, 50), (6, 3, 4, 5), (6, 1, 40), (6, 1)])
def test_pieces_put_together_are_the_flattened_modality(shape):
    x = np.random.default_rng(0).normal(size=shape)
    for array in (x, SlicesOnly(x), RowsOnly(x)):
        # the origin is subtracted and added again, which rounds the last digit of numbers of order 1
        np.testing.assert_allclose(whole(Pieces(array)), x.reshape(len(x), -1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", [(6, 500), (6, 30, 40), (6, 2, 30, 40)])
def test_no_read_is_larger_than_a_piece(shape):
    array = SlicesOnly(np.zeros(shape))
    list(Pieces(array))
    assert array.largest == 60


def test_rows_selected_from_a_store_are_streamed(tmp_path):
    x = np.random.default_rng(0).normal(size=(9, 40))
    np.save(tmp_path / "x.npy", x)
    data = Modalities({"a": str(tmp_path / "x.npy"), "b": SlicesOnly(x)})[[7, 2, 2, 5]]
    for name in "ab":
        np.testing.assert_array_equal(whole(Pieces(data[name], center=False)), x[[7, 2, 2, 5]])


def test_a_constant_feature_is_exactly_zero():
    x = np.full((7, 3), 1e10 / 3)
    assert all((piece.values == 0.0).all() for piece in Pieces(x))


def test_masked_features_do_not_count():
    x = np.random.default_rng(0).normal(size=(6, 3, 4))
    mask = np.arange(12).reshape(3, 4) % 2 == 0
    pieces = Pieces(x, mask)
    counted = np.concatenate([pieces.counted(piece) for piece in pieces], axis=1)
    assert pieces.n_features == 6
    assert (counted[1:, mask.reshape(-1)] != 0).all()
    assert (counted[:, ~mask.reshape(-1)] == 0).all()


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"z": np.ones(3)}, "mask names"),
        ({"a": np.ones(4)}, "shape of one sample"),
        ({"a": np.zeros(3)}, "False everywhere"),
    ],
)
def test_wrong_masks_are_named(masks, message):
    with pytest.raises(ValueError, match=message):
        checked_masks(masks, {"a": (3,), "b": (2,)})


def as_zarr(x, folder, name):
    zarr = pytest.importorskip("zarr")
    store = zarr.open(str(folder / name), mode="w", shape=x.shape, chunks=(5, 7), dtype=x.dtype)
    store[:] = x
    return store


def as_dask(x, folder, name):
    return pytest.importorskip("dask.array").from_array(x, chunks=(5, 7))


@pytest.mark.parametrize("stored", [as_zarr, as_dask])
@pytest.mark.parametrize("estimator", [AJIVE, JIVE])
def test_chunked_stores_give_the_fit_of_arrays_in_memory_and_are_never_read_whole(
    estimator, stored, tmp_path, monkeypatch
):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20, 1))
    data = {
        name: z @ rng.normal(size=(1, d)) + 0.3 * rng.normal(size=(20, d)) for name, d in {"a": 90, "b": 31}.items()
    }
    lazy = {name: stored(x, tmp_path, name) for name, x in data.items()}
    monkeypatch.setattr("deepjive.data.chunks.BATCH_NUMBERS", 200)
    ranks = {"joint_rank": 1, "individual_ranks": 1, "random_state": 0}
    in_memory = estimator(**ranks).fit(data)
    reads = []
    to_memory = np.asarray

    def watched(*arguments, **keywords):
        array = to_memory(*arguments, **keywords)
        reads.append(array.size)
        return array

    with monkeypatch.context() as watch:
        watch.setattr(np, "asarray", watched)
        streamed = estimator(**ranks).fit(lazy)
    np.testing.assert_allclose(streamed.joint_scores_, in_memory.joint_scores_, atol=TWO_ROUTES)
    np.testing.assert_allclose(streamed.joint_loadings_["a"], in_memory.joint_loadings_["a"], atol=TWO_ROUTES)
    np.testing.assert_allclose(streamed.transform(lazy), in_memory.transform(data), atol=TWO_ROUTES)
    assert 200 in reads
    assert max(reads) < 90 * 20


@pytest.mark.parametrize("estimator", [AJIVE, JIVE, HeteroJIVE])
def test_values_that_are_not_finite_are_ignored_outside_a_mask_and_refused_inside(tmp_path, estimator):
    rng, mask = np.random.default_rng(0), np.zeros((4, 5), dtype=bool)
    mask[1:3, 1:4] = True
    z = rng.normal(size=30)
    a, b = z[:, None, None] + rng.normal(size=(30, 4, 5)), z[:, None] + rng.normal(size=(30, 6))
    background = np.where(mask, a, np.nan)
    np.save(tmp_path / "a.npy", background)
    model = estimator(joint_rank=1, individual_ranks=1, mask={"a": mask})
    expected = model.fit({"a": a, "b": b}).joint_scores_
    for array in (background, tmp_path / "a.npy"):
        data = {"a": array, "b": b}
        np.testing.assert_allclose(model.fit(data).joint_scores_, expected, atol=1e-8)  # sums of other lengths
        np.testing.assert_allclose(model.transform(data), expected, atol=1e-6)
        assert np.isfinite(model.decompose(data).joint["a"]).all()
        assert np.isfinite(bootstrap(model, data, n_draws=2).variance_explained["a"]["joint"]).all()
    background[3, 1, 1] = np.inf
    with pytest.raises(ValueError, match="Modality 'a' contains 1 values that are NaN or infinite"):
        model.fit({"a": background, "b": b})
