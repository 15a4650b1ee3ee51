"""The README's Python does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import deepjive as dj

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.filterwarnings("ignore:The .* phase was still improving")
def test_the_ten_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(dj.DeepJIVE.__init__.__kwdefaults__, "max_epochs", 2)
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(60, 3))
    names = {
        "gm_maps": (joint @ rng.normal(size=(3, 120))).reshape(60, 4, 5, 6) + rng.normal(size=(60, 4, 5, 6)),
        "suvr_maps": (joint @ rng.normal(size=(3, 48))).reshape(60, 6, 8) + rng.normal(size=(60, 6, 8)),
    }
    names["new_data"] = dj.Modalities({"mri": names["gm_maps"][:5], "pet": names["suvr_maps"][:5]})
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code is not None
    exec(code[1], names)
    parts = names["parts"]
    whole = parts.joint["mri"] + parts.individual["mri"] + parts.residual["mri"]
    np.testing.assert_allclose(whole, names["gm_maps"], atol=1e-6)
    assert isinstance(names["linear"], dj.AJIVE)


def test_the_pictures_and_pages_it_links_are_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert links
    assert not [link for link in links if not (README.parent / link).exists()]
