from __future__ import annotations

import numpy as np
import pytest

from deepjive.experiments.digits.data.mnist import DigitImages, LabelledImages


@pytest.fixture
def digit_images() -> DigitImages:
    """60 random images in three splits, whose grey level tells the split."""
    rng = np.random.default_rng(0)

    def split(level: float) -> LabelledImages:
        images = level + 0.2 * rng.random((20, 6, 6), dtype=np.float32)
        return LabelledImages(images.astype(np.float32), np.arange(20) % 5)

    return DigitImages(split(0.0), split(0.3), split(0.6), "test")
