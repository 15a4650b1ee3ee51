"""The training loop: when it stops, which weights it keeps, and which errors it raises."""

from __future__ import annotations

import copy
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch import nn

from deepjive import DeepJIVE, Runtime
from deepjive.data.modalities import Modalities
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep import estimator
from deepjive.deep.networks import Encoder
from deepjive.deep.training import one_piece
from deepjive.deep.training.averaging import MovingAverage
from deepjive.deep.training.batches import AHEAD, Batches, Scaling, read_ahead
from deepjive.deep.training.objective import IndividualPhase, JointPhase, phases_of
from deepjive.deep.training.one_piece import OnePiece
from deepjive.deep.training.optimizers import parameter_groups
from deepjive.deep.training.plateau import Plateau
from deepjive.deep.training.training import TrainingError, evaluate
from deepjive.progress import Progress, silent

from ..fitting import fitted


def test_plateau_halves_then_stops() -> None:
    plateau = Plateau(patience=2)
    verdicts = [plateau.verdict(epoch, value) for epoch, value in enumerate([1.0, 0.5, 0.6, 0.6, 0.6, 0.6], start=1)]
    assert verdicts == ["best", "best", "wait", "halve", "wait", "stop"]


def test_plateau_continues_when_halving_helped() -> None:
    plateau = Plateau(patience=1)
    verdicts = [plateau.verdict(epoch, value) for epoch, value in enumerate([1.0, 1.0, 0.5, 0.6, 0.6], start=1)]
    assert verdicts == ["best", "halve", "best", "halve", "stop"]


def test_plateau_keeps_the_start_unless_the_error_falls_by_the_margin() -> None:
    plateau = Plateau(patience=2, margin=0.1)
    assert [plateau.verdict(epoch, value) for epoch, value in enumerate([1.0, 0.95])] == ["best", "wait"]
    assert [plateau.verdict(epoch, value) for epoch, value in enumerate([0.85, 0.84], start=2)] == ["best", "best"]


def test_plateau_waits_while_the_error_falls_above_that_of_the_start() -> None:
    plateau = Plateau(patience=2)
    verdicts = [plateau.verdict(epoch, value) for epoch, value in enumerate([1.0, 1.5, 1.4, 1.3, 1.2, 1.1, 0.9])]
    assert verdicts == ["best", *["wait"] * 5, "best"]


def test_plateau_stops_when_the_error_no_longer_falls_above_that_of_the_start() -> None:
    plateau = Plateau(patience=2)
    verdicts = [plateau.verdict(epoch, value) for epoch, value in enumerate([1.0, 1.5, 1.4, 1.4, 1.4, 1.4, 1.4])]
    assert verdicts == ["best", "wait", "wait", "wait", "halve", "wait", "stop"]
    assert plateau.best_epoch == 0
    assert not plateau.improving(6)


def test_the_moving_average_replaces_the_weights_within_its_context_only() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = MovingAverage([layer.weight], decay=0.5)
    for value in (1.0, 3.0):
        nn.init.constant_(layer.weight, value)
        average.update()
    early = 1 - 2 / 11  # the first steps have more weight, since there is little past
    with average.applied():
        assert layer.weight.item() == pytest.approx(early + (1 - 3 / 12) * (3 - early))
    assert layer.weight.item() == 3.0


@pytest.mark.parametrize("most", [0, 2**20])
def test_an_update_of_weights_in_one_piece_is_an_update_of_each(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_piece, "MOST_NUMBERS", most)
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 5))
    twin = copy.deepcopy(layers)
    groups = [{"params": [layers[0].weight], "weight_decay": 0.5}, {"params": [*layers.parameters()][1:]}]
    optimizer = torch.optim.AdamW(groups, 0.1)
    piece = OnePiece(optimizer)
    assert len(optimizer.param_groups[1]["params"]) == (1 if most else 3)
    twins = [{"params": [twin[0].weight], "weight_decay": 0.5}, {"params": [*twin.parameters()][1:]}]
    plain = torch.optim.AdamW(twins, 0.1)
    for _ in range(5):
        for module in (layers, twin):
            (module(x) - x).square().mean().backward()
        optimizer.step()
        piece.clear()
        plain.step()
        plain.zero_grad()
    piece.release()
    for weight, other in zip(layers.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(weight, other)
        assert weight.grad is None
        assert weight.untyped_storage().nbytes() == weight.numel() * 4


def test_linear_maps_of_very_many_inputs_have_smaller_learning_rates() -> None:
    encoder = Encoder("dense", (4000,), 2)
    rates = {id(weight): group["lr"] for group in parameter_groups(encoder, 0.1, 1e-2) for weight in group["params"]}
    assert len(rates) == len(list(encoder.parameters()))
    first, *_, last = (layer for layer in encoder.correction.modules() if isinstance(layer, nn.Linear))
    assert rates[id(encoder.linear.weight)] == rates[id(first.weight)] == pytest.approx(1e-2 / 4)
    assert {rates[id(weight)] for weight in (encoder.linear.bias, first.bias, last.weight)} == {1e-2}


def test_weight_decay_is_for_nonlinear_corrections_only() -> None:
    encoder = Encoder("dense", (4000,), 2)
    decays = {
        id(weight): group["weight_decay"]
        for group in parameter_groups(encoder, 0.1, 1e-2)
        for weight in group["params"]
    }
    linear = {id(weight) for weight in encoder.linear.parameters()}
    assert {decays[key] for key in linear} == {0.0}
    assert {decays[key] for key in decays.keys() - linear} == {0.1}


def test_same_seed_gives_the_same_model_and_leaves_the_global_seed_alone(small: Synthetic) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = fitted(small.data, max_epochs=3).transform(small.data)
    assert torch.rand(1) == expected
    np.testing.assert_array_equal(first, fitted(small.data, max_epochs=3).transform(small.data))


def test_another_seed_gives_another_model(small: Synthetic) -> None:
    first = fitted(small.data, max_epochs=3).transform(small.data)
    assert not np.array_equal(first, fitted(small.data, max_epochs=3, random_state=1).transform(small.data))


def test_history_has_a_row_for_every_epoch_and_names_its_terms(model: DeepJIVE) -> None:
    history = model.history_
    assert {len(column) for column in history.values()} == {len(history["epoch"])}
    assert list(dict.fromkeys(history["phase"])) == ["joint", "individual", "refinement"]
    assert {"train_prediction", "validation_reconstruction", "train_orthogonality", "learning_rate"} <= set(history)


def test_a_warning_says_that_max_epochs_ended_training_too_early(small: Synthetic) -> None:
    with pytest.warns(ConvergenceWarning, match="max_epochs=2"):
        DeepJIVE(joint_rank=1, individual_ranks=1, networks="dense", max_epochs=2, random_state=0).fit(small.data)


def test_the_error_of_a_loss_that_is_not_finite_names_modality_and_epoch(small: Synthetic) -> None:
    with pytest.raises(TrainingError, match=r"epoch \d+ of the joint phase; modality 'modality_\d'.*learning_rate"):
        fitted(small.data, learning_rate=1e18, max_epochs=50)


def test_training_ends_with_the_best_weights(small: Synthetic) -> None:
    """With a learning rate so high that errors rise, the fitted model has the error of the best epoch."""
    model = fitted(small.data, 1, 0, max_epochs=6, learning_rate=0.1, networks="dense")  # later epochs are chaotic
    errors = model.history_["validation_prediction"]
    assert errors[-1] > 1.01 * min(errors)
    phase = JointPhase(model.network_, 1.0)
    order = torch.randperm(len(small.data), generator=torch.Generator().manual_seed(seed_of(0)))
    batches = Batches(small.data, Scaling(model.mean_, model.scale_), torch.device("cpu"))
    terms = evaluate(phase, batches, order[: round(0.1 * len(small.data))], 32)
    assert terms["prediction"] <= (1 + 1e-5) * min(errors)  # rounding; the start may be better than every epoch


def seed_of(random_state: int) -> int:
    """The seed that `fit` draws from random_state."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def test_data_too_large_for_memory_are_read_in_batches_with_the_same_values(small: Synthetic) -> None:
    scaling, device = Scaling.of(small.data), torch.device("cpu")
    rows = torch.randperm(len(small.data))
    in_memory = Batches(small.data, scaling, device)
    read = Batches(small.data, scaling, device, memory_limit=0)
    assert (in_memory.in_memory, read.in_memory) == (True, False)
    for (x, _), (read_x, _) in zip(in_memory(rows, 50), read(rows, 50), strict=True):
        for x_k, read_x_k in zip(x, read_x, strict=True):
            torch.testing.assert_close(x_k, read_x_k)


def test_scaling_has_double_precision_and_ignores_samples_that_lack_the_modality() -> None:
    x = np.random.default_rng(0).normal(5.0, 3.0, size=(3000, 4)).astype(np.float32)
    present = np.ones((3000, 2), dtype=bool)
    present[2000:, 0] = False
    scaling = Scaling.of(Modalities({"a": x, "b": x}, present=present))
    # the data are in single precision
    np.testing.assert_allclose(scaling.mean["a"], x[:2000].mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(scaling.scale["b"], (x - x.mean(0)).std(), rtol=1e-4)


@pytest.mark.parametrize(
    ("store", "orthogonality"), [("npy", "adversary"), ("h5", "regression"), ("zarr", "regression")]
)
def test_the_same_seed_gives_the_same_weights_from_disk_and_in_memory(
    small: Synthetic, tmp_path: Path, store: str, orthogonality: str
) -> None:
    """Bit for bit, although learned constraints, noise and dropout draw random numbers in training."""
    paths = {name: _stored(tmp_path / f"{name}.{store}", array) for name, array in small.data.items()}
    settings = {"max_epochs": 2, "dropout": 0.1, "orthogonality": orthogonality, "networks": "dense"}
    from_disk = fitted(Modalities(paths), runtime=Runtime(memory_limit=0), **settings)
    for key, weight in fitted(small.data, **settings).network_.state_dict().items():
        assert torch.equal(weight, from_disk.network_.state_dict()[key])
    for name, truth in small.data.items():
        np.testing.assert_array_equal(Modalities(paths).rows(name, [3, 1]), np.asarray(truth)[[3, 1]])


def _stored(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".h5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["x"] = array
    else:
        zarr = pytest.importorskip("zarr")
        zarr.create_array(path, shape=array.shape, dtype=array.dtype, chunks=(16, array.shape[1]))[:] = array
    return path


def test_batches_are_read_ahead_a_few_at_a_time_and_in_order() -> None:
    read: list[int] = []

    def read_piece(piece: int) -> int:
        read.append(piece)
        return piece * 10

    batches = read_ahead(read_piece, range(50))
    assert [next(batches) for _ in range(3)] == [0, 10, 20]
    assert len(read) <= 3 + AHEAD
    assert list(batches) == [10 * piece for piece in range(3, 50)]


def test_an_error_of_the_reading_thread_is_raised_where_the_batch_is_used() -> None:
    def read_piece(piece: int) -> int:
        if piece == 3:
            raise FileNotFoundError("x.npy")
        return piece

    batches = read_ahead(read_piece, range(50))
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FileNotFoundError, match=r"x\.npy"):
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("deepjive-reader")]


def test_pages_of_a_mapped_file_do_not_stay_in_memory(tmp_path: Path) -> None:
    scaling = Scaling({name: np.zeros(4000) for name in "ab"}, dict.fromkeys("ab", 1.0))
    mapped = []
    for n in (50, 2000):  # in the first round PyTorch loads its own files; the second array has 32 MB
        np.save(tmp_path / f"{n}.npy", np.zeros((n, 4000), dtype=np.float32))
        data = Modalities({"a": tmp_path / f"{n}.npy", "b": tmp_path / f"{n}.npy"})
        for _ in Batches(data, scaling, torch.device("cpu"), memory_limit=0)(torch.randperm(n), 50):
            pass
        mapped.append(_mapped_kib())
    assert mapped[1] - mapped[0] < 4000  # KiB: an eighth of the second array


def _mapped_kib() -> int:
    """Memory in KiB that pages of files take in this process, as Linux counts it."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")
    return int(re.search(r"RssFile:\s*(\d+)", status.read_text()).group(1))


def test_the_history_is_also_written_for_tensorboard(small: Synthetic, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = fitted(small.data, max_epochs=2, runtime=Runtime(log=str(tmp_path)))
    events = EventAccumulator(str(tmp_path)).Reload()
    scalars = events.Scalars("refinement/validation_reconstruction")
    assert [scalar.step for scalar in scalars] == [5, 6]
    expected = model.history_["validation_reconstruction"][4:]
    # TensorBoard stores single precision
    np.testing.assert_allclose([scalar.value for scalar in scalars], expected, rtol=1e-6)


@pytest.mark.parametrize(("orthogonality", "refinement"), [("regression", [0, 1, 2, 2]), ("adversary", [2, 2, 2, 2])])
def test_the_weight_of_a_learned_penalty_rises_and_that_of_an_adversary_only_once(
    small: Synthetic, orthogonality: str, refinement: list[float]
) -> None:
    history = fitted(small.data, max_epochs=4, orthogonality=orthogonality, orthogonality_weight=2.0).history_
    losses = ("prediction", "decoding", "agreement", "reconstruction", orthogonality)
    weights: dict[str, list[float]] = {}
    for i, phase in enumerate(history["phase"]):
        penalty = history["train_total"][i] - np.nansum([history[f"train_{name}"][i] for name in losses])
        weights.setdefault(phase, []).append(penalty / history["train_orthogonality"][i])
    # means of terms in single precision, subtracted from each other and divided by a small penalty
    np.testing.assert_allclose(weights["individual"], [0, 1, 2, 2], atol=2e-3)
    np.testing.assert_allclose(weights["refinement"], refinement, atol=2e-3)


def test_the_validation_error_includes_an_adversarys_penalty_and_the_untrained_adversary_judges_no_start(
    small: Synthetic,
) -> None:
    """With an adversary, the reconstruction error alone is lowest while the adversary is untrained."""
    terms = {"prediction": 1.0, "reconstruction": 0.5, "orthogonality": 0.1}
    for orthogonality, error, judged in (
        ("adversary", 1.0, False),
        ("regression", 0.5, True),
        ("closed_form", 0.5, True),
    ):
        network = fitted(small.data, max_epochs=1, orthogonality=orthogonality).network_
        joint, individual, refinement = phases_of("joint_first", network, 1.0, 5.0)
        assert individual.error(terms) == pytest.approx(error)
        assert refinement.error(terms) == pytest.approx(1.0 + error)
        assert joint.error({"prediction": 1.0}) == 1.0
        assert (individual.judges_the_start, refinement.judges_the_start) == (judged, True)
        assert phases_of("published", network, 1.0, 5.0)[0].judges_the_start is judged


def test_verbose_shows_phase_epoch_and_validation_error(small: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int | None, str]] = []

    @contextmanager
    def recording_bar(visible: bool) -> Iterator[Progress]:
        yield (lambda done, total, message: calls.append((done, total, message))) if visible else silent

    monkeypatch.setattr(estimator, "progress_bar", recording_bar)
    history = fitted(small.data, max_epochs=2, verbose=1).history_
    error = history["validation_prediction"][1]
    assert calls[1] == (2, 2, f"joint phase, epoch 2, validation error {error:.3f}")
    assert len(calls) == len(history["epoch"])
    fitted(small.data, max_epochs=2)
    assert len(calls) == len(history["epoch"])


@pytest.mark.parametrize("lacking", [False, True])
def test_what_joint_parts_leave_is_computed_once_and_is_the_same(
    lacking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The individual phase holds joint parts fixed, so computing them once changes nothing but the time."""
    data = make_synthetic(80, (30, 20), noise=0.5, random_state=0).data
    if lacking:
        present = np.ones((80, 2), dtype=bool)
        present[:15, 1] = False
        data = Modalities({name: data[name] for name in data.names}, present=present)

    def fit(has_room: bool) -> tuple[DeepJIVE, int]:
        calls = []
        compute = IndividualPhase._targets_and_joint_scores
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            patch.setattr(IndividualPhase, "_targets_and_joint_scores", lambda *a: calls.append(1) or compute(*a))
            if not has_room:
                patch.setattr(Batches, "with_more", lambda self, _: self)
            settings = {"joint_rank": 1, "individual_ranks": 1, "networks": "dense", "max_epochs": 4}
            return DeepJIVE(**settings, random_state=0).fit(data), len(calls)

    (once, n_once), (anew, n_anew) = fit(True), fit(False)
    assert n_once == 1 < n_anew
    # sums over batches of different sizes are rounded differently
    for name, scores in once.individual_scores_.items():
        np.testing.assert_allclose(scores, anew.individual_scores_[name], atol=1e-3)
