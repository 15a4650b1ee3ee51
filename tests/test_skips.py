"""A skip without a listed reason fails the run, and tests are run in the order and within the time asked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

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


OF_LIBRARIES = ("SCIPY_ARRAY_API is not set", "all tests skipped by +SKIP option")  # written in no test


def reasons() -> Iterator[str]:
    """Reasons of all skips that the tests can ask for; what an f-string inserts is a star."""
    for path in Path(__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path != Path(__file__) and isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                yield from reason(call, call.func.attr)


def reason(call: ast.Call, name: str) -> Iterator[str]:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
    if name in ("skip", "skipif", "importorskip") and (given or name == "skip"):
        yield literal(given[0] if given else call.args[0])
    elif name == "importorskip" and isinstance(call.args[0], ast.Constant):
        yield f"could not import {call.args[0].value!r}"


def literal(value: ast.expr) -> str:
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)


def test_the_list_has_every_reason_in_the_tests_and_no_other() -> None:
    found = {*reasons(), *OF_LIBRARIES}
    assert not [one for one in found if not any(listed.search(one) for listed in conftest.REASONS)]
    alone = {part for listed in conftest.REASONS for part in alternatives(listed.pattern)}
    assert not [part for part in alone if not any(re.search(part, one) for one in found)]


def alternatives(pattern: str) -> list[str]:
    """The alternatives of a pattern with at most one group; the group is expanded."""
    if "(" not in pattern:
        return pattern.split("|")
    before, _, rest = pattern.partition("(")
    group, _, after = rest.partition(")")
    return [f"{before}{part}{after}" for part in group.split("|")]


def test_the_seed_gives_the_order(example: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "_unlisted", conftest.defaultdict(list))
    example.makepyfile(EXAMPLE.format(skipped=False))
    orders = []
    monkeypatch.delenv("TEST_ORDER", raising=False)
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
