"""`--set`: every parameter of the estimators on the command line."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import deepjive
from deepjive import load
from deepjive.cli.fit import complete_settings, make_estimator
from deepjive.cli.parameters import (
    CLASSES,
    OPTIONS,
    Parameter,
    as_text,
    completions,
    parameters_of,
    parse_settings,
    read_parameters,
    settable,
)

pytestmark = pytest.mark.usefixtures("no_report")

SETTINGS_MODULE = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shade = Literal["light", "dark"]


@dataclass(frozen=True)
class Machine:
    """Where to compute.

    Parameters
    ----------
    shade : {"light", "dark"}
        Colour of the machine. It has no effect.
    limit : float
        GiB, e.g. 2.
    """

    shade: Shade | None = "dark"
    limit: float = 2.0


class Base:
    def __init__(self, rank: int | Literal["auto"] = "auto", *, machine: Machine | None = None, array: dict = None):
        self.rank, self.machine, self.array = rank, machine, array


class Model(Base):
    """A model."""
'''


@pytest.mark.parametrize("method", CLASSES)
def test_parameters_read_from_source_are_those_of_the_constructor(method):
    signature = inspect.signature(getattr(deepjive, CLASSES[method])).parameters
    own = {name: p.default for name, p in parameters_of(method).items() if p.holder is None}
    holders = {p.holder for p in parameters_of(method).values()} - {None}
    assert {*own, *holders} == set(signature)
    assert own == {name: signature[name].default for name in own}


@pytest.mark.parametrize("method", CLASSES)
def test_every_parameter_has_an_option_or_can_be_set_or_holds_arrays(method):
    neither = {name for name, p in parameters_of(method).items() if name not in OPTIONS and not p.has_text}
    assert neither <= {"mask"}
    assert all(parameter.description for parameter in settable(method))


@pytest.mark.parametrize("method", CLASSES)
def test_the_default_of_every_parameter_can_be_set(method):
    defaults = {parameter.name: parameter.default for parameter in settable(method)}
    assert parse_settings(method, [f"{name}={as_text(value)}" for name, value in defaults.items()]) == defaults


@pytest.mark.parametrize(
    ("method", "setting", "name", "value"),
    [
        ("deepjive", "dropout=0.2", "dropout", 0.2),
        ("deepjive", "dropout=1", "dropout", 1.0),
        ("deepjive", "individual-decoder=conditioned", "individual_decoder", "conditioned"),
        ("deepjive", "networks=linear", "networks", "linear"),
        ("deepjive", "log=none", "log", None),
        ("deepjive", "log=runs/a=b", "log", "runs/a=b"),
        ("deepjive", "num_nodes=2", "num_nodes", 2),
        ("deepjive", "orthogonality_weight=auto", "orthogonality_weight", "auto"),
        ("deepjive", "orthogonality_weight=2", "orthogonality_weight", 2.0),
        ("ajive", "n_wedin=50", "n_wedin", 50),
        ("ajive", "center=false", "center", False),
        ("heterojive", "rank_rule=bicrossvalidation", "rank_rule", "bicrossvalidation"),
        ("jive", "tol=1e-4", "tol", 1e-4),
    ],
)
def test_values_have_the_type_of_the_parameter(method, setting, name, value):
    (parsed,) = parse_settings(method, [setting]).values()
    assert (parsed, type(parsed)) == (value, type(value))
    assert list(parse_settings(method, [setting])) == [name]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("deepjive", ["dropout=much"], "dropout: 'much' is not allowed. The value must be number; the default is 0.0."),
        ("deepjive", ["precision=8"], "'8' is not allowed. The value must be 32-true|bf16-mixed|16-mixed; the default"),
        ("ajive", ["center=1"], "center: '1' is not allowed. The value must be true|false; the default is true."),
        ("ajive", ["n_wedin=2.5"], "n_wedin: '2.5' is not allowed. The value must be integer"),
        ("deepjive", ["droput=0.1"], "--method deepjive has no such parameter. Did you mean 'dropout'?"),
        (
            "jive",
            ["rank_rule=bicrossvalidation"],
            "--method jive has no such parameter. Its parameters are orthogonal_individual, ",
        ),
        ("deepjive", ["max_epochs=3"], "max_epochs: this parameter has an option of its own. Use --max-epochs."),
        ("ajive", ["random_state=3"], "random_state: this parameter has an option of its own. Use --seed."),
        ("ajive", ["mask=none.npy"], "mask: its values are arrays or code"),
        ("deepjive", ["dropout"], "--set 'dropout' is not of the form name=value"),
        ("deepjive", ["dropout=0.1", "dropout=0.2"], "--set names 'dropout' more than once"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_allowed(method, settings, message):
    with pytest.raises(ValueError, match="--set") as error:
        parse_settings(method, settings)
    assert message in str(error.value)


def test_settings_reach_the_model_and_the_config_and_a_new_fit_from_it(fit, invoke, files):
    result = fit("--set", "n_wedin=7", "--set", "center=false")
    assert result.exit_code == 0, result.stderr
    parameters = json.loads((files / "run" / "config.json").read_text())["parameters"]
    assert (parameters["n_wedin"], parameters["center"], parameters["n_random"]) == (7, False, 1000)
    again = ("fit", "--config", files / "run", "--out", files / "again", "--set", "n_wedin=9")
    assert invoke(*again).exit_code == 0
    assert (load(files / "again").n_wedin, load(files / "again").center) == (9, False)


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_a_resumed_run_keeps_its_settings(invoke, files, monkeypatch):
    from deepjive.cli import runs
    from deepjive.deep.training import checkpoint

    def interrupt(self, state):
        offer(self, state)
        raise RuntimeError("interrupted")

    offer = checkpoint.Checkpoint.offer
    words = [word for name in ("expression", "methylation") for word in ("-m", f"{name}={files}/{name}.csv")]
    options = (
        "--joint-rank",
        1,
        "--individual-rank",
        1,
        "--max-epochs",
        2,
        "--quiet",
        "--set",
        "weight_decay=0.3",
        "--set",
        "memory_limit=2",
        "--set",
        "networks=dense",
    )
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(runs, "write_report_of", lambda path, *args, **options: path)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoint, "offer", interrupt)
        assert invoke("fit", *words, *options, "--out", files / "run").exit_code == 1
    result = invoke("fit", "--resume", files / "run", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert load(files / "run").weight_decay == 0.3
    assert load(files / "run").runtime == deepjive.Runtime(memory_limit=2.0)


def test_a_wrong_setting_on_the_command_line_is_one_line(fit):
    result = fit("--set", "n_wedin=many")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --set n_wedin: 'many' is not allowed.")
    assert result.stderr.count("\n") == 1


def test_the_shell_completes_names_and_choices(monkeypatch):
    assert [word for word, _ in completions("deepjive", "orthogonality")] == ["orthogonality_weight="]
    assert [word for word, _ in completions("deepjive", "orthogonality_weight=")] == ["orthogonality_weight=auto"]
    assert [word for word, _ in completions("deepjive", "precision=")] == [
        "precision=32-true",
        "precision=bf16-mixed",
        "precision=16-mixed",
    ]
    assert [word for word, _ in completions("ajive", "center=t")] == ["center=true"]
    assert completions("ajive", "no_such=") == []

    class Context:
        def __init__(self, **params):
            self.params = params

    assert complete_settings(Context(), "drop")[0][0] == "dropout="
    assert complete_settings(Context(method="jive"), "drop") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_shell_asks_the_command_for_completions(shell):
    from typer.testing import CliRunner

    from deepjive.cli.main import app

    line = "deepjive fit --method ajive --set rank_rule="
    variables = {
        "_DEEPJIVE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    result = CliRunner().invoke(app, [], prog_name="deepjive", env=variables)
    assert "rank_rule=gavish_donoho" in result.stdout
    assert "rank_rule=bicrossvalidation" in result.stdout


def test_help_lists_every_parameter_that_can_be_set(invoke, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = " ".join(invoke("fit", "--help").stdout.replace("│", " ").split())
    for method in CLASSES:
        for parameter in settable(method):
            assert f"{parameter.name} {parameter.allowed}" in shown
            assert f"[default: {as_text(parameter.default)}]" in shown


def test_help_imports_neither_torch_nor_matplotlib():
    code = """
import sys
from typer.testing import CliRunner
from deepjive.cli.main import app
for words in (["--help"], ["fit", "--help"]):
    assert CliRunner().invoke(app, words).exit_code == 0
print(sorted({"torch", "matplotlib", "sklearn", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_fields_of_a_settings_object_are_parameters(tmp_path, monkeypatch):
    (tmp_path / "machine_model.py").write_text(SETTINGS_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    assert read_parameters("machine_model", "Model") == [
        Parameter("rank", "auto", (int,), ("auto",), ""),
        Parameter("shade", "dark", (), ("light", "dark", None), "Colour of the machine.", "machine"),
        Parameter("limit", 2.0, (float,), (), "GiB, e.g. 2.", "machine"),
        Parameter("array", None, (), (), ""),
    ]
    monkeypatch.setitem(CLASSES, "machine", "Model")
    monkeypatch.setattr("deepjive.cli.parameters.MODULES", {"Model": "machine_model"})
    parameters_of.cache_clear()
    from machine_model import Machine, Model

    monkeypatch.setattr(deepjive, "Model", Model, raising=False)
    values = parse_settings("machine", ["shade=light", "limit=4"])
    assert make_estimator("machine", {"rank": 2, **values}).machine == Machine("light", 4.0)
    for whole in ({"shade": "light", "limit": 3.0}, Machine("light", 3.0)):
        assert make_estimator("machine", {"machine": whole, "limit": 5.0}).machine == Machine("light", 5.0)
    assert make_estimator("machine", {"machine": None}).machine is None
    parameters_of.cache_clear()
