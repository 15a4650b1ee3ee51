"""Tables whose columns are the samples are read so on request, and refused otherwise."""

import numpy as np
import pandas as pd
import pytest

from deepjive import Modalities
from deepjive.data import read_array

SAMPLES = [f"s{i}" for i in range(12)]
RNG = np.random.default_rng(0)
GENES = pd.DataFrame(RNG.normal(size=(30, 12)), index=[f"g{i}" for i in range(30)], columns=SAMPLES)
PROTEINS = pd.DataFrame(RNG.normal(size=(20, 12)), index=[f"p{i}" for i in range(20)], columns=SAMPLES[::-1])


def test_features_in_rows_of_all_or_of_some_modalities():
    data = Modalities({"rna": GENES, "protein": PROTEINS}, features_in_rows=True)
    assert data.shape == (12, 2)
    assert data.samples.tolist() == SAMPLES
    assert data.features["protein"].tolist() == list(PROTEINS.index)
    np.testing.assert_array_equal(data["protein"], PROTEINS.T.loc[SAMPLES])
    mixed = Modalities({"rna": GENES, "protein": PROTEINS.T}, features_in_rows=["rna"])
    np.testing.assert_array_equal(mixed["rna"], data["rna"])
    np.testing.assert_array_equal(mixed["protein"], data["protein"])


def test_arrays_in_memory_can_have_their_features_in_rows(tmp_path):
    np.save(tmp_path / "x.npy", GENES.to_numpy())
    np.testing.assert_array_equal(read_array(tmp_path / "x.npy", features_in_rows=True), GENES.to_numpy().T)
    data = Modalities([GENES.to_numpy(), PROTEINS.to_numpy()], features_in_rows=True)
    assert data.shapes == {"modality_1": (30,), "modality_2": (20,)}
    with pytest.raises(ValueError, match=r"'modality_1' cannot be read with its features in rows: it is a ndarray"):
        Modalities([np.ones((2, 3, 4)), np.ones((3, 2))], features_in_rows=["modality_1"])
    with pytest.raises(ValueError, match=r"names \['rna'\], but the modalities are"):
        Modalities([np.ones((2, 3)), np.ones((3, 2))], features_in_rows="rna")


@pytest.mark.parametrize("unmatched", ["error", "drop", "keep"])
def test_tables_whose_columns_share_names_are_refused(unmatched):
    with pytest.raises(ValueError, match=r"'rna' and 'protein' share 12 names .*features_in_rows=True"):
        Modalities({"rna": GENES, "protein": PROTEINS}, unmatched=unmatched)
    shared = PROTEINS.rename(index={f"p{i}": f"g{i}" for i in range(20)})
    with pytest.raises(ValueError, match=r"share 12 names .*, their rows 20"):
        Modalities({"rna": GENES, "protein": shared}, unmatched=unmatched)


def test_one_table_whose_columns_are_named_like_the_rows_of_the_other_is_refused():
    with pytest.raises(ValueError, match=r"columns of 'protein' are named like the rows of 'rna'.*rows protein"):
        Modalities({"rna": GENES.T, "protein": PROTEINS}, unmatched="keep")
    with pytest.raises(
        ValueError, match=r"numbers of samples differ.*columns of 'modality_2' are as many as the samples"
    ):
        Modalities([GENES.to_numpy().T, PROTEINS.to_numpy()])


def test_tables_that_agree_in_rows_and_columns_are_doubtful():
    both = {"a": GENES, "b": GENES.iloc[::-1] + 1}
    with pytest.raises(ValueError, match="same 30 row names and the same 12 column names, so that either may be"):
        Modalities(both)
    assert len(Modalities(both, features_in_rows=False)) == 30
    assert len(Modalities(both, features_in_rows=True)) == 12
    assert len(Modalities({name: frame.rename_axis("patient") for name, frame in both.items()})) == 30
    assert len(Modalities({"a": GENES.T, "b": GENES.T + 1})) == 12


@pytest.mark.parametrize("word", ["gene", "Feature", "probe_id", "Gene Symbol"])
def test_a_first_column_of_features_is_refused_until_it_is_said_what_the_rows_are(word, tmp_path):
    GENES.to_csv(tmp_path / "x.csv", index_label=word)
    with pytest.raises(ValueError, match=rf"first column is called '{word}', so that the rows seem to be features"):
        read_array(tmp_path / "x.csv")
    with pytest.raises(ValueError, match=rf"index of modality 'a' is called '{word}'"):
        Modalities({"a": GENES.rename_axis(word)})
    assert read_array(tmp_path / "x.csv", features_in_rows=True).shape == (12, 30)
    assert len(Modalities({"a": tmp_path / "x.csv"}, features_in_rows=False)) == 30
