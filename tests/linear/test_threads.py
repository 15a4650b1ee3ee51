"""The same seed gives the same result, however many threads the linear algebra runs on."""

import os
import subprocess
import sys

import numpy as np
import pytest

CODE = """
import sys
import numpy as np
import deepjive as dj
from threadpoolctl import threadpool_info

rng = np.random.default_rng(0)
z = rng.normal(size=(60, 1))
data = {}
for name, d in (("a", 50), ("b", 300)):
    scores = np.hstack([z, rng.normal(size=(60, 1))])
    data[name] = scores @ rng.normal(size=(2, d)) + rng.normal(size=(60, d))
data["a"][3, 4] = np.nan
results = {}
for method in (dj.AJIVE, dj.HeteroJIVE, dj.JIVE):
    draws = {"n_permutations": 2, "tol": 1e-2} if method is dj.JIVE else {"n_wedin": 100, "n_random": 100}
    model = method(missing="impute", random_state=5, **draws).fit(data)
    learned = {"ranks": [model.joint_rank_, *model.individual_ranks_.values()], "new": model.transform(data)}
    learned |= {"scores": model.joint_scores_, "loadings": model.joint_loadings_["b"]}
    if method is not dj.JIVE:
        learned |= {"wedin": model.wedin_samples_, "random": model.random_samples_}
    results |= {f"{method.__name__} {key}": value for key, value in learned.items()}
results["threads"] = max(library["num_threads"] for library in threadpool_info())
np.savez(sys.argv[1], **results)
"""


def fitted(threads, path):
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", CODE, str(path)], env={**os.environ, **limits}, check=True)
    with np.load(path) as arrays:
        return dict(arrays)


def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path):
    one, several = (fitted(threads, tmp_path / f"{threads}.npz") for threads in (1, 2))
    assert one.pop("threads") == 1
    if several.pop("threads") == 1:
        pytest.skip("the linear algebra of this machine has one thread")
    for name, values in one.items():
        # sums are taken in another order, which changes their last digits
        np.testing.assert_allclose(several[name], values, atol=1e-9, err_msg=name)
