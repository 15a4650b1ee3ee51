"""Prints the licence of every package that an installation of deepjive with all tested extras brings along.

    python -m tests.release.licences

The command ends with 1 if a licence is unknown, or does not permit use together with code under BSD-3-Clause.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution

PERMISSIVE = (
    "0BSD",
    "Apache",
    "BSD",
    "BSL",
    "Boost",
    "CC0",
    "HPND",
    "ISC",
    "MIT",
    "PSF",
    "Python",
    "Zlib",
    "Public domain",
)
WEAK = ("MPL", "Mozilla", "LGPL", "Lesser General Public")  # used as libraries, unchanged, and not copied
STRONG = ("GPL", "General Public", "AGPL", "SSPL", "proprietary")
BY_HAND = {  # packages whose metadata name no licence, or more than what is used
    "docutils": "Public domain AND BSD",  # its one file under the GPL is a mode of Emacs
}
OF_CUDA = ("cuda-", "nvidia-")  # of a CUDA build of torch, under NVIDIA's own terms; a CPU build has none of them
SKIPPED = re.compile(r"extra\s*==")


def requirements(names: Sequence[str]) -> Iterator[Distribution]:
    """Return the installed distributions that some packages need, themselves included, without those of CUDA."""
    seen, waiting = set(), list(names)
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop())[0].lower().replace("_", "-")
        if name in seen or name.startswith(OF_CUDA):
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of another platform or another Python
            continue
        yield found
        waiting += [line for line in found.requires or () if name == "deepjive" or not SKIPPED.search(line)]


def licence(found: Distribution) -> str:
    """Return the licence of a distribution in a line, from its expression, its classifiers or its text."""
    data = found.metadata
    if str(data["Name"]).lower() in BY_HAND:
        return BY_HAND[str(data["Name"]).lower()]
    classifiers = [line.split(" :: ")[-1] for line in data.get_all("Classifier") or () if line.startswith("License ::")]
    text = str(data.get("License") or "").strip()
    lines = [data.get("License-Expression"), ", ".join(classifiers), text.splitlines()[0] if text else ""]
    return next((line.strip() for line in lines if line and line.strip() not in ("", "OSI Approved")), "")


def is_compatible(words: str) -> bool:
    """Whether one of the alternatives of a licence permits the use."""
    return any(_permits(choice) for choice in re.split(r"\bOR\b", words))


def _permits(words: str) -> bool:
    lesser = any(word.lower() in words.lower() for word in WEAK)
    if any(word.lower() in words.lower() for word in STRONG) and not lesser:
        return False
    return lesser or any(word.lower() in words.lower() for word in PERMISSIVE)


def main() -> int:
    """Print the table, and return 1 if a licence does not fit."""
    rows = sorted((str(found.metadata["Name"]), found.version, licence(found)) for found in requirements(["deepjive"]))
    width = max(len(name) for name, _, _ in rows)
    for name, version, words in rows:
        print(f"{name:{width}}  {version:12}  {words or 'unknown'}")
    wrong = [name for name, _, words in rows if not is_compatible(words)]
    print(f"{len(rows)} packages; not compatible or unknown: {', '.join(wrong) or 'none'}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
