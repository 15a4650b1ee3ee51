"""Tables with every trouble, alone and in pairs: the clean numbers come back, or one clear error."""

import warnings

import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, Modalities
from deepjive.data import FileSource, UnreadableError
from tests.data.messy import FORMS, TROUBLES, table_of

N, P = 12, 5
NAMES = [str(number) for number in np.random.default_rng(1).permutation(np.arange(8, 8 + N))]
A, B = (np.random.default_rng(seed).normal(size=(N, P)).round(6) for seed in (2, 3))

# A column without a header holds names, so that a header that lacks the name of the first column ends this doubt.
ENDED = ("names without a header that says so", "header without the names' column")


def expected_of(trouble, form):
    """Texts of errors that may be raised; none if the numbers must come back."""
    texts = [text for text in (TROUBLES[trouble][1], FORMS[form][1]) if text]
    return [] if (trouble, form) == ENDED else texts


def read(troubles, form, folder):
    table = table_of(NAMES, [f"b{i}" for i in range(P)], B)
    for trouble in troubles:
        table = TROUBLES[trouble][0](table)
    path, options = FORMS[form][0](table, folder)
    turned = options.pop("features_in_rows", None)
    first = pd.DataFrame(A, index=[int(name) for name in NAMES])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Modalities({"a": first, "b": FileSource(path, **options)}, features_in_rows=["b"] if turned else None)


def failure_of(troubles, form, folder, expected):
    """What is wrong with the outcome; empty if the clean numbers came back, or one clear error."""
    try:
        data = read(troubles, form, folder)
    except (ValueError, TypeError) as error:
        is_clear = "\n" not in str(error) and len(str(error)) < 700
        return "" if is_clear and expected else f"{troubles}: {error!r}"
    if expected:
        return f"{troubles}: read as {data}"
    try:
        assert_clean(data)
    except AssertionError as error:
        return f"{troubles}: other numbers: {error}"
    return ""


def assert_clean(data):
    assert data.samples.tolist() == NAMES
    assert data.pairing.by == "name"
    np.testing.assert_array_equal(data["a"], A)
    np.testing.assert_allclose(data["b"], B, rtol=1e-15)


@pytest.mark.parametrize("form", FORMS)
def test_every_trouble_in_every_form_gives_the_clean_numbers_or_one_clear_error(form, tmp_path):
    if form == "xlsx":
        pytest.importorskip("openpyxl")
    failures = [failure_of([trouble], form, tmp_path, expected_of(trouble, form)) for trouble in TROUBLES]
    assert not any(failures), "\n".join(filter(None, failures))


@pytest.mark.parametrize("trouble", [trouble for trouble, (_, error) in TROUBLES.items() if not error])
def test_two_troubles_at_once_give_the_clean_numbers_or_one_clear_error(trouble, tmp_path):
    ended = {
        "names without a header that says so": (
            *("another word for names", "blank header of names", "invisible characters in names"),
        ),
        "ids of visits among the features": ("feature names with commas",),  # the name is then another one
    }
    failures = [
        failure_of([other, trouble], "csv", tmp_path, TROUBLES[other][1])
        for other in TROUBLES
        if trouble not in ended.get(other, ()) and not (other.startswith("rows are") and "names" in trouble)
    ]
    assert not any(failures), "\n".join(filter(None, failures))


@pytest.mark.parametrize(
    ("trouble", "text"), [(trouble, text) for trouble, (_, text) in TROUBLES.items() if text and trouble != "no rows"]
)
def test_the_error_says_what_is_wrong(trouble, text, tmp_path):
    with pytest.raises((ValueError, TypeError)) as caught:
        read([trouble], "csv", tmp_path)
    assert text in str(caught.value)


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, (_, text) in FORMS.items() if text])
def test_the_error_names_the_damage_of_the_file(form, text, tmp_path):
    with pytest.raises(UnreadableError, match=text):
        read(["clean"], form, tmp_path)


@pytest.fixture(scope="module")
def covid(shared_data):
    """Proteins and surface proteins of 60 samples of 60 patients, and AJIVE's joint rank."""
    folder = shared_data("covid_su")
    files = {"proteins": "proteomics.csv", "surface": "surface_protein.csv"}
    data = Modalities({name: folder / file for name, file in files.items()}, features_in_rows=True)
    rows = np.flatnonzero([name.endswith("_T1") for name in data.samples])[:60]
    arrays = {"proteins": data["proteins"][rows][:, :80].round(6), "surface": data["surface"][rows][:, :60].round(6)}
    names = np.random.default_rng(0).permutation(np.arange(101, 101 + len(rows))).astype(str).tolist()
    return arrays, names, joint_rank(Modalities(arrays))


def joint_rank(data):
    return AJIVE(n_wedin=20, n_random=20, random_state=0).fit(data).joint_rank_


INDICES = {
    "text": lambda names: names,
    "integers": lambda names: [int(name) for name in names],
    "floats": lambda names: [float(name) for name in names],
    "text with spaces": lambda names: [f" {name}" for name in names],
    "categories": lambda names: pd.CategoricalIndex(names),
    "objects": lambda names: pd.Index([int(name) for name in names], dtype=object),
    "levels": lambda names: pd.MultiIndex.from_arrays([names], names=["id"]),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("index", INDICES)
def test_real_tables_give_the_same_joint_rank_whatever_their_order_index_and_orientation(covid, index, turned):
    arrays, names, clean = covid
    first = pd.DataFrame(arrays["proteins"], index=names)
    second = pd.DataFrame(arrays["surface"], index=INDICES[index](names)).iloc[::-1]
    second = second.T if turned else second
    data = Modalities({"proteins": first, "surface": second}, features_in_rows=["surface"] if turned else None)
    for name, array in arrays.items():
        np.testing.assert_array_equal(data[name], array)
    if index == "text":
        assert joint_rank(data) == clean > 0


@pytest.mark.parametrize("form", [form for form, (_, text) in FORMS.items() if not text])
def test_real_files_of_every_form_hold_the_clean_numbers(covid, form, tmp_path):
    if form == "xlsx":
        pytest.importorskip("openpyxl")
    arrays, names, _ = covid
    table = table_of(names, [f"p{i}" for i in range(60)], arrays["surface"])
    path, options = FORMS[form][0](TROUBLES["rows shuffled"][0](table), tmp_path)
    turned = options.pop("features_in_rows", None)
    first = pd.DataFrame(arrays["proteins"], index=names)
    data = Modalities(
        {"proteins": first, "surface": FileSource(path, **options)}, features_in_rows=["surface"] if turned else None
    )
    np.testing.assert_allclose(data["surface"], arrays["surface"], rtol=1e-15)
    assert data.samples.tolist() == names


WRITERS = {
    "frame": lambda frame, path: frame,
    "csv": lambda frame, path: frame.to_csv(path),
    "tsv.gz": lambda frame, path: frame.to_csv(path, sep="\t"),
    "csv with decimal commas": lambda frame, path: frame.to_csv(path, sep=";", decimal=","),
    "xlsx": lambda frame, path: frame.to_excel(path),
    "parquet": lambda frame, path: frame.to_parquet(path),
}
NAMED_AS = {
    "text": lambda name: name,
    "integers": int,
    "floats": float,
    "leading zeros": lambda name: f"00{name}",
    "spaces": lambda name: f" {name} ",
}
ORDERS = {"same": slice(None), "reversed": slice(None, None, -1), "shuffled": np.random.default_rng(0).permutation(40)}
NEEDS = {"xlsx": "openpyxl", "parquet": "pyarrow"}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
def test_no_order_index_orientation_or_format_gives_another_joint_rank(kind, turned, tmp_path):
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    rng = np.random.default_rng(4)
    z, names = rng.normal(size=(40, 2)), [str(name) for name in rng.permutation(np.arange(81, 121))]
    tables = {
        name: pd.DataFrame((z @ rng.normal(size=(2, p)) + 0.3 * rng.normal(size=(40, p))).round(4), names)
        for name, p in {"a": 7, "b": 6}.items()
    }
    tables = {
        name: table.set_axis([f"{name}{i}" for i in range(table.shape[1])], axis=1) for name, table in tables.items()
    }
    clean = Modalities({name: table.to_numpy() for name, table in tables.items()})
    rank = joint_rank(clean)
    assert rank == 2
    for order, rows in ORDERS.items():
        for index, change in NAMED_AS.items():
            if kind == "parquet" and turned and index in ("integers", "floats"):
                continue  # names of its columns are text
            other = tables["b"].iloc[rows].set_axis([change(name) for name in np.array(names)[rows]], axis=0)
            other.index.name = "id"
            path = tmp_path / f"{order} {index}.{'csv' if kind.startswith('csv') else kind}"
            source = WRITERS[kind](other.T.rename_axis(None, axis=1) if turned else other, path)
            source = path if source is None else source
            data = Modalities({"a": tables["a"], "b": source}, features_in_rows=["b"] if turned else None)
            np.testing.assert_array_equal(data["a"], clean["a"], err_msg=f"{order} {index}")
            np.testing.assert_allclose(data["b"], clean["b"], rtol=1e-15, err_msg=f"{order} {index}")
            if order == "shuffled":
                assert joint_rank(data) == rank
