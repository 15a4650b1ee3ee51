import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib._pylab_helpers import Gcf

from deepjive import AJIVE
from deepjive.plot.palette import groups_of
from deepjive.plot.pictures import parts_of
from deepjive.report.figures import (
    PAGE_POINTS,
    ajive_diagnostic,
    examples,
    scores_scatter,
    subset_variance,
    training_curves,
    variance_explained,
)
from deepjive.report.style import INDIVIDUAL, JOINT, LIGHT, to_svg

RNG = np.random.default_rng(0)


def texts_of(figure):
    figure.canvas.draw()
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_bars_are_as_wide_as_the_fractions(make_decomposition):
    decomposition = make_decomposition({"a": (30,), "b": (20,)})
    axes = variance_explained(decomposition).axes[0]
    bars = [patch.get_width() for patch in axes.patches if patch.get_height() == pytest.approx(0.3)]
    expected = [value for parts in decomposition.variance_explained.values() for value in parts.values()]
    np.testing.assert_allclose(bars, expected)


def test_negative_fraction_takes_no_room_and_is_written_down(make_decomposition):
    decomposition = make_decomposition({"a": (30,), "b": (20,)})
    decomposition.__dict__["variance_explained"] = {"a": {"joint": -0.5, "individual": 0.3, "residual": 1.2}}
    figure = variance_explained(decomposition)
    widths = [patch.get_width() for patch in figure.axes[0].patches if patch.get_height() == pytest.approx(0.3)]
    np.testing.assert_allclose(widths, [0.0, 0.2, 0.8])
    assert "joint \N{MINUS SIGN}50%" in texts_of(figure)


def test_scatter_draws_every_sample_once_with_its_groups_colour():
    labels = np.array(["x"] * 30 + ["y"] * 20 + [""] * 5)
    figure = scores_scatter(RNG.normal(size=(55, 2)), labels)
    drawn = [len(points.get_offsets()) for points in figure.axes[0].collections]
    assert sum(drawn) == 55
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y", "unknown"]


def test_many_samples_are_thinned_the_same_way_each_time():
    scores = RNG.normal(size=(PAGE_POINTS + 500, 2))
    first, second = (scores_scatter(scores).axes[0].collections[0].get_offsets() for _ in range(2))
    assert len(first) == PAGE_POINTS
    np.testing.assert_array_equal(first, second)


def test_many_numbers_are_a_scale_and_few_are_groups():
    assert groups_of(RNG.normal(size=50)) is None
    assert list(groups_of(np.array([10, 9, 9, 10, 2]))) == ["2", "9", "10"]
    assert list(groups_of(np.array([10, 9, np.nan, 10, 2.5]))) == ["2.5", "9", "10", "unknown"]


def test_rare_labels_are_put_together():
    labels = np.repeat([f"label {i:02d}" for i in range(14)], np.arange(14, 0, -1))
    groups = groups_of(labels)
    assert len(groups) == 10
    assert groups["other"].sum() == sum(range(1, 6))


def test_labels_that_are_called_other_or_unknown_keep_their_samples():
    labels = np.array(["unknown"] * 3 + [""] * 2 + ["b"])
    assert {name: members.sum() for name, members in groups_of(labels).items()} == {"b": 1, "unknown": 5}
    labels = np.array(["other"] * 20 + [f"label {i:02d}" for i in range(14)])
    groups = groups_of(labels)
    assert groups["other"].sum() == 20 + 6
    assert sum(members.sum() for members in groups.values()) == len(labels)


def test_what_stands_for_no_label_is_no_group():
    labels = np.array(["a", "None", None, np.nan, pd.NA, pd.NaT], dtype=object)
    assert {name: members.sum() for name, members in groups_of(labels).items()} == {"None": 1, "a": 1, "unknown": 4}


@pytest.mark.parametrize("labels", [None, np.arange(40) % 3, np.linspace(0.0, 1.0, 40)])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_any_rank_and_any_labels_can_be_drawn(labels, rank):
    assert to_svg(scores_scatter(RNG.normal(size=(40, rank)), labels), "scores").startswith("<svg")


def test_labels_that_are_not_numbers_in_part_are_drawn_in_grey():
    labels = np.append(np.linspace(0.0, 1.0, 39), np.nan)
    figure = scores_scatter(RNG.normal(size=(40, 2)), labels)
    assert sum(len(points.get_offsets()) for points in figure.axes[0].collections) == 40


def test_scores_of_rank_0_are_refused():
    with pytest.raises(ValueError, match="no scores to show"):
        scores_scatter(np.empty((5, 0)))


def test_curves_are_drawn_by_term_without_empty_ones():
    nan = float("nan")
    history = {
        "phase": ["joint", "joint", "individual"],
        "epoch": [1, 2, 1],
        "train_total": [3.0, 2.0, 1.0],
        "train_reconstruction": [1.0, 0.5, 0.4],
        "validation_reconstruction": [1.1, 0.7, 0.6],
        "train_orthogonality": [nan, nan, 0.1],
        "validation_identity": [nan, nan, nan],
        "learning_rate": [0.1, 0.1, 0.1],
        "seconds": [1.0, 1.0, 1.0],
    }
    figures = training_curves(history)
    assert list(figures) == ["reconstruction", "orthogonality", "total"]
    lines = figures["reconstruction"].axes[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), [1.0, 0.5, 0.4])
    np.testing.assert_array_equal(lines[1].get_ydata(), [1.1, 0.7, 0.6])
    assert lines[2].get_xdata()[0] == 2.5  # the phases' border


def test_diagnostic_colours_the_joint_components_and_rings_the_rejected():
    figure = ajive_diagnostic(
        [2.0, 1.9, 1.8, 1.1, 0.5], RNG.normal(1.6, 0.05, 200), RNG.normal(1.3, 0.05, 200), joint_rank=2, rejected=[1]
    )
    points = next(shape for shape in figure.axes[0].collections if len(shape.get_offsets()) == 5)
    joint = tuple(int(JOINT[i : i + 2], 16) / 255 for i in (1, 3, 5))
    filled = [tuple(color[:3]) == joint for color in points.get_facecolors()]
    assert filled == [True, False, True, False, False]


@pytest.mark.parametrize("shape", [(8, 6), (6, 8, 7), (3, 9, 9), (40,), (300,), (1,), (2, 30)])
def test_examples_of_every_kind_of_modality_can_be_drawn(make_decomposition, shape):
    decomposition = make_decomposition({"a": shape, "b": (20,)}, joint_rank=1, individual_ranks=0)
    assert to_svg(examples(decomposition, "a", np.array([0, 5])), "examples").startswith("<svg")


def test_lines_are_drawn_where_values_are_missing():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(40, 1))
    data = {name: joint @ rng.normal(size=(1, 8)) + 0.3 * rng.normal(size=(40, 8)) for name in "ab"}
    data["a"][0, 3] = np.nan
    parts = AJIVE(signal_ranks=1, joint_rank=1, missing="impute", n_wedin=0, n_random=0).fit(data).decompose(data)
    lines = [line.get_ydata() for line in examples(parts, "a", np.array([0, 1])).axes[0].lines]
    drawn = np.array([heights for heights in lines if len(heights) == 8])
    assert np.isnan(drawn).sum() == 2  # of the input and of the residual


def test_shown_parts_add_up_to_the_input(make_decomposition):
    decomposition = make_decomposition({"a": (6, 6), "b": (20,)})
    x, joint, individual, residual = parts_of(decomposition, "a", np.array([3, 1]))
    np.testing.assert_allclose(joint + individual + residual, x)
    np.testing.assert_array_equal(x, decomposition.data["a"][[3, 1]])


def test_deviations_are_drawn_on_a_scale_that_is_white_at_zero(make_decomposition):
    figure = examples(make_decomposition({"a": (6, 6), "b": (20,)}), "a", np.array([0, 1, 2]))
    images = figure.axes[0].images
    shown = [image for image in images if image.get_array().shape == (6, 6)]
    assert len(shown) == 12
    low, high = shown[2].get_clim()
    assert low == -high
    assert shown[3].get_clim() == (low, high)
    assert shown[0].get_clim() == shown[1].get_clim()


def test_svg_follows_the_theme(make_decomposition):
    svg = to_svg(variance_explained(make_decomposition({"a": (30,), "b": (20,)})), "bars")
    assert "var(--joint)" in svg
    assert "var(--individual)" in svg
    assert not [color for color in (JOINT, INDIVIDUAL, LIGHT["ink"]) if color in svg]


def test_dollar_signs_and_foreign_letters_are_text():
    labels = np.array(["$x_1$ \\frac{", "患者", "<script>alert(1)</script>"] * 10)
    svg = to_svg(scores_scatter(RNG.normal(size=(30, 2)), labels), "scores")
    assert "患者" in svg
    assert re.search(r"<text[^>]*>\$x_1\$", svg)
    assert "<script" not in svg


def test_drawing_leaves_matplotlibs_global_state_alone():
    settings, figures = dict(mpl.rcParams), list(Gcf.figs)  # other tests may have left some open
    to_svg(scores_scatter(np.ones((5, 2))), "")
    assert dict(mpl.rcParams) == settings
    assert list(Gcf.figs) == figures


def test_subsets_have_a_row_with_dots_and_bars():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 2))
    data = {name: z[:, : 1 if name == "c" else 2] for name in ("a", "b$", "c")}
    data = {name: x @ rng.normal(size=(x.shape[1], 9)) + 0.3 * rng.normal(size=(60, 9)) for name, x in data.items()}
    model = AJIVE(subsets={("a", "b$"): 1}, joint_rank=1, individual_ranks=0, n_wedin=0, n_random=0).fit(data)
    decomposition = model.decompose(data)
    dots, bars = subset_variance(decomposition).axes
    assert [line.get_xdata().tolist() for line in dots.lines[1::2]] == [[0, 1, 2], [0, 1], [0], [1], [2]]
    widths = [bar.get_width() for bar in bars.patches]
    fractions = decomposition.variance_explained
    expected = [fractions[name]["joint"] for name in data] + [fractions[name]["a+b$"] for name in ("a", "b$")]
    np.testing.assert_allclose(widths[:5], expected)
    assert to_svg(subset_variance(decomposition), "subsets").startswith("<svg")
