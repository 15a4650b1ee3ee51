"""Multimodal data: the arrays of all modalities of the same samples, and the files they come from.

>>> import numpy as np
>>> from deepjive.data import Modalities
>>> Modalities({"rna": np.ones((5, 3)), "protein": np.ones((5, 2))}).shape
(5, 2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.data.files import FileSource, read_array, read_labels, read_names
    from deepjive.data.groups import TooFewOrdersError
    from deepjive.data.modalities import Modalities, as_modalities
    from deepjive.data.pairing import Pairing
    from deepjive.data.readers.gene_sets import read_gene_sets
    from deepjive.data.readers.guard import UnreadableError
    from deepjive.data.readers.region_tables import RegionTable, region_table

__all__ = [
    "FileSource",
    "Modalities",
    "Pairing",
    "RegionTable",
    "TooFewOrdersError",
    "UnreadableError",
    "as_modalities",
    "read_array",
    "read_gene_sets",
    "read_labels",
    "read_names",
    "region_table",
]

_MODULES = {
    "FileSource": "deepjive.data.files",
    "Modalities": "deepjive.data.modalities",
    "Pairing": "deepjive.data.pairing",
    "RegionTable": "deepjive.data.readers.region_tables",
    "TooFewOrdersError": "deepjive.data.groups",
    "UnreadableError": "deepjive.data.readers.guard",
    "as_modalities": "deepjive.data.modalities",
    "read_array": "deepjive.data.files",
    "read_gene_sets": "deepjive.data.readers.gene_sets",
    "read_labels": "deepjive.data.files",
    "read_names": "deepjive.data.files",
    "region_table": "deepjive.data.readers.region_tables",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
