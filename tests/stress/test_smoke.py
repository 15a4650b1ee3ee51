"""The stress tests run with a few inputs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words):
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_a_few_damaged_files_are_read_or_refused():
    done = run("tests.stress.fuzz", "--inputs", 40, "--only", "csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 inputs" in done.stdout


@pytest.mark.slow
def test_a_killed_training_is_resumed_with_the_same_weights():
    done = run("tests.stress.kill", "--runs", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 identical" in done.stdout
