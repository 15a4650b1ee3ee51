"""scikit-learn's own checks, with every expected failure and its reason.

scikit-learn runs nearly no check of an estimator whose tags say that it refuses one 2-D array. `sklearn_halves` passes
the same code through all checks, with the two halves of one array as modalities.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, SeparateAutoencoders
from tests.sklearn_halves import HalvesAJIVE, HalvesDeepJIVE, HalvesHeteroJIVE, HalvesJIVE, HalvesSeparateAutoencoders

EXPECTED_FAILURES = {
    "check_n_features_in_after_fitting": (
        "The error about a wrong number of features names the modality and both shapes. scikit-learn wants its own "
        "words, which know one array only."
    ),
    "check_dtype_object": (
        "Arrays of Python objects are refused, even if all objects are numbers. A table with a text column has this "
        "dtype, and its columns must be encoded by the user."
    ),
}
NO_DRAWS = {"n_wedin": 0, "n_random": 0}


def expected_failures(estimator):
    return EXPECTED_FAILURES


@pytest.mark.parametrize("cls", [AJIVE, HeteroJIVE, JIVE, DeepJIVE, SeparateAutoencoders])
def test_estimators_pass_the_checks_that_need_no_array(cls):
    with pytest.warns(SkipTestWarning, match="Can't test estimator .* two_d_array=False"):
        check_estimator(cls())


@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings, such as of convergence, on data of a few samples
@parametrize_with_checks(
    [
        HalvesAJIVE(joint_rank=1, **NO_DRAWS, random_state=0),
        HalvesAJIVE(n_wedin=20, n_random=20, random_state=0),
        HalvesHeteroJIVE(joint_rank=1, **NO_DRAWS, random_state=0),
        HalvesJIVE(joint_rank=1, individual_ranks=0, max_iter=20, tol=1e-2),
        HalvesDeepJIVE(joint_rank=1, individual_ranks=1, networks="linear", max_epochs=1, random_state=0),
        HalvesSeparateAutoencoders(ranks=1, networks="linear", max_epochs=1, random_state=0),
    ],
    expected_failed_checks=expected_failures,
)
def test_estimators_pass_the_checks_with_halves_of_one_array(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", [AJIVE, HeteroJIVE, JIVE, DeepJIVE, SeparateAutoencoders])
def test_tags_say_that_one_array_is_refused(cls):
    assert not get_tags(cls()).input_tags.two_d_array
    with pytest.raises(TypeError, match="a single matrix must first be split into its modalities"):
        cls().fit(np.ones((20, 4)))


@pytest.mark.parametrize("cls", [AJIVE, HeteroJIVE, JIVE])
def test_tags_say_whether_nan_is_accepted(cls):
    assert get_tags(cls(missing="impute")).input_tags.allow_nan
    assert not get_tags(cls()).input_tags.allow_nan
