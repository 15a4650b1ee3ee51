"""Coverage of the bootstrap of covariation maps, on phantom cohorts with known truth.

    python benchmarks/bootstrap_maps.py --out runs/bootstrap --method ajive --draws 100 --thirds 3
    python benchmarks/bootstrap_maps.py --out runs/bootstrap --method ajive --draws 60 --cohorts 30
    python benchmarks/bootstrap_maps.py --out runs/bootstrap --method deepjive --draws 20     # an hour
    python benchmarks/bootstrap_maps.py --out runs/bootstrap --method ajive --draws 100 --thirds 3 --shuffled
    python benchmarks/bootstrap_maps.py --out runs/bootstrap --method deepjive --draws 20 --seeds 100 --spread

Each seed is a phantom with three times the participants. Each third is a cohort, to which the model is fitted and from
which bootstrap draws are taken. The true effect is the regression of the true joint part of the other two thirds on
their joint scores by the cohort's model. With `--cohorts` the phantoms of all seeds form one pool, and each cohort is
drawn from the pool. A voxel is nil where the standard deviation of the true joint part is less than a hundredth of its
maximum. `--spread` compares the standard errors of maps over refits from a linear start with those over refits from the
fitted weights, at the same draws. Finished measurements are kept in the folder and not repeated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.datasets import REGIONS, make_phantom
from deepjive.evaluation import BootstrapMap, BootstrapMaps, bootstrap_maps, false_discovery, shuffled
from deepjive.evaluation.refit import quietly
from deepjive.experiments.cells import Cell, measure_cells
from deepjive.imaging import mni_grid, sphere_distance
from result_tables import ResultTable, add_json_option, write_tables

NAMES = ("mri", "pet")
NIL = 0.01


def pool(folder: Path, seed: int, participants: int, voxel: float) -> dict[str, NDArray]:
    """A phantom and its true joint part, drawn once."""
    path = folder / f"phantom-{seed}-{participants}-{voxel:g}.npz"
    if not path.exists():
        phantom = make_phantom(3 * participants, voxel, random_state=seed)
        arrays: dict[str, Any] = {name: np.asarray(phantom.data[name]) for name in NAMES}
        arrays |= {f"true {name}": phantom.truth("joint", name).astype(np.float32) for name in NAMES}
        np.savez(path, mask=phantom.mask, stage=phantom.subjects["stage"].to_numpy(), **arrays)
    return dict(np.load(path))


def population(cell: Cell, folder: Path) -> dict[str, NDArray]:
    """The phantom of a cell, or those of all seeds together."""
    size = cell.data["participants"], cell.data["voxel"]
    pools = [pool(folder, seed, *size) for seed in cell.data.get("pool", [cell.seed])]
    joined = {key: np.concatenate([one[key] for one in pools]) for key in pools[0] if key != "mask"}
    return joined | {"mask": pools[0]["mask"]}


def estimator(method: str, max_epochs: int) -> Any:
    if method == "ajive":
        return AJIVE(signal_ranks=6, joint_rank=2, individual_ranks=4, n_wedin=0, n_random=0, random_state=0)
    return DeepJIVE(
        2, 4, max_epochs=max_epochs, batch_size=16, learning_rate=1e-3, dropout=0.2, random_state=0
    )  # as of Budget


def fitted(cell: Cell, known: dict[str, NDArray]) -> tuple[Any, Modalities, NDArray[np.intp], int]:
    """The model of a cohort, the cohort, those that were not fitted, and which score is the stage."""
    n = cell.data["participants"]
    rows = np.arange(len(known["stage"]))
    here = rows // n == cell.data["third"]
    if "pool" in cell.data:
        here = np.isin(rows, np.random.default_rng(cell.seed).permutation(rows)[:n])
    data = Modalities({name: known[name][here].astype(np.float32) for name in NAMES})
    if cell.data["shuffled"]:
        data = shuffled(data, np.random.RandomState(cell.seed))
    with quietly():
        model = estimator(cell.model["method"], cell.model["max_epochs"]).fit(data)
    likeness = [abs(np.corrcoef(score, known["stage"][here])[0, 1]) for score in model.transform(data).T]
    return model, data, rows[~here], int(np.argmax(likeness))


def measure(cell: Cell, folder: Path) -> dict[str, float]:
    known = population(cell, folder)
    model, data, others, component = fitted(cell, known)
    started = time.process_time()
    found = bootstrap_maps(model, data, component, cell.model["draws"], random_state=1, folder=folder / "draws")
    figures = {
        "seconds a draw (processor, of draws not kept)": (time.process_time() - started) / len(found.match),
        "match": float(found.match.mean()),
        "match, smallest": float(found.match.min()),
    }
    unseen = Modalities({name: known[name][others].astype(np.float32) for name in NAMES})
    scores = model.transform(unseen)
    scores = scores - scores.mean(axis=0)
    for name in NAMES:
        truth = known[f"true {name}"][others].astype(np.float64)
        slopes = np.tensordot(np.linalg.pinv(scores)[component], truth - truth.mean(axis=0), axes=1)
        figures |= against(found, name, slopes, truth.std(axis=0), known["mask"], cell.data["voxel"])
    return figures


def against(
    found: BootstrapMaps, name: str, truth: NDArray, varies: NDArray, mask: NDArray[np.bool_], voxel: float
) -> dict[str, float]:
    maps = found.of(name)
    nil = mask & (varies < NIL * varies[mask].max())
    significant = maps.q_value < 0.05
    error = maps.effect - truth
    limits = np.quantile(found.draws[name], (0.05, 0.95), axis=0)
    within = [
        (sphere_distance(mni_grid(voxel), centre) < 10) & mask
        for region in REGIONS.values()
        for centre in (region.left, region.right)
    ]
    regions = [(found.within(name, here), float(truth[here].mean())) for here in within if here.any()]
    covered = (maps.lower <= truth) & (truth <= maps.upper)
    figures = {
        "coverage of 90% intervals": covered[mask].mean(),
        "the same of percentile intervals": ((limits[0] <= truth) & (truth <= limits[1]))[mask].mean(),
        "coverage, regions": np.mean([low <= value <= high for (_, low, high), value in regions]),
        "coverage where nil": covered[nil].mean(),
        "bootstrap ratio alone, share significant": float(np.mean(_by_ratio(maps, len(found.match))[mask] < 0.05)),
        "significant": significant[mask].mean(),
        "significant where nil": significant[nil].mean(),
        "nil, share of the brain": nil[mask].mean(),
        "wrong sign or nil, of significant": (significant & (nil | (truth * maps.effect < 0)))[mask].sum()
        / max(1, significant[mask].sum()),
        "error over standard error (rms)": np.sqrt(
            np.square(error[mask]).mean() / np.square(maps.standard_error[mask]).mean()
        ),
        "error along the truth": error[mask] @ truth[mask] / (truth[mask] @ truth[mask]),
        "its standard error": (found.draws[name][:, mask] @ truth[mask]).std(ddof=1) / (truth[mask] @ truth[mask]),
        "effect over truth (slope)": (maps.effect[mask] @ truth[mask]) / (truth[mask] @ truth[mask]),
    }
    return {f"{name}: {key}": float(value) for key, value in figures.items()}


def _by_ratio(maps: BootstrapMap, draws: int) -> NDArray:
    """What q-values would be if the bootstrap ratio were tested."""
    p_value = np.where(maps.ratio == 0.0, 1.0, 2.0 * student.sf(np.abs(maps.ratio), draws - 1))
    return false_discovery(p_value.ravel()).reshape(p_value.shape)


@contextmanager
def from_the_weights_of(model: Any) -> Iterator[None]:
    """Refits begin with the weights of a fitted network instead of at a linear solution."""
    state = {name: values.clone() for name, values in model.network_.state_dict().items()}
    here = "deepjive.deep.training.objective"
    joint = mock.patch(f"{here}.start_joint", lambda network, *_: network.load_state_dict(state))
    with joint, mock.patch(f"{here}.start_individual"):
        yield


def spread(cell: Cell, folder: Path) -> dict[str, float]:
    """Standard errors of the maps with other ways of refitting, over those of a whole refit; medians over voxels."""
    known = population(cell, folder)
    model, data, _, component = fitted(cell, known)
    mask, draws = known["mask"], cell.model["draws"]
    whole = bootstrap_maps(model, data, component, draws, random_state=1, folder=folder / "draws")
    ways = {"linear start, 1 epoch a phase": {"max_epochs": 1}}
    found = {key: bootstrap_maps(model, data, component, draws, random_state=1, **way) for key, way in ways.items()}
    with from_the_weights_of(model):
        for few in (1, 2):
            found[f"fitted weights, {few} epochs a phase"] = bootstrap_maps(
                model, data, component, draws, random_state=1, max_epochs=few
            )
    figures = {"whole: seconds": float(whole.seconds.mean()), "whole: match": float(whole.match.mean())}
    for key, one in found.items():
        figures |= {f"{key}: seconds": float(one.seconds.mean()), f"{key}: match": float(one.match.mean())}
        for name in NAMES:
            errors = [maps.draws[name][:, mask].std(axis=0, ddof=1) for maps in (one, whole)]
            figures[f"{key}: standard errors over whole, {name}"] = float(np.median(errors[0] / errors[1]))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", choices=("ajive", "deepjive"), default="ajive")
    parser.add_argument("--participants", type=int, default=120)
    parser.add_argument("--voxel", type=float, default=9.0)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--thirds", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--cohorts", type=int, default=0)
    parser.add_argument("--max-epochs", type=int, default=4)
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--spread", action="store_true")
    add_json_option(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    how, row = (spread, "spread") if options.spread else (measure, "coverage")
    model = {"method": options.method, "max_epochs": options.max_epochs, "draws": options.draws}
    data = {"participants": options.participants, "voxel": options.voxel, "shuffled": options.shuffled}
    cells = [
        Cell(row, options.method, seed, {**data, "third": third}, {**model, "what": row})
        for seed in options.seeds
        for third in range(options.thirds)
    ]
    if options.cohorts:
        pooled = {**data, "third": 0, "pool": options.seeds}
        cells = [Cell(row, options.method, seed, pooled, {**model, "what": row}) for seed in range(options.cohorts)]
    results = measure_cells(
        cells,
        lambda cell: how(cell, options.out),
        options.out,
        progress=lambda done, total, message: print(f"{done}/{total} {message}", flush=True),
    )
    table = ResultTable(f"bootstrap-maps-{row}", "Bootstrap of covariation maps", ("measure", "mean", "sd"))
    for name in results[0]:
        values = np.array([measures[name] for measures in results])
        table.add(name, values.mean(), values.std())
        print(f"{name:60} {values.mean():.3f}   {np.array2string(values, precision=3)}")
    write_tables(options.json, [table], sources=["deepjive.evaluation", "deepjive.deep"], seeds=options.seeds)


if __name__ == "__main__":
    main()
