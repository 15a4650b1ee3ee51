"""The report draws maps on surfaces and tables of regions where they are, or says what to give."""

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.data.readers.surfaces import SurfaceRows
from deepjive.imaging.region_centres import CENTRES, centre_of
from deepjive.report.places import place_pictures

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("nilearn")
REGIONS = [f"{side}_{name}_thickness" for side in ("lh", "rh") for name in list(CENTRES)[:10]]


def write_gifti(path, values):
    array = nibabel.gifti.GiftiDataArray(np.asarray(values, np.float32), intent="NIFTI_INTENT_SHAPE")
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[array]), path)
    return path


def decomposed(folder, n_vertices, features, prefix="lh"):
    rng = np.random.default_rng(0)
    score = rng.normal(size=(24, 1))
    maps = score * rng.normal(size=(1, n_vertices)) + 0.1 * rng.normal(size=(24, n_vertices))
    paths = [write_gifti(folder / f"{prefix}.sub-{row}.shape.gii", values) for row, values in enumerate(maps)]
    table = score * rng.normal(size=(1, len(features))) + 0.1 * rng.normal(size=(24, len(features)))
    data = Modalities({"thickness": SurfaceRows(paths), "regions": table}, features={"regions": features})
    model = AJIVE(signal_ranks=1, joint_rank=1, individual_ranks=0, random_state=0).fit(data)
    return model.decompose(data), data


def test_maps_on_fsaverage5_and_tables_of_regions_are_drawn_also_of_some_samples(tmp_path):
    parts, data = decomposed(tmp_path, 10242, [*REGIONS, "eTIV"])
    surface, regions = place_pictures(parts, data[np.arange(20)])
    assert surface.heading == "thickness, joint score 1"
    assert surface.svg.count("<image") == 1  # as pixels
    assert "20 of" not in regions.reading
    assert "1 of 21 features have no known centre and are not drawn, such as eTIV" in regions.reading
    assert max(len(surface.svg), len(regions.svg)) < 600_000


def test_other_surfaces_and_other_tables_are_not_drawn_and_the_page_says_what_to_give(tmp_path):
    parts, data = decomposed(tmp_path, 300, ["gene 1", "gene 2", "lh_insula", "rh_insula", "gene 3"])
    (surface,) = place_pictures(parts, data)
    assert surface.svg is None
    assert "300 vertices" in surface.reading
    assert "mesh=[LEFT, RIGHT]" in surface.reading


def test_region_names_of_several_programs_mean_their_regions():
    assert centre_of("lh_entorhinal") == centre_of("ctx-lh-entorhinal") == CENTRES["entorhinal"][0]
    assert centre_of("Left-Thalamus-Proper") == centre_of("Thalamus_L") == CENTRES["thalamus"][0]
    assert centre_of("Right Hippocampus") == CENTRES["hippocampus"][1]
    assert centre_of("hippocampus") is None  # of which side is not said
    for left, right in CENTRES.values():
        assert left[0] < 0 < right[0]


def test_a_table_without_known_regions_says_how_to_give_centres(tmp_path):
    from deepjive.plot import region_map

    parts, _ = decomposed(tmp_path, 40, ["a", "b", "c", "d"])
    with pytest.raises(ValueError, match=r"0 are regions of FreeSurfer's .*'a' is none\). Give the centres"):
        region_map(parts, "regions")
    centres = {name: (10 * row, 0, 0) for row, name in enumerate("abcd")}
    assert region_map(parts, "regions", centres=centres).figure is not None
