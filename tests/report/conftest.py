import numpy as np
import pytest

from deepjive import AJIVE, Modalities


@pytest.fixture(scope="session")
def make_decomposition():
    """A decomposition of modalities of the given sample shapes, with one joint and one individual direction each."""

    def make(shapes, n=60, joint_rank=2, individual_ranks=2, samples=None):
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
