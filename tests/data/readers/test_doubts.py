"""What a table holds beside samples and features is an error or a warning, and never read in silence."""

import types
import warnings

import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, Modalities
from deepjive.adjust.inspection import UnitsWarning
from deepjive.data import FileSource, UnreadableError

N, P = 12, 5
NAMES = [f"p{i}" for i in range(N)]
VALUES = (np.random.default_rng(0).normal(size=(N, P)) + 5.0).round(3)
FRAME = pd.DataFrame(VALUES, index=pd.Index(NAMES, name="id"), columns=[f"g{i}" for i in range(P)])


def read(frame, **options):
    return Modalities({"a": FRAME, "b": frame}, **options)


@pytest.mark.parametrize("kind", ["file", "frame", "turned"])
@pytest.mark.parametrize("name", ["patient", "RID", "visit_id", "SampleID", "run ID"])
def test_a_column_of_ids_that_is_not_first_is_an_error(kind, name, tmp_path):
    table = FRAME.assign(**{name: range(100, 100 + N)})
    if kind == "file":
        table.to_csv(tmp_path / "x.csv")
        table = tmp_path / "x.csv"
    with pytest.raises(UnreadableError, match=rf"column '{name}' seems to name samples .*\(100, 101, \.\.\.\)"):
        read(table.T if kind == "turned" else table, features_in_rows=["b"] if kind == "turned" else None)


@pytest.mark.parametrize("name", ["lipid", "acid", "hybrid", "grid", "patient"])
def test_measurements_are_no_ids(name):
    assert read(FRAME.assign(**{name: VALUES[:, 0]})).shapes["b"] == (P + 1,)


@pytest.mark.parametrize(("name", "summary"), [("Summe!", "sum"), ("all", "mean"), ("Total", "max"), ("Mean:", "max")])
@pytest.mark.parametrize("turned", [False, True])
def test_a_row_that_summarizes_the_samples_is_an_error(name, summary, turned):
    table = pd.concat([FRAME, FRAME.agg(summary).to_frame(name).T.round(3)])
    where = "Column" if turned else "Row"
    with pytest.raises(UnreadableError, match=rf"{where} '{name}' of .* seems to be .* and not a sample"):
        read(table.T if turned else table, unmatched="keep", features_in_rows=["b"] if turned else False)


def test_sums_of_few_numbers_are_no_summary():
    counts = pd.DataFrame({"x": [0, 1, 2, 3], "y": [0, 1, 0, 1]}, index=list("abcd"))
    assert len(Modalities({"a": counts, "b": counts})) == 4


def test_a_header_below_a_title_is_named(tmp_path):
    lines = ["Cohort, 2024" + "," * (P - 1), *FRAME.to_csv().splitlines()]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(UnreadableError, match=r"row 'id' holds text in all 5 columns \('g0', 'g1', 'g2', \.\.\.\)"):
        read(tmp_path / "x.csv")


def test_thousands_with_points_are_not_read_as_decimals(tmp_path):
    large = FRAME.mul(300).round().astype(int)
    table = large.map(lambda x: f"{x:,}".replace(",", "."))
    table.to_csv(tmp_path / "x.csv", sep=";")
    with pytest.raises(UnreadableError, match=r"column 'g\d' holds whole numbers such as '\d+' beside .* '\d\.\d{3}'"):
        read(tmp_path / "x.csv")
    FRAME.map(lambda x: f"{x:.3f}").to_csv(tmp_path / "x.csv", sep=";")
    np.testing.assert_array_equal(read(tmp_path / "x.csv")["b"], VALUES)
    table.to_csv(tmp_path / "x.csv", sep=";")
    assert read(FileSource(tmp_path / "x.csv", decimal=".")).shapes["b"] == (P,)


def test_a_decimal_comma_said_for_all_files_leaves_points_in_files_separated_by_commas(tmp_path):
    german = FRAME.map(lambda x: f"{x:.3f}".replace(".", ","))
    german.to_csv(tmp_path / "german.csv", sep=";")
    german.to_csv(tmp_path / "quoted.csv")
    FRAME.to_csv(tmp_path / "english.csv")
    for name in ("german", "quoted"):
        with pytest.raises(UnreadableError, match="commas may separate decimals or thousands"):
            read(tmp_path / f"{name}.csv")
    for name in ("german", "quoted", "english"):
        np.testing.assert_array_equal(read(FileSource(tmp_path / f"{name}.csv", decimal=","))["b"], VALUES)


@pytest.mark.parametrize(
    ("option", "given", "words"),
    [
        ("separator", "semicolon", "the separator 'semicolon' .* is not a single character"),
        ("decimal", "b=,", "the decimal mark 'b=,' .* is neither"),
        ("decimal", ";", "the decimal mark ';' .* is neither"),
    ],
)
def test_a_wrong_separator_or_decimal_mark_is_an_error_that_quotes_it(option, given, words, tmp_path):
    FRAME.to_csv(tmp_path / "x.csv")
    with pytest.raises(UnreadableError, match=rf"x\.csv: {words}"):
        read(FileSource(tmp_path / "x.csv", **{option: given}))


def test_names_of_genes_that_became_dates_are_a_warning(tmp_path):
    table = FRAME.rename(columns={"g0": "1-Mar", "g1": "2024-09-02T00:00:00"})
    table.to_csv(tmp_path / "x.csv")
    with pytest.warns(UserWarning, match=r"names of features such as '1-Mar', '2024-09-02T00:00:00' look like dates"):
        read(tmp_path / "x.csv")


def test_formulas_without_values_are_an_error(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["id", *FRAME.columns], *([n, "=1+1", *v[1:].tolist()] for n, v in zip(NAMES, VALUES, strict=True))]:
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    with pytest.raises(UnreadableError, match="holds formulas without their values"):
        read(tmp_path / "x.xlsx")


@pytest.mark.parametrize(("mark", "count"), [(-999, 1), (-9, 2), (9999, 3)])
def test_marks_of_missing_values_are_a_warning(mark, count):
    table = FRAME - 5.0
    table.iloc[range(count), range(count)] = mark
    model = AJIVE(joint_rank=1, individual_ranks=1, scale="features")
    with pytest.warns(UnitsWarning, match=rf"'b' holds {mark} in {count} cells \('g0'"):
        model.fit(read(table))


def test_values_that_are_near_others_are_no_marks():
    table = (1000 * (FRAME - 5.0)).round()
    table.iloc[0, 0], table.iloc[1, 1] = -999, 999
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AJIVE(joint_rank=1, individual_ranks=1).fit(read(table))


def test_arrays_with_coordinates_and_tables_of_other_libraries_are_paired_by_name(monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pandas(FRAME.iloc[::-1].reset_index(), preserve_index=False)
    np.testing.assert_array_equal(read(table)["b"], VALUES)

    class DataArray:  # as xarray's
        dims = ("sample", "x", "y")
        data = VALUES[::-1, :4].reshape(N, 2, 2)
        ndim = 3
        indexes = types.MappingProxyType({"sample": pd.Index(NAMES[::-1])})

        def to_pandas(self):
            return FRAME.iloc[::-1]

    monkeypatch.setattr(DataArray, "__module__", "xarray.core.dataarray")
    np.testing.assert_array_equal(read(DataArray())["b"], VALUES[:, :4].reshape(N, 2, 2))
    monkeypatch.setattr(DataArray, "ndim", 2)
    np.testing.assert_array_equal(read(DataArray())["b"], VALUES)
