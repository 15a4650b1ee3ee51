"""A short version of tests/stress/fuzz.py: damaged files are read or refused, and nothing else happens."""

import contextlib
import hashlib
import json
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepjive import AJIVE, load, persistence
from deepjive.data.files import read_array, read_labels
from deepjive.data.readers.guard import UnreadableError
from deepjive.persistence import CONFIG, WEIGHTS, ModelFolderError

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
CSV = b"id,a,b\n" + b"".join(b"s%d,%.3f,%.3f\n" % (i, *row[:2]) for i, row in enumerate(X))

few = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6), st.integers(0, 6)), max_size=4)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def changed(content, edits):
    """Content in which pieces are replaced: where, by what, and how many bytes of it."""
    for place, piece, length in edits:
        start = int(place * len(content))
        content = content[:start] + piece + content[start + length :]
    return content


def npy(path):
    np.save(path, X)


def npz(path):
    np.savez_compressed(path, x=X)


def csv(path):
    path.write_bytes(CSV)


def nii(path):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(X.reshape(1, 3, 2, 3), np.eye(4)), path)


def h5(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["x"] = X


def parquet(path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    pd.DataFrame(X, columns=list("abc")).to_parquet(path)


@pytest.mark.parametrize("write", [npy, npz, csv, nii, h5, parquet], ids=lambda write: write.__name__)
def test_a_damaged_file_is_read_or_refused(tmp_path, write):
    path = tmp_path / f"x.{write.__name__}"
    write(path)
    content = path.read_bytes()
    assert np.asarray(read_array(path)[:2]).shape[0] == 2

    @few
    @given(edits=changes)
    def damaged(edits):
        path.unlink()  # a file that is mapped, or open, keeps its old content
        path.write_bytes(changed(content, edits))
        with contextlib.suppress(UnreadableError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of arithmetic on numbers that are damaged
            np.asarray(read_array(path)[:2])
        if write in (npy, npz, csv):
            with contextlib.suppress(UnreadableError):
                read_labels(path, None, 6)

    damaged()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("model")
    AJIVE(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit([rng.normal(size=(9, 3)) for _ in range(2)]).save(
        folder
    )
    return folder, (folder / CONFIG).read_bytes(), (folder / WEIGHTS).read_bytes()


@few
@given(edits=changes, file=st.sampled_from([CONFIG, WEIGHTS]), forged=st.booleans())
def test_a_damaged_model_is_loaded_or_refused(model_folder, edits, file, forged):
    folder, config, weights = model_folder
    contents = {CONFIG: config, WEIGHTS: weights}
    contents[file] = changed(contents[file], edits)
    if forged and file == WEIGHTS:
        contents[CONFIG] = forge(json.loads(config), contents[WEIGHTS])
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with contextlib.suppress(ModelFolderError):
        load(folder)


@few
@given(where=st.sampled_from(["learned", "parameters"]), position=st.integers(0, 30), value=values)
def test_a_forged_config_is_loaded_or_refused(model_folder, where, position, value):
    folder, config, weights = model_folder
    content = json.loads(config)
    keys = sorted(content[where])
    content[where][keys[position % len(keys)]] = value
    (folder / CONFIG).write_bytes(forge(content, weights))
    (folder / WEIGHTS).write_bytes(weights)
    with contextlib.suppress(ModelFolderError):
        load(folder)


def forge(config, weights):
    config["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    config["config_sha256"] = persistence._digest(config)
    return json.dumps(config).encode()
