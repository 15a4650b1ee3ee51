import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import deepjive.data.chunks
from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, load
from deepjive.validation import check_for_fit, check_known, check_modality_ranks, check_ranks, named_labels

N = 20
RNG = np.random.default_rng(0)
MRI, PET = RNG.normal(size=(N, 2, 3)), RNG.normal(size=(N, 4))


def with_value(array, where, value):
    changed = array.copy()
    changed[where] = value
    return changed


BAD_DATA = {
    "unequal": ({"mri": MRI, "pet": PET[:-2]}, ValueError, r"samples differ: {'mri': 20, 'pet': 18}"),
    "one modality": ({"mri": MRI}, ValueError, "at least two modalities, but only 'mri' was given. Pass every"),
    "no samples": (
        {"mri": MRI[:0], "pet": PET[:0]},
        ValueError,
        r"no samples to fit to: modality 'mri' has shape \(0,",
    ),
    "one sample": (
        {"mri": MRI[:1], "pet": PET[:1]},
        ValueError,
        "needs at least .* samples, but modality 'mri' has n_samples=1",
    ),
    "no features": (
        {"mri": MRI, "pet": PET[:, :0]},
        ValueError,
        r"'pet' has samples of shape \(0,\), so it has no feat",
    ),
    "NaN": ({"mri": MRI, "pet": with_value(PET, (7, 1), np.nan)}, ValueError, "'pet' contains 1 .* first in sample 7"),
    "infinity": ({"mri": with_value(MRI, 3, np.inf), "pet": PET}, ValueError, "'mri' contains 6 .* first in sample 3"),
    "constant": ({"mri": MRI, "pet": np.full((N, 4), 2.5)}, ValueError, "'pet' is constant: every sample is the same"),
    "objects": ({"mri": MRI.astype(object), "pet": PET}, TypeError, "'mri' has dtype object, but numbers are expected"),
}
BAD_RANKS = {
    "negative joint": ({"joint_rank": -1}, ValueError, "joint_rank must be an integer of at least 0.*but is -1"),
    "large joint": (
        {"joint_rank": 5},
        ValueError,
        r"joint_rank is 5, but .* at most 4: .*\(20\).*\(4\) of modality 'pet'",
    ),
    "bool joint": ({"joint_rank": True}, TypeError, "joint_rank must be an integer of at least 0.*but is True"),
    "float joint": ({"joint_rank": 1.0}, TypeError, "joint_rank must be an integer.*but is 1.0"),
    "text joint": ({"joint_rank": "2"}, TypeError, "joint_rank must be an integer.*but is '2'"),
    "negative individual": ({"individual_ranks": -2}, ValueError, r"individual_ranks\['mri'\] must be .*but is -2"),
    "large individual": (
        {"individual_ranks": {"mri": 7, "pet": 1}},
        ValueError,
        r"individual_ranks\['mri'\] is 7.*most 6",
    ),
    "bool individual": ({"individual_ranks": {"mri": 1, "pet": False}}, TypeError, r"ranks\['pet'\] must be"),
    "other names": ({"individual_ranks": {"mri": 1, "eeg": 1}}, ValueError, r"names \['mri', 'eeg'\], but"),
    "a name lacking": ({"individual_ranks": {"mri": 1}}, ValueError, r"individual_ranks names \['mri'\], but the mod"),
}


def estimator(cls, **ranks):
    ranks = {"joint_rank": 1, "individual_ranks": 1, **ranks}
    return cls(**ranks, max_epochs=1) if cls is DeepJIVE else cls(**ranks, n_wedin=0, n_random=0)


ESTIMATORS = pytest.mark.parametrize("cls", [AJIVE, HeteroJIVE, DeepJIVE])


@ESTIMATORS
@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_fitted_are_refused_by_name(cls, case):
    data, error, message = BAD_DATA[case]
    with pytest.raises(error, match=message):
        estimator(cls).fit(data)


@ESTIMATORS
@pytest.mark.parametrize("case", BAD_RANKS)
def test_ranks_that_cannot_be_fitted_are_refused_by_name(cls, case):
    ranks, error, message = BAD_RANKS[case]
    with pytest.raises(error, match=message):
        estimator(cls, **ranks).fit({"mri": MRI, "pet": PET})


@ESTIMATORS
def test_use_before_fit_is_refused(cls):
    model, data = estimator(cls), {"mri": MRI, "pet": PET}
    for use in (
        lambda: model.transform(data),
        lambda: model.decompose(data),
        lambda: model.inverse_transform(np.zeros((2, 1))),
        lambda: model.impute(data, "pet"),
        lambda: model.get_feature_names_out(),
        lambda: model.save("nowhere"),
    ):
        with pytest.raises(NotFittedError, match=f"This {cls.__name__} instance is not fitted yet"):
            use()


@pytest.fixture(scope="module")
def fitted():
    return estimator(AJIVE).fit({"mri": MRI, "pet": PET})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"mri": MRI, "eeg": PET},
            r"fitted to the modalities \['mri', 'pet'\], but was given \['mri', 'eeg'\]; \['eeg'\]",
        ),
        ([MRI, PET], r"but was given \['modality_1', 'modality_2'\]"),
        ({"mri": MRI, "pet": PET[:, :3]}, r"'pet' has samples of shape \(3,\), but the model was fitted to .* \(4,\)"),
        ({"mri": MRI.reshape(N, 6), "pet": PET}, r"'mri' has samples of shape \(6,\), but .* \(2, 3\)"),
        ({"mri": with_value(MRI, (11, 0, 0), -np.inf), "pet": PET}, "'mri' contains 1 .* first in sample 11"),
    ],
)
@pytest.mark.parametrize("use", ["transform", "decompose"])
def test_data_unlike_those_fitted_are_refused_by_name(fitted, data, message, use):
    with pytest.raises(ValueError, match=message):
        getattr(fitted, use)(data)


def test_a_constant_modality_and_a_single_sample_may_be_used_if_not_fitted(fitted):
    assert fitted.transform({"mri": MRI[:1], "pet": PET[:1]}).shape == (1, 1)
    assert fitted.transform({"mri": MRI[:0], "pet": PET[:0]}).shape == (0, 1)


def test_modalities_are_brought_into_the_models_order(fitted):
    np.testing.assert_array_equal(
        fitted.transform({"pet": PET, "mri": MRI}), fitted.transform({"mri": MRI, "pet": PET})
    )
    assert check_known(Modalities({"pet": PET, "mri": MRI}), fitted.shapes_).names == ("mri", "pet")


@pytest.fixture(scope="module", params=[AJIVE, HeteroJIVE, JIVE, DeepJIVE])
def named(request, tmp_path_factory):
    """A model of modalities whose features have names, as it comes back from its folder."""
    folder = tmp_path_factory.mktemp("named")
    extra = {"max_epochs": 1} if request.param is DeepJIVE else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = request.param(joint_rank=1, individual_ranks=1, random_state=0, **extra).fit(tables())
    model.save(folder)
    return load(folder)


def tables():
    names = {"mri": MRI.reshape(N, -1), "pet": PET}
    return {
        name: pd.DataFrame(array, columns=[f"{name} {i}" for i in range(array.shape[1])])
        for name, array in names.items()
    }


def test_features_in_another_order_are_put_in_the_order_of_the_fit(named):
    given = tables()["pet"].iloc[:, [0, 2, 1, 3]]
    np.testing.assert_array_equal(named.transform({"pet": given}), named.transform({"pet": PET}))
    np.testing.assert_array_equal(named.decompose({"pet": given}).data["pet"], PET)
    np.testing.assert_array_equal(named.impute({"pet": given}, "mri"), named.impute({"pet": PET}, "mri"))


def test_features_on_disk_are_put_in_the_order_of_the_fit_when_they_are_read(named, tmp_path):
    np.save(tmp_path / "pet.npy", PET[:, ::-1])
    names = tables()["pet"].columns[::-1]
    data = Modalities({"pet": tmp_path / "pet.npy"}, features={"pet": names})
    np.testing.assert_array_equal(named.transform(data), named.transform({"pet": PET}))


def test_features_beyond_those_fitted_are_left_out_with_a_line(named):
    given = tables()["pet"].assign(age=1.0, site=2.0).iloc[:, ::-1]
    with pytest.warns(UserWarning, match=r"not fitted to were left out: 2 of 'pet' .'site' first.\."):
        np.testing.assert_array_equal(named.transform({"pet": given}), named.transform({"pet": PET}))


def test_features_that_lack_are_refused_or_filled_with_the_mean_of_the_fit(named):
    given = tables()["pet"].drop(columns="pet 1")
    with pytest.raises(ValueError, match=r"'pet' lacks 1 of the 4 features .*'pet 1' first.*missing_features='mean'"):
        named.transform({"pet": given})
    filled = PET.copy()
    filled[:, 1] = named.mean_["pet"][1]
    for method in ("transform", "decompose", "impute"):
        more = ("mri",) if method == "impute" else ()
        results = [getattr(named, method)({"pet": pet}, *more, missing_features="mean") for pet in (given, filled)]
        scores = [getattr(result, "joint_scores", result) for result in results]
        np.testing.assert_allclose(*scores, atol=1e-6)
    with pytest.raises(ValueError, match=r"missing_features is 'zero', but must be one of"):
        named.transform({"pet": given}, missing_features="zero")


def test_features_that_cannot_be_told_apart_are_not_reordered(named):
    given = tables()["pet"].rename(columns={"pet 3": "pet 0"}).iloc[:, ::-1]
    with pytest.warns(UserWarning, match="Several features have the same name in 'pet'"):
        data = Modalities({"pet": given})
    with pytest.raises(ValueError, match=r"several are called 'pet 0', so that they cannot be told apart"):
        named.transform(data)


def test_tables_of_none_of_the_features_are_refused(named):
    with pytest.raises(ValueError, match=r"'pet' has none of the 4 features .*'gene 0', the model's 'pet 0'"):
        named.transform({"pet": tables()["pet"].set_axis([f"gene {i}" for i in range(4)], axis=1)})


def test_categories_that_new_samples_lack_are_zero():
    coded = pd.DataFrame({"sex=f": [1.0, 0.0] * 10, "sex=m": [0.0, 1.0] * 10, "age": np.arange(20.0)})
    model = estimator(AJIVE).fit({"pet": tables()["pet"], "clinic": coded})
    women = coded.iloc[::2]
    expected = model.transform({"clinic": women})
    np.testing.assert_array_equal(model.transform({"clinic": women.drop(columns="sex=m")}), expected)


def test_named_features_of_images_are_compared_too():
    names = [[f"{row}{column}" for column in range(3)] for row in "ab"]
    data = Modalities({"mri": MRI, "pet": PET}, features={"mri": names})
    model = estimator(AJIVE).fit(data)
    assert model.transform(data).shape == (N, 1)
    with pytest.raises(ValueError, match=r"'mri' has the features .* another order: feature 0 is 'a2', but was 'a0'"):
        model.transform(Modalities(data, features={"mri": [row[::-1] for row in names]}))


def test_a_sample_with_a_gap_is_told_by_its_name():
    given = {name: table.set_axis([f"patient {i}" for i in range(N)]) for name, table in tables().items()}
    given["pet"].iloc[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"the first in sample 7 \(patient 7\)\. .*--missing impute"):
        estimator(AJIVE).fit(given)


def test_features_without_names_of_their_own_are_not_compared(named):
    plain = named.transform({"pet": PET})
    np.testing.assert_array_equal(named.transform({"pet": pd.DataFrame(PET)}), plain)


@pytest.mark.parametrize("cls", [AJIVE, HeteroJIVE])
def test_missing_samples_are_refused_with_the_remedy(cls):
    present = np.ones((N, 2), dtype=bool)
    present[[2, 5], 1] = False
    data = Modalities({"mri": MRI, "pet": PET}, present=present)
    with pytest.raises(ValueError, match=rf"'pet' is missing in 2 of 20 samples, and {cls.__name__} needs every"):
        estimator(cls).fit(data)
    estimator(cls).fit(data[data.present.all(axis=1)])


def test_rows_of_samples_that_lack_the_modality_are_not_looked_at():
    present = np.ones((N, 2), dtype=bool)
    present[4, 1] = False
    lacking = Modalities({"mri": MRI, "pet": with_value(PET, 4, np.nan)}, present=present)
    assert check_for_fit(lacking, "Model", allow_missing=True) is lacking
    only = Modalities({"mri": MRI, "pet": with_value(np.ones((N, 4)), 4, 2.0)}, present=present)
    with pytest.raises(ValueError, match="'pet' is constant"):
        check_for_fit(only, "Model", allow_missing=True)


def test_a_sample_that_lacks_every_modality_is_named(fitted):
    present = np.ones((N, 2), dtype=bool)
    present[[6, 9]] = False
    with pytest.raises(ValueError, match="2 samples lack every modality, the first is sample 6"):
        fitted.transform(Modalities({"mri": MRI, "pet": PET}, present=present))


def test_too_few_samples_are_counted_against_what_the_estimator_needs():
    with pytest.raises(ValueError, match="needs at least 21 samples, but modality 'mri' has n_samples=20"):
        check_for_fit({"mri": MRI, "pet": PET}, "Model", min_samples=21)


def test_checks_work_in_pieces_of_fixed_memory_and_count_over_all_of_them(monkeypatch):
    monkeypatch.setattr(deepjive.data.chunks, "BATCH_NUMBERS", 12)  # three samples of four numbers
    late = with_value(with_value(PET, (8, 3), np.nan), slice(17, None), np.inf)
    with pytest.raises(ValueError, match=r"'pet' contains 13 values .* first in sample 8"):
        check_for_fit({"mri": MRI, "pet": late}, "Model")


@pytest.mark.parametrize("ones", [slice(3, 4), slice(12, None), slice(17, 18)], ids=["first", "between", "last"])
def test_a_modality_is_constant_only_if_all_pieces_are_the_same(monkeypatch, ones):
    monkeypatch.setattr(deepjive.data.chunks, "BATCH_NUMBERS", 12)  # twelve samples of one number, then eight
    check_for_fit({"mri": MRI, "pet": with_value(np.zeros((N, 1)), ones, 1.0)}, "Model")


def test_numbers_whose_sum_overflows_are_refused_or_finite():
    large = np.where(RNG.random((N, 4)) < 0.5, 1e308, 1.5e308)
    with pytest.raises(
        ValueError, match=r"'pet' contains the value 1.5e\+308 .* because sums of larger values overflow"
    ):
        check_for_fit({"mri": MRI, "pet": large}, "Model")
    check_for_fit({"mri": MRI, "pet": np.where(large > 1.2e308, 6e4, 5e4).astype(np.float16)}, "Model")


def test_integers_and_booleans_are_data():
    check_for_fit({"mri": np.arange(8).reshape(4, 2), "pet": np.eye(4, dtype=bool)}, "Model")


DATA = Modalities({"mri": MRI, "pet": PET})


def test_ranks_are_given_for_all_modalities_or_for_each():
    assert check_ranks(DATA, 2, 3) == (2, {"mri": 3, "pet": 3})
    assert check_ranks(DATA, np.int32(0), {"pet": np.int64(4), "mri": 0}) == (0, {"mri": 0, "pet": 4})
    assert list(check_ranks(DATA, 0, {"pet": 1, "mri": 0})[1]) == ["mri", "pet"]


def test_auto_stands_for_none_where_there_is_such_a_word_and_is_an_error_where_not():
    assert check_ranks(DATA, "auto", "auto") == (None, None)
    with pytest.raises(TypeError, match=r"joint_rank must be an integer of at least 0, but is 'auto'"):
        check_ranks(DATA, "auto", 1, auto=None)
    with pytest.raises(TypeError, match=r"at least 0 or 'auto', but is None"):
        check_modality_ranks("signal_ranks", DATA, None)


def test_the_largest_rank_is_the_smaller_of_samples_and_features():
    assert check_ranks(DATA, 4, {"mri": 6, "pet": 4}) == (4, {"mri": 6, "pet": 4})
    few = DATA[:3]
    with pytest.raises(ValueError, match=r"joint_rank is 4, but the data allow at most 3: .*samples \(3\)"):
        check_ranks(few, 4, 1)
    with pytest.raises(ValueError, match=r"signal_ranks\['pet'\] is 4, but the data allow at most 3"):
        check_modality_ranks("signal_ranks", few, {"mri": 1, "pet": 4})


REPEATED_NAMES = [
    {1: np.zeros(20), "1": np.ones(20)},
    pd.DataFrame({"a": range(20), "b": range(20)}).set_axis([1, "1"], axis=1),
    pd.DataFrame({"a": range(20), "b": range(20)}).set_axis([1, 1], axis=1),
]


@pytest.mark.parametrize("given", REPEATED_NAMES)
def test_labels_and_confounds_of_the_same_name_are_refused(given):
    with pytest.raises(ValueError, match=r"^Several labels have the name '1'\."):
        named_labels(given, 20)
    with pytest.raises(ValueError, match=r"^Several confounds have the name '1'\."):
        Modalities({"a": np.zeros((20, 2))}, confounds=given)
