"""The benchmarks of `suite.py`: data, what is timed, the arithmetic that it cannot do without, and what it gives.

Every benchmark has fixed data for a seed. `run` is timed. `floor` is arithmetic on the same data that every program of
this kind needs, or a part of the same computation, so that a ratio says more than seconds, which depend on the machine.
`quality` are the numbers that a faster program must not change.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Measures = Mapping[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Attributes
    ----------
    what : str
        What is timed, in words.
    make : callable
        Returns the data of a seed.
    run : callable
        What is timed: a function of the data and the seed.
    quality : callable
        The numbers that must stay, as a function of the result of `run` and of the data.
    floor : callable or None
        The arithmetic that `run` is compared with, as a function of the data.
    floor_in_words : str
        What the floor is.
    most : float
        The CPU seconds that `run` should not exceed on one core; infinity if there is no such number.
    is_long : bool
        Whether it takes minutes, and only runs if it is named or with ``--long``.
    """

    what: str
    make: Callable[[int], Any]
    run: Callable[[Any, int], Any]
    quality: Callable[[Any, Any], Measures]
    floor: Callable[[Any], Any] | None = None
    floor_in_words: str = ""
    most: float = np.inf
    is_long: bool = False


def _synthetic(n: int, *widths: int, nonlinear: bool = False) -> Callable[[int], Any]:
    """Data with one joint score, one individual score per modality, and half as much noise as signal."""

    def make(seed: int) -> Any:
        make_synthetic = _found("make_synthetic", "datasets.synthetic")
        return make_synthetic(n, widths or (100, 100), noise=0.5, nonlinear=nonlinear, random_state=seed)

    return make


def _fit(simulated: Any, seed: int) -> Any:
    from deepjive import DeepJIVE

    return DeepJIVE(joint_rank=1, individual_ranks=1, random_state=seed).fit(simulated.data)


def _recovery(model: Any, simulated: Any) -> Measures:
    r2 = _found("r2", "evaluation.recovery")
    parts, names = model.decompose(simulated.data), simulated.data.names
    return {
        part: float(np.mean([r2(getattr(simulated, part)[name], getattr(parts, part)[name]) for name in names]))
        for part in ("joint", "individual")
    } | {"epochs": sum(epoch > 0 for epoch in model.history_["epoch"])}


def _svds(count: int) -> Callable[[Any], Any]:
    """So many singular value decompositions of every modality."""

    def floor(simulated: Any) -> None:
        for _ in range(count):
            for x in simulated.data.values():
                np.linalg.svd(np.asarray(x) - np.mean(x, axis=0), full_matrices=False)

    return floor


def _select(simulated: Any, seed: int) -> Any:
    from deepjive import DeepJIVE

    return DeepJIVE(random_state=seed).select_ranks(simulated.data)


def _ranks(selection: Any, _: Any) -> Measures:
    return {"ranks": str((selection.joint_rank, *selection.individual_ranks.values()))}


def _ajive(simulated: Any, seed: int) -> Any:
    from deepjive import AJIVE

    return AJIVE(signal_ranks=2, n_wedin=1000, n_random=1000, random_state=seed).fit(simulated.data)


def _ajive_floor(simulated: Any) -> None:
    """Gram matrix, eigendecomposition and loadings of every modality."""
    for x in simulated.data.values():
        _, vectors = np.linalg.eigh(np.asarray(x) @ np.asarray(x).T)
        vectors[:, -2:].T @ np.asarray(x)


def _ajive_of(simulated: Any) -> Any:
    return _ajive(simulated, 0)


def _centred(simulated: Any) -> dict[str, Any]:
    return {name: np.asarray(x) - np.mean(x, axis=0) for name, x in simulated.data.items()}


def _mofa(simulated: Any, seed: int) -> Any:
    from deepjive.experiments.omics.mofa import fit_mofa

    return fit_mofa(_centred(simulated), seed)


def _factors(model: Any, _: Any) -> Measures:
    return {"joint factors": int(model.joint.sum()), "factors": len(model.joint)}


def _gcca(simulated: Any, seed: int) -> Any:
    from cca_zoo.linear import GCCA

    return GCCA(n_components=1, shrinkage=0.1).fit(list(_centred(simulated).values()))


def _with_gaps(seed: int) -> Any:
    """3000 samples of 2000 and 60 features, of which a tenth of the values are missing."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(3000, 3))
    arrays, truth = {}, {}
    for name, width in (("wide", 2000), ("narrow", 60)):
        own = rng.normal(size=(3000, 2))
        signal = scores @ rng.normal(size=(3, width)) + own @ rng.normal(size=(2, width))
        truth[name] = signal
        arrays[name] = signal + 2.0 * rng.normal(size=signal.shape)
        arrays[name][rng.random(signal.shape) < 0.1] = np.nan
    return arrays, truth


def _impute(data: Any, seed: int) -> Any:
    from deepjive import AJIVE

    return AJIVE(signal_ranks=5, joint_rank=3, missing="impute", n_wedin=0, n_random=0, random_state=seed).fit(data[0])


def _impute_quality(model: Any, data: Any) -> Measures:
    parts = model.decompose(data[0])
    error = [
        float(np.mean((data[1][name] - parts.joint[name] - parts.individual[name])[np.isnan(data[0][name])] ** 2))
        for name in data[0]
    ]
    return {f"squared error of {name}": round(value, 5) for name, value in zip(data[0], error, strict=True)}


def _impute_floor(data: Any) -> None:
    """Twenty iterations of the leading vectors of both modalities."""
    for x in data[0].values():
        x = np.nan_to_num(x)
        vectors = x[:10].T
        for _ in range(20):
            vectors, _ = np.linalg.qr(x.T @ (x @ vectors))


def _two_modalities(n: int, width: int) -> Callable[[int], Any]:
    """Modalities of 3 joint and 2 individual scores each, and an AJIVE of the same ranks."""

    def make(seed: int) -> Any:
        from deepjive import AJIVE

        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(n, 3))
        arrays = {}
        for name in ("first", "second"):
            loadings = rng.normal(size=(3, width)) * (rng.random(width) < 0.3)
            own = rng.normal(size=(n, 2)) @ rng.normal(size=(2, width))
            arrays[name] = scores @ loadings + own + 2.0 * rng.normal(size=(n, width))
        ranks: dict[str, Any] = {"signal_ranks": 5, "joint_rank": 3, "n_wedin": 0, "n_random": 0}
        return AJIVE(**ranks, random_state=seed).fit(arrays), arrays

    return make


def _jackstraw(data: Any, seed: int) -> Any:
    return _found("jackstraw", "linear.permutation")(data[0], data[1], "first", n_repeats=50, random_state=seed)


def _features_found(test: Any, _: Any) -> Measures:
    return {"features found": int((test.q_values < 0.05).sum())}


def _jackstraw_floor(data: Any) -> None:
    """The products of scores and features of fifty repeats."""
    model, arrays = data
    scores = model.transform(arrays)
    for _ in range(50):
        scores.T @ arrays["first"]


def _evidence_data(seed: int) -> Any:
    simulated = _synthetic(300, 100, 80, nonlinear=True)(seed)
    return _fit(simulated, seed), simulated


def _evidence(data: Any, seed: int) -> Any:
    simulated = data[1]
    evidence = _found("evidence", "evaluation.evidence_study", "evaluation.evidence")
    labels = {"half": (simulated.joint_scores[:, 0] > 0).astype(int)}
    return evidence(data[0], simulated.data, labels, random_state=seed)


def _evidence_quality(result: Any, _: Any) -> Measures:
    return {"p of joint structure": result.joint_structure.p_value, "findings": len(result.findings)}


def _streamed(n: int, width: int) -> Callable[[int], Any]:
    """Two `.npy` files of float32."""

    def make(seed: int) -> Any:
        rng, folder = np.random.default_rng(seed), tempfile.TemporaryDirectory()
        loadings = rng.standard_normal((2, 5, width), dtype=np.float32)
        arrays = [np.lib.format.open_memmap(f"{folder.name}/{name}.npy", "w+", np.float32, (n, width)) for name in "ab"]
        for start in range(0, n, 2048):
            scores = rng.standard_normal((min(2048, n - start), 5), dtype=np.float32)
            for array, some in zip(arrays, loadings, strict=True):
                noise = rng.standard_normal((len(scores), width), dtype=np.float32)
                array[start : start + 2048] = np.tanh(scores @ some) + noise
        return folder

    return make


def _stream(folder: Any, seed: int) -> Any:
    from deepjive import DeepJIVE, Modalities, Runtime

    data = Modalities({name: Path(folder.name) / f"{name}.npy" for name in "ab"})
    runtime = Runtime(memory_limit=0)
    size: dict[str, Any] = {"joint_rank": 5, "individual_ranks": 0, "batch_size": 256, "max_epochs": 2}
    return DeepJIVE(**size, networks="dense", runtime=runtime, random_state=seed).fit(data)


def _stream_floor(folder: Any) -> None:
    """Read the files twice in random order, and multiply every batch with weights of the first layer and back."""
    weights = {name: np.zeros((1600, 256), np.float32) for name in "ab"}
    for _ in range(2):
        arrays = {name: np.load(f"{folder.name}/{name}.npy", mmap_mode="r") for name in "ab"}
        for rows in np.array_split(np.random.default_rng(0).permutation(len(arrays["a"])), len(arrays["a"]) // 256):
            for name, array in arrays.items():
                batch = array[np.sort(rows)]
                for _ in range(3):
                    weights[name] += 1e-9 * batch.T @ (batch @ weights[name])


def _last_error(model: Any, _: Any) -> Measures:
    history = model.history_
    key = "validation_prediction" if "validation_prediction" in history else "validation_reconstruction"
    return {"lowest validation error": float(np.nanmin(history[key])), "epochs": len(history["epoch"])}


def _volumes(seed: int) -> Any:
    return _found("make_phantom", "datasets.phantom")(24, 4.0, random_state=seed).data


def _volume_steps(data: Any, seed: int) -> Any:
    from deepjive import DeepJIVE

    size: dict[str, Any] = {"joint_rank": 2, "individual_ranks": 4, "max_epochs": 1, "batch_size": 8}
    return DeepJIVE(**size, learning_rate=1e-4, networks="conv", random_state=seed).fit(data)


def _volume_floor(data: Any) -> None:
    """Two convolutional autoencoders of PyTorch alone, an epoch of them in each of three phases."""
    import torch

    from deepjive.deep.networks import Decoder, Encoder

    for _ in range(3):
        for name in data.names:
            x = torch.as_tensor(np.asarray(data[name][:16], dtype=np.float32))
            encoder, decoder = Encoder("conv", x.shape[1:], 2), Decoder("conv", x.shape[1:], 2)
            for batch in x.split(8):
                torch.square(decoder(encoder(batch)) - batch).mean().backward()


def _noisy_mnist(seed: int) -> Any:
    """18,000 training and 2,000 held-out pairs of noisy MNIST."""
    load_digit_images = _found("load_digit_images", "experiments.digits.data.mnist", "datasets.mnist")
    same_class = _found("same_class", "experiments.digits.data.pairs", "datasets.pairs")
    pairs = same_class(load_digit_images(), (18_000, 100, 2_000), random_state=seed)
    return pairs.train, pairs.test


def _found(name: str, *modules: str) -> Any:
    """A function of deepjive, by the first of these modules that this version has."""
    for module in modules:
        try:
            return getattr(importlib.import_module(f"deepjive.{module}"), name)
        except ModuleNotFoundError:
            continue
    raise ImportError(f"deepjive has no {name}")


def _fit_digits(pairs: Any, seed: int) -> Any:
    from deepjive import DeepJIVE

    size: dict[str, Any] = {"joint_rank": 10, "individual_ranks": 10, "max_epochs": 2, "batch_size": 64}
    size |= {"orthogonality_weight": 0.1, "validation_fraction": 0.05}
    training = {"networks": _convolutional_encoders(), "dropout": 0.1, "learning_rate": 3e-3}
    return DeepJIVE(**size, **training, identity="explicit", random_state=seed).fit(pairs[0].data)


def _convolutional_encoders() -> Any:
    from deepjive.deep.networks import Decoder, Encoder

    return (
        lambda shape, rank: Encoder("conv", shape, rank, 0.1),
        lambda shape, rank: Decoder("dense", shape, rank, 0.1),
    )


def _digit_errors(model: Any, pairs: Any) -> Measures:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    train, test = pairs
    machine = make_pipeline(StandardScaler(), SVC(C=10)).fit(model.transform(train.data)[:6000], train.digit[:6000])
    return {"errors": float(np.mean(machine.predict(model.transform(test.data)) != test.digit))}


def _command(*words: str) -> Callable[[Any, int], Any]:
    """Run a command of deepjive in a process of its own; the result is the folder that it wrote."""

    def run(_: Any, seed: int) -> Any:
        folder = tempfile.TemporaryDirectory()
        command = [sys.executable, "-m", "deepjive", *words, "--seed", str(seed), "--out", f"{folder.name}/run"]
        process = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
        if process.returncode:
            raise RuntimeError(process.stderr[-2000:])
        return folder, process.stdout

    return run


def _shown(result: Any, _: Any) -> Measures:
    """The tables that a command printed."""
    lines = [line for line in result[1].splitlines() if any(character.isdigit() for character in line)]
    return {"printed": "\n".join(line.rstrip() for line in lines if len(line) < 220)}


def _nothing(seed: int) -> Any:
    return None


BENCHMARKS = {
    "fit-linear": Benchmark(
        "fit with ranks given, 1000 samples of 100 + 100 features, linear",
        *(_synthetic(1000), _fit, _recovery, _svds(10), "10 singular value decompositions of the data", 4.0),
    ),
    "fit-curved": Benchmark(
        "fit with ranks given, 1000 samples of 100 + 100 features, curved",
        *(_synthetic(1000, nonlinear=True), _fit, _recovery, _svds(10)),
        *("10 singular value decompositions of the data", 12.0),
    ),
    "ranks-linear": Benchmark(
        "rank search, 1000 samples of 100 + 100 features, linear",
        *(_synthetic(1000), _select, _ranks, _svds(10), "10 singular value decompositions of the data", 2.0),
    ),
    "ranks-curved": Benchmark(
        "rank search, 1000 samples of 100 + 100 features, curved",
        *(_synthetic(1000, nonlinear=True), _select, _ranks, _svds(10)),
        *("10 singular value decompositions of the data", 2.0),
    ),
    "ranks-wide": Benchmark(
        "rank search, 633 samples of 600 + 100 + 200 features",
        *(_synthetic(633, 600, 100, 200), _select, _ranks, _svds(10)),
        *("10 singular value decompositions of the data", 8.0),
    ),
    "wide": Benchmark(
        "fit with ranks given, 300 samples of 20,000 + 20,000 features, curved",
        *(_synthetic(300, 20_000, 20_000, nonlinear=True), _fit, _recovery, _ajive_floor),
        "Gram matrix, eigendecomposition and loadings",
    ),
    "ajive": Benchmark(
        "AJIVE with 1000 + 1000 draws, 500 samples of 2,000 + 20,000 features",
        *(_synthetic(500, 2_000, 20_000), _ajive, lambda model, _: {"joint rank": model.joint_rank_}, _ajive_floor),
        "Gram matrix, eigendecomposition and loadings",
    ),
    "impute": Benchmark(
        "AJIVE with missing='impute', 3,000 samples of 2,000 + 60 features",
        *(_with_gaps, _impute, _impute_quality, _impute_floor, "20 iterations of 10 leading vectors", 30.0),
    ),
    "jackstraw": Benchmark(
        "jackstraw of 50 repeats, 2,420 samples of 2,000 + 2,000 features",
        *(_two_modalities(2420, 2000), _jackstraw, _features_found, _jackstraw_floor),
        *("50 products of scores and features", 20.0),
    ),
    "streaming": Benchmark(
        "two epochs from disk, 20,000 samples of 1,600 + 1,600 features",
        *(_streamed(20_000, 1600), _stream, _last_error, _stream_floor, "reading, and 3 passes of the first layers"),
    ),
    "volumes": Benchmark(
        "an epoch of all phases, 24 volumes at 4 mm in 2 modalities",
        *(_volumes, _volume_steps, _last_error, _volume_floor, "2 plain autoencoders, 3 epochs"),
    ),
    "evidence": Benchmark(
        "evidence for a deep model, 300 samples of 100 + 80 features",
        *(_evidence_data, _evidence, _evidence_quality),
        floor=lambda data: _fit(data[1], 0),
        floor_in_words="one fit with ranks given",
        most=60.0,
        is_long=True,
    ),
    "demo": Benchmark("deepjive demo", _nothing, _command("demo"), _shown, most=25.0, is_long=True),
    "phantom": Benchmark(
        "the study of the phantom, 200 participants at 6 mm",
        *(_nothing, _command("reproduce", "adni", "--subjects", "200", "--voxel", "6"), _shown),
        most=40.0,
        is_long=True,
    ),
    "mofa": Benchmark(
        "another package: MOFA (mofapy2), the data of fit-linear",
        *(_synthetic(1000), _mofa, _factors, _ajive_of, "AJIVE of the same data"),
        is_long=True,
    ),
    "gcca": Benchmark(
        "another package: GCCA of one score (cca_zoo), the data of fit-linear",
        *(
            _synthetic(1000),
            _gcca,
            lambda model, _: {"scores": model.n_components},
            _ajive_of,
            "AJIVE of the same data",
        ),
        is_long=True,
    ),
    "noisy-mnist": Benchmark(
        "fit to 18,000 pairs of noisy MNIST, two epochs",
        *(_noisy_mnist, _fit_digits, _digit_errors),
        is_long=True,
    ),
}
