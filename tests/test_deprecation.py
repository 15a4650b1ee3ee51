import ast
import inspect
import warnings
from pathlib import Path

import pytest

import deepjive
from deepjive._deprecation import deprecated, renamed_argument

PACKAGE = Path(deepjive.__file__).parent


@deprecated(since="0.2", removal="0.4", use="new()")
def old(value):
    """Return the value.

    More words.
    """
    return value


@deprecated(since="0.2", removal="0.4", use="New")
class Old:
    """Hold a value."""

    def __init__(self, value):
        self.value = value


@renamed_argument("rank", "joint_rank", since="0.2", removal="0.4")
def fit(*, joint_rank=1):
    return joint_rank


def test_a_deprecated_function_works_and_names_its_replacement_and_removal():
    message = r"old is deprecated since deepjive 0\.2 and will be removed in 0\.4\. Use new\(\) instead"
    with pytest.warns(FutureWarning, match=message) as caught:
        assert old(3) == 3
    assert caught[0].filename == __file__
    assert inspect.getdoc(old).splitlines() == [
        "Return the value.",
        "",
        ".. deprecated:: 0.2",
        "   Will be removed in 0.4. Use new() instead.",
        "",
        "More words.",
    ]


def test_a_deprecated_class_stays_a_class():
    with pytest.warns(FutureWarning, match="Old is deprecated .* Use New instead"):
        made = Old(3)
    assert isinstance(made, Old)
    assert made.value == 3
    assert "deprecated:: 0.2" in Old.__doc__


def test_the_old_name_of_an_argument_is_accepted_and_the_new_one_does_not_warn():
    with pytest.warns(FutureWarning, match=r"'rank' of fit\(\) is deprecated .* Use 'joint_rank' instead"):
        assert fit(rank=3) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(joint_rank=2) == 2
    with pytest.raises(TypeError, match="both 'rank' and 'joint_rank'"):
        fit(rank=3, joint_rank=2)


def overdue(source, version):
    """Removals in some source code that this version should have made."""
    now = tuple(map(int, version.split(".")[:2]))
    removals = [
        keyword.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("deprecated", "renamed_argument")
        for keyword in node.keywords
        if keyword.arg == "removal"
    ]
    return [removal for removal in removals if tuple(map(int, removal.split(".")[:2])) <= now]


def test_nothing_deprecated_outlives_its_removal():
    source = Path(__file__).read_text(encoding="utf-8")
    assert overdue(source, "0.4.1") == ["0.4"] * 3
    assert overdue(source, "0.3.9") == []
    for path in PACKAGE.rglob("*.py"):
        assert not overdue(path.read_text(encoding="utf-8"), deepjive.__version__), path
