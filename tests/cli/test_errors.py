import subprocess
import sys
import warnings

import numpy as np
import pytest
from rich.console import Console

from deepjive.cli import apply, errors, runs
from deepjive.cli.errors import message_of, one_line

pytestmark = pytest.mark.usefixtures("no_report")


def one_error(result):
    assert result.exit_code == 2
    assert result.stdout == ""
    *described, error = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert all(" samples; features: " in line for line in described)
    return error


def test_missing_file_is_one_line(invoke, tmp_path):
    result = invoke("fit", "-m", "a=absent.npy", "-m", "b=absent.npy", "--out", tmp_path / "run")
    assert "There is no file absent.npy" in one_error(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m", "mri.npy"], "not of the form name=path"),
        (["-m", "=x.npy"], "not of the form name=path"),
        (["-m", "a=x.npy", "-m", "a=y.npy"], "names 'a' more than once"),
        (
            ["-m", "a=x.npy", "--joint-rank", "many"],
            "--joint-rank 'many' is not a number of components. Write a number or 'auto'.",
        ),
        (
            ["-m", "a=x.npy", "--individual-rank", "a=b"],
            "Write a number or 'auto' for all modalities, or name=number for one.",
        ),
        (["-m", "a=x.npy", "--individual-rank", "2", "--individual-rank", "a=1"], "Use only one of the two"),
        (["-m", "a=x.npy", "--individual-rank", "2", "--individual-rank", "3"], "2 times for all modalities"),
        (["-m", "a=x.npy", "--individual-rank", "a=2", "--individual-rank", "a=3"], "names 'a' more than once"),
        (["-m", "a=x.npy", "--batch-size", "1.5"], "must be a number or 'auto'"),
        (["-m", "a=x.npy", "--method", "cca"], "for '--method': 'cca' is not one of"),
        (["--frobnicate"], "No such option"),
        ([], "Missing option"),
    ],
)
def test_wrong_options_are_one_line(invoke, tmp_path, words, message):
    assert message in one_error(invoke("fit", *words, "--out", tmp_path / "run"))


def test_one_modality_and_nan_are_explained_by_the_library(invoke, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 4))
    np.save(tmp_path / "x.npy", x)
    bad = -x
    bad[3, 1] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    options = ("--method", "ajive", "--out", tmp_path / "run")
    assert "at least two modalities" in one_error(invoke("fit", "-m", f"a={tmp_path}/x.npy", *options))
    both = ("-m", f"a={tmp_path}/x.npy", "-m", f"pet={tmp_path}/bad.npy")
    assert "'pet' contains 1 values that are NaN" in one_error(invoke("fit", *both, *options))


def test_missing_or_damaged_run_is_one_line(fit, invoke, files):
    words = ("-m", f"expression={files}/expression.csv")
    assert "is not a saved model" in one_error(invoke("transform", files / "nowhere", *words))
    fit()
    weights = files / "run" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    assert "is damaged" in one_error(invoke("transform", files / "run", *words))


def test_unknown_modality_is_one_line(fit, invoke, files):
    fit()
    assert "'pet'" in one_error(invoke("transform", files / "run", "-m", f"pet={files}/image.npy"))


def test_debug_shows_the_exception_wherever_it_stands(invoke, tmp_path):
    words = ("fit", "-m", "a=absent.npy", "--out", tmp_path / "run")
    for line in (("--debug", *words), (*words, "--debug")):
        assert isinstance(invoke(*line).exception, FileNotFoundError)


def test_a_defect_of_ours_is_one_line_and_exit_code_1(invoke, monkeypatch):
    def broken(*_):
        raise RuntimeError("surprise")

    monkeypatch.setattr(apply, "read_modalities", broken)
    monkeypatch.setattr("deepjive.persistence.load", broken)
    result = invoke("transform", "run", "-m", "a=b.npy")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: RuntimeError: surprise. This is an unexpected error. Add --debug")


def test_interruption_is_one_line(invoke, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("deepjive.persistence.load", interrupted)
    result = invoke("transform", "run", "-m", "a=b.npy")
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr


def test_warnings_are_one_line_and_do_not_stop(invoke, fit, files, monkeypatch):
    write_run = runs.write_run

    def warned(*args, **options):
        warnings.simplefilter("always")
        warnings.warn("the budget ended first", UserWarning, stacklevel=1)
        return write_run(*args, **options)

    monkeypatch.setattr(runs, "write_run", warned)
    result = fit()
    assert result.exit_code == 0
    assert "Warning: the budget ended first\n" in result.stderr


def test_control_characters_are_not_obeyed():
    assert one_line("a\x1b[31mred\nline") == r"a\x1b[31mred line"


def test_messages_of_key_errors_and_of_the_system():
    assert message_of(KeyError("no such 'name'")) == "no such 'name'"
    assert message_of(PermissionError(13, "Permission denied", "run")) == "Permission denied: run"


def test_colour_only_on_terminals(monkeypatch, capsys):
    errors.say("Error", "plain")
    assert capsys.readouterr().err == "Error: plain\n"
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(errors, "Console", lambda **options: Console(**options, force_terminal=True))
    monkeypatch.setenv("TERM", "xterm")
    errors.say("Error", "coloured")
    assert "\x1b[" in capsys.readouterr().err


def test_version(invoke):
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("deepjive 0.")


def test_no_command_shows_the_help(invoke):
    result = invoke()
    assert "Usage" in result.stdout + result.stderr


def test_help_starts_fast_because_nothing_heavy_is_imported():
    code = (
        "import sys; from deepjive.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules); assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for command in ("demo", "fit", "ranks", "transform", "decompose", "impute", "report"):
        assert command in result.stdout


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run([sys.executable, "-m", "deepjive", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("deepjive 0.")
