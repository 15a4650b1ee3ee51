"""Fixtures for all tests."""

from __future__ import annotations

import os
import random
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SKIPS = Path(__file__).with_name("SKIPS.md")
REASONS = [
    re.compile(row.split("` |")[0].removeprefix("| `").replace("\\|", "|"))
    for row in SKIPS.read_text(encoding="utf-8").splitlines()
    if row.startswith("| `")
]
_unlisted: dict[str, list[str]] = defaultdict(list)


SECONDS = "deepjive/seconds"  # in pytest's cache: the longest time that each test took
_seconds: dict[str, float] = defaultdict(float)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that once took TEST_SECONDS or longer, and shuffle the others by the seed in TEST_ORDER."""
    slow = _slow(config)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in slow])
    items[:] = [item for item in items if item.nodeid not in slow]
    seed = os.environ.get("TEST_ORDER")
    if seed is not None:
        items[:] = _shuffled(items, random.Random(seed))


def pytest_report_header(config: pytest.Config) -> str | None:
    limit = os.environ.get("TEST_SECONDS")
    return f"left out: {len(_slow(config))} tests that took {limit} s or longer" if limit else None


def _slow(config: pytest.Config) -> set[str]:
    limit = os.environ.get("TEST_SECONDS")
    return {name for name, seconds in _known(config).items() if seconds >= float(limit)} if limit else set()


def _known(config: pytest.Config) -> dict[str, float]:
    """The longest time of each test in earlier runs; empty without pytest's cache."""
    cache = getattr(config, "cache", None)
    return cache.get(SECONDS, {}) if cache else {}


def _shuffled(items: list[pytest.Item], draw: random.Random) -> list[pytest.Item]:
    """Shuffle files, and the tests of each file."""
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    order = list(files)
    draw.shuffle(order)
    for tests in files.values():
        draw.shuffle(tests)
    return [item for path in order for item in files[path]]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note_skip(report)


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Remember a skip whose reason is not listed."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if not any(listed.search(reason) for listed in REASONS):
        _unlisted[reason].append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a test was skipped for a reason that is not listed, and keep times; workers of xdist do neither."""
    if hasattr(session.config, "workerinput"):
        return
    if _unlisted and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    known = _known(session.config)
    longest = {name: round(max(known.get(name, 0.0), seconds), 3) for name, seconds in _seconds.items()}
    if hasattr(session.config, "cache"):
        session.config.cache.set(SECONDS, known | longest)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reason, tests in _unlisted.items():
        terminalreporter.write_line(f"Not in tests/SKIPS.md: {reason} ({len(tests)} tests, such as {tests[0]})")


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


@pytest.fixture
def write_nifti() -> Callable[..., Path]:
    """Writes a NIfTI file; by default a map on the standard grid of 12 mm, which is quick to read."""
    nibabel = pytest.importorskip("nibabel")
    pytest.importorskip("nilearn")
    from deepjive.imaging import mni_grid, template

    def write(path: Path, values: Any = None, affine: Any = None, sform: int = 2, qform: int = 2) -> Path:
        values = template("grey", 12.0) + 0.1 if values is None else values
        affine = mni_grid(12.0).affine if affine is None else affine
        image = nibabel.Nifti1Image(np.asarray(values, np.float32), affine if sform or qform else None)
        if sform or qform:
            image.header.set_sform(affine, code=sform)
            image.header.set_qform(affine, code=qform)
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(image, path)
        return path

    return write


@pytest.fixture(scope="session")
def make_decomposition() -> Callable[..., Any]:
    """A decomposition of modalities of the given sample shapes, with one joint and one individual direction each."""

    from deepjive import AJIVE, Modalities

    def make(shapes: Any, n: int = 60, joint_rank: int = 2, individual_ranks: int = 2, samples: Any = None) -> Any:
        rng = np.random.default_rng(0)
        joint = rng.normal(size=(n, 2))
        arrays = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            own = rng.normal(size=(n, 2))
            x = np.hstack([joint, own]) @ rng.normal(size=(4, size)) + 0.3 * rng.normal(size=(n, size)) + 5.0
            arrays[name] = x.reshape(n, *shape)
        data = Modalities(arrays, samples=samples)
        model = AJIVE(joint_rank=joint_rank, individual_ranks=individual_ranks, n_wedin=5, n_random=5, random_state=0)
        return model.fit(data).decompose(data)

    return make
