"""What `deepjive.plot` draws is what the result says, on the axes that were given."""

from __future__ import annotations

import sys
import types

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

import deepjive as dj
from deepjive import plot
from deepjive.data.readers.guard import MissingExtraError
from deepjive.evaluation import feature_effects
from deepjive.evaluation.refit_stability import Stability
from deepjive.plot import pictures
from deepjive.plot.palette import INDIVIDUAL, JOINT, LABELS

RNG = np.random.default_rng(0)
HISTORY = {
    "phase": ["joint", "joint", "individual"],
    "train_total": [3.0, 2.0, 1.0],
    "validation_total": [3.5, 2.5, 2.0],
    "train_identity": [0.5, 0.25, 0.125],
}
TABLE = {
    "part": ["joint"] * 3,
    "coordinates": ["linear"] * 3,
    "rank": [0, 1, 2],
    "r2": [0.0, 0.2, 0.4],
    "standard_error": [0.0, 0.02, 0.03],
    "chosen": [False, False, True],
}


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(90, 2))
    tables = {
        name: np.hstack([joint, rng.normal(size=(90, 1))]) @ rng.normal(size=(3, width)) + rng.normal(size=(90, width))
        for name, width in (("rna", 30), ("protein", 12))
    }
    features = {name: [f"{name} {i}" for i in range(array.shape[1])] for name, array in tables.items()}
    return dj.Modalities(tables, samples=[f"s{i}" for i in range(90)], features=features)


@pytest.fixture(scope="module")
def model(data):
    return dj.AJIVE(joint_rank=2, individual_ranks=1, n_wedin=20, n_random=20, random_state=0).fit(data)


@pytest.fixture(scope="module")
def parts(model, data):
    return model.decompose(data)


def test_axes_that_are_given_are_returned_and_without_them_a_figure_is_made(parts, ax):
    assert plot.scores(parts, ax=ax) is ax
    import matplotlib.pyplot as plt

    made = plot.variance_explained(parts)
    assert made.figure.number in plt.get_fignums()
    plt.close(made.figure)


def test_scores_are_at_their_places_in_the_colours_of_their_labels(parts, ax):
    labels = np.where(np.arange(90) < 30, "a", "b")
    plot.scores(parts, labels, x=2, y=1, ax=ax)
    first, second = ax.collections
    np.testing.assert_array_equal(first.get_offsets(), parts.joint_scores[:30, ::-1])
    np.testing.assert_array_equal(second.get_offsets(), parts.joint_scores[30:, ::-1])
    assert [to_hex(dots.get_facecolors()[0]) for dots in (first, second)] == list(LABELS[:2])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.get_xlabel() == "joint score 2"
    assert len({dots.get_paths()[0].vertices.tobytes() for dots in (first, second)}) == 1  # one shape of marker


def test_scores_of_one_modality_and_of_numbers(parts, ax):
    plot.scores(parts, np.linspace(0, 1, 90), modality="rna", ax=ax)
    np.testing.assert_array_equal(ax.collections[0].get_offsets()[:, 0], parts.individual_scores["rna"][:, 0])
    scale = Figure().subplots()
    plot.scores(parts, np.linspace(0, 1, 90), ax=scale)
    np.testing.assert_array_equal(scale.collections[-1].get_array(), np.linspace(0, 1, 90))
    assert len(scale.figure.axes) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"x": 3}, "no joint score 3; there are 2"),
        ({"labels": ["a"]}, "1 entries, but there are 90"),
        ({"modality": "x"}, "modality is 'x'"),
    ],
)
def test_errors_of_scores_name_what_is_wrong(parts, ax, wrong, said):
    with pytest.raises(ValueError, match=said):
        plot.scores(parts, ax=ax, **wrong)


def test_loadings_are_the_strongest_effects_with_their_errors(model, data, ax):
    effects = feature_effects(model, data)["rna"]
    plot.loadings(effects, 2, top=5, ax=ax)
    row = effects.scores.index(("joint", 2))
    strongest = np.sort(effects.effect[row][np.argsort(-np.abs(effects.effect[row]))[:5]])[::-1]
    drawn = ax.collections[-1].get_offsets()
    np.testing.assert_allclose(drawn[:, 0], strongest, rtol=1e-3)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [effects.features[int(np.argmin(np.abs(effects.effect[row] - value)))] for value in strongest]
    segments = ax.collections[0].get_segments()
    widths = sorted(float(line[1, 0] - line[0, 0]) for line in segments)
    errors = sorted(2 * 1.96 * effects.standard_error[row, effects.features.index(name)] for name in labels)
    np.testing.assert_allclose(widths, errors, rtol=1e-3)
    found = [effects.q_value[row, effects.features.index(name)] < 0.05 for name in labels]
    assert [color[3] > 0 for color in ax.collections[-1].get_facecolors()] == found
    with pytest.raises(ValueError, match=r"no individual score 2.*joint 1.*individual 1"):
        plot.loadings(effects, 2, part="individual", ax=ax)


def test_effects_along_a_score_of_a_linear_model_are_lines_with_the_slopes_of_the_effects(model, data, parts, ax):
    effects = feature_effects(model, data, test=False)["rna"]
    plot.effects(parts, "rna", 2, top=3, ax=ax)
    curves = [line for line in ax.lines if len(line.get_xdata()) > 2]
    row = effects.scores.index(("joint", 2))
    for curve in curves:
        x, y = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
        slope = effects.effect[row, effects.features.index(curve.get_label())]
        np.testing.assert_allclose(y, slope * x, atol=1e-6)
    largest = np.argsort(-np.abs(effects.effect[row]))[:3]
    assert [curve.get_label() for curve in curves] == [effects.features[i] for i in largest]
    with pytest.raises(ValueError, match="no feature 'x'"):
        plot.effects(parts, "rna", features=["x"], ax=ax)
    with pytest.raises(ValueError, match="no joint score 3"):
        plot.effects(parts, "rna", 3, ax=ax)


def test_effects_on_images_are_pictures(make_decomposition, ax):
    images = make_decomposition({"a": (6, 6), "b": (5,)})
    plot.effects(images, "a", 1, ax=ax)
    drawn = [np.asarray(image.get_array()) for image in ax.images]
    scores = np.zeros((1, 2))
    scores[0, 0] = 2.0
    np.testing.assert_allclose(drawn[4], images.render("joint", "a", scores, np.zeros((1, 2)))[0], atol=1e-6)
    np.testing.assert_allclose(drawn[2], images.mean["a"], atol=1e-6)


def test_a_heat_map_has_the_values_of_the_part_in_the_order_of_the_score(parts, make_decomposition, ax):
    plot.heatmap(parts, "protein", part="joint", ax=ax)
    shown = np.asarray(ax.images[0].get_array())
    order = np.argsort(parts.joint_scores[:, 0], kind="stable")
    varied = parts.joint["protein"] - parts.mean["protein"]
    expected = varied[order] / parts.data["protein"].std(axis=0)
    assert shown.shape == (90, 12)
    np.testing.assert_allclose(np.sort(shown, axis=1), np.sort(expected, axis=1), atol=1e-5)
    slopes = parts.joint_scores[order, 0] @ (shown - shown.mean(axis=0))
    assert slopes[0] > 0 > slopes[-1]
    with pytest.raises(ValueError, match=r"shape \(6, 6\)"):
        plot.heatmap(make_decomposition({"a": (6, 6), "b": (5,)}), "a", ax=ax)


def test_all_parts_of_a_heat_map_add_up(parts):
    shown = {}
    for part in ("data", "joint", "individual", "residual"):
        axes = Figure().subplots()
        shown[part] = np.asarray(plot.heatmap(parts, "rna", part=part, ax=axes).images[0].get_array())
    np.testing.assert_allclose(shown["joint"] + shown["individual"] + shown["residual"], shown["data"], atol=1e-5)


def test_prediction_by_rank_fills_the_chosen_rank(ax):
    plot.prediction_by_rank(TABLE, ax=ax)
    dots = ax.collections[-1]
    np.testing.assert_allclose(dots.get_offsets(), [[0, 0], [1, 20], [2, 40]])
    assert [to_hex(color) == JOINT for color in dots.get_facecolors()] == [False, False, True]
    with pytest.raises(ValueError, match="ranks were given"):
        plot.prediction_by_rank({}, ax=ax)


def test_bounds_of_ajive_are_those_of_the_model(model, ax):
    plot.ajive_bounds(model, ax=ax)
    dots = next(shape for shape in ax.collections if len(shape.get_offsets()) > 2)
    np.testing.assert_allclose(dots.get_offsets()[:, 0], (model.joint_singular_values_**2)[: len(dots.get_offsets())])
    cutoff = max(np.percentile(model.wedin_samples_, 5), np.percentile(model.random_samples_, 95))
    left = ax.transData.inverted().transform(ax.patches[0].get_window_extent())[0, 0]  # before 3.9 a polygon
    assert left == pytest.approx(cutoff)
    with pytest.raises(ValueError, match="no bounds"):
        plot.ajive_bounds(dj.JIVE(), ax=ax)


def test_training_draws_both_curves_and_the_border_of_phases(ax):
    plot.training(HISTORY, ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), HISTORY["train_total"])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), HISTORY["validation_total"])
    assert ax.lines[2].get_xdata()[0] == 2.5
    with pytest.raises(ValueError, match=r"no term 'x'; it has .*identity.*total"):
        plot.training(HISTORY, "x", ax=ax)
    with pytest.raises(ValueError, match="no history"):
        plot.training(dj.AJIVE(), ax=ax)


def test_agreement_matches_scores_and_samples_and_turns_signs(parts, data, ax):
    turned = data[::-1]
    other = dj.AJIVE(joint_rank=2, individual_ranks=1, n_wedin=0, n_random=0).fit(turned).decompose(turned)
    other.joint_scores[:] = other.joint_scores[:, ::-1] * [1.0, -1.0]
    plot.agreement(parts, other, ax=ax)
    shown = np.asarray(ax.images[0].get_array())
    assert (np.diag(shown) > 0.99).all()
    assert [label.get_text().lstrip("\N{MINUS SIGN}") for label in ax.get_xticklabels()] == ["2", "1"]
    with pytest.raises(ValueError, match="40 and 50 samples without names"):
        plot.agreement(RNG.normal(size=(40, 2)), RNG.normal(size=(50, 2)), ax=ax)


def test_stability_draws_the_correlation_of_each_score(ax):
    rows = [Stability("joint", "seeds", 3, [0.9, 0.4], [0.95, 0.5]), Stability("joint", "samples", 3, [0.8, 0.2], [])]
    evidence = types.SimpleNamespace(method="AJIVE", stability={"AJIVE": rows})
    plot.stability(evidence, ax=ax)
    heights = [dots.get_offsets()[:, 1].tolist() for dots in ax.collections if len(dots.get_offsets()) == 2]
    assert heights == [[0.9, 0.4], [0.8, 0.2]]
    with pytest.raises(ValueError, match="no stability of the individual rna scores"):
        plot.stability(evidence, part="individual rna", ax=ax)


def test_colour_images_are_drawn_in_colour(ax):
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(30, 1))
    images = (joint @ rng.normal(size=(1, 8 * 9 * 3)) + 0.1 * rng.normal(size=(30, 8 * 9 * 3))).reshape(30, 8, 9, 3)
    data = dj.Modalities({"photo": images, "b": joint @ rng.normal(size=(1, 6)) + 0.1 * rng.normal(size=(30, 6))})
    parts = dj.AJIVE(joint_rank=1, individual_ranks=0, n_wedin=0, n_random=0).fit(data).decompose(data)
    plot.examples(parts, "photo", [3], ax=ax)
    shown = np.asarray(ax.images[0].get_array())
    assert shown.shape == (8, 9, 4)
    inner = (shown[..., :3] > 0) & (shown[..., :3] < 1)  # neither of the ends of the scale
    fit = np.polyfit(images[3][inner], shown[..., :3][inner], 1)
    np.testing.assert_allclose(np.polyval(fit, images[3][inner]), shown[..., :3][inner], atol=1e-6)
    assert fit[0] > 0


def test_a_brain_map_is_drawn_by_nilearn(ax):
    pytest.importorskip("nilearn")
    from deepjive.imaging import mni_grid

    grid = mni_grid(12.0)
    effect = np.zeros(grid.shape)
    effect[4:9, 6:11, 5:9] = 0.5
    plot.brain_map(effect, grid, ax=ax, display_mode="z", cut_coords=[0])
    maps = [image for axes in ax.figure.axes for image in axes.images if image.get_cmap().name == "RdBu_r"]
    assert any(np.nanmax(np.asarray(image.get_array())) == pytest.approx(0.5) for image in maps)
    with pytest.raises(ValueError, match="Give the grid of the volumes"):
        plot.brain_map(np.zeros((2, 2, 2)), grid, ax=ax)


class FakeUMAP:
    def __init__(self, **settings):
        self.settings = settings

    def fit_transform(self, values):
        return values[:, :2] * 3 + self.settings["random_state"]


def test_umap_draws_the_map_of_all_scores(parts, ax, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=FakeUMAP))
    plot.umap(parts, np.arange(90) % 2, random_state=1, ax=ax)
    drawn = np.concatenate([dots.get_offsets() for dots in ax.collections])
    np.testing.assert_allclose(drawn, np.concatenate([parts.joint_scores[i::2] for i in (0, 1)]) * 3 + 1)


def test_without_umap_the_error_names_what_to_install(parts, ax, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"umap"):
        plot.umap(parts, ax=ax)


def test_figures_follow_the_style(parts):
    with mpl.rc_context({"font.size": 17.0, "text.color": "#abcdef", "axes.facecolor": "#123456"}):
        axes = plot.variance_explained(parts, ax=Figure().subplots())
    assert axes.texts[0].get_fontsize() == 17.0
    assert axes.texts[0].get_color() == "#abcdef"
    assert axes.patches[0].get_edgecolor() == to_rgba("#123456")
    assert to_hex(axes.patches[1].get_facecolor()) == INDIVIDUAL


def test_every_function_draws_the_scores_of_subsets():
    tables = of_subsets()
    ranks = {"joint_rank": 1, "subsets": {("a", "b"): 2}, "individual_ranks": 1}
    model = dj.AJIVE(**ranks, random_state=0).fit(tables)
    parts = model.decompose(tables)
    axes = [Figure().subplots() for _ in range(5)]
    effects = feature_effects(model, tables, test=False)["a"]
    row = effects.scores.index(("a+b", 2))
    drawn = plot.loadings(effects, 2, part="a+b", top=4, ax=axes[0])
    strongest = np.sort(np.abs(effects.effect[row]))[::-1][:4]
    np.testing.assert_allclose(np.sort(np.abs(drawn.collections[-1].get_offsets()[:, 0]))[::-1], strongest, rtol=1e-3)
    plot.effects(parts, "a", 2, part=("b", "a"), top=1, ax=axes[1])
    line = axes[1].lines[0]
    slope = np.diff(line.get_ydata()[[0, -1]]) / np.diff(line.get_xdata()[[0, -1]])
    assert np.abs(slope[0]) == pytest.approx(strongest[0], rel=1e-6)
    plot.heatmap(parts, "a", part="a+b", ax=axes[2])
    image = np.asarray(axes[2].images[0].get_array())
    spread = np.std(tables["a"], axis=0)
    np.testing.assert_allclose(np.sort(image.ravel()), np.sort((parts.subset["a", "b"]["a"] / spread).ravel()))
    assert axes[2].get_title() == "a+b"
    dots = plot.scores(parts, part="a+b", ax=axes[3]).collections[0].get_offsets()
    np.testing.assert_allclose(dots, parts.subset_scores["a", "b"])
    with pytest.raises(ValueError, match=r"part is 'b\+c', but must be one of \['joint', 'a\+b', 'individual'\]"):
        plot.effects(parts, "a", part="b+c", ax=axes[4])
    with pytest.raises(ValueError, match="must be one of"):
        plot.scores(parts, modality="c", part="a+b", ax=axes[4])


def of_subsets():
    rng = np.random.default_rng(0)
    joint, shared, own = (rng.normal(size=(60, rank)) for rank in (1, 2, 1))
    hidden = {name: np.hstack([joint, shared * (name != "c"), own]) for name in "abc"}
    return {name: z @ rng.normal(size=(4, 12)) + 0.3 * rng.normal(size=(60, 12)) for name, z in hidden.items()}


def test_pictures_and_bars_show_what_some_modalities_share(ax):
    """With subsets the input is the sum of four columns, and the bars name what some modalities share."""
    rng = np.random.default_rng(0)
    joint, shared = rng.normal(size=(60, 1)), rng.normal(size=(60, 1))
    tables = {
        name: np.hstack([joint, shared * (name != "c")]) @ rng.normal(size=(2, 12)) + 0.3 * rng.normal(size=(60, 12))
        for name in "abc"
    }
    model = dj.AJIVE(joint_rank=1, subsets={("a", "b"): 1}, individual_ranks=0, random_state=0)
    parts = model.fit(tables).decompose(tables)
    rows = np.arange(3)
    value, *columns = pictures.parts_of(parts, "a", rows)
    assert len(columns) == 4
    np.testing.assert_allclose(np.sum(columns, axis=0), value)
    assert "shared by some" in texts_of(plot.examples(parts, "a", rows, ax=ax))
    assert "shared by some" not in texts_of(plot.examples(parts, "c", rows, ax=Figure().subplots()))
    share = parts.variance_explained["a"]["a+b"]
    assert share > 0.1
    assert f"shared {share:.0%}" in texts_of(plot.variance_explained(parts, ax=Figure().subplots()))


def texts_of(axes):
    return {text.get_text() for text in axes.texts}


def test_a_surface_map_is_drawn_on_its_hemispheres(ax, tmp_path):
    pytest.importorskip("nilearn")
    import nibabel

    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    arrays = [
        nibabel.gifti.GiftiDataArray(corners, "NIFTI_INTENT_POINTSET"),
        nibabel.gifti.GiftiDataArray(faces, "NIFTI_INTENT_TRIANGLE"),
    ]
    paths = [str(tmp_path / f"{side}.surf.gii") for side in ("lh", "rh")]
    for path in paths:
        nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), path)

    def titles(axes):
        return [inset.get_title() for inset in axes.child_axes if hasattr(inset, "get_zlim")]

    left = np.array([0.0, 0.0, 0.0, 2.0])
    assert titles(plot.surface_map(left, mesh=paths[1], ax=ax)) == ["right, lateral", "right, medial"]
    other = Figure().subplots()
    drawn = plot.surface_map(np.concatenate([left, -left]), mesh=paths, ax=other)
    assert titles(drawn) == [f"{side}, {view}" for side in ("left", "right") for view in ("lateral", "medial")]
    views = [inset for inset in drawn.child_axes if hasattr(inset, "get_zlim")]
    red, blue = (np.ptp(view.collections[0].get_facecolor()[:, [0, 2]], axis=0) for view in (views[0], views[2]))
    assert red[0] < red[1]  # a gain on the left: white and red faces, which differ in blue
    assert blue[0] > blue[1]  # a loss on the right
    with pytest.raises(ValueError, match=r"3 values, but the surface .* has 4 vertices"):
        plot.surface_map(np.zeros(3), mesh=paths[0], ax=ax)
    with pytest.raises(ValueError, match=r"5 values, but fsaverage5.* has 20484 vertices"):
        plot.surface_map(np.zeros(5), ax=ax)
    with pytest.raises(ValueError, match="names 3 surfaces"):
        plot.surface_map(np.zeros(5), mesh=[*paths, paths[0]], ax=ax)
