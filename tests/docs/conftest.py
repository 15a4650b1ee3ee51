"""What the documentation is run and checked with."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

sys.path.insert(0, str(ROOT / "docs" / "_tools"))
