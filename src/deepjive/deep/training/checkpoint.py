"""Checkpoints: an interrupted fit continues from a checkpoint to the same weights as without the interruption.

A checkpoint is a folder with one file, `checkpoint.safetensors`. The file holds arrays, and everything else as JSON in
its header; it contains no pickle. The file is replaced in one step at the end of an epoch if it is at least `SECONDS`
old, so that it is complete at any moment. It also records the parameters and the data it belongs to, and is refused
for others.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

from deepjive.data.modalities import Modalities
from deepjive.deep.runtime.distributed import is_first
from deepjive.deep.runtime.settings import checked_runtime
from deepjive.packing import is_custom, pack, packed_parameter, unpack
from deepjive.persistence import read_tensors, write_atomically
from deepjive.validation import check_features

FILE = "checkpoint.safetensors"
FORMAT = 3  # 1 had the moments of each weight, 2 no kinds of networks
SECONDS = 60.0
SAMPLES_COMPARED = 64
FEATURES = "features"
MAY_DIFFER = ("device", "runtime", "verbose")

UNREADABLE = (
    "The checkpoint {path} cannot be read: {reason}. Restore it from a copy, or remove it to train from the start."
)
OTHER_FORMAT = "another version of deepjive wrote it, in format {given}, and this version reads format {expected}"
OTHER_PARAMETERS = (
    "The checkpoint {path} is of a model with {name}={kept}, but this model has {name}={given}. Continue with the "
    "parameters that training began with, or name another folder to train anew."
)
OTHER_DATA = (
    "The checkpoint {path} is of other data: {what} differ. Continue with the data that training began with, or name "
    "another folder to train anew."
)
OTHER_FEATURES = "The checkpoint {path} is of other data. {reason}"
NOT_WRITTEN = "The checkpoint {path} could not be written ({reason}); {rest}"
LAST = (
    "The last checkpoint, of epoch {epoch} of the {phase} phase, is whole: fit(X, resume={folder!r}) goes on from it."
)
NONE_YET = "There is no checkpoint yet."


class CheckpointError(ValueError):
    """Raised for a checkpoint that cannot be read, or that belongs to another model or to other data."""


class Checkpoint:
    """The checkpoint of one fit.

    Parameters
    ----------
    folder : path
        Folder of the checkpoint; it is made if it does not exist.
    parameters : mapping of str to object
        Parameters of the estimator.
    data : Modalities
        The data of the fit.
    """

    def __init__(self, folder: str | Path, parameters: Mapping[str, Any], data: Modalities) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._belongs_to = {"parameters": _packed(parameters), "data": fingerprint(data)}
        self._features = {name: None if names is None else names.tolist() for name, names in data.features.items()}
        self._written = time.monotonic()
        self._last: tuple[str, int] | None = None
        if is_first():
            self.folder.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, Any] | None:
        """Return the last state that was written, or None if there is none.

        Raises
        ------
        CheckpointError
            If the checkpoint is damaged, or belongs to other parameters or data.
        """
        if not self.path.exists():
            return None
        try:
            arrays, metadata = read_tensors(self.path)
            packed = json.loads(metadata["state"])
            if metadata["sha256"] != _digest(arrays, metadata["state"]):
                raise ValueError("it is not what was written")
            if packed["format"] != FORMAT:
                raise ValueError(OTHER_FORMAT.format(given=packed["format"], expected=FORMAT))
            features = json.loads(arrays[FEATURES].tobytes()) if FEATURES in arrays else {}
            state = unpack(packed, arrays)
        except Exception as error:  # what is damaged can be wrong in any way
            reason = str(error).rstrip(".") or type(error).__name__
            raise CheckpointError(UNREADABLE.format(path=self.path, reason=reason)) from error
        self._check(packed["belongs_to"], features)
        self._last = state["phase"], state["training"]["epoch"]
        return state

    def offer(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write a state if the last one is old enough and this is the process that writes."""
        if time.monotonic() - self._written < SECONDS or not is_first():
            return
        kept = state()
        # as an array, since a header may not be as long as many names are
        arrays = {FEATURES: np.frombuffer(json.dumps(self._features).encode(), dtype=np.uint8)}
        packed = {"format": FORMAT, "belongs_to": self._belongs_to, **pack(kept, "", arrays)}
        text = json.dumps(packed, allow_nan=False)
        try:
            write_atomically(self.path, save_tensors(arrays, {"state": text, "sha256": _digest(arrays, text)}))
        except OSError as error:
            reason = error.strerror or str(error)
            number = error.errno or errno.EIO
            raise OSError(number, NOT_WRITTEN.format(path=self.path, reason=reason, rest=self.last())) from error
        self._written = time.monotonic()
        self._last = kept["phase"], kept["training"]["epoch"]

    def last(self) -> str:
        """Return a sentence on where training can continue."""
        if self._last is None:
            return NONE_YET
        phase, epoch = self._last
        return LAST.format(phase=phase, epoch=epoch, folder=str(self.folder))

    def _check(self, kept: Mapping[str, Any], features: Mapping[str, list[str] | None]) -> None:
        given = json.loads(json.dumps(self._belongs_to))
        for name, value in given["parameters"].items():
            if kept["parameters"].get(name) != value:
                shown = kept["parameters"].get(name)
                raise CheckpointError(OTHER_PARAMETERS.format(path=self.path, name=name, kept=shown, given=value))
        try:
            for name, names in self._features.items():
                check_features(name, names, features.get(name))
        except ValueError as error:
            raise CheckpointError(OTHER_FEATURES.format(path=self.path, reason=error)) from error
        different = [what for what, value in given["data"].items() if kept["data"].get(what) != value]
        if different:
            raise CheckpointError(OTHER_DATA.format(path=self.path, what=" and ".join(different)))


def fingerprint(data: Modalities) -> dict[str, Any]:
    """Return what identifies the data: shapes, missing modalities, participants, and values of some samples."""
    rows = np.unique(np.linspace(0, len(data) - 1, SAMPLES_COMPARED).astype(int))
    digest = hashlib.sha256()
    for column, name in enumerate(data.names):
        measured = rows[data.present[rows, column]]  # other rows hold arbitrary values
        digest.update(np.ascontiguousarray(data.rows(name, measured), dtype=np.float64).tobytes())
    return {
        "numbers of samples": len(data),
        "modalities": list(data.names),
        "shapes": [list(shape) for shape in data.shapes.values()],
        "missing modalities": hashlib.sha256(np.packbits(data.present).tobytes()).hexdigest(),
        "participants": None if data.groups is None else hashlib.sha256(_numbered(data.groups)).hexdigest(),
        "values": digest.hexdigest(),
    }


def _numbered(groups: NDArray) -> bytes:
    """Numbers of the participants by first appearance, which do not depend on the names of the participants."""
    _, first, codes = np.unique(groups, return_index=True, return_inverse=True)
    return first.argsort().argsort()[codes].astype("<i8").tobytes()


def _packed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that must stay the same; custom code is packed as "code", because its text may contain an address."""
    parameters = {**parameters, "precision": checked_runtime(parameters["runtime"]).precision}
    packed = {key: packed_parameter(value, key, {}) for key, value in parameters.items() if key not in MAY_DIFFER}
    return {key: "code" if is_custom(value) else value for key, value in packed.items()}


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(name.encode() + os.fsencode(str(arrays[name].dtype)))
        digest.update(np.ascontiguousarray(arrays[name]).reshape(-1).data)
    return digest.hexdigest()
