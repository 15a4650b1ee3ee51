import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import deepjive
import deepjive.data
import deepjive.linear
import deepjive.plot

PACKAGE = Path(deepjive.__file__).parent
HEAVY = {"torch", "lightning_fabric", "sklearn", "scipy", "pandas", "matplotlib", "safetensors", "typer", "rich"}


def modules_after(code):
    """Top-level modules that a fresh interpreter has imported after some code."""
    code = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    modules = modules_after("import deepjive; deepjive.Modalities, deepjive.Decomposition, dir(deepjive)")
    assert "numpy" in modules
    assert not HEAVY & modules


def test_modalities_of_arrays_need_nothing_heavy():
    code = "import numpy, deepjive; deepjive.Modalities([numpy.ones((3, 2)), numpy.ones((3, 2))])[[0, 2]]"
    assert not HEAVY & modules_after(code)


def test_linear_estimators_are_fitted_and_loaded_without_torch_and_matplotlib(tmp_path):
    code = (
        "import numpy, deepjive\n"
        "data = [numpy.random.default_rng(i).normal(size=(9, 3)) for i in range(2)]\n"
        f"deepjive.AJIVE(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit(data).save({str(tmp_path / 'm')!r})\n"
        f"deepjive.load({str(tmp_path / 'm')!r}).decompose(data).variance_explained"
    )
    assert not {"torch", "lightning_fabric", "matplotlib"} & modules_after(code)


@pytest.mark.parametrize("name", [name for name in deepjive.__all__ if name != "__version__"])
def test_every_public_name_is_there_and_called_so(name):
    assert getattr(deepjive, name).__name__ in (name, f"deepjive.{name}")


FRONT_DOORS = [(deepjive.data, name) for name in deepjive.data.__all__]
FRONT_DOORS += [(deepjive.linear, name) for name in deepjive.linear.__all__]
FRONT_DOORS += [(deepjive.plot, name) for name in deepjive.plot.__all__]


@pytest.mark.parametrize(("room", "name"), FRONT_DOORS)
def test_front_doors_give_functions_and_classes_by_their_names(room, name):
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)  # a module of the same name would now hide the function
    thing = getattr(room, name)
    assert thing.__name__ == name
    assert thing.__doc__
    assert name in dir(room)


def test_front_doors_name_an_unknown_attribute():
    for room in (deepjive.data, deepjive.linear):
        with pytest.raises(AttributeError, match=f"module '{room.__name__}' has no attribute 'nothing'"):
            room.nothing  # noqa: B018


def test_front_doors_import_nothing_heavy():
    assert not HEAVY & modules_after("import deepjive.data, deepjive.linear; deepjive.data.Modalities")


def test_star_import_and_dir_give_the_public_names():
    namespace = {}
    exec("from deepjive import *", namespace)
    assert set(deepjive.__all__) <= set(namespace)
    assert set(deepjive.__all__) <= set(dir(deepjive))


@pytest.mark.parametrize("name", deepjive.__all__)
def test_every_public_name_is_documented(name):
    assert getattr(deepjive, name).__doc__


def test_an_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="module 'deepjive' has no attribute 'DeepJive'"):
        deepjive.DeepJive  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from deepjive import nothing")


def test_estimators_keep_one_interface():
    methods = "fit transform fit_transform decompose inverse_transform impute save get_feature_names_out set_output"
    for name in ("AJIVE", "JIVE", "HeteroJIVE", "DeepJIVE"):
        assert not [method for method in methods.split() if not hasattr(getattr(deepjive, name), method)], name


def test_rooms_ask_the_front_door_for_the_version_alone():
    """Estimators asked for by way of the package would be hidden from the rules on who imports whom."""
    taken = {
        (path.relative_to(PACKAGE).as_posix(), alias.name)
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "deepjive" and not node.level
        for alias in node.names
    }
    assert {name for _, name in taken} <= {"__version__"}, taken
