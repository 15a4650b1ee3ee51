"""Is the phantom cohort what its documentation says? The calibration table of docs/imaging.md, in about two minutes.

    python benchmarks/phantom.py
    python benchmarks/phantom.py --subjects 60 --voxels 6

Composite SUVR by group and resolution against the published ranges; the share of each modality's energy that is
joint, individual and noise, and what the two parts do not add up to; volumes of grey matter; centres of the regions.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from deepjive.datasets import REGIONS, Phantom, composite_suvr, make_phantom
from deepjive.imaging import millilitres


def energy(volumes: np.ndarray) -> float:
    return float(np.square(volumes - volumes.mean(axis=0), dtype=np.float64).sum())


def composites(phantom: Phantom, voxel: float) -> None:
    values = composite_suvr(phantom.data["pet"], voxel)
    for diagnosis, wanted in (("CN", "0.95-1.25"), ("AD", "1.4-2.0")):
        own = values[(phantom.subjects["diagnosis"] == diagnosis).to_numpy()]
        low, high = np.percentile(own, [10, 90])
        print(
            f"  {voxel:g} mm  {diagnosis}  mean {own.mean():.3f} (wanted {wanted}), sd {own.std():.3f}, "
            f"80% in {low:.2f}-{high:.2f}, above 1.3: {np.mean(own > 1.3):.0%}"
        )


def shares(phantom: Phantom, voxel: float) -> None:
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
        print(
            f"  {voxel:g} mm  {name}: "
            + ", ".join(f"{key} {energy(value) / total:.3f}" for key, value in parts.items())
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--voxels", type=float, nargs="+", default=[6.0, 4.0, 3.0])
    options = parser.parse_args()
    cohorts = {}
    for voxel in options.voxels:
        start = time.process_time()
        cohorts[voxel] = make_phantom(options.subjects, voxel)
        spent = (time.process_time() - start) / options.subjects
        grey = millilitres(np.asarray(cohorts[voxel].data["mri"], dtype=np.float32), voxel) / options.subjects
        print(f"{voxel:g} mm: {cohorts[voxel].grid.shape}, {spent:.3f} CPU s a subject, {grey:.0f} ml of grey matter")
    print("composite SUVR")
    for voxel, phantom in cohorts.items():
        composites(phantom, voxel)
    print("shares of the energy (they add up to 1 apart from chance correlations)")
    shares(cohorts[options.voxels[0]], options.voxels[0])
    print("regions: " + ", ".join(f"{name} {region.left}" for name, region in REGIONS.items()))


if __name__ == "__main__":
    main()
