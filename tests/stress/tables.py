"""Stress test of pairing: random tables of the same samples with random troubles, in random forms.

    python -m tests.stress.tables --tables 20000

Two tables of the same samples are paired. The second one gets one to three troubles of `tests.data.messy` and is
written in a random form, or becomes a data frame with an index of a random type. The outcome is *right* (the clean
numbers in the order of the first table), *refused* (an error of one line), or a failure: other numbers, or an error of
another kind. Each table depends on the seed and its number only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepjive import Modalities
from deepjive.data import FileSource
from tests.data.messy import FORMS, TROUBLES, Table, table_of

OF_NUMBERS = ("names as floats", "leading zeros", "names as floats and one sample less")
OF_FILES = ("an empty row at the end", "an unnamed column at the end")
HARMLESS = [name for name, (_, error) in TROUBLES.items() if not error]
HARMLESS_FORMS = [name for name, (_, error) in FORMS.items() if not error and name != "xlsx"]


def names_of(n: int, rng: np.random.Generator) -> list[str]:
    """Names of samples of a random kind."""
    kind = rng.integers(5)
    if kind == 0:
        return [str(i) for i in rng.permutation(n) + int(rng.integers(0, 5))]
    if kind == 1:
        return [str(i) for i in rng.choice(10**6, n, replace=False) + 1]
    if kind == 2:
        return [f"{letter}{i}" for i, letter in enumerate(rng.choice(list("sABäç_-"), n))]
    if kind == 3:
        return [f"TCGA-{i:04d}-01" for i in rng.permutation(n)]
    return [str(x) for x in [*["NA", "null", "1e5", "None", "TRUE"][: min(5, n)], *(f"s {i}" for i in range(n))][:n]]


def frame_of(table: Table, rng: np.random.Generator) -> pd.DataFrame:
    """The table as a data frame whose index has a random type."""
    values = pd.DataFrame([[float(cell or "nan") for cell in row] for row in table.cells], columns=table.features)
    names: list[Any] = list(table.names)
    kind = rng.integers(5)
    if kind == 0 and all(name.strip().isdecimal() for name in names):
        names = [int(name) for name in names]
    elif kind == 1 and all(name.strip().isdecimal() for name in names):
        names = [float(name) for name in names]
    index: Any = names
    if kind == 2:
        index = pd.CategoricalIndex(names)
    elif kind == 3:
        index = pd.MultiIndex.from_arrays([names])
    elif kind == 4:
        index = pd.Index(names, dtype=object)
    return values.set_axis(pd.Index(index) if isinstance(index, list) else index, axis=0)


def outcome(number: int, seed: int, folder: Path) -> tuple[str, str]:
    """The outcome of one table, and what was tried."""
    rng = np.random.default_rng([seed, number])
    n, p = int(rng.integers(2, 30)), int(rng.integers(1, 12))
    names = names_of(n, rng)
    first, second = (rng.normal(size=(n, p)) * 10.0 ** rng.integers(-6, 7) for _ in range(2))
    second = np.round(second, int(rng.integers(0, 9)))
    table = table_of(names, [f"b{i}" for i in range(p)], second)
    is_harmless, as_frame = rng.random() < 0.8, rng.random() < 0.3
    troubles = [str(name) for name in rng.choice(HARMLESS if is_harmless else [*TROUBLES], int(rng.integers(1, 4)))]
    form = str(rng.choice(HARMLESS_FORMS if is_harmless else [name for name in FORMS if name != "xlsx"]))
    has_numbers = all(name.isdecimal() for name in names)
    troubles = [name for name in troubles if has_numbers or name not in OF_NUMBERS]
    troubles = [name for name in troubles if not (as_frame and name in OF_FILES)]
    if sum(name.startswith("rows are") for name in troubles) > 1:
        return "not made", f"{troubles}"
    described = f"{troubles} in {form}, n {n}, p {p}"
    try:
        for trouble in troubles:
            table = TROUBLES[trouble][0](table)
        source: Any
        turned = None
        if as_frame:
            source = frame_of(table, rng)
        else:
            path, options = FORMS[form][0](table, folder)
            turned = options.pop("features_in_rows", None)
            source = FileSource(path, **options)
    except (IndexError, ValueError, UnicodeEncodeError):
        return "not made", described
    try:
        frame = pd.DataFrame(first, index=names)
        data = Modalities({"a": frame, "b": source}, features_in_rows=["b"] if turned else None)
    except (ValueError, TypeError, FileNotFoundError) as error:
        places = [place for place in traceback.extract_tb(error.__traceback__) if "deepjive" in place.filename]
        raised_here = "deepjive" in traceback.extract_tb(error.__traceback__)[-1].filename
        if not raised_here or "\n" in str(error):
            return f"foreign: {type(error).__name__}: {str(error)[:200]} ({places[-1].name})", described
        expected = any(TROUBLES[trouble][1] for trouble in troubles) or (FORMS[form][1] and not as_frame)
        return "refused" if expected else f"refused though right: {str(error)[:300]}", described
    except Exception as error:
        return f"foreign: {type(error).__name__}: {str(error)[:200]}", described
    plain = [name.strip() for name in names]
    kept = [plain.index(str(sample).strip()) for sample in data.samples if str(sample).strip() in plain]
    right = len(kept) == len(data) == n and np.array_equal(data["a"], first[kept])
    right = right and data["b"].shape == (n, p) and np.allclose(data["b"], second[kept], rtol=1e-12, atol=0)
    return "right" if right else "other numbers", described


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first table")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.first, options.first + options.tables):
            result, described = outcome(number, options.seed, Path(folder))
            word = result.partition(":")[0]
            counts[word] += 1
            if word in ("foreign", "other numbers", "refused though right") and counts[word] <= 10:
                print(f"table {number}: {described}: {result}", flush=True)
            if (number + 1) % 500 == 0:
                print(f"{number + 1 - options.first} tables: {dict(counts)}", flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.most_common()))
    print(f"{options.tables} tables in {time.perf_counter() - start:.0f} s")
    raise SystemExit(counts["foreign"] + counts["other numbers"] > 0)


if __name__ == "__main__":
    main()
