"""CPU time and peak memory of what users wait for, beside a floor, an earlier version, or an earlier result.

    python benchmarks/suite.py                                  # eleven benchmarks, a few minutes
    python benchmarks/suite.py --long                           # the long ones too: demonstration, phantom, evidence
    python benchmarks/suite.py --only fit-linear demo --seeds 5
    python benchmarks/suite.py --only ajive mofa gcca             # beside other packages: pip install 'deepjive[peers]'
    python benchmarks/suite.py --against ../deepjive-0.1        # the checkout of an earlier version, in the same run
    python benchmarks/suite.py --json new.json --compare old.json
    python benchmarks/suite.py --result new.json --compare old.json  # runs nothing

Every run is a new process with one thread, so that peaks of memory are separate. Runs of the two versions alternate.
CPU seconds include child processes, and of several repeats the least counts, because other programs on the machine
can only add to the time. The floor is run in the same process after the benchmark: the ratio to it says more than
seconds, which depend on the machine. "working memory" is the peak of resident memory above that before the run.
`suite_cases.py` has the benchmarks.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from result_tables import ResultTable, add_json_option, write_tables
from suite_cases import BENCHMARKS, Benchmark

SLOWER = 1.15  # ratio to the floor, of an earlier result, from which a benchmark is called slower
COLUMNS = ("benchmark", "what", "CPU seconds", "goal", "times the floor", "floor", "working memory, MiB")
WITHOUT_BENCHMARK = "{file} has no table of the suite. Give a file that --json wrote."


def work(name: str, seed: int) -> None:
    """Run one benchmark in this process, and print its measures as JSON."""
    warnings.simplefilter("ignore")
    benchmark = BENCHMARKS[name]
    data = benchmark.make(seed)
    import lightning_fabric  # noqa: F401 - imports do not belong to the time of a run
    import torch

    from deepjive import AJIVE, DeepJIVE  # noqa: F401 - they are imported at their first use

    torch.set_num_threads(1)
    torch.ones(4).square().sum()
    before = peak_memory()
    seconds, result = timed(lambda: benchmark.run(data, seed))
    memory = peak_memory() - before
    floor = timed(lambda: benchmark.floor(data))[0] if benchmark.floor else None  # type: ignore[misc]
    measures = {"seconds": seconds, "floor": floor, "memory": memory, "quality": benchmark.quality(result, data)}
    print(json.dumps(measures))


def timed(run: Any) -> tuple[float, Any]:
    """Return CPU seconds of this process and of its children, and the result."""
    start = cpu_seconds()
    result = run()
    return cpu_seconds() - start, result


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_memory() -> float:
    """Return the largest resident memory of this process, or of a child if it was larger, in MiB."""
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def spawned(name: str, seed: int, checkout: Path | None) -> dict[str, Any]:
    """Run a benchmark in a new process, with the code of this checkout or of another one."""
    source = (checkout or Path(__file__).parents[1]) / "src"
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = os.environ | limits | {"PYTHONPATH": str(source.resolve())}
    command = [sys.executable, __file__, "--work", name, str(seed)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if process.returncode:
        return {"failed": process.stderr.strip().splitlines()[-1]}
    measures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return measures


def least(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the least time of several runs, the least time of their floors, and the least peak of memory."""
    completed = [run for run in runs if "failed" not in run]
    if not completed:
        return runs[0]
    floors = [run["floor"] for run in completed if run["floor"] is not None]
    measures = {key: min(run[key] for run in completed) for key in ("seconds", "memory")}
    return measures | {"floor": min(floors) if floors else None, "quality": completed[0]["quality"]}


def run_benchmark(name: str, arguments: argparse.Namespace, tables: dict[str, ResultTable]) -> None:
    """Run a benchmark for every seed and version, and add it to the tables."""
    benchmark, by_version = BENCHMARKS[name], {}
    versions: dict[str, Path | None] = {"now": None}
    versions |= {} if arguments.against is None else {"before": arguments.against}
    for version in versions:
        by_version[version] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        runs: dict[str, list[dict[str, Any]]] = {version: [] for version in versions}
        for _ in range(arguments.repeats):
            for version, checkout in versions.items():
                runs[version].append(spawned(name, seed, checkout))
        for version in versions:
            by_version[version].append(least(runs[version]))
            print(f"  {name}, {version}, seed {seed}: {in_words(by_version[version][-1])}", flush=True)
    add_rows(name, benchmark, by_version, tables)


def add_rows(
    name: str, benchmark: Benchmark, by_version: dict[str, list[dict[str, Any]]], tables: dict[str, ResultTable]
) -> None:
    """Add the means over seeds: of this version to the table of the suite, and of both to the comparison."""
    now = means(by_version["now"])
    if now is None:
        return
    goal = None if math.isinf(benchmark.most) else benchmark.most
    ratio = None if now["floor"] is None else now["seconds"] / now["floor"]
    floor = benchmark.floor_in_words or None
    tables["suite"].add(name, benchmark.what, now["seconds"], goal, ratio, floor, now["memory"])
    before = means(by_version.get("before", []))
    if before is not None:
        qualities = [quality_in_words(by_version[version]) for version in ("before", "now")]
        cells = (before["seconds"], now["seconds"], goal, before["memory"], now["memory"], *qualities)
        tables["before"].add(benchmark.what, *cells)


def means(runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the means of seconds, floor and memory over seeds; None if every run failed."""
    completed = [run for run in runs if "failed" not in run]
    if not completed:
        return None
    measures: dict[str, Any] = {
        key: sum(run[key] for run in completed) / len(completed) for key in ("seconds", "memory")
    }
    floors = [run["floor"] for run in completed if run["floor"] is not None]
    return measures | {"floor": sum(floors) / len(floors) if floors else None}


def quality_in_words(runs: list[dict[str, Any]]) -> str | None:
    """Return the mean of every number over seeds, and words as they are."""
    qualities = [run["quality"] for run in runs if "failed" not in run]
    words = []
    for key in qualities[0]:
        values = [quality[key] for quality in qualities]
        if all(isinstance(value, int | float) for value in values):
            words.append(f"{key} {sum(values) / len(values):.4g}")
        elif key != "printed":
            words.append(f"{key} {', '.join(str(value) for value in values)}")
    return "; ".join(words) or None


def in_words(run: dict[str, Any]) -> str:
    """Return the measures of a run as text."""
    if "failed" in run:
        return f"failed: {run['failed']}"
    ratio = "" if run["floor"] is None else f", {run['seconds'] / run['floor']:.1f} times the floor"
    quality = ", ".join(f"{key} {value}" for key, value in run["quality"].items() if key != "printed")
    printed = run["quality"].get("printed", "")
    return f"{run['seconds']:.2f} CPU s{ratio}, {run['memory']:.0f} MiB; {quality}" + (
        f"\n{printed}" if printed else ""
    )


def compare(new: dict[str, list[Any]], file: Path) -> list[str]:
    """Return a line for each benchmark of two results, and name those whose ratio to the floor has risen."""
    old, lines = read(file), []
    for name, row in new.items():
        if name not in old:
            lines.append(f"{name:15} not in {file.name}")
            continue
        cells = [dict(zip(COLUMNS, values, strict=True)) for values in (old[name], row)]
        seconds, ratios, memory = (
            [cell[column] for cell in cells] for column in ("CPU seconds", "times the floor", "working memory, MiB")
        )
        measure, (before, after) = ("seconds", seconds) if None in ratios else ("times the floor", ratios)
        verdict = "SLOWER" if after > SLOWER * before else "faster" if after * SLOWER < before else "as before"
        words = f"{before:9.2f} -> {after:9.2f} {measure:15} {memory[0]:6.0f} -> {memory[1]:6.0f} MiB"
        lines.append(f"{name:15} {words}   {verdict}")
    return lines


def read(file: Path) -> dict[str, list[Any]]:
    """Return the rows of a table of the suite by benchmark."""
    record = json.loads(file.read_text(encoding="utf-8"))
    if tuple(record.get("columns", ())) != COLUMNS:
        raise ValueError(WITHOUT_BENCHMARK.format(file=file))
    return {row[0]: row for row in record["rows"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(BENCHMARKS), help="run only these")
    parser.add_argument("--long", action="store_true", help="run also those that take minutes")
    parser.add_argument("--seeds", type=int, default=1, help="number of data sets of each benchmark")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2, help="runs of each seed, of which the least counts")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="run an earlier version too")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="compare with this earlier result")
    parser.add_argument("--result", type=Path, metavar="JSON", help="compare this result, and run nothing")
    parser.add_argument("--work", nargs=2, metavar=("NAME", "SEED"), help=argparse.SUPPRESS)
    add_json_option(parser)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work[0], int(arguments.work[1]))
        return
    names = arguments.only or [name for name, one in BENCHMARKS.items() if arguments.long or not one.is_long]
    before = ("what", "CPU seconds before", "CPU seconds now", "goal", "MiB before", "MiB now", "result before", "now")
    tables = {
        "suite": ResultTable("suite", "CPU time and memory, one thread", COLUMNS),
        "before": ResultTable("suite-before", "CPU time and memory beside the earlier version", before),
    }
    if arguments.result is None:
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPU cores", flush=True)
        for name in names:
            run_benchmark(name, arguments, tables)
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        sources = ["deepjive.deep", "deepjive.linear", "deepjive.evaluation"]
        write_tables(arguments.json, tables.values(), sources=sources, seeds=seeds)
    if arguments.compare:
        rows = {row[0]: list(row) for row in tables["suite"].rows}
        print("\n".join(compare(read(arguments.result) if arguments.result else rows, arguments.compare)))


if __name__ == "__main__":
    main()
