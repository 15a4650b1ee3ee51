"""Calibration of the phantom cohort: the table of docs/imaging.md, in about two minutes.

    python benchmarks/phantom.py
    python benchmarks/phantom.py --subjects 60 --voxels 6

The tables show the composite SUVR by group and resolution beside the published ranges, the joint, individual and noise
share of the energy of each modality, and the share that the sum of the parts leaves out. Volumes of grey matter and
centres of the regions are printed too.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from deepjive.datasets import REGIONS, Phantom, composite_suvr, make_phantom
from deepjive.imaging import millilitres
from result_tables import ResultTable, add_json_option, write_tables


def energy(volumes: np.ndarray) -> float:
    """Return the sum of squares around the mean volume."""
    return float(np.square(volumes - volumes.mean(axis=0), dtype=np.float64).sum())


def composites(phantom: Phantom, voxel: float, table: ResultTable) -> None:
    """Print and add the composite SUVR of both groups."""
    values = composite_suvr(phantom.data["pet"], voxel)
    for diagnosis, published in (("CN", "0.95-1.25"), ("AD", "1.4-2.0")):
        group = values[(phantom.subjects["diagnosis"] == diagnosis).to_numpy()]
        low, high = np.percentile(group, [10, 90])
        print(
            f"  {voxel:g} mm  {diagnosis}  mean {group.mean():.3f} (published {published}), sd {group.std():.3f}, "
            f"80% in {low:.2f}-{high:.2f}, above 1.3: {np.mean(group > 1.3):.0%}"
        )
        table.add(voxel, diagnosis, published, group.mean(), group.std(), low, high, np.mean(group > 1.3))


def shares(phantom: Phantom, voxel: float, table: ResultTable) -> None:
    """Print and add the share of each part of the energy of each modality."""
    for name in ("mri", "pet"):
        x = np.asarray(phantom.data[name], dtype=np.float32)
        joint, individual, both = (phantom.truth(part, name) for part in ("joint", "individual", "both"))
        parts = {
            "joint": joint,
            "individual": individual,
            "noise": x - both,
            "not additive": both - joint - individual,
        }
        total = energy(x)
        table.add(voxel, name, *(energy(value) / total for value in parts.values()))
        print(
            f"  {voxel:g} mm  {name}: "
            + ", ".join(f"{key} {energy(value) / total:.3f}" for key, value in parts.items())
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--voxels", type=float, nargs="+", default=[6.0, 4.0, 3.0])
    add_json_option(parser)
    options = parser.parse_args()
    columns = ("voxel, mm", "diagnosis", "published range", "mean", "sd", "10th percentile", "90th percentile")
    suvr_table = ResultTable("phantom-suvr", "Composite SUVR of the phantom", (*columns, "above 1.3"))
    columns = ("voxel, mm", "modality", "joint", "individual", "noise", "not additive")
    share_table = ResultTable("phantom-shares", "Shares of the energy of the phantom", columns)
    cohorts = {}
    for voxel in options.voxels:
        start = time.process_time()
        cohorts[voxel] = make_phantom(options.subjects, voxel)
        cpu_seconds = (time.process_time() - start) / options.subjects
        grey = millilitres(np.asarray(cohorts[voxel].data["mri"], dtype=np.float32), voxel) / options.subjects
        print(
            f"{voxel:g} mm: {cohorts[voxel].grid.shape}, {cpu_seconds:.3f} CPU s a participant, "
            f"{grey:.0f} ml of grey matter"
        )
    print("composite SUVR")
    for voxel, phantom in cohorts.items():
        composites(phantom, voxel, suvr_table)
    print("shares of the energy (they add up to 1 apart from chance correlations)")
    shares(cohorts[options.voxels[0]], options.voxels[0], share_table)
    print("regions: " + ", ".join(f"{name} {region.left}" for name, region in REGIONS.items()))
    write_tables(options.json, [suvr_table, share_table], sources=["deepjive.datasets"], seeds=[0])


if __name__ == "__main__":
    main()
