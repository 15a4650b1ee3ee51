import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from deepjive import AJIVE, Modalities

A = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
B = np.random.default_rng(1).normal(size=(12, 2, 3))


class Pairs(Dataset):
    """Items as dicts; every look-up is written down."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 12

    def __getitem__(self, i):
        self.asked.append(i)
        return {"mri": torch.from_numpy(A[i]), "pet": B[i], "label": "case"}


def test_items_that_are_dicts_are_modalities_by_name(check_rows):
    data = Modalities.from_dataset(Pairs(), ["pet", "mri"])
    assert data.names == ("pet", "mri")
    check_rows(data["mri"], A)
    check_rows(data["pet"], B)


def test_items_of_tuples_are_named_in_order_and_none_is_a_missing_modality():
    dataset = TensorDataset(torch.from_numpy(A), torch.from_numpy(B), torch.zeros(12))
    data = Modalities.from_dataset(dataset, ["mri", "pet", None])
    np.testing.assert_array_equal(data[[5, 2]].rows("mri", slice(None)), A[[5, 2]])
    pair = TensorDataset(torch.from_numpy(A), torch.from_numpy(B))
    assert Modalities.from_dataset(pair).names == ("modality_1", "modality_2")


def test_each_item_is_read_once_for_all_modalities_of_a_batch():
    dataset = Pairs()
    data = Modalities.from_dataset(dataset, ["mri", "pet"])
    dataset.asked.clear()
    for name in data.names:
        data.rows(name, [7, 3, 3, 9])
    assert dataset.asked == [3, 7, 9]


def test_a_model_is_fitted_to_a_dataset():
    model = AJIVE(signal_ranks=1, joint_rank=1, n_wedin=0, n_random=0).fit(
        Modalities.from_dataset(Pairs(), ["mri", "pet"])
    )
    np.testing.assert_allclose(model.mean_["mri"], A.mean(axis=0), rtol=1e-5, atol=1e-6)


class Growing(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return np.ones(i + 1), np.ones(2)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


class Single(Growing):
    def __getitem__(self, i):
        return np.ones(3)


class Labelled(Growing):
    def __getitem__(self, i):
        return np.ones(3), i


class Nested(Growing):
    def __getitem__(self, i):
        return (np.ones(3), np.ones(2)), i


class Empty(Growing):
    def __len__(self):
        return 0


@pytest.mark.parametrize(
    ("dataset", "names", "error", "message"),
    [
        (Pairs(), ["mri", "eeg"], ValueError, r"names=\['mri', 'eeg'\] does not fit an item with the keys \['mri'"),
        (Growing(), ["a"], ValueError, r"names=\['a'\] does not fit an item with 2 entries"),
        (Stream(), None, TypeError, "A map-style dataset is expected.*but a Stream was given"),
        (Single(), None, TypeError, "is a ndarray, but a dict of names to arrays or a tuple"),
        (DataLoader(Growing()), None, TypeError, r"a DataLoader was given\. .*from_dataset\(loader\.dataset\)"),
        (Labelled(), None, ValueError, r"Entry 1 of dataset\[0\] is a single number, as a label is.* names="),
        (Nested(), None, TypeError, r"Entry 0 of dataset\[0\] is a tuple, but an array or a tensor is expected"),
        (Empty(), None, ValueError, "has no samples"),
        (Pairs(), None, TypeError, "Modality 'label' has dtype <U4"),
    ],
)
def test_the_error_for_an_unsuitable_dataset_has_the_remedy(dataset, names, error, message):
    with pytest.raises(error, match=message):
        Modalities.from_dataset(dataset, names)


def test_a_sample_of_another_shape_is_named():
    data = Modalities.from_dataset(Growing(), ["a", "b"])
    with pytest.raises(ValueError, match=r"Sample 2 of modality 0 has shape \(3,\), but sample 0 has \(1,\)"):
        data.rows("a", [0, 2])


def test_the_error_for_a_bare_dataset_shows_how_to_pass_it():
    with pytest.raises(TypeError, match=r"Write Modalities\.from_dataset\(dataset\)"):
        Modalities(Pairs())
