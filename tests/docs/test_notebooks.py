"""The tutorials become notebooks that run in a Jupyter kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import ROOT

nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")
pytest.importorskip("nbclient", reason="needs the extra docs")
pytest.importorskip("ipykernel", reason="needs the extra docs")
import notebooks  # noqa: E402

PAGE = """# Title

Words with a [link](data.md#there) and [another](https://elsewhere.example).

<!-- run
hidden = 1
-->

```python
value = hidden + 1
print(value)
```

<!-- not run: too long -->
```sh
deepjive demo
```

```sh
echo "$TERM" \\
  second
```

<!-- attach: made.txt: What was made -->

```python
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()
```

Last words.
"""


def test_a_page_becomes_cells_in_its_order() -> None:
    made = notebooks.notebook(PAGE)
    nbformat.validate(made)
    kinds = [cell.cell_type for cell in made.cells]
    assert kinds == ["markdown"] * 2 + ["code"] * 2 + ["markdown"] + ["code"] + ["markdown"] + ["code", "markdown"]
    sources = [cell.source for cell in made.cells]
    assert sources[0].startswith("# Title\n")
    assert sources[1] == "Words with a link and [another](https://elsewhere.example)."
    assert sources[2:4] == ["hidden = 1", "value = hidden + 1\nprint(value)"]
    assert made.cells[2].metadata.jupyter.source_hidden
    assert sources[4] == "```sh\ndeepjive demo\n```\n\nThis block was not run: too long."
    assert sources[5] == '%%sh -e\necho "$TERM" \\\n  second'
    assert sources[6] == "`made.txt`: what was made."
    assert sources[8] == "Last words."


@pytest.mark.parametrize("name", notebooks.TUTORIALS)
def test_every_tutorial_is_a_notebook_without_links_to_pages(name: str) -> None:
    made = notebooks.notebook((ROOT / "docs" / f"{name}.md").read_text())
    nbformat.validate(made)
    assert len([cell for cell in made.cells if cell.cell_type == "code"]) > 3
    words = "".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert ".md" not in words
    assert "<!--" not in words


@pytest.mark.slow  # `make docs` runs the notebooks of all tutorials
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs_in_a_kernel_and_keeps_its_output(tmp_path: Path) -> None:
    notebooks.write(PAGE, tmp_path / "site" / "page.ipynb")
    made = nbformat.read(tmp_path / "site" / "page.ipynb", 4)
    outputs = [cell.outputs for cell in made.cells if cell.cell_type == "code"]
    assert outputs[1][0].text == "2\n"
    assert outputs[2][0].text.endswith("second\n")
    assert "image/png" in outputs[3][0].data
    assert str(tmp_path) not in (tmp_path / "site" / "page.ipynb").read_text()


@pytest.mark.slow  # `make docs` runs the notebooks of all tutorials
@pytest.mark.filterwarnings("ignore")
def test_an_error_in_a_cell_is_raised(tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="exit status 3"):
        notebooks.write("# Title\n\n```sh\nexit 3\n```\n", tmp_path / "page.ipynb")
    assert not (tmp_path / "page.ipynb").exists()
