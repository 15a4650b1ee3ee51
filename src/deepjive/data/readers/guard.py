"""What all readers share: the one error for a file that cannot be read, and limits to what a file may claim."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXTRAS = {
    "h5py": "arrays",
    "zarr": "arrays",
    "nibabel": "imaging",
    "nilearn": "imaging",
    "ants": "ants",
    "nipype": "spm",
    "anndata": "omics",
    "mudata": "omics",
    "pyarrow": "tables",
    "polars": "tables",
    "tensorboard": "log",
}
MISSING_EXTRA = (
    "{purpose} needs the library {module!r}, which is not installed. Install it with: pip install 'deepjive[{extra}]'"
)
UNREADABLE = "{path} could not be read: {reason}."
TOO_LARGE = (
    "{path} claims to hold {claimed:.3g} bytes of {what}, {times:.0f} times the size of the file, which only a damaged "
    "or hostile file does. If it is neither, save the array as .npy, whose size is what it says."
)
HUGE_SAMPLE = (
    "{path}: {what} of shape {shape} and dtype {dtype} takes {claimed:.3g} bytes, but at most {limit:.3g} are read "
    "at once. The first axis must be the samples; check the shape of the array."
)

ALWAYS_ALLOWED = 2**28
LARGEST_RATIO = 100
LARGEST_SAMPLE = 2**31
REASON_LENGTH = 200


class UnreadableError(ValueError):
    """A file that cannot be read; the message names it and says why."""


class MissingExtraError(ImportError):
    """An optional library that is not installed; the message names the extra that brings it."""


def optional(module: str, purpose: str) -> Any:
    """Import an optional library.

    Parameters
    ----------
    module : str
        Its name; its library is one of `EXTRAS`.
    purpose : str
        What needs it, as the beginning of a sentence.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        message = MISSING_EXTRA.format(purpose=purpose, module=library, extra=EXTRAS[library])
        raise MissingExtraError(message) from error


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn whatever a reader raises on damaged content into one `UnreadableError`.

    The libraries that parse files raise errors without end on content that is damaged (of the parser, of the
    decompressor, KeyError, RecursionError, MemoryError ...), so that no list of them is complete.
    """
    try:
        yield
    except (UnreadableError, MissingExtraError, FileNotFoundError):
        raise
    except Exception as error:
        raise UnreadableError(UNREADABLE.format(path=path, reason=_reason(error))) from error


def check_claim(path: Path, claimed: int, size: int, what: str = "numbers") -> None:
    """Refuse a compressed file that claims far more content than its size makes likely.

    Parameters
    ----------
    path : Path
        The file, for the error.
    claimed : int
        Bytes of its content.
    size : int
        Bytes of the file.
    what : str
        What the content is, for the error.
    """
    if claimed > max(ALWAYS_ALLOWED, LARGEST_RATIO * size):
        times = claimed / max(size, 1)
        raise UnreadableError(TOO_LARGE.format(path=path, claimed=float(claimed), what=what, times=times))


def check_piece(path: Path | str, shape: tuple[int, ...], dtype: Any, what: str) -> None:
    """Refuse what must be read at once, a sample or a chunk of a store, where it is larger than `LARGEST_SAMPLE`."""
    claimed = dtype.itemsize
    for length in shape:
        claimed *= int(length)
    if claimed > LARGEST_SAMPLE:
        message = HUGE_SAMPLE.format(
            path=path, what=what, shape=shape, dtype=dtype, claimed=float(claimed), limit=float(LARGEST_SAMPLE)
        )
        raise UnreadableError(message)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= REASON_LENGTH else f"{text[:REASON_LENGTH]}..."
    return text.rstrip(".")
