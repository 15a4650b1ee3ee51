import re

import numpy as np
import pytest

from deepjive.imaging import template
from deepjive.report.slices import Shown, strip, write_quality

pytest.importorskip("nilearn")


def picture(strip):
    import base64
    import io

    from PIL import Image

    assert strip.address.startswith("data:image/png;base64,")
    image = Image.open(io.BytesIO(base64.b64decode(strip.address.partition(",")[2])))
    return np.asarray(image.convert("RGB"), dtype=float)


def test_a_strip_shows_the_map_upright_with_the_templates_border():
    lower = np.where(np.arange(27)[None, None, :] < 13, template("grey", 6), 0.0)  # nothing above z = 6 mm
    drawn = picture(strip(lower, "grey", 6.0))
    coronal = drawn[:, 2 * 33 + 4 : 2 * 33 + 4 + 2 * 26]
    assert not coronal[:26].any()  # 13 of 27 slices from above, each two pixels high
    assert coronal[28:].mean() > 20
    with_border = picture(strip(template("t1", 6), "t1", 6.0))
    orange = (np.abs(with_border - (255, 150, 60)) < 30).all(axis=-1)
    assert orange.sum() > 300
    assert not (np.abs(drawn - (255, 150, 60)) < 30).all(axis=-1).any()


def test_the_page_escapes_names_and_shows_what_stands_out_first(tmp_path):
    strips = [strip(template("t1", 6), "t1", 6.0)]
    subjects = [
        Shown("sub-good", [], False, {"t1_correlation": 0.91}, strips),
        Shown("sub-<b>flag</b>", ["grey_ml 9: <i>small</i>"], False, {"t1_correlation": 0.5}, strips),
        Shown("sub-failed", ["it is truncated"], True, {}, []),
    ]
    steps = [("align <PET>", "seed 0", "3.5")]
    page = write_quality(tmp_path / "quality.html", subjects, protocol=steps, command="deepjive preprocess").read_text()
    assert page.index("it is truncated") < page.index("grey_ml 9") < page.index("<h3>sub-good")
    assert "3 participants, of which 1 are flagged and 1 failed" in page
    assert "sub-&lt;b&gt;flag&lt;/b&gt;" in page
    assert "align &lt;PET&gt;" in page
    for raw in ("<b>flag", "<i>small", "<PET>"):
        assert raw not in page
    assert page.count("data:image/png") == 2
    assert not re.search(r"(src|href)=.(?!data:|#)", page)  # nothing comes from elsewhere


def test_of_flagged_participants_the_one_furthest_from_the_median_comes_first(tmp_path):
    values = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.2, 0.5]
    subjects = [
        Shown(f"sub-{row}", ["check it"] if value < 0.6 else [], False, {"t1_correlation": value}, [])
        for row, value in enumerate(reversed(values))
    ]
    page = write_quality(tmp_path / "q.html", subjects, protocol=[("a", "b", "c")], command="deepjive").read_text()
    order = re.findall(r'data-name="([^"]*)" data-state="([a-z]*)"', page)
    assert order[:2] == [("sub-1", "check"), ("sub-0", "check")]
    assert {state for _, state in order[2:]} == {"good"}
    # median .92; robust spread 1.4826 times the median distance, which is .02
    assert "furthest from the median: t1_correlation, 24.3 robust standard deviations" in page
