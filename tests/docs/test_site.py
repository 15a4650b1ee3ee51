"""The site builds without a warning, its links are valid, and it loads nothing from other sites."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import links
import pytest

from .conftest import ROOT

EXTRAS = ("sphinx", "furo", "myst_parser", "numpydoc", "latex2mathml", "nilearn")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without running its pages, which other tests run."""
    for module in EXTRAS:
        pytest.importorskip(module, reason="needs the extra docs")
    out = tmp_path_factory.mktemp("site")
    options = ["-q", "-E", "-W", "--keep-going", "-n", "-D", "run_pages=0", "-d", str(out / "doctrees"), "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(out / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.mark.slow  # `make docs` builds the site and checks its links
def test_the_site_builds_and_its_links_lead_somewhere(site: Path) -> None:
    assert links.problems(site) == []


@pytest.mark.slow
def test_formulas_are_mathml(site: Path) -> None:
    page = (site / "mathematics.html").read_text()
    assert page.count("<math") > 40
    assert not re.search("<script[^>]*(mathjax|katex)", page, re.IGNORECASE)


@pytest.mark.slow
def test_docstrings_become_a_reference(site: Path) -> None:
    page = (site / "api" / "models.html").read_text()
    for anchor in ("deepjive.DeepJIVE.fit", "deepjive.AJIVE.annotate", "deepjive.load"):
        assert f'id="{anchor}"' in page
    assert "set_fit_request" not in page


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<h1 id="there">Title</h1>')
    (tmp_path / "index.html").write_text(
        '<a href="other.html#there"></a><a href="other.html#absent"></a><a href="gone.html"></a>'
        '<a href="https://elsewhere.example/page"></a><img src="https://elsewhere.example/a.png"><a href="#here"></a>'
    )
    assert links.problems(tmp_path) == [
        "index.html loads https://elsewhere.example/a.png from elsewhere",
        "index.html: other.html#absent has no such anchor",
        "index.html: gone.html leads nowhere",
        "index.html: #here has no such anchor",
    ]
