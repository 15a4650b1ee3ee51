"""Renders the tables of results in `docs/results/` into the pages of the documentation.

A page names a table between two comments, and the rendered table stands between them, so that the page reads as well
in a repository browser:

    <!-- results: NAME -->
    <!-- end results -->

    python docs/_tools/results.py            write the tables into the pages
    python docs/_tools/results.py --check    exit with code 1 if a page does not show its tables as they are

`deepjive.experiments.results.write_results` makes the files.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from deepjive.experiments.results import sources_digest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
BLOCK = re.compile(
    r"^<!-- results: (?P<name>[\w-]+) -->\n.*?^<!-- end results -->$",
    re.MULTILINE | re.DOTALL,
)
NO_TABLE = "{page} shows the table {name!r}, but there is no {file}."
NO_END = "{page} has {starts} comments '<!-- results: NAME -->' and {blocks} of them have an end."


def pages() -> list[Path]:
    """Return the pages that may show tables: the documentation and the README."""
    documentation = (ROOT / "docs").rglob("*.md")
    return [
        ROOT / "README.md",
        *sorted(p for p in documentation if "_build" not in p.parts),
    ]


def rendered_page(page: Path) -> str:
    """Return the text of a page with its tables as the JSON files have them."""
    text = page.read_text(encoding="utf-8")
    starts, blocks = (
        len(re.findall("^<!-- results:", text, re.MULTILINE)),
        len(BLOCK.findall(text)),
    )
    if starts != blocks:
        raise ValueError(NO_END.format(page=page.name, starts=starts, blocks=blocks))

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        file = RESULTS / f"{name}.json"
        if not file.is_file():
            raise ValueError(
                NO_TABLE.format(page=page.name, name=name, file=file.relative_to(ROOT))
            )
        table = rendered_table(json.loads(file.read_text(encoding="utf-8")))
        return f"<!-- results: {name} -->\n\n{table}\n\n<!-- end results -->"

    return BLOCK.sub(block, text)


def rendered_table(record: dict[str, Any]) -> str:
    """Return a table as Markdown: title, table, notes, and the origin of the numbers."""
    columns = [record["columns"], ["---"] * len(record["columns"]), *record["rows"]]
    lines = ["|" + "".join(f" {_cell(cell)} |" for cell in row) for row in columns]
    return "\n\n".join(
        [f"**{record['title']}**", "\n".join(lines), *record["notes"], origin(record)]
    )


def _cell(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, dict):
        decimals = int(cell.get("decimals", 3))
        mean = round(cell["mean"], decimals) + 0.0  # no negative zero
        return f"{mean:.{decimals}f} ± {cell['sd']:.{decimals}f}"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def origin(record: dict[str, Any]) -> str:
    """Return the line beneath a table: version, commit, date, seeds, command, and whether the method has changed."""
    seeds, command = _seeds(record["seeds"]), record["command"]
    how = [*([seeds] if seeds else []), *([f"`{command}`"] if command else [])]
    if not record["remade"]:
        copied = f"Copied from the documentation of version {record['version']}; not measured anew"
        return f"*{'; '.join([copied, *how])}.*"
    commit = f"commit {record['commit'][:10]}" if record["commit"] else "no commit"
    changes = " with uncommitted changes" if record.get("uncommitted_changes") else ""
    made = [f"Version {record['version']}", commit + changes, record["date"], *how]
    outdated = (
        " Measured before the method last changed." if _has_changed(record) else ""
    )
    return f"*{', '.join(made)}.{outdated}*"


def _seeds(seeds: list[int] | int) -> str:
    if isinstance(seeds, int):
        return f"{seeds} seed{'s' if seeds > 1 else ''}"
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return (
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        if seeds
        else ""
    )


def _has_changed(record: dict[str, Any]) -> bool:
    if not record["sources"]:
        return False
    try:
        return _digest(tuple(record["sources"])) != record["sources_digest"]
    except ValueError:  # a source that no longer exists
        return True


@cache
def _digest(sources: tuple[str, ...]) -> str:
    return sources_digest(sources)


def main() -> int:
    """Update the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing, and fail if a page would change",
    )
    check = parser.parse_args().check
    outdated = [
        page
        for page in pages()
        if rendered_page(page) != page.read_text(encoding="utf-8")
    ]
    for page in outdated:
        name = page.relative_to(ROOT)
        if check:
            print(
                f"{name} does not show its tables as docs/results has them. Run: python docs/_tools/results.py"
            )
        else:
            page.write_text(rendered_page(page), encoding="utf-8")
            print(f"{name}: tables updated")
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main())
