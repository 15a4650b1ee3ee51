"""Experiments that `deepjive reproduce` and `deepjive demo` run: paired digits, brain images, omics, synthetic data.

>>> from deepjive.experiments import Cell
>>> Cell("recovery", "AJIVE", 0, {"n_samples": 100}, {"joint_rank": 1}).row
'AJIVE'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.experiments.brain.page import write_brain_page
    from deepjive.experiments.brain.study import BrainStudy, brain_study
    from deepjive.experiments.cells import Cell, measure_cells
    from deepjive.experiments.classification import held_out_accuracy
    from deepjive.experiments.demo import Demonstration, demonstrate
    from deepjive.experiments.digits.data.mnist import load_digit_images
    from deepjive.experiments.omics.canonical import regularized_cca
    from deepjive.experiments.omics.data import Tables, own_tables, read_data_set
    from deepjive.experiments.synthetic.page import write_synthetic

__all__ = [
    "BrainStudy",
    "Cell",
    "Demonstration",
    "Tables",
    "brain_study",
    "demonstrate",
    "held_out_accuracy",
    "load_digit_images",
    "measure_cells",
    "own_tables",
    "read_data_set",
    "regularized_cca",
    "write_brain_page",
    "write_synthetic",
]

_MODULES = {
    "BrainStudy": "deepjive.experiments.brain.study",
    "Cell": "deepjive.experiments.cells",
    "Demonstration": "deepjive.experiments.demo",
    "Tables": "deepjive.experiments.omics.data",
    "brain_study": "deepjive.experiments.brain.study",
    "demonstrate": "deepjive.experiments.demo",
    "held_out_accuracy": "deepjive.experiments.classification",
    "load_digit_images": "deepjive.experiments.digits.data.mnist",
    "measure_cells": "deepjive.experiments.cells",
    "own_tables": "deepjive.experiments.omics.data",
    "read_data_set": "deepjive.experiments.omics.data",
    "regularized_cca": "deepjive.experiments.omics.canonical",
    "write_brain_page": "deepjive.experiments.brain.page",
    "write_synthetic": "deepjive.experiments.synthetic.page",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
