"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Gives the path of a file of the reference data, or skips the test where it is absent."""
    folder = Path(os.environ.get("DEEPJIVE_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"needs the reference data {name}, which is in neither DEEPJIVE_DATA nor ../shared/data")
        return path

    return find
