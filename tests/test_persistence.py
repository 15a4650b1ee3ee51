import contextlib
import hashlib
import json
import os
import stat
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.base import clone

import deepjive
from deepjive import AJIVE, Modalities, load, persistence
from deepjive.persistence import CONFIG, WEIGHTS, ModelFolderError, write_atomically


def modalities(n, seed):
    rng = np.random.default_rng(seed)
    joint = rng.normal(size=(n, 1))
    return Modalities({k: joint @ np.ones((1, d)) + rng.normal(size=(n, d)) for k, d in {"mri": 6, "pet": 9}.items()})


@pytest.fixture(scope="module")
def data():
    return modalities(40, 0)


@pytest.fixture(scope="module")
def model(data):
    return AJIVE(signal_ranks=2, joint_rank=1, n_wedin=5, n_random=5, random_state=0).fit(data)


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


class Exotic(AJIVE):
    """An estimator that learned whatever a test gives it."""


@pytest.fixture
def round_trip(monkeypatch, data, tmp_path):
    monkeypatch.setitem(persistence.CLASSES, "Exotic", __name__)

    def through_a_folder(value=None, **parameters):
        exotic = Exotic(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0, **parameters).fit(data)
        exotic.exotic_ = value
        exotic.save(tmp_path / "exotic")
        return load(tmp_path / "exotic")

    return through_a_folder


def forge(folder, change):
    """Change the config as the library would have written it, so that only the change itself can be noticed."""
    config = json.loads((folder / CONFIG).read_text())
    config = change(config) or config
    config["config_sha256"] = persistence._digest(config)
    (folder / CONFIG).write_text(json.dumps(config))


def tamper(folder, change):
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


def assert_damaged(folder, reason):
    with pytest.raises(ModelFolderError, match=reason) as error:
        load(folder)
    assert str(folder) in str(error.value)


def test_a_loaded_model_transforms_new_samples_bit_by_bit_the_same(model, folder):
    loaded, new = load(folder), modalities(15, 1)
    assert type(loaded) is AJIVE
    np.testing.assert_array_equal(loaded.transform(new), model.transform(new))
    ours, theirs = loaded.decompose(new), model.decompose(new)
    for part in ("joint", "individual", "residual"):
        np.testing.assert_array_equal(getattr(ours, part)["pet"], getattr(theirs, part)["pet"])


def test_a_loaded_model_has_the_parameters_and_all_that_was_learned(model, folder):
    loaded = load(folder)
    assert loaded.get_params() == model.get_params()
    assert vars(loaded).keys() == vars(model).keys()
    assert loaded.shapes_ == model.shapes_
    assert loaded.mean_["mri"].flags.writeable


def test_the_folder_holds_json_and_tensors_and_the_librarys_version(folder):
    assert {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS}
    assert json.loads((folder / CONFIG).read_text())["deepjive"] == deepjive.__version__
    np.testing.assert_array_equal(load_file(folder / WEIGHTS)["/mean_/mri"], load(folder).mean_["mri"])


def test_paths_may_be_text_and_missing_folders_are_made(model, tmp_path):
    model.save(str(tmp_path / "new" / "run"))
    assert load(str(tmp_path / "new" / "run")).joint_rank_ == 1


def test_an_older_model_is_replaced_and_other_files_are_left_alone(folder, data):
    (folder / "report.html").write_text("kept")
    AJIVE(signal_ranks=2, joint_rank=2, individual_ranks=0).fit(data).save(folder)
    assert load(folder).joint_rank_ == 2
    assert (folder / "report.html").read_text() == "kept"


def test_a_model_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        AJIVE().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_class_that_could_not_be_loaded_is_not_saved(data, tmp_path):
    exotic = Exotic(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit(data)
    with pytest.raises(TypeError, match=r"Exotic cannot be saved, because load\(\) knows only AJIVE"):
        exotic.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_class_that_only_has_a_known_name_is_not_saved(data, tmp_path):
    pretender = type("AJIVE", (AJIVE,), {"__module__": __name__})(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0)
    with pytest.raises(TypeError, match="cannot be saved"):
        pretender.fit(data).save(tmp_path / "model")


@pytest.mark.parametrize(
    "value",
    [
        np.array(3.0),
        np.zeros((0, 4)),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(8.0)[::-2],
        np.array([1, 2], dtype=np.float16),
        np.arange(3, dtype=np.uint8),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}",
)
def test_arrays_come_back_with_shape_type_and_values(round_trip, value):
    back = round_trip({"nested": [value, (value,)]}).exotic_
    for array in (back["nested"][0], back["nested"][1][0]):
        assert array.shape == value.shape
        assert array.dtype == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, [2, (3,)], ()), (1, [2, (3,)], ())),
        ({"ü": None, "nested": {"x": True}}, {"ü": None, "nested": {"x": True}}),
        (float("-inf"), float("-inf")),
        (0.1 + 0.2, 0.1 + 0.2),
        (np.float64(0.1), 0.1),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array([["a", "b"], ["c", "d"]]), [["a", "b"], ["c", "d"]]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_values_come_back_the_same(round_trip, value, expected):
    back = round_trip(value).exotic_
    assert back == expected
    assert type(back) is type(expected)


def test_not_a_number_comes_back(round_trip):
    assert np.isnan(round_trip([float("nan")]).exotic_[0])


@pytest.mark.parametrize(
    "value",
    [{1}, b"x", np.array([1j]), np.array([None]), np.datetime64("2020-01-01"), object(), len],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_saved_is_named_before_anything_is_written(round_trip, tmp_path, value):
    with pytest.raises(TypeError, match=r"exotic_/deep/0 holds an? .*, but numbers, text"):
        round_trip({"deep": [value]})
    assert not (tmp_path / "exotic").exists()


def test_parameters_of_every_kind_come_back(round_trip):
    mask = {"mri": np.array([True] * 5 + [False])}
    loaded = round_trip(mask=mask, individual_ranks={"mri": 0, "pet": np.int64(0)}, random_state=np.int64(3))
    np.testing.assert_array_equal(loaded.mask["mri"], mask["mri"])
    assert loaded.individual_ranks == {"mri": 0, "pet": 0}
    assert loaded.random_state == 3


def test_a_random_generator_is_not_kept(round_trip):
    assert round_trip(random_state=np.random.RandomState(0)).random_state is None


@pytest.mark.parametrize("code", [len, {"mri": len}, [1, {"deep": len}], object()], ids=["f", "dict", "list", "object"])
def test_parameters_that_are_code_must_be_passed_again(model, tmp_path, code):
    coded = clone(model).set_params(device=code)
    vars(coded).update({key: value for key, value in vars(model).items() if key.endswith("_")})
    coded.save(tmp_path / "coded")
    with pytest.raises(
        ModelFolderError, match=r"with device of your own.*Pass the same again: load\(.*, device=\.\.\."
    ):
        load(tmp_path / "coded")
    assert load(tmp_path / "coded", device="cpu").device == "cpu"


def test_a_parameter_may_be_replaced_and_an_unknown_one_is_named(folder):
    assert load(folder, random_state=5).random_state == 5
    with pytest.raises(TypeError, match=r"'devise' is no parameter of AJIVE.*'device'"):
        load(folder, devise="cpu")


def test_a_missing_folder_and_missing_files_are_named(folder, tmp_path):
    assert_damaged(tmp_path / "absent", "there is no such folder. A model folder holds config.json and model.safet")
    assert_damaged(folder / CONFIG, "there is no such folder")
    for name in (WEIGHTS, CONFIG):
        (folder / name).rename(tmp_path / name)
        assert_damaged(folder, f"it has no {name}")
        (tmp_path / name).rename(folder / name)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_directory_in_the_place_of_a_file_is_named(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    assert_damaged(folder, f"it has no {name}")


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_truncated_files_are_noticed(folder, name, keep):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:keep])
    assert_damaged(folder, f"is damaged: {name} is not")


def is_same_json(changed: bytes, content: bytes) -> bool:
    try:
        return json.loads(changed) == json.loads(content)
    except ValueError:
        return False


def test_a_flipped_bit_anywhere_in_either_file_is_noticed(folder):
    rng = np.random.default_rng(0)
    for name in (CONFIG, WEIGHTS):
        content = (folder / name).read_bytes()
        for position in rng.integers(len(content), size=40):
            flipped = bytearray(content)
            flipped[position] ^= 1
            if name == CONFIG and is_same_json(flipped, content):
                continue  # a last digit beyond double precision
            (folder / name).write_bytes(flipped)
            with pytest.raises(ModelFolderError):
                load(folder)
        (folder / name).write_bytes(content)
    load(folder)


def test_files_of_two_models_are_not_taken_for_one(folder, data, tmp_path):
    AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0).fit(modalities(40, 7)).save(tmp_path / "other")
    (tmp_path / "other" / WEIGHTS).replace(folder / WEIGHTS)
    assert_damaged(folder, "model.safetensors is not the file config.json was written for")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["learned"].update(joint_rank_=2),
        lambda config: config["learned"].pop("mean_"),
        lambda config: config["parameters"].update(center=False),
        lambda config: config.update({"class": "HeteroJIVE"}),
        lambda config: config.pop("config_sha256"),
        lambda config: config.pop("learned"),
        lambda config: config.update(comment="mine"),
    ],
)
def test_an_edited_config_is_noticed(folder, change):
    tamper(folder, change)
    assert_damaged(folder, "is damaged: config.json was changed after it was written")


def test_a_model_from_before_features_were_kept_is_read(folder, data):
    forge(folder, lambda config: config["learned"].pop("features_") and None)
    assert load(folder).transform(data).shape[0] == len(data)


def test_indentation_is_no_damage(folder):
    tamper(folder, lambda config: None)
    load(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"{'a': 1}", b"[" * 100_000, b'{"a":' * 200_000 + b"1" + b"}" * 200_000]
)
def test_what_is_not_json_or_nested_without_end_is_damage(folder, content):
    (folder / CONFIG).write_bytes(content)
    assert_damaged(folder, "is damaged: config.json is not JSON")


@pytest.mark.parametrize("depth", [300, 450, 600, 900])
def test_json_that_is_only_just_readable_is_damage_too(folder, depth):
    nested = "[" * depth + "]" * depth
    (folder / CONFIG).write_text((folder / CONFIG).read_text().replace('"learned": {', f'"learned": {{"x_": {nested},'))
    assert_damaged(folder, "is damaged")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', "{}", '{"parameters": {}}'])
def test_json_that_is_no_config_is_refused(folder, content):
    (folder / CONFIG).write_text(content)
    assert_damaged(folder, "is not a saved model: config.json names no format")


@pytest.mark.parametrize("change", [
    lambda config: config.update(format=2, deepjive="9.1"),
    lambda config: {"format": 2, "deepjive": "9.1", "tensors": []},
])  # fmt: skip
def test_a_newer_format_says_which_version_reads_it(folder, change):
    forge(folder, change)
    assert_damaged(folder, "saved by deepjive 9.1 in format 2, but this version reads format 1. Install deepjive 9.1")


@pytest.mark.parametrize("kind", ["os", "Decomposition", ["AJIVE"], {}, None, 3])
def test_another_class_is_never_imported(folder, kind):
    forge(folder, lambda config: config.update({"class": kind}))
    assert_damaged(folder, r"its class .* is none of \['AJIVE'")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("learned") and None, "does not hold"),
        (lambda c: c.update(parameters=[]), "does not hold"),
        (lambda c: c["parameters"].update(bogus=1), "unexpected keyword argument 'bogus'"),
        (lambda c: c["learned"].update(mean_={"$array": "absent"}), "config.json and model.safetensors disagree"),
        (lambda c: c["learned"].update(mean_={"$array": ["mean_"]}), "config.json and model.safetensors disagree"),
        (lambda c: c.update(parameters={"$array": "/mean_/mri"}), "config.json and model.safetensors disagree"),
        (lambda c: c.update(learned={"$tuple": []}), "config.json and model.safetensors disagree"),
        (lambda c: c["learned"].update(mean_={"$tuple": 5}), "config.json and model.safetensors disagree"),
        (lambda c: c["learned"].update(features_={"mri": ["one"]}), "the features of 'mri' are not"),
        (lambda c: c["learned"].update(features_={"mri": 3}), "the features of 'mri' are not"),
        (lambda c: c.update(weights_sha256=None), "model.safetensors is not the file"),
    ],
)
def test_a_config_that_belies_its_digest_gives_no_other_error(folder, change, reason):
    forge(folder, change)
    assert_damaged(folder, reason)


@pytest.mark.parametrize("depth", [300, 600, 900])
def test_nesting_that_only_json_can_follow_gives_no_other_error(folder, depth):
    nested = json.loads("[" * depth + "]" * depth)
    forge(folder, lambda config: config["learned"].update(nested_=nested))
    with contextlib.suppress(ModelFolderError):  # how deep is too deep differs between versions of Python
        load(folder)


def test_weights_that_belie_their_digest_give_no_other_error(folder):
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[:8] = (2**40).to_bytes(8, "little")
    (folder / WEIGHTS).write_bytes(content)
    forge(folder, lambda config: config.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    assert_damaged(folder, "is damaged: model.safetensors: ")


def test_model_folder_errors_are_value_errors():
    assert issubclass(ModelFolderError, ValueError)


def test_a_link_to_the_folder_is_followed(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    assert load(tmp_path / "link").joint_rank_ == 1


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("target", ["store", "/dev/zero", "absent"])
def test_links_in_the_place_of_files_are_not_followed(folder, tmp_path, name, target):
    (folder / name).rename(tmp_path / "store")
    (folder / name).symlink_to(tmp_path / target)
    assert_damaged(folder, f"{name} is a link, which is not followed")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder):
    (folder / CONFIG).unlink()
    os.mkfifo(folder / CONFIG)
    assert_damaged(folder, f"it has no {CONFIG}")


def test_saving_replaces_a_link_and_not_the_file_it_points_to(folder, model, tmp_path):
    (tmp_path / "precious").write_text("kept")
    (folder / CONFIG).unlink()
    (folder / CONFIG).symlink_to(tmp_path / "precious")
    model.save(folder)
    assert (tmp_path / "precious").read_text() == "kept"
    assert not (folder / CONFIG).is_symlink()


def test_a_file_in_the_place_of_the_folder_is_not_overwritten(model, tmp_path):
    (tmp_path / "model").write_text("kept")
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "model")
    assert (tmp_path / "model").read_text() == "kept"


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_failed_write_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_is_complete_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    replace, seen = os.replace, []

    def watch(source, target):
        with open(source, "rb") as file:
            seen.append(file.read())
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    write_atomically(tmp_path / "file", b"new")
    assert seen == [b"new"]
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX systems")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read_what_is_written(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        for _ in range(2):
            write_atomically(tmp_path / "file", b"")
            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    finally:
        os.umask(before)


class Interruptions:
    """Interrupts the n-th of the calls that change what is on disk."""

    def __init__(self, monkeypatch):
        self.after, self.calls = None, 0
        for name in ("replace", "fsync", "unlink"):
            monkeypatch.setattr(os, name, self._counting(getattr(os, name)))

    def _counting(self, function):
        def call(*args, **options):
            if self.calls == self.after:
                raise KeyboardInterrupt
            self.calls += 1
            return function(*args, **options)

        return call


def test_a_save_interrupted_anywhere_leaves_the_old_model_or_the_new(model, data, tmp_path, monkeypatch):
    new = AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0).fit(modalities(40, 7))
    model.save(tmp_path / "count")
    interruptions = Interruptions(monkeypatch)
    new.save(tmp_path / "count")
    steps, outcomes = interruptions.calls, []
    assert steps >= 5
    for step in range(steps):
        interruptions.after = None
        model.save(tmp_path / "model")
        interruptions.calls, interruptions.after = 0, step
        with pytest.raises(KeyboardInterrupt):
            new.save(tmp_path / "model")
        transformed = load(tmp_path / "model").transform(data)
        outcomes.append(next(i for i, m in enumerate((model, new)) if np.array_equal(transformed, m.transform(data))))
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {0, 1}
    interruptions.after = None
    new.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {CONFIG, WEIGHTS}


def test_the_config_is_strict_json(round_trip, tmp_path):
    round_trip({"history": [float("nan"), float("-inf"), np.float32("inf"), 1.5]})

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    config = json.loads((tmp_path / "exotic" / CONFIG).read_text(), parse_constant=refuse)
    assert config["learned"]["exotic_"]["history"] == [{"$float": "nan"}, {"$float": "-inf"}, {"$float": "inf"}, 1.5]


def test_how_a_run_came_about_is_kept_in_the_config(model, folder):
    persistence.save(model, folder, run={"modality": {"mri": "mri.npy"}})
    assert persistence.read_config(folder)["run"] == {"modality": {"mri": "mri.npy"}}
    assert load(folder).joint_rank_ == 1
    with pytest.raises(ValueError, match="JSON"):
        persistence.save(model, folder, run={"seconds": float("nan")})
    assert persistence.read_config(folder)["run"] == {"modality": {"mri": "mri.npy"}}
    tamper(folder, lambda config: config["run"].update(modality={}))
    assert_damaged(folder, "was changed after it was written")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["learned"].update(joint_rank_=10**12), "1000000000000 scores of 'mri' do not fit the weights"),
        (lambda c: c["learned"]["individual_ranks_"].update(pet=10**9), "1000000000 scores of 'pet' do not fit"),
        (lambda c: c["learned"].update(joint_rank_=-1), "scores of 'mri' do not fit"),
        (lambda c: c["learned"]["shapes_"].update(mri={"$tuple": [10**6, 10**6]}), "the mean of 'mri' does not have"),
        (lambda c: c["learned"]["shapes_"].update(mri=[[0], 10**12]), "shape or ranks of 'mri' are not whole numbers"),
        (lambda c: c["learned"].update(transform=1), "'transform' is nothing that an estimator learns"),
        (lambda c: c["learned"].update(_scores=1), "'_scores' is nothing that an estimator learns"),
        (lambda c: c["learned"].update(__class__=1), "'__class__' is nothing that an estimator learns"),
        (lambda c: c["learned"].pop("shapes_") and None, "is damaged: 'shapes_'"),
        (lambda c: c["learned"].update(mean_=3), "is damaged"),
        (lambda c: c.update(weights_sha256="../../../../etc/passwd"), "is not the file config.json was written for"),
    ],
)
def test_learned_state_that_someone_made_up_is_refused(folder, change, reason):
    forge(folder, change)
    assert_damaged(folder, reason)


def forged_weights(folder, content):
    (folder / WEIGHTS).write_bytes(content)
    forge(folder, lambda config: config.update(weights_sha256=hashlib.sha256(content).hexdigest()))


def tensors(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tensors({"x": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}), "model.safetensors: "),
        (
            tensors({"x": {"dtype": "F64", "shape": [2**63, 2], "data_offsets": [0, 8]}}, bytes(8)),
            "model.safetensors: ",
        ),
        (tensors({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)), r"of type \['BF16'\]"),
        (tensors({"x": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)), r"of type \['OBJECT'\]"),
        (tensors({"x": 3}), "model.safetensors: "),
        (tensors([]), "model.safetensors: "),
        ((2**62).to_bytes(8, "little") + b"{}", "its header claims 4611686018427387904 bytes"),
        ((2**24 + 1).to_bytes(8, "little") + b" " * 2**25, "its header claims 16777217 bytes"),
        (b"", "model.safetensors: "),
    ],
)
def test_weights_that_claim_what_they_are_not_are_refused(folder, content, reason):
    forged_weights(folder, content)
    assert_damaged(folder, reason)


def test_a_config_larger_than_any_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(persistence, "LARGEST_CONFIG", 1000)
    assert_damaged(folder, r"config\.json has \d+ bytes, more than any model's")


def test_networks_that_do_not_fit_are_not_called_damage(data, tmp_path):
    import torch

    from deepjive import DeepJIVE

    def factories(width):
        def encoder(shape, rank):
            return torch.nn.Sequential(torch.nn.Linear(shape[0], width), torch.nn.Linear(width, rank))

        return encoder, lambda shape, rank: torch.nn.Linear(rank, shape[0])

    deep = DeepJIVE(
        joint_rank=1, individual_ranks=1, networks=factories(3), max_epochs=1, batch_size=32, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch is too few, and says so
        deep.fit(data)
    deep.save(tmp_path / "deep")
    for wrong in (factories(4), "dense", "no such networks"):
        with pytest.raises(
            ModelFolderError, match=r"could not be made with the networks that was passed: .*Pass what it"
        ):
            load(tmp_path / "deep", networks=wrong)
    np.testing.assert_array_equal(load(tmp_path / "deep", networks=factories(3)).transform(data), deep.transform(data))
