"""Files of figures: their width, their fonts, and the same bytes for the same figure."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

from deepjive.evaluation.feature_ranking import effects_of
from deepjive.evaluation.refit_stability import Stability
from deepjive.report.run_figures import RunFigures, save


def draw(figure):
    figure.subplots().set_title("Joint scores")


def test_pdf_files_have_embedded_truetype_fonts_svg_files_letters_as_paths_and_png_files_600_dots_per_inch(tmp_path):
    pdf, svg, png = save(draw, tmp_path / "a.b", ["pdf", "svg", "png"], (3.5, 1.0))
    assert [path.name for path in (pdf, svg, png)] == ["a.b.pdf", "a.b.svg", "a.b.png"]
    assert b"/FontFile2" in pdf.read_bytes()  # an embedded TrueType font
    assert b"/Type3" not in pdf.read_bytes()
    assert "<text" not in svg.read_text()
    assert 'width="252pt"' in svg.read_text()
    assert imread(png).shape[1] == 2100


def test_the_same_figure_gives_the_same_files(tmp_path):
    first = save(draw, tmp_path / "a", ["pdf", "svg"], (3.5, 1.0))
    second = save(draw, tmp_path / "b", ["pdf", "svg"], (3.5, 1.0))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_every_kind_of_result_has_its_figures_under_valid_names(make_decomposition):
    parts = make_decomposition({"photo": (6, 6, 3), "a/b": (12,)}, individual_ranks={"photo": 1, "a/b": 0})
    history = {"phase": ["joint"] * 2, "train_total": [2.0, 1.0], "train_identity": [0.2, 0.1]}
    table = {"part": ["joint", "a/b"], "coordinates": ["linear"] * 2, "rank": [1, 1], "r2": [0.2, 0.1]}
    table |= {"standard_error": [0.01, 0.01], "chosen": [True, True]}
    loadings = {"a/b": effects_of(parts, "a/b").to_frame()}
    stability = {"AJIVE": [Stability("joint", "seeds", 2, [0.9, 0.8], [0.9, 0.8])]}
    evidence = SimpleNamespace(method="AJIVE", stability=stability)
    labels = {"group": np.arange(60) % 2}
    figures = RunFigures(parts, labels, loadings, evidence, history, table)
    drawn = {name: draw(Figure((3.5, height))) for name, height, draw in figures._figures(3.5)}
    assert set(drawn) == {
        "variance_explained",
        "joint_scores_by_group",
        "individual_scores_photo_by_group",
        "examples_photo",
        "effects_photo_joint_1",
        "effects_photo_joint_2",
        "effects_photo_individual_1",
        "loadings_a_b_joint_1",
        "loadings_a_b_joint_2",
        "effects_a_b_joint_1",
        "effects_a_b_joint_2",
        "heatmap_a_b",
        "prediction_by_rank_joint",
        "prediction_by_rank_individual_a_b",
        "training_identity",
        "training_total",
        "stability_joint",
    }
