"""Installs the wheel twice, from files whose hashes are checked, and compares the models that both installations fit.

    make reproducible

torch is installed first, in the version of `constraints.txt`, because its build depends on the machine. All other
packages come from `requirements-hashed.txt`, and pip refuses a file with another hash. The weights must be the same,
bit by bit.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.release.environments import Environment
from tests.release.wheel import PINNED, ROOT, TABLES, build, say

HASHED = ROOT / "requirements-hashed.txt"
METHODS = ("ajive", "jive", "heterojive", "deepjive")
DIGEST = "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"


def installation(folder: Path, wheel: Path) -> Environment:
    """Return a new environment with torch, the packages with hashes, and the wheel."""
    environment = Environment(folder)
    environment.install_torch(PINNED)
    environment.install("--require-hashes", "--no-deps", "--requirement", str(HASHED))
    environment.install("--no-deps", str(wheel))
    environment.run("-m", "pip", "check")
    return environment


def weights(environment: Environment) -> dict[str, str]:
    """Fit every method to the same tables and return the digests of the saved weights."""
    environment.run("-c", TABLES)
    digests = {}
    for method in METHODS:
        fit = ("-m", "deepjive", "fit", "-m", "a=a.csv", "-m", "b=b.csv", "--method", method)
        environment.run(*fit, "--seed", "0", "--quiet", "--out", method, extra={"OMP_NUM_THREADS": "1"})
        digests[method] = environment.run("-c", DIGEST, f"{method}/model.safetensors").strip()
    return digests


def refuses_another_file(environment: Environment, folder: Path) -> None:
    """End the program if pip installs a file whose hash is not that of the list."""
    pinned = re.search(r"^typer==[\d.]+", HASHED.read_text(), re.MULTILINE)
    if pinned is None:
        sys.exit(f"{HASHED.name} does not list typer")
    wrong = folder / "wrong.txt"
    wrong.write_text(f"{pinned[0]} --hash=sha256:{'0' * 64}\n")
    words = ("-m", "pip", "install", "--require-hashes", "--no-deps", "--force-reinstall", "--requirement", str(wrong))
    if "DO NOT MATCH THE HASHES" not in environment.fails(*words, folder=folder):
        sys.exit("a file with another hash was not refused for its hash")


def main() -> None:
    """Build the wheel, install it twice, and compare."""
    wheel, _ = build()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environments = [installation(folder / which, wheel) for which in ("first", "second")]
        refuses_another_file(environments[0], folder)
        say("installed twice from files with hashes; a file with another hash is refused")
        first, second = (weights(environment) for environment in environments)
    different = [method for method in METHODS if first[method] != second[method]]
    if different:
        sys.exit(f"other weights in the second installation: {', '.join(different)}")
    say(f"the same weights, bit by bit: {', '.join(f'{method} {first[method][:12]}' for method in METHODS)}")


if __name__ == "__main__":
    main()
