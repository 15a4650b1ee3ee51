"""The stress tests run with a few inputs."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.stress import fits, fuzz, tables

ROOT = Path(__file__).parents[2]


def run(*words):
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_a_few_damaged_files_are_read_or_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kinds = fuzz.seeds(tmp_path)
        for kind in ("csv", "npy"):
            results = {fuzz.outcome(kinds[kind][1], np.random.default_rng([0, number])) for number in range(20)}
            assert results <= {"read", "refused"}
            assert "refused" in results


@pytest.mark.slow
def test_the_command_reads_damaged_files_in_a_process_of_its_own():
    done = run("tests.stress.fuzz", "--inputs", 40, "--only", "csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 inputs" in done.stdout


@pytest.mark.slow
def test_a_killed_training_is_resumed_with_the_same_weights():
    done = run("tests.stress.kill", "--runs", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 identical" in done.stdout


def test_random_tables_are_paired_rightly_or_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = {number: tables.outcome(number, 0, tmp_path) for number in range(40)}
    words = {result.partition(":")[0] for result, _ in results.values()}
    assert {"right", "refused"} <= words <= {"right", "refused", "not made"}, results


def test_random_fits_are_right_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fits, "DEEP_SHARE", 0.0)
    results = {number: fits.outcome(number, 1, tmp_path) for number in range(30)}
    words = {result.partition(":")[0] for result, _ in results.values()}
    assert words == {"right", "refused"}, results


# directions that nearly agree, offsets of 1e9 and 1e6, a modality without residual in two subsets
@pytest.mark.parametrize("number", [3328, 2229, 3209, 3178])
def test_random_fits_that_were_wrong_are_right(tmp_path, number):
    assert fits.outcome(number, 0, tmp_path)[0] == "right"


@pytest.mark.parametrize("file", ["<string>", "<frozen importlib._bootstrap>", "/x.py", "/lib/h5py/_hl/files.py"])
def test_the_place_where_a_process_ended_is_found_in_any_path(file):
    assert (fuzz.in_library(f'  File "{file}", line 1 in f') != "") == ("h5py" in file)


def test_the_time_to_start_is_no_time_of_reading(monkeypatch):
    monkeypatch.setattr(fuzz, "HANG", 2)  # seconds; libraries take about as long to be imported
    counts = fuzz.run(0, [("csv", 0)])
    assert {word for _, word in counts} <= {"read", "refused"}
