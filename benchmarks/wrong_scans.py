"""Wrong PET scans of phantom cohorts, found by joint scores and by the shift that fits best.

    python benchmarks/wrong_scans.py --out runs/wrong --json docs/results   # five cohorts of 120 at 8 mm, four minutes
    python benchmarks/wrong_scans.py --out runs/wrong --seeds 1 --subjects 60

The cohorts have wrong scans alone (`displaced` and `exchanged`, a tenth each), or all difficulties of
`deepjive.datasets.HARD`. Participants without PET are left out. Scans of another participant are looked for by
`deepjive.evaluation.pair_fit` with the joint scores of AJIVE, from which age and site are taken out; displaced scans by
`deepjive.imaging.displacement`, and by the joint scores too. The area under the curve (AUC) is over all participants
with PET. The limit for displaced scans is 5 mm; it was chosen before these cohorts were looked at, as more than half a
voxel of 8 mm and less than the smallest shift of the phantom (8 mm).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from deepjive import AJIVE, Modalities
from deepjive.adjust.adjustment import adjusted
from deepjive.datasets import HARD, Difficulties, make_phantom
from deepjive.evaluation import pair_fit
from deepjive.experiments.cells import Cell, measure_cells
from deepjive.imaging import displacement
from result_tables import ResultTable, add_json_option, write_tables

JOINT, OWN = 4, 4
COHORTS = {
    "displaced": Difficulties(misregistered=0.1),
    "exchanged": Difficulties(mispaired=0.1),
    "all difficulties": HARD,
}


def measure(cell: Cell) -> dict[str, float]:
    """Simulate a cohort and look for its wrong scans."""
    size = cell.data["subjects"], cell.data["voxel"]
    phantom = make_phantom(*size, difficulties=COHORTS[cell.row], random_state=cell.seed)
    phantom = phantom.where(np.flatnonzero(phantom.data.present.all(axis=1)))
    table = phantom.subjects
    by_scores = _others_closer(phantom, cell.seed)
    measures: dict[str, float] = {}
    if "pet_of" in table:
        exchanged = (table["pet_of"] != table["participant_id"]).to_numpy()
        if exchanged.any():
            measures["exchanged, scores: AUC"] = float(roc_auc_score(exchanged, by_scores))
    true_shifts = (
        table[["shift_x", "shift_y", "shift_z"]].to_numpy() if "shift_x" in table else np.zeros((len(table), 3))
    )
    is_displaced = np.linalg.norm(true_shifts, axis=1) > 0
    if is_displaced.any():  # those with a PET
        found = displacement(phantom.data, "pet", cell.data["voxel"])
        rows = found.table.set_index("sample").loc[table["participant_id"]]
        errors = np.linalg.norm(rows[["shift_x", "shift_y", "shift_z"]].to_numpy() - true_shifts, axis=1)
        suspect = table["participant_id"].isin(found.suspect).to_numpy()
        measures |= {
            "displaced, scores: AUC": float(roc_auc_score(is_displaced, by_scores)),
            "displaced, shift: AUC": float(roc_auc_score(is_displaced, rows["shift_mm"])),
            "displaced: error in mm": float(np.median(errors[is_displaced])),
            "displaced: above the limit": float(suspect[is_displaced].mean()),
            "in place: above the limit": float(suspect[~is_displaced].mean()),
        }
    return measures


def _others_closer(phantom: Any, seed: int) -> NDArray:
    """For each participant, how many others fit its PET better, by joint scores."""
    table = phantom.subjects
    rows = {name: np.asarray(phantom.data[name], np.float32)[:, phantom.mask] for name in phantom.data.names}
    confounds = {name: table[name] for name in ("age", "site") if name in table}
    data = adjusted(Modalities(rows, samples=table["participant_id"].tolist(), confounds=confounds))[0]
    model = AJIVE(signal_ranks=JOINT + OWN, joint_rank=JOINT, individual_ranks=OWN, random_state=seed).fit(data)
    fit = pair_fit(model, data, "pet")
    closer = dict(zip(fit.samples, fit.others_closer, strict=True))
    return np.array([closer[name] for name in table["participant_id"]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--subjects", type=int, default=120)
    parser.add_argument("--voxel", type=float, default=8.0)
    parser.add_argument("--seeds", type=int, default=5)
    add_json_option(parser)
    options = parser.parse_args()
    data = {"subjects": options.subjects, "voxel": options.voxel}
    cells = [
        Cell("wrong", name, seed, {**data, "cohort": name}, {}) for name in COHORTS for seed in range(options.seeds)
    ]
    results = measure_cells(
        cells,
        measure,
        options.out,
        progress=lambda done, total, message: print(f"{done}/{total} {message}", flush=True),
    )
    table = _table(cells, results, options)
    print(f"\n{table.title}\n" + " | ".join(table.columns))
    for row in table.rows:
        print(" | ".join(map(str, row)))
    sources = ["deepjive.linear", "deepjive.datasets", "deepjive.adjust", "deepjive.evaluation", "deepjive.imaging"]
    write_tables(options.json, [table], sources=sources, seeds=range(options.seeds))


def _table(cells: list[Cell], results: list[dict[str, float]], options: argparse.Namespace) -> ResultTable:
    table = ResultTable(
        "wrong-scans",
        f"Wrong PET scans found in {options.seeds} phantom cohorts of {options.subjects} participants, "
        f"{options.voxel:g} mm: mean (lowest-highest)",
        (
            "wrong scans in the cohort",
            "another participant's, AUC of joint scores",
            "displaced, AUC of joint scores",
            "displaced, AUC of the shift",
            "error of the shift (mm)",
            "displaced scans above 5 mm",
            "other scans above 5 mm",
        ),
    )
    keys = (
        ("exchanged, scores: AUC", ".2f"),
        ("displaced, scores: AUC", ".2f"),
        ("displaced, shift: AUC", ".3f"),
        ("displaced: error in mm", ".1f"),
        ("displaced: above the limit", ".0%"),
        ("in place: above the limit", ".1%"),
    )
    for name in COHORTS:
        found = [result for cell, result in zip(cells, results, strict=True) if cell.row == name]
        table.add(name, *(_range(np.array([r[key] for r in found if key in r]), form) for key, form in keys))
    return table


def _range(values: NDArray, form: str) -> str:
    return f"{values.mean():{form}} ({values.min():{form}}-{values.max():{form}})" if len(values) else ""


if __name__ == "__main__":
    main()
