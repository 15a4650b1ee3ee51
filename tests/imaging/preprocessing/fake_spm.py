"""A stand-in for standalone SPM12 in tests: it reads a batch, writes the files that SPM would, and can fail.

Nothing in it computes: what a job makes is a copy of what it was given. Beside the script a file `mood` says how it
behaves: "good", "throws", "skips" (ends without a word and without files), "spm8".
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

TEMPLATE = '#!/bin/sh\nexec {python} -S {script} {home} "$@"\n'


def install(folder: Path, mood: str = "good") -> str:
    """Write the program; gives the command line that runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mood").write_text(mood)
    (folder / "spm12" / "tpm").mkdir(parents=True, exist_ok=True)
    program = folder / "run_spm12.sh"
    program.write_text(TEMPLATE.format(python=sys.executable, script=__file__, home=folder))
    program.chmod(0o755)
    return f"{program} {folder}/mcr script"


def main(home: Path, batch: Path) -> None:
    mood, text = (home / "mood").read_text(), batch.read_text()
    if "NIPYPE path" in text:
        name = "SPM8" if mood == "spm8" else "SPM12"
        sys.stdout.write(f"NIPYPE path:{home / 'spm12'}|name:{name}|release:7771\n")
        return
    (home / "batches").mkdir(exist_ok=True)
    number = len(list((home / "batches").iterdir()))
    jobs = "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
    (home / "batches" / f"{number}-{batch.stem}.m").write_text(jobs)
    if mood == "throws":
        sys.stderr.write("MATLAB code threw an exception:\nOut of memory.\nFile:spm_preproc_run.m\n")
    if mood == "good":
        _make(batch.stem, text)


def _make(kind: str, text: str) -> None:
    if kind.endswith("newsegment"):
        scan = Path(re.search(r"'([^']+\.nii),1'", text)[1])
        for prefix in ("c1", "c2", "c3", "wc1", "mwc1", "m", "y_"):
            shutil.copyfile(scan, scan.with_name(prefix + scan.name))
        scan.with_name(scan.stem + "_seg8.mat").touch()
    if kind.endswith("normalize12"):
        scan = Path(re.findall(r"'([^']+\.nii),1'", text)[-1])
        shutil.copyfile(scan, scan.with_name("w" + scan.name))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[-1]))
