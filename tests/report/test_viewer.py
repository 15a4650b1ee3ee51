import html
import re

import numpy as np
import pytest
from markupsafe import escape

from deepjive.imaging import mni_grid
from deepjive.report.study import Section, write_study

from .test_page import FOREIGN

pytest.importorskip("nilearn")
pytest.importorskip("nibabel")

from deepjive.report.viewer import script_hashes, viewer

GRID = mni_grid(12.0)


@pytest.fixture(scope="module")
def viewers():
    effect = np.zeros(GRID.shape)
    effect[4:9, 6:11, 5:9] = np.linspace(-0.3, 0.5, 100).reshape(5, 5, 4)
    return [viewer(f"{name} {FOREIGN}", effect, GRID, f"read {FOREIGN}") for name in ("mri", "pet")]


@pytest.fixture
def page(viewers, tmp_path):
    path = write_study(
        tmp_path / "r.html", title="t", lead="l", sections=[Section("Maps", "w", viewers=viewers)], command="c"
    )
    return path.read_text()


def test_there_is_a_viewer_for_each_map_which_may_run_scripts_and_nothing_else(page, viewers):
    frames = re.findall(r"<iframe[^>]*>", page)
    assert len(frames) == 2
    for frame, shown in zip(frames, viewers, strict=True):
        assert 'sandbox="allow-scripts"' in frame
        assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == shown.content


def test_the_policy_allows_the_scripts_of_the_viewers_by_their_hashes(page, viewers):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "unsafe-inline" not in policy.split("script-src")[1]
    hashes = [one for shown in viewers for one in script_hashes(shown.content)]
    assert len(hashes) == 6
    assert all(f"'{one}'" in policy for one in hashes)


def test_nothing_is_loaded_from_a_network(page, viewers):
    for text in (page, *(shown.content for shown in viewers)):
        assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", html.unescape(text))
        assert "<link" not in text


def test_names_of_others_stay_text(page, viewers):
    assert FOREIGN not in page
    assert page.count(str(escape(FOREIGN))) == 6  # heading, title of the frame, and reading of each
    assert all(FOREIGN not in shown.content for shown in viewers)


def test_the_same_map_gives_the_same_viewer(viewers):
    effect = np.zeros(GRID.shape)
    assert viewer("a", effect, GRID, "").content == viewer("a", effect, GRID, "").content  # also where it is empty
