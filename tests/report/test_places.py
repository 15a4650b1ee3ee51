"""The report draws maps on surfaces and tables of regions where they are, or says what to give."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from deepjive import AJIVE, Modalities
from deepjive.data.readers.surfaces import SurfaceRows
from deepjive.imaging.region_centres import CENTRES, centre_of
from deepjive.report import places
from deepjive.report.places import place_pictures

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("nilearn")
REGIONS = [f"{side}_{name}_thickness" for side in ("lh", "rh") for name in list(CENTRES)[:10]]


def write_gifti(path, values):
    array = nibabel.gifti.GiftiDataArray(np.asarray(values, np.float32), intent="NIFTI_INTENT_SHAPE")
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[array]), path)
    return path


def decomposed(folder, n_vertices, features, prefix="lh", size=1.0):
    rng = np.random.default_rng(0)
    score = rng.normal(size=(24, 1))
    maps = size * score * rng.normal(size=(1, n_vertices)) + 0.1 * size * rng.normal(size=(24, n_vertices))
    paths = [write_gifti(folder / f"{prefix}.sub-{row}.shape.gii", values) for row, values in enumerate(maps)]
    table = score * rng.normal(size=(1, len(features))) + 0.1 * rng.normal(size=(24, len(features)))
    data = Modalities({"thickness": SurfaceRows(paths), "regions": size * table}, features={"regions": features})
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


def test_scales_of_colours_are_within_the_picture_and_touch_no_brain(tmp_path, monkeypatch):
    figures = []

    class Kept(Figure):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            figures.append(self)

    monkeypatch.setattr(places, "Figure", Kept)
    parts, data = decomposed(tmp_path, 10242, REGIONS, size=0.001)  # small values have the longest labels
    place_pictures(parts, data)
    assert len(figures) == 2
    for figure in figures:
        every = [*figure.axes, *(inset for axes in figure.axes for inset in axes.child_axes)]
        (scale,) = {axes for axes in every if any("0.00" in text.get_text() for text in axes.get_yticklabels())}
        box = scale.get_tightbbox()
        assert box.x1 <= figure.bbox.x1
        brains = [axes.get_window_extent() for axes in every if axes is not scale and axes.collections]
        assert len(brains) in (2, 4)  # two views of a hemisphere, or a glass brain from four sides
        assert not any(box.overlaps(brain) for brain in brains)


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
