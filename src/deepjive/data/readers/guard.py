"""Shared by all readers: the error for a file that cannot be read, and limits on the sizes that a file may claim."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

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
    "openpyxl": "tables",
    "tensorboard": "log",
    "umap": "umap",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
}
MISSING_EXTRA = "{purpose} needs the library {module!r}, which is not installed. Install it with: {command}"
PACKAGES = {"ants": "antspyx", "umap": "umap-learn"}  # where a package has another name than its module
UNREADABLE = "{path} could not be read: {reason}."
TOO_LARGE = (
    "{path} claims to hold {claimed:.3g} bytes of {what}, {times:.0f} times the size of the file. Only a damaged or "
    "hostile file does this. If the file is neither, save the array as .npy, which is not compressed."
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
    """Raised for a file that cannot be read; the message names the file and the reason."""


class MissingExtraError(ImportError):
    """Raised for an optional library that is not installed; the message names the extra that installs it."""


def optional(module: str, purpose: str) -> Any:
    """Import an optional library.

    Parameters
    ----------
    module : str
        Name of the module. The library it belongs to is one of `EXTRAS`.
    purpose : str
        What needs the library, as the beginning of a sentence.

    Returns
    -------
    module

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        message = MISSING_EXTRA.format(purpose=purpose, module=library, command=install_command(library))
        raise MissingExtraError(message) from error


def install_command(library: str, extra: str | None = None) -> str:
    """Return the command that installs an optional library.

    Parameters
    ----------
    library : str
        Name of the module.
    extra : str, optional
        Extra of deepjive that has the library; by default that of `EXTRAS`.

    Returns
    -------
    str
        ``pip install 'deepjive[EXTRA]'`` if deepjive was installed by its name, the same with the folder if it was
        installed from a folder, and otherwise ``pip install LIBRARY``.
    """
    extra = EXTRAS[library] if extra is None else extra
    try:
        origin = metadata.distribution("deepjive").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return f"pip install {PACKAGES.get(library, library)}"
    if origin is None:
        return f"pip install 'deepjive[{extra}]'"
    try:
        described = json.loads(origin)
        folder = unquote(urlparse(described["url"]).path)
        option = "-e " if described["dir_info"].get("editable") else ""
    except (ValueError, KeyError, TypeError, AttributeError):  # an archive, a repository, or a damaged record
        return f"pip install {PACKAGES.get(library, library)}"
    return f"pip install {option}'{folder}[{extra}]'"


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Convert every error of a reader on damaged content to an `UnreadableError`.

    Libraries that parse files raise many kinds of errors on damaged content (of the parser, of the decompressor,
    KeyError, RecursionError, MemoryError ...). No list of these errors is complete, so that all errors are converted.

    Parameters
    ----------
    path : path
        The file, for the error.
    """
    try:
        yield
    except (UnreadableError, MissingExtraError, FileNotFoundError):
        raise
    except Exception as error:
        raise UnreadableError(UNREADABLE.format(path=path, reason=_reason(error))) from error


def check_claim(path: Path, claimed: int, size: int, what: str = "numbers") -> None:
    """Raise an error if a compressed file claims far more content than its size makes likely.

    Parameters
    ----------
    path : Path
        The file, for the error.
    claimed : int
        Number of bytes that its content would take.
    size : int
        Number of bytes of the file.
    what : str, default="numbers"
        What the content is, for the error.

    Raises
    ------
    UnreadableError
        If the claim exceeds both 256 MiB and 100 times the size of the file.
    """
    if claimed > max(ALWAYS_ALLOWED, LARGEST_RATIO * size):
        times = claimed / max(size, 1)
        raise UnreadableError(TOO_LARGE.format(path=path, claimed=float(claimed), what=what, times=times))


def check_piece(path: Path | str, shape: tuple[int, ...], dtype: Any, what: str) -> None:
    """Raise an error if a piece that must be read at once (a sample or a chunk) exceeds `LARGEST_SAMPLE` bytes."""
    claimed = dtype.itemsize
    for length in shape:
        claimed *= int(length)
    if claimed > LARGEST_SAMPLE:
        message = HUGE_SAMPLE.format(
            path=path, what=what, shape=shape, dtype=dtype, claimed=float(claimed), limit=float(LARGEST_SAMPLE)
        )
        raise UnreadableError(message)


def _reason(error: Exception) -> str:
    """The message of an error in one line, without its full stop."""
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= REASON_LENGTH else f"{text[:REASON_LENGTH]}..."
    return text.rstrip(".")
