import numpy as np
import pytest

from deepjive.imaging import mni_grid

pytest.importorskip("nilearn")


def test_the_scale_of_colours_and_its_labels_touch_no_brain():
    from deepjive.plot.glass import brain_maps

    grid = mni_grid(12)
    values = np.random.default_rng(0).normal(0.0, 0.001, grid.shape)  # small values have the longest labels
    figure = brain_maps({"mri": values}, grid, {"mri": "grey matter per sd"})
    figure.canvas.draw()
    (scale,) = [axes for axes in figure.axes if axes.get_ylabel() == "grey matter per sd"]
    brains = [axes.get_tightbbox() for axes in figure.axes if axes is not scale]
    assert len(brains) >= 7  # three sides and four slices
    box = scale.get_tightbbox()
    assert not any(box.overlaps(brain) for brain in brains if brain is not None)
    assert figure.bbox.x1 > box.x1
