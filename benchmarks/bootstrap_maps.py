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
    """Return a phantom and its true joint part, from a file if it was simulated before."""
    path = folder / f"phantom-{seed}-{participants}-{voxel:g}.npz"
    if not path.exists():
        phantom = make_phantom(3 * participants, voxel, random_state=seed)
        arrays: dict[str, Any] = {name: np.asarray(phantom.data[name]) for name in NAMES}
        arrays |= {f"true {name}": phantom.truth("joint", name).astype(np.float32) for name in NAMES}
        np.savez(path, mask=phantom.mask, stage=phantom.subjects["stage"].to_numpy(), **arrays)
    return dict(np.load(path))


def population(cell: Cell, folder: Path) -> dict[str, NDArray]:
    """Return the phantom of a cell, or the phantoms of all seeds together."""
    size = cell.data["participants"], cell.data["voxel"]
    pools = [pool(folder, seed, *size) for seed in cell.data.get("pool", [cell.seed])]
    joined = {key: np.concatenate([phantom[key] for phantom in pools]) for key in pools[0] if key != "mask"}
    return joined | {"mask": pools[0]["mask"]}


def estimator(method: str, max_epochs: int) -> Any:
    if method == "ajive":
        return AJIVE(signal_ranks=6, joint_rank=2, individual_ranks=4, n_wedin=0, n_random=0, random_state=0)
    return DeepJIVE(
        2, 4, max_epochs=max_epochs, batch_size=16, learning_rate=1e-3, dropout=0.2, random_state=0
    )  # the settings of deepjive.experiments.brain.study.Budget


def fitted(cell: Cell, phantom: dict[str, NDArray]) -> tuple[Any, Modalities, NDArray[np.intp], int]:
    """Return the model of a cohort, the cohort, the rows outside the cohort, and the score most like the stage."""
    n = cell.data["participants"]
    rows = np.arange(len(phantom["stage"]))
    in_cohort = rows // n == cell.data["third"]
    if "pool" in cell.data:
        in_cohort = np.isin(rows, np.random.default_rng(cell.seed).permutation(rows)[:n])
    data = Modalities({name: phantom[name][in_cohort].astype(np.float32) for name in NAMES})
    if cell.data["shuffled"]:
        data = shuffled(data, np.random.RandomState(cell.seed))
    with quietly():
        model = estimator(cell.model["method"], cell.model["max_epochs"]).fit(data)
    stage = phantom["stage"][in_cohort]
    correlations = [abs(np.corrcoef(score, stage)[0, 1]) for score in model.transform(data).T]
    return model, data, rows[~in_cohort], int(np.argmax(correlations))


def measure(cell: Cell, folder: Path) -> dict[str, float]:
    """Return coverage, errors and significance of the bootstrap maps of one cohort."""
    phantom = population(cell, folder)
    model, data, others, component = fitted(cell, phantom)
    started = time.process_time()
    maps = bootstrap_maps(model, data, component, cell.model["draws"], random_state=1, folder=folder / "draws")
    measures = {
        "CPU seconds of a new draw": (time.process_time() - started) / len(maps.match),
        "match": float(maps.match.mean()),
        "match, smallest": float(maps.match.min()),
    }
    new_data = Modalities({name: phantom[name][others].astype(np.float32) for name in NAMES})
    scores = model.transform(new_data)
    scores = scores - scores.mean(axis=0)
    for name in NAMES:
        truth = phantom[f"true {name}"][others].astype(np.float64)
        slopes = np.tensordot(np.linalg.pinv(scores)[component], truth - truth.mean(axis=0), axes=1)
        measures |= compared(maps, name, slopes, truth.std(axis=0), phantom["mask"], cell.data["voxel"])
    return measures


def compared(
    all_maps: BootstrapMaps, name: str, truth: NDArray, true_sd: NDArray, mask: NDArray[np.bool_], voxel: float
) -> dict[str, float]:
    """Compare the maps of one modality with the true effect."""
    maps = all_maps.of(name)
    nil = mask & (true_sd < NIL * true_sd[mask].max())
    significant = maps.q_value < 0.05
    error = maps.effect - truth
    limits = np.quantile(all_maps.draws[name], (0.05, 0.95), axis=0)
    spheres = [
        (sphere_distance(mni_grid(voxel), centre) < 10) & mask
        for region in REGIONS.values()
        for centre in (region.left, region.right)
    ]
    regions = [(all_maps.within(name, sphere), float(truth[sphere].mean())) for sphere in spheres if sphere.any()]
    covered = (maps.lower <= truth) & (truth <= maps.upper)
    true_energy = truth[mask] @ truth[mask]
    projections = all_maps.draws[name][:, mask] @ truth[mask]
    measures = {
        "coverage of 90% intervals": covered[mask].mean(),
        "coverage of percentile intervals": ((limits[0] <= truth) & (truth <= limits[1]))[mask].mean(),
        "coverage, regions": np.mean([low <= value <= high for (_, low, high), value in regions]),
        "coverage where nil": covered[nil].mean(),
        "significant by the bootstrap ratio": float(np.mean(_by_ratio(maps, len(all_maps.match))[mask] < 0.05)),
        "significant": significant[mask].mean(),
        "significant where nil": significant[nil].mean(),
        "share of the brain where nil": nil[mask].mean(),
        "share of significant voxels with the wrong sign or nil": (significant & (nil | (truth * maps.effect < 0)))[
            mask
        ].sum()
        / max(1, significant[mask].sum()),
        "error over standard error (rms)": np.sqrt(
            np.square(error[mask]).mean() / np.square(maps.standard_error[mask]).mean()
        ),
        "error along the truth": error[mask] @ truth[mask] / true_energy,
        "standard error along the truth": projections.std(ddof=1) / true_energy,
        "slope of the effect on the truth": (maps.effect[mask] @ truth[mask]) / true_energy,
    }
    return {f"{name}: {key}": float(value) for key, value in measures.items()}


def _by_ratio(maps: BootstrapMap, draws: int) -> NDArray:
    """Return the q-values of a test of the bootstrap ratio."""
    p_value = np.where(maps.ratio == 0.0, 1.0, 2.0 * student.sf(np.abs(maps.ratio), draws - 1))
    return false_discovery(p_value.ravel()).reshape(p_value.shape)


@contextmanager
def from_the_weights_of(model: Any) -> Iterator[None]:
    """Make refits start from the weights of a fitted network instead of a linear solution."""
    state = {name: values.clone() for name, values in model.network_.state_dict().items()}
    module = "deepjive.deep.training.objective"
    joint = mock.patch(f"{module}.start_joint", lambda network, *_: network.load_state_dict(state))
    with joint, mock.patch(f"{module}.start_individual"):
        yield


def spread(cell: Cell, folder: Path) -> dict[str, float]:
    """Return standard errors of the maps with shorter refits, relative to whole refits, as medians over voxels."""
    phantom = population(cell, folder)
    model, data, _, component = fitted(cell, phantom)
    mask, draws = phantom["mask"], cell.model["draws"]
    whole = bootstrap_maps(model, data, component, draws, random_state=1, folder=folder / "draws")
    linear_start = bootstrap_maps(model, data, component, draws, random_state=1, max_epochs=1)
    shorter = {"linear start, 1 epoch a phase": linear_start}
    with from_the_weights_of(model):
        for epochs in (1, 2):
            shorter[f"fitted weights, {epochs} epochs a phase"] = bootstrap_maps(
                model, data, component, draws, random_state=1, max_epochs=epochs
            )
    measures = {"whole: seconds": float(whole.seconds.mean()), "whole: match": float(whole.match.mean())}
    for key, maps in shorter.items():
        measures |= {f"{key}: seconds": float(maps.seconds.mean()), f"{key}: match": float(maps.match.mean())}
        for name in NAMES:
            errors, whole_errors = (refits.draws[name][:, mask].std(axis=0, ddof=1) for refits in (maps, whole))
            measures[f"{key}: standard errors over whole, {name}"] = float(np.median(errors / whole_errors))
    return measures


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
    function, row = (spread, "spread") if options.spread else (measure, "coverage")
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
        lambda cell: function(cell, options.out),
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
