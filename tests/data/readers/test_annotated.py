import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix

from deepjive import AJIVE, HeteroJIVE, Modalities
from deepjive.data.files import read_array, read_labels
from deepjive.data.readers import stores
from deepjive.data.readers.annotated import read_h5mu
from deepjive.data.readers.guard import UnreadableError
from deepjive.data.readers.lazy import StoredSparseRows

anndata = pytest.importorskip("anndata")
mudata = pytest.importorskip("mudata")

N = 30
RNG = np.random.default_rng(0)
JOINT = RNG.normal(size=(N, 1))
RNA = np.round(JOINT @ RNG.normal(size=(1, 8)) + RNG.normal(size=(N, 8)), 2) * (RNG.random((N, 8)) < 0.7)
PROTEIN = JOINT @ RNG.normal(size=(1, 5)) + RNG.normal(size=(N, 5))
NAMES = np.array([f"cell-{i}" for i in range(N)])


@pytest.fixture
def annotated():
    def _annotated(matrix, rows, prefix):
        obs = pd.DataFrame(index=pd.Index(NAMES[rows], dtype=object))
        var = pd.DataFrame(index=pd.Index([f"{prefix}{i}" for i in range(matrix.shape[1])], dtype=object))
        return anndata.AnnData(matrix[rows], obs=obs, var=var)

    return _annotated


def make_mudata(modalities):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what mudata, anndata and pandas have to say to each other
        with pd.option_context("future.infer_string", False):  # anndata 0.12 cannot write the text of pandas 3
            return mudata.MuData(modalities)


@pytest.fixture
def mdata(annotated):
    """Both modalities of all cells, those of the protein in reverse order and the RNA sparse."""
    return make_mudata(
        {"rna": annotated(csr_matrix(RNA), np.arange(N), "g"), "protein": annotated(PROTEIN, np.arange(N)[::-1], "p")}
    )


@pytest.fixture
def partial(annotated):
    """RNA of the first 25 cells, protein of the last 25."""
    return make_mudata(
        {"rna": annotated(csc_matrix(RNA), np.arange(25), "g"), "protein": annotated(PROTEIN, np.arange(5, N), "p")}
    )


def model(cls=AJIVE):
    return cls(signal_ranks=2, joint_rank=1, individual_ranks=1)


def test_modalities_have_the_samples_and_features_of_the_mudata_in_one_order(mdata):
    data = Modalities.from_mudata(mdata)
    assert data.names == ("rna", "protein")
    assert data.samples.tolist() == NAMES.tolist()
    assert data.features["protein"].tolist() == [f"p{i}" for i in range(5)]
    assert data.present.all()
    np.testing.assert_array_equal(data.rows("rna", slice(None)), RNA)
    np.testing.assert_array_equal(data.rows("protein", [3, 0]), PROTEIN[[3, 0]])


def test_sparse_matrices_stay_sparse_until_rows_are_read(mdata, check_rows):
    array = Modalities.from_mudata(mdata)["rna"]
    assert not isinstance(array, np.ndarray)
    check_rows(array, RNA)


def test_samples_that_a_modality_lacks_are_not_present(partial):
    data = Modalities.from_mudata(partial)
    assert len(data) == N
    rows = {name: i for i, name in enumerate(data.samples)}
    order = [rows[name] for name in NAMES]
    np.testing.assert_array_equal(data.present[order, 0], np.arange(N) < 25)
    np.testing.assert_array_equal(data.present[order, 1], np.arange(N) >= 5)
    np.testing.assert_array_equal(data[order].rows("rna", slice(0, 25)), RNA[:25])
    np.testing.assert_array_equal(data[order].rows("protein", [29, 5]), PROTEIN[[29, 5]])


def test_layers_and_representations_are_taken_instead(mdata):
    mdata["rna"].layers["counts"] = RNA * 2
    mdata["protein"].obsm["X_pca"] = PROTEIN[::-1, :2]
    data = Modalities.from_mudata(mdata, layer={"rna": "counts"}, use_rep={"protein": "X_pca"})
    np.testing.assert_array_equal(data["rna"], RNA * 2)
    np.testing.assert_array_equal(data["protein"], PROTEIN[:, :2])
    assert data.features["protein"] is None
    assert Modalities.from_mudata(mdata, modalities=["protein"]).names == ("protein",)


def test_a_dict_of_anndata_is_read_without_a_mudata(annotated):
    data = Modalities.from_mudata(
        {"rna": annotated(RNA, np.arange(25), "g"), "protein": annotated(PROTEIN, np.arange(5, N), "p")}
    )
    assert data.samples.tolist() == NAMES.tolist()
    assert data.present.sum() == 50


def test_backed_files_are_read_when_rows_are_asked_for(tmp_path, annotated, check_rows):
    adata = {"rna": annotated(csr_matrix(RNA), np.arange(N), "g"), "protein": annotated(PROTEIN, np.arange(N), "p")}
    backed = {}
    for name, one in adata.items():
        one.write_h5ad(tmp_path / f"{name}.h5ad")
        backed[name] = anndata.read_h5ad(tmp_path / f"{name}.h5ad", backed="r")
    data = Modalities.from_mudata(backed)
    check_rows(data["rna"], RNA)
    np.testing.assert_array_equal(data.rows("protein", [4, 1]), PROTEIN[[4, 1]])


def test_h5ad_is_a_file_of_one_modality(tmp_path, annotated):
    annotated(csr_matrix(RNA), np.arange(N), "g").write_h5ad(tmp_path / "rna.h5ad")
    pd.DataFrame(PROTEIN[::-1], index=NAMES[::-1]).to_csv(tmp_path / "protein.csv")
    data = Modalities({"protein": tmp_path / "protein.csv", "rna": tmp_path / "rna.h5ad"})
    assert data.samples.tolist() == NAMES[::-1].tolist()
    np.testing.assert_array_equal(data.rows("rna", slice(None)), RNA[::-1])
    assert data.features["rna"][:2].tolist() == ["g0", "g1"]


@pytest.mark.parametrize("cls", [AJIVE, HeteroJIVE])
def test_results_are_written_to_the_rows_of_their_samples(mdata, cls):
    fitted = model(cls).fit(Modalities.from_mudata(mdata))
    parts = fitted.annotate(mdata)
    np.testing.assert_array_equal(mdata.obsm["X_jive_joint"], fitted.transform(Modalities.from_mudata(mdata)))
    np.testing.assert_array_equal(mdata["protein"].obsm["X_jive_individual"], parts.individual_scores["protein"][::-1])
    loadings = mdata["protein"].varm["jive_joint_loadings"]
    np.testing.assert_allclose(
        mdata.obsm["X_jive_joint"] @ loadings.T + fitted.mean_["protein"], parts.joint["protein"], atol=1e-12
    )
    assert mdata["rna"].varm["jive_individual_loadings"].shape == (8, 1)
    assert mdata.uns["jive"]["joint_rank"] == 1
    assert mdata.uns["jive"]["variance_explained"] == parts.variance_explained


def test_results_in_a_dict_of_anndata_are_in_each(annotated):
    adata = {"rna": annotated(RNA, np.arange(N), "g"), "protein": annotated(PROTEIN, np.arange(N)[::-1], "p")}
    parts = model().fit(Modalities.from_mudata(adata)).annotate(adata)
    np.testing.assert_array_equal(adata["protein"].obsm["X_jive_joint"], parts.joint_scores[::-1])
    assert adata["rna"].uns["jive"]["method"] == "AJIVE"


def test_cells_that_lack_a_modality_are_annotated_too(mdata, partial):
    fitted = model().fit(Modalities.from_mudata(mdata))
    fitted.annotate(partial)
    assert np.isfinite(partial.obsm["X_jive_joint"]).all()
    assert partial["rna"].obsm["X_jive_individual"].shape == (25, 1)
    alone = fitted.transform(Modalities({"rna": RNA[:5]}))
    rows = [list(partial.obs_names).index(name) for name in NAMES[:5]]
    np.testing.assert_allclose(partial.obsm["X_jive_joint"][rows], alone)


def test_loadings_are_not_written_for_a_representation(mdata):
    mdata["protein"].obsm["X_pca"] = PROTEIN[::-1] * 2.0
    fitted = model().fit(Modalities.from_mudata(mdata, use_rep={"protein": "X_pca"}))
    fitted.annotate(mdata, use_rep={"protein": "X_pca"})
    assert not list(mdata["protein"].varm.keys())
    assert list(mdata["rna"].varm.keys())


def test_a_fresh_process_reads_back_what_was_written(tmp_path, mdata):
    fitted = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks={"rna": 0, "protein": 1}).fit(
        Modalities.from_mudata(mdata)
    )
    fitted.annotate(mdata)
    fitted.save(tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata.write_h5mu(tmp_path / "x.h5mu")
    code = f"""
import warnings; warnings.simplefilter("ignore")
import mudata, numpy as np, deepjive as dj
mdata = mudata.read_h5mu({str(tmp_path / "x.h5mu")!r})
data = dj.Modalities.from_mudata(mdata)
np.testing.assert_array_equal(dj.load({str(tmp_path / "model")!r}).transform(data), mdata.obsm["X_jive_joint"])
assert mdata["rna"].obsm["X_jive_individual"].shape == (30, 0)
assert mdata["protein"].varm["jive_joint_loadings"].shape == (5, 1)
assert int(mdata.uns["jive"]["individual_ranks"]["protein"]) == 1
assert 0 < float(mdata.uns["jive"]["variance_explained"]["rna"]["joint"]) < 1
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ["atac"]}, r"no modality 'atac' in the data; there are \['rna', 'protein'\]"),
        ({"layer": "counts"}, r"Modality 'rna' has no layer 'counts'; it has \[\]"),
        ({"use_rep": {"protein": "X_umap"}}, r"Modality 'protein' has no obsm 'X_umap'"),
        ({"layer": "a", "use_rep": "b"}, "Give layer or use_rep for modality 'rna', not both"),
    ],
)
def test_the_error_names_the_missing_entry(mdata, options, message):
    with pytest.raises(ValueError, match=message):
        Modalities.from_mudata(mdata, **options)


def test_a_cell_named_twice_is_refused(annotated):
    rows = np.r_[np.arange(5), 3]
    with pytest.warns(UserWarning, match="not unique"):
        twice = annotated(RNA, rows, "g")
    with pytest.raises(ValueError, match=r"Observation 'cell-3' is named more than once in modality 'rna'"):
        Modalities.from_mudata({"rna": twice, "protein": annotated(PROTEIN, np.arange(5), "p")})


def test_the_error_for_other_objects_shows_how_to_pass_annotated_data(annotated):
    with pytest.raises(TypeError, match=r"but a ndarray was given\. Write Modalities\.from_mudata\(\{'rna': adata_1"):
        Modalities.from_mudata(RNA)
    for wrong in (annotated(RNA, np.arange(N), "g"), make_mudata({"rna": annotated(RNA, np.arange(N), "g")})):
        with pytest.raises(TypeError, match=r"Write Modalities\.from_mudata"):
            Modalities(wrong)


def test_a_mudata_that_shares_variables_is_refused(annotated):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shared = mudata.MuData({name: annotated(RNA, np.arange(N), name) for name in "ab"}, axis=1)
    with pytest.raises(ValueError, match=r"shares its variables \(axis=1\), not its observations"):
        Modalities.from_mudata(shared)


def test_the_error_for_a_modality_without_a_matrix_lists_its_layers(annotated):
    empty = annotated(RNA, np.arange(N), "g")
    empty.layers["counts"] = RNA
    empty.X = None
    with pytest.raises(ValueError, match=r"Modality 'rna' has no X\. Choose one of its layers \['counts'\] by layer="):
        Modalities.from_mudata({"rna": empty, "protein": annotated(PROTEIN, np.arange(N), "p")})


@pytest.fixture(params=["h5ad", "h5mu"])
def forge(request, tmp_path, annotated):
    """Writes a file after a change to its X, and gives a function that reads it."""
    h5py = pytest.importorskip("h5py")
    path, adata = tmp_path / f"x.{request.param}", annotated(PROTEIN, np.arange(N), "p")
    if request.param == "h5ad":
        adata.write_h5ad(path)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make_mudata({"protein": adata}).write_h5mu(path)

    def _forge(change):
        with h5py.File(path, "r+") as file:
            group = file if request.param == "h5ad" else file["mod/protein"]
            attributes = dict(group["X"].attrs)
            del group["X"]
            change(group)
            if "X" in group:
                group["X"].attrs.update(attributes)
        return lambda: read_array(path).array if request.param == "h5ad" else read_h5mu(path).mod["protein"].X

    return _forge


def test_data_in_another_file_are_not_read_through_annotated_files(tmp_path, forge):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(PROTEIN.tobytes())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["X"] = PROTEIN
    layout = h5py.VirtualLayout(shape=PROTEIN.shape, dtype="f8")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "X", shape=PROTEIN.shape)

    def through_a_soft_link(group):
        group["X"] = h5py.SoftLink(f"{group.name}/a".replace("//", "/"))
        group["a"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/X")

    changes = {
        "X": lambda group: group.__setitem__("X", h5py.ExternalLink(str(tmp_path / "secret.h5"), "/X")),
        "a": through_a_soft_link,
        "X ": lambda group: group.create_virtual_dataset("X", layout),
        " X": lambda group: group.create_dataset("X", PROTEIN.shape, "f8", external=[(tmp_path / "secret", 0, 1200)]),
    }
    for name, change in changes.items():
        read = forge(lambda group, change=change: (group.pop("a", None), change(group)))
        with pytest.raises(UnreadableError, match=rf"x\.h5.. does not hold '(mod/protein/)?{name.strip()}' itself"):
            read()
        forge(lambda group: group.__setitem__("X", PROTEIN))


def test_annotated_files_that_claim_more_than_they_can_hold_are_refused(forge):
    read = forge(lambda group: group.create_dataset("X", (4, 3 * 10**7), "f8", chunks=(1, 1000), compression="gzip"))
    with pytest.raises(UnreadableError, match=r"x\.h5.. claims to hold 9\.6e\+08 bytes of numbers"):
        read()


def test_a_data_set_counts_once_for_each_link(forge):
    def change(group):
        group.create_dataset("X", (1, 10**6), "f8", chunks=(1, 1000))
        for i in range(39):
            group["uns"][f"again{i}"] = group["X"]

    with pytest.raises(UnreadableError, match=r"claims to hold 3\.2e\+08 bytes"):
        forge(change)()


@pytest.mark.parametrize("soft", [True, False])
def test_a_group_that_contains_itself_is_refused(forge, soft):
    h5py = pytest.importorskip("h5py")

    def change(group):
        group["X"] = PROTEIN
        group["uns/again"] = h5py.SoftLink(group["uns"].name) if soft else group["uns"]

    with pytest.raises(UnreadableError, match="a group that contains itself"):
        forge(change)()


def test_endlessly_nested_groups_are_refused(monkeypatch, forge):
    read = forge(lambda group: group.create_dataset("X", data=PROTEIN))
    np.testing.assert_array_equal(read(), PROTEIN)
    monkeypatch.setattr(stores, "MOST_LINKS", 3)
    with pytest.raises(UnreadableError, match="holds more than 3 groups and arrays"):
        read()


def test_a_soft_link_within_an_annotated_file_is_followed(forge):
    h5py = pytest.importorskip("h5py")

    def change(group):
        group["layers/kept"] = PROTEIN
        group["layers/kept"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        group["X"] = h5py.SoftLink(group["layers/kept"].name)

    np.testing.assert_array_equal(forge(change)(), PROTEIN)


def test_views_and_dicts_of_annotated_data_are_read(annotated):
    rna, protein = annotated(RNA, np.arange(N), "g"), annotated(PROTEIN, np.arange(N)[::-1], "p")
    views = {"rna": rna[:, :5], "protein": protein[:, 1:]}
    for data in (Modalities.from_mudata(views), Modalities(views)):
        assert data.samples.tolist() == NAMES.tolist()
        assert data.pairing.by == "name"
        assert data.features["rna"].tolist() == [f"g{i}" for i in range(5)]
        np.testing.assert_array_equal(data["rna"], RNA[:, :5])
        np.testing.assert_array_equal(data["protein"], PROTEIN[:, 1:])
    assert model().fit(Modalities(views)).joint_rank_ == 1


def test_joint_scores_and_predicted_modalities_are_written_into_every_modality(mdata):
    fitted = model().fit(Modalities.from_mudata(mdata))
    parts = fitted.annotate(mdata, impute=["protein"])
    np.testing.assert_array_equal(mdata["rna"].obsm["X_jive_joint"], parts.joint_scores)
    np.testing.assert_array_equal(mdata["protein"].obsm["X_jive_joint"], parts.joint_scores[::-1])
    predicted = fitted.impute(Modalities.from_mudata(mdata), "protein")
    np.testing.assert_array_equal(mdata.obsm["X_jive_imputed_protein"], predicted)


def test_numbers_stored_in_several_pieces_are_their_sum():
    group = {"data": np.array([1.0, 2.0, 4.0]), "indices": np.array([1, 1, 0]), "indptr": np.array([0, 2, 3])}
    np.testing.assert_array_equal(StoredSparseRows(group, (2, 2))[:], [[0, 3], [4, 0]])


def test_labels_are_columns_of_the_observations(tmp_path, annotated):
    rna = annotated(RNA, np.arange(N), "g")
    rna.obs["group"] = ["case", "control"] * (N // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pd.option_context("future.infer_string", False):
            rna.obs["group"] = rna.obs["group"].astype(object)
            rna.write_h5ad(tmp_path / "x.h5ad")
            make_mudata({"rna": rna, "protein": annotated(PROTEIN, np.arange(N), "p")}).write_h5mu(tmp_path / "x.h5mu")
    expected = (["case", "control"] * (N // 2))[::-1]
    for key in ("x.h5ad:group", "x.h5ad:obs:group", "x.h5mu:obs:group", "x.h5mu:rna:obs:group"):
        assert read_labels(f"{tmp_path}/{key}", NAMES[::-1], N).tolist() == expected
    with pytest.raises(UnreadableError, match=r"x\.h5ad has no column 'sex' in obs; it has \['group'\]"):
        read_labels(f"{tmp_path}/x.h5ad:sex", NAMES, N)


def test_a_file_without_a_matrix_names_what_it_holds(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pd.option_context("future.infer_string", False):
            anndata.AnnData(obs=pd.DataFrame(index=NAMES.astype(object))).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(UnreadableError, match=r"x\.h5ad has no matrix X"):
        read_array(tmp_path / "x.h5ad")
