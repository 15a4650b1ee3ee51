"""Stress test of rounding: the tests that compute must have the same outcome on every processor.

    make processors                                            # all settings, all folders
    python -m tests.stress.processors --only MKL_CBWR=AVX2 --folders tests/linear

Libraries of linear algebra choose their instructions by the processor, so that the last digits of a result differ
between processors. Environment variables make MKL, PyTorch, OpenBLAS and oneDNN choose as they would on another
processor. The tests run once as they are and once with each setting. The command prints every test whose outcome
differs, and ends with 1 if there is any. A claim about the last digits is then to be replaced by a claim that rounding
cannot change.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/linear", "tests/evaluation", "tests/deep", "tests/test_properties.py", "tests/test_decomposition.py")
SETTINGS = (
    "MKL_CBWR=COMPATIBLE",
    "MKL_CBWR=AVX2",
    "MKL_CBWR=AVX512",
    "ATEN_CPU_CAPABILITY=default",
    "ATEN_CPU_CAPABILITY=avx2",
    "OPENBLAS_CORETYPE=Haswell",
    "ONEDNN_MAX_CPU_ISA=SSE41",
    "OMP_NUM_THREADS=2",
)
NEEDS_AVX512 = "MKL_CBWR=AVX512"


def outcomes(folders: Sequence[str], setting: str | None) -> dict[str, str]:
    """Return the outcome of every test: "passed", "skipped", or the first line of the failure."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **dict([setting.split("=", 1)] if setting else [])}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "outcomes.xml"
        command = [sys.executable, "-m", "pytest", *folders, f"--junitxml={report}", "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if not report.exists():
            sys.exit(f"pytest did not run:\n{done.stdout}{done.stderr}")
        cases = ElementTree.parse(report).iter("testcase")
        return {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ElementTree.Element) -> str:
    for kind in ("failure", "error"):
        element = case.find(kind)
        if element is not None:
            return (element.get("message") or kind).splitlines()[0][:160]
    return "passed" if case.find("skipped") is None else "skipped"


def settings_of_this_processor() -> list[str]:
    """Return the settings that this processor has the instructions for."""
    processor = Path("/proc/cpuinfo")
    has_avx512 = processor.exists() and "avx512f" in processor.read_text()
    return [setting for setting in SETTINGS if has_avx512 or setting != NEEDS_AVX512]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests with every setting, print the tests whose outcome differs, and return 1 if there is any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folders", nargs="+", default=list(FOLDERS), help="test folders or files")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, help="settings (default: all of this processor)")
    options = parser.parse_args(arguments)
    settings = options.only or settings_of_this_processor()
    for setting in SETTINGS:
        if setting not in settings:
            print(f"{setting}: not run")
    expected, n_changed = outcomes(options.folders, None), 0
    failures = {test: outcome for test, outcome in expected.items() if outcome not in ("passed", "skipped")}
    print(f"without a setting: {len(expected)} tests, {len(failures)} failed", flush=True)
    for test, outcome in failures.items():
        print(f"  {test}: {outcome}")
    for setting in settings:
        started = time.perf_counter()
        found = outcomes(options.folders, setting)
        changed = {test: outcome for test, outcome in found.items() if _kind(outcome) != _kind(expected.get(test, ""))}
        print(f"{setting}: {len(changed)} of {len(found)} outcomes differ, {time.perf_counter() - started:.0f} s")
        for test, outcome in changed.items():
            print(f"  {test}: {outcome}", flush=True)
        n_changed += len(changed)
    return int(bool(n_changed or failures))


def _kind(outcome: str) -> str:
    return outcome if outcome in ("passed", "skipped") else "failed"


if __name__ == "__main__":
    sys.exit(main())
