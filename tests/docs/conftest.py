"""Paths of the pages and of the tools that run and check them."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

sys.path.insert(0, str(ROOT / "docs" / "_tools"))
