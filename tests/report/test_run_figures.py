"""Files of figures: their width, their fonts, and the same bytes for the same figure."""

from __future__ import annotations

from matplotlib.image import imread

from deepjive.report.run_figures import save


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
