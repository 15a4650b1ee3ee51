"""Variation shared by some of three or more modalities: structure and accuracy on simulations.

    python benchmarks/subsets.py                       # linear simulations, 20 seeds
    python benchmarks/subsets.py --null                # the same fit where nothing is shared by some, 20 seeds
    python benchmarks/subsets.py --curved 5            # curved relations with DeepJIVE, 5 seeds

**Simulations.** Scores of every subset are normal; in each modality they have random orthonormal loadings, and the
noise has the variance of the signal (signal-to-noise 1). The first setting is that of SLIDE's paper. A structure is
right if the ranks of all subsets and all individual ranks are the true ones. The error of a part is its squared error
over its squared length, the mean over subsets and modalities. AJIVE with subsets is compared with AJIVE without them,
and with BIDIFAC+: the parts of all subsets have nuclear norms as penalties, and their singular values are lowered in
turn by ``sqrt(n) + sqrt(d)`` times the noise's standard deviation, for d features of the subset. BIDIFAC+ is given the
true noise. MOFA is compared where its package mofapy2 is installed (``pip install deepjive[peers]``) and there are
three modalities of 100 samples. A factor belongs to the modalities of which it explains at least 1%. MOFA starts with
`FACTORS` factors, more than there are, and drops those that explain less than 1% of every modality.

Sources:

- Gaynanova and Li 2019, Structural learning and integrative decomposition of multi-view data, Biometrics 75: SLIDE and
  its simulation.
- Lock, Park, Hoadley 2022, Bidimensional linked matrix factorization for pan-omics pan-cancer analysis, Annals of
  Applied Statistics 16: BIDIFAC+.
- Argelaguet et al. 2020, MOFA+, Genome Biology 21.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import itertools
import time
from collections.abc import Callable, Mapping

import numpy as np

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.experiments.omics.mofa import fit_mofa, is_installed
from deepjive.experiments.results import mean_and_sd
from result_tables import ResultTable, add_json_option, write_tables

MOST_FOR_BIDIFAC = 100  # samples; its many singular value decompositions take minutes of more
FACTORS = 25  # at the start
Part = tuple[tuple[str, ...], str]
THREE = ("a", "b", "c")
EVERY = {subset: 2 for size in (3, 2, 1) for subset in itertools.combinations(THREE, size)}
SETTINGS: dict[str, dict] = {
    "rank 2 in all 7 subsets (SLIDE)": {"ranks": EVERY},
    "the same, n 300": {"ranks": EVERY, "n": 300},
    "unequal ranks": {
        "ranks": {THREE: 3, ("a", "b"): 1, ("a", "c"): 2, ("b", "c"): 1, ("a",): 2, ("b",): 1, ("c",): 3}
    },
    "energies from 0.7 to 1.4": {"ranks": EVERY, "n": 200, "energies": (0.7, 1.4)},
    "empty subsets": {"ranks": {THREE: 2, ("a", "b"): 2, ("c",): 3}},
    "4 modalities, n 200": {
        "n": 200,
        "ranks": {
            ("a", "b", "c", "d"): 2,
            ("a", "b", "c"): 2,
            ("b", "c", "d"): 1,
            ("a", "d"): 2,
            ("c", "d"): 1,
            ("a",): 2,
            ("b",): 2,
        },
    },
    "nothing shared": {"ranks": {("a",): 3, ("b",): 3, ("c",): 3}},
    "all shared by all": {"ranks": {THREE: 3, ("a",): 1, ("b",): 2}},
}


def simulate(
    seed: int,
    *,
    ranks: Mapping[tuple[str, ...], int],
    n: int = 100,
    width: int = 100,
    energies: tuple[float, float] = (1.0, 1.0),
) -> tuple[dict[str, np.ndarray], dict[Part, np.ndarray], float]:
    """Return modalities, their true parts, and the standard deviation of the noise."""
    rng = np.random.default_rng(seed)
    names = sorted({name for subset in ranks for name in subset})
    scores = {subset: np.linalg.qr(_centred(rng.normal(size=(n, rank))))[0] for subset, rank in ranks.items()}
    data, parts = {}, {}
    for name in names:
        for subset, rank in ranks.items():
            if name in subset:
                loadings = np.linalg.qr(rng.normal(size=(width, rank)))[0]
                parts[subset, name] = scores[subset] * rng.uniform(*energies, size=rank) @ loadings.T
        signal = sum(part for (_, other), part in parts.items() if other == name)
        noise = rng.normal(size=(n, width))
        scale = np.linalg.norm(noise) / np.linalg.norm(signal)
        parts = {key: part * scale if key[1] == name else part for key, part in parts.items()}
        data[name] = signal * scale + noise
    return data, parts, 1.0


def _centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=0)


def estimated(model, data: Mapping[str, np.ndarray]) -> dict[Part, np.ndarray]:
    """Return the parts that a model finds, without the mean; individual parts as subsets of one modality."""
    found = model.decompose(data)
    parts = {(tuple(data), name): found.joint[name] - found.mean[name] for name in data}
    parts |= {((name,), name): found.individual[name] for name in data}
    return parts | {(subset, name): part[name] for subset, part in found.subset.items() for name in subset}


def bidifac(data: Mapping[str, np.ndarray], noise: float, rounds: int = 50) -> dict[Part, np.ndarray]:
    """Return the parts of all subsets by BIDIFAC+."""
    names = list(data)
    subsets = [subset for size in range(len(names), 0, -1) for subset in itertools.combinations(names, size)]
    parts = {(subset, name): np.zeros_like(data[name]) for subset in subsets for name in subset}
    left = {name: _centred(x) for name, x in data.items()}
    for _ in range(rounds):
        change = 0.0
        for subset in subsets:
            target = np.concatenate([left[name] + parts[subset, name] for name in subset], axis=1)
            shrunk = _shrunk(target, noise)
            for name, block in zip(subset, np.split(shrunk, len(subset), axis=1), strict=True):
                change = max(change, float(np.abs(block - parts[subset, name]).max()))
                left[name] = left[name] + parts[subset, name] - block
                parts[subset, name] = block
        if change < 1e-2 * noise:
            break
    return parts


def _shrunk(x: np.ndarray, noise: float) -> np.ndarray:
    """Return a matrix whose singular values are lowered by those of the noise."""
    squares, u = np.linalg.eigh(x @ x.T)
    values = np.sqrt(np.maximum(squares, 1e-300))
    lowered = np.maximum(values - noise * (np.sqrt(x.shape[0]) + np.sqrt(x.shape[1])), 0.0)
    return (u * (lowered / values)) @ (u.T @ x)


def mofa(data: Mapping[str, np.ndarray], seed: int) -> tuple[dict[Part, np.ndarray], dict[tuple[str, ...], int]]:
    """Return the parts of all subsets by MOFA, and the number of factors of each subset."""
    centred = {name: _centred(x) for name, x in data.items()}
    model = fit_mofa(centred, seed, FACTORS)
    factors = model.factors(centred)
    parts: dict[Part, np.ndarray] = {}
    ranks: dict[tuple[str, ...], int] = {}
    for k, held in enumerate(np.stack([model.held[name] for name in data], axis=1)):
        subset = tuple(name for name, is_held in zip(data, held, strict=True) if is_held)
        ranks[subset] = ranks.get(subset, 0) + 1
        for name in subset:
            part = np.outer(factors[:, k], model.weights[name][:, k])
            parts[subset, name] = parts.get((subset, name), 0.0) + part
    return parts, {subset: rank for subset, rank in ranks.items() if subset}


def errors(parts: Mapping[Part, np.ndarray], truth: Mapping[Part, np.ndarray], count: int) -> dict[str, float]:
    """Return the mean relative squared error of joint parts, of parts of subsets, and of individual parts."""
    by_kind: dict[str, list[float]] = {"joint": [], "subsets": [], "individual": []}
    for (subset, name), part in truth.items():
        kind = "joint" if len(subset) == count else "individual" if len(subset) == 1 else "subsets"
        guess = parts.get((subset, name), np.zeros_like(part))
        by_kind[kind].append(float(np.sum((guess - part) ** 2) / np.sum(part**2)))
    return {kind: float(np.mean(values)) for kind, values in by_kind.items() if values}


def linear(seeds: range, table: ResultTable, write: Callable[[], None]) -> None:
    """Measure the linear simulations."""
    for title, setting in SETTINGS.items():
        rows: dict[str, list[dict[str, float]]] = {}
        right: dict[str, list[bool]] = {"AJIVE with subsets": []}
        for seed in seeds:
            data, truth, noise = simulate(seed, **setting)
            plain = AJIVE(random_state=0).fit(data)
            model = AJIVE(subsets="auto", random_state=0).fit(data)
            ranks = {**model.subset_ranks_, **{(name,): rank for name, rank in model.individual_ranks_.items()}}
            found_ranks = {key: rank for key, rank in ranks.items() if rank}
            right["AJIVE with subsets"].append(found_ranks == setting["ranks"])
            methods = {"AJIVE with subsets": estimated(model, data), "AJIVE": estimated(plain, data)}
            if len(data["a"]) <= MOST_FOR_BIDIFAC:
                methods["BIDIFAC+"] = bidifac(data, noise)
                if is_installed():
                    methods["MOFA"], ranks = mofa(data, seed)
                    right.setdefault("MOFA", []).append(ranks == setting["ranks"])
            for method, parts in methods.items():
                rows.setdefault(method, []).append(errors(parts, truth, len(data)))
        for method, found in rows.items():
            means = [_mean([row[kind] for row in found if kind in row]) for kind in ("joint", "subsets", "individual")]
            exact = f"{sum(right[method])} of {len(right[method])}" if method in right else None
            table.add(title, method, exact, *means)
            print(title, method, exact, means, flush=True)
        write()


def without_subsets(seeds: range, table: ResultTable) -> None:
    """Compare fits with and without subsets where no subset of some modalities has variation of its own."""
    for title, kind in itertools.product(("nothing shared", "all shared by all"), (AJIVE, DeepJIVE)):
        same, seconds = [], []
        for seed in seeds:
            data, _, _ = simulate(seed, **SETTINGS[title])
            started = time.process_time()
            plain = kind(random_state=0).fit(data)
            middle = time.process_time()
            model = kind(subsets="auto", random_state=0).fit(data)
            seconds.append((middle - started, time.process_time() - middle))
            same_ranks = plain.individual_ranks_ == model.individual_ranks_
            same.append(same_ranks and np.array_equal(plain.joint_scores_, model.joint_scores_))
        times = np.median(seconds, axis=0)
        table.add(title, kind.__name__, f"{sum(same)} of {len(same)}", float(times[0]), float(times[1]))
        print(*table.rows[-1], flush=True)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def curved(seed: int, n: int = 600, width: int = 30) -> tuple[dict[str, np.ndarray], dict[Part, np.ndarray]]:
    """Return modalities in which sinusoids of scores of subsets are features, and the true parts."""
    rng = np.random.default_rng(seed)
    ranks = {THREE: 1, ("a", "b"): 1, ("c",): 1}
    scores = {subset: rng.uniform(-1, 1, size=(n, rank)) for subset, rank in ranks.items()}
    data, parts = {}, {}
    for name in THREE:
        for subset in ranks:
            if name in subset:
                rates, phases = rng.uniform(0.5, 3.0, width), rng.uniform(0, 2 * np.pi, width)
                part = _centred(np.sin(scores[subset] * rates + phases))
                parts[subset, name] = part / part.std()
        data[name] = sum(part for (_, other), part in parts.items() if other == name)
        data[name] = data[name] + 0.5 * data[name].std() * rng.normal(size=(n, width))
    return data, parts


def deep(seeds: range, table: ResultTable, write: Callable[[], None]) -> None:
    """Measure curved relations; ranks are chosen from the data, and errors are those of held-out samples."""
    right = {THREE: 1, ("a", "b"): 1}
    found: dict[str, list[tuple[bool, list[float]]]] = {}
    for seed in seeds:
        data, truth = curved(seed)
        n = len(data["a"]) * 2 // 3
        whole = Modalities(data)
        train, test = whole[:n], whole[n:]
        held_out = {key: part[n:] for key, part in truth.items()}
        for method, model in {
            "DeepJIVE with subsets": DeepJIVE(subsets="auto", random_state=0),
            "DeepJIVE": DeepJIVE(random_state=0),
            "AJIVE with subsets": AJIVE(subsets="auto", random_state=0),
        }.items():
            model.fit(train)
            ranks = {subset: rank for subset, rank in getattr(model, "subset_ranks_", {}).items() if rank}
            individual = list(model.individual_ranks_.values())
            of_parts = errors(estimated(model, test), held_out, 3)
            values = [float(of_parts[kind]) for kind in ("joint", "subsets", "individual")]
            found.setdefault(method, []).append((ranks == right and individual == [0, 0, 1], values))
            print(seed, method, _in_words(ranks), individual, *values, flush=True)
    for method, cells in found.items():
        exact = f"{sum(is_right for is_right, _ in cells)} of {len(cells)}"
        spread = [mean_and_sd(column) for column in zip(*(values for _, values in cells), strict=True)]
        table.add(method, exact if method != "DeepJIVE" else None, *spread)
    write()


def _in_words(ranks: Mapping[tuple[str, ...], int]) -> str:
    return ", ".join(f"{'+'.join(subset)} {rank}" for subset, rank in ranks.items() if rank) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--null", action="store_true", help="time and ranks where nothing is shared by some, instead")
    parser.add_argument("--curved", type=int, default=0, metavar="SEEDS", help="curved relations instead")
    add_json_option(parser)
    arguments = parser.parse_args()
    kinds = ("joint error", "error of subsets", "individual error")
    structure = ResultTable(
        "subsets-linear",
        "Structure and relative squared error of the parts in simulations with signal-to-noise 1",
        ("simulation", "method", "structure right", *kinds),
    )
    null = ResultTable(
        "subsets-null",
        "Fits with and without subsets where no subset of some modalities has variation of its own",
        (
            "simulation",
            "method",
            "same ranks and joint scores",
            "CPU seconds without subsets",
            "CPU seconds with subsets",
        ),
    )
    bent = ResultTable(
        "subsets-curved",
        "Curved relations: whether all ranks are right, and relative squared errors of parts of held-out samples",
        ("method", "structure right", *kinds),
    )
    seeds = range(arguments.curved or arguments.seeds)
    sources = ["deepjive.linear", "deepjive.subsets"]
    sources += ["deepjive.deep"] if arguments.curved or arguments.null else []

    def write() -> None:
        write_tables(arguments.json, [structure, null, bent], sources=sources, seeds=seeds)

    if arguments.curved:
        deep(seeds, bent, write)
    elif arguments.null:
        without_subsets(seeds, null)
        write()
    else:
        linear(seeds, structure, write)


if __name__ == "__main__":
    main()
