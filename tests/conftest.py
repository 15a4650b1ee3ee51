"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Gives the path of a file of the reference data, or skips the test where it is absent."""
    folder = Path(os.environ.get("DEEPJIVE_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"needs the reference data {name}, which is in neither DEEPJIVE_DATA nor ../shared/data")
        return path

    return find


@pytest.fixture
def write_nifti() -> Callable[..., Path]:
    """Writes a NIfTI file; by default a map on the standard grid of 12 mm, which is quick to read."""
    nibabel = pytest.importorskip("nibabel")
    pytest.importorskip("nilearn")
    from deepjive.imaging import mni_grid, template

    def write(path: Path, values: Any = None, affine: Any = None, sform: int = 2, qform: int = 2) -> Path:
        values = template("grey", 12.0) + 0.1 if values is None else values
        affine = mni_grid(12.0).affine if affine is None else affine
        image = nibabel.Nifti1Image(np.asarray(values, np.float32), affine if sform or qform else None)
        if sform or qform:
            image.header.set_sform(affine, code=sform)
            image.header.set_qform(affine, code=qform)
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(image, path)
        return path

    return write


@pytest.fixture
def make_decomposition() -> Callable[..., Any]:
    """A decomposition of modalities of the given sample shapes, with one joint and one individual direction each."""

    from deepjive import AJIVE, Modalities

    def make(shapes: Any, n: int = 60, joint_rank: int = 2, individual_ranks: int = 2, samples: Any = None) -> Any:
        rng = np.random.default_rng(0)
        joint = rng.normal(size=(n, 2))
        arrays = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            own = rng.normal(size=(n, 2))
            x = np.hstack([joint, own]) @ rng.normal(size=(4, size)) + 0.3 * rng.normal(size=(n, size)) + 5.0
            arrays[name] = x.reshape(n, *shape)
        data = Modalities(arrays, samples=samples)
        model = AJIVE(joint_rank=joint_rank, individual_ranks=individual_ranks, n_wedin=5, n_random=5, random_state=0)
        return model.fit(data).decompose(data)

    return make
