"""Help that reads well."""

import inspect
import re

import pytest
import typer

import deepjive
from deepjive.cli.main import PANELS, app
from deepjive.cli.parameters import CLASSES, OPTIONS


def commands():
    """Words of every command, and the command."""
    root = typer.main.get_command(app)
    found = [((), root)]
    for name, command in root.commands.items():
        found.append(((name,), command))
        found += [((name, below), one) for below, one in getattr(command, "commands", {}).items()]
    return found


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_help_names_what_options_take_and_fits_the_terminal(invoke, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for flag in ("--help", "-h"):
        result = invoke(*words, flag)
        assert result.exit_code == 0, result.stderr
        assert not re.search("<bool>|<int|<float|TEXT TEXT", result.stdout)
        assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(("words", "command"), commands())
def test_every_command_and_option_says_what_it_does(words, command):
    assert command.help
    assert command.help.strip()[0].isupper()
    for parameter in command.params:
        assert parameter.help, (words, parameter.name)
        assert parameter.help.endswith("."), parameter.help


def test_every_command_is_in_a_panel():
    listed = [command.__name__ for of_panel in PANELS.values() for command in of_panel]
    assert {*listed, "reproduce"} == set(typer.main.get_command(app).commands)


def test_defaults_that_help_names_are_those_of_the_estimators():
    fit = typer.main.get_command(app).commands["fit"]
    classes = [getattr(deepjive, name) for name in CLASSES.values()]
    for name, option in OPTIONS.items():
        if name in ("random_state", "verbose"):  # the command has a fixed seed and shows progress
            continue
        (parameter,) = [parameter for parameter in fit.params if option in parameter.opts]
        for cls in classes:
            own = inspect.signature(cls).parameters
            if name in own and cls is not deepjive.JIVE:  # whose ranks have rules of their own
                default = "none" if option == "--transformation" else str(own[name].default)
                assert parameter.show_default == default, (cls, option)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell):
    from typer.testing import CliRunner

    variables = {
        "_DEEPJIVE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "deepjive tra",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "deepjive tra",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    result = CliRunner().invoke(app, [], prog_name="deepjive", env=variables)
    assert "transform" in result.stdout
    assert "impute" not in result.stdout
