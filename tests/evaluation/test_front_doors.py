"""The front doors of the rooms: every name is there, is never a submodule, and loads nothing before it is used."""

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

ROOMS = ["deepjive.evaluation", "deepjive.datasets", "deepjive.imaging"]


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_package_is_defined_and_listed(room):
    door = importlib.import_module(room)
    assert sorted(door.__all__) == dir(door)
    for name in door.__all__:
        assert getattr(door, name) is not None


@pytest.mark.parametrize("room", ROOMS)
def test_no_name_of_a_package_is_the_name_of_a_submodule(room):
    door = importlib.import_module(room)
    submodules = {module.name for module in pkgutil.iter_modules(door.__path__)}
    assert not submodules & set(door.__all__)
    for name in submodules:
        importlib.import_module(f"{room}.{name}")  # an imported submodule becomes an attribute of its package
    assert not any(isinstance(getattr(door, name), ModuleType) for name in door.__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_unknown_name_is_an_attribute_error(room):
    door = importlib.import_module(room)
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = door.nothing_of_this_name


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_package_loads_neither_torch_nor_nilearn(room):
    code = f"import sys, {room}; sys.exit(any(name in sys.modules for name in ('torch', 'nilearn', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
