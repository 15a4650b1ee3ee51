"""Stress test of every reader and of `deepjive.load` with many damaged and hostile inputs.

    python -m tests.stress.fuzz --inputs 100000

Valid files of every kind are mutated: bytes and pieces at any place, numbers that overflow, and pieces of other files.
Some mutations change the content inside an archive or the fields of a JSON description and then correct the digests,
because checksums would otherwise catch all of them. Every input is read in another process. The outcome of an input is
*read*, *refused* (a documented error), or a failure. A failure is any other error, a crash of the process, or a time of
more than `HANG` seconds; and other values than before, of a file with checksums. Each input depends on the seed and its
number only; `--only KIND --first NUMBER --inputs 1` repeats one input.
"""

from __future__ import annotations

import argparse
import faulthandler
import gzip
import hashlib
import io
import json
import logging
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import deepjive as dj
from deepjive import persistence
from deepjive.data.files import read_array, read_labels
from deepjive.data.readers.annotated import read_h5mu
from deepjive.data.readers.guard import UnreadableError
from deepjive.data.readers.lazy import LabelledRows
from deepjive.persistence import ModelFolderError

HANG = 60
START = 600  # seconds to import libraries and to write the seeds, beside other programs
READY = "ready"
LIBHDF5 = " in libhdf5"
MEMORY = 12 * 2**30
DOCUMENTED = (UnreadableError, FileNotFoundError, ModelFolderError)
NUMBERS = [0, 1, 2, -1, 127, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1]
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        3,
        10**6,
        2**40,
        2**63,
        10**30,
        0.5,
        1e308,
        -1e-300,
        "",
        "x",
        "nan",
        "../../x",
        "$array",
    ),
    *([], {}, [0], [[]], {"$array": "absent"}, {"$tuple": 3}, {"$tuple": [2**40]}, {"$float": "inf"}, {"$custom": "f"}),
    *(
        "pickle",
        "<f8",
        "|O",
        "float99",
        {"id": "pickle"},
        {"name": "bytes"},
        [1, 2, 3],
        [10**9, 10**9],
        "DeepJIVE",
        "\ud800",
    ),
]
Reader = Callable[[], Any]
Mutant = Callable[[np.random.Generator], Reader]


def mutated(content: bytes, rng: np.random.Generator, other: bytes = b"") -> bytes:
    """Content with one or more changes; half of them near its beginning, where file formats have their headers."""
    data = bytearray(content)
    for _ in range(int(rng.geometric(0.4))):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 400)
        place = int(rng.integers(max(reach, 1)))
        length = int(min(rng.geometric(0.1), 200))
        choice = rng.integers(7)
        if choice == 0 and data:
            data[place] ^= 1 << int(rng.integers(8))
        elif choice == 1:
            data[place : place + length] = rng.integers(256, size=length, dtype=np.uint8).tobytes()
        elif choice == 2:
            del data[place : place + length]
        elif choice == 3:
            data[place:place] = data[place : place + length] * int(rng.integers(1, 4))
        elif choice == 4:
            size, order = int(rng.choice([1, 2, 4, 8])), str(rng.choice(["little", "big"]))
            number = int(rng.choice(np.array(NUMBERS, dtype=object))) % 256**size
            data[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
        elif choice == 5 and other:
            start = int(rng.integers(len(other)))
            data[place : place + length] = other[start : start + length]
        elif choice == 6 and rng.random() < 0.2:
            del data[place:]
    return bytes(data)


def mutated_json(value: Any, rng: np.random.Generator) -> Any:
    """JSON with one to four values replaced, removed or duplicated."""
    value = json.loads(json.dumps(value))
    for _ in range(int(rng.integers(1, 5))):
        places: list[tuple[Any, Any]] = []
        _collect(value, places)
        if not places:
            break
        (parent, key), (source, origin) = (places[int(rng.integers(len(places)))] for _ in range(2))
        choice = rng.integers(5)
        if choice == 0:
            del parent[key]
        elif choice == 1:
            parent[key] = json.loads(json.dumps(source[origin]))
        elif choice == 2 and isinstance(parent, dict):
            parent[str(key) + str(rng.choice(["_", "x", "$"]))] = parent[key]
        elif choice == 3 and isinstance(parent[key], str):
            parent[key] = mutated(parent[key].encode("utf-8", "replace"), rng).decode("utf-8", "replace")
        else:
            parent[key] = VALUES[int(rng.integers(len(VALUES)))]
    return value


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        places.append((value, key))
        _collect(value[key], places)


def read(path: Path | str) -> None:
    """Read a modality as a model does: open it, then read some rows."""
    source = read_array(path)
    source = source.array if isinstance(source, LabelledRows) else source
    if hasattr(source, "iloc"):
        source.to_numpy()
    elif len(source.shape):
        np.asarray(source[: min(3, source.shape[0])])


class OtherValuesError(Exception):
    """Raised for a damaged file with checksums from which other values than before were read."""


def _values(path: Path) -> np.ndarray:
    """All values of a file."""
    source = read_array(path)
    source = source.array if isinstance(source, LabelledRows) else source
    return source.to_numpy() if hasattr(source, "to_numpy") else np.asarray(source[:])


def read_the_same(path: Path, expected: np.ndarray) -> None:
    """Read a damaged file whose checksums must not let other values pass."""
    values = _values(path)
    if not np.array_equal(values, expected):
        raise OtherValuesError(
            f"values of shape {values.shape} that are not those of the file, of shape {expected.shape}"
        )


def checked_mutant(folder: Path, name: str, content: bytes, expected: np.ndarray, rng: np.random.Generator) -> Reader:
    """A file whose values have checksums; a bit of it is changed, or it ends early."""
    data = bytearray(content)
    for _ in range(int(rng.geometric(0.7))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    if rng.random() < 0.1:
        del data[int(rng.integers(len(data))) :]
    (folder / name).write_bytes(data)
    return partial(read_the_same, folder / name, expected)


def read_mudata(path: Path) -> None:
    """Read the modalities of a MuData file."""
    for _, array in dj.Modalities.from_mudata(read_h5mu(path)).items():
        np.asarray(array[:3])


def mudata_mutant(folder: Path, content: bytes, other: bytes, rng: np.random.Generator) -> Reader:
    """A MuData file with damaged bytes."""
    (folder / "in.h5mu").write_bytes(mutated(content, rng, other))
    return partial(read_mudata, folder / "in.h5mu")


def byte_mutant(folder: Path, name: str, content: bytes, other: bytes, rng: np.random.Generator) -> Reader:
    (folder / name).write_bytes(mutated(content, rng, other))
    if rng.random() < 0.1 and name.endswith((".csv", ".tsv", ".npy", ".npz", ".parquet")):
        return partial(read_labels, folder / name, None, 10)
    return partial(read, folder / name)


def zipped_mutant(folder: Path, content: bytes, other: bytes, rng: np.random.Generator) -> Reader:
    """An archive with valid checksums and a damaged array."""
    with zipfile.ZipFile(folder / "in.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("x", "y")[: int(rng.integers(1, 3))]:
            archive.writestr(f"{key}.npy", mutated(content, rng, other))
    return partial(read, f"{folder / 'in.npz'}:x")


def gzipped_mutant(folder: Path, content: bytes, other: bytes, rng: np.random.Generator) -> Reader:
    (folder / "in.nii.gz").write_bytes(gzip.compress(mutated(content, rng, other), 1))
    (folder / "list.txt").write_text("in.nii.gz\nin.nii.gz\n")
    return partial(read, folder / str(rng.choice(["in.nii.gz", "list.txt"])))


def zarr_mutant(folder: Path, store: dict[str, bytes], rng: np.random.Generator) -> Reader:
    """A zarr folder with a damaged file or a changed description."""
    root = folder / "in.zarr"
    shutil.rmtree(root, ignore_errors=True)
    victim = str(rng.choice(list(store)))
    for name, content in store.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name == victim and name.endswith(("zarr.json", ".zarray")) and rng.random() < 0.8:
            content = json.dumps(mutated_json(json.loads(content), rng)).encode()
        elif name == victim:
            content = mutated(content, rng)
        (root / name).write_bytes(content)
    return partial(read, f"{root}:x" if rng.random() < 0.5 else root)


def folder_mutant(folder: Path, config: bytes, weights: bytes, rng: np.random.Generator) -> Reader:
    """A model folder with changed bytes, or a forged one, whose digests agree with the changes."""
    kind = rng.integers(4)
    if kind == 0:
        config = mutated(config, rng, weights)
    elif kind == 1:
        weights = mutated(weights, rng, config)
    else:
        forged = json.loads(config)
        if kind == 2:
            length = int.from_bytes(weights[:8], "little")
            header = json.dumps(mutated_json(json.loads(weights[8 : 8 + length]), rng)).encode()
            weights = len(header).to_bytes(8, "little") + header + weights[8 + length :]
        else:
            forged = {**forged, **mutated_json({key: forged[key] for key in ("class", "learned", "parameters")}, rng)}
        forged["weights_sha256"] = hashlib.sha256(weights).hexdigest()
        forged["config_sha256"] = persistence._digest(forged)
        config = json.dumps(forged).encode()
    root = folder / "model"
    root.mkdir(exist_ok=True)
    (root / persistence.CONFIG).write_bytes(config)
    (root / persistence.WEIGHTS).write_bytes(weights)
    return partial(dj.load, root)


def seeds(folder: Path) -> dict[str, tuple[int, Mutant]]:
    """The share of each kind of input and a function that makes one; kinds whose library is missing are left out."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 6, 4)).astype(np.float32)
    np.save(folder / "seed.npy", x)
    npy = (folder / "seed.npy").read_bytes()
    packed = io.BytesIO()
    np.savez_compressed(packed, x=x)
    header = "id," + ",".join(f"gene{i}" for i in range(5))
    rows = [f"s{i}," + ",".join(f"{v:.3f}" for v in x[i, :5, 0]) for i in range(10)]
    csv = ("\n".join([header, *rows]) + "\n").encode()
    (folder / "seed.csv.gz").write_bytes(gzip.compress(csv))
    kinds: dict[str, tuple[int, Mutant]] = {
        "npy": (12, partial(byte_mutant, folder, "in.npy", npy, csv)),
        "npz": (8, partial(byte_mutant, folder, "in.npz", packed.getvalue(), npy)),
        "npz, inside": (8, partial(zipped_mutant, folder, npy, csv)),
        "csv": (12, partial(byte_mutant, folder, "in.csv", csv, b'"",,\n\r\x00=1+1,1e999,nan,inf,0x10,\xff')),
        "tsv": (2, partial(byte_mutant, folder, "in.tsv", csv.replace(b",", b"\t"), csv)),
        "list": (2, partial(byte_mutant, folder, "in.txt", b"in.nii\nin.nii.gz\n", csv)),
        "csv.gz": (2, _checked(folder, "seed.csv.gz")),
    }
    _add_optional(kinds, folder, x, npy)
    data = dj.Modalities({"a": x[:, :, 0], "b": x[:, :3, 1]})
    models = {
        "AJIVE": dj.AJIVE(signal_ranks=2, joint_rank=1, n_wedin=2, n_random=2, random_state=0),
        "HeteroJIVE": dj.HeteroJIVE(signal_ranks=2, joint_rank=1),
        "DeepJIVE": dj.DeepJIVE(
            joint_rank=1, individual_ranks=1, max_epochs=1, batch_size=2, networks="dense", random_state=0
        ),
    }
    for name, model in models.items():
        model.fit(data).save(folder / "seed")
        files = [(folder / "seed" / file).read_bytes() for file in (persistence.CONFIG, persistence.WEIGHTS)]
        kinds[f"load {name}"] = (4 if name == "DeepJIVE" else 10, partial(folder_mutant, folder, *files))
    return kinds


def _checked(folder: Path, name: str) -> Mutant:
    """Mutants of a file whose values have checksums."""
    content, expected = (folder / name).read_bytes(), _values(folder / name)
    return partial(checked_mutant, folder, name.replace("seed", "in"), content, expected)


def _add_optional(kinds: dict[str, tuple[int, Mutant]], folder: Path, x: np.ndarray, npy: bytes) -> None:
    if find_spec("nibabel"):
        import nibabel

        nibabel.save(nibabel.Nifti1Image(x.reshape(6, 4, 5, 2), np.eye(4)), folder / "seed.nii")
        content = (folder / "seed.nii").read_bytes()
        kinds["nii"] = (8, partial(byte_mutant, folder, "in.nii", content, npy))
        kinds["nii.gz"] = (4, partial(byte_mutant, folder, "in.nii.gz", gzip.compress(content), npy))
        (folder / "seed.nii.gz").write_bytes(gzip.compress(content))
        kinds["nii.gz, one bit"] = (2, _checked(folder, "seed.nii.gz"))
        kinds["nii.gz, inside"] = (6, partial(gzipped_mutant, folder, content, npy))
    if find_spec("h5py"):
        import h5py

        with h5py.File(folder / "seed.h5", "w") as file:
            file.create_dataset("group/x", data=x, chunks=(3, 6, 4), compression="gzip")
        kinds["h5"] = (10, partial(byte_mutant, folder, "in.h5", (folder / "seed.h5").read_bytes(), npy))
    if find_spec("zarr"):
        import zarr

        for version in (2, 3):
            root = folder / f"seed{version}.zarr"
            group = zarr.open_group(root, mode="w", zarr_format=version)
            group.create_array("x", shape=x.shape, chunks=(5, 6, 4), dtype=x.dtype)[:] = x
            store = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
            kinds[f"zarr {version}"] = (3, partial(zarr_mutant, folder, store))
    if find_spec("pyarrow"):
        import pandas as pd

        table = pd.DataFrame(x[:, :, 0], index=[f"s{i}" for i in range(10)], columns=list("abcdef"))
        table.to_parquet(folder / "seed.parquet")
        kinds["parquet"] = (6, partial(byte_mutant, folder, "in.parquet", (folder / "seed.parquet").read_bytes(), npy))
        table.to_parquet(folder / "seed.parquet", write_page_checksum=True)
        kinds["parquet, checksums"] = (2, _checked(folder, "seed.parquet"))
        if find_spec("openpyxl"):
            table.rename_axis("id").reset_index().to_excel(folder / "seed.xlsx", index=False)
            kinds["xlsx"] = (2, _checked(folder, "seed.xlsx"))
    if find_spec("anndata"):
        import anndata
        import pandas as pd

        names = [pd.Index([f"{word}{i}" for i in range(n)], dtype=object) for word, n in (("s", 10), ("g", 6))]
        adata = anndata.AnnData(x[:, :, 0], obs=pd.DataFrame(index=names[0]), var=pd.DataFrame(index=names[1]))
        adata.write_h5ad(folder / "seed.h5ad")
        kinds["h5ad"] = (3, partial(byte_mutant, folder, "in.h5ad", (folder / "seed.h5ad").read_bytes(), npy))
        if find_spec("mudata"):
            import mudata

            with pd.option_context("future.infer_string", False):  # mudata does not write text of pandas' own type
                mudata.MuData({"a": adata, "b": adata.copy()}).write(folder / "seed.h5mu")
            kinds["h5mu"] = (2, partial(mudata_mutant, folder, (folder / "seed.h5mu").read_bytes(), npy))


def outcome(mutant: Mutant, rng: np.random.Generator) -> str:
    """The outcome of one input: "read", "refused", or the description of a failure."""
    reader = mutant(rng)
    try:
        reader()
    except OtherValuesError as error:
        return f"other values: {error}"
    except DOCUMENTED as error:
        return "refused" if str(error) and "\n" not in str(error) else f"an error of several lines: {error!r}"
    except Exception as error:
        places = traceback.extract_tb(error.__traceback__)
        last = [place for place in places if "deepjive" in place.filename][-1]
        return f"{type(error).__name__}: {str(error)[:100]} ({Path(last.filename).name}:{last.lineno})"
    return "read"


def work(folder: Path, seed: int, numbers: list[tuple[str, int]], pipe: Any) -> None:
    """Try inputs in this process, and send the outcome of each through the pipe."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    faulthandler.enable((folder.parent / f"{folder.name}.trace").open("w"), all_threads=False)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    kinds = seeds(folder)
    pipe.send(READY)
    for kind, number in numbers:
        pipe.send(outcome(kinds[kind][1], np.random.default_rng([seed, number])))


def run(seed: int, numbers: list[tuple[str, int]]) -> Counter[tuple[str, str]]:
    """Outcomes of all inputs; an input on which a process dies or hangs is a failure, and a new process continues."""
    counts: Counter[tuple[str, str]] = Counter()
    total = len(numbers)
    context = multiprocessing.get_context("spawn")
    while numbers:
        with tempfile.TemporaryDirectory() as folder:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(Path(folder), seed, numbers, sender))
            process.start()
            sender.close()
            done, word = 0, ""
            try:
                if receiver.poll(START):
                    receiver.recv()
                while done < len(numbers) and receiver.poll(HANG):
                    counts[numbers[done][0], _shown(receiver.recv(), numbers[done])] += 1
                    done += 1
                    if (total - len(numbers) + done) % 10_000 == 0:
                        print(f"{total - len(numbers) + done} of {total} inputs", file=sys.stderr, flush=True)
                word = "no answer"
            except EOFError:
                word = "the process died"
            if done < len(numbers) and word == "no answer":
                os.kill(process.pid, signal.SIGABRT)  # so that it writes where it is
            process.join(HANG if done < len(numbers) else 0)
            process.kill()
            process.join()
            trace = Path(f"{folder}.trace")
            word += in_library(trace.read_text() if trace.exists() else "")
            trace.unlink(missing_ok=True)
        if done < len(numbers):
            counts[numbers[done][0], f"{word} (input {numbers[done][1]}, exit code {process.exitcode})"] += 1
        numbers = numbers[done + 1 :]
    return counts


def in_library(trace: str) -> str:
    """Words that say whether the innermost call of a Python trace belongs to the library that reads HDF5 files."""
    first = re.search(r'File "([^"]*)"', trace)
    return LIBHDF5 if first and "h5py" in Path(first[1]).parts[-3:-1] else ""


def _shown(result: str, number: tuple[str, int]) -> str:
    return result if result in ("read", "refused") else f"{result} [input {number[1]}]"


def selected(inputs: int, first: int, only: str | None) -> list[tuple[str, int]]:
    """Kind and number of each input."""
    with tempfile.TemporaryDirectory() as folder:
        shares = {kind: share for kind, (share, _) in seeds(Path(folder)).items()}
    names = [kind for kind, share in shares.items() for _ in range(share)]
    return [(only or names[number % len(names)], number) for number in range(first, first + inputs)]


def report(counts: Counter[tuple[str, str]]) -> bool:
    """Print the outcomes of each kind and the failures; returns whether there is a failure."""
    print(f"{'kind':16} {'read':>8} {'refused':>8} {'failures':>8}")
    others = {key: count for key, count in counts.items() if key[1] not in ("read", "refused")}
    failures = {key: count for key, count in others.items() if LIBHDF5 not in key[1]}
    for kind in dict.fromkeys(kind for kind, _ in counts):
        failed = sum(count for (of, _), count in failures.items() if of == kind)
        print(f"{kind:16} {counts[kind, 'read']:8} {counts[kind, 'refused']:8} {failed:8}")
    read_count, refused = (
        sum(count for (_, word), count in counts.items() if word == result) for result in ("read", "refused")
    )
    print(f"{'all':16} {read_count:8} {refused:8} {sum(failures.values()):8}")
    n_in_library = sum(others.values()) - sum(failures.values())
    if n_in_library:
        print(f"{n_in_library} inputs ended or stopped the process in libhdf5, as SECURITY.md says:")
    for (kind, word), count in sorted(others.items(), key=lambda item: -item[1])[:40]:
        print(f"{kind}: {word} ({count} times)")
    return bool(failures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one kind of input")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    numbers = selected(options.inputs, options.first, options.only)
    start = time.perf_counter()
    counts = run(options.seed, numbers)
    has_failures = report(counts)
    print(f"{sum(counts.values())} inputs in {time.perf_counter() - start:.0f} s")
    raise SystemExit(has_failures)


if __name__ == "__main__":
    main()
