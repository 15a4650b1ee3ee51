"""Checks the links of the built site without a network.

Every link must lead to an existing file and anchor, and no page may load anything from another site. Links to other
sites are not followed.

    python docs/_tools/links.py docs/_build/html
"""

from __future__ import annotations

import os
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
}


class Page(HTMLParser):
    """Links, loaded files and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect anchors, links and loaded files."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif (tag, name) in LOADED:
                self.loaded.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)


def problems(site: Path) -> list[str]:
    """Return the problems of the links of a site, one line each."""
    site = site.resolve()
    pages = {path: _parsed(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        return [f"{site} holds no pages."]
    problems_found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        problems_found += [
            f"{where} loads {url} from elsewhere"
            for url in page.loaded
            if _is_external(url)
        ]
        for url in dict.fromkeys(page.links + page.loaded):
            if not _is_external(url) and not url.startswith(
                ("data:", "javascript:", "mailto:")
            ):
                problems_found += [
                    f"{where}: {url} {why}" for why in _wrong(path, url, pages)
                ]
    return problems_found


def _parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _is_external(url: str) -> bool:
    return bool(urlsplit(url).netloc)


def _wrong(path: Path, url: str, pages: dict[Path, Page]) -> list[str]:
    parts = urlsplit(url)
    target = (
        Path(os.path.normpath(path.parent / unquote(parts.path)))
        if parts.path
        else path
    )
    if target.is_dir():
        target = target / "index.html"
    if target not in pages and not target.is_file():
        return ["leads nowhere"]
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return ["has no such anchor"]
    return []


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print(
        *wrong or ["All links lead somewhere, and nothing is loaded from elsewhere."],
        sep="\n",
    )
    sys.exit(bool(wrong))
