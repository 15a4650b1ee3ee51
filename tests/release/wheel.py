"""Builds the wheel and the source archive into dist/, checks them, and tries the wheel in an empty environment.

    make wheel                                   # with the pinned versions
    python -m tests.release.wheel --extras       # also each extra alone, which installs several GB

The environment has no extra. In it, `deepjive --version`, `deepjive fit` on CSV files and `deepjive demo` must work,
`import deepjive` must be fast and light, and an error for a file that needs a library must say how to install it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.release.archives import source_problems, wheel_problems
from tests.release.environments import Environment, succeed

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
PINNED = ROOT / "constraints.txt"
SECONDS_TO_IMPORT = 0.2
HEAVY = "numpy torch pandas sklearn scipy matplotlib lightning_fabric safetensors typer rich"

IMPORT = f"""
import sys, time
start = time.process_time()
import deepjive
seconds = time.process_time() - start
heavy = [name for name in {HEAVY.split()} if name in sys.modules]
assert not heavy, f"import deepjive imports {{heavy}}"
print(seconds)
"""
TABLES = """
import numpy as np
rng = np.random.default_rng(0)
shared = rng.normal(size=(60, 1))
for name, features in (("a", 8), ("b", 6)):
    table = shared @ rng.normal(size=(1, features)) + rng.normal(size=(60, features))
    head = ",".join(["sample", *(f"{name}{i}" for i in range(features))])
    rows = [",".join([f"s{i}", *(f"{value:.5f}" for value in row)]) for i, row in enumerate(table)]
    open(f"{name}.csv", "w").write("\\n".join([head, *rows]) + "\\n")
"""
EXTRAS = {
    "arrays": "import deepjive, h5py, numpy as np\n"
    "with h5py.File('x.h5', 'w') as file: file['x'] = np.ones((4, 3))\n"
    "from deepjive.data import read_array; assert read_array('x.h5').shape == (4, 3)",
    "docs": "import furo, ipykernel, latex2mathml, myst_parser, nbclient, numpydoc, sphinx",
    "imaging": "from deepjive.imaging import template; assert template('grey', 12.0).ndim == 3",
    "log": "from torch.utils.tensorboard import SummaryWriter; SummaryWriter('log').close()",
    "omics": "import anndata, mudata, numpy as np\n"
    "anndata.settings.allow_write_nullable_strings = True\n"  # pandas 3 has such names where there is no pyarrow
    "mudata.MuData({'x': anndata.AnnData(np.ones((4, 3), np.float32))}).write('x.h5mu')\n"
    "import deepjive; assert len(deepjive.Modalities.from_mudata(mudata.read('x.h5mu'))) == 4",
    "onnx": "from deepjive.deep import export_onnx; import onnx, onnxruntime, onnxscript",
    "peers": "import mofapy2",
    "spm": "import nipype, nibabel",
    "survival": "import lifelines",
    "tables": "import pandas as pd\n"
    "pd.DataFrame({'x': [1., 2.], 'y': [3., 4.]}).to_parquet('x.parquet')\n"
    "from deepjive.data import read_array; assert read_array('x.parquet').shape == (2, 2)",
    "tune": "import optuna",
    "umap": "import umap",
}


def build() -> tuple[Path, Path]:
    """Build both archives and return their paths, wheel first."""
    shutil.rmtree(DIST, ignore_errors=True)
    succeed([sys.executable, "-m", "build", "--outdir", str(DIST)], ROOT)
    (wheel,), (source,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    succeed([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(source)], ROOT)
    return wheel, source


def check_contents(wheel: Path, source: Path) -> None:
    """End the program if an archive contains what it should not, or lacks what it should contain."""
    problems = [*wheel_problems(wheel), *source_problems(source)]
    if problems:
        sys.exit("\n".join(problems))
    say(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB; {source.name}: {source.stat().st_size / 1e3:.0f} kB")


def try_without_extras(environment: Environment, folder: Path) -> None:
    """Run in an environment without extras what must work there."""
    say(environment.run("-m", "deepjive", "--version").strip())
    environment.run("-c", IMPORT)  # compiles the byte code
    seconds = min(float(environment.run("-c", IMPORT)) for _ in range(7))
    say(f"import deepjive: {seconds:.3f} CPU s, without {HEAVY.replace(' ', ', ')}")
    if seconds > SECONDS_TO_IMPORT:
        sys.exit(f"import deepjive takes {seconds:.3f} CPU s, more than {SECONDS_TO_IMPORT}")
    environment.run("-c", TABLES, folder=folder)
    fit = ("-m", "deepjive", "fit", "-m", "a=a.csv", "-m", "b=b.csv")
    for method in ("ajive", "deepjive"):
        environment.run(*fit, "--method", method, "--out", method, folder=folder)
        if not (folder / method / "report.html").stat().st_size:
            sys.exit(f"deepjive fit --method {method} wrote no report")
        say(f"deepjive fit --method {method}: report.html")
    for file, library in (("x.h5", "h5py"), ("x.h5ad", "anndata"), ("x.nii", "nibabel"), ("x.parquet", "pyarrow")):
        (folder / file).write_bytes(b"nothing")
        error = environment.fails("-m", "deepjive", "ranks", "-m", f"a={file}", "-m", "b=b.csv", folder=folder)
        if f"pip install {library}" not in error:  # a wheel that was installed from a file has no name to install
            sys.exit(f"the error for {file} does not say how to install {library}:\n{error}")
    start = time.perf_counter()
    environment.run("-m", "deepjive", "demo", "--out", "demo", folder=folder, extra={"OMP_NUM_THREADS": "1"})
    say(f"deepjive demo: {time.perf_counter() - start:.0f} s")


def try_each_extra(base: Environment, wheel: Path, folder: Path) -> None:
    """Install every extra alone, next to the packages of an environment without extras, and use it."""
    for extra, code in EXTRAS.items():
        environment = Environment(folder / extra, above=base)
        environment.install(f"{wheel}[{extra}]", constraints=PINNED)
        environment.run("-c", code)
        say(f"extra {extra} alone")
        shutil.rmtree(environment.folder)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, check and try the archives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extras", action="store_true", help="also install and use each extra alone")
    parser.add_argument("--contents", action="store_true", help="build and check the archives, and install nothing")
    options = parser.parse_args(arguments)
    wheel, source = build()
    check_contents(wheel, source)
    if options.contents:
        return
    with tempfile.TemporaryDirectory() as name:
        base = Environment(Path(name) / "base")
        base.install_torch(PINNED)
        base.install(str(wheel), constraints=PINNED)
        try_without_extras(base, Path(name))
        if options.extras:
            try_each_extra(base, wheel, Path(name) / "extras")


if __name__ == "__main__":
    main()
