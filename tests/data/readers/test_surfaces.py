import numpy as np
import pytest

from deepjive import Modalities
from deepjive.data.files import read_array
from deepjive.data.readers.guard import UnreadableError

nibabel = pytest.importorskip("nibabel")
N_VERTICES = 12


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(6, N_VERTICES)).astype(np.float32)


def write_gifti(path, *arrays, intent="NIFTI_INTENT_SHAPE"):
    arrays = [nibabel.gifti.GiftiDataArray(np.asarray(a, np.float32), intent=intent) for a in arrays]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), path)
    return path


def write_cifti(path, *maps, structure="CORTEX_LEFT"):
    vertices = nibabel.cifti2.BrainModelAxis.from_mask(np.ones(maps[0].size, bool), name=structure)
    scalars = nibabel.cifti2.ScalarAxis([f"map {i}" for i in range(len(maps))])
    nibabel.save(nibabel.Cifti2Image(np.stack(maps), (scalars, vertices)), path)
    return path


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves .mgh files open
@pytest.mark.parametrize("kind", [".shape.gii", ".dscalar.nii", ".mgh"])
def test_maps_on_a_surface_have_one_value_for_each_vertex(kind, tmp_path, values, check_rows):
    paths = []
    for i, row in enumerate(values):
        path = tmp_path / f"sub-{i}_hemi-L_thickness{kind}"
        if kind == ".mgh":
            nibabel.save(nibabel.MGHImage(row.reshape(-1, 1, 1), np.eye(4)), path)
        else:
            (write_gifti if kind.endswith(".gii") else write_cifti)(path, row)
        paths.append(path)
    data = Modalities({"thickness": paths, "again": paths})
    assert data.shapes["thickness"] == (N_VERTICES,)
    check_rows(data["thickness"], values)
    table = "participant_id,path\n" + "\n".join(f"sub-{i},{path.name}" for i, path in enumerate(paths)) + "\nsub-9,\n"
    (tmp_path / "maps.csv").write_text(table)
    listed = read_array(tmp_path / "maps.csv")
    assert listed.index.tolist() == ["sub-0", "sub-1", "sub-2", "sub-3", "sub-4", "sub-5", "sub-9"]
    np.testing.assert_array_equal(listed.array[:6], values)
    assert not listed.array[6].any()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves .mgh files open
def test_freesurfers_stacked_maps_have_the_participants_on_the_last_axis(tmp_path, values, check_rows):
    path = tmp_path / "lh.thickness.mgh"
    nibabel.save(nibabel.MGHImage(values.T.reshape(N_VERTICES, 1, 1, 6).copy(), np.eye(4)), path)
    check_rows(read_array(path), values)


def test_files_without_exactly_one_map_are_errors(tmp_path, values):
    several = write_gifti(tmp_path / "several.func.gii", *values)
    mesh = write_gifti(tmp_path / "mesh.surf.gii", values.reshape(-1, 3), intent="NIFTI_INTENT_POINTSET")
    maps = write_cifti(tmp_path / "maps.dscalar.nii", *values)
    damaged = tmp_path / "damaged.shape.gii"
    damaged.write_text("<GIFTI>")
    for path, message in (
        (several, "holds 6 maps"),
        (mesh, "holds a mesh"),
        (maps, "holds 6 maps"),
        (damaged, "damaged"),
    ):
        with pytest.raises(UnreadableError, match=message):
            Modalities({"a": [path, path], "b": np.ones((2, 1))})


def test_maps_of_other_surfaces_are_refused(tmp_path, values):
    left = write_cifti(tmp_path / "left.dscalar.nii", values[0])
    right = write_cifti(tmp_path / "right.dscalar.nii", values[1], structure="CORTEX_RIGHT")
    short = write_gifti(tmp_path / "short.shape.gii", values[0, :5])
    long = write_gifti(tmp_path / "long.shape.gii", values[0])
    with pytest.raises(UnreadableError, match="of other structures"):
        Modalities({"a": [left, right], "b": np.ones((2, 1))})
    with pytest.raises(UnreadableError, match=r"short.* has 5 vertices, but .*long.* has 12"):
        Modalities({"a": [long, short], "b": np.ones((2, 1))})
