"""A skip without a listed reason fails the run, and tests are run in the order and within the time asked for."""

from __future__ import annotations

import re

import pytest

from tests import conftest

pytest_plugins = ["pytester"]
EXAMPLE = """
import pytest

@pytest.mark.parametrize("i", range(20))
def test_many(i):
    pass

def test_listed():
    pytest.skip("no NVIDIA device")

def test_not_listed():
    if {skipped}:
        pytest.skip("it was raining")

@pytest.mark.xfail(reason="known")
def test_expected_failure():
    raise ValueError
"""


@pytest.fixture
def example(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(
        "from tests.conftest import pytest_collection_modifyitems, pytest_runtest_logreport, pytest_collectreport, "
        "pytest_report_header, pytest_sessionfinish, pytest_terminal_summary"
    )
    return pytester


def ran(result: pytest.RunResult) -> list[str]:
    return re.findall(r"test_many\[(\d+)\]", "\n".join(result.outlines))


def test_a_skip_for_a_reason_that_is_not_listed_fails_the_run(
    example: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conftest, "_unlisted", conftest.defaultdict(list))
    example.makepyfile(EXAMPLE.format(skipped=False))
    assert example.runpytest_inprocess("-p", "no:randomly").ret == pytest.ExitCode.OK
    example.makepyfile(EXAMPLE.format(skipped=True))
    result = example.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["Not in tests/SKIPS.md: Skipped: it was raining (1 tests, such as *test_not_listed)"])


def test_the_seed_gives_the_order(example: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "_unlisted", conftest.defaultdict(list))
    example.makepyfile(EXAMPLE.format(skipped=False))
    orders = []
    for seed in (None, "1", "1", "2"):
        if seed is not None:
            monkeypatch.setenv("TEST_ORDER", seed)
        orders.append(ran(example.runpytest_inprocess("-v")))
    straight, one, again, other = orders
    assert sorted(one) == sorted(straight) == sorted(other)
    assert one == again
    assert len({tuple(order) for order in (straight, one, other)}) == 3


def test_tests_that_took_long_are_left_out(example: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "_unlisted", conftest.defaultdict(list))
    monkeypatch.setattr(conftest, "_seconds", conftest.defaultdict(float))
    example.makepyfile("import time\ndef test_quick(): pass\ndef test_long(): time.sleep(0.3)\ndef test_new(): pass")
    assert example.runpytest_inprocess("-k", "not test_new").parseoutcomes() == {"passed": 2, "deselected": 1}
    monkeypatch.setenv("TEST_SECONDS", "0.25")
    result = example.runpytest_inprocess("-v")
    assert result.parseoutcomes() == {"passed": 2, "deselected": 1}
    result.stdout.fnmatch_lines(["left out: 1 tests that took 0.25 s or longer", "*test_quick*", "*test_new*"])
    assert example.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes() == {"passed": 3}
    monkeypatch.delenv("TEST_SECONDS")
    assert example.runpytest_inprocess().parseoutcomes() == {"passed": 3}
