"""The runner of the pages runs all blocks of a page, and its errors name the place."""

from __future__ import annotations

import traceback
from pathlib import Path

import pages
import pytest

PAGE = """# Title

<!-- run
start = 40
-->

<!-- run with: 1000 -> 2 -->
```python
value = start + 1000
print(value)
```

<!-- not run: too long -->
```sh
deepjive demo
```

```sh
# a comment
deepjive \\
  --version
```

```text
print("no code")
```

```python
from pathlib import Path

Path("made.txt").write_text("content")
```

<!-- attach: made.txt: What was made -->
"""


def test_blocks_share_names_and_a_folder(tmp_path: Path) -> None:
    done = pages.run(Path("page.md"), PAGE, tmp_path)
    assert [piece.kind for piece, _ in done] == ["hidden", "python", "left out", "sh", "python", "attach"]
    outputs = [output for _, output in done]
    assert outputs[1].text == "42\n"
    assert outputs[2].text == ""
    assert outputs[3].text.startswith("deepjive 0.")
    assert outputs[5].files == {"made.txt": b"content"}
    assert (tmp_path / "made.txt").exists()


def test_output_is_put_behind_its_block(tmp_path: Path) -> None:
    end = pages.run(Path("page.md"), PAGE, tmp_path)[1][0].end
    assert PAGE[:end].endswith("print(value)\n```")


def test_an_error_names_the_line_of_the_page(tmp_path: Path) -> None:
    text = "# Title\n\n```python\nvalue = 1\nvalue.missing\n```\n"
    with pytest.raises(AttributeError) as caught:
        pages.run(Path("page.md"), text, tmp_path)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].lineno == 5


def test_a_command_that_fails_is_an_error(tmp_path: Path) -> None:
    text = "```sh\ndeepjive transform nothing -m a=a.csv\n```\n"
    with pytest.raises(RuntimeError, match=r"page\.md, line 1: 'deepjive transform .* exit code 2"):
        pages.run(Path("page.md"), text, tmp_path)


def test_other_commands_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a deepjive command"):
        pages.run(Path("page.md"), "```sh\nrm everything\n```\n", tmp_path)


@pytest.mark.parametrize("comment", ["<!-- not run: why -->", "<!-- run with: a -> b -->"])
def test_a_comment_without_its_block_is_an_error(comment: str) -> None:
    with pytest.raises(ValueError, match="is not followed by a block"):
        pages.pieces(f"{comment}\n\nno block\n")


def test_a_change_of_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="'absent', which is not in the next block"):
        pages.pieces("<!-- run with: absent -> there -->\n```python\nvalue = 1\n```\n")


def test_figures_are_taken_and_closed(tmp_path: Path) -> None:
    from matplotlib import pyplot

    text = "```python\nimport matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.title('A line')\n```\n"
    (title, png), *rest = pages.run(Path("page.md"), text, tmp_path)[0][1].figures
    assert title == "A line"
    assert png.startswith(b"\x89PNG")
    assert not rest
    assert not pyplot.get_fignums()
