"""Every message to the user says what is wrong, what was given, and what is expected or what to do, in one line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "deepjive"
REMEDIES = re.compile(
    r"\b(Add|Ask|Calibrate|Call|Check|Choose|Close|Compare|Compute|Convert|Copy|Correct|Create|Decompose|Download|Drop|Export|Fill|"
    r"Find|Fit|Get|Give|Impute|Increase|Install|Keep|Leave|Look|Lower|Make|Mark|Move|Name|Pass|Pick|Put|Raise|Read|Reduce|"
    r"Remove|Rename|Repeat|Replace|Resample|Restore|Run|Save|Say|See|Select|Set|Shorten|Split|Start|Store|Take|Train|"
    r"Transform|Try|Turn|Use|Wait|Write)\b",
    re.IGNORECASE,
)
EXPECTED = re.compile(
    r"\bmust\b|expected|needs?\b|needed|\bare \{|there are|\bones are\b|"
    r"; (it|its|they|there|the)\b.* (holds?|has|are)\b"
)
INTERNAL = {"cli/parameters.py", "persistence.py", "_lazy.py"}  # caught and put into other messages


def text_of(node: ast.AST) -> str | None:
    """The text of a constant or f-string, with {} in the place of what is put in; None for another expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        pieces = [text_of(side) for side in (node.left, node.right)]
        return None if pieces == [None, None] else "".join(piece or "{}" for piece in pieces)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return text_of(node.func.value)
    return None


def messages_of(path: Path) -> list[tuple[str, str, str]]:
    """Messages of errors and warnings of a file: file, number of the line, and text."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), []
    constants = {
        target.id: text
        for node in tree.body
        if isinstance(node, ast.Assign) and (text := text_of(node.value)) is not None
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            argument = node.exc.args[0]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "warn" and node.args:
            argument = node.args[0]
        else:
            continue
        text = text_of(argument)
        if text is None and isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute):
            argument = argument.func.value
        if text is None and isinstance(argument, ast.Name):
            text = constants.get(argument.id)
        if text is not None:
            found.append((path.relative_to(SOURCE).as_posix(), str(node.lineno), text))
    return found


MESSAGES = [message for path in sorted(SOURCE.rglob("*.py")) for message in messages_of(path)]


def faults_of(text: str) -> list[str]:
    """What a message lacks. Reasons, which begin in lower case and are put into another message, lack nothing."""
    if text[0].islower():
        return []
    faults = []
    if "\n" in text:
        faults.append("has several lines")
    if not re.search(r"[.}'\"):]\s*$", text):
        faults.append("does not end a sentence")
    is_missing_file = re.match(r"There is no (file|folder) \{", text)
    ends_with_advice = re.search(r"\{\w*\}\.?$", text)
    if not (REMEDIES.search(text) or EXPECTED.search(text) or is_missing_file or ends_with_advice):
        faults.append("does not say what is expected or what to do")
    if "{" not in text and not re.search(r"`|--|\w\(|_|=", text):
        faults.append("names nothing that was given")
    return faults


def test_most_messages_are_found():
    assert len(MESSAGES) > 300


def test_a_message_that_lacks_something_is_noticed():
    assert faults_of("The data are wrong.") == [
        "does not say what is expected or what to do",
        "names nothing that was given",
    ]
    assert faults_of("The joint_rank is {}, but at most {} is possible.\nUse less.") == ["has several lines"]


@pytest.mark.parametrize("file", sorted({file for file, _, _ in MESSAGES} - INTERNAL))
def test_every_message_says_what_was_given_and_what_is_expected_or_what_to_do(file):
    texts = {f"{place}:{line}": text for place, line, text in MESSAGES if place == file}
    assert {place: (faults, text) for place, text in texts.items() if (faults := faults_of(text))} == {}
