"""Loading what someone made up: a config may claim networks of any size, and takes no memory for them."""

from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from deepjive import DeepJIVE, load
from deepjive.datasets import Synthetic
from deepjive.persistence import CONFIG, WEIGHTS, ModelFolderError, _digest

from .fitting import fitted


def forge(folder: Path, rank: int) -> None:
    """Modalities without features, of which `rank` scores fit any weights, with digests that agree."""
    config = json.loads((folder / CONFIG).read_text())
    arrays = load_tensors((folder / WEIGHTS).read_bytes())
    learned = config["learned"]
    learned["shapes_"] = {name: {"$tuple": [0]} for name in learned["shapes_"]}
    for name in learned["mean_"]:
        arrays[learned["mean_"][name]["$array"]] = np.zeros(0)
    learned["joint_rank_"], config["parameters"]["networks"] = rank, "linear"
    weights = save_tensors(arrays)
    (folder / WEIGHTS).write_bytes(weights)
    config["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    config["config_sha256"] = _digest(config)
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("rank", [10_000, 10**9, 10**18])
@pytest.mark.parametrize("settings", [{"identity": "explicit"}, {"identity": "merged"}])
def test_a_giant_network_is_refused_before_memory_is_taken(
    small: Synthetic, tmp_path: Path, rank: int, settings: dict[str, Any]
) -> None:
    fitted(small.data, max_epochs=1, **settings).save(tmp_path)
    forge(tmp_path, rank)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelFolderError, match="is damaged"):
        load(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the networks claim gigabytes


def test_what_was_saved_is_restored_with_all_its_weights(small: Synthetic, model: DeepJIVE, tmp_path: Path) -> None:
    model.save(tmp_path)
    restored = load(tmp_path)
    assert {weight.device.type for weight in restored.network_.state_dict().values()} == {"cpu"}
    np.testing.assert_array_equal(restored.transform(small.data), model.transform(small.data))
