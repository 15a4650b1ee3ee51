"""Settings of the machine: checked, shown and saved."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from sklearn.base import clone

import deepjive as dj
from deepjive import DeepJIVE, Runtime
from deepjive.datasets.synthetic import Synthetic
from deepjive.deep.runtime.launch import launched
from deepjive.persistence import ModelFolderError, read_config

from ..fitting import fitted


def test_the_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(Runtime()) == "Runtime()"
    assert repr(Runtime(precision="bf16-mixed", devices=2)) == "Runtime(devices=2, precision='bf16-mixed')"
    assert "runtime=Runtime(memory_limit=0)" in repr(DeepJIVE(runtime=Runtime(memory_limit=0)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "bf16-true"}, r"precision of Runtime is 'bf16-true', but must be one of \['32-true'"),
        ({"strategy": "fsdp"}, r"strategy of Runtime is 'fsdp'.*'ddp'"),
        ({"devices": 0}, r"devices of Runtime is 0, but must be an integer of at least 1"),
        ({"devices": "all"}, r"devices of Runtime is 'all'.*'auto'"),
        ({"devices": True}, r"devices of Runtime is True"),
        ({"num_nodes": 0}, r"num_nodes of Runtime is 0"),
        ({"memory_limit": -1.0}, r"memory_limit of Runtime is -1.0, but must be a number of GiB"),
        ({"memory_limit": "4"}, r"memory_limit of Runtime is '4'"),
        ({"log": 3}, r"log of Runtime is 3, but must be the path"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Runtime(**settings)  # type: ignore[arg-type]


def test_something_else_in_the_place_of_a_runtime_is_refused(small: Synthetic) -> None:
    with pytest.raises(TypeError, match=r"runtime is {'devices': 2}, but must be a deepjive.Runtime or None"):
        fitted(small.data, runtime={"devices": 2})


def test_a_runtime_is_a_parameter_like_others() -> None:
    model = DeepJIVE(runtime=Runtime(num_nodes=2))
    assert model.get_params()["runtime"] == Runtime(num_nodes=2)
    assert clone(model).runtime == Runtime(num_nodes=2)
    assert model.set_params(runtime=None).get_params()["runtime"] is None
    assert copy.deepcopy(Runtime(devices=2)) == pickle.loads(pickle.dumps(Runtime(devices=2))) == Runtime(devices=2)


def test_a_runtime_is_saved_with_the_model(small: Synthetic, tmp_path: Path) -> None:
    model = fitted(small.data, max_epochs=1, runtime=Runtime(memory_limit=2.5))
    model.save(tmp_path)
    packed = {"class": "Runtime", "values": {"memory_limit": 2.5}}
    saved = read_config(tmp_path)["parameters"]["runtime"]["$settings"]
    assert saved["class"] == packed["class"]
    assert saved["values"]["memory_limit"] == 2.5
    assert dj.load(tmp_path).runtime == Runtime(memory_limit=2.5)
    assert dj.load(tmp_path, runtime=None).runtime is None


def test_a_config_cannot_name_other_classes(small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(small.data, max_epochs=1, runtime=Runtime())
    monkeypatch.setattr("deepjive.packing.SETTINGS_CLASSES", {"Runtime": Runtime.__module__})
    model.save(tmp_path)
    monkeypatch.setattr("deepjive.packing.SETTINGS_CLASSES", {})
    with pytest.raises(ModelFolderError, match="damaged"):
        dj.load(tmp_path)


@pytest.mark.parametrize("device", ["gpu!", "cuda:first", "", 3])
def test_a_device_that_is_none_is_refused(small: Synthetic, device: object) -> None:
    with pytest.raises(ValueError, match=r"device is .* but must be 'cpu', 'cuda', 'mps', 'auto'"):
        fitted(small.data, device=device)


def test_a_single_device_and_several_devices_contradict_each_other() -> None:
    with pytest.raises(ValueError, match=r"device='cuda:1' names a single device, but Runtime has devices=2"):
        launched("cuda:1", Runtime(devices=2))
