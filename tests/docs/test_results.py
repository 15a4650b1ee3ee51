"""The tables of the documentation are the tables of `docs/results/`, and say how old they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import results

from deepjive.experiments.results import cell_text, mean_and_sd, sources_digest, write_results

FILES = sorted(results.RESULTS.glob("*.json"))


def written(folder: Path, **changes: object) -> dict[str, object]:
    arguments = {"command": "python benchmarks/recovery.py", "seeds": [0, 1, 2], "sources": ["deepjive.linear.ajive"]}
    row = ["AJIVE", mean_and_sd([0.9, 0.91, 0.92])]
    path = write_results(folder, "example", "R2", ["method", "R2"], [row], **arguments)  # type: ignore[arg-type]
    return {**json.loads(path.read_text()), **changes}


def test_every_page_shows_its_tables_as_they_are() -> None:
    outdated = [page.name for page in results.pages() if results.rendered_page(page) != page.read_text()]
    assert not outdated, "Run: python docs/_tools/results.py"


def test_every_table_is_shown_on_a_page() -> None:
    shown = {name for page in results.pages() for name in results.BLOCK.findall(page.read_text())}
    assert {file.stem for file in FILES} == shown


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_table_has_a_cell_for_each_column_and_says_its_origin(file: Path) -> None:
    record = json.loads(file.read_text())
    assert record["name"] == file.stem
    assert {len(row) for row in record["rows"]} == {len(record["columns"])}
    assert record["command"] or record["notes"]
    assert record["remade"] == (record["sources_digest"] is not None)


def test_a_table_says_version_date_seeds_and_command(tmp_path: Path) -> None:
    record = written(tmp_path, version="1.2.3", commit="0123456789abcdef", uncommitted_changes=False, date="2026-01-31")
    expected = "*Version 1.2.3, commit 0123456789, 2026-01-31, seeds 0 to 2, `python benchmarks/recovery.py`.*"
    assert results.rendered_table(record) == (
        f"**R2**\n\n| method | R2 |\n| --- | --- |\n| AJIVE | 0.910 ± 0.010 |\n\n{expected}"
    )


def test_a_table_that_is_older_than_its_method_says_so(tmp_path: Path) -> None:
    assert "last changed" not in results.origin(written(tmp_path))
    assert "Measured before the method last changed." in results.origin(written(tmp_path, sources_digest="0" * 64))
    assert "Measured before the method last changed." in results.origin(written(tmp_path, sources=["deepjive.absent"]))


def test_a_copied_table_says_that_it_was_copied(tmp_path: Path) -> None:
    record = written(tmp_path, version="0.1.0", remade=False, commit=None, sources_digest=None)
    assert results.origin(record).startswith("*Copied from the documentation of version 0.1.0; not measured anew; ")


def test_a_row_without_all_its_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Row 0 of the table 'example' has 1 cells, but the table has 2 columns"):
        write_results(tmp_path, "example", "R2", ["method", "R2"], [["AJIVE"]], command="none")
    assert not list(tmp_path.iterdir())


def test_a_source_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'deepjive.absent' is not a module or package of deepjive"):
        sources_digest(["deepjive.absent"])


def test_only_statements_count_for_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deepjive

    monkeypatch.setattr(deepjive, "__file__", str(tmp_path / "__init__.py"))
    digests = []
    for code in (
        '"""Says one thing."""\nimport os\n\n\ndef double(x):\n    """Return twice x."""\n    return 2 * x\n',
        '"""Says another."""\n\n\ndef double(x):\n    # a comment\n    return (\n        2 * x\n    )\n',
        "def double(x):\n    return 3 * x\n",
    ):
        (tmp_path / "method.py").write_text(code)
        digests.append(sources_digest(["deepjive.method"]))
    assert digests[0] == digests[1] != digests[2]


def test_a_cell_is_shown_as_on_the_pages():
    assert cell_text(None) == ""
    assert cell_text("AJIVE") == "AJIVE"
    assert cell_text(mean_and_sd([0.9, 0.91])) == "0.905\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.007"
    assert cell_text(mean_and_sd([-0.0001])) == "0.000"
    assert cell_text(mean_and_sd([12.4, 13.0], decimals=0)) == "13"
